"""The table pass: steps that see whole columns at once, on stored results. No pixel is touched."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gpu_quality.engine.stream import CellError, Rows, Stream, Work
from gpu_quality.errors import NULL_REASONS
from gpu_quality.plan import Plan
from gpu_quality.types import Sizes


@dataclass(frozen=True, slots=True)
class TableResult:
    """Columns of the table pass in input order, why cells are null, and what failed."""

    frame: Mapping[str, np.ndarray]
    nulls: Sequence[tuple[int, str, str]]
    """(row, column, reason)"""
    errors: Sequence[CellError]


def run_tables(plan: Plan, frames: pd.DataFrame, resources: Mapping[str, object], say: Callable[[str], None]) -> TableResult:
    """Run the table steps of a plan over the frame table (input columns and stored columns, in input order).

    Rows of frames in error hold null in every input, take no part and get null.
    """
    usable = frames["scored"].to_numpy(bool)
    rows = np.flatnonzero(usable)
    part = frames.iloc[rows]
    roots: dict[str, Any] = {
        "sizes": Sizes(_column(part["width"]).int(), _column(part["height"]).int()),
        "sequence": _sequences(part["sequence"]),
        "position": torch.tensor(part["position"].to_numpy(np.int64)),
    }
    steps = plan.table
    inputs = {need for step in steps for need in step.needs} - set(roots) - {step.name for step in steps} - set(resources)
    roots |= {name: _column(part[name]) for name in inputs}
    table = Plan(plan.roots, plan.resources, steps, (), frozenset(step.name for step in steps if step.name in plan.columns), {})
    found = Rows()
    if len(rows):
        say(f"{len(steps)} table steps over {len(rows):,} frames")
        found = Stream(table, resources, ())(Work(roots, len(rows), None, torch.empty(0, dtype=torch.int64)))
    columns: dict[str, np.ndarray] = {}
    nulls: list[tuple[int, str, str]] = []
    for step in steps:
        if step.name not in table.keep:
            continue
        cells = found.frame.get(step.name)
        value = np.zeros(len(frames), dtype=step.node.dtype)
        missing = np.ones(len(frames), dtype=bool)
        if cells is not None:
            value[rows] = _as_rows(step.node.unit, cells.value, rows).astype(value.dtype)
            missing[rows] = (cells.null != 0).numpy()
            undefined = (cells.null > 0).nonzero().flatten().tolist()
            nulls.extend((int(rows[i]), step.name, NULL_REASONS[int(cells.null[i]) - 1]) for i in undefined)
        columns[step.name] = np.ma.masked_array(value, mask=missing)
    errors = [CellError(e.metric, int(rows[e.frame]), None, e.reason, e.detail, e.exc_type) for e in found.errors]
    return TableResult(columns, nulls, errors)


def _as_rows(unit: str, value: Tensor, rows: np.ndarray) -> np.ndarray:
    """Columns that point at frames (unit "row") count among scored frames; turn them into rows of the input table."""
    array = value.numpy()
    return rows[np.clip(array, 0, len(rows) - 1)] if unit == "row" else array


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
