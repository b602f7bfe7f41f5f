"""CSV files of any size, a piece at a time, as columns of text; one record a line."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from gpu_quality.annotations.columns import Floats, Ints, Problem
from gpu_quality.data.formats.number_lines import is_number, pieces
from gpu_quality.data.formats.text_lines import lines
from gpu_quality.errors import UsageError

_DECIMAL: Final = re.compile(r"^(\s*[-+]?\d*),(\d+(?:[eE][-+]?\d+)?\s*)$")
"""A number whose decimals follow a comma."""
ENOUGH: Final = 200_000
"""Records handed over at a time."""


@dataclass(frozen=True, slots=True)
class Table:
    """Records of one piece: columns of text, the line of each record, and lines that are no records with the reason."""

    columns: dict[str, list[str]]
    line: Ints
    refused: list[tuple[int, str]]

    def __len__(self) -> int:
        """Number of records."""
        return len(self.line)


def separator_of(first: str) -> str:
    """What stands between the names of columns: a comma, unless there is none but a semicolon or a tabulator."""
    return next((sign for sign in ",;\t" if sign in first), ",")


def read_tables(path: Path, names: Sequence[str] = ()) -> Iterator[Table]:
    """Pieces of a CSV file whose first line, unless `names` are given, names the columns.

    Columns are separated by commas, semicolons (then numbers may have decimal commas) or tabulators. Lines with another number
    of values are refused. Raises `UsageError` where the file cannot be read or is empty.
    """
    rest, sign = lines(path), ","
    if not names:
        first = next((text for _, text in rest if text.strip()), None)
        if first is None:
            raise UsageError(f"{path} is empty", hint="its first line should name the columns")
        sign = separator_of(first)
        names = [name.strip() for name in _values(first, sign)]
    for piece in pieces(rest, ENOUGH):
        yield _table(piece, list(names), sign)


def _table(piece: list[tuple[int, str]], names: list[str], sign: str) -> Table:
    records, places, refused = [], [], []
    for number, text in piece:
        if not text.strip():
            continue
        values = _values(text, sign)
        if len(values) == len(names):
            records.append(values)
            places.append(number)
        else:
            refused.append((number, f"the line has {len(values)} values, the first line names {len(names)} columns"))
    columns = [list(column) for column in zip(*records, strict=True)] if records else [[] for _ in names]
    return Table(dict(zip(names, columns, strict=True)), np.array(places, np.int64), refused)


def _values(text: str, sign: str) -> list[str]:
    """Values of one line; a quote that is never closed ends with the line."""
    quoted = '"' in text and len(text) < csv.field_size_limit()
    values = next(csv.reader([text], delimiter=sign)) if quoted else text.split(sign)
    return [_DECIMAL.sub(r"\1.\2", value) for value in values] if sign == ";" and "," in text else values


def numbers(texts: Sequence[str], name: str, problems: dict[int, Problem | str]) -> Floats:
    """A column as numbers; NaN and a problem where a text is none."""
    try:
        values = np.array(list(map(float, texts)), np.float64)
        if not any("_" in text for text in texts):
            return values
    except ValueError:
        pass
    for i, text in enumerate(texts):
        if not is_number(text) or "_" in text:
            problems.setdefault(i, f"{name} {text[:80]!r} is no number")
    return np.array([np.nan if not is_number(text) or "_" in text else float(text) for text in texts], np.float64)
