"""The verb `performance`: precision, recall and AP along a metric, where they are worst, and which value separates best."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gpu_quality.analysis.performance import ROWS_PER_BIN, Performance
from gpu_quality.analysis.performance import by_class as curves_by_class
from gpu_quality.analysis.performance import performance as curve_of
from gpu_quality.analysis.performance_split import Split, best_split, between, exact
from gpu_quality.api.performance_result import FIGURES, MetricPerformance, Side, save
from gpu_quality.api.slices import condition_of, quoted, sql_text
from gpu_quality.api.subjects import ROWS, Measure, Subjects, check_seed, subjects
from gpu_quality.api.subjects_rows import outcome
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.store.store import Store
from gpu_quality.text import clean, close, counted

_SHARED: Final = (
    "rows of a frame share its {}: the p-value and the interval of the difference know that, the intervals of bins do not"
)
Ints = NDArray[np.int64]


def performance(
    store: str | Path | Store,
    metric: str,
    *,
    rows: str | None = None,
    by_class: bool = False,
    bins: int | None = None,
    edges: Sequence[float] | None = None,
    ap: bool = False,
    where: str = "",
    predictions: str | None = None,
    classes: Sequence[str] = (),
    iou: float | None = None,
    confidence: float | None = None,
    seed: int = 0,
    write: bool = True,
) -> MetricPerformance:
    """How precision (of predictions) and recall (of labels) depend on a stored metric.

    `rows` is P (predictions), O (labels) or C (labeled answers of a classification: accuracy); without it the first two, where
    the metric is known, or the last where there are no objects. Bins hold equal counts (`bins` at most), or lie between
    `edges`. `by_class` adds a curve per class with the same edges, `ap` COCO's AP (IoU .5:.95, all confidences) of each bin as
    a part of the data. `where` (an SQL condition or a saved slice), `predictions` (one of several sets), `classes`, `iou` and
    `confidence` say which rows, and what a success is. `seed` is that of the permutations behind the p-value of the
    separating value. The answer is kept in ``results/performance.json`` and ``.parquet``, beside those about other metrics,
    unless `write` is False.

    Raises
    ------
    UsageError
        A metric, class, set or condition nobody knows, rows that have no success, bins or edges that make no sense.
    """
    _refuse(rows, bins, edges)
    check_seed(seed)
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    answered = not opened.input.count("objects") and opened.input.count("classifications")
    wanted = [rows] if rows else ["C"] if answered else ["P", "O"]
    scope = {"predictions": predictions, "classes": classes, "iou": iou, "where": where}
    found = {kind: subjects(opened, kind, confidence=confidence, **scope) for kind in wanted}  # type: ignore[arg-type]
    known = [one for one in found.values() if metric in one.measures]
    if not known:
        _nobody_knows(found, metric)
    sides = [_side(one, metric, bins, edges, seed, by_class=by_class) for one in known]
    told = dict.fromkeys(note for one in known for note in one.notes if "of no value for" not in note)  # other measures
    notes = [*told, *_notes(sides)]
    if any(one.measures[metric].level == "F" and len(np.unique(one.frame)) < len(one) for one in known):
        notes.append(_SHARED.format(metric))
    if ap and sides[-1].rows == "C":
        raise UsageError("AP is about predictions with boxes, not answers", hint="leave --ap out")
    if ap:
        sides[-1] = replace(sides[-1], ap=_ap(opened, sides[-1], scope))
    params = {
        **known[0].at,
        "rows": rows,
        "by_class": by_class,
        "bins": bins,
        "edges": None if edges is None else list(map(float, edges)),
        "condition": _filter(opened, classes, where),
    }
    answer = MetricPerformance(metric, tuple(sides), {**params, "ap": ap, "seed": seed}, tuple(notes))
    return save(opened, answer) if write else answer


def _refuse(rows: str | None, bins: int | None, edges: Sequence[float] | None) -> None:
    """Refuse what makes no sense before anything is read. Raises `UsageError`."""
    if rows == "F":
        raise UsageError(
            "frames have no success that is 0 or 1, only an F1",
            hint="--rows predictions or labels: metrics of frames work there; `importance` and `query` know frame_f1",
        )
    if rows is not None and rows not in FIGURES:
        raise UsageError(f"no rows {clean(rows, 40)!r}", hint="choose P (predictions), O (labels) or C (answers)")
    if bins is not None and edges is not None:
        raise UsageError("--bins and --edges are two ways to say the same", hint="give one of them")
    curve_of([], [], bins=bins, edges=edges)


def _nobody_knows(found: Mapping[str, Subjects], metric: str) -> NoReturn:
    """Say what might have been meant."""
    names = dict.fromkeys(name for one in found.values() for name in one.measures)
    stored = metric in next(iter(found.values())).store.columns()
    hint = "it is stored, but it is no measure that could explain how they fare" if stored else close(metric, names)
    who = f"{' and '.join(ROWS[kind] for kind in found)} have"
    raise UnknownNameError(f"{who} no measure {clean(metric)!r}", hint=hint or f"there are {', '.join(names)}"[:400])


def _side(one: Subjects, metric: str, bins: int | None, edges: Sequence[float] | None, seed: int, *, by_class: bool) -> Side:
    """The curve of predictions or labels, its weak stretches and the separating value."""
    success = one.known_success()
    used = np.flatnonzero(~np.isnan(success))
    values, hit, measure = one.values(metric)[used], success[used], one.measures[metric]
    curve = curve_of(values, hit, bins=bins, edges=edges)
    split = best_split(values, hit, units=one.frame[used] if measure.level == "F" else None, seed=seed)
    of_class: dict[str, Performance] = {}
    few: dict[str, int] = {}
    if by_class and len(used):
        code, names = pd.factorize(one.table["class"].to_numpy()[used], sort=True)
        found, small = curves_by_class(values, hit, code, curve.edges)
        of_class = {str(names[key]): value for key, value in found.items()}
        few = {str(names[key]): count for key, count in small.items()}
    column = _column(one.store, measure)
    names = one.table["frame" if one.rows == "C" else "object"].to_numpy()[used]
    return Side(
        one.rows, measure, curve, names, split, _beyond(column, split),
        _stretches(column, curve, values), _failed(one), len(success) - len(used), of_class, few, None,
    )  # fmt: skip


def _filter(store: Store, classes: Sequence[str], where: str) -> str:
    """The condition of the rows that were asked for; empty where all were."""
    of_class = f"class in ({', '.join(map(sql_text, classes))})" if classes else ""
    return " and ".join(part for part in (f"({condition_of(store, where)})" if where else "", of_class) if part)


def _column(store: Store, measure: Measure) -> str:
    """What conditions call a measure: that of a frame has another name where objects have a column of the same.

    Empty for measures of answers, which conditions do not know.
    """
    if measure.level == "C":
        return ""
    objects = store.input.count("objects") > 0
    hidden = objects and measure.level == "F" and measure.name in {*store.input.columns("objects"), "class"}
    return quoted(f"frame_{measure.name}" if hidden else measure.name)


def _failed(one: Subjects) -> str:
    """The condition of false predictions, or of missed labels; empty for answers, and for another IoU or confidence."""
    stored = outcome(one.store, str(one.at.get("predictions"))) if one.rows != "C" else None
    if stored is None or any(one.at.get(key) != stored["options"].get(key) for key in ("iou", "confidence")):
        return ""
    return f"{quoted(stored['name'])} = '{'fp' if one.rows == 'P' else 'fn'}'"


def _beyond(column: str, split: Split | None) -> str:
    """The condition of the worse side."""
    return "" if split is None or not column else f"{column} {'<' if split.side == 'below' else '>'} {exact(split.threshold)}"


def _stretches(column: str, curve: Performance, values: NDArray[np.float64]) -> tuple[str, ...]:
    """The condition of each weak stretch, with the shortest numbers that hold the same values."""
    if not curve.rows or not column:
        return ("",) * len(curve.rows)
    ordered = np.sort(values[~np.isnan(values)])
    found = []
    for rows in curve.rows:
        low, high = float(values[rows].min()), float(values[rows].max())
        first, stop = int(np.searchsorted(ordered, low)), int(np.searchsorted(ordered, high, "right"))
        parts = []
        if first > 0:
            parts.append(f"{column} >= {exact(between(float(ordered[first - 1]), low, below=True))}")
        if stop < len(ordered):
            parts.append(f"{column} < {exact(between(high, float(ordered[stop]), below=True))}")
        found.append(" and ".join(parts) or f"{column} is not null")
    return tuple(found)


def _notes(sides: Sequence[Side]) -> list[str]:
    """What limits the answer."""
    notes = [f"{counted(side.ignored, side.noun[:-1])} took no part in the evaluation and are left out"
             for side in sides if side.ignored]  # fmt: skip
    few = [side for side in sides if 0 < side.curve.n < 2 * ROWS_PER_BIN]
    notes += [f"only {counted(side.curve.n, side.noun[:-1])} with a value: intervals are wide" for side in few]
    return notes


def _ap(store: Store, side: Side, scope: Mapping[str, Any]) -> pd.DataFrame:
    """COCO's AP of every bin and of all bins: labels and unmatched predictions of other bins are left out."""
    from gpu_quality.api.evaluate import evaluate

    metric, edges = side.measure.name, side.curve.edges
    labels, predictions = (subjects(store, kind, confidence=0.0, **scope) for kind in "OP")  # AP is about all confidences
    if metric not in labels.measures or metric not in predictions.measures:
        raise UsageError(
            f"AP along {metric} needs it for labels and for predictions", hint="leave --ap out, or name a metric that both have"
        )
    chosen = str(labels.at.get("predictions"))
    given = evaluate(store, predictions=chosen, classes=scope["classes"], kind=_kind(store, chosen), write=False)
    bin_of = np.full(store.input.count("objects"), -1)
    for one in (labels, predictions):
        bin_of[one.place] = _bins_of(one.values(metric), edges)
    own = [bin_of[rows] for rows in (given.compared.label_rows, given.compared.prediction_rows)]
    count = len(side.curve.bins)
    parts = {str(place): _outside([rows != place for rows in own]) for place in range(count)}
    parts["all"] = _outside([rows < 0 for rows in own])
    return replace(given, slices=parts).by_slice[["labels", "predictions", "AP", "AP50"]].astype({"AP": float, "AP50": float})


def _outside(sides: Sequence[NDArray[np.bool_]]) -> tuple[torch.Tensor, torch.Tensor]:
    labels, predictions = (torch.from_numpy(side) for side in sides)
    return labels, predictions


def _bins_of(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Ints:
    """The bin of every value, -1 outside of all and for no value; bins are ``[low, high)``, the last closed."""
    if not len(edges):
        return np.full(len(values), -1)
    place = np.searchsorted(edges[:-1], values, side="right") - 1
    return np.where(values <= edges[-1], place, -1)


def _kind(store: Store, chosen: str) -> Any:
    """Of which shapes the stored evaluation is."""
    return (outcome(store, chosen) or {}).get("options", {}).get("kind", "box")
