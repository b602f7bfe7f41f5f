"""Collect the rows of a shard, batch after batch, and lay them out as the tables that are committed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gpu_quality.data.loader import Failure
from gpu_quality.engine.stream import CellError, Cells, Rows
from gpu_quality.errors import NULL_REASONS
from gpu_quality.plan import Plan
from gpu_quality.types import Objects

Columns = Mapping[str, "np.ndarray | list[object]"]


class ShardColumns:
    """Columns of one shard in the making: every frame and object has its row from the start, null until it is scored."""

    def __init__(
        self,
        plan: Plan,
        origins: Sequence[str],
        frames: pd.DataFrame,
        objects: Objects | None,
        shard: str,
        *,
        hashed: bool,
    ) -> None:
        self.shard, self.frames, self.objects = shard, frames, objects
        self.scored = self.failed = 0
        self._hashes: list[str | None] = [None] * len(frames)
        self._hashed = hashed
        self._frame, self._object = _layout(plan, origins, len(frames), 0 if objects is None else len(objects))
        self._vectors: dict[str, dict[str, Tensor]] = {"frame": {}, "object": {}}
        for step in plan.stream:
            if step.name in plan.keep and step.node.vector:
                rows = len(frames) if step.node.per == "frame" else 0 if objects is None else len(objects)
                self._vectors[step.node.per][step.name] = torch.empty((rows, 0), dtype=torch.float16)
        self._errors: list[dict[str, object]] = []
        self._nulls: list[tuple[bool, str, np.ndarray, np.ndarray]] = []
        self._cells: defaultdict[str, set[int]] = defaultdict(set)
        self._names = frames["frame"].astype(str).tolist()

    def fail(self, failure: Failure) -> None:
        """Record a frame that could not be scored."""
        error = failure.error
        self.failed += 1
        self._error(failure.row, None, error.stage, error.reason, error.detail, type(error.__cause__ or error).__name__)
        facts = {name: getattr(failure, name) for name in ("size_bytes", "digest", "width", "height", "format")}
        self._errors[-1].update({name: value for name, value in facts.items() if value not in (-1, "")})

    def add(self, rows: Sequence[int], members: Tensor, scored: Rows, digests: Sequence[str]) -> None:
        """Put one batch in place: `rows` are its frames, `members` its objects, as rows of the shard."""
        self.scored += len(rows)
        where = torch.tensor(rows, dtype=torch.int64)
        for row, digest in zip(rows, digests, strict=True):
            self._hashes[row] = digest or None
        for table, found, place in ((self._frame, scored.frame, where), (self._object, scored.object, members)):
            for name, cells in found.items():
                self._note_nulls(name, cells, place, of_object=table is self._object)
                if cells.value.ndim > 1:
                    self._add_vectors("object" if table is self._object else "frame", name, cells.value, place)
                    continue
                column = table[name]
                at = slice(None) if len(place) == len(column.null) else place  # a whole shard is in order
                column.value[at] = cells.value.to(column.value.dtype)
                column.null[at] = cells.null
        for error in scored.errors:
            self._cell_error(error, rows, members)

    def _add_vectors(self, per: str, name: str, vectors: Tensor, place: Tensor) -> None:
        """Put vectors in place; how long they are is known from the first."""
        whole = self._vectors[per][name]
        if whole.shape[1] < vectors.shape[1]:
            whole = self._vectors[per][name] = torch.full((len(whole), vectors.shape[1]), torch.nan, dtype=torch.float16)
        if vectors.shape[1]:
            whole[place] = vectors

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays to commit: vectors of frames, and of objects; NaN where there is none."""
        of_objects = {f"objects.{name}": vectors.numpy() for name, vectors in self._vectors["object"].items()}
        return {name: vectors.numpy() for name, vectors in self._vectors["frame"].items()} | of_objects

    def cell_errors(self) -> dict[str, int]:
        """How many frames lost a cell of each metric to an error."""
        return {metric: len(rows) for metric, rows in self._cells.items()}

    def tables(self) -> dict[str, Columns]:
        """The tables to commit; objects, errors and nulls only where there are any."""
        tables: dict[str, Columns] = {"frames": self._finished(self._frame)}
        if self._hashed:
            known = np.array([name or "" for name in self._hashes], dtype="<U64")
            tables["frames"] = {**tables["frames"], "file_hash": np.ma.masked_array(known, mask=known == "")}
        if self.objects is not None and self._object:
            tables["objects"] = self._finished(self._object)
        if self._errors:
            order = sorted(
                self._errors, key=lambda row: (str(row["frame"]), str(row["object"] or ""), str(row["metric"] or ""))
            )
            tables["errors"] = {name: [row[name] for row in order] for name in order[0]}
        if self._nulls:
            tables["nulls"] = self._reasons()
        return tables

    def _finished(self, table: Mapping[str, Cells]) -> dict[str, np.ndarray]:
        return {
            name: np.ma.masked_array(cells.value.numpy(), mask=(cells.null != 0).numpy())
            for name, cells in sorted(table.items())
        }

    def _note_nulls(self, name: str, cells: Cells, place: Tensor, *, of_object: bool) -> None:
        """Remember which cells are null because the metric's definition leaves them undefined, and why."""
        found = (cells.null > 0).nonzero().flatten()
        if len(found):
            self._nulls.append((of_object, name, place[found].numpy(), cells.null[found].numpy()))

    def _reasons(self) -> Columns:
        """The table of nulls: frame, object, metric and reason of each."""
        names, reasons = np.array(self._names, dtype=object), np.array(NULL_REASONS, dtype=object)
        ids = np.array(() if self.objects is None else self.objects.ids, dtype=object)
        frame, own, metric, reason = [], [], [], []
        for of_object, name, rows, code in self._nulls:
            frame.append(names[self.objects.frame.numpy()[rows] if of_object and self.objects is not None else rows])
            own.append(ids[rows] if of_object else np.full(len(rows), None))
            metric.append(np.full(len(rows), name, dtype=object))
            reason.append(reasons[code - 1])
        parts = {"frame": frame, "object": own, "metric": metric, "reason": reason}
        return {name: np.concatenate(values) for name, values in parts.items()}

    def _cell_error(self, error: CellError, rows: Sequence[int], members: Tensor) -> None:
        object_id = None if error.object is None or self.objects is None else self.objects.ids[int(members[error.object])]
        self._error(rows[error.frame], object_id, "score", error.reason, error.detail, error.exc_type)
        self._errors[-1]["metric"] = error.metric
        self._cells[error.metric].add(rows[error.frame])

    def _error(self, row: int, object_id: str | None, stage: str, reason: str, detail: str, exc_type: str) -> None:
        self._errors.append(
            {
                "frame": self._names[row],
                "object": object_id,
                "uri": str(self.frames["uri"].iloc[row]),
                "stage": stage,
                "reason": reason,
                "detail": detail[:500],
                "exc_type": exc_type or None,
                "metric": None,
                "line": None,
                "size_bytes": None,
                "digest": None,
                "width": None,
                "height": None,
                "format": None,
                "shard": self.shard,
            }
        )


