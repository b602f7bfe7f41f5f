"""Correlation of metrics with an outcome, with intervals, and with each other: which of them say the same.

Source: reference evaluation.md 14.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gpu_quality.analysis.importance_rows import Floats, Ints, Used, middles, numeric, rows_of, used
from gpu_quality.kernels import correlations as kernel

MOST_ROWS: Final = 100_000
"""Rows that pairs of metrics are compared on; more are sampled."""


FEWEST_FRAMES: Final = 10
"""With fewer frames resamples are too alike for an interval."""
MOST_UNDEFINED: Final = 0.1
"""Share of the resamples that may be constant."""
COLUMNS: Final = (
    "metric", "n_used", "pearson", "pearson_low", "pearson_high", "spearman", "spearman_low", "spearman_high", "message"
)  # fmt: skip


def correlations(
    metrics: pd.DataFrame, outcome: ArrayLike, *, frames: ArrayLike | None = None, seed: int = 0, resamples: int = 1000,
    done: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:  # fmt: skip
    """Pearson's and Spearman's correlation of each metric with the outcome, -1..1, with 95 % intervals by frame bootstrap.

    Positive: a larger metric goes with a better outcome. Arguments as in `importance.importance`; p-values are there. Frames
    are drawn with replacement, ranks found anew in each resample. `message` says why there is no value (``constant``), or no
    interval: fewer than ten frames, or more than a tenth of the resamples constant. ``attrs["notes"]`` tells of sampling.
    `done` is told how many metrics are finished.

    Raises
    ------
    UsageError
        Lengths differ or a column is not numeric.
    """
    given = rows_of(metrics, outcome, frames, seed)
    found = []
    for name, values in given.metrics.items():
        of = used(given, ~np.isnan(values))
        found.append({"metric": name, "n_used": len(of.row)} | _with_interval(of, values[of.row], resamples, seed))
        done(1)
    table = pd.DataFrame(found, columns=list(COLUMNS))
    text = {"metric": "str", "message": "str", "n_used": "int64"}
    table = table.astype({name: text.get(name, "float64") for name in COLUMNS})
    table.attrs = {"resamples": resamples, "seed": seed, "notes": given.notes}
    return table


def _with_interval(of: Used, values: Floats, resamples: int, seed: int) -> dict[str, object]:
    """Both correlations of one metric, and their intervals or the reason why not."""
    if not len(values) or values.min() == values.max() or len(of.levels) < 2:
        return {"message": "constant" if len(values) else "no rows"}
    order = np.argsort(values, kind="stable")
    found: dict[str, object] = {
        "pearson": correlation(values, of.outcome),
        "spearman": correlation(middles(values, order), of.score),
        "message": "",
    }
    if of.frames < FEWEST_FRAMES:
        return found | {"message": f"interval not computed: {of.frames} frames, {FEWEST_FRAMES} needed"}
    with np.errstate(over="ignore", invalid="ignore"):  # as in `correlation`
        x, y = (values - values.mean())[order], (of.outcome - of.outcome.mean())[order]
    group = np.unique(of.outcome, return_inverse=True)[1].astype(np.int32)[order]
    drawn = kernel.resampled(x, y, group, of.frame[order], frames=of.frames, resamples=resamples, seed=seed)
    known = ~np.isnan(drawn[:, 0])
    if known.mean() < 1 - MOST_UNDEFINED:
        share = f"{100 * (1 - known.mean()):.1f} % of the resamples, {100 * MOST_UNDEFINED:.0f} % allowed"
        return found | {"message": f"interval not computed: undefined in {share}"}
    low, high = np.clip(np.quantile(drawn[known], (0.025, 0.975), axis=0), -1, 1).tolist()
    return found | {"pearson_low": low[0], "pearson_high": high[0], "spearman_low": low[1], "spearman_high": high[1]}


def redundant(metrics: pd.DataFrame, *, limit: float = 0.9, seed: int = 0) -> pd.DataFrame:
    """Pairs of metrics that say the same: `first`, `second`, `spearman` (-1..1, over `limit` in size), `n` rows; closest first.

    Rows where one of the two is missing are left out; pairs with fewer than three rows or a constant side are no pairs. More
    than 100,000 rows are sampled by `seed`; ``attrs["rows"]`` tells how many were used. Source: reference evaluation.md 14.

    Raises
    ------
    UsageError
        A column is not numeric.
    """
    row = np.arange(len(metrics))
    if len(row) > MOST_ROWS:
        row = np.sort(np.random.default_rng(seed).choice(len(row), MOST_ROWS, replace=False, shuffle=False))
    values = {str(name): numeric(str(name), metrics[name])[row] for name in metrics.columns}
    columns = {name: _ranked(column) for name, column in values.items()}
    found = []
    for first, second in combinations(values, 2):
        rho, n = _spearman(columns[first], columns[second])
        if abs(rho) > limit:
            found.append((first, second, rho, n))
    found.sort(key=lambda pair: -abs(pair[2]))
    table = pd.DataFrame(found, columns=["first", "second", "spearman", "n"])
    table = table.astype({"first": "str", "second": "str", "spearman": "float64", "n": "int64"})
    table.attrs = {"rows": len(row), "limit": limit, "seed": seed}
    return table


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A metric, and what pairs that know the same rows need not find again."""

    values: Floats
    known: NDArray[np.bool_]
    order: Ints
    rank: Floats
    """Among the known rows, of length 1; NaN where all are equal."""


def _ranked(values: Floats) -> _Ranked:
    known, order = ~np.isnan(values), np.argsort(values, kind="stable")
    rank = _among(values, known, order)
    with np.errstate(invalid="ignore"):
        return _Ranked(values, known, order, rank / np.linalg.norm(rank))


def _among(values: Floats, known: NDArray[np.bool_], order: Ints) -> Floats:
    """Mid-ranks among known rows, whose places in the order are those of all rows with the others left out."""
    number = np.cumsum(known) - 1
    return middles(values[known], number[order[known[order]]])


def _spearman(x: _Ranked, y: _Ranked) -> tuple[float, int]:
    """Rank correlation where both are known, and of how many rows; NaN is never over a limit."""
    known = x.known & y.known
    n = int(known.sum())
    if n < 3:
        return math.nan, n
    if n == len(x.rank) == len(y.rank):
        return float(np.clip(x.rank @ y.rank, -1, 1)), n
    return correlation(*(_among(of.values, known, of.order) for of in (x, y))), n


def correlation(x: Floats, y: Floats) -> float:
    """Pearson's correlation, -1..1; NaN where one side is constant, or too large for sums of squares."""
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest there are
        x, y = x - x.mean(), y - y.mean()
        scale = math.sqrt(float(x @ x)) * math.sqrt(float(y @ y))
        return float(np.clip(float(x @ y) / scale, -1, 1)) if scale else math.nan
