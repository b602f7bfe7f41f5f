"""The figures as plain values, for JSON: names, numbers, None where there is no number."""

import math
from typing import Any

import numpy as np
import pandas as pd

from gpu_quality.reports.columns import Sheet
from gpu_quality.reports.figures import Distribution, Issue, extremes, worst_ends


def plain(value: float) -> float | None:
    """A float as JSON can hold it."""
    return float(value) if math.isfinite(value) else None


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries; nulls are None."""
    return [{str(k): v for k, v in row.items()} for row in table.astype(object).where(table.notna(), None).to_dict("records")]


def distribution_json(d: Distribution) -> dict[str, Any]:
    """A distribution with the facts of its column."""
    numbers = {"min": d.low, "p5": d.p5, "median": d.median, "p95": d.p95, "max": d.high}
    h = d.histogram
    return {
        "column": d.column.name,
        "metric": d.column.metric,
        "topic": d.column.topic,
        "unit": d.column.unit,
        "bad": d.column.bad,
        "n": d.n,
        "null": d.null,
        **{name: plain(value) for name, value in numbers.items()},
        "threshold": d.threshold,
        "histogram": h and {"counts": h.counts.tolist(), "low": h.low, "high": h.high, "below": h.below, "above": h.above},
    }


def issue_json(issue: Issue, sheet: Sheet, count: int) -> dict[str, Any]:
    """An issue with the `count` worst of its frames."""
    ids = sheet.table[sheet.per]
    rows = issue.rows[:count].tolist()
    scores = None if issue.score is None else sheet.values(issue.score.name)
    return {
        "issue": issue.name,
        "column": issue.column.name,
        "threshold": issue.threshold,
        "count": len(issue.rows),
        "of": issue.total,
        "share": len(issue.rows) / issue.total if issue.total else None,
        "on_most_frames": issue.common,
        "worst": [{sheet.per: str(ids.iloc[row]), "score": None if scores is None else plain(scores[row])} for row in rows],
    }


def row_json(sheet: Sheet, row: int) -> dict[str, Any]:
    """What identifies a row: a frame's id; of an object also its frame, class and origin numbers and its box."""
    if sheet.per == "frame":
        return {"frame": str(sheet.table["frame"].iloc[row])}
    found = sheet.table.iloc[row]
    return {
        "object": str(found["object"]),
        "frame": str(found["frame"]),
        "class_id": int(found["class_id"]),
        "origin": int(found["origin"]),
        "box": [float(x) for x in np.asarray(found["box"])],
    }


def extremes_json(sheet: Sheet, name: str, count: int) -> dict[str, list[dict[str, Any]]]:
    """The rows at the bad end of a column, or at both ends: ``{"lowest": [{id, column: value}]}``."""
    values = sheet.values(name)
    return {
        end: [{**row_json(sheet, row), name: float(values[row])} for row in extremes(sheet, name, end, count).tolist()]
        for end in worst_ends(sheet.columns[name])
    }
