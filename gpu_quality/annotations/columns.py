"""Objects on their way into the tables: whole columns at a time, and the rules that every row must keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpu_quality.geometry import polygons, rle
from gpu_quality.geometry.polygons import Outlines, offsets
from gpu_quality.types import AREAL, KINDS

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


class Problem(NamedTuple):
    """Why a record of a file cannot be used as it is: one of ``errors.REASONS``, and a sentence for the person."""

    reason: str
    detail: str


Problems = Mapping[int, Problem | str]
"""By place among the rows; a text alone has the reason "bad_annotation"."""


@dataclass(frozen=True, slots=True)
class Ragged:
    """Lists of numbers of different lengths: row `i` owns ``values[offset[i]:offset[i + 1]]``; an empty row stands for none."""

    offset: Ints
    values: Floats

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.offset) - 1

    @property
    def count(self) -> Ints:
        """Numbers in each row."""
        return np.diff(self.offset)

    def take(self, keep: Ints) -> "Ragged":
        """Some of the rows, in the order asked for."""
        count = self.count[keep]
        end = offsets(count)
        within = np.arange(end[-1]) - np.repeat(end[:-1], count)
        return Ragged(end, self.values[np.repeat(self.offset[:-1][keep], count) + within])


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
    kind: NDArray[np.int8] | None = None
    """Index into `types.KINDS` where the shape alone does not tell (polyline, point, keypoints); -1 = the shape tells."""
    keypoints: Ragged | None = None
    """Triples x y v, besides whatever shape the object has."""
    probabilities: Ragged | None = None
    """One per class."""
    annotator: Sequence[str | None] | None = None
    annotation_seconds: Floats | None = None
    """Time spent on the object, NaN where unknown."""
    file: Sequence[str] | None = None
    """Name of each row's file, where one call holds rows of many files."""

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.frame)

    def take(self, keep: Ints) -> "ObjectColumns":
        """Some of the objects, every column of them."""
        return _taken(self, keep)


@dataclass(frozen=True, slots=True)
class AnswerColumns:
    """Many answers to questions about frames or objects, column by column; fields as in `ObjectColumns`."""

    frame: Ints
    question: Sequence[str]
    class_id: Ints
    record: Ints
    source: Sequence[str | None] | None = None
    """`source_id` of the object that the answer is about; None = the whole frame."""
    score: Floats | None = None
    unscored: Bools | None = None
    probabilities: Ragged | None = None
    annotator: Sequence[str | None] | None = None
    file: Sequence[str] | None = None

    def __len__(self) -> int:
        """Number of answers."""
        return len(self.frame)

    def take(self, keep: Ints) -> "AnswerColumns":
        """Some of the answers, every column of them."""
        return _taken(self, keep)


_Columns = TypeVar("_Columns", ObjectColumns, AnswerColumns)


def _taken(columns: _Columns, keep: Ints) -> _Columns:
    changed: dict[str, Any] = {}
    for field in fields(columns):
        value = getattr(columns, field.name)
        if isinstance(value, np.ndarray):
            changed[field.name] = value[keep]
        elif isinstance(value, Outlines | Masks | Ragged):
            changed[field.name] = value.take(keep)
        elif value is not None:
            changed[field.name] = [value[int(i)] for i in keep]
    return replace(columns, **changed)


def kinds(columns: ObjectColumns) -> NDArray[np.int8]:
    """What each object is, as index into `types.KINDS`: what the reader says, else a mask, an outline (turned where it has an
    angle), else a box.
    """
    kind = np.zeros(len(columns), np.int8)
    if columns.outlines is not None:
        kind[np.diff(columns.outlines.rings) > 0] = KINDS.index("polygon")
    if columns.angle is not None:
        kind[np.isfinite(columns.angle)] = KINDS.index("rotated_box")
    if columns.masks is not None:
        kind[[c is not None for c in columns.masks.counts]] = KINDS.index("mask")
    return kind if columns.kind is None else np.where(columns.kind >= 0, columns.kind, kind).astype(np.int8)


def with_shape_boxes(columns: ObjectColumns, wanted: Bools) -> ObjectColumns:
    """Boxes around the outlines, legal masks, or else visible keypoints of the wanted rows, where the file gives none."""
    box = columns.box.copy()
    if columns.outlines is not None:
        rows = np.flatnonzero(wanted & (np.diff(columns.outlines.rings) > 0))
        chosen = columns.outlines.take(rows)
        legal = np.array([not problem for problem in polygons.check(chosen, 2)], bool)
        box[rows[legal]] = polygons.bounds(chosen.take(np.flatnonzero(legal)))
    if columns.masks is not None:
        rows = np.array([i for i in np.flatnonzero(wanted) if columns.masks.counts[int(i)] is not None], np.int64)
        masks = columns.masks.take(rows)
        _, problems = rle.check([c or b"" for c in masks.counts], masks.height, masks.width)
        legal = np.array([i for i, problem in enumerate(problems) if not problem], np.int64)
        masks = masks.take(legal)
        box[rows[legal]] = rle.bounds(rle.decode_counts([c or b"" for c in masks.counts]), masks.height)
    if columns.keypoints is not None:
        bare = wanted & ~np.isfinite(box).all(axis=1)
        _box_keypoints(box, columns.keypoints, np.flatnonzero(bare & (columns.keypoints.count > 0)))
    return replace(columns, box=box)


def _box_keypoints(box: Floats, keypoints: Ragged, rows: Ints) -> None:
    """The hull of the visible keypoints of some rows, of all of them where none is visible."""
    for i in rows[keypoints.count[rows] % 3 == 0]:
        points = keypoints.values[keypoints.offset[i] : keypoints.offset[i + 1]].reshape(-1, 3)
        seen = points[points[:, 2] > 0] if (points[:, 2] > 0).any() else points
        box[i] = [*seen[:, :2].min(0), *seen[:, :2].max(0)]


def with_areas(columns: ObjectColumns) -> ObjectColumns:
    """The declared area of every object that has one, else the area of its mask, outline or box."""
    side = columns.box[:, 2:] - columns.box[:, :2]
    area = np.clip(side[:, 0], 0, None) * np.clip(side[:, 1], 0, None)
    missing = np.ones(len(columns), bool)
    if columns.area is not None:
        missing = ~(np.isfinite(columns.area) & (columns.area >= 0))
        area[~missing] = columns.area[~missing]
    kind = kinds(columns)
    if columns.outlines is not None:
        rows = np.flatnonzero(missing & (np.diff(columns.outlines.rings) > 0) & (kind < AREAL))
        area[rows] = polygons.areas(columns.outlines.take(rows))
    if columns.masks is not None:
        rows = np.flatnonzero(missing & (kind == KINDS.index("mask")))
        area[rows] = rle.areas(rle.decode_counts([c or b"" for c in columns.masks.take(rows).counts]))
    area[missing & (kind >= AREAL)] = 0
    return replace(columns, area=area)
