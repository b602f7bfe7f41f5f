"""The verb `outliers`: frames, labels and predictions whose measures or vectors lie far from the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.analysis.outliers import RULES
from gpu_quality.api.outliers_rows import COLUMNS, Judgment, Named, judge
from gpu_quality.api.outliers_vectors import EMBEDDING, by_embedding
from gpu_quality.api.results import keep, made_from
from gpu_quality.api.subjects import Subjects, subjects
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.store.store import Store
from gpu_quality.text import close

if TYPE_CHECKING:
    import pandas as pd

ROWS: Final[Mapping[str, str]] = {"frames": "F", "labels": "O", "predictions": "P", "answers": "C"}
_LEVELS: Final[Mapping[str, tuple[str, ...]]] = {"C": ("C", "F")}
"""Measures of which levels rows are judged by, where not of their own alone: answers are about frames."""
NAME: Final = "outliers"
_CHANCE: Final = ("random", "object_random")
"""Stores of earlier versions call them fractions."""


@dataclass(frozen=True, slots=True)
class Outliers:
    """What lies far from the others, the most telling first."""

    facts: dict[str, Any]
    """`params`, `at`, `measures` (their names), `counts` (judged, outliers, severe, listed), `made_from`."""
    summary: "pd.DataFrame"
    """Per metric, and per class with ``by="class"``: `metric`, `unit`, `class`, `values`, `nulls`, `outliers`, `moderate`,
    `severe`, `low`, `high`, `message` (why there are no bounds); those with the most severe outliers first."""
    subjects: "pd.DataFrame"
    """Per frame or object with outliers: `subject`, `frame`, `class`, `metrics` (in how many it is one), `severe`, `farthest`
    (the metric it is farthest out in) and `excess` there; those in most metrics first."""
    notes: tuple[str, ...]
    _rows: "pd.DataFrame" = field(repr=False)

    def table(self) -> "pd.DataFrame":
        """One row per outlier and metric, the one farthest beyond its bound first, those of groups under ten values last.

        Columns: `subject` (id of the frame or object), `frame`, `class`, `metric`, `value`, `low`, `high` (bounds), `severity`,
        `distance` (to the nearer quartile or the median, in the metric's unit), `excess` (that in multiples of the distance at
        which outliers begin), `quantile` (share of the values of its group that are not larger, 0..1).
        """
        return self._rows

    def to_dict(self, count: int | None = None) -> dict[str, Any]:
        """Everything as one object that JSON can hold; at most `count` outliers and subjects."""
        head = slice(None, count)
        tables = {"summary": self.summary, "subjects": self.subjects[head], "outliers": self._rows[head]}
        plain = {name: _records(table) for name, table in tables.items()}
        return {**self.facts, **plain, "notes": list(self.notes)}


def outliers(
    store: str | Path | Store,
    *,
    metrics: Sequence[str] = (),
    rows: str = "frames",
    rule: str = "iqr",
    by: str | None = None,
    severity: str | None = None,
    embedding: bool = False,
    predictions: str | None = None,
    where: str = "",
) -> Outliers:
    """Frames, labels, predictions or answers about frames (`rows`) whose value of a metric is an outlier.

    `metrics` names the metrics, without it all measures of such rows are looked at; flags, identifiers, ranks and random
    numbers never are. `rule` is iqr, modified_z or adaptive (`analysis.outliers.outliers`); ``by="class"`` applies it inside
    each class. ``severity="severe"`` lists only those beyond 2.5 interquartile ranges. `embedding` judges by the mean cosine
    distance to the five nearest (of the class) instead of by measures, or besides the named ones. Kept in the results as
    `outliers`, with the tables `outliers`, `outliers_subjects` and `outliers_summary`.

    Raises
    ------
    UsageError
        Values nobody knows, a flag as a metric, classes of frames, vectors that are not stored.
    """
    level = _checked(rows, rule, by, severity)
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    found = subjects(opened, level, predictions=predictions, where=where, judge=False)
    names = [] if embedding and not metrics else _measures(found, metrics, opened, rows)
    named = [Named(name, found.measures[name].unit, found.values(name)) for name in names]
    vectors = by_embedding(found, by=by) if embedding else None
    named += [vectors.named] if vectors is not None else []
    notes = [*found.notes, *(vectors.notes if vectors is not None else ())]
    classes = found.table["class"].to_numpy(dtype=object) if by == "class" else None
    judged = judge(found, named, rule=rule, classes=classes, one_sided=EMBEDDING if embedding else ())
    params = {
        "rows": rows, "metrics": list(metrics), "rule": rule, "by": by, "severity": severity, "embedding": embedding,
        "predictions": predictions, "where": where,
    }  # fmt: skip
    return _kept(opened, _answer(found, judged, params, notes))


def _checked(rows: str, rule: str, by: str | None, severity: str | None) -> str:
    """The level of the rows. Raises `UsageError`."""
    for what, given, known in (("rows", rows, ROWS), ("rule", rule, RULES)):
        if given not in known:
            raise UsageError(f"{what} {given!r}: there is no such", hint=close(given, known) or f"choose {', '.join(known)}")
    if by not in (None, "class"):
        raise UsageError(f"by {by!r}: rules are applied to everything or inside each class", hint="choose class")
    if by == "class" and rows == "frames":
        raise UsageError("by class: frames have none", hint="choose the rows labels, predictions or answers")
    if severity not in (None, "severe"):
        raise UsageError(f"severity {severity!r}: there is no such", hint="choose severe")
    if severity and rule != "iqr":
        raise UsageError(f"severity: the rule {rule} tells outliers, not how severe they are", hint="choose the rule iqr")
    return ROWS[rows]


def _measures(found: Subjects, wanted: Sequence[str], store: Store, rows: str) -> list[str]:
    """The named measures, else all of the level. Raises `UsageError`."""
    known = found.measures.items()
    levels = _LEVELS.get(found.rows, (found.rows,))
    own = {name: of for name, of in known if of.level in levels and not of.flag and name not in _CHANCE}
    for name in wanted:
        if name in own:
            continue
        other = found.measures.get(name)
        if other is not None and other.flag:
            raise UsageError(f"{name} is a flag: yes and no have no outliers", hint="name the score it is made from")
        facts = store.columns().get(name)
        per = facts and facts["per"]
        if per in ("frame", "object") and (per == "frame") != (found.rows == "F"):
            hint = "choose the rows frames" if per == "frame" else "choose the rows labels or predictions"
            raise UsageError(f"{name} is measured on {per}s, not on {rows}", hint=hint)
        if facts is not None or other is not None:
            raise UsageError(f"{name} cannot have outliers: it has no values here, or they measure nothing", hint=_some(own))
        raise UnknownNameError(f"{rows} have no measure called {name!r}", hint=close(name, own) or f"there are {_some(own)}")
    return list(dict.fromkeys(wanted)) if wanted else list(own)


def _some(names: Mapping[str, Any]) -> str:
    return ", ".join(list(names)[:20]) or "none"


def _answer(found: Subjects, judged: Judgment, params: dict[str, Any], notes: list[str]) -> Outliers:
    """Tables in order, and the facts about them."""
    table = judged.rows
    if params["severity"] is not None:
        table = table[table["severity"] == params["severity"]].reset_index(drop=True)
    count = len(found.table)
    if not count:
        notes.append(f"there are no {params['rows']} to look at")
    elif not judged.metrics:
        notes.append(f"no measure of {params['rows']} is stored: run with --metrics, or look at other rows with --rows")
    severe = int((judged.rows["severity"] == "severe").sum()) if params["rule"] == "iqr" else None
    facts = {
        "params": params,
        "at": dict(found.at),
        "measures": judged.metrics,
        "counts": {"judged": count, "outliers": len(judged.rows), "severe": severe, "listed": len(table)},
        "made_from": made_from(found.store),
    }
    return Outliers(facts, judged.summary, judged.subjects(table), tuple(notes), table[list(COLUMNS)])


def _kept(store: Store, answer: Outliers) -> Outliers:
    """The answer, written into the store where that is possible."""
    facts = {**answer.facts, "notes": list(answer.notes)}
    tables = {"": answer.table(), "subjects": answer.subjects, "summary": answer.summary}
    why = keep(store, NAME, facts, tables)
    if not why:
        return answer
    return Outliers(answer.facts, answer.summary, answer.subjects, (*answer.notes, why), answer.table())


def _records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Rows as dictionaries; null and non-finite values are None."""
    columns = {str(name): _plain(table[name].to_numpy()) for name in table}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(values: NDArray[Any]) -> list[Any]:
    if values.dtype.kind == "f":
        return [value if known else None for value, known in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)]
    return [None if value is None or value != value else value for value in values.tolist()]
