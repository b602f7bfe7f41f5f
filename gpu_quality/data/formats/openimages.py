"""Open Images: CSV files of boxes (relative to the image) and of image-level labels, with a CSV of class names beside them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from gpu_quality.annotations import Builder, ObjectColumns
from gpu_quality.annotations.columns import AnswerColumns, Floats, Ints, Problem
from gpu_quality.data.formats.csv_records import Table, numbers, read_tables
from gpu_quality.data.formats.label_files import glance
from gpu_quality.data.formats.measure import measure
from gpu_quality.data.formats.stems import Stems
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader
from gpu_quality.text import clean, counted

QUESTION: Final = "label"
"""What image-level labels answer."""
ABSENT: Final = "absent"
"""What verified negative ones answer: the class is known not to be in the image."""
_BOX: Final = ("XMin", "YMin", "XMax", "YMax")
_SCORES: Final = ("Score", "Confidence")
_NAMES: Final = ("*class-descriptions*.csv", "*class_descriptions*.csv")


def looks_like_openimages(path: Path) -> bool:
    """Whether the path is a CSV file whose first line names ImageID, LabelName, and boxes or confidences."""
    words = glance(path, 1) if path.suffix.lower() == ".csv" and path.is_file() else []
    names = {name.strip().strip('"') for name in " ".join(words[0]).split(",")} if words else set()
    return {"ImageID", "LabelName"} <= names and ({*_BOX} <= names or bool({*_SCORES} & names))


@reader("openimages", guess=looks_like_openimages)
def read(path: Path, builder: Builder, origin: str) -> None:
    """Open Images boxes (IsGroupOf is crowd) or image-level labels, whichever the columns say.

    An image-level label answers the question "label"; one of confidence 0, which says that the class was looked for and is not
    there, answers "absent". Raises `UsageError` where boxes have no image sizes to be relative to.
    """
    if not path.is_file():
        raise UsageError(f"{path} is no file", hint="give the CSV of boxes or of image-level labels")
    builder.add_origin(origin)
    work = _Reading(path, builder, origin)
    for table in read_tables(path):
        missing = [name for name in ("ImageID", "LabelName") if name not in table.columns]
        if missing:
            raise UsageError(f"{path}: its first line names no {' and no '.join(missing)}", hint="is this an Open Images CSV?")
        work.add(table)
    work.tell()


class _Reading:
    """One CSV file while it is read."""

    def __init__(self, path: Path, builder: Builder, origin: str) -> None:
        self.path, self.builder, self.origin = path, builder, origin
        self.stems = Stems(builder)
        self.names = _class_names(path.parent)
        self.classes: dict[str, int] = {}
        self.frames: dict[str, int] = {}
        self.sized = False

    def add(self, table: Table) -> None:
        """Rows of one piece of the file."""
        for line, text in table.refused:
            self.builder.add_error(self.path.name, text, line=line)
        if not len(table):
            return
        frame = self.frame_rows(table.columns["ImageID"])
        problems: dict[int, Problem | str] = {}
        class_id = self.class_rows(table.columns["LabelName"])
        if self.origin == "labels":
            self.builder.label_frames(frame, [None] * len(frame), [None] * len(frame))
        score = next((name for name in _SCORES if name in table.columns), None)
        scores = None if score is None else numbers(table.columns[score], score, problems)
        if all(name in table.columns for name in _BOX):
            self.add_boxes(table, frame, class_id, scores, problems)
        else:
            self.add_answers(table, frame, class_id, scores, problems)

    def frame_rows(self, images: list[str]) -> Ints:
        """Frames of images, named without extension."""
        fresh = [image for image in dict.fromkeys(images) if image not in self.frames]
        self.frames |= zip(fresh, self.stems.rows(fresh).tolist(), strict=True)
        return np.array([self.frames[image] for image in images], np.int64)

    def class_rows(self, labels: list[str]) -> Ints:
        """Classes of label names: those of the labels file, else by the name that the CSV of class names gives."""
        known = self.builder.class_rows
        for label in sorted(set(labels) - self.classes.keys()):
            if label not in known:
                name = self.names.get(label, label)
                by_name = self.origin != "labels" and name in self.builder.classes
                row = self.builder.name_classes([name]) if by_name else self.builder.add_classes([name], [label])
                known[label] = int(row[0])
            self.classes[label] = known[label]
        return np.array([self.classes[label] for label in labels], np.int64)

    def add_boxes(
        self, table: Table, frame: Ints, class_id: Ints, scores: Floats | None, problems: dict[int, Problem | str]
    ) -> None:
        """Boxes of one piece."""
        measure(self.builder, frame)
        width, height = (np.where(side > 0, side, np.nan) for side in self.builder.frame_sizes(frame))
        self.sized |= bool(np.isfinite(width).any())
        if not self.sized and self.builder.root is None:
            hint = "give the images too: gpu-quality run IMAGES --labels FILE"
            raise UsageError(f"{self.path}: boxes are relative to the sizes of images, and none is known", hint=hint)
        for i in np.flatnonzero(~np.isfinite(width + height)).tolist():
            problems.setdefault(i, "the size of its image is not known, and its box is relative to it")
        sides = np.column_stack([numbers(table.columns[name], name, problems) for name in _BOX])
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused later
            box = sides * np.column_stack([width, height, width, height])
        labels = self.origin == "labels"
        columns = ObjectColumns(
            frame,
            class_id,
            box,
            table.line,
            source_id=[str(line) for line in table.line],
            score=None if labels else scores,
            crowd=np.array([value == "1" for value in table.columns.get("IsGroupOf", [""] * len(frame))], bool),
        )
        self.builder.add_objects(self.origin, self.path.name, columns, problems)

    def add_answers(
        self, table: Table, frame: Ints, class_id: Ints, scores: Floats | None, problems: dict[int, Problem | str]
    ) -> None:
        """Image-level labels of one piece."""
        labels = self.origin == "labels"
        absent = np.zeros(len(frame), bool) if scores is None or not labels else scores == 0
        question = [ABSENT if no else QUESTION for no in absent]
        columns = AnswerColumns(frame, question, class_id, table.line, score=None if labels else scores)
        self.builder.add_answers(self.origin, self.path.name, columns, problems)

    def tell(self) -> None:
        """Say how many classes have no name."""
        nameless = [label for label in self.classes if label.startswith("/") and label not in self.names]
        if nameless:
            what = counted(len(nameless), "class", "classes")
            where = f"no class-descriptions CSV beside {clean(self.path.name)} has one"
            self.builder.notes.append(f"{self.origin}: {what} without a name, since {where}")


def _class_names(folder: Path) -> dict[str, str]:
    """Names of classes by their ids, from all CSV files of class names in a folder."""
    files = sorted({file for pattern in _NAMES for file in folder.glob(pattern)})
    return {label: name for file in files for label, name in _pairs(file)}


def _pairs(file: Path) -> Iterator[tuple[str, str]]:
    for table in read_tables(file, names=["LabelName", "DisplayName"]):
        columns = table.columns
        for label, name in zip(columns["LabelName"], columns["DisplayName"], strict=True):
            if label != "LabelName":
                yield label, name
