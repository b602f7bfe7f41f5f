"""How sure a number is: Wilson's interval for a share, bootstrap intervals for anything, and the comparison of two models.

Resampling works on units: a frame each, or a whole sequence of frames where they resemble each other. Matching is never
repeated: a resample is a vector of weights, how often each unit was drawn. Source: reference evaluation.md 11 and 15.
"""

import math
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.evaluation.rates import rate
from gpu_quality.evaluation.resampling import Figures, bootstrap, figures_of_all, jackknife
from gpu_quality.functional.inference import benjamini_hochberg

FEWEST_UNITS: Final = 10
"""With fewer units resamples are too alike for an interval to mean anything."""
MOST_UNDEFINED: Final = 0.1
"""Share of the resamples that may leave a figure undefined."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Figures with the range each of them likely has."""

    value: Float64[Tensor, " v"]
    """From all units."""
    low: Float64[Tensor, " v"]
    """NaN where there is no interval; `message` says why."""
    high: Float64[Tensor, " v"]
    undefined: Float64[Tensor, " v"]
    """Share of the resamples in which the figure was undefined, 0..1."""
    message: tuple[str, ...]
    """Empty for figures with an interval."""


def interval(
    function: Figures,
    units: int,
    *,
    resamples: int = 1000,
    seed: int = 0,
    method: str = "percentile",
    level: float = 0.95,
    unit: str = "images",
) -> Interval:
    """Figures of a set of `units`, with a bootstrap interval each.

    `function` takes weights [r, units] (int32) and returns figures [r, v], NaN where undefined. `method` is ``percentile`` or
    ``bca`` (bias-corrected and accelerated, Efron 1987; one more evaluation per unit). Fewer than ten units, or more than a
    tenth of the resamples undefined: no interval, and a message. `unit` is the word for the units in it.

    Raises
    ------
    UnknownNameError
        For another method.
    UsageError
        For a level outside 0..1 or fewer than one resample.
    """
    if method not in ("percentile", "bca"):
        raise UnknownNameError(f"no interval method {method!r}; there are percentile and bca")
    if not 0 < level < 1 or resamples < 1:
        raise UsageError(f"level must be within 0..1 and resamples at least 1; got {level} and {resamples}")
    value = figures_of_all(function, units)
    if units < FEWEST_UNITS:
        return without_interval(value, few_units(units, unit))
    values = bootstrap(function, units, resamples, seed)
    steady = jackknife(function, units) if method == "bca" else None
    return interval_of(value, values, level=level, jackknifed=steady)


def interval_of(
    value: Float64[Tensor, " v"],
    values: Float64[Tensor, "r v"],
    *,
    level: float = 0.95,
    jackknifed: Float64[Tensor, "u v"] | None = None,
) -> Interval:
    """Intervals from resampled figures; bias-corrected and accelerated where figures without each unit are given."""
    undefined = values.isnan().double().mean(0)
    tail = torch.full_like(value, (1 - level) / 2)
    tails = (tail, 1 - tail) if jackknifed is None else _corrected(value, values, jackknifed, tail)
    allowed = (undefined <= MOST_UNDEFINED) & ~value.isnan()
    low, high = (torch.where(allowed, _quantile(values, q), torch.nan) for q in tails)
    message = tuple(
        _why(share, number) if math.isnan(end) else ""
        for end, share, number in zip(low.tolist(), undefined.tolist(), value.tolist(), strict=True)
    )
    return Interval(value, low, high, undefined, message)


def without_interval(value: Float64[Tensor, " v"], message: str) -> Interval:
    """Figures alone, with one message for all."""
    nothing = torch.full_like(value, torch.nan)
    return Interval(value, nothing, nothing.clone(), nothing.clone(), (message,) * len(value))


def few_units(units: int, unit: str = "images") -> str:
    """What to tell when there are too few units."""
    return f"interval not computed: {units} {unit}, {FEWEST_UNITS} needed"


