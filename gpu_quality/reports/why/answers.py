"""Why the model fails: which metrics go along with success, and how it does along them, gathered before it is drawn."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from gpu_quality.api.outcomes_facts import DOOR
from gpu_quality.api.results import is_current, kept
from gpu_quality.api.subjects import Subjects, subjects
from gpu_quality.errors import CorruptError, GpuQualityError
from gpu_quality.reports.shots import Shot
from gpu_quality.reports.why.quick import quick_look
from gpu_quality.reports.why.slices import NAME as SLICES
from gpu_quality.reports.why.slices import Weak, weak_of
from gpu_quality.store.store import Store

MOST_ROWS: Final = 200_000
"""Labels and predictions up to which what nobody asked yet is computed for the page."""
BARS, CURVES = 12, 4
"""Metrics shown as bars, and as curves, of predictions and of labels."""
BINS: Final = 20
"""Of a curve; a page has no room for the fifty of the verb."""
LIMIT: Final = 0.05
"""Adjusted p-value from which on a metric is not told from chance."""
ROWS: Final = {"P": ("Predictions", "precision"), "O": ("Labels", "recall")}
"""Rows that are looked at: what they are called, and the rate of those that went well."""


@dataclass(frozen=True, slots=True)
class Bar:
    """How much one metric tells about success, with intervals, and its correlation with it; NaN = not defined."""

    metric: str
    level: str
    """F frame, P prediction, O label."""
    value: float
    low: float
    high: float
    spearman: float
    pearson: float
    n: int
    p: float
    """Adjusted for all metrics that were looked at."""
    alone: float | None
    """What the metric adds to all others: how much worse failures are told without it."""
    of_model: bool = False
    """Whether the model says it of itself, such as its confidence."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The rate of success in the bins of a metric."""

    metric: str
    level: str
    unit: str
    rate: str
    bins: tuple[Mapping[str, Any], ...]
    """low, high, n, successes, rate, rate_low, rate_high, marked."""
    mean: float
    n: int
    missing: Mapping[str, Any]
    """The same of the rows without a value."""
    worst: Mapping[str, Any] | None
    """The stretch with the most failures beyond what the mean lets expect: low, high, n, rate, excess."""


@dataclass(frozen=True, slots=True)
class Part:
    """Predictions or labels: what explains which of them fail."""

    rows: str
    size: int
    tested: int
    """Metrics with an importance."""
    significant: int
    bars: tuple[Bar, ...]
    explained: float | None
    """Share of what there is to know about failures that metrics together tell; None where nobody looked."""
    together: int
    """How many metrics that are, the best; 0 for all."""
    spread: tuple[float, float] | None
    curves: tuple[Curve, ...]
    redundant: tuple[tuple[str, str, float], ...]
    """Pairs of the metrics shown that say the same, with Spearman's correlation."""


@dataclass(frozen=True, slots=True)
class Why:
    """Everything the page says about the causes of failures."""

    predictions: str
    """Name of the prediction set."""
    parts: tuple[Part, ...]
    weak: Weak
    asked: str
    """Which importance this is, in words."""
    notes: tuple[str, ...]

    def shots(self) -> Iterator[Shot]:
        """Pictures this part shows."""
        yield from self.weak.shots()


def evaluated_set(store: Store) -> str | None:
    """The first prediction set with outcomes in the store."""
    sets = list(store.identity.get("origins") or [])[1:]
    for layer in store.layers():
        if layer.meta.get("door") == DOOR:
            for facts in layer.columns.values():
                if facts["metric"] == "outcome" and sets:
                    return str(facts.get("set", sets[0]))
    return None


def why_of(store: Store) -> Why | None:
    """What explains the failures of the evaluated prediction set; None where nothing was evaluated.

    Kept answers are read where they are about what the store holds now. Else, in stores of up to 200,000 objects, there is a
    quick look at importance, and weak slices are searched and kept.
    """
    chosen = evaluated_set(store)
    if chosen is None:
        return None
    notes: list[str] = []
    try:
        given = {rows: subjects(store, rows, predictions=chosen) for rows in ROWS}
        found = _importance(store, given, notes)
        parts = tuple(part for rows in ROWS if (part := _part(given[rows], found)).size)
        weak = weak_of(store, given, _about(current(store, SLICES, notes), chosen), look=affordable(store))
        return Why(chosen, parts, weak, "" if found is None else _asked(found["params"]), tuple(notes))
    except GpuQualityError as error:
        return Why(chosen, (), Weak(), "", (*notes, f"{error}"))


def affordable(store: Store) -> bool:
    """Whether a store is small enough to be asked while a page is made."""
    return store.input.count("objects") <= MOST_ROWS


def current(store: Store, name: str, notes: list[str]) -> dict[str, Any] | None:
    """The kept answer of a verb; None where there is none, or none about what the store holds now."""
    try:
        found = kept(store, name)
    except CorruptError as error:
        notes.append(f"{error}: {error.hint}")
        return None
    return found if found is not None and is_current(store, found) else None


