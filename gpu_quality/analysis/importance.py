"""Which property goes along with success: importance of metrics for an outcome, with p-values and intervals.

Importance is the mutual information between a metric's ranks and the outcome, by nearest neighbors, over the entropy of the
outcome: 0 = knowing the metric tells nothing, 1 = it determines the outcome. It is marginal, not causal. Source: Ross 2014;
reference evaluation.md 14.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from gpu_quality.analysis.correlation import correlation
from gpu_quality.analysis.importance_rows import (
    Floats,
    Rows,
    Used,
    all_equal,
    metric_levels,
    patterns,
    places,
    rows_of,
)
from gpu_quality.analysis.importance_tested import ENOUGH, tested
from gpu_quality.functional.inference import benjamini_hochberg
from gpu_quality.kernels import ranks
from gpu_quality.kernels.ranks.coding import information

COLUMNS: Final = (
    "metric",
    "level",
    "rows",
    "n_used",
    "n_missing",
    "mi_nats",
    "importance",
    "low",
    "high",
    "p",
    "p_adjusted",
    "pearson",
    "spearman",
    "spearman_p_adjusted",
    "message",
)
FEWEST_ROWS: Final = 50
FEWEST_RARE: Final = 10
"""Rows that do not have the commonest outcome."""
FEWEST_PERMUTATIONS: Final = 1999
LIMIT: Final = 0.05
"""Share of chance findings among the significant ones."""
MANY_MISSING: Final = 0.2


def importance(
    metrics: pd.DataFrame,
    outcome: ArrayLike,
    *,
    seed: int = 0,
    level: str | Mapping[str, str] | None = None,
    rows: str = "P",
    frames: ArrayLike | None = None,
    permutations: int | None = None,
    half_samples: int = 200,
    done: Callable[[int], None] = lambda _: None,
) -> pd.DataFrame:
    """How much each metric tells about the outcome: one row per metric, the most important first.

    `metrics` has one numeric column per metric (null = missing) and `outcome` one value per row: 1 success and 0 failure, or
    any number (more than twelve distinct values are taken in tenths). `rows` says what a row is, ``P`` prediction, ``O`` label,
    ``C`` answer or ``F`` frame; `level` what a metric is computed on, for all or per name (default: as `rows`): values of ``F``
    metrics are permuted between `frames` (the frame of each row; default: each its own), others between rows. Half-samples are
    drawn by frame. Rows of a frame share the value of an ``F`` metric, so that the nearest three are often of one frame: it
    takes a strong relation to tell it from chance, where the correlation, if there is one, tells sooner.

    Columns: `metric`, `level`, `rows`, `n_used`, `n_missing`, `mi_nats`, `importance` with interval `low`, `high` (0..1),
    `p` from permutations, `p_adjusted` (Benjamini-Hochberg), `pearson` and `spearman` (-1..1, positive: larger goes with
    better), `spearman_p_adjusted`, `message` (why there is no value, or a warning; else empty). ``attrs`` holds `permutations`,
    `half_samples`, `seed` and `notes`, sentences about sampling. `permutations` is at least 1,999 unless given; the least p is
    1 / (permutations + 1). Unless it is given, those of ``F`` metrics end with the 50th that tells as much as the data; then
    p is 50 over their number (Besag and Clifford 1991), which decides the same and saves most of the time. `done` is told how
    many steps are finished, two for each metric.

    Raises
    ------
    UsageError
        Lengths differ, a column is not numeric, a frame metric has several values in one frame, or an option is unknown.
    """
    level_of = metric_levels(metrics, level, rows)
    given = rows_of(metrics, outcome, frames, seed)
    groups = patterns(given)
    reasons = {name: _reason(name, level_of[name], rows, of, given) for of, names in groups for name in names}
    tests = sum(not reason for reason in reasons.values())
    drawn = permutations or max(FEWEST_PERMUTATIONS, math.ceil(2 * tests / LIMIT))
    found: dict[str, dict[str, Any]] = {}
    for of, names in groups:
        some = {name: given.metrics[name][of.row] for name in names if not reasons[name]}
        for name, values in some.items():
            found[name] = _figures(of, values, half_samples, seed)
            done(1)
        tested(found, of, some, level_of, drawn, ENOUGH if permutations is None else drawn + 1, seed, done)
        done(2 * (len(names) - len(some)))
    table = pd.DataFrame(
        [
            {"metric": name, "level": level_of[name], "rows": rows, "message": reasons[name]}
            | _counts(of, len(given.outcome), given.metrics[name])
            | found.get(name, {})
            for of, names in groups
            for name in names
        ]
    )
    notes = {"permutations": drawn, "half_samples": half_samples, "seed": seed, "notes": given.notes}
    return _finished(table, notes)


def _reason(name: str, level: str, rows: str, of: Used, given: Rows) -> str:
    """Why there is no importance, or nothing."""
    n, most = len(of.row), int(of.levels.max(initial=0))
    none = f"importance of {name} ({level}) not computed:"
    known = int((~np.isnan(given.metrics[name])).sum())
    if min(n, known) < FEWEST_ROWS:
        n = known if known < FEWEST_ROWS else n  # the second: rows whose outcome occurs once are no use
        return f"{none} {n} rows, {FEWEST_ROWS} needed"
    if n == most:
        return all_equal(rows, of.outcome[0], n)
    if n - most < FEWEST_RARE:
        return f"{none} {n - most} rows of the rarer outcome, {FEWEST_RARE} needed"
    values = given.metrics[name][of.row]
    return "constant" if values.min() == values.max() else ""


def _counts(of: Used, n: int, values: Floats) -> dict[str, Any]:
    return {"n_used": len(of.row), "n_missing": int(np.isnan(values).sum()), "of": n}


def _figures(of: Used, values: Floats, half_samples: int, seed: int) -> dict[str, Any]:
    """Information, importance with interval, and correlations of one metric."""
    order = np.argsort(values, kind="stable")
    total = ranks.neighbor_sum(of.code[order], of.levels, of.table)
    mutual, entropy = information(of.levels, total, of.table)
    value = min(max(mutual / entropy, 0.0), 1.0)
    drawn = ranks.halves(
        of.code[order],
        of.frame[order],
        of.table,
        units=of.frames,
        levels=len(of.levels),
        samples=half_samples,
        seed=seed + 1,
    )
    place, rank = places(values[order]), np.empty(len(values))
    rank[order] = place
    return {
        "places": place,
        "total": total,
        "together": float(rank @ of.score) / 2,
        "mi_nats": mutual,
        "importance": value,
        **_interval(value, drawn),
        "pearson": correlation(values, of.outcome),
        "spearman": correlation(rank, of.score),
    }


def _interval(value: float, drawn: Floats) -> dict[str, float]:
    """The spread of half-samples around the value; NaN where fewer than nine in ten are defined."""
    known = drawn[~np.isnan(drawn)]
    if len(known) < 0.9 * len(drawn) or not len(known):
        return {"low": math.nan, "high": math.nan}
    low, high = np.quantile(known, (0.025, 0.975))
    mean = known.mean()
    ends = np.clip((value - (high - mean), value + (mean - low)), 0, 1)
    return {"low": float(ends[0]), "high": float(ends[1])}


def _finished(table: pd.DataFrame, notes: dict[str, Any]) -> pd.DataFrame:
    """The table with its columns in order, adjusted p-values and warnings."""
    table = table.reindex(columns=[*COLUMNS, "of", "spearman_p"])
    table["p_adjusted"] = _adjusted(table["p"])
    table["spearman_p_adjusted"] = _adjusted(table["spearman_p"])
    share = table["n_missing"].to_numpy(np.float64) / np.maximum(table["of"].to_numpy(np.float64), 1)
    warned = (share > MANY_MISSING) & (table["message"] == "").to_numpy()
    table.loc[warned, "message"] = [f"{100 * part:.0f} % of the values are missing" for part in share[warned]]
    kinds = dict.fromkeys(("metric", "level", "rows", "message"), "str") | dict.fromkeys(("n_used", "n_missing"), "int64")
    table = table[list(COLUMNS)].astype({name: kinds.get(name, "float64") for name in COLUMNS})
    table = table.sort_values("importance", ascending=False, kind="stable", na_position="last", ignore_index=True)
    table.attrs = notes
    return table


def _adjusted(p: "pd.Series[float]") -> Floats:
    """p-values after Benjamini and Hochberg; NaN stays and does not count."""
    found: Floats = benjamini_hochberg(torch.tensor(p.to_numpy(np.float64))).numpy()
    return found
