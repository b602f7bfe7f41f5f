"""Filling the canonical tables: readers hand over whole columns, bad rows become error rows, nothing aborts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gpu_quality.annotations.columns import ObjectColumns, merged, problems_of, with_areas
from gpu_quality.annotations.rows import arrow_rows, polygon_column, unique_ids
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
        }
        blank = {"size_bytes": -1, "mtime_ns": -1, "sequence": "", "position": 0, "labelled": False}
        for name, column in self._frames.items():
            values = given.get(name)
            column.extend([blank.get(name)] * len(new) if values is None else [values[i] for i in new])
        return rows

    def label_frames(self, rows: Ints, width: Sequence[int | None], height: Sequence[int | None]) -> None:
        """Mark frames that the labels know, and keep the sizes the labels claim for them (None = no claim)."""
        labelled, widths, heights = (self._frames[name] for name in ("labelled", "width", "height"))
        for row, w, h in zip(rows.tolist(), width, height, strict=True):
            labelled[row] = True
            widths[row] = w if w is not None else widths[row]
            heights[row] = h if h is not None else heights[row]

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

    def add_objects(self, origin: str, file: str, columns: ObjectColumns, problems: Mapping[int, str] | None = None) -> None:
        """Objects of one file. Rows with a problem, named by the reader or found here, become error rows."""
        number = self.add_origin(origin)
        width, height = self._frame_sizes(columns)
        bad = merged(problems or {}, problems_of(columns, width, height))
        if bad:
            self._refuse(origin, file, columns, bad)
            good = np.ones(len(columns), bool)
            good[list(bad)] = False
            columns = columns.take(np.flatnonzero(good))
        if len(columns):
            self._objects.append(arrow_rows(number, origin, with_areas(columns)))
            self._outlines.append(columns.outlines or len(columns))

    def build(self) -> Dataset:
        """The finished tables: frames sorted by id, objects by frame, origin and input order."""
        frames = pa.table([pa.array(self._frames[f.name], f.type) for f in FRAMES], schema=FRAMES)
        order = pc.sort_indices(frames.column("frame")).to_numpy()
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        frames = frames.take(pa.array(order))
        names = tuple(self.classes), tuple(self.class_sources), tuple(self.origins)
        objects = with_names(self._sorted_objects(rank, frames), *names)
        errors = pa.Table.from_pylist(self._errors, ERRORS)
        answers = with_names(empty(CLASSIFICATIONS), *names)
        return Dataset(frames, objects, answers, errors, *names, tuple(self.notes))

    def _frame_sizes(self, columns: ObjectColumns) -> tuple[Ints, Ints]:
        """Width and height of each object's frame, -1 where unknown; looked up for masks alone, only they must fit."""
        if columns.masks is None:
            return np.full(len(columns), -1), np.full(len(columns), -1)
        rows = columns.frame.tolist()
        width, height = (
            np.array([known[r] or -1 if r >= 0 else -1 for r in rows], np.int64)
            for known in (self._frames["width"], self._frames["height"])
        )
        return width, height

    def _refuse(self, origin: str, file: str, columns: ObjectColumns, bad: Mapping[int, str]) -> None:
        ids = self._frames["frame"]
        for i, problem in bad.items():
            source = columns.source_id[i] if columns.source_id is not None else columns.record[i]
            row = int(columns.frame[i])
            frame = ids[row] if row >= 0 else None
            self.add_error(file, problem, frame=frame, object_id=f"{origin}/{source}", line=int(columns.record[i]))

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
