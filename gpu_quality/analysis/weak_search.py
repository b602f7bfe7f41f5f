"""Candidates for weak slices: every range of every measure, and every pair of one-sided ranges of two, by counts alone.

What is searched is exact and complete: tables of counts of all pairs of codes, then sums over all allowed ranges at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.analysis.weak_codes import Feature, Part
from gpu_quality.kernels.crosstabs import crosstabs

MOST_SHARE: Final = 0.5
"""A slice is at most half of the rows: of a larger one the rest is strong."""
PER_PAIR: Final = 4
"""Candidates kept of two measures together: pairs of ranges side by side say the same."""
ADDS: Final = 3.0
"""Standard errors by which a pair must fail more often than what else each of its two ranges holds."""

Floats = NDArray[np.float64]
Place = tuple[tuple[int, int], ...]
"""Which feature and which of its parts, once or twice."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A slice that may be weak."""

    place: Place
    score: float
    """Failures more than expected, in standard errors; rough, as if rows of a unit were as independent as the measure is."""


def candidates(
    features: Sequence[Feature], part: NDArray[np.uint8], design: Sequence[float], *, halves: int, least: float, most: int
) -> list[list[Candidate]]:
    """The most suspicious slices of every half, those of one measure first, the worst first.

    `part` is ``2 half + failed`` of each row. `design` tells how much larger the variance of a measure's counts is than that
    of independent rows. At least `least` rows of the half are in a slice, at most half of them. Up to `most` slices are of one
    measure, and as many of two.
    """
    codes = torch.from_numpy(np.stack([feature.code for feature in features]))
    parts, bins = torch.from_numpy(part), max(feature.bins for feature in features)
    totals = np.bincount(part, minlength=2 * halves).reshape(halves, 2).astype(np.float64)
    simple = [[place for place, one in enumerate(feature.parts) if one.simple] for feature in features]
    picked = np.zeros((len(features), max(map(len, simple)), bins))
    for i, feature in enumerate(features):
        picked[i, : len(simple[i])] = _table([feature.parts[place] for place in simple[i]], bins)
    alone: list[list[Candidate]] = [[] for _ in range(halves)]
    found: list[list[Candidate]] = [[] for _ in range(halves)]
    for i, feature in enumerate(features):
        own = np.bincount(part * np.int64(bins) + feature.code, minlength=2 * halves * bins).reshape(halves, 2, bins)
        for half in range(halves):
            counts = own[half].astype(np.float64) @ _table(feature.parts, bins).T
            alone[half] += _best_single(counts, totals[half], i, design[i], least)
        tables = crosstabs(codes[i], codes[i + 1 :], parts, parts=2 * halves, bins=bins, other_bins=bins)
        cells = tables.numpy().reshape(-1, halves, 2, bins, bins).astype(np.float64)
        pairs = _Pairs(i, simple, picked, own.astype(np.float64), np.asarray(design), totals, least)
        pairs.search(cells, found, most)
    return [_worst(singles, most) + _worst(pairs, most) for singles, pairs in zip(alone, found, strict=True)]


def _worst(some: Sequence[Candidate], most: int) -> list[Candidate]:
    return sorted(some, key=lambda one: (-one.score, one.place))[:most]


def _table(parts: Sequence[Part], bins: int) -> Floats:
    """Which codes every part holds [parts, bins]."""
    code = np.arange(bins)
    return np.array([(code >= one.first) & (code <= one.last) for one in parts], np.float64).reshape(len(parts), bins)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of one feature with every later one."""

    i: int
    simple: Sequence[Sequence[int]]
    """Of every feature, the parts that pairs are made of."""
    picked: Floats
    """Which codes these hold [features, parts, bins]; rows of zeros follow."""
    own: Floats
    """Rows of the feature [halves, failed, bins]."""
    design: Floats
    totals: Floats
    least: float

    def search(self, cells: Floats, found: list[list[Candidate]], most: int) -> None:
        """Add the best pairs of each half, counted in `cells` [others, halves, failed, bins, bins], and keep `most`."""
        mine, others = self.picked[self.i], self.picked[self.i + 1 :]
        both = mine @ cells @ others.transpose(0, 2, 1)[:, None, None]  # [others, halves, failed, parts, parts]
        design = np.minimum(self.design[self.i], self.design[self.i + 1 :])
        for half, some in enumerate(found):
            z = _scores(both[:, half, 0], both[:, half, 1], self.totals[half], design[:, None, None], self.least)
            lowest = some[-1].score if len(some) >= most else 0.0
            new = list(some)
            for other in np.flatnonzero(z.max((1, 2), initial=-np.inf) > lowest).tolist():
                sides = self.own[half] @ mine.T, cells[other, half].sum(1) @ others[other].T  # [failed, parts] each
                new += self._best(z[other], both[other, half], sides, design[other], other, lowest)
            found[half] = _worst(new, most)

    def _best(
        self, z: Floats, both: Floats, sides: tuple[Floats, Floats], design: float, other: int, lowest: float
    ) -> list[Candidate]:
        """The best pairs of ranges of two measures that fail more than the rest of either range."""
        adds = _adds(both, sides[0][:, :, None] - both, design) & _adds(both, sides[1][:, None, :] - both, design)
        z = np.where(adds, z, -np.inf)
        best = np.argsort(-z, axis=None, kind="stable")[:PER_PAIR]
        i, j = self.i, self.i + 1 + other
        return [
            Candidate(((i, self.simple[i][a]), (j, self.simple[j][b])), float(z[a, b]))
            for a, b in zip(*(place.tolist() for place in np.unravel_index(best, z.shape)), strict=True)
            if z[a, b] > lowest
        ]


def _scores(good: Floats, bad: Floats, totals: Floats, design: Floats | float, least: float) -> Floats:
    """Standard errors above the expected failures; -inf for slices that are too small or too large."""
    n, whole = good + bad, totals.sum()
    rate = totals[1] / whole
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (bad - rate * n) / np.sqrt(rate * (1 - rate) * n * (1 - n / whole) * design)
    return np.where((n >= least) & (n <= MOST_SHARE * whole), z, -np.inf)


def _best_single(counts: Floats, totals: Floats, i: int, design: float, least: float) -> list[Candidate]:
    """The best ranges of one measure, from good and bad rows [2, parts]."""
    z = _scores(counts[0], counts[1], totals, design, least)
    best = np.argsort(-z, kind="stable")[:PER_PAIR].tolist()
    return [Candidate(((i, place),), float(z[place])) for place in best if z[place] > 0]


def _adds(own: Floats, rest: Floats, design: float) -> NDArray[np.bool_]:
    """Where some rows [good or bad, parts, parts] fail more often than others, by `ADDS` standard errors."""
    n, m = own.sum(0), rest.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = (own[1] + rest[1]) / (n + m)
        error = np.sqrt(rate * (1 - rate) * design * (1 / n + 1 / m))
        more: NDArray[np.bool_] = (own[1] / n - rest[1] / m >= ADDS * error) & (error > 0)
    return more