def _importance(store: Store, given: Mapping[str, Subjects], notes: list[str]) -> dict[str, Any] | None:
    """The answer of `importance` about outcomes, or a quick look; None where there are too many objects for one."""
    found = _about(current(store, "importance", notes), given["P"].at["predictions"])
    if found is not None and found["params"]["target"] == "outcome":
        return _completed(found, {rows: own for rows, own in given.items() if rows not in found["rows"]}, notes)
    if affordable(store):
        return quick_look(given)
    notes.append(f"More than {MOST_ROWS:,} objects are not asked while a page is made: `gpu-quality importance` does.")
    return None


def _completed(found: dict[str, Any], missing: Mapping[str, Subjects], notes: list[str]) -> dict[str, Any]:
    """An answer with a quick look at the kinds of rows that it is not about."""
    if not missing or found["params"].get("metrics"):
        return found
    quick = quick_look(missing)
    named = " and ".join(ROWS[rows][0].lower() for rows in missing)
    notes.append(f"A quick look at {named}: `gpu-quality importance` was asked about other rows.")
    both = {"metrics": [*found["metrics"], *quick["metrics"]], "joint": {**found["joint"], **quick["joint"]}}
    return {**found, **both}


def _about(found: dict[str, Any] | None, chosen: str) -> dict[str, Any] | None:
    """An answer, if it is about a prediction set."""
    return found if found is not None and found["params"].get("predictions") == chosen else None


def _asked(params: Mapping[str, Any]) -> str:
    """What was filtered, and how p-values were made, in a sentence."""
    parts = [f"IoU {params['iou']:g}" if params.get("iou") is not None else ""]
    parts.append(f"confidence from {params['confidence']:g}" if params.get("confidence") is not None else "")
    parts.append(f"classes {', '.join(params['classes'])}" if params.get("classes") else "")
    parts.append(f"where {params['where']}" if params.get("where") else "")
    drawn = params.get("permutations")
    parts.append(f"p-values from {drawn:,} permutations" if drawn else "")
    parts.append(f"a quick look at up to {params['sample']:,} of each" if "sample" in params else "")
    return ", ".join(part for part in parts if part)


def _part(given: Subjects, found: Mapping[str, Any] | None) -> Part:
    """One kind of rows: bars from the answer, curves from the rows themselves."""
    every = [] if found is None else [row for row in found["metrics"] if row["rows"] == given.rows]
    known = [row for row in every if row["importance"] is not None]
    joint = {} if found is None else found["joint"].get(given.rows, {})
    adds = {row["metric"]: row for row in joint.get("metrics", [])}
    of_model = {name for name, measure in given.measures.items() if measure.of_model}
    bars = tuple(replace(_bar(row, adds), of_model=row["metric"] in of_model) for row in known[:BARS])
    told = [row for row in known if row["p_adjusted"] is not None and row["p_adjusted"] <= LIMIT]
    names = [row["metric"] for row in told if row["metric"] in given.measures][:CURVES]
    shown = {bar.metric for bar in bars}
    pairs = [] if found is None else [row for row in found["redundant"] if row["rows"] == given.rows]
    same = tuple((row["first"], row["second"], row["spearman"]) for row in pairs if {row["first"], row["second"]} <= shown)
    curves = tuple(curve_of(given, name) for name in names)
    size = 0 if given.success is None else int(np.isfinite(given.success).sum())
    return Part(given.rows, size, len(known), len(told), bars, *_explained(joint), curves, same)


def _explained(joint: Mapping[str, Any]) -> tuple[float | None, int, tuple[float, float] | None]:
    value, low, high = (joint.get(key) for key in ("explained", "low", "high"))
    return value, int(joint.get("best", 0)), None if low is None or high is None else (low, high)


def _bar(row: Mapping[str, Any], adds: Mapping[str, Mapping[str, Any]]) -> Bar:
    def of(key: str) -> float:
        return float("nan") if row[key] is None else float(row[key])

    own = adds.get(row["metric"], {}).get("drop")
    return Bar(
        row["metric"], row["level"], of("importance"), of("low"), of("high"), of("spearman"), of("pearson"), int(row["n_used"]),
        of("p_adjusted"), own,
    )  # fmt: skip


def curve_of(given: Subjects, name: str) -> Curve:
    """The rate of success along a metric, ignored rows left out."""
    from gpu_quality.analysis.performance import ROWS_PER_BIN, performance

    success = given.known_success()
    rows = np.flatnonzero(np.isfinite(success))
    values = given.values(name)[rows]
    bins = max(1, min(BINS, int(np.isfinite(values).sum()) // ROWS_PER_BIN))
    found = performance(values, success[rows], bins=bins)
    drawn = tuple(_plain(row) for row in found.bins.to_dict("records"))
    worst = _plain(found.weak.iloc[0].to_dict()) if len(found.weak) else None
    measure = given.measures[name]
    rate = ROWS[given.rows][1]
    return Curve(name, measure.level, measure.unit, rate, drawn, found.mean, found.n, _plain(found.missing), worst)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as JSON knows them; None where there is none."""
    values = {str(key): value.item() if hasattr(value, "item") else value for key, value in row.items()}
    return {key: None if value != value else value for key, value in values.items()}
