"""The table pass: steps that see whole columns at once, on stored results. No pixel is touched."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gpu_quality.engine.columns import column_names
from gpu_quality.engine.stream import CellError, Cells, Rows, Stream, Work
from gpu_quality.engine.worker import declared_sizes
from gpu_quality.plan import OBJECT_ROOTS, Plan
from gpu_quality.types import KINDS, Objects


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """All objects of a data set: as tensors, and their stored columns in the same order."""

    objects: Objects
    """`frame` counts rows of the frame table."""
    columns: pd.DataFrame
    origins: Sequence[str]


@dataclass(frozen=True, slots=True)
class TableResult:
    """Columns of the table pass in input order, why cells are null, and what failed."""

    frame: Mapping[str, np.ndarray] = field(default_factory=dict)
    object: Mapping[str, np.ndarray] = field(default_factory=dict)
    frame_nulls: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Per column and row 1 + index into NULL_REASONS where the metric is undefined, else 0."""
    object_nulls: Mapping[str, np.ndarray] = field(default_factory=dict)
    errors: Sequence[CellError] = ()


def run_tables(
    plan: Plan,
    frames: pd.DataFrame,
    resources: Mapping[str, object],
    say: Callable[[str], None],
    objects: ObjectTable | None = None,
) -> TableResult:
    """Run the table steps of a plan over the frame table (input columns and stored columns, in input order).

    Rows of frames in error hold null in every input, take no part and get null, and so do their objects.
    """
    rows = np.flatnonzero(frames["scored"].to_numpy(bool))
    part, members = _taking_part(objects, rows, len(frames))
    found = Rows()
    if len(rows):
        beside = "" if part is None else f", {len(part.objects):,} objects"
        say(f"{len(plan.table)} table steps over {len(rows):,} frames{beside}")
        found = _run(plan, frames.iloc[rows], resources, part)
    origins = () if objects is None else tuple(objects.origins)
    frame, frame_nulls = _spread(plan, "frame", found.frame, rows, rows, len(frames), origins)
    total = 0 if objects is None else len(objects.objects)
    of_object, object_nulls = _spread(plan, "object", found.object, members, rows, total, origins)
    return TableResult(frame, of_object, frame_nulls, object_nulls, _placed(found.errors, rows, members))


def _taking_part(table: ObjectTable | None, rows: np.ndarray, frames: int) -> tuple[ObjectTable | None, np.ndarray]:
    """Objects of the frames that take part, `frame` counting those, and which rows of the object table they are."""
    if table is None:
        return None, np.zeros(0, np.int64)
    place = torch.full((frames,), -1, dtype=torch.int64)
    place[torch.from_numpy(rows)] = torch.arange(len(rows))
    frame = place[table.objects.frame]
    kept = (frame >= 0).nonzero().flatten()
    inside = table.objects if len(kept) == len(frame) else table.objects.select(kept)
    objects = replace(inside, frame=frame[kept])
    return ObjectTable(objects, table.columns.iloc[kept.numpy()], table.origins), kept.numpy()


def _run(plan: Plan, frames: pd.DataFrame, resources: Mapping[str, object], table: ObjectTable | None) -> Rows:
    """The steps on frames that all take part."""
    sizes = declared_sizes(frames)
    roots: dict[str, Any] = {
        "sizes": sizes,
        "sequence": _sequences(frames["sequence"]),
        "position": torch.tensor(frames["position"].to_numpy(np.int64)),
    }
    if "seconds" in frames:
        roots["seconds"] = torch.tensor(frames["seconds"].to_numpy(np.float64, na_value=np.nan))
    of_objects: dict[str, Tensor] = {}
    needs = {need for step in plan.table for need in step.needs}
    objects = None if table is None else table.objects
    if table is not None:
        roots["objects"] = table.objects
        of_objects = {"track": table.objects.track, "outlined": _outlined(table.objects)}
        of_objects |= {name: _column(table.columns[name]) for name in needs & set(table.columns.columns)}
    made = {name for step in plan.table for name in (step.name, *step.node.gives)}
    inputs = needs - made - set(resources) - set(roots) - set(of_objects) - OBJECT_ROOTS
    roots |= of_objects | {name: _column(frames[name]) for name in inputs}
    keep = frozenset(step.name for step in plan.table if step.name in plan.columns)
    steps = Plan(plan.roots, plan.resources, plan.table, (), keep, {})
    unknown = sizes.width.isnan() | sizes.height.isnan()
    work = Work(
        roots, len(frames), objects, torch.empty(0, dtype=torch.int64), None, frozenset(of_objects),
        unknown if unknown.any() else None,
    )  # fmt: skip
    return Stream(steps, resources, () if table is None else tuple(table.origins))(work)


def _outlined(objects: Objects) -> Tensor:
    """Which objects are polygons or masks."""
    if objects.shapes is None:
        return torch.zeros(len(objects), dtype=torch.bool)
    return (objects.shapes.kind == KINDS.index("polygon")) | (objects.shapes.kind == KINDS.index("mask"))


def _spread(
    plan: Plan,
    per: str,
    found: Mapping[str, Cells],
    rows: np.ndarray,
    frames: np.ndarray,
    total: int,
    origins: Sequence[str],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Columns of one table with a row for every row of the input, and why cells are null."""
    columns: dict[str, np.ndarray] = {}
    nulls: dict[str, np.ndarray] = {}
    for step in plan.table:
        if step.name not in plan.columns:
            continue
        for table, name in column_names(step.name, step.node.per, origins, by_origin=step.by_origin):
            if table != per:
                continue
            value, missing = np.zeros(total, dtype=step.node.dtype), np.ones(total, dtype=bool)
            nulls[name] = np.zeros(total, np.int8)
            cells = found.get(name)
            if cells is not None:
                value[rows] = _as_rows(step.node.unit, cells.value, frames).astype(value.dtype)
                missing[rows] = (cells.null != 0).numpy()
                nulls[name][rows] = cells.null.clamp(min=0).numpy()
            columns[name] = np.ma.masked_array(value, mask=missing)
    return columns, nulls


def _placed(errors: Sequence[CellError], rows: np.ndarray, members: np.ndarray) -> list[CellError]:
    """Failed cells by the rows of the input tables."""
    return [
        replace(
            error,
            frame=int(rows[error.frame]),
            object=None if error.object is None else int(members[error.object]),
        )
        for error in errors
    ]


def _as_rows(unit: str, value: Tensor, rows: np.ndarray) -> np.ndarray:
    """Columns that point at frames (unit "row") count among scored frames; turn them into rows of the input table."""
    array = value.numpy()
    return rows[np.clip(array, 0, len(rows) - 1).astype(np.int64)] if unit == "row" else array


def _column(column: pd.Series) -> Tensor:
    """A stored column as a tensor of its own type; null is NaN in floats and 0 in integers and flags."""
    kind = "b" if column.dtype == object or str(column.dtype) == "boolean" else column.dtype.kind
    if kind == "f":
        return torch.tensor(column.to_numpy(np.float64, na_value=np.nan))
    return torch.tensor(column.fillna(0).to_numpy(np.bool_ if kind == "b" else np.int64))


def _sequences(names: pd.Series) -> Tensor:
    """Number of the sequence each frame belongs to, -1 for a lone image."""
    codes, known = pd.factorize(names.fillna(""))
    lone = np.array([str(name) == "" for name in known])
    return torch.from_numpy(np.where(lone[codes], -1, codes).astype(np.int64))
