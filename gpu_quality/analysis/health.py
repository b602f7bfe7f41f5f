"""Annotation health: everything that is wrong or odd in labels and predictions, as one table, nothing repaired.

>>> import gpu_quality as gq
>>> from gpu_quality.analysis import health
>>> found = health.findings(gq.open_dataset(labels="labels.json"))  # doctest: +SKIP
>>> health.summary(found)  # doctest: +SKIP
"""

from collections.abc import Sequence

import pandas as pd

from gpu_quality.analysis.balance import balance as balance_of
from gpu_quality.analysis.health_classes import class_findings
from gpu_quality.analysis.health_codes import CODES, SEVERITIES, Code, Limits
from gpu_quality.analysis.health_frames import frame_findings, has_labels
from gpu_quality.analysis.health_pairs import pair_findings
from gpu_quality.analysis.health_records import record_findings, refused
from gpu_quality.analysis.health_rows import COLUMNS, Rows, collected, typed
from gpu_quality.analysis.health_shapes import shape_findings
from gpu_quality.analysis.health_view import Sides, View
from gpu_quality.annotations import Dataset

__all__ = ["CODES", "COLUMNS", "SEVERITIES", "Code", "Limits", "findings", "summary", "typed"]

_DEFAULT = Limits()


def findings(
    tables: Dataset,
    *,
    decoded: Sides | None = None,
    questions: Sequence[str] = (),
    limits: Limits = _DEFAULT,
    balance: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Everything wrong or odd in these tables, one row each: reference metrics.md 11.3.

    Columns: code, severity (error, warning, info), origin, file, record (line, or place in the file's list), frame, object,
    other (the partner object), value (what was measured) and detail (a sentence). Sorted by severity, code, frame, object; what
    does not apply is null. `decoded` are widths and heights that the images really have, one per frame, null or below 1 where
    unknown; `questions` those that were asked, where known; `balance` the table of `balance.balance`, made here without it.
    ``attrs["notes"]`` holds a sentence for every check that could not look at everything.
    """
    view, rows = View.of(tables, decoded), Rows(tables)
    notes: list[str] = []
    parts = [refused(tables, view, rows)]
    parts += shape_findings(view, rows, limits)
    parts += record_findings(tables, view, rows)
    parts += pair_findings(view, rows, tables.classes, limits, notes)
    parts += frame_findings(tables, rows, decoded)
    if has_labels(tables):
        filled = balance_of(tables) if balance is None else balance
        parts += class_findings(tables, rows, filled, limits, questions)
    found = collected(parts, tables.origins)
    found.attrs["notes"] = tuple(notes)
    return found


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """How often each check spoke: code, severity, origin, count, and the first example's frame, object and detail."""
    keys = ["severity", "code", "origin"]
    groups = found.groupby(keys, observed=True, dropna=False, sort=False)
    first = groups.head(1)[[*keys, "frame", "object", "detail"]].reset_index(drop=True)
    first.insert(3, "count", groups.size().to_numpy())
    columns = ["code", "severity", "origin", "count", "frame", "object", "detail"]
    return first.rename(columns={"detail": "example"})[[*columns[:-1], "example"]]
