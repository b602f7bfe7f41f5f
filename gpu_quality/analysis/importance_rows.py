"""The rows that importance is computed from: outcome in levels, rows in the order that breaks ties, missing values left out."""

from collections.abc import Mapping
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
OUTCOMES: Final = {
    "P": ("predictions", "false positives", "true positives"),
    "O": ("labels", "missed", "matched"),
    "C": ("answers", "wrong", "right"),
    "F": ("frames", "failures", "successes"),
}
"""What a row is called, and rows with outcome 0 and 1."""

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
    equal: Ints
    """The group of equal outcomes, from the lowest."""
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


def rows_of(metrics: pd.DataFrame, outcome: ArrayLike, frames: ArrayLike | None, seed: int, most: int | None = None) -> Rows:
    """The rows with an outcome, at most a million of them, or `most`.

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
    most = MOST_ROWS if most is None else most
    if len(row) > most:
        notes.append(f"computed from a sample of {most:,} of {len(row):,} rows (seed {seed})")
        row = row[np.random.default_rng(seed).choice(len(row), most, replace=False, shuffle=False)]
    hashes = hashed(row, seed)
    order = np.lexsort((row, hashes))
    row, hashes = row[order], hashes[order]
    values = {str(name): numeric(str(name), metrics[name])[row] for name in metrics.columns}
    equal = np.unique(target[row], return_inverse=True)[1].astype(np.int64)
    return Rows(values, target[row], levels(target[row]), equal, frame[row], hashes, tuple(notes))


def metric_levels(metrics: pd.DataFrame, level: str | Mapping[str, str] | None, rows: str) -> dict[str, str]:
    """What each metric is computed on: as said for all or by name, else as the rows.

    Raises
    ------
    UsageError
        A level or a metric is unknown, or two metrics share a name.
    """
    given = {str(name): code for name, code in level.items()} if isinstance(level, Mapping) else {}
    out = {str(name): given.get(str(name), level if isinstance(level, str) else rows) for name in metrics.columns}
    if len(out) < len(metrics.columns):
        raise UsageError("two metrics have the same name; rename one of the columns")
    for code in {rows, *out.values()}:
        if code not in OUTCOMES:
            raise UsageError(f"no level {code!r}; there are {', '.join(OUTCOMES)}")
    if unknown := sorted(given.keys() - out.keys()):
        raise UsageError(f"a level is given for {unknown[0]}, which is no column of metrics")
    return out


def frame_values(name: str, values: Floats, frame: Ints | NDArray[np.int32], frames: int) -> Floats:
    """The value of each frame, from rows that may miss it.

    Raises
    ------
    UsageError
        A frame has several values.
    """
    known = ~np.isnan(values)
    out = np.full(frames, np.nan)
    out[frame[known]] = values[known]
    if (out[frame[known]] != values[known]).any():
        raise UsageError(f"{name} is a metric of frames (F) but has several values in one frame; give it another level")
    return out


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
    level = (np.cumsum(count > 1) - 1)[rows.level[row]]
    frame, names = pd.factorize(rows.frame[row])
    equal = rows.equal[row]
    size = np.bincount(equal, minlength=1)
    score = ((2 * np.cumsum(size) - size - len(row)) / 2)[equal]
    code = encoded(level, rows.hashes[row])
    count = np.bincount(level, minlength=1).astype(np.int64)
    return Used(row, count, code, frame.astype(np.int32), len(names), rows.outcome[row], score, digammas(len(row)))


def patterns(rows: Rows) -> list[tuple[Used, list[str]]]:
    """Metrics that have values in the same rows, and those rows."""
    same: dict[bytes, list[str]] = {}
    for name, values in rows.metrics.items():
        same.setdefault(np.packbits(~np.isnan(values)).tobytes(), []).append(name)
    return [(used(rows, ~np.isnan(rows.metrics[names[0]])), names) for names in same.values()]


def all_equal(rows: str, value: float, n: int) -> str:
    """The sentence for rows with one outcome."""
    named = OUTCOMES[rows]
    return f"all {n} {named[0]} are {named[1 + int(value)]}" if value in (0, 1) else f"all {n} outcomes are equal"


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
