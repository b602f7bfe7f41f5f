"""The door to Arrow and Parquet: tables and arrays to bytes and back, checked both ways."""

import ast
import io
import struct
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from gpu_quality.errors import CorruptError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Columns: TypeAlias = "Mapping[str, np.ndarray[Any, Any] | Sequence[object]]"
"""A table as columns of equal length."""
ROW_GROUP: Final = 65_536
ERROR_COLUMNS: Final = {
    **dict.fromkeys(("frame", "object", "uri", "uri_display", "stage", "reason", "detail", "exc_type", "metric"), "string"),
    **dict.fromkeys(("line", "size_bytes"), "int64"),
    "digest": "string",
    **dict.fromkeys(("width", "height"), "int64"),
    "format": "string",
    "attempt": "int64",
    "shard": "string",
}
NULL_COLUMNS: Final = dict.fromkeys(("frame", "object", "metric", "reason"), "string")
FIXED: Final = {"errors": ERROR_COLUMNS, "nulls": NULL_COLUMNS}
"""Tables with the same columns in every shard of every store, whatever the writer leaves out."""


def as_table(columns: "pa.Table | Columns") -> "pa.Table":
    """An Arrow table; columns of torch tensors, arrays and lists become one."""
    import pyarrow as pa

    if isinstance(columns, pa.Table):
        return columns
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def empty_table(columns: Mapping[str, str]) -> "pa.Table":
    """A table without rows; `columns` maps names to the names of Arrow types."""
    import pyarrow as pa

    return pa.table({name: pa.array([], pa.type_for_alias(kind)) for name, kind in columns.items()})


def fixed_table(name: str, columns: "pa.Table | Columns") -> "pa.Table":
    """An `errors` or `nulls` table with exactly its fixed columns; those not given are null. Raises `UsageError`."""
    import pyarrow as pa

    table = as_table(columns)
    if unknown := sorted(set(table.column_names) - set(FIXED[name])):
        raise UsageError(f"{name} tables have no column {unknown[0]!r}", hint=f"they have {', '.join(FIXED[name])}")
    arrays = [
        table.column(key).cast(pa.type_for_alias(kind))
        if key in table.column_names
        else pa.nulls(table.num_rows, pa.type_for_alias(kind))
        for key, kind in FIXED[name].items()
    ]
    return pa.table(arrays, names=list(FIXED[name]))


def _worth_a_dictionary(column: "pa.ChunkedArray") -> bool:
    """Text that repeats itself; floats never do, and ids never repeat."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    return bool(pc.count_distinct(column).as_py() * 4 <= len(column))


def table_bytes(columns: "pa.Table | Columns") -> bytes:
    """A table as Parquet with page checksums; the same table gives the same bytes.

    Row groups of `ROW_GROUP` rows, so a shard has one; no dictionaries for numbers, no statistics for vectors.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = as_table(columns)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=ROW_GROUP,
        use_dictionary=[field.name for field in table.schema if _worth_a_dictionary(table.column(field.name))],
        write_statistics=[field.name for field in table.schema if not pa.types.is_nested(field.type)],
        compression="zstd",
        compression_level=1,
        write_page_checksum=True,
    )
    return bytes(sink.getvalue())


def _open(path: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, page_checksum_verification=True)


def _unreadable(path: Path, error: Exception) -> CorruptError:
    why = "it is missing" if isinstance(error, FileNotFoundError) else str(error).partition("\n")[0][:200]
    return CorruptError(f"cannot read {path}: {why}", hint="run `verify`, then `repair`")


def read_table(path: Path, columns: Sequence[str] | None = None) -> "pa.Table":
    """A Parquet file, or some of its columns, every page checked against its checksum. Raises `CorruptError`."""
    import pyarrow as pa

    try:
        with _open(path) as file:
            table = file.read(columns=None if columns is None else list(columns))
        table.validate()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise _unreadable(path, error) from error
    return table


def read_schema(path: Path) -> "pa.Schema":
    """Names and types of a Parquet file's columns, from its footer. Raises `CorruptError`."""
    import pyarrow as pa

    try:
        with _open(path) as file:
            return file.schema_arrow
    except (OSError, pa.ArrowException, ValueError) as error:
        raise _unreadable(path, error) from error


