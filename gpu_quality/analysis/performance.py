"""Performance by metric: the share of successes in bins of equal count, and the stretch where it is worst.

Source: reference evaluation.md 15.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from gpu_quality.analysis.importance_rows import numeric
from gpu_quality.errors import UsageError
from gpu_quality.functional.inference import wilson

MOST_BINS: Final = 50
ROWS_PER_BIN: Final = 20
FEWEST_OF_CLASS: Final = 20
"""A class with fewer rows is listed, not drawn."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Performance:
    """Success along a metric."""

    bins: pd.DataFrame
    """One row per bin, rising: `low`, `high` (of the bin, ``[low, high)``, the last closed), `median` of its values, `n`,
    `successes`, `rate` with interval `rate_low`, `rate_high` (null where n is 0) and `marked`: the mean is outside."""
    missing: dict[str, Any]
    """The same for rows without a value."""
    mean: float
    """Share of successes among the rows in bins, 0..1; NaN where there are none."""
    n: int
    edges: Floats
    """One more than there are bins."""
    weak: pd.DataFrame
    """Stretches of marked bins below the mean, worst first: `first`, `last` bin, `low`, `high`, `n`, `successes`, `rate`,
    `below` (mean minus rate), `excess` (failures more than the mean lets expect)."""
    rows: tuple[Ints, ...]
    """Rows of each weak stretch, in the order given."""


def performance(
    metric: ArrayLike, success: ArrayLike, *, bins: int | None = None, edges: ArrayLike | None = None
) -> Performance:
    """How the share of successes depends on a metric (precision of predictions, recall of labels; 1 - rate is FNR).

    `metric` may have nulls; `success` is 0 or 1 per row. Bins hold equal counts, at most `bins` of them (default: a twentieth
    of the rows, 1..50); equal values are never split; a metric with no more values than that gets a bin per value. `edges`
    instead gives bins outright; values outside them are in no bin. Intervals are Wilson's, 95 %.

    Raises
    ------
    UsageError
        Lengths differ, success is not 0 or 1, or bins or edges make no sense.
    """
    values, hit = numeric("metric", metric), numeric("success", success)
    if len(values) != len(hit):
        raise UsageError(f"success has {len(hit)} rows and metric has {len(values)}; give one value per row")
    if not ((hit == 0) | (hit == 1)).all():
        raise UsageError("success must be 0 or 1 in every row; leave ignored rows out")
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known])]  # not stable, nine times as fast: equal values are in one bin
    ordered = values[order]
    limits = _edges(ordered, bins) if edges is None else _checked(edges)
    start = np.searchsorted(ordered, limits[:-1])
    stop = np.append(start[1:], np.searchsorted(ordered, limits[-1], side="right")) if len(start) else start
    through = np.concatenate([[0], np.cumsum(hit[order])]).astype(np.int64)
    n, successes = stop - start, through[stop] - through[start]
    whole = int(n.sum())
    mean = float(successes.sum() / whole) if whole else float("nan")
    table = pd.DataFrame({"low": limits[:-1], "high": limits[1:], "median": _medians(ordered, start, stop)})
    for name, column in _rates(n, successes, mean).items():
        table[name] = column
    gone = hit[np.isnan(values)]
    absent = _rates(np.array([len(gone)]), np.array([int(gone.sum())]), mean)
    weak = _weak(table, mean)
    rows = tuple(np.sort(order[start[a] : stop[b]]) for a, b in zip(weak["first"], weak["last"], strict=True))
    return Performance(table, {name: column[0].item() for name, column in absent.items()}, mean, whole, limits, weak, rows)


