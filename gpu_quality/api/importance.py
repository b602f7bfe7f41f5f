"""The verb `importance`: which properties of frames, labels and predictions go along with success."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.analysis.importance import FEWEST_ROWS
from gpu_quality.analysis.importance import importance as importance_of
from gpu_quality.analysis.importance_rows import iou_levels
from gpu_quality.api.evaluation_json import plain
from gpu_quality.api.progress import Progress, Silent
from gpu_quality.api.results import is_current, keep, kept, kept_table, made_from
from gpu_quality.api.subjects import ROWS, Subjects, check_seed, subjects
from gpu_quality.api.subjects_rows import PER
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.store.store import Store
from gpu_quality.text import clean, close, counted

if TYPE_CHECKING:
    import pandas as pd

NAME: Final = "importance"
OUTCOMES: Final = ("outcome", "iou")
"""Targets that an evaluation tells."""


@dataclass(frozen=True, slots=True)
class Importance:
    """How much each metric tells about an outcome, for predictions, labels or frames."""

    table: "pd.DataFrame"
    """The columns of `gpu_quality.analysis.importance.importance`, with intervals of both correlations; most important first
    within predictions (P), labels (O) and frames (F)."""
    joint: dict[str, dict[str, Any]]
    """By rows (P, O, F): how much all metrics together explain, and what each adds to the others."""
    redundant: "pd.DataFrame"
    """Pairs of metrics that say the same: rows, first, second, spearman, n."""
    params: dict[str, Any]
    notes: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    """Rows of each kind."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as one object that JSON can hold."""
        return {
            "params": self.params,
            "rows": self.sizes,
            "metrics": plain(self.table.to_dict("records")),
            "joint": self.joint,
            "redundant": plain(self.redundant.to_dict("records")),
            "notes": list(self.notes),
        }


def importance(
    store: Store | str | Path,
    *,
    target: str = "outcome",
    rows: str | None = None,
    metrics: Sequence[str] = (),
    predictions: str | None = None,
    classes: Sequence[str] = (),
    iou: float | None = None,
    confidence: float | None = None,
    where: str = "",
    permutations: int | None = None,
    joint: bool = True,
    seed: int = 0,
    write: bool = True,
    progress: Progress | None = None,
) -> Importance:
    """Which metrics go along with success: mutual information with the outcome, correlation, and what all explain together.

    `target` is ``outcome`` (true or false of predictions, matched or missed of labels), ``iou`` (of predictions, in
    tenths) or any numeric column; `rows` is P predictions, O labels, C answers, F frames (default: P and O for the
    outcome, else those the column belongs to). `metrics` keeps some; the rest are filters as `subjects` has them. The
    answer is kept in ``results/importance.json`` unless `write` is False. Few rows give no value and a sentence. Raises
    `UsageError`, `UnknownNameError`. Source: reference evaluation.md 14.
    """
    check_seed(seed)
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    told = progress or Silent()
    kinds = _kinds(opened, target, rows)
    params = {"target": target, "rows": kinds, "metrics": list(metrics), "permutations": permutations, "seed": seed}
    parts: list[_Part] = []
    judge = target in OUTCOMES
    scope = {"predictions": predictions, "classes": classes, "iou": iou, "confidence": confidence, "where": where}
    found = [subjects(opened, kind, judge=judge, **scope) for kind in kinds]  # type: ignore[arg-type]
    for given, own in zip(found, _asked(found, metrics), strict=True):
        parts.append(_of(given, target, own, permutations, told, joint=joint, seed=seed))
        params |= given.at
    import pandas as pd

    answer = Importance(
        pd.concat([part.table for part in parts], ignore_index=True),
        {part.rows: part.joint for part in parts if part.joint},
        pd.concat([part.redundant for part in parts], ignore_index=True),
        plain(params),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        {part.rows: part.size for part in parts},
    )
    if not write:
        return answer
    whole = _with_earlier(opened, answer)
    refused = keep(opened, NAME, {**whole.to_dict(), "made_from": made_from(opened)}, {"": whole.table})
    return answer if not refused else replace(answer, notes=(*answer.notes, refused))


def _with_earlier(store: Store, answer: Importance) -> Importance:
    """The answer with what was kept of the same question about other kinds of rows."""
    import pandas as pd

    before = kept(store, NAME) or {}
    same = {**answer.params, "rows": before.get("params", {}).get("rows")} == before.get("params")
    others = [kind for kind in before.get("rows", {}) if kind not in answer.sizes]
    if not same or not others or not is_current(store, before):
        return answer
    table = kept_table(store, NAME)
    if table is None:
        return answer
    tables = [answer.table, table[table["rows"].isin(others)]]
    pairs = [pair for pair in before["redundant"] if pair["rows"] in others]
    return Importance(
        pd.concat(tables, ignore_index=True),
        answer.joint | {kind: found for kind, found in before["joint"].items() if kind in others},
        pd.concat([answer.redundant, pd.DataFrame(pairs, columns=answer.redundant.columns)], ignore_index=True),
        {**answer.params, "rows": [*answer.sizes, *others]},
        tuple(dict.fromkeys((*answer.notes, *before["notes"]))),
        answer.sizes | {kind: before["rows"][kind] for kind in others},
    )


