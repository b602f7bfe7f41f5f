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
from gpu_quality.types import KINDS, Answers, Objects

_OF_ANSWERS = ("origin", "question", "class_id", "score")


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """All objects of a data set: as tensors, and their stored columns in the same order."""

    objects: Objects
    """`frame` counts rows of the frame table."""
    columns: pd.DataFrame
    origins: Sequence[str]


@dataclass(frozen=True, slots=True)
class TableInput:
    """What table steps see: the frame table (input and stored columns, in input order, and whether a frame was scored), all
    objects, all answers (`frame` counts rows of the frame table), and stored vectors by name.
    """

    frames: pd.DataFrame
    objects: ObjectTable | None = None
    answers: Answers | None = None
    vectors: Mapping[str, Tensor] = field(default_factory=dict)
    """Of frames."""
    object_vectors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableResult:
    """Columns of the table pass in input order, why cells are null, and what failed."""

    frame: Mapping[str, np.ndarray] = field(default_factory=dict)
    object: Mapping[str, np.ndarray] = field(default_factory=dict)
    answer: Mapping[str, np.ndarray] = field(default_factory=dict)
    frame_nulls: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Per column and row 1 + index into NULL_REASONS where the metric is undefined, else 0."""
    object_nulls: Mapping[str, np.ndarray] = field(default_factory=dict)
    answer_nulls: Mapping[str, np.ndarray] = field(default_factory=dict)
    errors: Sequence[CellError] = ()


def run_tables(plan: Plan, given: TableInput, resources: Mapping[str, object], say: Callable[[str], None]) -> TableResult:
    """Run the table steps of a plan.

    Rows of frames in error hold null in every input, take no part and get null, and so do their objects and answers.
    """
    total = len(given.frames)
    rows = np.flatnonzero(given.frames["scored"].to_numpy(bool))
    part, members, replies = _taking_part(given, rows)
    found = Rows()
    if len(rows):
        beside = "" if part.objects is None else f", {len(part.objects.objects):,} objects"
        say(f"{len(plan.table)} table steps over {len(rows):,} frames{beside}")
        found = _run(plan, part, resources)
    origins = () if given.objects is None else tuple(given.objects.origins)
    frame, frame_nulls = _spread(plan, "frame", found.frame, rows, rows, total, origins)
    objects = 0 if given.objects is None else len(given.objects.objects)
    of_object, object_nulls = _spread(plan, "object", found.object, members, rows, objects, origins)
    answers = 0 if given.answers is None else len(given.answers)
    answer, answer_nulls = _spread(plan, "classification", found.answer, replies, rows, answers, origins)
    errors = _placed(found.errors, rows, members)
    return TableResult(frame, of_object, answer, frame_nulls, object_nulls, answer_nulls, errors)


def _taking_part(given: TableInput, rows: np.ndarray) -> tuple[TableInput, np.ndarray, np.ndarray]:
    """The input cut down to scored frames, and which objects and answers those have."""
    place = torch.full((len(given.frames),), -1, dtype=torch.int64)
    place[torch.from_numpy(rows)] = torch.arange(len(rows))
    whole = len(rows) == len(given.frames)
    vectors = {name: x if whole else x[torch.from_numpy(rows)] for name, x in given.vectors.items()}
    table, answers = given.objects, given.answers
    kept, replies = np.zeros(0, np.int64), np.zeros(0, np.int64)
    object_vectors: dict[str, Tensor] = {}
    if table is not None:
        frame = place[table.objects.frame]
        inside = (frame >= 0).nonzero().flatten()
        every = len(inside) == len(frame)
        objects = replace(table.objects if every else table.objects.select(inside), frame=frame[inside])
        kept = inside.numpy()
        table = ObjectTable(objects, table.columns.iloc[kept], table.origins)
        object_vectors = {name: x if every else x[inside] for name, x in given.object_vectors.items()}
    if answers is not None:
        frame = place[answers.frame]
        inside = (frame >= 0).nonzero().flatten()
        replies = inside.numpy()
        subject = torch.full((1 + (0 if given.objects is None else len(given.objects.objects)),), -1, dtype=torch.int64)
        subject[torch.from_numpy(kept)] = torch.arange(len(kept))
        answers = Answers(
            frame[inside], subject[answers.object[inside]], *(getattr(answers, name)[inside] for name in _OF_ANSWERS)
        )
    return TableInput(given.frames.iloc[rows], table, answers, vectors, object_vectors), kept, replies


def _run(plan: Plan, given: TableInput, resources: Mapping[str, object]) -> Rows:
    """The steps on frames that all take part."""
    frames, table = given.frames, given.objects
    sizes = declared_sizes(frames)
    roots: dict[str, Any] = {
        "sizes": sizes,
        "sequence": _codes(frames["sequence"]),
        "position": torch.tensor(frames["position"].to_numpy(np.int64)),
        "answers": given.answers,
        **given.vectors,
    }
    if "seconds" in frames:
        roots["seconds"] = torch.tensor(frames["seconds"].to_numpy(np.float64, na_value=np.nan))
    if "split" in frames:
        roots["split"] = _codes(frames["split"])
    of_objects: dict[str, Tensor] = {}
    needs = {need for step in plan.table for need in step.needs}
    objects = None if table is None else table.objects
    if table is not None:
        roots["objects"] = table.objects
        of_objects = {"track": table.objects.track, "outlined": _outlined(table.objects), **given.object_vectors}
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


def _codes(names: pd.Series) -> Tensor:
    """Number of the sequence or split each frame belongs to, -1 for none."""
    codes, known = pd.factorize(names.fillna(""))
    lone = np.array([str(name) == "" for name in known])
    return torch.from_numpy(np.where(lone[codes], -1, codes).astype(np.int64))
