"""The table pass of a run: stored columns and objects in, one layer of columns out."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gpu_quality.annotations import objects_tensor
from gpu_quality.api import changes
from gpu_quality.api.layers import Pending
from gpu_quality.config import RunConfig
from gpu_quality.engine.columns import column_names
from gpu_quality.engine.tables import ObjectTable, TableResult, run_tables
from gpu_quality.errors import NULL_REASONS
from gpu_quality.plan import Plan
from gpu_quality.store.store import Store


def run_table_layer(store: Store, plan: Plan, layer: Pending, config: RunConfig, say: Callable[[str], None]) -> None:
    """Compute the columns of a table layer and commit them in its only shard."""
    made = {name for step in plan.table for name in (step.name, *step.node.gives)}
    needs = {need for step in plan.table for need in step.needs} - made
    stored = store.columns()
    of_objects = {name for name in needs if stored.get(name, {}).get("per") == "object"}
    inputs = {"frame", "uri", "sequence", "position", "seconds", "width", "height"}
    inputs |= {name for name in needs - of_objects if stored.get(name, {}).get("per") in ("frame", "region")}
    frames = store.table("frame", sorted(inputs))
    frames["scored"] = ~frames["frame"].isin(changes.failed_frames(store)["frame"])
    objects = None
    if any(step.by_origin for step in plan.table):
        columns = store.table("object", ["object", *sorted(of_objects | (needs & {"annotation_seconds"}))])
        origins = tuple(store.identity["origins"])
        objects = ObjectTable(objects_tensor(store.objects(), 0, shapes=True), columns, origins)
    resources = {"seed": config.seed, "classes": tuple(store.identity["classes"])}
    result = run_tables(plan, frames, resources, say, objects)
    names = _stored_names(plan, layer.columns, tuple(store.identity["origins"]) if objects is not None else ())
    store.commit(layer.name, "all", _shard(result, names, frames, objects))


def _stored_names(plan: Plan, columns: Collection[str], origins: tuple[str, ...]) -> set[str]:
    """Names under which the plan's columns are stored."""
    steps = {step.name: step for step in plan.table}
    return {
        stored
        for name in columns
        for _, stored in column_names(name, steps[name].node.per, origins, by_origin=steps[name].by_origin)
    }


def _shard(result: TableResult, names: set[str], frames: pd.DataFrame, objects: ObjectTable | None) -> dict[str, Any]:
    """The tables to commit; objects, nulls and errors only where there are any."""
    tables: dict[str, Any] = {"frames": {name: values for name, values in result.frame.items() if name in names}}
    of_object = {name: values for name, values in result.object.items() if name in names}
    if of_object:
        tables["objects"] = of_object
    parts = [*_nulls(result.frame_nulls, names, frames, None), *_nulls(result.object_nulls, names, frames, objects)]
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
