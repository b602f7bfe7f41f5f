"""Values of a metric that lie far from the others, by three rules, in everything or inside each class.

Source: reference metrics.md 11.1.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gpu_quality.analysis.importance_rows import numeric
from gpu_quality.errors import UnknownNameError, UsageError

Floats = NDArray[np.float64]

NORMAL: Final = 0.6745
"""Median absolute deviation of a standard normal."""
CUT: Final = 3.5
LONG_TAIL: Final = 1.91
"""90th percentile over median of the absolute deviations of a normal, below which a tail is not long."""
MODERATE, SEVERE = 1.5, 2.5


class Bounds(NamedTuple):
    """Between which values nothing is an outlier (bounds included), and what distance is measured from."""

    low: float
    high: float
    severe_low: float
    severe_high: float
    anchor_low: float
    anchor_high: float


NONE: Final = Bounds(-np.inf, np.inf, -np.inf, np.inf, 0.0, 0.0)
"""Nothing is an outlier."""
COLUMNS: Final = ("row", "value", "group", "severity", "distance", "low", "high", "excess", "quantile")
_NOTHING: Final[dict[str, NDArray[Any]]] = {
    "row": np.zeros(0, np.int64),
    "value": np.zeros(0),
    "severe": np.zeros(0, bool),
    **dict.fromkeys(("distance", "low", "high", "excess", "quantile"), np.zeros(0)),
}


class Judged(NamedTuple):
    """What a rule says about one group."""

    known: int
    """Values that were judged; nulls are none."""
    bounds: Bounds
    outside: int
    why_none: str
    """Why there are no bounds; empty where there are some."""


def outliers(values: ArrayLike, *, rule: str = "iqr", groups: ArrayLike | None = None) -> pd.DataFrame:
    """The rows whose value is an outlier, farthest first.

    `rule` is ``iqr`` (quartiles), ``modified_z`` (median and MAD) or ``adaptive`` (a MAD per side, wider for long tails).
    `groups`, one value per row such as the class, applies the rule inside each. Columns: `row`, `value`, `group` (number of the
    group in order of its name, 0 without groups), `severity` (``moderate`` or, beyond 2.5 IQR, ``severe``; ``outlier`` by the
    other rules), `distance` (to the nearer quartile, or the median; in the unit of the metric), `low`, `high` (bounds),
    `excess` (the distance in multiples of that at which outliers begin, above 1), `quantile` (share of the values of the group
    that are not larger, 0..1). Nulls are no outliers and are counted in ``attrs["missing"]``; ``attrs["groups"]`` names the
    groups and ``attrs["judged"]`` has a `Judged` of each. A value on a bound is none.

    Raises
    ------
    UnknownNameError
        For another rule.
    UsageError
        Lengths differ or values are not numeric.
    """
    if rule not in RULES:
        raise UnknownNameError(f"no outlier rule {rule!r}; there are {', '.join(RULES)}")
    x = numeric("values", values)
    group, names = (np.zeros(len(x), np.int64), np.zeros(1)) if groups is None else pd.factorize(np.asarray(groups), sort=True)
    if len(group) != len(x):
        raise UsageError(f"groups has {len(group)} rows and values has {len(x)}; give one value per row")
    known = np.flatnonzero(~np.isnan(x) & (group >= 0))
    order = known[np.lexsort((x[known], group[known]))] if groups is not None else known[np.argsort(x[known], kind="stable")]
    sizes = np.bincount(group[known], minlength=len(names))
    parts = np.split(order, np.cumsum(sizes)[:-1]) if len(names) else []
    judged = [_judged(x[part], rule) for part in parts]
    columns = [_found(x, part, of.bounds) for part, of in zip(parts, judged, strict=True) if of.outside]
    whole = {name: np.concatenate([one[name] for one in columns]) if columns else _NOTHING[name] for name in _NOTHING}
    table = pd.DataFrame(whole)
    table.insert(2, "group", group[table["row"]])
    word = np.where(table.pop("severe"), "severe", "moderate") if rule == "iqr" else "outlier"
    table.insert(3, "severity", pd.Series(word, index=table.index, dtype="str"))
    table = table.sort_values(["distance", "row"], ascending=[False, True], ignore_index=True)[list(COLUMNS)]
    named = [] if groups is None else list(names)
    table.attrs = {"rule": rule, "missing": len(x) - len(known), "groups": named, "judged": judged}
    return table


def _judged(ordered: Floats, rule: str) -> Judged:
    """What the rule says about a group, given its values in rising order."""
    own = RULES[rule](ordered) if len(ordered) else NONE
    outside = int((ordered < own.low).sum() + (ordered > own.high).sum())
    return Judged(len(ordered), own, outside, _why_none(ordered, rule) if own == NONE else "")


def _why_none(ordered: Floats, rule: str) -> str:
    """Why a group has no bounds."""
    if not len(ordered):
        return "no values"
    if ordered[0] == ordered[-1]:
        return "one value only" if len(ordered) == 1 else "all values are equal"
    return "the interquartile range is 0" if rule == "iqr" else "fewer than three values"


def _found(x: Floats, order: NDArray[np.int64], own: Bounds) -> dict[str, NDArray[Any]]:
    """Outliers of one group, given its rows by rising value."""
    ordered = x[order]
    below, above = int(np.searchsorted(ordered, own.low)), int(np.searchsorted(ordered, own.high, side="right"))
    row = np.concatenate([order[:below], order[above:]])
    value, low = x[row], np.arange(len(row)) < below
    distance = np.where(low, own.anchor_low - value, value - own.anchor_high)
    return {
        "row": row,
        "value": value,
        "severe": (value < own.severe_low) | (value > own.severe_high),
        "distance": distance,
        "low": np.full(len(row), own.low),
        "high": np.full(len(row), own.high),
        "excess": distance / np.where(low, own.anchor_low - own.low, own.high - own.anchor_high),
        "quantile": np.searchsorted(ordered, value, side="right") / max(len(ordered), 1),
    }


def iqr(ordered: Floats) -> Bounds:
    """Bounds 1.5 interquartile ranges outside the quartiles, severe beyond 2.5; none where the range is 0."""
    q1, q3 = quantile(ordered, 0.25), quantile(ordered, 0.75)
    wide = q3 - q1
    if not wide:
        return NONE
    return Bounds(q1 - MODERATE * wide, q3 + MODERATE * wide, q1 - SEVERE * wide, q3 + SEVERE * wide, q1, q3)


def modified_z(ordered: Floats) -> Bounds:
    """Bounds 3.5 robust standard deviations from the median; the mean absolute deviation stands in for a MAD of 0."""
    middle = quantile(ordered, 0.5)
    away = np.abs(ordered - middle)
    reach = CUT * (float(np.median(away)) or float(away.mean())) / NORMAL
    return Bounds(middle - reach, middle + reach, -np.inf, np.inf, middle, middle) if reach else NONE


def adaptive(ordered: Floats) -> Bounds:
    """Bounds of each side from its own deviations, wider the longer its tail; fewer than three values have none."""
    if len(ordered) < 3:
        return NONE
    middle = quantile(ordered, 0.5)
    away = np.abs(ordered - middle)
    mean = float(away.mean())
    if not mean:
        return NONE
    sides = [np.sort(away[ordered <= middle]), away[ordered >= middle]]
    if not any(quantile(side, 0.5) for side in sides):
        off = np.sort(away[away > 0])
        sides = [off, off] if len(off) > 10 and off[0] < mean / NORMAL else sides
    low, high = (_reach(side, mean) for side in sides)
    return Bounds(middle - low, middle + high, -np.inf, np.inf, middle, middle)


def _reach(away: Floats, mean: float) -> float:
    """How far from the median a side's bound is; `mean` stands in for a median deviation of 0."""
    deviation = quantile(away, 0.5)
    if not deviation:
        return CUT * mean / NORMAL
    tail = 1 + np.log1p(max(0.0, quantile(away, 0.9) / deviation / LONG_TAIL - 1))
    return float(CUT * tail * deviation / NORMAL)


def quantile(ordered: Floats, q: float) -> float:
    """Linear quantile of sorted values; NaN of none."""
    if not len(ordered):
        return float("nan")
    place = (len(ordered) - 1) * q
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


RULES: Final[dict[str, Callable[[Floats], Bounds]]] = {"iqr": iqr, "modified_z": modified_z, "adaptive": adaptive}
