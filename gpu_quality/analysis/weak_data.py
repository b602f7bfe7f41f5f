"""What a search for weak slices looks at, and what it finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.analysis.weak_codes import Feature, Term
from gpu_quality.analysis.weak_search import Place
from gpu_quality.analysis.weak_tests import Units, excess

ALL: Final = 2
"""Stands for both halves, 0 and 1."""

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Weak:
    """A slice that fails more often than the rest, in all the data."""

    terms: tuple[Term, ...]
    rows: Ints
    failures: int
    rest: int
    """Rows outside of it, and how many of them fail."""
    rest_failures: int
    z: float
    """Failures above its share in standard errors."""
    p: float
    """Of the half of the data that did not choose it."""
    p_adjusted: float
    checked: tuple[int, int]
    """Rows and failures in that half: what the choice cannot have made look worse."""
    also: tuple[tuple[Term, ...], ...] = ()
    """Other slices of mostly the same rows."""

    @property
    def expected(self) -> float:
        """Failures if it failed as often as the rest."""
        return len(self.rows) * self.rest_failures / self.rest

    @property
    def excess(self) -> float:
        """Failures more than that."""
        return self.failures - self.expected


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found: slices by their excess failures, how many were tested, and why nothing could be found."""

    slices: tuple[Weak, ...]
    tested: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """Rows by units, and the half of every unit."""

    features: Sequence[Feature]
    failed: Flags
    unit: Ints
    half: NDArray[np.uint8]
    units: tuple[Units, ...]
    """Of each half, and of all."""

    def rows(self, place: Place) -> Ints:
        """Rows of a slice."""
        inside = np.ones(len(self.failed), bool)
        for feature, part in place:
            one, code = self.features[feature].parts[part], self.features[feature].code
            inside &= (code >= one.first) & (code <= one.last)
        return np.flatnonzero(inside)

    def terms(self, place: Place) -> tuple[Term, ...]:
        """What a slice says."""
        return tuple(self.features[feature].parts[part].term for feature, part in place)

    def counts(self, rows: Ints) -> tuple[Ints, Ints]:
        """Rows and failures in each unit."""
        n = len(self.half)
        return np.bincount(self.unit[rows], minlength=n), np.bincount(self.unit[rows[self.failed[rows]]], minlength=n)

    def test(self, rows: Ints, half: int) -> tuple[float, float]:
        """Score and units of a slice in one half (`ALL`: in all)."""
        n, failures = self.counts(rows)
        own = slice(None) if half == ALL else self.half == half
        return excess(self.units[half], n[own], failures[own])


def jaccard(rows: Ints, inside: Flags) -> float:
    """Rows in both of two slices, over rows in either."""
    both = int(inside[rows].sum())
    return both / max(len(rows) + int(inside.sum()) - both, 1)


def flags_of(rows: Ints, n: int) -> Flags:
    """Rows as one flag per row."""
    out = np.zeros(n, bool)
    out[rows] = True
    return out
