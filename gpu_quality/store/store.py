"""The store: one folder that holds a question, its answers so far, and the proof that they are whole."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from gpu_quality.store import layers, question, reading, results, shards
from gpu_quality.store.commit import append_text
from gpu_quality.store.frozen import FrozenInput
from gpu_quality.store.layer import Columns, to_pandas
from gpu_quality.store.layers import Layer
from gpu_quality.store.layout import FORMAT_VERSION, LAYERS, LOGS, checked_name, plain
from gpu_quality.store.reading import Blocks

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from gpu_quality.store.verify import Finding, Verdict
    from gpu_quality.types import Shard

__all__ = ["FORMAT_VERSION", "Blocks", "Layer", "Store"]
Per = Literal["frame", "object", "classification"]


class Store:
    """A run on disk. Reading needs no lock and sees committed shards only; writers hold `lock.writer_lock`."""

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path = path
        self.run = run
        self.input = FrozenInput(path, run)
        self.types: dict[tuple[str, str], dict[str, str]] = {}

    @classmethod
    def create(cls, path: Path, identity: Mapping[str, object], tables: "Mapping[str, pa.Table | Columns]") -> Self:
        """Freeze a question: tables frames (needed), objects (sorted by int32 `row`), classifications, errors.

        `identity` holds at least `shard_size`, frames per shard. The same question again opens the store. Raises
        `NotAStoreError` for a folder of other things and `IncompatibleError` naming what differs from a stored question.
        """
        question.freeze(Path(path), identity, tables)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing store. Raises `NotAStoreError` naming what is missing, `IncompatibleError`, `CorruptError`."""
        return cls(Path(path), question.read_run(Path(path)))

    def __reduce__(self) -> tuple[object, ...]:
        """Travels as its path."""
        return (type(self).open, (self.path,))

    @property
    def identity(self) -> dict[str, Any]:
        """What was asked, as given to `create`."""
        return dict(self.run["identity"])

    def refuse_other(self, identity: Mapping[str, object]) -> None:
        """Raise `IncompatibleError` naming every key in which `identity` differs from the stored one."""
        question.refuse_other(self.path, self.identity, plain(identity))

    def frames(self, columns: Sequence[str] | None = None) -> "pa.Table":
        """The frames in input order."""
        return self.input.table("frames", columns)

    def objects(self, first_row: int = 0, stop_row: int | None = None) -> "pa.Table":
        """Objects of the frames ``first_row <= row < stop_row``; reads only the row groups that hold them."""
        return self.input.objects(first_row, self.input.count("frames") if stop_row is None else stop_row)

    def classifications(self) -> "pa.Table":
        """The classifications in input order."""
        return self.input.table("classifications")

    def input_errors(self) -> "pa.Table":
        """Errors found while files were listed and annotations read."""
        return self.input.table("errors")

    def shards(self) -> "list[Shard]":
        """Every shard of the frames, in order."""
        from gpu_quality.types import Shard

        return [Shard(name, self.input.rows_of(name)) for name in self.input.shard_names()]

    # Layers.

    def layers(self) -> list[Layer]:
        """Every layer begun, by name. Raises `CorruptError`."""
        return [layers.read_layer(self.path, name) for name in layers.layer_names(self.path)]

    def begin_layer(self, name: str, meta: Mapping[str, object]) -> None:
        """Describe a layer before its first shard: `columns` (name → facts), `kind` ("stream" or "table") and what else counts.

        The same again does nothing. Raises `CorruptError` if it is described otherwise, `IncompatibleError` for a taken column.
        """
        layers.begin_layer(self.path, name, meta)

    def done(self, layer: str) -> frozenset[str]:
        """Shards that are committed."""
        return layers.done(self.path, layer)

    def commit(
        self,
        layer: str,
        shard: str,
        tables: "Mapping[str, pa.Table | Columns]",
        arrays: "Mapping[str, np.ndarray[Any, Any]]" = {},  # noqa: B006 - never changed
        extra: Mapping[str, object] = {},
    ) -> dict[str, int]:
        """Write one shard whole; returns its frames listed, scored and in error, counted from its errors table.

        Tables: frames, objects, classifications (rows as in the input), errors, nulls. An array called ``objects.<name>`` has
        a row per object. `extra` goes to ``shard.json``. The same shard with the same content again does nothing. Raises
        `CorruptError` for a wrong number of rows, changed types or another result, `DiskFullError`, `ResourceError`.
        """
        return shards.commit_shard(self, layer, shard, tables, arrays, extra)

    def file(self, layer: str, shard: str, table: str) -> Path:
        """Where a table of a committed shard lies."""
        return self.path / LAYERS / layer / shard / f"{table}.parquet"

    def finish(self, layer: str, counts: Mapping[str, int] | None = None) -> dict[str, int]:
        """Declare a layer complete: all shards are there and listed = scored + errors. Raises `CorruptError` otherwise."""
        return layers.finish(self, layer, counts)

    def retire(self, layer: str) -> None:
        """Remove a layer."""
        for key in [key for key in self.types if key[0] == layer]:
            del self.types[key]  # one of the same name may have other columns
        layers.retire(self.path, layer)

    def drop_shards(self, layer: str, names: Iterable[str]) -> None:
        """Remove shards, so that a run computes them again."""
        layers.drop_shards(self.path, layer, names)

    # Reading.

    def table(self, per: Per = "frame", names: Sequence[str] | None = None) -> "pd.DataFrame":
        """Input columns joined with those of all layers, in input order; rows of uncommitted shards are null."""
        return reading.table(self, per, names)

    def column(self, name: str, per: Per = "frame") -> "pd.Series[Any]":
        """One column in input order. Raises `UnknownNameError`."""
        return reading.table(self, per, [name])[name]

    def columns(self) -> dict[str, dict[str, Any]]:
        """Column name → its facts (per, unit, bounds, bad, version, options, hidden ...) and its `layer`."""
        return {
            name: {**facts, "layer": layer.name, **({"encoder": layer.meta.get("encoder", {})} if facts.get("vector") else {})}
            for layer in self.layers()
            for name, facts in layer.columns.items()
        }

    def errors(self) -> "pd.DataFrame":
        """What has no value because something failed: frames, annotation rows, single cells."""
        return to_pandas(reading.fixed_rows(self, "errors"))

    def nulls(self) -> "pd.DataFrame":
        """What has no value by definition, with the reason."""
        return to_pandas(reading.fixed_rows(self, "nulls"))

    def array(self, name: str, per: Per = "frame") -> Blocks:
        """Vectors, memory-mapped, in input order."""
        return reading.array(self, name, per)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> "pd.DataFrame":
        """Answer of one SELECT over the views frames, objects, classifications, errors, nulls, results. Raises `UsageError`."""
        from gpu_quality.store.query import query

        return query(self, sql, parameters)

    def status(self) -> dict[str, Any]:
        """How far the run is: listed, scored, errors, complete, shards, shards_done, input_errors, layers."""
        return results.status(self)

    def save_result(self, name: str, data: bytes) -> None:
        """Write ``results/<name>`` whole, with a checksum that `verify` knows."""
        results.save_result(self.path, name, data)

    def log(self, name: str, text: str) -> None:
        """Add text to ``logs/<name>``; logs are outside every comparison of bytes."""
        append_text(self.path / LOGS / checked_name(name, "log"), text)

    def verify(self, *, read_data: bool = False) -> "Verdict":
        """Compare every file with its recorded SHA-256; `read_data` also decodes every table and maps every array."""
        from gpu_quality.store.verify import verify

        return verify(self, read_data=read_data)

    def repair(self, verdict: "Verdict | None" = None) -> "tuple[Finding, ...]":
        """Remove what `verify` found so that a run makes it again; returns what cannot be cured. Needs the writer's lock."""
        from gpu_quality.store.verify import repair, verify

        return repair(self, verdict or verify(self))