def by_class(
    metric: ArrayLike, success: ArrayLike, class_id: ArrayLike, edges: ArrayLike
) -> tuple[dict[int, Performance], dict[int, int]]:
    """Performance of every class with the same edges, and the classes with fewer than 20 rows: how many those have.

    Raises
    ------
    UsageError
        As `performance`.
    """
    values, hit, of = numeric("metric", metric), numeric("success", success), np.asarray(class_id)
    if len(of) != len(values):
        raise UsageError(f"class_id has {len(of)} rows and metric has {len(values)}; give one value per row")
    classes, code = np.unique(of, return_inverse=True)
    order = np.argsort(code.astype(np.min_scalar_type(len(classes))), kind="stable")  # small integers are sorted by counting
    starts = np.cumsum(np.bincount(code, minlength=1))[:-1]
    parts = dict(zip(classes.tolist(), np.split(order, starts), strict=True)) if len(of) else {}
    few = {name: len(part) for name, part in parts.items() if len(part) < FEWEST_OF_CLASS}
    return {name: _of_rows(values, hit, part, edges) for name, part in parts.items() if name not in few}, few


def _of_rows(values: Floats, hit: Floats, part: Ints, edges: ArrayLike) -> Performance:
    """Performance of some rows; weak stretches name rows of all."""
    own = performance(values[part], hit[part], edges=edges)
    rows = tuple(part[row] for row in own.rows)
    return Performance(own.bins, own.missing, own.mean, own.n, own.edges, own.weak, rows)


def _rates(n: Ints, successes: Ints, mean: float) -> dict[str, NDArray[Any]]:
    low, high = (end.numpy() for end in wilson(torch.from_numpy(successes), torch.from_numpy(n)))
    rate = successes / np.where(n > 0, n, np.nan)
    marked = (low > mean) | (high < mean)
    return {"n": n, "successes": successes, "rate": rate, "rate_low": low, "rate_high": high, "marked": marked}


def _edges(ordered: Floats, bins: int | None) -> Floats:
    """Edges between sorted values: quantiles without repetition, or the values themselves where they are few."""
    if bins is not None and bins < 1:
        raise UsageError(f"bins must be at least 1, got {bins}")
    if not len(ordered):
        return np.zeros(0)
    wanted = bins or max(1, min(MOST_BINS, len(ordered) // ROWS_PER_BIN))
    distinct = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]
    if len(distinct) <= wanted:
        return np.append(distinct, distinct[-1])
    scaled = np.arange(wanted + 1) * (len(ordered) - 1)
    below = scaled // wanted
    above = np.minimum(below + 1, len(ordered) - 1)
    return np.unique(ordered[below] + (ordered[above] - ordered[below]) * (scaled % wanted / wanted))


def _checked(edges: ArrayLike) -> Floats:
    limits = np.asarray(edges, np.float64)
    good = limits.ndim == 1 and len(limits) != 1 and np.isfinite(limits).all()
    if not good or (np.diff(limits[:-1]) <= 0).any() or (limits[-1:] < limits[-2:-1]).any():
        raise UsageError("edges must be two or more finite numbers that rise")
    return limits


def _medians(ordered: Floats, start: Ints, stop: Ints) -> Floats:
    out = np.full(len(start), np.nan)
    some = stop > start
    low, high = (start + stop - 1)[some] // 2, (start + stop)[some] // 2
    out[some] = ordered[low] + (ordered[high] - ordered[low]) / 2
    return out


def _weak(table: pd.DataFrame, mean: float) -> pd.DataFrame:
    """Runs of marked bins below the mean, by failures in excess."""
    low = (table["marked"] & (table["rate"] < mean)).to_numpy(bool)
    change = np.flatnonzero(np.diff(np.concatenate([[0], low.astype(np.int8), [0]])))
    first, last = change[::2], change[1::2] - 1
    total = np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(table[["n", "successes"]].to_numpy(np.int64), 0)])
    n, successes = (total[last + 1] - total[first]).T
    rate = successes / np.maximum(n, 1)
    runs = {
        "first": first, "last": last, "low": table["low"].to_numpy()[first], "high": table["high"].to_numpy()[last], "n": n,
        "successes": successes, "rate": rate, "below": mean - rate, "excess": n * mean - successes,
    }  # fmt: skip
    return pd.DataFrame(runs).sort_values("excess", ascending=False, kind="stable", ignore_index=True)
