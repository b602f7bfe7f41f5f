"""The rows that importance is computed from: outcome in levels, rows in the order that breaks ties, missing values left out."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gpu_quality.errors import UsageError
from gpu_quality.kernels.ranks.coding import digammas, encoded, hashed

MOST_ROWS: Final = 1_000_000
"""More are sampled."""
MOST_LEVELS: Final = 12
"""Outcomes with more distinct values are taken in tenths."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Everything about the rows of one question, in the order of their hashes."""

    metrics: dict[str, Floats]
    """Values per metric, NaN where missing."""
    outcome: Floats
    level: Ints
    """The outcome as 0, 1, 2, ..."""
    frame: Ints
    hashes: NDArray[np.uint64]
    notes: tuple[str, ...]
    """What was left out, in sentences."""


@dataclass(frozen=True, slots=True)
class Used:
    """Rows that have a value of a metric, and what all metrics with the same ones share."""

    row: Ints
    """Rows of `Rows`."""
    levels: Ints
    """Number of rows per level."""
    code: NDArray[np.uint32]
    frame: NDArray[np.int32]
    frames: int
    outcome: Floats
    score: Floats
    """Mid-ranks of the outcome around their mean."""
    table: Ints


def rows_of(metrics: pd.DataFrame, outcome: ArrayLike, frames: ArrayLike | None, seed: int) -> Rows:
    """The rows with an outcome, at most a million of them.

    Raises
    ------
    UsageError
        Lengths differ, or something is not numeric.
    """
    target = numeric("outcome", outcome)
    frame = np.arange(len(target)) if frames is None else pd.factorize(np.asarray(frames))[0].astype(np.int64)
    for what, length in (("outcome", len(target)), ("frames", len(frame))):
        if length != len(metrics):
            raise UsageError(f"{what} has {length} rows and metrics has {len(metrics)}; give one value per row")
    notes = []
    row = np.flatnonzero(np.isfinite(target))
    if len(row) < len(target):
        notes.append(f"{len(target) - len(row):,} rows without an outcome are left out")
    if len(row) > MOST_ROWS:
        notes.append(f"computed from a sample of {MOST_ROWS:,} of {len(row):,} rows (seed {seed})")
        row = row[np.random.default_rng(seed).choice(len(row), MOST_ROWS, replace=False, shuffle=False)]
    hashes = hashed(row, seed)
    order = np.lexsort((row, hashes))
    row, hashes = row[order], hashes[order]
    values = {str(name): numeric(str(name), metrics[name])[row] for name in metrics.columns}
    return Rows(values, target[row], levels(target[row]), frame[row], hashes, tuple(notes))


def numeric(name: str, values: ArrayLike | pd.Series) -> Floats:
    """Values as float64; nulls and infinite values become NaN.

    Raises
    ------
    UsageError
        They are text, lists or the like.
    """
    try:
        out = pd.to_numeric(pd.Series(values)).to_numpy(np.float64, na_value=np.nan, copy=True)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} is not numeric: {error}; leave the column out or turn it into numbers") from error
    out[~np.isfinite(out)] = np.nan
    return np.asarray(out, np.float64)


def levels(outcome: Floats) -> Ints:
    """The outcome as 0, 1, 2, ...; tenths of equal count where there are more than twelve values (equal ones stay together)."""
    value, level = np.unique(outcome, return_inverse=True)
    if len(value) <= MOST_LEVELS:
        return np.asarray(level, np.int64)
    edges = np.unique(np.quantile(outcome, np.arange(1, 10) / 10))
    return np.asarray(np.searchsorted(edges, outcome, side="right"), np.int64)


def iou_levels(iou: ArrayLike, matched: ArrayLike) -> Ints:
    """The target ``iou``: 0 for false positives, and 1 .. 10 for the tenth a match's IoU lies in among all matches."""
    overlap, hit = np.asarray(iou, np.float64), np.asarray(matched, bool)
    out = np.zeros(len(overlap), np.int64)
    if hit.any():
        edges = np.quantile(overlap[hit], np.arange(1, 10) / 10)
        out[hit] = 1 + np.searchsorted(edges, overlap[hit], side="right")
    return out


def used(rows: Rows, known: NDArray[np.bool_]) -> Used:
    """The rows that are known and whose level has another row."""
    row = np.flatnonzero(known)
    count = np.bincount(rows.level[row], minlength=1)
    row = row[count[rows.level[row]] > 1]
    level = np.unique(rows.level[row], return_inverse=True)[1].astype(np.int64)
    frame, names = pd.factorize(rows.frame[row])
    score = middles(rows.outcome[row], np.argsort(rows.outcome[row], kind="stable")) / 2
    code = encoded(level, rows.hashes[row])
    count = np.bincount(level, minlength=1).astype(np.int64)
    return Used(row, count, code, frame.astype(np.int32), len(names), rows.outcome[row], score, digammas(len(row)))


def patterns(rows: Rows) -> list[tuple[Used, list[str]]]:
    """Metrics that have values in the same rows, and those rows."""
    same: dict[bytes, list[str]] = {}
    for name, values in rows.metrics.items():
        same.setdefault(np.packbits(~np.isnan(values)).tobytes(), []).append(name)
    return [(used(rows, ~np.isnan(rows.metrics[names[0]])), names) for names in same.values()]


def ties(ordered: Floats) -> Ints:
    """Number of the group of equal values each of the sorted values belongs to."""
    return np.concatenate([np.zeros(min(1, len(ordered)), np.int64), np.cumsum(ordered[1:] != ordered[:-1])])


def places(ordered: Floats) -> NDArray[np.int32]:
    """Mid-rank of each of the sorted values, doubled, around 0."""
    group = ties(ordered)
    size = np.bincount(group, minlength=1)
    end = np.cumsum(size)
    return (2 * end - size - len(ordered)).astype(np.int32)[group]


def middles(values: Floats, order: Ints) -> Floats:
    """Mid-rank of each value, doubled, around 0; `order` sorts them."""
    out = np.empty(len(values))
    out[order] = places(values[order])
    return out
