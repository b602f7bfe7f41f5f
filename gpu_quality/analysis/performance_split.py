"""The value of a metric below or above which performance is worst, how large the difference is, and whether it may be chance.

Sources: reference evaluation.md 15; maximally selected statistics: Lausen and Schumacher, Biometrics 48, 1992; intervals of
differences: Newcombe, Statistics in Medicine 17, 1998 (method 10); size of an effect h: Cohen 1988.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from gpu_quality.analysis.importance_rows import numeric
from gpu_quality.errors import UsageError
from gpu_quality.functional.inference import wilson

FEWEST_ROWS: Final = 20
FEWEST_SHARE: Final = 0.05
"""Both sides of a threshold have at least so many rows, and at least this share of them."""
PERMUTATIONS: Final = 999
MOST_PERMUTED: Final = 10_000
"""Of more units the p-value is a bound: so many permutations would take seconds, and the normal limit holds."""
SURE: Final = 0.05
_BLOCK: Final = 1 << 21
"""Values that are permuted at once: 16 MiB."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """The threshold that separates best, seen from its worse side."""

    threshold: float
    """The shortest decimal number that separates these rows: `below` means ``< threshold``, `above` ``> threshold``."""
    side: str
    """below or above: where performance is worse."""
    n: int
    successes: int
    rate: float
    """Share of successes on the worse side, 0..1."""
    other_n: int
    other_successes: int
    other_rate: float
    difference: float
    """`rate` minus `other_rate`, below 0; its 95 % interval follows."""
    difference_low: float
    difference_high: float
    cohen_h: float
    """Difference of the arcsine-transformed rates: .2 is small, .5 medium, .8 large; as a size, at least 0."""
    z: float
    """The selected statistic: how many standard deviations the worse side is off, at least 0."""
    p: float
    """How often chance alone separates some threshold as well; corrected for all thresholds looked at."""
    p_from: str
    """permutations, or bound."""
    looked_at: int
    """Thresholds that were possible."""
    units: int
    """What was permuted: rows, or frames where the metric is a frame's."""

    def sentence(self, metric: str, figure: str, noun: str) -> str:
        """The finding in words: ``below brightness 0.23: recall 0.31 against 0.62 (412 of 2,000 labels)``."""
        where = f"{self.side} {metric} {exact(self.threshold)}"
        digits = 2 if abs(self.difference) >= 0.01 else 4  # so that the two are seen to differ
        rates = f"{figure} {self.rate:.{digits}f} against {self.other_rate:.{digits}f}"
        said = f"{where}: {rates} ({self.n:,} of {self.n + self.other_n:,} {noun})"
        return said if self.p <= SURE else f"no value of {metric} surely separates; the best, {said}, may be chance"


class _Units(NamedTuple):
    """What is ranked: rows, or frames with all their rows; rising by value."""

    value: Floats
    n: Ints
    successes: Ints


