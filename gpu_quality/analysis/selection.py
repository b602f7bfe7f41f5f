"""What to label next: one acquisition score out of several columns, and a diverse, balanced choice among the best.

Sources: k-center greedy is Sener and Savarese, Active Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR
2018; looking for diverse ones among the most informative (by k-means there) is Zhdanov, Diverse Mini-Batch Active Learning,
2019.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.analysis.selection_pickers import Picker
from gpu_quality.errors import UsageError

POOL: Final = 10
"""Frames per frame wanted among which diverse ones are looked for: the best by score (Zhdanov has 10 to 50)."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Term:
    """A column of frames that says which are worth labeling."""

    values: Floats
    """NaN where a frame has no value."""
    high: bool
    """Whether high values are the interesting ones."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How interesting frames are."""

    score: Floats
    """Weighted mean of the rank fractions of all columns, 0..1."""
    top: tuple[Floats, ...]
    """Per column: the share of the frames with a value that are at least as interesting; NaN without a value."""
    missing: tuple[int, ...]
    """Per column: frames without a value; they count as the least interesting (fraction 0)."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen row, in the order of choosing."""

    row: int
    distance: float
    """Cosine distance to the nearest frame chosen or known before; infinite for the first, NaN where nobody asked."""
    wanted: int
    """Class whose quota, or whose turn, it fills; -1 for none."""


@dataclass(frozen=True, slots=True)
class Shows:
    """Which rows show which classes."""

    rows: Mapping[int, Ints]
    """Rising rows by class."""
    known: Mapping[int, int]
    """Frames that show a class and are labeled already."""

    def of_rows(self) -> dict[int, list[int]]:
        """Classes by row."""
        found: dict[int, list[int]] = {}
        for name, rows in self.rows.items():
            for row in rows.tolist():
                found.setdefault(row, []).append(name)
        return found


def acquisition(terms: Sequence[Term]) -> Acquisition:
    """One score per frame out of several columns: each becomes a rank fraction, so that no unit outweighs another.

    The rank fraction of a value is the share of less interesting values, equal ones counted half: 0..1, .5 on average.

    Raises
    ------
    UsageError
        There is no column, lengths differ, or a weight is not above 0.
    """
    if not terms:
        raise UsageError("an acquisition score needs a column")
    if len({len(term.values) for term in terms}) > 1:
        raise UsageError(f"columns have {sorted({len(term.values) for term in terms})} rows; give one value per frame")
    if any(not 0 < term.weight < np.inf for term in terms):
        raise UsageError("weights must be above 0")
    parts = [_fractions(term) for term in terms]
    weight = np.array([term.weight for term in terms])
    total = sum(w * fraction for w, (fraction, _) in zip(weight, parts, strict=True))
    missing = tuple(int(np.isnan(term.values).sum()) for term in terms)
    return Acquisition(np.asarray(total / weight.sum()), tuple(top for _, top in parts), missing)


def _fractions(term: Term) -> tuple[Floats, Floats]:
    """Rank fraction of every value, 0 without one, and the share of values at least as interesting, NaN without one."""
    known = ~np.isnan(term.values)
    values = term.values[known]
    ordered = np.sort(values)
    low, high = np.searchsorted(ordered, values), np.searchsorted(ordered, values, side="right")
    below = low if term.high else len(values) - high
    fraction, top = np.zeros(len(known)), np.full(len(known), np.nan)
    fraction[known] = (below + (high - low) / 2) / max(len(values), 1)
    top[known] = (len(values) - below) / max(len(values), 1)
    return fraction, top


def one_of_each(group: Ints, preferred: Ints) -> tuple[NDArray[np.bool_], Ints]:
    """Which rows stand for their group, and how many others each of them stands for.

    `group` is -1 for rows of none; `preferred` lists all rows, the most wanted first.
    """
    kept, others = np.ones(len(group), bool), np.zeros(len(group), np.int64)
    ordered = preferred[group[preferred] >= 0]
    names, first, count = np.unique(group[ordered], return_index=True, return_counts=True)
    if len(names):
        kept[ordered] = False
        kept[ordered[first]] = True
        others[ordered[first]] = count - 1
    return kept, others


def pool(order: Ints, size: int, classes: Sequence[Ints] = ()) -> Ints:
    """The first `size` rows of an order, and the first `size` of each class in it, in that order."""
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    parts = [order[:size], *(rows[np.argsort(place[rows], kind="stable")][:size] for rows in classes)]
    return order[np.unique(place[np.concatenate(parts)])] if len(order) else order


def choose(
    picker: Picker, size: int, count: int, *, shows: Shows, quotas: Mapping[int, int], balance: bool = False
) -> list[Pick]:
    """At most `count` of `size` rows, in order.

    First come the quotas, the class that fewest rows show first: rows that show the class, until so many of the chosen do;
    a row counts for every class it shows. With `balance` each further row shows the class that fewest frames show, known
    ones and chosen ones together (of equals the one fewer rows are left of, then the first). What is left is free.
    """
    state = _State(picker, size, count, shows)
    for name in sorted(quotas, key=lambda name: (len(shows.rows.get(name, ())), name)):
        while state.have.get(name, 0) < quotas[name] and state.take(name):
            pass
    while len(state.picks) < count:
        poorest = state.poorest() if balance else -1
        if not state.take(poorest):
            break
    return state.picks


class _State:
    """What is chosen, and what is left."""

    def __init__(self, picker: Picker, size: int, count: int, shows: Shows) -> None:
        self.picker, self.count, self.shows = picker, count, shows
        self.open = torch.ones(size, dtype=torch.bool)
        self.rows = {name: torch.from_numpy(rows) for name, rows in shows.rows.items()}
        self.rows[-1] = torch.arange(size)
        self.classes = shows.of_rows()
        self.left = {name: len(rows) for name, rows in shows.rows.items()}
        self.have: dict[int, int] = {}
        self.picks: list[Pick] = []

    def take(self, name: int) -> bool:
        """Choose one more row, of a class where it is not -1; False where there is none or enough are chosen."""
        rows = self.rows.get(name)
        if rows is None or len(self.picks) >= self.count:
            return False
        row, distance = self.picker.take(rows, self.open)
        if row < 0:
            return False
        self.open[row] = False
        for shown in self.classes.get(row, ()):
            self.have[shown] = self.have.get(shown, 0) + 1
            self.left[shown] -= 1
        self.picks.append(Pick(row, distance, name))
        return True

    def poorest(self) -> int:
        """The class that fewest frames show, of those that rows are left of; -1 where there is none."""

        def key(name: int) -> tuple[Any, ...]:
            return self.shows.known.get(name, 0) + self.have.get(name, 0), self.left[name], name

        return min((name for name, left in self.left.items() if left), key=key, default=-1)
