"""Writing COCO panoptic: a JSON file and a folder of PNGs beside it."""

from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from gpu_quality.annotations import Dataset
from gpu_quality.data.formats.coco_numbers import integers
from gpu_quality.data.formats.coco_write import Writing
from gpu_quality.data.pngs import MOST_PIXELS, write_png
from gpu_quality.geometry import rle
from gpu_quality.types import KINDS

_MASK: Final = KINDS.index("mask")
_MOST: Final = 1 << 24


def write_folder(dataset: Dataset, origin: str, path: Path) -> list[str]:
    """COCO panoptic: ``path`` and the folder ``path`` without its extension, with one PNG a frame whose colors are segment ids.

    Only masks can be held, and each pixel by one of them: where masks overlap, the pixel stays with the first. Segment ids are
    the ids of the objects where these are different integers from 1 to 16777215 in every frame, else counted from 1. Returns
    what the format cannot hold. Raises `UsageError` for an origin that is not there.
    """
    writing = Writing.of(dataset, origin)
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    images = writing.images()
    names = _names([image["file_name"] for image in images])
    by_id = {image: row for row, image in enumerate(writing.image_ids)}
    rows = writing.objects.column("row").to_numpy()
    annotations = []
    for image, name in zip(images, names, strict=True):
        first, last = np.searchsorted(rows, [by_id[image["id"]], by_id[image["id"]] + 1])
        found = _segments(writing, writing.objects.slice(first, last - first))
        if found is not None:
            pixels, infos = found
            _save(pixels, folder / name)
            annotations.append({"image_id": image["id"], "file_name": name, "segments_info": infos})
    if writing.attributes:
        writing.lost["objects lose the answers about them"] += len(writing.attributes)
    whole = {"images": images, "annotations": annotations, "categories": writing.categories()}
    path.write_bytes(orjson.dumps(whole))
    return [f"{count:,} {what}" for what, count in sorted((+writing.lost).items())]


def _names(files: list[str]) -> list[str]:
    """A PNG for every image: its file name in a flat folder, numbered where two would be one."""
    stems = [PurePosixPath(file).stem for file in files]
    alone = len(set(stems)) == len(stems)
    return [f"{stem}.png" if alone else f"{i:06d}-{stem}.png" for i, stem in enumerate(stems)]


def _segments(writing: Writing, table: pa.Table) -> tuple[NDArray[np.uint32], list[dict[str, Any]]] | None:
    """Segment ids [h, w] of a frame and what is said about each, None for a frame without masks."""
    rows = table.select(["source_id", "class_id", "kind", "rle", "area", "crowd", "score", "track"]).to_pylist()
    masks = [row for row in rows if row["kind"] == _MASK]
    writing.lost["objects are left out: they are no masks"] += len(rows) - len(masks)
    writing.lost["segments lose their score"] += sum(row["score"] is not None for row in masks)
    writing.lost["segments lose their track"] += sum(row["track"] is not None for row in masks)
    if not masks:
        return None
    height, width = masks[0]["rle"]["height"], masks[0]["rle"]["width"]
    if height * width > MOST_PIXELS:
        writing.lost["segments are left out: their frame is too large for a PNG"] += len(masks)
        return None
    flat = np.zeros(height * width, np.uint32)
    ids = integers([row["source_id"] for row in masks])
    if ids is None or len(set(ids)) < len(ids) or min(ids) < 1 or max(ids) >= _MOST:
        writing.lost["segments are numbered from 1, as not all ids of their frame are colors"] += len(masks)
        ids = list(range(1, len(masks) + 1))
    infos = []
    for color, row in zip(ids, masks, strict=True):
        info = _paint(writing, flat, row, color, height)
        if info is not None:
            infos.append(info)
    return flat.reshape(width, height).T, infos


def _paint(writing: Writing, flat: NDArray[np.uint32], row: dict[str, Any], color: int, height: int) -> dict[str, Any] | None:
    """Give a segment the pixels of its mask that no other has, and say what it is."""
    if len(flat) != row["rle"]["height"] * row["rle"]["width"] or row["rle"]["height"] != height:
        writing.lost["segments are left out: their masks have another size than the first of their frame"] += 1
        return None
    runs = rle.decode_counts([row["rle"]["counts"]])
    mine = np.repeat(np.arange(len(runs.counts)) % 2 == 1, runs.counts)
    free = mine & (flat == 0)
    if not free.any():
        writing.lost["segments are left out: every pixel of theirs has another one, or they have none"] += 1
        return None
    writing.lost["segments lose pixels that others have too"] += int(free.sum() != mine.sum())
    flat[free] = color
    y, x = np.flatnonzero(free) % height, np.flatnonzero(free) // height
    box = [int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1]
    facts = {"id": color, "category_id": writing.category_ids[row["class_id"]], "area": row["area"]}
    return facts | {"bbox": box, "iscrowd": int(row["crowd"])}


def _save(pixels: NDArray[np.uint32], path: Path) -> None:
    write_png(np.stack([pixels & 255, pixels >> 8 & 255, pixels >> 16 & 255], 2).astype(np.uint8), path)
