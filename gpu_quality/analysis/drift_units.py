"""What is drawn independently in a comparison of two sets: rows, or whole groups of them such as the frames of a video.

Rows of one group resemble each other, so a thousand frames of one video say little more than one of them. p-values therefore
come from exchanging whole groups between the sets.
"""

import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from gpu_quality.errors import UsageError

MOST_UNITS: Final = 4000
"""Groups that are permuted; of more, an effective number of rows stands in: 1,000 permutations of 4,000 take a second."""
FEWEST_EXACT: Final = 5
"""Expected counts below which shares are compared by Fisher's exact test."""
_GRID: Final = 256
"""Values at which distributions of permuted groups are compared; where there are more, quantiles of all."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Units:
    """The rows of two sets, those of the reference first, and the groups in which they are drawn."""

    of: Ints
    """Group of every row; the groups of the reference have the low numbers."""
    current: Bools
    """Per group: whether it belongs to the second set."""
    rows: int
    """Rows of the reference."""
    drawn: torch.Tensor | None
    """Groups exchanged at random, ``[p u]`` of 0 and 1, the true sets first; None where rows stand alone or groups are many."""

    @property
    def alone(self) -> bool:
        """Whether every row is a group of its own."""
        return len(self.current) == len(self.of)

    def count(self, known: Bools, *, side: bool) -> float:
        """Independent rows among the known ones of a side: those that differ as much as so many of one group (Kish)."""
        inside = known & (self.current[self.of] == side)
        size = np.bincount(self.of[inside]).astype(np.float64)
        return float(size.sum() ** 2 / np.square(size).sum()) if size.any() else 0.0


def units(reference: ArrayLike, current: ArrayLike, *, permutations: int, seed: int) -> Units:
    """Units of two sets, given the group of every row (equal values are one group; null: a row stands alone).

    A group that is in both sets counts as two. Raises `UsageError` where permutations are fewer than 1.
    """
    if permutations < 1:
        raise UsageError(f"{permutations} permutations; give 1 or more")
    first, second = (_numbered(given) for given in (reference, current))
    low = int(first.max()) + 1 if len(first) else 0
    of = np.concatenate([first, second + low])
    side = np.arange(int(of.max()) + 1 if len(of) else 0) >= low
    if len(side) == len(of) or len(side) > MOST_UNITS:
        return Units(of, side, len(first), None)
    return Units(of, side, len(first), exchanged(side, permutations, seed))


def exchanged(side: Bools, permutations: int, seed: int) -> torch.Tensor:
    """`side` as it is and `permutations` times in random order, ``[p + 1, u]`` of float32."""
    rng = np.random.default_rng(seed)
    drawn = np.tile(side.astype(np.float32), (permutations + 1, 1))
    rng.permuted(drawn[1:], axis=1, out=drawn[1:])
    return torch.from_numpy(drawn)


def _numbered(groups: ArrayLike) -> Ints:
    """Groups as 0, 1, 2, ...; every null a group of its own."""
    number = pd.factorize(np.asarray(groups))[0].astype(np.int64)
    null = np.flatnonzero(number < 0)
    number[null] = number.max(initial=-1) + 1 + np.arange(len(null))
    return np.asarray(pd.factorize(number)[0], np.int64)


def ks_p(statistic: float, values: Floats, of: Units) -> float:
    """p-value of a Kolmogorov-Smirnov statistic between the two sets; `values` has a row each, NaN where missing.

    Rows that stand alone: exact up to ten thousand a side, else asymptotic with Stephens' correction; both are conservative
    where values repeat. Groups: permutation. Many groups: asymptotic with the effective number of rows.
    """
    known = ~np.isnan(values)
    if of.drawn is not None:
        return _permuted(_steps(values, known, of), of.drawn)
    n, m = (of.count(known, side=side) for side in (False, True))
    if of.alone and max(n, m) <= 10_000:
        return _exact(statistic, values[: of.rows][known[: of.rows]], values[of.rows :][known[of.rows :]])
    from scipy.special import kolmogorov

    root = np.sqrt(n * m / (n + m))
    return float(kolmogorov((root + 0.12 + 0.11 / root) * statistic))


def _exact(statistic: float, a: Floats, b: Floats) -> float:
    """By counting paths; where rounding takes that past 1, scipy warns and returns the asymptotic value, also near 1."""
    from scipy.stats import ks_2samp

    if statistic == 0:
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return min(float(ks_2samp(a, b, method="exact").pvalue), 1.0)


def _steps(values: Floats, known: Bools, of: Units) -> torch.Tensor:
    """Rows of each group up to each of a few values, the last column all of them ``[u t]``."""
    at = np.unique(values[known])
    if len(at) > _GRID:
        at = np.unique(np.quantile(values[known], np.arange(1, _GRID + 1) / _GRID, method="higher"))
    place = np.searchsorted(at, values[known])
    groups, width = len(of.current), len(at)
    counts = np.bincount(of.of[known] * width + place, minlength=groups * width).reshape(groups, width)
    return torch.from_numpy(np.cumsum(counts, 1).astype(np.float32))


def _permuted(steps: torch.Tensor, drawn: torch.Tensor) -> float:
    """Share of the permutations whose largest difference of cumulative shares is that of the true sets, or more."""
    inside = drawn @ steps
    outside = steps.sum(0) - inside
    share = inside / inside[:, -1:].clamp(min=1) - outside / outside[:, -1:].clamp(min=1)
    return as_large(share.abs().amax(1).double().numpy())


def as_large(found: Floats) -> float:
    """p-value: share of all values that are as large as the first one, itself included; up to rounding."""
    return float((found >= found[0] - 1e-6 * abs(found[0])).mean())


def share_p(hit: Bools, of: Units) -> float:
    """p-value of a different share of hits in the two sets; NaN where one of them has no rows.

    Fisher's exact test where few are expected, else the two-proportion z test; groups as in `ks_p`.
    """
    n, m = of.rows, len(hit) - of.rows
    if not n or not m:
        return float("nan")
    if not hit.any() or hit.all():
        return 1.0
    if of.drawn is not None:
        return _permuted(_steps(hit.astype(np.float64), np.ones(len(hit), bool), of), of.drawn)
    shares = hit[: of.rows].mean(), hit[of.rows :].mean()
    every = np.ones(len(hit), bool)
    sizes = (float(n), float(m)) if of.alone else (of.count(every, side=False), of.count(every, side=True))
    return proportions_p(shares, sizes)


def proportions_p(shares: tuple[float, float], sizes: tuple[float, float]) -> float:
    """p-value of two shares among so many rows being equal: exact where fewer than five are expected, else normal.

    Source: Fisher 1922; the pooled two-proportion z test.
    """
    from scipy.special import ndtr
    from scipy.stats import fisher_exact

    total = sum(sizes)
    pooled = sum(share * size for share, size in zip(shares, sizes, strict=True)) / total
    if min(pooled, 1 - pooled) * min(sizes) < FEWEST_EXACT:
        hits = [round(share * size) for share, size in zip(shares, sizes, strict=True)]
        rest = [round(size) - hit for size, hit in zip(sizes, hits, strict=True)]
        return min(float(fisher_exact([hits, rest]).pvalue), 1.0)
    z = abs(shares[0] - shares[1]) / np.sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]))
    return float(2 * ndtr(-z))
