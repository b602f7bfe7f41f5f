"""Masks and keypoints of parsed COCO records, with the sizes and hulls that evaluation takes from them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from gpu_quality.evaluation import masks
from gpu_quality.evaluation.coco_columns import Floats, Ints, number
from gpu_quality.evaluation.instances import Keypoints, MaskShapes
from gpu_quality.geometry import rle
from gpu_quality.geometry.polygons import Outlines, offsets
from gpu_quality.kernels import runs

_BLOCK: Final = 1 << 13
"""Masks decoded at a time to measure them: some 20 MB."""


class Shaped(NamedTuple):
    """Shapes of all records; `wrong` rows hold nothing."""

    shapes: MaskShapes | Keypoints
    area: Floats
    """Set pixels, or width times height of the box around all keypoints."""
    hull: Floats
    """x y w h around the shape."""
    wrong: dict[int, tuple[str, str]]
    """Reason and detail by row."""


def masks_of(values: Sequence[object], height: Ints, width: Ints) -> Shaped:
    """Masks as compressed or plain run lengths, or polygons drawn by COCO's rule, in frames of the given sizes."""
    texts: list[bytes] = [b""] * len(values)
    wrong: dict[int, tuple[str, str]] = {}
    polygons: list[int] = []
    plain: list[int] = []
    for row, value in enumerate(values):
        if not value or not isinstance(value, list | Mapping):
            wrong[row] = ("missing_geometry", f"segmentation must be run lengths or polygons, found {value!r:.80}")
        elif min(height[row], width[row]) < 1 or height[row] * width[row] > runs.MAX_PIXELS:
            wrong[row] = ("zero_dimensions", f"the image is {height[row]} x {width[row]} pixels (height x width): no masks fit")
        elif isinstance(value, list):
            polygons.append(row)
        else:
            problem = _size_problem(value, int(height[row]), int(width[row]))
            counts = value.get("counts")
            if problem:
                wrong[row] = ("invalid_rle", problem)
            elif isinstance(counts, str | bytes):
                texts[row] = counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else counts
            elif isinstance(counts, list) and set(map(type, counts)) <= {int}:
                plain.append(row)
            else:
                wrong[row] = ("invalid_rle", f"counts must be text or whole numbers, found {counts!r:.80}")
    _fill(texts, plain, _plain_texts([values[row]["counts"] for row in plain]))  # type: ignore[index]
    drawable = [row for row in polygons if _rings(values[row], row, wrong)]
    drawn = masks.drawn(_outlines([values[row] for row in drawable]), height[drawable], width[drawable])
    _fill(texts, drawable, list(drawn.rle))
    return _measured(texts, height, width, wrong)


def keypoints_of(values: Sequence[object], count: int | None) -> Shaped:
    """Keypoints as flat lists of x, y, v; `count` of them each, as many as the first record has where that is not known."""
    lists = [value if isinstance(value, list | tuple) else [] for value in values]
    count = next((len(value) // 3 for value in lists if value), 0) if count is None else count
    table = np.zeros((len(lists), count, 3))
    wrong: dict[int, tuple[str, str]] = {}
    for row, value in enumerate(lists):
        if not value:
            wrong[row] = ("missing_geometry", f"keypoints must be a list of x, y, v, found {values[row]!r:.80}")
        elif len(value) != 3 * count:
            wrong[row] = ("keypoint_length", f"{len(value)} numbers where {count} keypoints ask for {3 * count}")
        else:
            table[row] = np.array([number(part) for part in value]).reshape(count, 3)
            if not np.isfinite(table[row]).all():
                wrong[row] = ("non_finite_geometry", f"keypoints hold a value that is no finite number: {value!r:.80}")
                table[row] = 0
    low, high = (side(table[:, :, :2], axis=1) if count else np.zeros((len(lists), 2)) for side in (np.min, np.max))
    hull = np.concatenate([low, high - low], 1)
    return Shaped(Keypoints(torch.from_numpy(table)), hull[:, 2] * hull[:, 3], hull, wrong)


def _size_problem(value: Mapping[str, Any], height: int, width: int) -> str:
    """What is wrong with the size that run lengths say they have."""
    size = value.get("size")
    if not isinstance(size, list | tuple) or list(size) != [height, width]:
        return f"size {size!r:.80} is not that of the image, [{height}, {width}] (height, width)"
    return ""


def _fill(texts: list[bytes], rows: list[int], found: list[bytes]) -> None:
    for row, text in zip(rows, found, strict=True):
        texts[row] = text


def _plain_texts(counts: list[list[int]]) -> list[bytes]:
    """Compressed texts of run lengths; what no mask can hold is cut, so that it stays wrong."""
    limit = 2 * rle.MAX_PIXELS
    flat = [min(max(count, -limit), limit) for own in counts for count in own]
    return rle.encode_counts(np.array(flat, np.int64), offsets(np.array([len(own) for own in counts], np.int64)))


def _rings(value: object, row: int, wrong: dict[int, tuple[str, str]]) -> bool:
    """Whether all rings are lists of at least three points of finite numbers."""
    for ring in value if isinstance(value, list) else []:
        if not isinstance(ring, list) or len(ring) < 6 or len(ring) % 2:
            wrong[row] = ("missing_geometry", f"a ring must be x, y of three points or more, found {ring!r:.80}")
            return False
        if not np.isfinite([number(part) for part in ring]).all():
            wrong[row] = ("non_finite_geometry", f"a ring holds a value that is no finite number: {ring!r:.80}")
            return False
    return True


def _outlines(values: list[Any]) -> Outlines:
    """Rings of many objects, flat."""
    rings = [ring for value in values for ring in value]
    flat = np.array([float(part) for ring in rings for part in ring], np.float64)
    many = np.array([len(value) for value in values], np.int64)
    return Outlines(offsets(many), offsets(np.array([len(ring) for ring in rings], np.int64)), flat)


def _measured(texts: list[bytes], height: Ints, width: Ints, wrong: dict[int, tuple[str, str]]) -> Shaped:
    """Areas and hulls of masks, block after block; broken ones are noted and become empty."""
    area, hull = np.zeros(len(texts)), np.zeros((len(texts), 4))
    for start in range(0, len(texts), _BLOCK):
        rows = np.array([row for row in range(start, min(start + _BLOCK, len(texts))) if row not in wrong], np.int64)
        sizes = (torch.from_numpy(side[rows]) for side in (height, width))
        found, broken = runs.decode([texts[row] for row in rows.tolist()], *sizes)
        for row in rows[broken.numpy()].tolist():
            wrong[row] = ("invalid_rle", f"counts are no run lengths of {height[row] * width[row]} pixels")
            texts[row] = b""
        box = found.box.numpy().astype(np.float64)
        box[:, 2:] -= box[:, :2]
        area[rows], hull[rows] = found.area.numpy(), box
    return Shaped(MaskShapes(tuple(texts), torch.from_numpy(height), torch.from_numpy(width)), area, hull, wrong)
