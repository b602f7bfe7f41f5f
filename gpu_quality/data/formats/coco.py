"""COCO: an instances, keypoints or video file as labels, a results list as predictions."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from gpu_quality.annotations import Builder, Dataset, ObjectColumns
from gpu_quality.annotations.columns import AnswerColumns, Bools, Floats, Ints, Problem, Ragged, with_shape_boxes
from gpu_quality.data.formats.coco_columns import Records, columns_of
from gpu_quality.data.formats.coco_frames import Images, add_categories, look_up
from gpu_quality.data.formats.coco_write import write_file
from gpu_quality.data.formats.json_kinds import json_kind
from gpu_quality.data.formats.json_records import collector_paused, read_pieces
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader, writer
from gpu_quality.types import KINDS

_LISTS: Final = ("images", "annotations", "categories")
_LONGEST: Final = 100
"""Characters of an attribute that is taken for an answer."""


def looks_like_coco(path: Path) -> bool:
    """Whether the file starts like JSON and is none of the other kinds of JSON."""
    return json_kind(path) == "coco"


@reader("coco", guess=looks_like_coco)
def read(path: Path, builder: Builder, origin: str) -> None:
    """COCO JSON: `images`, `annotations`, `categories` (and `videos`) as labels; a list of results, or such an
    object whose annotations have scores, as predictions.

    Boxes, polygons, masks, keypoints, tracks; `ignore` becomes `difficult`, attributes with texts become answers. `line` of an
    error row is the place in its list. Raises `UsageError` where the file as a whole is unusable; a record that breaks a rule
    becomes an error row.
    """
    try:
        with collector_paused():
            reading = _Reading(path, builder, origin)
            if origin == "labels":
                reading.labels()
            else:
                reading.results()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="give the path of a COCO JSON file") from error
    for what, count in sorted(reading.told.items()):
        builder.notes.append(f"{path.name}: {what} {count:,} annotations")


@writer("coco")
def write(dataset: Dataset, origin: str, path: Path) -> list[str]:
    """COCO JSON: labels as an instances file, a prediction set as a list of results (see `coco_write.write_file`)."""
    return write_file(dataset, origin, path)


class _Reading:
    """One pass over a file."""

    def __init__(self, path: Path, builder: Builder, origin: str) -> None:
        self.path, self.builder, self.origin = path, builder, origin
        self.image_rows, self.class_rows = builder.image_rows, builder.class_rows
        self.tracks: dict[str, int] = {}
        self.keypoints: dict[int, int] = {}
        self.told: Counter[str] = Counter()

    def labels(self) -> None:
        """Images, categories, annotations, in whatever order they come; a prediction set may be such a file too."""
        labels = self.origin == "labels"
        images = Images(self.path.name, self.builder, labels=labels)
        categories: list[Any] = []
        annotations: list[Records] = []
        seen = set()
        for piece in read_pieces(self.path):
            seen.add(piece.key)
            records = piece.records or []
            if piece.key == "":
                hint = "a list of results is given with --predictions NAME=FILE"
                text = f"{self.path} holds a list at byte 0; labels are an object with {', '.join(_LISTS)}"
                raise UsageError(text, hint=hint)
            if piece.key in (*_LISTS, "videos") and piece.records is None:
                raise UsageError(f"{self.path}: the value of {piece.key!r} is no list")
            if piece.key == "images":
                images.add(records, piece.first)
            elif piece.key == "videos":
                images.add_videos(records, piece.first)
            elif piece.key == "annotations":
                annotations.append(columns_of(records, piece.first, self.tracks))
            elif piece.key == "categories":
                categories += records
        self._demand(seen)
        images.place()
        self.image_rows = images.rows
        self.class_rows, self.keypoints = add_categories(self.path.name, self.builder, categories, labels=labels)
        annotations.reverse()
        while annotations:
            self.add(annotations.pop())

    def _demand(self, seen: set[str]) -> None:
        missing = [name for name in _LISTS if name not in seen and not (name == "images" and "videos" in seen)]
        if missing:
            found = f"found {', '.join(sorted(map(repr, seen)))[:200]}" if seen else "it is empty"
            text = f"{self.path} has no {' and no '.join(map(repr, missing))}: {found}"
            raise UsageError(text, hint="is this a COCO instances file?")

    def results(self) -> None:
        """Results of a list, whose ids are those of the labels, or of an object with images and categories of its own."""
        self.builder.add_origin(self.origin)
        for piece in read_pieces(self.path):
            if piece.key != "":
                self.labels()
                return
            if not self.builder.image_rows:
                hint = "pass the COCO file they belong to with --labels"
                text = f"{self.path}: results name images and classes by ids that only a labels file explains"
                raise UsageError(text, hint=hint)
            self.add(columns_of(piece.records or [], piece.first, self.tracks))

    def add(self, records: Records) -> None:
        """Objects, and the answers in their attributes."""
        frame = look_up(records.image, self.image_rows)
        class_id = look_up(records.category, self.class_rows)
        labels = self.origin == "labels"
        shaped, bare = _shaped(records)
        text = "it has neither a bbox nor a segmentation nor keypoints"
        problems = dict.fromkeys(np.flatnonzero(~(shaped | bare)).tolist(), Problem("missing_geometry", text))
        problems |= self._keypoint_problems(records, class_id)
        prefix = "" if labels else "dt_"
        for ids, rows, key, among in (
            (records.category, class_id, "category_id", "categories"),
            (records.image, frame, "image_id", "images"),
        ):
            for i in np.flatnonzero(rows < 0).tolist():
                problems[i] = Problem(f"{prefix}orphan_{key}", _unknown(key, ids[i], among))
        columns = ObjectColumns(
            frame,
            class_id,
            records.box,
            records.place,
            source_id=_sources(records) if labels else None,
            score=None if labels else records.score,
            unscored=None if labels else records.unscored,
            track=records.track,
            area=records.area if labels else _result_areas(records, bare),
            crowd=records.crowd if labels else None,
            difficult=records.ignore if labels else None,
            angle=records.angle,
            outlines=records.outlines,
            masks=records.masks,
            kind=np.where(bare, KINDS.index("keypoints"), -1).astype(np.int8) if bare.any() else None,
            keypoints=records.keypoints,
            annotator=records.annotator,
            annotation_seconds=records.seconds,
        )
        problems |= records.problems
        self.builder.add_objects(self.origin, self.path.name, with_shape_boxes(columns, ~records.boxed), problems)
        if records.attributes is not None:
            self._add_answers(records, columns, problems)

    def _keypoint_problems(self, records: Records, class_id: Ints) -> dict[int, Problem]:
        """Where a record has not three numbers for each keypoint of its category."""
        if records.keypoints is None:
            return {}
        count = records.keypoints.count
        names = np.array([self.keypoints.get(row, 0) for row in class_id.tolist()], np.int64)
        self._count_visible(records.keypoints, records.visible)
        text = "{} keypoint numbers; its category has {} keypoints of x, y, v"
        wrong = np.flatnonzero((count > 0) & (names > 0) & (count != 3 * names))
        return {int(i): Problem("keypoint_length", text.format(count[i], names[i])) for i in wrong}

    def _count_visible(self, keypoints: Ragged, declared: Floats | None) -> None:
        """Say where num_keypoints is not the number of keypoints with v > 0."""
        if declared is None:
            return
        whole = np.flatnonzero(keypoints.count % 3 == 0)
        keypoints, declared = keypoints.take(whole), declared[whole]
        count = keypoints.count
        owner = np.repeat(np.arange(len(count)), count // 3)
        seen = np.bincount(owner[keypoints.values[2::3] > 0], minlength=len(count))
        if other := int((np.isfinite(declared) & (count > 0) & (seen != declared)).sum()):
            self.told["num_keypoints is not the number of keypoints with v > 0, which counts instead:"] += other

    def _add_answers(self, records: Records, columns: ObjectColumns, problems: Mapping[int, Problem]) -> None:
        """Attributes that are texts or yes and no; numbers have no place in the tables."""
        found: list[tuple[int, str, str]] = []
        for i, attributes in enumerate(records.attributes or []):
            for name, value in attributes.items() if i not in problems else ():
                if isinstance(value, bool) or (isinstance(value, str) and 0 < len(value) <= _LONGEST and name != "track_id"):
                    found.append((i, name, str(value).lower() if isinstance(value, bool) else value))
                elif value not in (None, "", [], {}) and name not in ("track_id", "rotation"):
                    self.told[f"attribute {name!r} is not kept:"] += 1
        if not found:
            return
        rows = np.array([i for i, _, _ in found], np.int64)
        sources = columns.source_id if columns.source_id is not None else columns.record
        answers = AnswerColumns(
            columns.frame[rows],
            [name for _, name, _ in found],
            self.builder.name_classes([value for _, _, value in found]),
            columns.record[rows],
            source=[str(sources[i]) for i, _, _ in found],
        )
        self.builder.add_answers(self.origin, self.path.name, answers, {})


def _shaped(records: Records) -> tuple[Bools, Bools]:
    """Which records have a box, rings or a mask, and which have keypoints alone."""
    shaped = records.boxed.copy()
    if records.outlines is not None:
        shaped |= np.diff(records.outlines.rings) > 0
    if records.masks is not None:
        shaped |= np.array([counts is not None for counts in records.masks.counts], bool)
    bare = ~shaped & (records.keypoints.count > 0) if records.keypoints is not None else np.zeros(len(records), bool)
    return shaped, bare


def _result_areas(records: Records, bare: Bools) -> Floats:
    """Width times height of the box as given; of keypoints alone that of the box around all of them (evaluation.md 3, 3)."""
    area = records.extent.copy()
    if records.keypoints is not None:
        offset = records.keypoints.offset
        for i in np.flatnonzero(bare & (records.keypoints.count % 3 == 0)):
            points = records.keypoints.values[offset[i] : offset[i + 1]].reshape(-1, 3)
            area[i] = np.ptp(points[:, 0]) * np.ptp(points[:, 1])
    return area


def _unknown(key: str, value: Any, among: str) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    return f"{key} {repr(value)[:80]} is not among the {among} of the labels" if value is not None else f"it has no {key}"


def _sources(records: Records) -> Ints | list[str]:
    """Annotation ids; a record without one is called by its place."""
    if isinstance(records.source, np.ndarray):
        return records.source
    return [f"record-{records.place[i]}" if s is None else str(s) for i, s in enumerate(records.source)]
