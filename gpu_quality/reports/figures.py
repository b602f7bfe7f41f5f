"""The figures that tables and report show: distributions, issues, groups of copies, extremes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gpu_quality.reports.columns import Column, Sheet
from gpu_quality.reports.histogram import Histogram, histogram

End = Literal["lowest", "highest"]
QUANTILES: Final = (0.05, 0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Distribution:
    """The values of one column in short: how many, how many have none, where they lie."""

    column: Column
    n: int
    null: int
    low: float
    p5: float
    median: float
    p95: float
    high: float
    histogram: Histogram | None
    threshold: float | None
    """Where an issue begins, for the score of one."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One kind of problem: the rows that have it, worst first, of `total` rows that were judged."""

    name: str
    column: Column
    score: Column | None
    threshold: float | None
    rows: NDArray[np.int64]
    total: int

    @property
    def common(self) -> bool:
        """Found on more than half of the frames: perhaps a trait of the data set and no defect."""
        return 2 * len(self.rows) > self.total


@dataclass(frozen=True, slots=True)
class Groups:
    """Frames that repeat each other by one rule, the largest group first."""

    column: Column
    members: tuple[tuple[int, ...], ...]


def distribution(sheet: Sheet, column: Column, bins: int, threshold: float | None = None) -> Distribution:
    """Count, nulls, range, three quantiles and a histogram of a column."""
    values = sheet.values(column.name)
    known = values[np.isfinite(values)]
    if not len(known):
        nothing = float("nan")
        return Distribution(column, 0, len(values), nothing, nothing, nothing, nothing, nothing, None, threshold)
    p5, median, p95 = (float(q) for q in np.quantile(known, QUANTILES))
    low, high = float(known.min()), float(known.max())
    bars = histogram(known, bins, threshold)
    return Distribution(column, len(known), len(values) - len(known), low, p5, median, p95, high, bars, threshold)


def distributions(sheet: Sheet, bins: int) -> list[Distribution]:
    """One for every column that measures something; that of a score shows where an issue begins."""
    flags = ((score_of(sheet, column), column.options.get("threshold")) for column in sheet.of_kind("flag"))
    marks = {score.name: float(mark) for score, mark in flags if score is not None and mark is not None}
    return [distribution(sheet, column, bins, marks.get(column.name)) for column in sheet.of_kind("number")]


def issue_name(column: Column) -> str:
    """What a flag column is about: ``is_dark_issue`` is about ``dark``."""
    return column.name.removeprefix("is_").removesuffix("_issue")


def score_of(sheet: Sheet, flag: Column) -> Column | None:
    """The column a flag was made from: ``dark_score`` for ``is_dark_issue``."""
    return sheet.columns.get(f"{issue_name(flag)}_score")


def issues(sheet: Sheet) -> list[Issue]:
    """Every flag column, those with findings first, the most frequent first."""
    found = [_issue(sheet, column) for column in sheet.of_kind("flag")]
    return sorted(found, key=lambda issue: (-len(issue.rows), issue.name))


def _issue(sheet: Sheet, column: Column) -> Issue:
    flags = sheet.values(column.name)
    rows = np.flatnonzero(flags == 1)
    score = score_of(sheet, column)
    if score is not None:
        values = sheet.values(score.name)[rows]
        rows = rows[np.argsort(-values if score.bad == "high" else values, kind="stable")]
    threshold = column.options.get("threshold")
    if score is not None and threshold is not None and len(rows) and score.bad != "high":
        passed = sheet.values(score.name)[rows] < float(threshold)
        threshold = threshold if passed.all() else None  # where all sizes are equal, any other one is odd
    total = int(np.isfinite(flags).sum())
    return Issue(issue_name(column), column, score, None if threshold is None else float(threshold), rows, total)


def groups(sheet: Sheet) -> list[Groups]:
    """Groups of every column that points at a group's first row; a group that an earlier rule found is not repeated."""
    seen: set[tuple[int, ...]] = set()
    found = []
    for column in sheet.of_kind("group"):
        leaders = np.asarray(sheet.table[column.name].to_numpy(dtype=np.float64, na_value=np.nan))
        rows = np.flatnonzero(np.isfinite(leaders))
        rows = rows[np.argsort(leaders[rows], kind="stable")]
        cuts = np.flatnonzero(np.diff(leaders[rows])) + 1
        members = [tuple(part.tolist()) for part in np.split(rows, cuts) if len(part) > 1]
        new = sorted((group for group in members if group not in seen), key=lambda group: (-len(group), group))
        seen.update(new)
        found.append(Groups(column, tuple(new)))
    return found


def extremes(sheet: Sheet, name: str, end: End, count: int) -> NDArray[np.int64]:
    """Rows with the lowest or highest values of a column, the outermost first; rows without a value never."""
    values = sheet.values(name)
    values = values if end == "lowest" else -values
    order = np.argsort(values, kind="stable")  # NaN sorts last
    return order[: min(count, int((~np.isnan(values)).sum()))]


def worst_ends(column: Column) -> tuple[End, ...]:
    """Where to look for suspicious values of a column: at its bad end, or at both."""
    ends: Mapping[str, tuple[End, ...]] = {"low": ("lowest",), "high": ("highest",)}
    return ends.get(column.bad, ("lowest", "highest"))
