"""Collects what a class-form metric writes: rows of its CSV, and a score for every frame, object or answer it names."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gpu_quality.authoring.iterator import Iterator, identifier
from gpu_quality.authoring.labels import PLACE
from gpu_quality.authoring.names import csv_cell
from gpu_quality.errors import MetricError

__all__ = ["CSVMetricWriter"]

FIELDS: Final = ("identifier", "score", "description", "object_class", "annotator", "frame", "url")
LEVELS: Final = ("frame", "object", "classification")
Label = Mapping[str, Any]
Scored = dict[int, tuple[float, str]]


class CSVMetricWriter:
    """Buffers scores until the metric is done; nothing is on disk before that."""

    def __init__(self, iterator: Iterator, title: str) -> None:
        self.iterator, self.title = iterator, title
        self.scores: dict[str, Scored] = {level: {} for level in LEVELS}
        """Score and description by level and row of its table; the last one written for a row counts."""
        self.faulty: dict[tuple[str, int], tuple[int, str]] = {}
        """Level and row of scores that are no finite number → row of the frame, and what was given."""
        self.values: list[float] = []
        self._text = io.StringIO()
        self._csv = csv.writer(self._text, lineterminator="\n")
        self._csv.writerow(FIELDS)

    def write(
        self,
        score: Any,
        labels: Label | Sequence[Label] | None = None,
        description: str = "",
        label_class: str | None = None,
        label_hash: str | None = None,
        du_hash: str | None = None,
        frame: int | None = None,
        url: str | None = None,
        annotator: str | None = None,
        key: str | None = None,
    ) -> None:
        """Give a score to the current frame, to one of its labels, or to each label of a list.

        `score` is a number of Python, NumPy or torch. `label_hash` and `frame` name another frame than the current one; the
        other arguments put text of one's own into the CSV. A score that is NaN or infinite becomes a null and an error row.
        Raises `MetricError` for a score that is no number and for a label that no iterator handed out.
        """
        number = self._number(score)
        named = [labels] if isinstance(labels, Mapping) else list(labels or ())
        row = self._row(label_hash, frame)
        places = [self._place(label, row) for label in named] or [("frame", row, row)]
        for level, owner, place in places:
            if math.isfinite(number):
                self.scores[level][place] = (number, str(description))
                self.faulty.pop((level, place), None)
            else:
                self.scores[level].pop(place, None)
                self.faulty[level, place] = owner, str(number)
        owner = places[0][1]
        walk = self.iterator.walk
        own = walk.label_hash(owner)
        at = int(walk.frame[owner])
        first: Label = named[0] if named else {}
        self._csv.writerow(
            [
                key or identifier(own, du_hash or own, at, named),
                _told(score, number),
                csv_cell(str(description)),
                csv_cell(str(first.get("name", "") if label_class is None else label_class)),
                csv_cell(str((first.get("lastEditedBy") or first.get("createdBy") or "") if annotator is None else annotator)),
                at,
                csv_cell(self.iterator.images.uris[owner] if url is None else url),
            ]
        )
        if math.isfinite(number):
            self.values.append(number)

    def get_identifier(self, labels: Label | Sequence[Label] | None = None) -> str:
        """The text that names the current frame, or a label of it, in the CSV."""
        return self.iterator.get_identifier(labels)

    def csv(self) -> bytes:
        """The CSV so far."""
        return self._text.getvalue().encode("utf-8", "replace")

    def stats(self) -> dict[str, float | int | None]:
        """Smallest, largest and mean score, and how many rows have one."""
        values = self.values
        return {
            "min_value": min(values, default=None),
            "max_value": max(values, default=None),
            "mean_value": math.fsum(values) / len(values) if values else None,
            "num_rows": len(values),
            "threshold": None,
        }

    def _number(self, score: Any) -> float:
        """A score as a float; scalars of NumPy and torch, and arrays of one element, have `item`."""
        value = score
        if hasattr(value, "item") and getattr(value, "size", 1) != 0:
            try:
                value = value.item()
            except (ValueError, RuntimeError, TypeError):
                value = score
        if not isinstance(value, int | float):
            shape = getattr(score, "shape", None)
            what = type(score).__name__ + (f" of shape {tuple(shape)}" if shape is not None else "")
            raise MetricError(
                f"metric {self.title!r} wrote a score that is {what} for {self._where()}",
                hint="a score is one number: writer.write(float(x)); write nothing where there is no value",
            )
        try:
            return float(value)
        except OverflowError:
            return math.inf

    def _where(self) -> str:
        row = self.iterator.row
        return "no frame yet" if row < 0 else f"frame {self.iterator.images.ids[row]!r}"

    def _row(self, label_hash: str | None, frame: int | None) -> int:
        """Row of the frame that is meant."""
        iterator = self.iterator
        if iterator.row < 0:
            raise MetricError(
                f"metric {self.title!r} wrote before it asked for a frame", hint="write inside iterator.iterate()"
            )
        if label_hash is None and frame is None:
            return iterator.row
        wanted = label_hash or iterator.label_hash, iterator.frame if frame is None else int(frame)
        row = iterator.walk.places.get(wanted)
        if row is None:
            raise MetricError(f"metric {self.title!r} wrote to frame {wanted[1]} of {wanted[0]!r}, which does not exist")
        return row

    def _place(self, label: Label, row: int) -> tuple[str, int, int]:
        """Level, row of the frame, and row in the level's table of a label."""
        if PLACE in label:
            level, owner, place = label[PLACE]
            return str(level), int(owner), int(place)
        wanted = label.get("objectHash") or label.get("classificationHash")
        known = self.iterator.walk.labels(row, self.iterator.images.size(row))
        for found in (*known["objects"], *known["classifications"]):
            if wanted is not None and wanted in (found.get("objectHash"), found.get("classificationHash")):
                return self._place(found, row)
        raise MetricError(
            f"metric {self.title!r} wrote a score for a label that {self.iterator.images.ids[row]!r} does not have: "
            f"objectHash {wanted!r}",
            hint="pass a label of data_unit['labels'], or its frame with frame=",
        )


def _told(score: Any, number: float) -> str:
    """A score as text: whole numbers whole, nothing where it is not finite."""
    if not math.isfinite(number):
        return ""
    return str(int(number)) if isinstance(score, int) and not isinstance(score, bool) else repr(number)
