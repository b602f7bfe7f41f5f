"""COCO panoptic: a JSON file and a folder of PNGs whose colors name segments."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.annotations.columns import Problem
from gpu_quality.data.formats.coco_frames import Images, add_categories
from gpu_quality.data.formats.coco_shapes import number
from gpu_quality.data.formats.folder import path_of
from gpu_quality.data.formats.gathering import Facts, Gatherer, Shape
from gpu_quality.data.formats.json_kinds import json_kind
from gpu_quality.data.formats.json_records import read_pieces
from gpu_quality.data.formats.masking import counts_of
from gpu_quality.data.formats.panoptic_write import write_folder
from gpu_quality.data.pngs import read_png
from gpu_quality.errors import FrameError, UsageError
from gpu_quality.registry import reader, writer

Ints = NDArray[np.int64]

_LISTS: Final = ("images", "annotations", "categories")


def looks_like_panoptic(path: Path) -> bool:
    """Whether it is JSON whose annotations hold `segments_info`."""
    return json_kind(path) == "panoptic"


@reader("panoptic", guess=looks_like_panoptic)
def read(path: Path, builder: Builder, origin: str) -> None:
    """COCO panoptic JSON with its PNGs: each segment is a mask; its id is the color R + 256 G + 65536 B.

    PNGs are looked for in the folder that is called like the file, then beside the file. A missing PNG, one of another size
    than its image, and a segment without pixels become error rows; `line` is the place in the list of annotations. One PNG is
    in memory at a time. Raises `UsageError` where the file as a whole is unusable.
    """
    reading = _Reading(path, builder, origin)
    try:
        annotations = reading.lists()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="give the path of a panoptic JSON file") from error
    for place, record in annotations:
        reading.annotation(place, record)
    reading.rows.flush()


@writer("panoptic")
def write(dataset: Dataset, origin: str, path: Path) -> list[str]:
    """COCO panoptic: a JSON file and a folder of PNGs called like it (see `panoptic_write.write_folder`)."""
    return write_folder(dataset, origin, path)


@dataclass(frozen=True, slots=True)
class _Segments:
    """Runs of equal color down the columns of a PNG, sorted by color."""

    color: Ints
    start: Ints
    end: Ints
    height: int
    width: int

    def mask(self, color: int) -> bytes | None:
        """Compressed counts of one segment, None where no pixel has its color."""
        first, last = np.searchsorted(self.color, [color, color + 1])
        return counts_of(self.start[first:last], self.end[first:last], self.height * self.width) if last > first else None


class _Reading:
    """One pass over a file and its pictures."""

    def __init__(self, path: Path, builder: Builder, origin: str) -> None:
        self.path, self.builder, self.origin = path, builder, origin
        self.rows = Gatherer(builder, origin, path.name)
        self.folders = [path.with_suffix(""), path.parent]

    def lists(self) -> list[tuple[int, Any]]:
        """Frames and classes of the file; returns its annotations, whose pixels lie elsewhere, with their places."""
        images = Images(self.path.name, self.builder)
        categories: list[Any] = []
        annotations: list[tuple[int, Any]] = []
        seen = set()
        for piece in read_pieces(self.path):
            seen.add(piece.key)
            if piece.key in _LISTS and piece.records is None:
                raise UsageError(f"{self.path}: the value of {piece.key!r} is no list")
            records = piece.records or []
            if piece.key == "images" and self.origin == "labels":
                images.add(records, piece.first)
            elif piece.key == "categories" and self.origin == "labels":
                categories += records
            elif piece.key == "annotations":
                annotations += enumerate(records, piece.first)
        if missing := [name for name in _LISTS if name not in seen and (self.origin == "labels" or name == "annotations")]:
            raise UsageError(f"{self.path} has no {' and no '.join(map(repr, missing))}", hint="is this a COCO panoptic file?")
        if self.origin != "labels" and not self.builder.image_rows:
            text = f"{self.path}: results name images and classes by ids that only a labels file explains"
            raise UsageError(text, hint="pass the COCO file they belong to with --labels")
        images.place()
        if self.origin == "labels":
            add_categories(self.path.name, self.builder, categories)
        return annotations

    def annotation(self, place: int, record: Any) -> None:
        """The segments of one image."""
        facts = Facts(place)
        known = record if isinstance(record, dict) else {}
        image, name, infos = known.get("image_id"), known.get("file_name"), known.get("segments_info")
        frame = self.builder.image_rows.get(image) if isinstance(image, int | str) else None
        if frame is None:
            text = f"image_id {repr(image)[:80]} is not among the images; none of its segments is kept"
            prefix = "" if self.origin == "labels" else "dt_"
            self.rows.refuse(text, facts, reason=f"{prefix}orphan_image_id")
        elif not isinstance(name, str) or not isinstance(infos, list):
            self.rows.refuse(f"annotation has no file_name or no segments_info: {repr(record)[:80]}", facts)
        else:
            segments = self.picture(name)
            if isinstance(segments, Problem):
                self.rows.refuse(segments.detail, facts, reason=segments.reason)
            else:
                self.segments(frame, place, infos, segments, name)

    def picture(self, name: str) -> _Segments | Problem:
        """Colors of a PNG."""
        try:
            found = [file for folder in self.folders if (file := path_of(folder, name)).is_file()]
        except FrameError as error:
            return Problem("missing_file", str(error))
        if not found:
            return Problem("missing_file", f"{name} is neither in {self.folders[0].name}/ nor beside the file")
        ids = _colors(found[0])
        if isinstance(ids, str):
            return Problem("bad_annotation", f"{name}: {ids}")
        flat = ids.T.reshape(-1)
        edge = np.flatnonzero(np.diff(flat)) + 1
        start = np.concatenate([np.zeros(1, np.int64), edge])
        end = np.concatenate([edge, np.array([len(flat)], np.int64)])
        color = flat[start].astype(np.int64)
        order = np.argsort(color, kind="stable")
        return _Segments(color[order], start[order], end[order], *ids.shape)

    def segments(self, frame: int, place: int, infos: Sequence[Any], segments: _Segments, name: str) -> None:
        """Masks of the segments that an annotation lists; colors that it does not list are told."""
        width, height = (int(side[0]) for side in self.builder.frame_sizes(np.array([frame], np.int64)))
        own = f"{segments.height} x {segments.width}"
        if width > 0 and height > 0 and (height, width) != (segments.height, segments.width):
            text = f"{name} is {own}, its image {height} x {width} (height x width)"
            self.rows.refuse(text, Facts(place), reason="invalid_rle")
            return
        listed = set()
        for info in infos:
            known = info if isinstance(info, dict) else {}
            color = known.get("id")
            if type(color) is not int:
                self.rows.refuse(f"segment has no usable id: {repr(info)[:80]}", Facts(place))
                continue
            listed.add(color)
            self.segment(frame, known, color, segments, Facts(place, str(color)), name)
        unlisted = [int(c) for c in np.unique(segments.color) if c != 0 and int(c) not in listed]
        if unlisted:
            text = f"{name} has pixels of {len(unlisted)} segments that segments_info does not list: {unlisted[:5]}"
            self.rows.refuse(text, Facts(place), reason="missing_geometry")

    def segment(self, frame: int, info: dict[str, Any], color: int, segments: _Segments, facts: Facts, name: str) -> None:
        """One segment."""
        category, area, score = info.get("category_id"), info.get("area"), info.get("score")
        row = self.builder.class_rows.get(category) if isinstance(category, int | str) else None
        facts.area, facts.score = number(area), None if score is None else number(score)
        facts.crowd = info.get("iscrowd") in (1, "1")
        mask = segments.mask(color)
        problem = None
        if row is None:
            prefix = "" if self.origin == "labels" else "dt_"
            text = f"category_id {repr(category)[:80]} is not among the categories"
            problem = Problem(f"{prefix}orphan_category_id", text)
        elif mask is None:
            problem = Problem("missing_geometry", f"no pixel of {name} has the color of segment {color}")
        shape = Shape() if mask is None else Shape(mask=(segments.height, segments.width, mask))
        self.rows.add_row(frame, -1 if row is None else row, shape, facts, problem)


def _colors(path: Path) -> NDArray[np.uint32] | str:
    """Segment ids [h, w] of a PNG, or what is wrong with it."""
    pixels = read_png(path)
    if isinstance(pixels, str):
        return pixels
    rgb = pixels.astype(np.uint32)
    return rgb[:, :, 0] + 256 * rgb[:, :, 1] + 65536 * rgb[:, :, 2]
