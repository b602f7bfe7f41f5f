"""Columns of label tables, Parquet, Arrow or CSV, as numbers and texts, a piece of the rows at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from gpu_quality.annotations.columns import Floats, Ints, Problem
from gpu_quality.data.arrow_images import batches_from, open_table
from gpu_quality.data.formats.csv_records import numbers, read_tables, separator_of
from gpu_quality.data.uris import TABLES
from gpu_quality.errors import FrameError, UsageError

_ROWS: Final = 100_000
Problems = dict[int, Problem | str]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of a table; `record` is the line of a CSV file, or the place of the row counted from 0."""

    columns: Mapping[str, Sequence[Any]]
    """Python values by lower-case name; in a CSV file they are texts, an empty one standing for none."""
    record: Ints
    refused: Sequence[tuple[int, str]] = ()
    """Lines that are no rows, and why."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.record)

    def texts(self, name: str) -> list[str | None]:
        """A column as texts, None where there is nothing."""
        return [_text(value) for value in self.columns[name]]

    def numbers(self, name: str, problems: Problems) -> Floats:
        """A column as numbers, yes and no as 1 and 0; NaN where there is nothing, and a problem for anything else."""
        values = self.columns[name]
        found = np.full(len(values), np.nan)
        given = [i for i, value in enumerate(values) if value is not None and value != ""]
        texts = [_as_number(values[i]) for i in given]
        own: Problems = {}
        found[given] = numbers(texts, name, own)
        for i, problem in own.items():
            problems.setdefault(given[i], problem)
        return found

    def fours(self, name: str, problems: Problems) -> Floats:
        """A column of four numbers each, as lists or as texts like ``[1, 2, 3, 4]``; NaN where there is nothing."""
        found = np.full((len(self), 4), np.nan)
        for i, value in enumerate(self.columns[name]):
            if value is None or value == "":
                continue
            parts = value.strip("[]() ").replace(";", ",").split(",") if isinstance(value, str) else value
            try:
                found[i] = [float(part) for part in parts]
            except (TypeError, ValueError):
                problems.setdefault(i, Problem("missing_geometry", f"{name} {str(value)[:80]!r} is no four numbers"))
        return found


def column_names(path: Path) -> dict[str, bool]:
    """Columns of a table in lower case, and whether each can hold texts or numbers; empty for what is no table."""
    if path.suffix.lower() in TABLES:
        try:
            schema = open_table(str(path.resolve())).schema
        except FrameError:
            return {}
        return {field.name.lower(): not _holds_bytes(field.type) for field in schema}
    try:
        with path.open("rb") as file:
            first = file.readline(10_000).decode("utf-8", "replace").removeprefix("\ufeff")
    except OSError:
        return {}
    return dict.fromkeys((name.strip().strip('"').lower() for name in first.split(separator_of(first))), True)


def pieces_of(path: Path, wanted: Sequence[str]) -> Iterator[Piece]:
    """The rows of a table, the wanted columns of them, in order.

    Raises `UsageError` where the file is damaged.
    """
    if path.suffix.lower() not in TABLES:
        for table in read_tables(path):
            yield Piece({name.lower(): values for name, values in table.columns.items()}, table.line, table.refused)
        return
    try:
        source = open_table(str(path.resolve()))
        columns = [name for name in source.schema.names if name.lower() in wanted]
        at = 0
        for batch in batches_from(source, columns, 0, _ROWS):
            values = {name.lower(): batch.column(i).to_pylist() for i, name in enumerate(columns)}
            yield Piece(values, np.arange(at, at + batch.num_rows))
            at += batch.num_rows
    except (FrameError, pa.ArrowException, OSError) as error:
        raise UsageError(f"{path}: {str(error)[:200]}", hint="is it a Parquet, Arrow or Feather file, and whole?") from None


def _holds_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_struct(kind))


def _text(value: Any) -> str | None:
    """A cell as text; a whole number is written without a fraction, which pandas adds where a column has gaps."""
    if value is None or value == "" or (isinstance(value, float) and np.isnan(value)):
        return None
    text = str(value)
    head = text.removesuffix(".0")
    return head if head.removeprefix("-").isdecimal() else text


def _as_number(value: Any) -> str:
    words = {"true": "1", "yes": "1", "false": "0", "no": "0"}
    text = str(value).strip()
    return words.get(text.lower(), text)