def best_split(metric: ArrayLike, success: ArrayLike, *, units: ArrayLike | None = None, seed: int = 0) -> Split | None:
    r"""The single threshold that separates good from bad performance best; None where no threshold is possible.

    `metric` may have nulls (left out); `success` is 0 or 1 per row. Rows are independent, or those of one of the `units`
    (frames, for a metric of the frame) go together: then whole units are permuted, and the interval of the difference is
    widened by the design effect. Both sides of a threshold have at least 20 rows and 5 % of them. With K successes of N rows,
    U units, and k, n and l of them at or below a threshold, the threshold with the largest value is taken of

    .. math:: |z| = |k - nK/N| \,\big/ \sqrt{\tfrac{l (U - l)}{U (U - 1)} \sum_u (k_u - n_u K/N)^2}

    `p` is the share of permutations of the units with as large a maximum, of 999 (`seed`); above 10,000 units it is the least
    of Miller's and Siegmund's limit and Bonferroni's bound. Cost: one sort.

    Raises
    ------
    UsageError
        Lengths differ, success is not 0 or 1, or the metric differs within a unit.
    """
    ranked = _ranked(numeric("metric", metric), numeric("success", success), units)
    found, whole, good = len(ranked.value), int(ranked.n.sum()), int(ranked.successes.sum())
    cuts = np.flatnonzero(ranked.value[1:] > ranked.value[:-1])
    cuts = cuts[_allowed(np.cumsum(ranked.n)[cuts], whole)]
    excess = ranked.successes * whole - ranked.n * good  # exact: whole times the successes beyond the mean
    if not len(cuts) or not excess.any():
        return None
    z = _z(np.cumsum(excess)[cuts] / whole, cuts + 1, excess / whole)
    best = int(np.abs(z).argmax())
    cut, size = int(cuts[best]), float(abs(z[best]))
    permuted = found <= MOST_PERMUTED
    p = _permuted(ranked, excess / whole, cuts, size, seed) if permuted else bound(size, cuts + 1, found)
    below = bool(z[best] < 0)
    threshold = between(float(ranked.value[cut]), float(ranked.value[cut + 1]), below=below)
    sides = (slice(cut + 1), slice(cut + 1, None))
    worse, other = ((int(ranked.n[s].sum()), int(ranked.successes[s].sum())) for s in (sides if below else sides[::-1]))
    effect = 1.0 if units is None else _design_effect(ranked, sides)
    rates = worse[1] / worse[0], other[1] / other[0]
    low, high = newcombe((worse[1], other[1]), (worse[0], other[0]), effect)
    h = 2 * (math.asin(math.sqrt(rates[1])) - math.asin(math.sqrt(rates[0])))
    return Split(
        threshold, "below" if below else "above", *worse, rates[0], *other, rates[1], rates[0] - rates[1], low, high, h, size,
        p, "permutations" if permuted else "bound", len(cuts), found,
    )  # fmt: skip


def newcombe(successes: tuple[int, int], n: tuple[int, int], design_effect: float = 1.0) -> tuple[float, float]:
    """Between which values the difference of two shares likely lies (95 %), of as many rows as `n` over the design effect.

    >>> [round(end, 4) for end in newcombe((56, 48), (70, 80))]
    [0.0524, 0.3339]
    """
    good, count = (torch.tensor(side, dtype=torch.float64) / design_effect for side in (successes, n))
    p, (low, high) = (good / count).tolist(), (end.tolist() for end in wilson(good, count))
    down = math.hypot(p[0] - low[0], high[1] - p[1])
    up = math.hypot(high[0] - p[0], p[1] - low[1])
    return max(p[0] - p[1] - down, -1.0), min(p[0] - p[1] + up, 1.0)


def bound(z: float, left: ArrayLike, units: int) -> float:
    r"""How likely chance makes the largest of many standardized statistics at least `z`, 0..1; at most this, for large `units`.

    `left` are the numbers of units at or below each threshold, rising; e and f are the least and the largest share.

    .. math:: \min\left\{2 c\,\Phi(-z),\; \frac{4 \varphi(z)}{z}
              + \varphi(z)\Big(z - \frac1z\Big) \ln\frac{f (1 - e)}{(1 - f) e}\right\}

    with c thresholds: Bonferroni; Miller and Siegmund, Biometrics 38, 1982.
    """
    places = np.asarray(left, np.float64) / units
    bonferroni = len(places) * math.erfc(z / math.sqrt(2))
    if z <= 1:
        return min(bonferroni, 1.0)
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    e, f = float(places[0]), float(places[-1])
    limit = 4 * density / z + density * (z - 1 / z) * math.log(f * (1 - e) / ((1 - f) * e))
    return min(bonferroni, limit, 1.0)


def between(low: float, high: float, *, below: bool) -> float:
    """The shortest decimal number that separates two values: in ``(low, high]`` for `below`, else in ``[low, high)``.

    Of whole numbers it is one of them.
    """
    closed = high if below else low
    if low.is_integer() and high.is_integer():
        return closed  # counts and flags have no halves
    for digits in range(1, 17):
        value = float(f"{low + (high - low) / 2:.{digits}g}")
        if low < value <= high if below else low <= value < high:
            return value
    return closed


