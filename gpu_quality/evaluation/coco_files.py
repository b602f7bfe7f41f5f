"""Parsed COCO files as labels and predictions: ids kept, x y w h to the bit, and a row for everything that is not used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.coco_columns import Floats, Ids, Ints, Problem, boxes, fields, ids_of, numbers
from gpu_quality.evaluation.coco_shapes import Shaped, keypoints_of, masks_of
from gpu_quality.evaluation.instances import Instances, Keypoints, Kind
from gpu_quality.kernels.results import Results

KINDS: Final[tuple[Kind, ...]] = ("box", "mask", "keypoints")
"""What COCO files can be evaluated by."""

Bools = NDArray[np.bool_]
Column = Sequence[object] | NDArray[Any]


@dataclass(frozen=True, slots=True)
class CocoSets:
    """Labels and predictions of two COCO files; rows of frames and classes are those of the ids, in rising order."""

    labels: Instances
    predictions: Instances
    frame_ids: tuple[object, ...]
    class_ids: tuple[object, ...]
    class_names: tuple[str, ...]
    label_ids: tuple[object, ...]
    """Id of every label as its file has it, None where it has none."""
    label_rows: Ints
    """Place of every label in its file; refused ones are left out."""
    prediction_rows: Ints
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


def read_coco(labels: object, predictions: object, *, kind: Kind = "box", missing_scores: bool = False) -> CocoSets:
    """Labels and predictions from parsed COCO files.

    `labels` is an object with images, annotations and categories. `predictions` is a list of results, an object with
    annotations, or, several times as fast, the columns that ``kernels.results`` finds in the text of a file of boxes. No result
    at all is fine. `missing_scores`: predictions without a score are kept with NaN.

    Raises
    ------
    UsageError
        A part of the file is missing or of another kind, there are no images, or `kind` is not box, mask or keypoints.
    """
    if kind not in KINDS:
        raise UsageError(f"COCO files can be evaluated by {', '.join(KINDS)}, not by {kind!r}")
    images, records, categories = (_list(labels, name) for name in ("images", "annotations", "categories"))
    results = _list(predictions, "annotations") if isinstance(predictions, Mapping) else predictions
    if isinstance(results, Results) and kind != "box":
        raise UsageError(f"columns of results hold boxes alone; kind {kind!r} needs the parsed objects")
    if not isinstance(results, list | tuple | Results):
        raise UsageError(f"predictions must be a list of results or an object with annotations; found {_what(predictions)}")
    problems: list[Problem] = []
    frames, classes = ids_of(images, "images", problems), ids_of(categories, "categories", problems)
    if not frames.known:
        raise UsageError("the labels list no images, so there is nothing to evaluate", hint='fill "images"')
    sizes = _sizes(images, frames) if kind == "mask" else np.zeros((0, 2), np.int64)
    count = _keypoint_count(categories) if kind == "keypoints" else None
    both = _Notes("labels", records, problems), _Notes("predictions", results, problems)
    labels_read, results_read = (
        _read(notes, frames, classes, kind, sizes, count, missing_scores=missing_scores) for notes in both
    )
    names = {classes.of(c.get("id")): str(c.get("name", c.get("id"))) for c in reversed(categories) if isinstance(c, Mapping)}
    ids = fields(records, ("id",))[0]
    warnings = _warnings(ids)
    if any(frames.by_text(notes.fields("image_id")[0]) for notes in both):
        warnings.append("image ids are numbers in one place and texts in another; they are compared as texts")
    return CocoSets(
        labels=labels_read[0],
        predictions=results_read[0],
        frame_ids=frames.known,
        class_ids=classes.known,
        class_names=tuple(names[row] for row in range(len(classes.known))),
        label_ids=tuple(ids[row] for row in labels_read[1].tolist()),
        label_rows=labels_read[1],
        prediction_rows=results_read[1],
        problems=tuple(problems),
        warnings=tuple(warnings),
    )


class _Notes:
    """What is odd about the records of one file, and which of them are left out; a row is refused for its first problem."""

    def __init__(self, origin: str, records: Sequence[object] | Results, problems: list[Problem]) -> None:
        self.origin, self.records, self.problems = origin, records, problems
        self.refused = np.zeros(len(records), np.bool_)

    @property
    def predicted(self) -> bool:
        """Whether the records are predictions."""
        return self.origin == "predictions"

    def row(self, row: int, reason: str, detail: str, *, refused: bool = True) -> None:
        """Note one row, unless it is refused already."""
        if self.refused[row]:
            return
        record = None if isinstance(self.records, Results) else self.records[row]
        own = record.get("id") if isinstance(record, Mapping) else None
        self.problems.append(Problem(self.origin, row, own, reason, detail, refused))
        self.refused[row] |= refused

    def rows(self, bad: Bools, reason: str, detail: str, values: Column, *, refused: bool = True) -> None:
        """Note all rows that are bad; `detail` shows the value of each."""
        for row in np.flatnonzero(bad).tolist():
            value = values[row].tolist() if isinstance(values, np.ndarray) else values[row]
            self.row(row, reason, detail.format(value), refused=refused)

    def fields(self, *names: str) -> list[Any]:
        """A column per field: a list of what records hold, or an array of what the columns do."""
        if isinstance(self.records, Results):
            return [getattr(self.records, name) for name in names]
        return list(fields(self.records, names))


def _read(
    notes: _Notes,
    frames: Ids,
    classes: Ids,
    kind: Kind,
    sizes: Ints,
    count: int | None,
    *,
    missing_scores: bool,
) -> tuple[Instances, Ints]:
    """One file as instances, and the places of the records that are used."""
    image, category, box = notes.fields("image_id", "category_id", "bbox")
    frame, class_id = frames.rows(image), classes.rows(category)
    prefix = "dt_" if notes.predicted else ""
    notes.rows(frame < 0, f"{prefix}orphan_image_id", "no image has the id {!r:.80}", image)
    notes.rows(class_id < 0, f"{prefix}orphan_category_id", "no category has the id {!r:.80}", category)
    own, no_box = boxes(box)
    shaped = None if kind == "box" else _shapes(notes, kind, frame, sizes, count)
    if shaped is None:
        _check_boxes(notes, own, no_box, box)
    else:
        own = np.where(np.isfinite(own).all(1, keepdims=True), own, shaped.hull)
    score = _scores(notes, missing_scores=missing_scores) if notes.predicted else np.full(len(own), np.nan)
    crowd, ignored, area = _extras(notes, own, kind, shaped)
    kept = np.flatnonzero(~notes.refused)
    found = Instances(
        frame=torch.from_numpy(frame[kept]),
        class_id=torch.from_numpy(class_id[kept]),
        box=torch.from_numpy(own[kept]),
        score=torch.from_numpy(score[kept]),
        area=torch.from_numpy(area[kept]),
        crowd=torch.from_numpy(crowd[kept]),
        ignored=torch.from_numpy(ignored[kept]),
        shapes=shaped and shaped.shapes.select(torch.from_numpy(kept)),
    )
    return found, kept


def _check_boxes(notes: _Notes, box: Floats, absent: Bools, given: Column) -> None:
    """Refuse records without a box of four finite numbers; one without area is noted."""
    notes.rows(absent, "missing_geometry", "bbox must be x, y, width, height; found {!r:.80}", given)
    bad = ~np.logical_and.reduce(np.isfinite(box), axis=1)
    notes.rows(bad, "non_finite_geometry", "bbox holds a value that is no finite number: {!r:.80}", given)
    flat = ~np.logical_and.reduce(box[:, 2:] > 0, axis=1)
    notes.rows(flat, "degenerate_bbox", "bbox {!r:.80} has no area: it overlaps nothing", given, refused=False)


def _shapes(notes: _Notes, kind: Kind, frame: Ints, sizes: Ints, count: int | None) -> Shaped:
    """Masks or keypoints of all records; what is none is refused."""
    if kind == "keypoints":
        shaped = keypoints_of(notes.fields("keypoints")[0], count)
    else:
        size = np.where(frame[:, None] >= 0, sizes[frame], 1)
        shaped = masks_of(notes.fields("segmentation")[0], size[:, 0].copy(), size[:, 1].copy())
    for row, (reason, detail) in sorted(shaped.wrong.items()):
        notes.row(row, reason, detail)
    return shaped


def _scores(notes: _Notes, *, missing_scores: bool) -> Floats:
    """Confidences; those that are none are refused, those outside 0..1 noted."""
    (given,) = notes.fields("score")
    score = numbers(given)
    absent = np.zeros(len(score), np.bool_)
    if np.isnan(score).any():
        absent = np.array([value is None for value in given], np.bool_)
    if not missing_scores:
        notes.rows(absent, "dt_missing_score", "the result has no score", given)
    odd = ~np.isfinite(score) & ~absent
    notes.rows(odd, "dt_score_out_of_range", "score must be a finite number, found {!r:.80}", given)
    wide = (score < 0) | (score > 1)
    notes.rows(wide, "dt_score_out_of_range", "score {!r:.80} is outside 0..1; it is used as it is", given, refused=False)
    return score


def _extras(notes: _Notes, box: Floats, kind: Kind, shaped: Shaped | None) -> tuple[Bools, Bools, Floats]:
    """Crowd, ignored and area: of labels what the file says, of predictions what the box or shape measures."""
    no, extent = np.zeros(len(box), np.bool_), box[:, 2] * box[:, 3]
    if notes.predicted:
        return no, no, extent if shaped is None else shaped.area
    crowd, area, visible = notes.fields("iscrowd", "area", "num_keypoints")
    size = numbers(area)
    own = shaped.area if shaped is not None and kind == "mask" else extent
    ignored = no
    if shaped is not None and isinstance(shaped.shapes, Keypoints):
        named = numbers(visible)
        ignored = np.where(np.isnan(named), (shaped.shapes.points[:, :, 2] > 0).sum(1).numpy(), named) == 0
    return np.array([bool(value) for value in crowd], np.bool_), ignored, np.where(np.isfinite(size), size, own)


def _list(given: object, name: str) -> list[Any]:
    """One list of a COCO object."""
    value = given.get(name) if isinstance(given, Mapping) else None
    if isinstance(value, list | tuple):
        return list(value)
    found = f'"{name}" is {_what(value)}' if isinstance(given, Mapping) else f"found {_what(given)}"
    raise UsageError(f"COCO labels must be an object with lists of images, annotations and categories; {found}")


def _what(value: object) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"


def _sizes(images: Sequence[Any], frames: Ids) -> Ints:
    """Height and width of every frame, 0 where they are not given as whole numbers."""
    out = np.zeros((len(frames.known), 2), np.int64)
    for image in reversed(images):
        row = frames.of(image.get("id")) if isinstance(image, Mapping) else -1
        if row >= 0:
            sides = numbers([image.get("height"), image.get("width")])
            out[row] = sides if (np.isfinite(sides) & (sides >= 0) & (sides < 1 << 31)).all() else 0
    return out


def _keypoint_count(categories: Sequence[Any]) -> int | None:
    """How many keypoints the first category that names them has."""
    named = (c.get("keypoints") for c in categories if isinstance(c, Mapping))
    return next((len(names) for names in named if isinstance(names, list) and names), None)


def _warnings(ids: Sequence[object]) -> list[str]:
    """What a reader of the figures should know about the ids of the labels."""
    found, seen = [], [value for value in ids if isinstance(value, int | float | str) and not isinstance(value, bool)]
    if 0 in seen:
        found.append("annotation id 0 is matched like any other; pycocotools never matches it, so its figures are lower")
    shared = len(seen) - len(set(seen))
    if shared:
        found.append(f"annotation ids are not unique ({shared:,} more rows than ids); all rows are used")
    return found
