"""The table pass of a run: stored columns and objects in, one layer of columns out."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from gpu_quality.annotations import answers_tensor, objects_tensor
from gpu_quality.api import changes
from gpu_quality.api.embedding import Semantics
from gpu_quality.api.embedding import resources as semantic_resources
from gpu_quality.api.layers import Pending
from gpu_quality.config import RunConfig
from gpu_quality.engine.columns import column_names
from gpu_quality.engine.tables import ObjectTable, TableInput, TableResult, run_tables
from gpu_quality.errors import NULL_REASONS
from gpu_quality.plan import Plan
from gpu_quality.store.store import Store


def run_table_layer(
    store: Store, plan: Plan, layer: Pending, config: RunConfig, found: Semantics, say: Callable[[str], None]
) -> None:
    """Compute the columns of a table layer and commit them in its only shard."""
    given = _inputs(store, plan)
    resources = {"seed": config.seed, "classes": tuple(store.identity["classes"])}
    resources |= semantic_resources(config, found, say)
    result = run_tables(plan, given, {k: v for k, v in resources.items() if k in plan.resources}, say)
    names = _stored_names(plan, layer.columns, () if given.objects is None else tuple(given.objects.origins))
    store.commit(layer.name, "all", _shard(result, names, given, store))


def _inputs(store: Store, plan: Plan) -> TableInput:
    """What the table steps of a plan need of a store."""
    made = {name for step in plan.table for name in (step.name, *step.node.gives)}
    needs = {need for step in plan.table for need in step.needs} - made
    stored = store.columns()
    vectors = {name for name in needs if stored.get(name, {}).get("vector")}
    of_objects = {name for name in needs - vectors if stored.get(name, {}).get("per") == "object"}
    inputs = {"frame", "uri", "sequence", "position", "seconds", "split", "width", "height"}
    inputs |= {name for name in needs - of_objects - vectors if stored.get(name, {}).get("per") in ("frame", "region")}
    frames = store.table("frame", sorted(inputs))
    frames["scored"] = ~frames["frame"].isin(changes.failed_frames(store)["frame"])
    objects = answers = None
    if any(step.by_origin for step in plan.table):
        columns = store.table("object", ["object", *sorted(of_objects | (needs & {"annotation_seconds"}))])
        objects = ObjectTable(objects_tensor(store.objects(), 0, shapes=True), columns, tuple(store.identity["origins"]))
    if "answers" in needs:
        ids = store.objects().column("object")
        answers = answers_tensor(store.classifications(), store.frames(["frame"]).column("frame"), ids)
    per = {name: "object" if stored[name]["per"] == "object" else "frame" for name in vectors}
    arrays = {name: torch.from_numpy(store.array(name, kind).whole().copy()) for name, kind in per.items()}  # type: ignore[arg-type]
    return TableInput(
        frames,
        objects,
        answers,
        {name: vectors for name, vectors in arrays.items() if per[name] == "frame"},
        {name: vectors for name, vectors in arrays.items() if per[name] == "object"},
    )


def _stored_names(plan: Plan, columns: Collection[str], origins: tuple[str, ...]) -> set[str]:
    """Names under which the plan's columns are stored."""
    steps = {step.name: step for step in plan.table}
    return {
        stored
        for name in columns
        for _, stored in column_names(name, steps[name].node.per, origins, by_origin=steps[name].by_origin)
    }


def _shard(result: TableResult, names: set[str], given: TableInput, store: Store) -> dict[str, Any]:
    """The tables to commit; objects, answers, nulls and errors only where there are any."""
    frames, objects = given.frames, given.objects
    tables: dict[str, Any] = {"frames": {name: values for name, values in result.frame.items() if name in names}}
    for table, found in (("objects", result.object), ("classifications", result.answer)):
        columns = {name: values for name, values in found.items() if name in names}
        if columns:
            tables[table] = columns
    parts = [*_nulls(result.frame_nulls, names, frames, None), *_nulls(result.object_nulls, names, frames, objects)]
    if given.answers is not None:
        parts += _answer_nulls(result.answer_nulls, names, store)
    if parts:
        fields = ("frame", "object", "metric", "reason")
        tables["nulls"] = {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(fields)}
    errors = [error for error in result.errors if error.metric in names]
    if errors:
        ids = None if objects is None else objects.objects.ids
        tables["errors"] = {
            "frame": [frames["frame"].iloc[e.frame] for e in errors],
            "object": [None if e.object is None or ids is None else ids[e.object] for e in errors],
            "uri": [frames["uri"].iloc[e.frame] for e in errors],
            "stage": ["score"] * len(errors),
            "reason": [e.reason for e in errors],
            "detail": [e.detail[:500] for e in errors],
            "exc_type": [e.exc_type or None for e in errors],
            "metric": [e.metric for e in errors],
            "shard": ["all"] * len(errors),
        }
    return tables


def _answer_nulls(nulls: Mapping[str, np.ndarray], names: set[str], store: Store) -> Iterator[tuple[np.ndarray, ...]]:
    """Frame, object, metric and reason of every undefined cell of the answers."""
    reasons, table = np.array(NULL_REASONS, dtype=object), store.classifications()
    frame, own = (np.array(table.column(name).to_pylist(), dtype=object) for name in ("frame", "object"))
    for name, codes in nulls.items():
        rows = np.flatnonzero(codes)
        if name in names and len(rows):
            yield frame[rows], own[rows], np.full(len(rows), name, dtype=object), reasons[codes[rows] - 1]


def _nulls(
    nulls: Mapping[str, np.ndarray], names: set[str], frames: pd.DataFrame, objects: ObjectTable | None
) -> Iterator[tuple[np.ndarray, ...]]:
    """Frame, object, metric and reason of every undefined cell, column by column."""
    reasons, ids = np.array(NULL_REASONS, dtype=object), frames["frame"].to_numpy(object)
    own = None if objects is None else np.array(objects.objects.ids, dtype=object)
    for name, codes in nulls.items():
        rows = np.flatnonzero(codes)
        if name in names and len(rows):
            owner = rows if objects is None else objects.objects.frame.numpy()[rows]
            objects_of = np.full(len(rows), None, dtype=object) if own is None else own[rows]
            yield ids[owner], objects_of, np.full(len(rows), name, dtype=object), reasons[codes[rows] - 1]
