"""The joint view: how much all metrics together tell about the outcome, and which still matter beside the others.

`importance.importance` looks at one metric at a time; here boosted trees see all of them. A metric that only goes along with a
cause is important there and not here. Like it, the joint view tells what goes along with failures, not what causes them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gpu_quality.analysis.correlation import redundant
from gpu_quality.analysis.importance import FEWEST_RARE, FEWEST_ROWS, MANY_MISSING
from gpu_quality.analysis.importance_rows import Floats, Rows, all_equal, frame_values, metric_levels, rows_of
from gpu_quality.analysis.joint_model import FOLDS, Predicted, Question, predicted
from gpu_quality.errors import UsageError

MOST_ROWS: Final = 100_000
FEWEST_FRAMES: Final = 10
"""Folds of one frame are too alike for an interval."""
RESAMPLES: Final = 400
AT_ONCE: Final = 40
"""Resamples summed by one product of matrices: 2 to 6 times as fast as one by one on 100,000 frames."""
COLUMNS: Final = (
    dict.fromkeys(("metric", "level", "group"), "str") | dict.fromkeys(("drop", "low", "high"), "float64") | {"message": "str"}
)


@dataclass(frozen=True, slots=True)
class Joint:
    """How much all metrics together explain, and what each adds."""

    table: pd.DataFrame
    """One row per metric, the largest drop first: `metric`, `level`, `group` (names of the metrics that say the same, itself
    included, with commas), `drop` of `explained` when the values of its group are shuffled, with interval `low`, `high` (null
    where the metric was left out or there is no joint view), `message` (why, or a warning; else empty)."""
    explained: float
    """Share of the outcome that predictions for unseen frames explain, 0..1: 1 = all; NaN where `message` says why not."""
    low: float
    high: float
    measure: str
    """What `explained` is a share of: ``entropy`` of two outcomes, or ``variance`` (R2) of a numeric one."""
    auc: float
    """Chance that a success is ranked above a failure, 0..1, .5 = guessing; NaN for a numeric outcome."""
    n: int
    """Rows used."""
    message: str
    """Why there is no joint view, or nothing."""
    notes: tuple[str, ...]
    """What was sampled, left out, or not found, in sentences."""


def joint(
    metrics: pd.DataFrame,
    outcome: ArrayLike,
    *,
    seed: int = 0,
    level: str | Mapping[str, str] | None = None,
    rows: str = "P",
    frames: ArrayLike | None = None,
    most_rows: int = MOST_ROWS,
) -> Joint:
    """How much of the outcome all metrics together explain, and which metrics still matter beside the others.

    Arguments as in `importance.importance`. Boosted trees predict the outcome of every fifth of the frames from the other four
    fifths. Two outcomes: `explained` is ``1 - log loss / entropy``, at least 0; more: ``1 - squared error / variance``.
    A metric's drop is what is lost of that when its values are shuffled among the unseen rows (values of ``F`` metrics among
    frames); a drop whose `low` is above 0 is hardly chance. Metrics with Spearman correlations over .9 are shuffled together,
    else each would hide the other. A missing value is something the trees may use. Intervals: 95 %, from frames drawn with
    replacement. More than `most_rows` rows are sampled.

    Raises
    ------
    UsageError
        Lengths differ, a column is not numeric, a frame metric has several values in one frame, or an option is unknown.
    """
    if most_rows < 1 or seed < 0:
        raise UsageError(f"most_rows must be at least 1 and seed at least 0, got {most_rows} and {seed}")
    level_of = metric_levels(metrics, level, rows)
    given = rows_of(metrics, outcome, frames, seed, most=most_rows)
    usable = {name: values for name, values in given.metrics.items() if not _unusable(values)}
    of = _question(given, usable, level_of)
    groups = _groups(usable, seed)
    table = _outline(given, level_of, groups)
    measure, n = "entropy" if of.classes else "variance", len(of.y)
    if message := _refusal(given, of, rows):
        nothing = math.nan, math.nan, math.nan
        return Joint(_finished(table), *nothing, measure, math.nan, n, message, given.notes)
    place = {name: column for column, name in enumerate(usable)}
    result = predicted(of, [[place[name] for name in group] for group in groups], seed)
    (explained, low, high), drops = _figures(of, result, seed)
    for group, drop in zip(groups, drops.T, strict=True):
        table.loc[table["metric"].isin(group), ["drop", "low", "high"]] = drop
    pairs, right = result.ranked.sum(axis=0)
    auc = float(right / pairs) if pairs else math.nan
    notes = (*given.notes, *_remarks(result))
    return Joint(_finished(table), float(explained), float(low), float(high), measure, auc, n, "", notes)


def _question(given: Rows, usable: Mapping[str, Floats], level_of: Mapping[str, str]) -> Question:
    """The rows as the model sees them."""
    frame, names = pd.factorize(given.frame)
    by_frame = {
        column: frame_values(name, values, frame, len(names))
        for column, (name, values) in enumerate(usable.items())
        if level_of[name] == "F"
    }
    x = np.ascontiguousarray(np.reshape(list(usable.values()), (len(usable), len(frame))).T, np.float64)
    classes = len(np.unique(given.outcome)) <= 2
    middle = given.outcome.mean() if len(frame) else 0.0
    y = (given.outcome == given.outcome.max(initial=-math.inf)) * 1.0 if classes else given.outcome - middle
    return Question(x, y, frame, len(names), classes, by_frame)


def _outline(given: Rows, level_of: Mapping[str, str], groups: Sequence[Sequence[str]]) -> pd.DataFrame:
    """The table without drops."""
    shared = {name: ", ".join(group) for group in groups for name in group}
    return pd.DataFrame(
        [
            (name, level_of[name], shared.get(name, name), math.nan, math.nan, math.nan, _unusable(values) or _warning(values))
            for name, values in given.metrics.items()
        ],
        columns=list(COLUMNS),
    )


def _unusable(values: Floats) -> str:
    known = values[~np.isnan(values)]
    if not len(known):
        return "no values"
    return "constant" if known.min() == known.max() else ""


def _warning(values: Floats) -> str:
    share = float(np.isnan(values).mean())
    return f"{100 * share:.0f} % of the values are missing" if share > MANY_MISSING else ""


def _refusal(given: Rows, of: Question, rows: str) -> str:
    """Why there is no joint view, or nothing."""
    n, (value, count) = len(of.y), np.unique(given.outcome, return_counts=True)
    none = "joint view not computed:"
    if n < FEWEST_ROWS:
        return f"{none} {n} rows, {FEWEST_ROWS} needed"
    if len(count) == 1:
        return all_equal(rows, value[0], n)
    if n - count.max() < FEWEST_RARE:
        return f"{none} {n - count.max()} rows of the rarer outcome, {FEWEST_RARE} needed"
    if of.frames < FEWEST_FRAMES:
        return f"{none} {of.frames} frames, {FEWEST_FRAMES} needed"
    if (among := len(np.unique(of.frame[given.outcome != value[count.argmax()]]))) < FOLDS:
        return f"{none} the rarer outcome occurs in {among} frames, {FOLDS} needed"
    return "" if of.x.shape[1] else f"{none} no metric has two values"


def _groups(usable: Mapping[str, Floats], seed: int) -> list[list[str]]:
    """Metrics in groups that say the same, directly or by way of others."""
    group = {name: [name] for name in usable}
    pairs = redundant(pd.DataFrame(dict(usable)), seed=seed)
    for first, second in pairs.loc[pairs["n"] >= FEWEST_ROWS, ["first", "second"]].itertuples(index=False):
        if group[first] is not group[second]:
            group[first].extend(group[second])
            group.update(dict.fromkeys(group[second], group[first]))
    place = {name: number for number, name in enumerate(group)}
    return [sorted(group[name], key=place.__getitem__) for name in group if min(group[name], key=place.__getitem__) == name]


def _figures(of: Question, result: Predicted, seed: int) -> tuple[Floats, Floats]:
    """Value, low and high of what is explained, and of the drop of each group."""
    sums = np.column_stack([np.ones(len(of.y)), of.y, of.y**2, result.loss, result.tested, result.harm])
    by_frame = np.stack([np.bincount(of.frame, column, minlength=of.frames) for column in sums.T], axis=1)
    rng = np.random.default_rng(seed)
    often = (np.bincount(rng.integers(0, of.frames, of.frames), minlength=of.frames) for _ in range(RESAMPLES))
    drawn = [np.array([*islice(often, AT_ONCE)], np.float64) @ by_frame for _ in range(RESAMPLES // AT_ONCE)]
    share = _shares(np.concatenate([by_frame.sum(axis=0, keepdims=True), *drawn]), classes=of.classes)
    share = share[~np.isnan(share).any(axis=1)]
    figures = np.column_stack([share[:, :1], share[:, :1] - share[:, 1:]])
    out = np.stack([figures[0], *np.quantile(figures[1:], (0.025, 0.975), axis=0)])
    return out[:, 0], out[:, 1:]


def _shares(sums: Floats, *, classes: bool) -> Floats:
    """Explained shares, as it is and with each group shuffled, 0..1; NaN where all outcomes are equal or no row was tested.

    From sums of ones, outcomes, their squares, losses, tested rows, and harm to them per group.
    """
    n, mean = sums[:, 0], sums[:, 1] / sums[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -mean * np.log(mean) - (1 - mean) * np.log1p(-mean)
        whole = entropy if classes else sums[:, 2] / n - mean**2
        harm = sums[:, 5:] / sums[:, 4:5]
        loss = (sums[:, 3] / n)[:, None] + np.column_stack([np.zeros(len(sums)), harm])
        shares: Floats = np.maximum(1 - loss / whole[:, None], 0)
    return shares


def _remarks(result: Predicted) -> list[str]:
    tested, n, missed = int(result.tested.sum()), len(result.tested), int((~result.learned).sum())
    out = [f"drops are found on {tested:,} of the {n:,} rows"] if tested < n else []
    if missed:
        out.append(f"in {missed} of {FOLDS} folds no model predicted better than the mean")
    return out


def _finished(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns in order, the largest drop first."""
    return table.astype(COLUMNS).sort_values("drop", ascending=False, kind="stable", na_position="last", ignore_index=True)