def _why(undefined: float, value: float) -> str:
    if math.isnan(value):
        return "interval not computed: the figure is undefined"
    if undefined > MOST_UNDEFINED:
        share = f"{100 * undefined:.1f} % of the resamples, {100 * MOST_UNDEFINED:.0f} % allowed"
        return f"interval not computed: undefined in {share}"
    return "interval not computed: all resamples lie on one side of the figure"


def _quantile(values: Float64[Tensor, "r v"], q: Float64[Tensor, " v"]) -> Float64[Tensor, " v"]:
    """The quantile q of each column, of its own q, linear, NaN left out; NaN where nothing or no q is there."""
    ordered = values.nan_to_num(nan=torch.inf).sort(0).values
    count = (~values.isnan()).sum(0)
    place = q.nan_to_num(nan=0.0) * (count - 1).clamp(min=0)
    below = place.floor().long()
    above = torch.minimum(below + 1, (count - 1).clamp(min=0))
    a, b = ordered.gather(0, below[None])[0], ordered.gather(0, above[None])[0]
    out = torch.where(a == b, a, a + (b - a) * (place - below))
    return torch.where((count > 0) & ~q.isnan(), out, torch.nan)


def _corrected(
    value: Float64[Tensor, " v"],
    values: Float64[Tensor, "r v"],
    jackknifed: Float64[Tensor, "u v"],
    tail: Float64[Tensor, " v"],
) -> tuple[Float64[Tensor, " v"], Float64[Tensor, " v"]]:
    """Which quantiles stand for the tails once bias and skewness are taken into account; ties count half (as in scipy)."""
    count = (~values.isnan()).sum(0)
    below = rate((values < value).sum(0) + (values <= value).sum(0), 2 * count)
    bias = torch.special.ndtri(below)
    around = jackknifed.nanmean(0) - jackknifed  # [u, v]
    skew = rate(around.pow(3).nansum(0), 6 * around.square().nansum(0).pow(1.5), 0.0)

    def moved(z: Float64[Tensor, " v"]) -> Float64[Tensor, " v"]:
        out: Tensor = torch.special.ndtr(bias + (bias + z) / (1 - skew * (bias + z)))
        return out

    z = torch.special.ndtri(tail)
    return moved(z), moved(-z)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the first model has more than the second, per figure."""

    difference: Interval
    p: Float64[Tensor, " v"]
    """How often chance alone would show such a difference; NaN where the interval is."""
    p_adjusted: Float64[Tensor, " v"]
    """After Benjamini and Hochberg over the figures compared."""


def compare(
    first: Figures,
    second: Figures,
    units: int,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    unit: str = "images",
) -> Comparison:
    """First minus second, figure by figure, with both models resampled by the same weights.

    Both functions are as in `interval`, over the same units in the same order.
    """

    def difference(weights: Shaped[Tensor, "r u"]) -> Float64[Tensor, "r v"]:
        return first(weights) - second(weights)

    value = figures_of_all(difference, units)
    if units < FEWEST_UNITS:
        nothing = torch.full_like(value, torch.nan)
        return Comparison(without_interval(value, few_units(units, unit)), nothing, nothing.clone())
    values = bootstrap(difference, units, resamples, seed)
    found = interval_of(value, values, level=level)
    p = torch.where(found.low.isnan(), torch.nan, paired_p(values))
    return Comparison(found, p, benjamini_hochberg(p))


def paired_p(difference: Float64[Tensor, "r v"]) -> Float64[Tensor, " v"]:
    r"""Two-sided p-value of resampled differences d, NaN left out.

    .. math:: \min\left(1, \frac{2 \min(1 + \#\{d \le 0\}, 1 + \#\{d \ge 0\})}{R + 1}\right)
    """
    count = (~difference.isnan()).sum(0)
    fewer = torch.minimum((difference <= 0).sum(0), (difference >= 0).sum(0))
    return torch.where(count > 0, (2 * (1 + fewer.double()) / (count + 1)).clamp(max=1), torch.nan)
