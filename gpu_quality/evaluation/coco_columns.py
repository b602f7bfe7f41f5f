"""Columns of parsed COCO records: many rows at once where all are as they should be, row by row where one is not."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite
from operator import itemgetter
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Record = Mapping[str, Any]

_NUMBERS: Final = frozenset({int, float})
_REFUSED: Final = (TypeError, ValueError, OverflowError)


class Problem(NamedTuple):
    """A row that is refused, or used in spite of something odd."""

    origin: str
    """`images`, `categories`, `labels` or `predictions`."""
    row: int
    """Its place in the file, from 0."""
    id: object
    """Its own id, None where it has none."""
    reason: str
    """One of ``errors.REASONS``."""
    detail: str
    refused: bool = True


class Ids(NamedTuple):
    """Ids in the order of their rows: numbers by size, then texts."""

    known: tuple[object, ...]
    row: dict[object, int]
    text: dict[str, int]
    """The same by their text, where no two share one: files disagree on whether 7 is a number."""

    def rows(self, values: Sequence[object] | Ints) -> Ints:
        """Row of each id, -1 where it is unknown."""
        whole = isinstance(values, np.ndarray) or set(map(type, values)) == {int}
        if whole and set(map(type, self.known)) == {int}:
            try:
                return _places(np.array(self.known, np.int64), np.asarray(values, np.int64))
            except OverflowError:
                pass  # beyond 64 bits: as any other id
        values = values.tolist() if isinstance(values, np.ndarray) else values
        return np.array([self.of(value) for value in values], np.int64)

    def by_text(self, values: Sequence[object] | Ints) -> bool:
        """Whether an id is known only by its text."""
        if isinstance(values, np.ndarray):
            return not set(map(type, self.known)) <= {int} and self.by_text(values.tolist())
        if set(map(type, values)) <= {int} and set(map(type, self.known)) == {int}:
            return False
        return any(self.of(value) >= 0 and value not in self.row for value in values)

    def of(self, value: object) -> int:
        """Row of one id, -1 where it is unknown."""
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            return self.row.get(value, self.text.get(str(value), -1))
        return -1


def ids_of(records: Sequence[object], origin: str, problems: list[Problem]) -> Ids:
    """The ids of images or categories; records without one, and the second of two with one id, are noted and left out."""
    found: dict[object, int] = {}
    for place, record in enumerate(records):
        value = record.get("id") if isinstance(record, Mapping) else None
        if (
            not isinstance(value, int | float | str)
            or isinstance(value, bool)
            or (isinstance(value, float) and not isfinite(value))
        ):
            problems.append(Problem(origin, place, None, "bad_annotation", f"id must be a number or text, found {value!r:.80}"))
        elif value in found:
            reason = "duplicate_image_id" if origin == "images" else "duplicate_category_id"
            problems.append(Problem(origin, place, value, reason, f"id {value!r:.80} is there twice; the first one counts"))
        else:
            found[value] = place
    known = tuple(sorted(found, key=lambda value: (isinstance(value, str), value)))
    row = {value: i for i, value in enumerate(known)}
    texts = [str(value) for value in known]
    return Ids(known, row, dict(zip(texts, range(len(texts)), strict=True)) if len(set(texts)) == len(texts) else {})


def _places(known: Ints, values: Ints) -> Ints:
    """Where values stand among sorted numbers, -1 where they do not."""
    first, count = int(known[0]), len(known)
    if int(known[-1]) - first == count - 1:  # no gaps: no search
        place = values - first
        return np.where((values >= first) & (place < count), place, -1)
    span = int(known[-1]) - first + 1
    if span <= 16 * (len(values) + count):
        table = np.full(span, -1, np.int64)
        table[known - first] = np.arange(count)
        inside = (values >= first) & (values <= known[-1])
        return np.where(inside, table[np.where(inside, values - first, 0)], -1)
    place = np.minimum(np.searchsorted(known, values), count - 1)
    return np.where(known[place] == values, place, -1)


def fields(records: Sequence[object], names: Iterable[str]) -> list[list[Any]]:
    """A list of values per field, None where a record does not have it, or is none."""
    found = []
    for name in names:
        try:
            found.append(list(map(itemgetter(name), records)))  # type: ignore[arg-type]
        except (KeyError, TypeError, IndexError):
            found.append([record.get(name) if isinstance(record, Mapping) else None for record in records])
    return found


def number(value: object) -> float:
    """The value as a number, NaN where it is none."""
    if type(value) not in _NUMBERS:
        return float("nan")
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return float("inf")


def numbers(values: Sequence[object] | Floats) -> Floats:
    """Numbers of one column; NaN where there is none, infinite beyond a double."""
    if isinstance(values, np.ndarray):
        return values
    if set(map(type, values)) <= _NUMBERS:
        try:
            return np.array(values, np.float64)
        except OverflowError:
            pass
    return np.fromiter(map(number, values), np.float64, len(values))


def boxes(values: Sequence[Any] | Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Boxes of four numbers, and which rows have none: NaN there, and where a number is none."""
    if isinstance(values, np.ndarray):
        return values, np.zeros(len(values), np.bool_)
    try:
        if set(map(len, values)) <= {4} and set(map(type, values)) <= {list, tuple}:
            flat = list(chain.from_iterable(values))
            if set(map(type, flat)) <= _NUMBERS:
                return np.array(flat, np.float64).reshape(-1, 4), np.zeros(len(values), np.bool_)
    except _REFUSED:
        pass
    whole = [isinstance(value, list | tuple) and len(value) == 4 for value in values]
    table = [[number(part) for part in value] if good else [np.nan] * 4 for value, good in zip(values, whole, strict=True)]
    return np.array(table, np.float64).reshape(-1, 4), ~np.array(whole, np.bool_)
