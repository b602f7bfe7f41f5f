"""From computed columns to the files of one committed shard."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpu_quality.errors import CorruptError, UsageError
from gpu_quality.store.commit import Content, commit_folder
from gpu_quality.store.layer import FIXED, Columns, array_parts, as_table, fixed_table, read_schema, table_bytes
from gpu_quality.store.layers import done, is_frame_error, layer_folder
from gpu_quality.store.layout import (
    LAYER,
    ROW,
    RUN,
    SHARD,
    SHARD_TABLES,
    checked_name,
    digest,
    is_shard,
    read_sealed,
    seal,
    size_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from gpu_quality.store.store import Store

OF_OBJECTS = "objects."
"""Prefix of arrays with one row per object instead of one per frame."""


def commit_shard(
    store: "Store",
    layer: str,
    shard: str,
    tables: "Mapping[str, pa.Table | Columns]",
    arrays: Mapping[str, "np.ndarray[Any, Any]"],
    extra: Mapping[str, object],
) -> dict[str, int]:
    """Write one shard of a layer by one rename, return its counts; nothing happens if the very same is committed already.

    Raises `CorruptError` if rows are missing or too many, columns change their type between shards, or another result is there.
    """
    if unknown := sorted(set(tables) - set(SHARD_TABLES)):
        raise UsageError(f"a shard has no table {unknown[0]!r}", hint=f"there are {', '.join(SHARD_TABLES)}")
    if not is_shard(shard):
        raise UsageError(f"{shard!r} is no shard's name")
    ready = {name: _ready(store, layer, shard, name, tables[name]) for name in SHARD_TABLES if name in tables}
    files: dict[str, Content] = {}
    rows: dict[str, int] = {}
    for name, table in ready.items():
        if name not in FIXED or table.num_rows:
            files[f"{name}.parquet"], rows[f"{name}.parquet"] = table_bytes(table), table.num_rows
    for name, array in sorted(arrays.items()):
        expected = len(store.input.span(shard, "objects" if name.startswith(OF_OBJECTS) else "frames"))
        _check_length(layer, shard, name, len(array), expected)
        file = f"{checked_name(name, 'array')}.npy"
        files[file], rows[file] = array_parts(array), expected
    counts = _counts(len(store.input.span(shard, "frames")), ready.get("errors"))
    manifest = seal(
        {
            "layer": layer,
            "shard": shard,
            "under": [read_sealed(store.path / RUN)["seal"], read_sealed(layer_folder(store.path, layer) / LAYER)["seal"]],
            "counts": counts,
            "files": {
                name: {"rows": rows[name], "size": size_of(data), "sha256": digest(data)} for name, data in files.items()
            },
            "extra": extra,
        },
        SHARD,
    )
    final = layer_folder(store.path, layer) / shard
    if not _is_there(final, manifest):
        commit_folder(final, {**files, SHARD: manifest})
    return counts


def _is_there(final: Path, manifest: bytes) -> bool:
    """A worker may have died between its rename and its receipt: the same result again is no error."""
    if not final.exists():
        return False
    if (final / SHARD).is_file() and (final / SHARD).read_bytes() == manifest:
        return True
    raise CorruptError(f"{final} is committed with another result", hint="drop the shard before it is computed again")


def _check_length(layer: str, shard: str, name: str, found: int, expected: int) -> None:
    if found != expected:
        raise CorruptError(f"{name} of shard {shard} of layer {layer} has {found} rows, its input {expected}")


def _ready(store: "Store", layer: str, shard: str, name: str, columns: "pa.Table | Columns") -> "pa.Table":
    """A table as it is stored: the fixed columns, or the row numbers in front and types that hold for the layer."""
    import pyarrow as pa

    if name in FIXED:
        return fixed_table(name, columns)
    table, key = as_table(columns), ROW[name]
    if key in table.column_names:
        raise UsageError(f"{key!r} is added by the store and cannot be the name of a column")
    span = store.input.span(shard, name)
    if table.num_columns:
        _check_length(layer, shard, name, table.num_rows, len(span))
    table = pa.table(
        [pa.array(np.arange(span.start, span.stop, dtype=np.int32)), *table.columns],
        schema=pa.schema([pa.field(key, pa.int32()), *table.schema]),
    )
    _check_types(store, layer, name, table.schema)
    return table


def _check_types(store: "Store", layer: str, name: str, schema: "pa.Schema") -> None:
    """Every shard of a layer has the same columns of the same types: readers take them from the first one they find."""
    found = {field.name: str(field.type) for field in schema}
    for column, kind in found.items():
        if kind == "null":
            raise UsageError(f"column {column!r} has no type: all its values are None", hint="give a typed array")
    if (layer, name) not in store.types:
        first = next((path for shard in done(store.path, layer) if (path := store.file(layer, shard, name)).exists()), None)
        store.types[layer, name] = found if first is None else {field.name: str(field.type) for field in read_schema(first)}
    if (known := store.types[layer, name]) != found:
        other = sorted({*known.items()} ^ {*found.items()})[0][0]
        here, there = found.get(other, "absent"), known.get(other, "absent")
        raise CorruptError(f"column {other!r} of layer {layer} is {here} here and {there} in other shards")


def _counts(listed: int, errors: "pa.Table | None") -> dict[str, int]:
    """Frames of the shard: listed = scored + errors."""
    failed: set[str] = set()
    if errors is not None:
        rows = errors.select(["frame", "object", "metric", "stage"]).to_pylist()
        failed = {row["frame"] for row in rows if is_frame_error(row)}
    return {"listed": listed, "scored": listed - len(failed), "errors": len(failed)}