def exact(value: float) -> str:
    """A number with all its digits, as SQL and people read it: whole ones without a point."""
    return repr(value).removesuffix(".0")


def _ranked(values: Floats, hit: Floats, units: ArrayLike | None) -> _Units:
    """Rows with a value, or their units, by value. Raises `UsageError`."""
    of = None if units is None else pd.factorize(np.asarray(units))[0]
    for what, length in (("success", len(hit)), ("units", len(values) if of is None else len(of))):
        if length != len(values):
            raise UsageError(f"{what} has {length} rows and metric has {len(values)}; give one value per row")
    if not ((hit == 0) | (hit == 1)).all():
        raise UsageError("success must be 0 or 1 in every row; leave ignored rows out")
    known = ~np.isnan(values)
    value, successes = values[known], hit[known].astype(np.int64)
    n = np.ones(len(value), np.int64)
    if of is not None:
        name, first, unit = np.unique(of[known], return_index=True, return_inverse=True)
        if (value != value[first][unit]).any():
            raise UsageError("the metric differs within a unit; leave units out where it is a row's own")
        n, successes = (np.bincount(unit, weights, len(name)).astype(np.int64) for weights in (None, successes))
        value = value[first]
    # permutations draw from the order of equal values too; without them the other sort is nine times as fast
    order = np.argsort(value, kind="stable" if len(value) <= MOST_PERMUTED else "quicksort")
    return _Units(value[order], n[order], successes[order])


def _allowed(left: Ints, whole: int) -> NDArray[np.bool_]:
    """Where both sides have enough rows, by the rows on the left."""
    least = max(FEWEST_ROWS, math.ceil(FEWEST_SHARE * whole))
    return np.asarray((left >= least) & (whole - left >= least))


def _z(total: Floats, left: Ints, excess: Floats) -> Floats:
    """Totals of the first `left` units as multiples of their standard deviation under permutations."""
    units = len(excess)
    spread = left * (units - left) / (units * (units - 1.0)) * np.square(excess).sum()
    return np.asarray(total / np.sqrt(spread))


def _permuted(ranked: _Units, excess: Floats, cuts: Ints, size: float, seed: int) -> float:
    """Share of permutations, the given order among them, in which some threshold separates as well."""
    rng, units, whole = np.random.default_rng(seed), len(excess), int(ranked.n.sum())
    # what rounding may take from an equal maximum must not count
    reached, limit = 0, size * (1 - 1e-9)
    values = np.unique(ranked.value, return_index=True)[1][1:] - 1  # a permuted order has other possible thresholds
    possible = cuts if (ranked.n == 1).all() else values
    rows = max(1, _BLOCK // units)
    for start in range(0, PERMUTATIONS, rows):
        count = min(rows, PERMUTATIONS - start)
        order = rng.permuted(np.broadcast_to(np.arange(units), (count, units)), axis=1)
        z = np.abs(_z(np.cumsum(excess[order], 1)[:, possible], possible + 1, excess))
        if possible is values:
            z[~_allowed(np.cumsum(ranked.n[order], 1)[:, possible], whole)] = 0
        reached += int((z.max(1) >= limit).sum())
    return (1 + reached) / (1 + PERMUTATIONS)


def _design_effect(ranked: _Units, sides: tuple[slice, slice]) -> float:
    """How many times larger than with independent rows the variance of a rate is, since rows of a unit go together; from 1."""
    seen = expected = 0.0
    for side in sides:
        n, successes = ranked.n[side], ranked.successes[side]
        rate = successes.sum() / n.sum()
        seen += float(np.square(successes - rate * n).sum()) * len(n) / max(len(n) - 1, 1)
        expected += float(n.sum() * rate * (1 - rate))
    return max(1.0, seen / expected) if expected else 1.0
