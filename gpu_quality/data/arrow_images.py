"""Tables with a column of images: Parquet files, Arrow files and streams, and which of their columns is meant."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gpu_quality.data.containers import Expected, check_unchanged, opened, place_of, version_of
from gpu_quality.data.files import read_bounded
from gpu_quality.data.forward import Forward
from gpu_quality.data.uris import name_of
from gpu_quality.errors import DecodeError, FrameError, UsageError

NAMES: Final = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo", "pixels", "image_bytes", "bytes", "content")
PATH_NAMES: Final = (*NAMES, "image_path", "path", "file_path", "filepath", "file", "file_name", "filename", "frame", "uri")
"""Names of image columns, in lower case, the likeliest first; texts are taken for paths only under one of these."""
_ROWS: Final = 16
"""Rows that are unpacked together."""
_BUFFER: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ImageTable:
    """A file with a table in it: what its columns are, and at which rows reading can begin."""

    path: str
    form: str
    """"parquet", "file" (Arrow's with an index) or "stream"."""
    schema: pa.Schema
    rows: int
    starts: NDArray[np.int64]
    """First row of every row group or record batch; the first is 0."""


def open_table(path: str) -> ImageTable:
    """What a Parquet, Arrow or Feather file holds, from its metadata; raises `FrameError` (decode_error) for any other file."""
    with opened(path) as (_, found):
        return _kept_table(path, version_of(found))


@lru_cache(maxsize=64)
def _kept_table(path: str, version: tuple[int, ...]) -> ImageTable:  # noqa: ARG001  another state is another table
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            start = file.read(6)
        if start.startswith(b"PAR1"):
            with pq.ParquetFile(path) as parquet:
                facts, schema = parquet.metadata, parquet.schema_arrow
            return _table(path, "parquet", schema, [facts.row_group(i).num_rows for i in range(facts.num_row_groups)])
        with pa.memory_map(path) as file:
            if start == b"ARROW1":
                reader = pa.ipc.open_file(file)
                counts = [reader.get_batch(i).num_rows for i in range(reader.num_record_batches)]
                return _table(path, "file", reader.schema, counts)
            stream = pa.ipc.open_stream(file)
            return _table(path, "stream", stream.schema, [batch.num_rows for batch in stream])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DecodeError("decode_error", f"neither Parquet nor Arrow: {str(error)[:200]}", stage="open") from None


def _table(path: str, form: str, schema: pa.Schema, counts: Sequence[int]) -> ImageTable:
    starts = np.concatenate([[0], np.cumsum(np.array(counts, np.int64))])
    return ImageTable(path, form, schema, int(starts[-1]), np.unique(starts[:-1]) if counts else np.zeros(1, np.int64))


def image_column(schema: pa.Schema, asked: str | None = None) -> str:
    """The column of images: the one asked for, else the only one that can be, else the one with the likeliest name.

    Raises `UsageError` that names the candidates where there is none or where several may be meant.
    """
    kinds = {"encoded": [], "bytes": [], "path": []}  # type: dict[str, list[str]]
    for field in schema:
        if kind := _kind(field.type):
            kinds[kind].append(field.name)
    if asked is not None:
        if asked in kinds["encoded"] + kinds["bytes"] + kinds["path"]:
            return asked
        held = ", ".join(kinds["encoded"] + kinds["bytes"]) or ", ".join(kinds["path"]) or "none"
        raise UsageError(f"there is no column {asked!r} of bytes or paths", hint=f"columns that can be images: {held}")
    for kind, names in kinds.items():
        likely = [n for known in (PATH_NAMES if kind == "path" else NAMES) for n in names if n.lower() == known]
        if len(names) == 1 and (likely or kind != "path"):
            return names[0]
        if likely:
            return likely[0]
        if names and kind != "path":
            raise UsageError(
                f"several columns may be the images: {', '.join(names)}", hint="name one of them with source.image_column"
            )
    raise UsageError(
        f"no column of images among {', '.join(schema.names) or 'no columns'}",
        hint="images are bytes, a struct of bytes and path, or paths; name the column with source.image_column",
    )


def _kind(kind: pa.DataType) -> str:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_struct(kind):
        inner = [field.type for field in kind if field.name == "bytes"]
        return "encoded" if inner and _kind(inner[0]) == "bytes" else ""
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return "bytes"
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return "path" if holds_text(kind) else ""


def holds_text(kind: pa.DataType) -> bool:
    """Whether a column holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def holds_paths(schema: pa.Schema, column: str) -> bool:
    """Whether a column of images holds paths of files instead of images."""
    return _kind(schema.field(column).type) == "path"


class ArrowSource:
    """Rows of one table file; an image that the table only names is read below `root`, relative to the table's folder."""

    def __init__(self, path: str, rows: Sequence[int], expected: Expected, column: str, root: str) -> None:
        self.path, self.rows, self.expected, self.column, self.root = path, rows, expected, column, root
        self._values: Forward[Any] | None = None
        self._turn = threading.Lock()

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def read(self, row: int, max_bytes: int) -> bytes:
        """Bytes of an image; raises `FrameError`, reason ``missing`` for a row without one."""
        try:
            value = self._open().take(self.rows[row]).as_py()
        except LookupError:
            raise FrameError("missing", f"the table has no row {self.rows[row]}", stage="read") from None
        except (pa.ArrowException, OSError) as error:
            raise DecodeError("decode_error", f"the table is damaged: {str(error)[:200]}", stage="read") from None
        return image_bytes(value, max_bytes, lambda name: self._file(name, max_bytes))

    def weight(self, row: int) -> int:  # noqa: ARG002  part of the protocol
        """Unknown before it is read."""
        return 0

    def _file(self, name: str, max_bytes: int) -> bytes:
        folder = os.path.relpath(os.path.dirname(self.path), self.root)  # noqa: PTH120
        inside = os.path.relpath(name, self.root) if os.path.isabs(name) else os.path.normpath(os.path.join(folder, name))  # noqa: PTH117, PTH118
        return read_bounded(place_of(self.root, inside), max_bytes=max_bytes, root=self.root)

    def _open(self) -> Forward[Any]:
        with self._turn:
            if self._values is None:
                with opened(self.path) as (_, found):
                    check_unchanged(found, self.expected)
                table = open_table(self.path)
                try:
                    column = image_column(table.schema, name_of(self.column) or None)
                except UsageError as error:
                    raise FrameError("missing", str(error), stage="open") from None
                self._values = Forward(lambda row: values_from(table, column, row), table.starts, self.rows, _weight)
            return self._values


def image_bytes(value: Any, max_bytes: int, file: Callable[[str], bytes]) -> bytes:
    """The bytes that a cell means: bytes, a struct of bytes and path, or a path, which is read by the function `file`.

    Raises `FrameError` for a cell without an image and for one of more than `max_bytes` bytes.
    """
    if isinstance(value, dict):
        value = value["bytes"] if value["bytes"] is not None else value.get("path")
    if value is None:
        raise FrameError("missing", "the row has no image", stage="read")
    if isinstance(value, str):
        return file(value)
    if not value:
        raise FrameError("empty", "the image of the row has no bytes", stage="read")
    if len(value) > max_bytes:
        raise FrameError("too_many_bytes", f"{len(value)} bytes, {max_bytes} are allowed", stage="read")
    return bytes(value)


def values_from(table: ImageTable, column: str, row: int) -> Iterator[tuple[int, Any]]:
    """Cells of a column, as Arrow scalars, with their rows, from the row group or record batch on that holds `row`."""
    part = int(np.searchsorted(table.starts, row, side="right")) - 1
    at = int(table.starts[part])
    for batch in batches_from(table, [column], at):
        cells = batch.column(0)
        for i in range(len(cells)):
            yield at + i, cells[i]
        at += len(cells)


def batches_from(table: ImageTable, columns: list[str], begin: int, rows: int = _ROWS) -> Iterator[pa.RecordBatch]:
    """Record batches of some columns from the row `begin` on, which is one of the table's starts; `rows` at a time in Parquet.

    Each column is checked through and through: offsets of a damaged file would lead out of its memory.
    """
    if table.form == "parquet":
        with pq.ParquetFile(table.path, buffer_size=_BUFFER) as file:
            counts = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            before = np.concatenate([[0], np.cumsum(counts)])
            groups = [i for i in range(len(counts)) if before[i] >= begin and counts[i]]
            for batch in file.iter_batches(rows, row_groups=groups, columns=columns, use_threads=False):
                batch.validate(full=True)
                yield batch
        return
    with pa.memory_map(table.path) as file:
        reader = pa.ipc.open_file(file) if table.form == "file" else pa.ipc.open_stream(file)
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches)) if table.form == "file" else reader
        at = 0
        for batch in batches:
            at += batch.num_rows
            if at > begin:
                chosen = batch.select(columns)
                chosen.validate(full=True)
                yield chosen


def _weight(cell: Any) -> int:
    value = cell["bytes"] if isinstance(cell, pa.StructScalar) and cell.is_valid else cell
    return int(value.as_buffer().size) if value.is_valid else 0