def _layout(plan: Plan, origins: Sequence[str], frames: int, objects: int) -> tuple[dict[str, Cells], dict[str, Cells]]:
    """Empty columns for everything the plan keeps, so that every shard has the same columns of the same types."""
    by_frame: dict[str, Cells] = {}
    by_object: dict[str, Cells] = {}
    for step in plan.stream:
        if step.name not in plan.keep or step.node.vector:
            continue
        dtype = getattr(torch, step.node.dtype)
        for table, name in column_names(step.name, step.node.per, origins, by_origin=step.by_origin):
            target, rows = (by_frame, frames) if table == "frame" else (by_object, objects)
            target[name] = Cells(torch.zeros(rows, dtype=dtype), torch.full((rows,), -2, dtype=torch.int8))
    return by_frame, by_object


def column_names(name: str, per: str, origins: Sequence[str], *, by_origin: bool) -> list[tuple[str, str]]:
    """The (table, column) pairs a kept step fills: a region metric fills two, a frame metric on objects one per origin."""
    if per in ("object", "classification"):
        return [(per, name)]
    if per == "region":
        return [("frame", name), *([("object", f"object_{name}")] if origins else [])]
    if by_origin:
        return [("frame", name if i == 0 else f"{name}_{origin}") for i, origin in enumerate(origins)]
    return [("frame", name)]