class SortedRows:
    """A Parquet file sorted by its int32 column `row`, read a range at a time; keeps the groups it read last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._row: np.ndarray[Any, Any] | None = None
        self._groups: tuple[range, Any] = (range(0), None)
        self._lock = threading.Lock()

    def range_of(self, first: int, stop: int) -> range:
        """Rows of this file that belong to the frames ``first <= row < stop``."""
        if self._row is None:
            self._row = read_table(self.path, ["row"]).column("row").to_numpy()
        low, high = np.searchsorted(self._row, [first, stop])
        return range(int(low), int(high))

    def read(self, first: int, stop: int) -> "pa.Table":
        """The rows of the frames ``first <= row < stop``. Raises `CorruptError`."""
        import pyarrow as pa

        rows = self.range_of(first, stop)
        groups = range(rows.start // ROW_GROUP, -(-rows.stop // ROW_GROUP)) if rows else range(0)
        with self._lock:
            if groups != self._groups[0] or self._groups[1] is None:
                try:
                    with _open(self.path) as file:
                        self._groups = (groups, file.read_row_groups(list(groups)))
                except (OSError, pa.ArrowException, ValueError) as error:
                    raise _unreadable(self.path, error) from error
            table = self._groups[1]
        return table.slice(rows.start - groups.start * ROW_GROUP if rows else 0, len(rows))


def spread(tables: "Iterable[pa.Table]", key: str, total: int) -> "pa.Table":
    """Parts of a column file put at their rows: row `i` of the result is the one whose `key` is `i`, or null."""
    import pyarrow as pa

    table = pa.concat_tables(tables, promote_options="permissive")
    rows = table.column(key).to_numpy()
    table = table.drop_columns([key])
    if len(rows) == total and np.array_equal(rows, np.arange(total)):
        return table
    at = np.full(total, -1, np.int64)
    at[rows] = np.arange(len(rows))
    return table.take(pa.array(at, mask=at < 0))


def to_pandas(table: "pa.Table") -> "pd.DataFrame":
    """A pandas table; whole numbers and flags with nulls keep their type (`Int64`, `boolean`) and so their value."""
    import pandas as pd
    import pyarrow as pa

    nullable = {}
    for field in table.schema:
        if table.column(field.name).null_count and (pa.types.is_integer(field.type) or pa.types.is_boolean(field.type)):
            name = str(field.type)
            capital = "UI" + name[2:] if name.startswith("u") else name.capitalize()
            nullable[field.name] = "boolean" if name == "bool" else capital
    frame = table.drop_columns(list(nullable)).to_pandas()
    for name, kind in nullable.items():
        frame[name] = pd.array(table.column(name).to_pylist(), dtype=kind)
    return frame[table.column_names]


def array_parts(array: "np.ndarray[Any, Any]") -> tuple[bytes, memoryview]:
    """An array as `.npy` in two parts, header and data, C order; the data is not copied. Raises `UsageError` for objects."""
    if array.dtype.hasobject:
        raise UsageError(f"an array of {array.dtype} holds Python objects and cannot be stored")
    array = np.ascontiguousarray(array)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(array))
    return head.getvalue(), array.reshape(-1).view(np.uint8).data


def read_array(path: Path) -> "np.ndarray[Any, Any]":
    """A `.npy` file mapped into memory, read-only; its header is checked against the file's size first.

    Raises `CorruptError`.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(10)
            if head[:8] != b"\x93NUMPY\x01\x00":
                raise ValueError("it is no .npy file of version 1.0")
            (length,) = struct.unpack("<H", head[8:])
            facts = ast.literal_eval(stream.read(length).decode("latin1"))
        dtype, shape, start = np.dtype(facts["descr"]), facts["shape"], 10 + length
        if dtype.hasobject or facts["fortran_order"] or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError("its header names a layout this package never writes")
        count = 1
        for n in shape:
            count *= n
        if path.stat().st_size != start + count * dtype.itemsize:
            raise ValueError("its size does not match its header")
        if not count:
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, "r", start, shape)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise _unreadable(path, error) from error
