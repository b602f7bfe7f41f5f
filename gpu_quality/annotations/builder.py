"""Filling the canonical tables: readers hand over whole columns, bad rows become error rows, nothing aborts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpu_quality.annotations.columns import AnswerColumns, ObjectColumns, Problem, Problems, with_areas
from gpu_quality.annotations.problems import degenerate, merged, place_problems, problems_of, score_problems
from gpu_quality.annotations.rows import answer_rows, arrow_rows, polygon_column, unique_ids
from gpu_quality.annotations.tables import CLASSIFICATIONS, ERRORS, FRAMES, OBJECTS, Dataset, empty, with_names
from gpu_quality.errors import UsageError
from gpu_quality.geometry.polygons import Outlines, reordered

Ints = NDArray[np.int64]

_MAX_ORIGINS = 127
"""`objects.origin` is an int8."""


class Builder:
    """Collects frames, classes and objects of any number of files and makes one `Dataset` of them.

    Frames and classes get rows in the order they are added; objects point to those rows. `build` sorts frames by id and moves
    every object along.
    """

    def __init__(self) -> None:
        self.root: Path | None = None
        """Folder that the frames' uris are relative to; None where no image is known."""
        self.images_listed = False
        """Whether image files were listed, so that a frame known to labels alone is a missing file."""
        self.image_rows: dict[object, int] = {}
        """Frame rows by the image ids of the labels file; results are matched through it."""
        self.class_rows: dict[object, int] = {}
        """Class rows by the category ids of the labels file."""
        self.frame_rows: dict[str, int] = {}
        """Frame rows by frame id."""
        self.notes: list[str] = []
        """Sentences for the person, each said once."""
        self.classes: list[str] = []
        self.class_sources: list[str] = []
        self.origins = ["labels"]
        self._frames: dict[str, list[Any]] = {name: [] for name in FRAMES.names}
        self._objects: list[pa.Table] = []
        self._answers: list[pa.Table] = []
        self._outlines: list[Outlines | int] = []
        self._errors: list[dict[str, object]] = []

    def add_frames(
        self,
        ids: Sequence[str],
        *,
        uris: Sequence[str] | None = None,
        size_bytes: Sequence[int] | None = None,
        mtime_ns: Sequence[int] | None = None,
        sequence: Sequence[str] | None = None,
        position: Sequence[int] | None = None,
        seconds: Sequence[float | None] | None = None,
        split: Sequence[str | None] | None = None,
    ) -> Ints:
        """Rows of these frames; an id that is already there keeps its row and what is known about it.

        Without `uris` the id is the uri. Sizes and times of -1 say that no file was seen.
        """
        n = len(ids)
        rows = np.empty(n, np.int64)
        new: list[int] = []
        for i, frame in enumerate(ids):
            rows[i] = row = self.frame_rows.setdefault(frame, len(self.frame_rows))
            if row == len(self._frames["frame"]) + len(new):
                new.append(i)
        given: dict[str, Sequence[Any] | None] = {
            "frame": ids,
            "uri": uris or ids,
            "size_bytes": size_bytes,
            "mtime_ns": mtime_ns,
            "sequence": sequence,
            "position": position,
            "seconds": seconds,
            "split": split,
        }
        blank = {"size_bytes": -1, "mtime_ns": -1, "sequence": "", "position": 0, "labelled": False}
        for name, column in self._frames.items():
            values = given.get(name)
            column.extend([blank.get(name)] * len(new) if values is None else [values[i] for i in new])
        return rows

    def place_frames(
        self,
        rows: Ints,
        *,
        sequence: Sequence[str] | None = None,
        position: Sequence[int] | None = None,
        seconds: Sequence[float | None] | None = None,
        split: Sequence[str | None] | None = None,
    ) -> None:
        """Say of known frames which sequence they belong to, at which place and time, and which split."""
        given = {"sequence": sequence, "position": position, "seconds": seconds, "split": split}
        for name, values in given.items():
            if values is not None:
                column = self._frames[name]
                for row, value in zip(rows.tolist(), values, strict=True):
                    column[row] = value

    def frame_sizes(self, rows: Ints) -> tuple[Ints, Ints]:
        """Width and height of the given frames in pixels as far as labels or files told them, -1 where unknown."""
        wanted = rows.tolist()
        width, height = (
            np.array([known[row] or -1 if row >= 0 else -1 for row in wanted], np.int64)
            for known in (self._frames["width"], self._frames["height"])
        )
        return width, height

    def label_frames(self, rows: Ints, width: Sequence[int | None], height: Sequence[int | None]) -> None:
        """Mark frames that the labels know, and keep the sizes the labels claim for them (None = no claim)."""
        labelled = self._frames["labelled"]
        for row in rows.tolist():
            labelled[row] = True
        self.size_frames(rows, width, height)

    def size_frames(self, rows: Ints, width: Sequence[int | None], height: Sequence[int | None]) -> None:
        """Keep the sizes of frames in pixels (None = unknown)."""
        widths, heights = self._frames["width"], self._frames["height"]
        for row, w, h in zip(rows.tolist(), width, height, strict=True):
            widths[row] = w if w is not None else widths[row]
            heights[row] = h if h is not None else heights[row]

    def uris(self, rows: Ints) -> list[str]:
        """Where the images of these frames lie, relative to the root."""
        column = self._frames["uri"]
        return [column[row] for row in rows.tolist()]

    def add_classes(self, names: Sequence[str], sources: Sequence[str]) -> Ints:
        """Rows of these classes; `sources` are their ids in the file as text, and say whether a class is already known."""
        known = {source: row for row, source in enumerate(self.class_sources)}
        rows = []
        for name, source in zip(names, sources, strict=True):
            if source not in known:
                known[source] = len(self.classes)
                self.classes.append(name)
                self.class_sources.append(source)
            rows.append(known[source])
        return np.array(rows, np.int64)

    def name_classes(self, names: Sequence[str]) -> Ints:
        """Rows of the classes with these names; a new one is its own id, as in formats that know names alone."""
        known = {name: row for row, name in reversed(list(enumerate(self.classes)))}
        for name in dict.fromkeys(names):
            if name not in known:
                known[name] = len(self.classes)
                self.classes.append(name)
                self.class_sources.append(name)
        return np.array([known[name] for name in names], np.int64)

    def add_origin(self, origin: str) -> int:
        """Number of an origin: 0 for "labels", then prediction sets as they come. Raises `UsageError` beyond 126 sets."""
        if origin not in self.origins:
            if len(self.origins) > _MAX_ORIGINS:
                raise UsageError(f"prediction set {origin!r} is one too many; {_MAX_ORIGINS} fit into one run")
            self.origins.append(origin)
        return self.origins.index(origin)

    def add_error(
        self,
        uri: str,
        detail: str,
        *,
        stage: str = "annotate",
        reason: str = "bad_annotation",
        frame: str | None = None,
        object_id: str | None = None,
        line: int | None = None,
    ) -> None:
        """One row of the error table; `uri` is the name of the file that is to blame."""
        row: dict[str, object] = {"uri": uri, "detail": detail, "stage": stage, "reason": reason}
        self._errors.append(row | {"frame": frame, "object": object_id, "line": line})

    def add_objects(self, origin: str, file: str, columns: ObjectColumns, problems: Problems | None = None) -> None:
        """Objects of one file, or of the files that ``columns.file`` names.

        Rows with a problem, named by the reader or found here, become error rows; boxes without area stay all the same.
        """
        number = self.add_origin(origin)
        unknown = np.full(len(columns), -1)
        width, height = (unknown, unknown) if columns.masks is None else self.frame_sizes(columns.frame)
        bad = merged(problems or {}, problems_of(columns, width, height))
        kept = {i: problem for i, problem in degenerate(columns).items() if i not in bad}
        if bad or kept:
            self._refuse(origin, file, columns, dict(sorted((bad | kept).items())))
        if bad:
            columns = columns.take(_others(len(columns), bad))
        if len(columns):
            self._objects.append(arrow_rows(number, origin, file, with_areas(columns)))
            self._outlines.append(columns.outlines or len(columns))

    def add_answers(self, origin: str, file: str, columns: AnswerColumns, problems: Problems | None = None) -> None:
        """Answers to questions about frames or objects; rows with a problem become error rows."""
        number = self.add_origin(origin)
        found = score_problems(columns.score, columns.unscored) | place_problems(columns.frame, columns.class_id)
        bad = merged(problems or {}, found)
        if bad:
            self._refuse(origin, file, columns, bad)
            columns = columns.take(_others(len(columns), bad))
        if len(columns):
            self._answers.append(answer_rows(number, origin, columns))

    def build(self) -> Dataset:
        """The finished tables: frames sorted by id, objects by frame, origin and input order."""
        frames = pa.table([pa.array(self._frames[f.name], f.type) for f in FRAMES], schema=FRAMES)
        order = pc.sort_indices(frames.column("frame")).to_numpy()
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        frames = frames.take(pa.array(order))
        names = tuple(self.classes), tuple(self.class_sources), tuple(self.origins)
        objects = with_names(self._sorted_objects(rank, frames), *names)
        answers = with_names(self._sorted_answers(rank, frames), *names)
        errors = pa.Table.from_pylist(self._errors, ERRORS)
        return Dataset(frames, objects, answers, errors, *names, tuple(self.notes))

    def _refuse(self, origin: str, file: str, columns: ObjectColumns | AnswerColumns, bad: Mapping[int, Problem]) -> None:
        ids = self._frames["frame"]
        sources = columns.source_id if isinstance(columns, ObjectColumns) else columns.source
        for i, (reason, detail) in bad.items():
            row = int(columns.frame[i])
            source = sources[i] if sources is not None else columns.record[i] if isinstance(columns, ObjectColumns) else None
            prefix = "dt_" if origin != "labels" and reason in ("orphan_image_id", "orphan_category_id") else ""
            self.add_error(
                file if columns.file is None else columns.file[i],
                detail,
                reason=prefix + reason,
                frame=ids[row] if row >= 0 else None,
                object_id=None if source is None else f"{origin}/{source}",
                line=int(columns.record[i]),
            )

    def _sorted_objects(self, rank: NDArray[np.int32], frames: pa.Table) -> pa.Table:
        if not self._objects:
            return empty(OBJECTS)
        table = pa.concat_tables(self._objects)
        self._objects.clear()
        columns = {name: table.column(name) for name in table.column_names}
        del table  # so that below each column is freed once its sorted copy exists
        columns["object"] = unique_ids(columns["object"])
        row = rank[columns.pop("row").to_numpy()]
        order = np.lexsort((columns["origin"].to_numpy(), row))
        done = {"row": pa.array(row[order])}
        done["frame"] = frames.column("frame").take(done["row"])
        done["polygon"] = polygon_column(reordered(self._outlines, order))
        while columns:
            name, column = columns.popitem()
            done[name] = column.take(pa.array(order))
        return pa.table([done[name] for name in OBJECTS.names], schema=OBJECTS)

    def _sorted_answers(self, rank: NDArray[np.int32], frames: pa.Table) -> pa.Table:
        if not self._answers:
            return empty(CLASSIFICATIONS)
        table = pa.concat_tables(self._answers)
        row = rank[table.column("row").to_numpy()]
        order = np.lexsort((table.column("origin").to_numpy(), row))
        table = table.take(pa.array(order))
        columns = {name: table.column(name) for name in table.column_names}
        columns["frame"] = frames.column("frame").take(pa.array(row[order]))
        return pa.table([columns[name] for name in CLASSIFICATIONS.names], schema=CLASSIFICATIONS)


def _others(count: int, bad: Mapping[int, Problem]) -> Ints:
    """The rows that have no problem."""
    good = np.ones(count, bool)
    good[list(bad)] = False
    return np.flatnonzero(good)
