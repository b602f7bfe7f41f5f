"""Columns of all layers side by side, in input order; only committed shards are seen."""

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gpu_quality.errors import CorruptError, UnknownNameError, UsageError
from gpu_quality.store.layer import fixed_table, read_array, read_schema, read_table, spread, to_pandas
from gpu_quality.store.layers import Layer, done, layer_folder
from gpu_quality.store.layout import PER, ROW
from gpu_quality.store.shards import OF_OBJECTS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from gpu_quality.store.store import Store

_COVERS: Final = {"frames": ("frame", "region"), "objects": ("object", "region"), "classifications": ("classification",)}
"""Table → which metrics (by their `per`) have a column in it."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """An array stored in pieces, in input order: iterate over (rows, memory-mapped piece); missing shards leave gaps."""

    rows: tuple[range, ...]
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        """Number of pieces."""
        return len(self.rows)

    def __iter__(self) -> "Iterator[tuple[range, np.ndarray[Any, Any]]]":
        """Rows of the input and their vectors, mapped when they are reached. Raises `CorruptError`."""
        for rows, path in zip(self.rows, self.paths, strict=True):
            array = read_array(path)
            if len(array) != len(rows):
                raise CorruptError(f"{path} has {len(array)} rows, its shard {len(rows)}", hint="run `verify`, then `repair`")
            yield rows, array

    def whole(self) -> "np.ndarray[Any, Any]":
        """All pieces as one array, copied where there are several; NaN for a shard in which every frame failed.

        Raises `CorruptError` if pieces are missing between others.
        """
        pieces = list(self)
        if any(rows.start != before.stop for (before, _), (rows, _) in pairwise(pieces)):
            raise CorruptError("the array has gaps: shards are not committed", hint="finish the run, or iterate over blocks")
        if not pieces:
            return np.empty((0, 0), np.float16)
        length = max(array.shape[1:] for _, array in pieces)
        known = [a if a.shape[1:] == length else np.full((len(a), *length), np.nan, a.dtype) for _, a in pieces]
        return known[0] if len(known) == 1 else np.concatenate(known)


def unknown_name(name: str, known: Sequence[str], what: str) -> UnknownNameError:
    """The error for a name nobody has, with those that look like it."""
    close = difflib.get_close_matches(name, known, 5, 0.6)
    hint = f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(sorted(known)[:40])}"
    return UnknownNameError(f"there is no {what} {name[:200]!r}", hint=hint)


def table_files(store: "Store", layer: str, table: str) -> Iterator[str]:
    """Files of one table of a layer, committed shards only, in input order.

    Text and not paths: a query over ten thousand shards asks five times.
    """
    folder = str(layer_folder(store.path, layer))
    for shard in sorted(done(store.path, layer), key=_order):
        file = f"{folder}/{shard}/{table}.parquet"
        if os.path.isfile(file):  # noqa: PTH113
            yield file


def _order(shard: str) -> tuple[int, str]:
    return len(shard), shard


def layer_columns(store: "Store", layer: Layer, table: str, *, hidden: bool = False) -> list[str]:
    """Names of the columns a layer adds to a table; the declared ones as long as no shard is committed."""
    first = next(table_files(store, layer.name, table), None)
    if first is not None:
        names = [name for name in read_schema(Path(first)).names if name != ROW[table]]
    elif done(store.path, layer.name):
        names = []
    else:
        names = [name for name, facts in layer.columns.items() if facts.get("per") in _COVERS[table]]
    return [name for name in names if hidden or not layer.columns.get(name, {}).get("hidden")]


def _layer_table(store: "Store", layer: Layer, table: str, names: list[str]) -> "pa.Table":
    """Some columns of a layer, one row per row of the input, null where no shard is committed."""
    import pyarrow as pa

    parts, total = [], store.input.count(table)
    for path in map(Path, table_files(store, layer.name, table)):
        try:
            parts.append(read_table(path, [ROW[table], *names]))
        except CorruptError:
            if path.parent.exists():
                raise  # else the shard was dropped while we were reading: it is not committed
    if not parts:
        return pa.table({name: pa.nulls(total, pa.float64()) for name in names})
    return spread(parts, ROW[table], total)


def table(store: "Store", per: str, names: Sequence[str] | None) -> "pd.DataFrame":
    """Input columns and the columns of all layers; `names` picks and orders, and is the only way to hidden ones.

    Raises `UnknownNameError`.
    """
    import pyarrow as pa

    if per not in PER:
        raise UsageError(f"a table is per frame, object or classification, not per {per!r}")
    kind = PER[per]
    given = store.input.columns(kind)
    sources: dict[str, Layer | None] = dict.fromkeys(given)
    for layer in store.layers():
        sources.update(dict.fromkeys(layer_columns(store, layer, kind, hidden=names is not None), layer))
    wanted = list(sources) if names is None else list(names)
    for name in wanted:
        if name not in sources:
            raise unknown_name(name, list(sources), f"column per {per}")
    columns: dict[str, Any] = {}
    own = [name for name in wanted if sources[name] is None]
    columns.update(zip(own, store.input.table(kind, own).columns, strict=True))
    for layer in {found.name: found for name in wanted if (found := sources[name]) is not None}.values():
        mine = [name for name in wanted if (found := sources[name]) is not None and found.name == layer.name]
        part = _layer_table(store, layer, kind, mine)
        columns.update((name, part.column(name)) for name in mine)
    return to_pandas(pa.table({name: columns[name] for name in wanted}))


def fixed_rows(store: "Store", name: str) -> "pa.Table":
    """All committed rows of the errors or the nulls table, the input's own errors first."""
    import pyarrow as pa

    parts = [fixed_table(name, {})]
    if name == "errors":
        parts.append(store.input.table("errors"))
    for layer in store.layers():
        parts += [read_table(Path(path)) for path in table_files(store, layer.name, name)]
    return pa.concat_tables(parts)


def array(store: "Store", name: str, per: str) -> Blocks:
    """Pieces of an array, in input order. Raises `UnknownNameError`."""
    file = f"{OF_OBJECTS if per == 'object' else ''}{name}.npy"
    known = []
    for layer in store.layers():
        shards = sorted(done(store.path, layer.name), key=_order)
        folder = store.path / "layers" / layer.name
        pieces = [(store.input.span(shard, PER[per]), path) for shard in shards if (path := folder / shard / file).is_file()]
        if pieces:
            return Blocks(tuple(rows for rows, _ in pieces), tuple(path for _, path in pieces))
        if shards:
            known += [path.stem for path in (folder / shards[0]).glob("*.npy")]
    raise unknown_name(name, known, f"array per {per}")
