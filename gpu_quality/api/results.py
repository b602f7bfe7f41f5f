"""Answers that a store keeps beside its layers, and whether they are still about what the store holds now."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gpu_quality.errors import CorruptError, LockedError, ResourceError
from gpu_quality.store import layer
from gpu_quality.store.layout import LAYERS, RESULTS, SHARD, WHOLE, digest
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.results import read_sums
from gpu_quality.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

_DIGITS: Final = 16
_VERBS: Final = {"selection": "select"}
"""Which verbs keep answers under another name than their own."""


def keep(
    store: Store,
    name: str,
    facts: Mapping[str, Any],
    tables: "Mapping[str, pd.DataFrame]" = {},  # noqa: B006 - never changed
) -> str:
    """Write ``results/<name>.json`` and ``results/<name>_<table>.parquet`` (``<name>.parquet`` for the table "").

    Queries know the tables by the names of their files. Returns "" or, where somebody else is writing or nobody may, a
    sentence that says why the answer is not kept.
    """
    files = {f"{name}.json": json.dumps(facts, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")}
    for key, table in tables.items():
        data = {str(column): stored(table[column]) for column in table}
        files[f"{name}_{key}.parquet" if key else f"{name}.parquet"] = layer.table_bytes(layer.as_table(data))
    try:
        with writer_lock(store.path):
            for file, part in files.items():
                store.save_result(file, part)
    except (LockedError, ResourceError) as error:
        return f"the answer is not kept in the store: {error}"
    return ""


def kept(store: Store, name: str) -> dict[str, Any] | None:
    """The facts of an answer; None where nobody asked yet. Raises `CorruptError` where they are not what was written."""
    data = _read(store, f"{name}.json", name)
    if data is None:
        return None
    try:
        found = json.loads(data.decode("utf-8", "surrogatepass"))
        if isinstance(found, dict):
            return found
    except (ValueError, RecursionError):
        pass
    raise _damaged(store, f"{name}.json", name)


def kept_table(store: Store, name: str, table: str = "") -> "pd.DataFrame | None":
    """A table of an answer; None where there is none. Raises `CorruptError` where it is not what was written."""
    file = f"{name}_{table}.parquet" if table else f"{name}.parquet"
    if _read(store, file, name) is None:
        return None
    return store.query(f'select * from "{file.removesuffix(".parquet")}"')  # noqa: S608 - a name of ours


def made_from(store: Store) -> dict[str, str]:
    """What the layers of a store hold now, by layer: put beside an answer, it tells later whether that is outdated."""
    found = {}
    for part in store.layers():
        if part.kind == "table":
            path = store.path / LAYERS / part.name / WHOLE / SHARD
            found[part.name] = hashlib.sha256(path.read_bytes()).hexdigest()[:_DIGITS] if path.is_file() else ""
        else:
            found[part.name] = str(len(store.done(part.name)))
    return found


def is_current(store: Store, facts: Mapping[str, Any]) -> bool:
    """Whether an answer is about what the store holds now."""
    return facts.get("made_from") == made_from(store)


def stored(column: "pd.Series[Any]") -> Any:
    """A column as it is written: what has no value is null."""
    import pandas as pd

    values = column.to_numpy()
    if values.dtype.kind == "f":
        return np.ma.masked_invalid(values)
    if values.dtype.kind in "iub":
        return values
    texts = column.to_numpy(dtype=object, copy=True)
    texts[pd.isna(texts)] = None
    return [value if value is None or isinstance(value, str) else str(value) for value in texts]


def _read(store: Store, file: str, name: str) -> bytes | None:
    """A result file; None where it was never written."""
    sums = read_sums(store.path).get(file)
    if sums is None:
        return None
    try:
        data = (store.path / RESULTS / file).read_bytes()
    except OSError:
        raise _damaged(store, file, name) from None
    if digest(data) not in sums:
        raise _damaged(store, file, name)
    return data


def _damaged(store: Store, file: str, name: str) -> CorruptError:
    verb = _VERBS.get(name, name.partition("_")[0])
    return CorruptError(f"{RESULTS}/{file} is not what was written", hint=f"gpu-quality {verb} {store.path} makes it anew")
