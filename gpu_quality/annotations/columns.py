"""Objects on their way into the tables: whole columns at a time, and the rules that every row must keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_quality.geometry import polygons, rle
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.types import KINDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Masks:
    """Compressed run lengths of objects that are masks, None for those that are not, and the sizes they claim."""

    height: Ints
    width: Ints
    counts: Sequence[bytes | None]

    def take(self, keep: Ints) -> "Masks":
        """The masks of some of the objects."""
        return Masks(self.height[keep], self.width[keep], [self.counts[int(i)] for i in keep])


@dataclass(frozen=True, slots=True)
class ObjectColumns:
    """Many labels or predictions of one file, column by column; None where the file has no such column.

    `frame` and `class_id` are rows given by the Builder (-1 = unknown), `box` is xyxy in pixels. `record` is the line, or the
    place in the file's list, that error rows name.
    """

    frame: Ints
    class_id: Ints
    box: Floats
    record: Ints
    source_id: Ints | Sequence[str] | None = None
    score: Floats | None = None
    """NaN is refused; rows without a score are told by `unscored`."""
    unscored: Bools | None = None
    track: Ints | None = None
    area: Floats | None = None
    """Declared areas, NaN where none is declared: then the shape's own is used."""
    crowd: Bools | None = None
    difficult: Bools | None = None
    angle: Floats | None = None
    outlines: Outlines | None = None
    masks: Masks | None = None

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.frame)

    def take(self, keep: Ints) -> "ObjectColumns":
        """Some of the objects, every column of them."""
        changed: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                changed[field.name] = value[keep]
            elif isinstance(value, Outlines | Masks):
                changed[field.name] = value.take(keep)
            elif value is not None:
                changed[field.name] = [value[i] for i in keep]
        return replace(self, **changed)


def kinds(columns: ObjectColumns) -> NDArray[np.int8]:
    """What each object is, as index into `types.KINDS`: a mask, an outline (turned where it has an angle), else a box."""
    kind = np.zeros(len(columns), np.int8)
    if columns.outlines is not None:
        kind[np.diff(columns.outlines.rings) > 0] = KINDS.index("polygon")
    if columns.angle is not None:
        kind[np.isfinite(columns.angle)] = KINDS.index("rotated_box")
    if columns.masks is not None:
        kind[[c is not None for c in columns.masks.counts]] = KINDS.index("mask")
    return kind


def with_shape_boxes(columns: ObjectColumns, wanted: Bools) -> ObjectColumns:
    """Boxes around the outlines and legal masks of the wanted rows, where the file gives none."""
    box = columns.box.copy()
    if columns.outlines is not None:
        rows = np.flatnonzero(wanted & (np.diff(columns.outlines.rings) > 0))
        chosen = columns.outlines.take(rows)
        legal = np.array([not problem for problem in polygons.check(chosen)], bool)
        box[rows[legal]] = polygons.bounds(chosen.take(np.flatnonzero(legal)))
    if columns.masks is not None:
        rows = np.array([i for i in np.flatnonzero(wanted) if columns.masks.counts[int(i)] is not None], np.int64)
        masks = columns.masks.take(rows)
        _, problems = rle.check([c or b"" for c in masks.counts], masks.height, masks.width)
        legal = np.array([i for i, problem in enumerate(problems) if not problem], np.int64)
        masks = masks.take(legal)
        box[rows[legal]] = rle.bounds(rle.decode_counts([c or b"" for c in masks.counts]), masks.height)
    return replace(columns, box=box)


def with_areas(columns: ObjectColumns) -> ObjectColumns:
    """The declared area of every object that has one, else the area of its mask, outline or box."""
    side = columns.box[:, 2:] - columns.box[:, :2]
    area = side[:, 0] * side[:, 1]
    missing = np.ones(len(columns), bool)
    if columns.area is not None:
        missing = ~(np.isfinite(columns.area) & (columns.area >= 0))
        area[~missing] = columns.area[~missing]
    kind = kinds(columns)
    if columns.outlines is not None:
        rows = np.flatnonzero(missing & (np.diff(columns.outlines.rings) > 0))
        area[rows] = polygons.areas(columns.outlines.take(rows))
    if columns.masks is not None:
        rows = np.flatnonzero(missing & (kind == KINDS.index("mask")))
        area[rows] = rle.areas(rle.decode_counts([c or b"" for c in columns.masks.take(rows).counts]))
    return replace(columns, area=area)


def problems_of(columns: ObjectColumns, width: Ints, height: Ints) -> dict[int, str]:
    """What is wrong with which row. `width` and `height` are those of each object's frame, -1 where unknown."""
    found: dict[int, str] = {}
    if columns.masks is not None:
        found |= _mask_problems(columns.masks, width, height)
    if columns.outlines is not None:
        texts = polygons.check(columns.outlines)
        found |= {i: text for i, text in enumerate(texts) if text}
    if columns.score is not None:
        scored = np.ones(len(columns), bool) if columns.unscored is None else ~columns.unscored
        for i in np.flatnonzero(scored & ~np.isfinite(columns.score)):
            found[int(i)] = f"score is not finite: {columns.score[i]}"
    found |= _box_problems(columns.box)
    for i in np.flatnonzero(columns.class_id < 0):
        found[int(i)] = "its class is not among the classes"
    for i in np.flatnonzero(columns.frame < 0):
        found[int(i)] = "its image is not among the frames"
    return found


def _box_problems(box: Floats) -> dict[int, str]:
    near = np.asarray((np.abs(box) <= polygons.FARTHEST).all(axis=1))
    found = {int(i): f"box is not finite, or beyond {polygons.FARTHEST:g}: {box[i].tolist()}" for i in np.flatnonzero(~near)}
    corner = np.where(near[:, None], box, [0, 0, 1, 1])
    side = corner[:, 2:] - corner[:, :2]
    flat = np.flatnonzero((side <= 0).any(axis=1))
    return found | {int(i): f"box has no area: width {side[i, 0]}, height {side[i, 1]}" for i in flat}


def _mask_problems(masks: Masks, width: Ints, height: Ints) -> dict[int, str]:
    rows = np.array([i for i, counts in enumerate(masks.counts) if counts is not None], np.int64)
    chosen = masks.take(rows)
    _, texts = rle.check([c or b"" for c in chosen.counts], chosen.height, chosen.width)
    found = {int(i): text for i, text in zip(rows, texts, strict=True) if text}
    known = (width[rows] > 0) & (height[rows] > 0)
    for i in rows[known & ((chosen.height != height[rows]) | (chosen.width != width[rows]))]:
        own, frame = f"{masks.height[i]} x {masks.width[i]}", f"{height[i]} x {width[i]}"
        found.setdefault(int(i), f"mask size {own} is not the frame's size {frame} (height x width)")
    return found


def merged(known: Mapping[int, str], found: Mapping[int, str]) -> dict[int, str]:
    """Both sets of problems in order of rows; what the reader already knew is said, not what follows from it."""
    both = {**found, **known}
    return {i: both[i] for i in sorted(both)}
