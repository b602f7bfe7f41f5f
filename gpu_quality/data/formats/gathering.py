"""Objects and answers that come one record at a time, kept until there are enough for whole columns."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gpu_quality.annotations import Builder, ObjectColumns
from gpu_quality.annotations.columns import AnswerColumns, Ints, Masks, Problem, Ragged, with_shape_boxes
from gpu_quality.data.formats.finding import Finder
from gpu_quality.data.formats.numbered_frames import NumberedFrames
from gpu_quality.geometry.polygons import Outlines, offsets
from gpu_quality.types import KINDS

_ENOUGH: Final = 20_000
"""Rows handed over at a time: fewer cost time per call, more cost memory."""
_NAN: Final = float("nan")


@dataclass(slots=True)
class Shape:
    """What one record draws: a box, else rings, a mask, keypoints; the kind only where they do not tell it."""

    box: tuple[float, float, float, float] | None = None
    """xyxy in pixels; without it the smallest box around the rest."""
    rings: list[list[float]] = field(default_factory=list)
    mask: tuple[int, int, bytes] | None = None
    """Height, width, and COCO-compressed counts."""
    keypoints: list[float] = field(default_factory=list)
    angle: float = _NAN
    kind: str = ""


@dataclass(slots=True)
class Facts:
    """What a record says about its object besides shape and class; `file` where it is not that of the gatherer."""

    record: int
    source: str | None = None
    score: float | None = None
    track: int = -1
    crowd: bool = False
    difficult: bool = False
    annotator: str | None = None
    seconds: float = _NAN
    area: float = _NAN
    file: str = ""


class Gatherer:
    """Takes objects and answers of one origin, finds their frames and classes by name, and fills the Builder in batches."""

    def __init__(self, builder: Builder, origin: str, file: str) -> None:
        self.builder, self.origin, self.file = builder, origin, file
        self.finder, self.videos = Finder(builder), NumberedFrames(builder)
        self._shots: dict[tuple[str, int], int] = {}
        self._frames: dict[tuple[str, bool], int] = {}
        self._ids: dict[int, str] = {}
        self._classes: dict[str, int] = {}
        self._objects: list[tuple[int, int, Shape, Facts]] = []
        self._answers: list[tuple[int, str, int, Facts]] = []
        self._problems: dict[int, Problem] = {}
        builder.add_origin(origin)

    def frame(self, name: str, *, stems: bool = False) -> int:
        """Row of the frame that a file calls `name`; with `stems` the name has no extension."""
        row = self._frames.get((name, stems))
        if row is None:
            row = self._frames[name, stems] = self._row(self.finder.frame(name, stem=stems))
        return row

    def video_frame(self, video: str, number: int, size: tuple[int | None, int | None]) -> int:
        """Row of frame `number` (from 0) of a video, which is a sequence called like the video."""
        row = self._shots.get((video, number))
        if row is None:
            listed = self.videos.listed(video, number)
            row = self._shots[video, number] = self._row(self.videos.frame(video, number))
            if listed is None:
                self.place(row, video, number)
            self.label(row, *size)
        return row

    def _row(self, frame: str) -> int:
        row = int(self.builder.add_frames([frame])[0])
        self._ids[row] = frame
        return row

    def class_of(self, name: str) -> int:
        """Row of the class called `name`."""
        row = self._classes.get(name)
        if row is None:
            row = self._classes[name] = int(self.builder.name_classes([name])[0])
        return row

    def label(self, row: int, width: int | None = None, height: int | None = None) -> None:
        """Say that the labels know a frame, and what size they claim; a prediction set labels nothing."""
        if self.origin == "labels":
            self.builder.label_frames(np.array([row], np.int64), [width], [height])

    def place(self, row: int, sequence: str, position: int) -> None:
        """Say which sequence a frame belongs to, and where in it."""
        self.builder.place_frames(np.array([row], np.int64), sequence=[sequence], position=[position])

    def add(self, frame: int, name: str, shape: Shape, facts: Facts, problem: Problem | None = None) -> None:
        """One object; with a problem it becomes an error row."""
        self.add_row(frame, self.class_of(name) if problem is None else -1, shape, facts, problem)

    def add_row(self, frame: int, class_id: int, shape: Shape, facts: Facts, problem: Problem | None = None) -> None:
        """One object whose class is known by its row."""
        if problem is not None:
            self._problems[len(self._objects)] = problem
        self._objects.append((frame, class_id, shape, facts))
        if len(self._objects) >= _ENOUGH:
            self._flush_objects()

    def answer(self, frame: int, question: str, answer: str, facts: Facts) -> None:
        """One answer; ``facts.source`` is the object it is about, None for the frame."""
        self._answers.append((frame, question, self.class_of(answer), facts))
        if len(self._answers) >= _ENOUGH:
            self._flush_answers()

    def refuse(self, detail: str, facts: Facts, *, reason: str = "bad_annotation", frame: int | None = None) -> None:
        """An error row for a record that did not even become an object."""
        name = None if frame is None else self._ids.get(frame)
        identity = None if facts.source is None else f"{self.origin}/{facts.source}"
        file = facts.file or self.file
        self.builder.add_error(file, detail, reason=reason, frame=name, object_id=identity, line=facts.record)

    def flush(self) -> None:
        """Hand over what is still kept."""
        self._flush_objects()
        self._flush_answers()

    def _flush_objects(self) -> None:
        if self._objects:
            columns = _columns(self._objects, self.origin, self.file)
            bare = np.array([shape.box is None for _, _, shape, _ in self._objects], bool)
            self.builder.add_objects(self.origin, self.file, with_shape_boxes(columns, bare), self._problems)
            self._objects, self._problems = [], {}

    def _flush_answers(self) -> None:
        if not self._answers:
            return
        facts = [fact for _, _, _, fact in self._answers]
        columns = AnswerColumns(
            np.array([frame for frame, _, _, _ in self._answers], np.int64),
            [question for _, question, _, _ in self._answers],
            np.array([class_id for _, _, class_id, _ in self._answers], np.int64),
            np.array([fact.record for fact in facts], np.int64),
            source=[fact.source for fact in facts],
            annotator=[fact.annotator for fact in facts],
            file=[fact.file or self.file for fact in facts],
            **_scores(facts),
        )
        self.builder.add_answers(self.origin, self.file, columns, {})
        self._answers = []


def _scores(facts: list[Facts]) -> dict[str, Any]:
    return {
        "score": np.array([_NAN if fact.score is None else fact.score for fact in facts], np.float64),
        "unscored": np.array([fact.score is None for fact in facts], bool),
    }


def _columns(rows: list[tuple[int, int, Shape, Facts]], origin: str, file: str) -> ObjectColumns:
    frames, classes, shapes, facts = (list(column) for column in zip(*rows, strict=True))
    record = np.array([fact.record for fact in facts], np.int64)
    sources = [f"record-{fact.record}" if fact.source is None else fact.source for fact in facts]
    return ObjectColumns(
        np.array(frames, np.int64),
        np.array(classes, np.int64),
        np.array([shape.box or (_NAN,) * 4 for shape in shapes], np.float64),
        record,
        source_id=sources,
        track=np.array([fact.track for fact in facts], np.int64),
        area=np.array([fact.area for fact in facts], np.float64),
        crowd=np.array([fact.crowd for fact in facts], bool),
        difficult=np.array([fact.difficult for fact in facts], bool),
        angle=np.array([shape.angle for shape in shapes], np.float64),
        outlines=_outlines(shapes),
        masks=_masks(shapes),
        kind=np.array([KINDS.index(shape.kind) if shape.kind else -1 for shape in shapes], np.int8),
        keypoints=_ragged([shape.keypoints for shape in shapes]),
        annotator=[fact.annotator for fact in facts],
        annotation_seconds=np.array([fact.seconds for fact in facts], np.float64),
        file=[fact.file or file for fact in facts],
        **(_scores(facts) if origin != "labels" else {}),
    )


def _lengths(lists: list[list[Any]]) -> Ints:
    return np.fromiter(map(len, lists), np.int64, len(lists))


def _outlines(shapes: list[Shape]) -> Outlines | None:
    rings = [ring for shape in shapes for ring in shape.rings]
    if not rings:
        return None
    values = np.array([number for ring in rings for number in ring], np.float64)
    return Outlines(offsets(_lengths([shape.rings for shape in shapes])), offsets(_lengths(rings)), values)


def _masks(shapes: list[Shape]) -> Masks | None:
    if all(shape.mask is None for shape in shapes):
        return None
    masks = [shape.mask or (0, 0, None) for shape in shapes]
    height, width = (np.array([mask[side] for mask in masks], np.int64) for side in (0, 1))
    return Masks(height, width, [mask[2] for mask in masks])


def _ragged(lists: list[list[float]]) -> Ragged | None:
    if not any(lists):
        return None
    return Ragged(offsets(_lengths(lists)), np.array([number for part in lists for number in part], np.float64))
