"""Measures as small codes: cut at quantiles, where the round numbers are; the parts a search may choose, and their meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

QUANTILES: Final = tuple(sorted({0.01, 0.02, 0.04, *(i / 16 for i in range(1, 16)), 0.96, 0.98, 0.99}))
"""Where numbers are cut: sixteen equal parts, and finer at both ends, where what is rare is found."""
MOST_VALUES: Final = 60
"""Values of a category that are looked at, the most frequent ones."""
_LONGEST: Final = 12
_PLAY: Final = 0.25
"""An edge may move by this share of the smaller neighboring bin to become a rounder number."""

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Term:
    """One condition on one measure: its text in SQL, and what it says."""

    name: str
    condition: str
    words: str


@dataclass(frozen=True, slots=True)
class Part:
    """A range of codes, both ends included, that is a condition."""

    first: int
    last: int
    term: Term
    simple: bool
    """Open at one end, or a single value: pairs are made of these."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A measure of every row as codes 0 .. bins - 1; the last code is that of rows without a value."""

    name: str
    code: Codes
    bins: int
    parts: tuple[Part, ...]


def numeric(name: str, values: Floats, *, column: str = "", unit: str = "") -> Feature | None:
    """A number cut at its quantiles; None for a constant. `column` is what SQL calls it, NaN is no value."""
    known = np.sort(values[np.isfinite(values)])
    edges = _edges(known)
    missing = bool(np.isnan(values).any())
    if not len(edges) and not (missing and len(known)):
        return None
    limits = np.array([float(text) for text in edges])
    code = np.searchsorted(limits, values, side="right")  # NaN sorts behind everything
    code[np.isnan(values)] = len(edges) + 1
    column, told = column or name, f" {unit}" if unit else ""
    parts = [
        Part(first, last, _between(name, column, edges, first, last, told), first == 0 or last == len(edges))
        for first in range(len(edges) + 1)
        for last in range(first, len(edges) + 1)
        if last - first < len(edges)
    ]
    if missing:
        empty = Term(name, f"{column} is null", f"{name} without a value")
        parts.append(Part(len(edges) + 1, len(edges) + 1, empty, simple=True))
    return Feature(name, code.astype(np.uint8), len(edges) + 2, tuple(parts))


def category(name: str, codes: NDArray[np.int64], terms: Sequence[Term]) -> Feature | None:
    """Values without an order, as places in `terms`, -1 for none; None where there are not two. The rarest are left out."""
    count = np.bincount(codes[codes >= 0], minlength=len(terms))
    chosen = np.argsort(-count, kind="stable")[:MOST_VALUES]
    chosen = np.sort(chosen[count[chosen] > 0])
    if len(chosen) + int((codes < 0).any()) < 2:
        return None
    new = np.full(len(terms) + 1, len(chosen))
    new[chosen] = np.arange(len(chosen))
    parts = tuple(Part(place, place, terms[row], simple=True) for place, row in enumerate(chosen.tolist()))
    return Feature(name, new[codes].astype(np.uint8), len(chosen) + 1, parts)


def _between(name: str, column: str, edges: Sequence[str], first: int, last: int, unit: str) -> Term:
    """The condition of a range of bins. Bin i begins at edge i - 1."""
    low, high = edges[first - 1] if first else "", edges[last] if last < len(edges) else ""
    if not low:
        return Term(name, f"{column} < {high}", f"{name} below {_readable(high)}{unit}")
    if not high:
        return Term(name, f"{column} >= {low}", f"{name} at least {_readable(low)}{unit}")
    words = f"{name} from {_readable(low)} to below {_readable(high)}{unit}"
    return Term(name, f"{column} >= {low} and {column} < {high}", words)


def _readable(text: str) -> str:
    """Digits in groups of three where the number is whole; six digits of a number that only computers want whole."""
    if text.lstrip("-").isdigit():
        return f"{int(text):,}"
    return text if len(text) <= _LONGEST else f"{float(text):.6g}"


def _edges(ordered: Floats) -> list[str]:
    """Numbers as text between which the values lie in about the parts wanted: the shortest ones near the quantiles.

    The text is the number: ``float(text)`` is compared here and by SQL alike, and words can repeat it without rounding.
    """
    n, found = len(ordered), dict[float, str]()
    if not n or ordered[0] == ordered[-1]:
        return []
    ends = (0.0, *QUANTILES, 1.0)
    for before, own, after in zip(ends, ends[1:], ends[2:], strict=False):
        play = _PLAY * min(own - before, after - own)
        first, last = int((own - play) * (n - 1)), int(np.ceil((own + play) * (n - 1)))
        text = _shortest(_above_previous(ordered, first), float(ordered[last]))
        if ordered[0] < float(text) <= ordered[-1]:
            found[float(text)] = text
    if not found:  # nearly all values are equal: what differs is at one end
        first = int(np.searchsorted(ordered, ordered[0], side="right"))
        text = _shortest(_above_previous(ordered, first), float(ordered[first]))
        found[float(text)] = text
    return [found[edge] for edge in sorted(found)]


def _above_previous(ordered: Floats, place: int) -> float:
    """The smallest number that cuts where the value at a place does."""
    first = int(np.searchsorted(ordered, ordered[place]))
    return float(np.nextafter(ordered[first - 1], np.inf)) if first else float(ordered[0])


def _shortest(low: float, high: float) -> str:
    """The number with the fewest digits in low .. high, as text that SQL and Python read as the same double."""
    if low <= 0 <= high:
        return "0"
    size = max(abs(low), abs(high))
    for digits in range(1, 17):
        step = Decimal(10) ** (Decimal(size).adjusted() + 1 - digits)
        text = _plain((Decimal(low) / step).to_integral_value(ROUND_CEILING) * step)
        if low <= float(text) <= high:
            return text
    return f"{high:.17e}"


def _plain(value: Decimal) -> str:
    """A decimal without an exponent where it is short; with one, SQL reads a double instead of a decimal."""
    text = format(value.normalize(), "f")
    return text if len(text.strip("-0.")) <= 15 and len(text) <= 18 else f"{float(value):.16e}"
