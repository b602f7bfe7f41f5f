"""Labels in a table of images: classes of the frames, and objects as the detection sets of Hugging Face hold them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from gpu_quality.annotations import AnswerColumns, Builder, ObjectColumns, Problem
from gpu_quality.data.arrow_images import holds_text
from gpu_quality.data.samples import CLASS

LABELS: Final = ("label", "labels", "class", "class_name", "category", "target", "fine_label")
"""Columns that name the class of a whole frame where the file does not say which one does."""
OBJECTS: Final = ("objects", "annotations")
_METADATA: Final = b"huggingface"
_BOXES, _CLASSES = ("bbox", "bboxes", "boxes"), ("category", "category_id", "categories", "label", "labels", "class")


@dataclass(frozen=True, slots=True)
class Labels:
    """Which columns of a table are labels, and the names that stand for their numbers."""

    questions: Mapping[str, str]
    """Question by column."""
    objects: str | None
    names: Mapping[str, Sequence[str]]
    """Class names by column; columns without names hold their classes' names themselves."""
    others: Sequence[str]
    """Columns that nobody reads."""

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        return [*self.questions, *([self.objects] if self.objects else [])]


def labels_of(schema: pa.Schema, image: str) -> Labels:
    """The label columns of a table whose column `image` holds the images."""
    features = _features(schema)
    names = {column: found for column in schema.names if (found := _class_names(features.get(column)))}
    objects = next((c for c in schema.names if c in OBJECTS and c != image and _boxes_of(schema.field(c).type)), None)
    classes = [c for c in schema.names if c in names and pa.types.is_integer(schema.field(c).type)]
    if not classes:
        plain = [c for known in LABELS for c in schema.names if c.lower() == known and c != image]
        classes = [c for c in plain if pa.types.is_integer(schema.field(c).type) or holds_text(schema.field(c).type)][:1]
    questions = {c: CLASS if len(classes) == 1 else c for c in classes}
    used = {image, objects, *classes}
    return Labels(questions, objects, names, [c for c in schema.names if c not in used])


def _features(schema: pa.Schema) -> dict[str, Any]:
    """What the data set says about its columns; empty where it says nothing that can be understood."""
    try:
        found = json.loads((schema.metadata or {}).get(_METADATA, b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _class_names(feature: Any) -> list[str]:
    """Names of the first class label in the description of a column, at any depth."""
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
        return [str(name) for name in feature["names"]]
    inner = feature.values() if isinstance(feature, dict) else feature if isinstance(feature, list) else ()
    return next((found for value in inner if (found := _class_names(value))), [])


def _boxes_of(kind: pa.DataType) -> bool:
    """Whether a column is a struct of lists, or a list of structs, with boxes and classes."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if not pa.types.is_struct(kind):
        return False
    fields = {field.name for field in kind}
    return bool(fields & set(_BOXES)) and bool(fields & set(_CLASSES))


class LabelReader:
    """Fills the label tables of a Builder from tables of images."""

    def __init__(self, builder: Builder, file: str, labels: Labels) -> None:
        self.builder, self.file, self.labels = builder, file, labels
        for names in labels.names.values():
            builder.name_classes(names)

    def add(self, frames: np.ndarray[Any, np.dtype[np.int64]], batch: pa.RecordBatch | pa.Table, first: int) -> None:
        """Labels of some rows, the first of them row `first` of the file; `frames` are the Builder's rows of their frames."""
        labelled = np.zeros(len(frames), bool)
        for column, question in self.labels.questions.items():
            labelled |= self._answers(frames, batch.column(column), question, column, first)
        if self.labels.objects is not None:
            labelled |= self._objects(frames, batch.column(self.labels.objects), first)
        rows = frames[labelled]
        self.builder.label_frames(rows, [None] * len(rows), [None] * len(rows))

    def _answers(self, frames: Any, cells: Any, question: str, column: str, first: int) -> Any:
        values = cells.to_pylist()
        names = self.labels.names.get(column)
        given = [i for i, value in enumerate(values) if value is not None and not (names and value == -1)]
        class_id, problems = self._classes([values[i] for i in given], names)
        record = np.array(given, np.int64)
        columns = AnswerColumns(frames[record], [question] * len(given), class_id, record + first)
        self.builder.add_answers("labels", self.file, columns, problems)
        return np.isin(np.arange(len(values)), record)

    def _classes(self, values: Sequence[Any], names: Sequence[str] | None) -> tuple[Any, dict[int, Problem]]:
        """Class rows of cells, -1 with a problem for those that mean no class."""
        found = [_class_of(value, names) for value in values]
        problems = {place: problem for place, (_, problem) in enumerate(found) if problem}
        class_id = np.full(len(found), -1, np.int64)
        good = [place for place in range(len(found)) if place not in problems]
        class_id[good] = self.builder.name_classes([found[place][0] for place in good])
        return class_id, problems

    def _objects(self, frames: Any, cells: Any, first: int) -> Any:
        values = cells.to_pylist()
        owner: list[int] = []
        found: list[dict[str, Any]] = []
        for i, value in enumerate(values):
            for place, item in enumerate(_items(value)):
                owner.append(i)
                found.append({"source": f"{first + i}-{place}", **item})
        names = self.labels.names.get(str(self.labels.objects))
        boxes = np.array([_four(item.get("box")) for item in found], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        class_id, problems = self._classes([item["class"] for item in found], names)
        for place in np.flatnonzero(np.isnan(boxes).all(axis=1)).tolist():
            problems[place] = Problem("missing_geometry", f"{found[place]['box']!r:.80} is no box x, y, width, height")
        rows = np.array(owner, np.int64)
        columns = ObjectColumns(
            frames[rows],
            class_id,
            boxes,
            rows + first,
            source_id=[item["source"] for item in found],
            area=np.array([_number(item.get("area")) for item in found], np.float64),
            crowd=np.array([bool(item.get("iscrowd")) for item in found], bool),
        )
        self.builder.add_objects("labels", self.file, columns, problems)
        return np.array([value is not None for value in values], bool)


def _items(value: Any) -> Iterator[dict[str, Any]]:
    """Objects of one frame: a struct of lists turned into a list of structs, boxes and classes under one name each."""
    if isinstance(value, dict):
        lists = {key: column for key, column in value.items() if isinstance(column, list)}
        count = max(map(len, lists.values()), default=0)
        value = [{key: column[i] for key, column in lists.items() if i < len(column)} for i in range(count)]
    for item in value or ():
        known = item or {}
        box = next((known[key] for key in _BOXES if key in known), None)
        name = next((known[key] for key in _CLASSES if key in known), None)
        own = {"source": str(known["id"])} if isinstance(known.get("id"), int | str) else {}
        yield {"box": box, "class": name, "area": known.get("area"), "iscrowd": known.get("iscrowd"), **own}


def _class_of(value: Any, names: Sequence[str] | None) -> tuple[str, Problem | None]:
    """Name of a class that a cell means by its number or by its name."""
    if value is None:
        return "", Problem("orphan_category_id", "it has no class")
    if names and isinstance(value, int):
        if 0 <= value < len(names):
            return names[value], None
        return "", Problem("orphan_category_id", f"class {value} is not among the {len(names)} names")
    return str(value), None


def _four(box: Any) -> list[float]:
    numbers = [_number(value) for value in box] if isinstance(box, list) else []
    return numbers if len(numbers) == 4 else [np.nan] * 4


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else np.nan