def _asked(found: Sequence[Subjects], metrics: Sequence[str]) -> list[list[str]]:
    """The asked metrics that each kind of rows has, of which one must have each. Raises `UnknownNameError`."""
    for name in metrics:
        if not any(name in given.measures for given in found):
            known = dict.fromkeys(name for given in found for name in given.measures)
            who = " and ".join(ROWS[given.rows] for given in found)
            hint = close(name, known) or f"there are {', '.join(known)}"[:400]
            raise UnknownNameError(f"{who} have no measure {clean(name)!r}", hint=hint)
    return [[name for name in metrics or given.measures if name in given.measures] for given in found]


def _kinds(store: Store, target: str, rows: str | None) -> list[str]:
    """Which rows are looked at. Raises `UsageError`, `UnknownNameError`."""
    if rows is not None and rows not in ROWS:
        raise UsageError(f"no rows {clean(rows, 40)!r}", hint=f"choose {', '.join(ROWS)}")
    if rows == "C" and not store.input.count("classifications"):
        raise UsageError(f"{store.path} holds no answers about whole images", hint="--rows predictions or labels")
    if target == "outcome":
        answered = not store.input.count("objects") and store.input.count("classifications")
        return [rows] if rows else ["C"] if answered else ["P", "O"]
    if target == "iou":
        if rows not in (None, "P"):
            raise UsageError("the target iou is about predictions", hint="leave --rows out")
        return ["P"]
    facts = store.columns()
    if target not in facts:
        known = ["outcome", "iou", *facts]
        hint = close(target, known) or f"there are {', '.join(known)}"[:400]
        raise UnknownNameError(f"there is no column {clean(target, 200)!r} to explain", hint=hint)
    per, predicted = facts[target].get("per", "frame"), len(store.identity["origins"]) > 1
    kinds = {"P": predicted, "O": "set" not in facts[target]}  # a column of a set says nothing of labels
    fits = [kind for kind in ROWS if PER[kind] == per and kinds.get(kind, True)]
    if rows is not None and rows not in fits:
        raise UsageError(f"{target} is no column of {ROWS[rows]}", hint="leave --rows out")
    return [rows] if rows else fits


@dataclass(frozen=True, slots=True)
class _Part:
    rows: str
    table: "pd.DataFrame"
    joint: dict[str, Any]
    redundant: "pd.DataFrame"
    notes: tuple[str, ...]
    size: int


def _of(
    given: Subjects, target: str, metrics: Sequence[str], permutations: int | None, progress: Progress, *, joint: bool,
    seed: int,
) -> _Part:  # fmt: skip
    """Importance, correlations and the joint view of one kind of rows."""
    from gpu_quality.analysis.correlation import correlations, redundant

    outcome = _target(given, target)
    names = [name for name in metrics if name != target]
    known = np.flatnonzero(~np.isnan(outcome))
    values = given.table[names].iloc[known].astype(np.float64).reset_index(drop=True)
    frames, success = given.frame[known], outcome[known]
    progress.begin(3 * len(names), 0, f"importance for {len(values):,} {ROWS[given.rows]}")
    level = {name: given.measures[name].level for name in names}
    table = importance_of(values, success, seed=seed, level=level, rows=given.rows, frames=frames, permutations=permutations)
    notes = (*given.notes, *table.attrs["notes"], *_few(given, len(known)))
    spread = correlations(values, success, frames=frames, seed=seed, done=lambda count: progress.advance(count, 0))
    progress.end()
    ends = ["pearson_low", "pearson_high", "spearman_low", "spearman_high"]
    table = table.merge(spread[["metric", *ends]], on="metric", how="left")
    whole = _joint(values, success, level, given.rows, frames, seed) if joint else {}
    pairs = redundant(values, seed=seed)
    pairs.insert(0, "rows", given.rows)
    return _Part(given.rows, table, whole, pairs, notes, len(known))


def _few(given: Subjects, count: int) -> list[str]:
    if count >= FEWEST_ROWS:
        return []
    return [f"{counted(count, ROWS[given.rows].removesuffix('s'))}: too few to tell, {FEWEST_ROWS} needed"]


def _joint(
    values: "pd.DataFrame", success: NDArray[np.float64], level: dict[str, str], rows: str, frames: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    from gpu_quality.analysis.joint import joint

    found = joint(values, success, seed=seed, level=level, rows=rows, frames=frames)
    facts = ("explained", "low", "high", "measure", "auc", "n", "message", "notes")
    told = {name: getattr(found, name) for name in facts} | {"metrics": found.table.to_dict("records")}
    return dict(plain(told))


def _target(given: Subjects, target: str) -> NDArray[np.float64]:
    """What is explained, one number per row, NaN where a row takes no part."""
    if target == "outcome":
        return given.known_success()
    if target == "iou":
        hit, iou = given.known_success(), given.iou
        assert iou is not None  # noqa: S101 - evaluated predictions have it
        return np.where(np.isnan(hit), np.nan, iou_levels(np.nan_to_num(iou), hit == 1).astype(np.float64))
    column = given.store.column(target, PER[given.rows]).iloc[given.place]
    try:
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError):
        raise UsageError(f"{target} is not a number: it cannot be explained", hint="choose a numeric column") from None
