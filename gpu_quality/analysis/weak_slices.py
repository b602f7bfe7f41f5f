"""Weak slices found without being asked for: parts of the data, by one or two measures, in which a model fails more often.

Slices are searched on one half of the units (images, or sequences of them) and tested on the other, and the other way round;
the p-values of all tests are corrected by Benjamini and Hochberg. A permutation of the largest score would use all rows at
once, but a thousand searches of a million rows take hours, and permuting rows of one image as if they were strangers finds
slices in noise. Every test is about rows that had no part in choosing its slice, and knows that rows of a unit are alike.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.analysis.weak_codes import Feature
from gpu_quality.analysis.weak_data import ALL, Data, Flags, Ints, Search, Weak, flags_of, jaccard
from gpu_quality.analysis.weak_search import Candidate, Place, candidates
from gpu_quality.analysis.weak_tests import excess, p_value, units_of
from gpu_quality.functional.inference import benjamini_hochberg
from gpu_quality.text import counted

FEWEST_ROWS: Final = 50
FEWEST_UNITS: Final = 20
FEWEST_FAILURES: Final = 10
LEAST: Final = 20
"""Rows of a slice."""
LEVEL: Final = 0.05
"""Share of the reported slices that may be chance."""
TESTED: Final = (5, 20)
"""Slices of one measure, and as many of two, that each half has tested on the other: few for few rows, as every test makes the
correction of all stricter."""
_ROWS_PER_TEST: Final = 50
SAME: Final = 0.5
"""Jaccard index from which on two slices are one: at least half of their rows are in both."""
DIFFERENCE, TIMES = 0.05, 1.5
"""A slice is worth telling if it fails this much more often than the rest, or this many times as often."""
SIMPLER: Final = 2.0
"""Standard errors that a slice of two measures must have more than one of a single measure to be told instead of it: there are
a thousand times as many to choose the best of."""
_LISTED: Final = 300
"""Candidates of each half that are looked at row by row."""

__all__ = ["LEAST", "LEVEL", "Search", "Weak", "weak_slices"]


def weak_slices(
    features: Sequence[Feature], failed: Flags, unit: Ints, *, least: int = LEAST, level: float = LEVEL, seed: int = 0
) -> Search:
    """Slices of at least `least` rows that fail more often than the rest, worst first by how many failures they add.

    `failed` tells which rows fail, `unit` which image (or sequence) each belongs to, numbered from 0. Of slices with mostly the
    same rows the most certain one is kept, and one that has nothing to add to those kept is left out. The same seed gives the
    same halves. Too little data gives no slice and a message.
    """
    message = _too_little(failed, unit)
    if message or not features:
        return Search((), 0, message or "there is no measure to search")
    data = _split(features, failed, unit, seed)
    part = (2 * data.half[data.unit] + failed).astype(np.uint8)
    design = [_design(feature, data) for feature in features]
    listed = candidates(features, part, design, halves=2, least=least / 2, most=_LISTED)
    tests = [(half, one.place) for half in (0, 1) for one in _chosen(listed[half], half, data)]
    p = torch.tensor([_confirmed(place, 1 - half, data, least) for half, place in tests], dtype=torch.float64)
    adjusted = benjamini_hochberg(p).tolist()
    found: dict[Place, tuple[int, float, float]] = {}
    for (half, place), own, raised in sorted(zip(tests, p.tolist(), adjusted, strict=True), key=lambda test: test[1]):
        if raised <= level:
            found.setdefault(place, (1 - half, own, raised))
    told = [one for place, how in found.items() if (one := _told(place, *how, data)) and len(one.rows) >= least]
    kept = _apart([one for one in told if _matters(one)], data, least)
    return Search(tuple(sorted(kept, key=lambda one: -one.excess)), len(tests))


def _too_little(failed: Flags, unit: Ints) -> str:
    """Why there is nothing to search; empty where there is."""
    n, units, bad = len(failed), len(np.unique(unit)), int(failed.sum())
    if n < FEWEST_ROWS:
        return f"weak slices not searched: {n} rows, {FEWEST_ROWS} needed"
    if units < FEWEST_UNITS:
        told = counted(units, "image or sequence", "images or sequences")
        return f"weak slices not searched: rows of {told}, {FEWEST_UNITS} needed"
    if min(bad, n - bad) < FEWEST_FAILURES:
        what = "failures" if bad < FEWEST_FAILURES else "successes"
        return f"weak slices not searched: {min(bad, n - bad)} {what} among {n:,} rows, {FEWEST_FAILURES} needed"
    return ""


def _split(features: Sequence[Feature], failed: Flags, unit: Ints, seed: int) -> Data:
    """Halve the units that have rows."""
    _, own = np.unique(unit, return_inverse=True)
    count = int(own.max()) + 1
    n, failures = np.bincount(own, minlength=count), np.bincount(own[failed], minlength=count)
    half = _halves(n, np.random.default_rng(seed))
    sides = [half == 0, half == 1, np.ones(count, bool)]
    units = tuple(units_of(n[side], failures[side]) for side in sides)
    return Data(features, failed, own.astype(np.int64), half, units)


def _halves(n: Ints, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A half for each unit: of two units of about as many rows, one goes to each."""
    order = rng.permutation(len(n))
    order = order[np.argsort(n[order], kind="stable")]
    coin = rng.integers(0, 2, (len(n) + 1) // 2)
    half = np.empty(len(n), np.uint8)
    half[order] = np.stack([coin, 1 - coin], 1).reshape(-1)[: len(n)]
    return half


def _design(feature: Feature, data: Data) -> float:
    """How much larger the variance of a measure's counts is because rows of a unit are alike: 1 or more."""
    rate = data.units[ALL].rate
    place = data.unit * feature.bins + feature.code
    size = len(data.half) * feature.bins
    n, failures = np.bincount(place, minlength=size), np.bincount(place[data.failed], minlength=size)
    return max(1.0, float(np.square(failures - rate * n).sum() / (n.sum() * rate * (1 - rate))))


def _chosen(listed: Sequence[Candidate], half: int, data: Data) -> list[Candidate]:
    """The candidates of a half to be tested: the most certain ones there that differ from each other."""
    scored = []
    for one in listed:
        rows = data.rows(one.place)
        rows = rows[data.half[data.unit[rows]] == half]
        scored.append((data.test(rows, half)[0], one, rows))
    room = min(max(len(data.failed) // _ROWS_PER_TEST, TESTED[0]), TESTED[1])
    left, taken = {1: room, 2: room}, list[tuple[Candidate, Flags]]()
    for z, one, rows in sorted(scored, key=lambda entry: (-entry[0], len(entry[1].place))):
        measures = len(one.place)
        if (
            z > 1
            and left[measures]
            and all(jaccard(rows, inside) < SAME for other, inside in taken if len(other.place) == measures)
        ):
            taken.append((one, flags_of(rows, len(data.failed))))
            left[measures] -= 1
    return [one for one, _ in taken]


def _confirmed(place: Place, half: int, data: Data, least: int) -> float:
    """The p-value of a slice in a half; 1 where it has a quarter of the rows that it needs in all."""
    rows = data.rows(place)
    rows = rows[data.half[data.unit[rows]] == half]
    return p_value(*data.test(rows, half)) if len(rows) >= max(least / 4, 1) else 1.0


def _told(place: Place, half: int, p: float, adjusted: float, data: Data) -> Weak:
    """A slice as it is in all the data."""
    rows = data.rows(place)
    bad, checked = int(data.failed[rows].sum()), rows[data.half[data.unit[rows]] == half]
    return Weak(
        data.terms(place), rows, bad, len(data.failed) - len(rows), int(data.failed.sum()) - bad, data.test(rows, ALL)[0], p,
        adjusted, (len(checked), int(data.failed[checked].sum())),
    )  # fmt: skip


def _matters(one: Weak) -> bool:
    """Whether a slice is so much worse than the rest that somebody would look at it."""
    own, rest = one.failures / len(one.rows), one.rest_failures / one.rest
    return own - rest >= DIFFERENCE or own >= TIMES * rest


def _apart(told: Sequence[Weak], data: Data, least: int) -> list[Weak]:
    """Of slices that say the same, the most certain one, with the others beside it."""
    kept: list[Weak] = []
    flags: list[Flags] = []
    covered = np.zeros(len(data.failed), bool)
    for one in sorted(told, key=lambda some: SIMPLER * len(some.terms) - some.z):
        near = [jaccard(one.rows, inside) for inside in flags]
        if near and (max(near) >= SAME or not _new(one, kept, flags, covered, data, least)):
            where = int(np.argmax(near))
            kept[where] = replace(kept[where], also=(*kept[where].also, one.terms))
            continue
        kept.append(one)
        flags.append(flags_of(one.rows, len(data.failed)))
        covered[one.rows] = True
    return kept


def _new(one: Weak, kept: Sequence[Weak], flags: Sequence[Flags], covered: Flags, data: Data, least: int) -> bool:
    """Whether a slice fails more often also where those kept are not, or more often than what else the one around it holds."""
    alone = one.rows[~covered[one.rows]]
    if len(alone) >= least and data.test(alone, ALL)[0] >= 2:
        return True
    shares = [float(inside[one.rows].mean()) for inside in flags]
    around = kept[int(np.argmax(shares))]
    within = np.intersect1d(one.rows, around.rows, assume_unique=True)
    if 5 * len(within) < 4 * len(one.rows) or len(within) == len(around.rows):
        return False
    n, failures = data.counts(around.rows)
    return excess(units_of(n, failures), *data.counts(within))[0] >= 3
