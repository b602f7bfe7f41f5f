"""Outliers of several metrics side by side: in which metrics a frame or an object is one, and how far out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gpu_quality.analysis.outliers import outliers
from gpu_quality.api.subjects import Subjects

COLUMNS: Final = (
    "subject", "frame", "class", "metric", "value", "low", "high", "severity", "distance", "excess", "quantile"
)  # fmt: skip
_SUMMARY: Final = (
    "metric", "unit", "class", "values", "nulls", "outliers", "moderate", "severe", "low", "high", "message"
)  # fmt: skip
FEW: Final = 10
"""Quartiles of fewer values are chance: what lies outside of them is listed behind everything else."""
_SUBJECTS: Final = ("subject", "frame", "class", "metrics", "severe", "farthest", "excess")
_TYPES: Final = {
    **dict.fromkeys(("subject", "frame", "class", "metric", "severity", "unit", "message", "farthest"), "str"),
    **dict.fromkeys(("value", "low", "high", "distance", "excess", "quantile"), "float64"),
    **dict.fromkeys(("values", "nulls", "outliers", "metrics"), "int64"),
    **dict.fromkeys(("moderate", "severe"), "Int64"),
}


class Named(NamedTuple):
    """One metric: its values in the order of the subjects, NaN where there is none."""

    name: str
    unit: str
    numbers: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judgment:
    """Outliers of every metric, farthest beyond their bounds first, and the bounds."""

    rows: pd.DataFrame
    """`COLUMNS`, and `row` of the subject."""
    summary: pd.DataFrame
    metrics: list[str]

    def subjects(self, listed: pd.DataFrame) -> pd.DataFrame:
        """Who is an outlier in how many metrics of the listed rows, most first, then by the severe ones and the excess."""
        groups = listed.groupby("row", sort=False)
        first = listed.loc[~listed["row"].duplicated(), ["row", "subject", "frame", "class", "metric", "excess"]]
        first = first.set_index("row").rename(columns={"metric": "farthest"})  # rows are sorted by excess
        severe = (listed["severity"] == "severe").groupby(listed["row"], sort=False).sum()
        table = first.assign(metrics=groups.size(), severe=severe)
        table = table.reset_index().sort_values(
            ["metrics", "severe", "excess", "row"], ascending=[False, False, False, True], ignore_index=True
        )
        if not (listed["severity"] != "outlier").any():
            table["severe"] = pd.NA  # other rules know no severity
        return _typed(table, _SUBJECTS)


def judge(
    found: Subjects, named: Sequence[Named], *, rule: str, classes: NDArray[Any] | None, one_sided: Collection[str] = ()
) -> Judgment:
    """Apply a rule to metrics, inside each class where `classes` are given; of those in `one_sided` only high values count."""
    parts, facts = [], []
    for metric in named:
        table = outliers(metric.numbers, rule=rule, groups=classes)
        judged, names = table.attrs["judged"], table.attrs["groups"] or [None]
        table.attrs = {}
        if metric.name in one_sided:
            table = table[table["value"] > table["high"]]
        facts += _summary(metric, table, list(zip(names, judged, strict=False)), classes)
        few = np.array([of.known < FEW for of in judged], bool)
        parts.append(table.assign(metric=metric.name, few=few[table["group"]]))
    rows = pd.concat(parts or [outliers([]).assign(metric="", few=False)], ignore_index=True)
    summary = pd.DataFrame(facts, columns=list(_SUMMARY))
    if rule != "iqr":
        summary[["moderate", "severe"]] = pd.NA
    if one_sided:
        summary.loc[summary["metric"].isin(one_sided), "low"] = np.nan
        rows.loc[rows["metric"].isin(one_sided), "low"] = np.nan
    total = summary.groupby("metric")[["values", "outliers"]].transform("sum")
    order = np.lexsort((-summary["outliers"], -total["outliers"], -summary["severe"].fillna(0).astype("int64")))
    return Judgment(_rows(found, rows), _typed(summary.iloc[order], _SUMMARY), [metric.name for metric in named])


def _summary(
    metric: Named, table: pd.DataFrame, groups: Sequence[tuple[Any, Any]], classes: NDArray[Any] | None
) -> list[dict[str, Any]]:
    """What the rule says about a metric: a row per class, or one."""
    outside, severe = table["group"].value_counts(), table["group"][table["severity"] == "severe"].value_counts()
    sizes = {None: len(metric.numbers)} if classes is None else pd.Series(classes).value_counts().to_dict()
    facts = []
    for place, (name, judged) in enumerate(groups):
        many, far = int(outside.get(place, 0)), int(severe.get(place, 0))
        bounds = [np.nan if judged.why_none else limit for limit in judged.bounds[:2]]
        row = [metric.name, metric.unit, name, judged.known, int(sizes[name]) - judged.known, many, many - far, far, *bounds]
        facts.append(dict(zip(_SUMMARY, [*row, judged.why_none or None], strict=True)))
    return facts


def _rows(found: Subjects, rows: pd.DataFrame) -> pd.DataFrame:
    """Outliers with the names of what they are about, the one farthest beyond its bound first, those among few values last."""
    rows = rows.sort_values(["few", "excess", "row", "metric"], ascending=[True, False, True, True], ignore_index=True)
    at, table = rows["row"].to_numpy(), found.table
    frame = table["frame"].to_numpy(dtype=object)[at]
    subject = table["object"].to_numpy(dtype=object)[at] if "object" in table else frame
    subject = np.where(pd.isna(subject), frame, subject)  # answers about whole frames
    known = table["class"].to_numpy(dtype=object)[at] if "class" in table else np.full(len(at), None)
    return _typed(rows.assign(subject=subject, frame=frame, **{"class": known}), (*COLUMNS, "row"))


def _typed(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The columns in order, each of its type."""
    kinds = {name: _TYPES[name] for name in names if name in _TYPES}
    return table[list(names)].astype(kinds).reset_index(drop=True)
