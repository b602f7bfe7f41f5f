"""Reading the frozen input: its tables, ranges of its objects, and the shards its frames are cut into."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gpu_quality.errors import CorruptError, UsageError
from gpu_quality.store.layer import SortedRows, empty_table, fixed_table, read_schema, read_table
from gpu_quality.store.layout import INPUT, WHOLE

if TYPE_CHECKING:
    import pyarrow as pa

_LEAST: Final = {
    "objects": {"object": "string", "frame": "string", "origin": "int8", "row": "int32"},
    "classifications": {"frame": "string", "origin": "int8"},
}
"""Columns of a table that a store was made without."""


class FrozenInput:
    """The input tables of one store; `run` is the content of its ``run.json``."""

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path = path / INPUT
        self.run = run

    def count(self, table: str) -> int:
        """Rows of a table; 0 if there is none."""
        return int(self.run["input"].get(f"{table}.parquet", {"rows": 0})["rows"])

    def table(self, table: str, columns: Sequence[str] | None = None) -> "pa.Table":
        """A table or some of its columns; empty if the store was made without it. Raises `CorruptError`."""
        if f"{table}.parquet" in self.run["input"]:
            found = read_table(self.path / f"{table}.parquet", columns)
            if found.num_columns and found.num_rows != self.count(table):
                raise CorruptError(
                    f"input {table} has {found.num_rows} rows, {self.count(table)} were frozen", hint="run `verify`"
                )
            return found
        empty = fixed_table("errors", {}) if table == "errors" else empty_table(_LEAST[table])
        return empty if columns is None else empty.select(list(columns))

    def columns(self, table: str) -> list[str]:
        """Names of a table's columns."""
        if f"{table}.parquet" in self.run["input"]:
            return list(read_schema(self.path / f"{table}.parquet").names)
        return list(self.table(table).column_names)

    @cached_property
    def _objects(self) -> SortedRows:
        return SortedRows(self.path / "objects.parquet")

    def objects(self, first_row: int, stop_row: int) -> "pa.Table":
        """Objects of the frames ``first_row <= row < stop_row``; reads only the row groups that hold them."""
        return self._objects.read(first_row, stop_row) if self.count("objects") else self.table("objects")

    def object_range(self, first_row: int, stop_row: int) -> range:
        """Rows of the objects table that belong to the frames ``first_row <= row < stop_row``."""
        return self._objects.range_of(first_row, stop_row) if self.count("objects") else range(0)

    @property
    def _shard_size(self) -> int:
        return int(self.run["identity"]["shard_size"])

    def shard_names(self) -> list[str]:
        """Names of all shards of the frames, in order."""
        return [f"{number:05d}" for number in range(-(-self.count("frames") // self._shard_size))]

    def rows_of(self, shard: str) -> range:
        """Frames of a shard. Raises `UsageError` if there is no such shard."""
        frames = self.count("frames")
        if shard == WHOLE:
            return range(frames)
        start = int(shard) * self._shard_size if shard.isdecimal() else -1
        if not 0 <= start < frames or shard != f"{int(shard):05d}":
            raise UsageError(f"the store has no shard {shard[:40]!r}")
        return range(start, min(start + self._shard_size, frames))

    def span(self, shard: str, table: str) -> range:
        """Rows of an input table (frames, objects, classifications) that a shard covers."""
        frames = self.rows_of(shard)
        if table == "frames":
            return frames
        if shard == WHOLE:
            return range(self.count(table))
        if table == "objects":
            return self.object_range(frames.start, frames.stop)
        raise UsageError(f"the {table} table can only be committed as a whole, in the shard {WHOLE!r}")
