"""Predictions, labels, answers and frames of a store with their measures and what came of them, as they are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_quality.api.outcomes_facts import DOOR
from gpu_quality.errors import UsageError
from gpu_quality.evaluation.protocol import PROTOCOLS
from gpu_quality.store.store import Per, Store

if TYPE_CHECKING:
    import pandas as pd

    from gpu_quality.api.evaluation import Evaluation

Floats = NDArray[np.float64]
NO_MEASURE: Final = frozenset({"row", "position", "rank", "coordinate", "category", "text", "random number", ""})
"""Units of numbers that point somewhere, name something or mean nothing."""
PER: Final[Mapping[str, Per]] = {"P": "object", "O": "object", "C": "classification", "F": "frame"}
"""The table that rows of a kind stand in."""
_SUCCESS: Final[Mapping[str, float]] = {"tp": 1.0, "matched": 1.0, "fp": 0.0, "fn": 0.0}


@dataclass(frozen=True, slots=True)
class Measure:
    """A stored column that measures something."""

    name: str
    level: str
    """What it is computed on: P prediction, O label, F frame."""
    unit: str
    bad: str
    summary: str
    flag: bool
    of_model: bool = False
    """Whether the model says it of itself, such as its confidence: no property of the data."""


class Found(NamedTuple):
    """Rows as they are stored."""

    table: "pd.DataFrame"
    """Ids, measures, `_frame` (row of the frame) and `_place` (row in its own table)."""
    measures: dict[str, Measure]
    success: Floats | None
    iou: Floats | None = None


def measures_of(store: Store, rows: str, chosen: str | None = None) -> dict[str, Measure]:
    """Columns that may explain an outcome: those of the rows themselves and of their frames, none found by comparing."""
    found = {}
    for name, facts in store.columns().items():
        unit, per = str(facts.get("unit", "")), str(facts.get("per", "frame"))
        if facts.get("hidden") or unit in NO_MEASURE or "hash" in unit or unit.startswith("SHA-"):
            continue
        if per not in ("frame", PER[rows]) or facts.get("judged") or facts.get("set", chosen) != chosen:
            continue
        if "set" in facts and per == "object" and rows == "O":
            continue  # what a prediction says of itself
        level = "F" if per == "frame" else rows
        bad, summary = str(facts.get("bad", "neither")), str(facts.get("summary", ""))
        found[name] = Measure(name, level, unit, bad, summary, unit == "flag", "set" in facts)
    return found


def evaluated(store: Store, chosen: str, notes: list[str]) -> dict[str, Any]:
    """Facts of the outcomes of a prediction set; those of an evaluation made now where there was none. Raises `UsageError`."""
    facts = outcome(store, chosen)
    if facts is None and not store.input.count("objects") and store.input.count("classifications"):
        raise UsageError(
            f"{store.path} holds answers about whole images and no objects",
            hint="importance and performance take --rows answers; slices are of objects",
        )
    if facts is None and store.identity.get("labels"):
        from gpu_quality.api.evaluate import evaluate

        evaluate(store, predictions=chosen)
        notes.append("there was no evaluation: made one now by COCO's rules at IoU 0.5; `evaluate` offers others")
        facts = outcome(store, chosen)
    return facts or {}


def outcome(store: Store, chosen: str) -> dict[str, Any] | None:
    """Facts of the column of outcomes of a set, its own name among them."""
    for part in store.layers():
        if part.meta.get("door") == DOOR:
            for name, facts in part.columns.items():
                if facts["metric"] == "outcome" and facts.get("set", chosen) == chosen:
                    return {**facts, "name": name, "suffix": name.removeprefix("outcome")}
    return None


def matched_anew(store: Store, at: Mapping[str, Any], options: Mapping[str, Any]) -> "Evaluation":
    """The evaluation of a set at another overlap; nothing is written."""
    return evaluated_again(store, at["predictions"], options, iou=at["iou"])


def evaluated_again(
    store: Store,
    chosen: str,
    options: Mapping[str, Any],
    *,
    iou: float | None = None,
    confidence: float | None = None,
    slices: Mapping[str, str] | None = None,
) -> "Evaluation":
    """An evaluation by the rules, and of the classes, of the stored one (`options`); nothing is written."""
    from gpu_quality.api.evaluate import evaluate

    known = options.get("protocol") in PROTOCOLS  # a program may have rules of its own, which have no name here
    return evaluate(
        store, predictions=chosen, kind=options.get("kind", "box"), protocol=options["protocol"] if known else "coco",
        iou=options.get("iou", 0.5) if iou is None else iou,
        confidence=options.get("confidence", 0.25) if confidence is None else confidence,
        classes=options.get("classes") or (), slices=slices or {}, missing_score=options.get("missing_score"),
        inclusive=bool(options.get("inclusive")), write=False,
    )  # fmt: skip


def frames_of(store: Store, chosen: str | None) -> Found:
    """Every frame, with its F1 where something was evaluated."""
    measures = measures_of(store, "F", chosen)
    facts = None if chosen is None else outcome(store, chosen)
    score = [] if facts is None else [f"frame_f1{facts['suffix']}"]
    table = store.table("frame", ["frame", *measures, *score])
    success = None if not score else np.asarray(table[score[0]].to_numpy(np.float64, na_value=np.nan))
    row = np.arange(len(table))
    return Found(table.assign(_frame=row, _place=row), measures, success)


def objects_of(store: Store, rows: str, chosen: str | None, confidence: Any, anew: "Evaluation | None") -> Found:
    """Labels or predictions beside the measures of their frames."""
    measures = measures_of(store, rows, chosen)
    own = [name for name, measure in measures.items() if measure.level == rows]
    facts = None if chosen is None else outcome(store, chosen)
    found = [] if facts is None else [f"{key}{facts['suffix']}" for key in ("outcome", "matched_object", "iou_with_label")]
    names = dict.fromkeys(["object", "frame", "row", "origin", "class_id", "score", *own, *found])
    table = store.table("object", list(names))
    origins = list(store.identity["origins"])
    origin = table["origin"].to_numpy()
    place = np.flatnonzero(origin == (0 if rows == "O" else origins.index(str(chosen))))
    success = overlap = None
    if found:
        hit, iou, sure = _outcomes(table, found) if anew is None else _outcomes_of(anew, len(table))
        low = sure < (confidence or 0.0)
        if rows == "P":
            place = place[~low[place]]
        else:
            hit = np.where(low & (hit == 1), 0.0, hit)
        success, overlap = hit[place], iou[place]
    table = table.iloc[place]
    row = table["row"].to_numpy(np.int64)
    return Found(_beside_frames(store, table, row, place, measures), measures, success, overlap)


def answers_of(store: Store, chosen: str | None) -> Found:
    """Every labeled answer beside the measures of its frame; a success is one that the predictions give too."""
    measures = measures_of(store, "C", chosen)
    own = [name for name, measure in measures.items() if measure.level == "C"]
    keys = ["frame", "object", "question", "class_id"]
    table = store.table("classification", [*keys, "origin", *own])
    origin = table["origin"].to_numpy()
    place = np.flatnonzero(origin == 0)
    success = None
    if chosen is not None:
        about = table[keys].astype({"class_id": "str"}).fillna("").agg("\0".join, axis=1)
        said = set(about[origin == list(store.identity["origins"]).index(chosen)])
        success = about.iloc[place].isin(said).to_numpy(np.float64)
    table = table.iloc[place]
    row = store.table("frame", ["frame"]).reset_index().set_index("frame")["index"].loc[table["frame"]].to_numpy(np.int64)
    return Found(_beside_frames(store, table, row, place, measures), measures, success)


def _beside_frames(
    store: Store, table: "pd.DataFrame", row: NDArray[np.int64], place: NDArray[np.int64], measures: Mapping[str, Measure]
) -> "pd.DataFrame":
    """Rows with the names of their classes and the measures of their frames."""
    import pandas as pd

    classes = np.array([*map(str, store.identity["classes"]), ""], dtype=object)
    of_frames = [name for name, measure in measures.items() if measure.level == "F"]
    beside = store.table("frame", of_frames).iloc[row] if of_frames else pd.DataFrame(index=row)
    left = table.assign(**{"class": classes[table["class_id"].to_numpy()], "_frame": row, "_place": place})
    return pd.concat([left.reset_index(drop=True), beside.reset_index(drop=True)], axis=1)


def _outcomes(table: "pd.DataFrame", found: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    """Success, overlap of matches, and confidence (of a label: of its match) of every object, from stored columns."""
    import pandas as pd

    outcome, matched, iou = (table[name] for name in found)
    hit = outcome.map(_SUCCESS).to_numpy(np.float64, na_value=np.nan)
    score = table["score"].to_numpy(np.float64, na_value=np.nan)
    sure = np.where(np.isnan(score), 1.0, score)
    labels = np.flatnonzero(table["origin"].to_numpy() == 0)
    partner = pd.Index(table["object"]).get_indexer(pd.Index(matched.iloc[labels]))
    sure[labels] = np.where(partner >= 0, sure[partner], 1.0)
    overlap = iou.to_numpy(np.float64, na_value=np.nan)
    return hit, np.where(hit == 1, overlap, np.nan), sure


def _outcomes_of(found: "Evaluation", count: int) -> tuple[Floats, Floats, Floats]:
    """The same, of an evaluation that is not stored."""
    outcome, given = found.outcomes, found.compared
    hit, iou, sure = np.full(count, np.nan), np.full(count, np.nan), np.ones(count)
    to_value = np.array([1.0, 0.0, np.nan, np.nan])  # true, false, ignored, took no part
    score = found.scored.score.numpy()
    sides = ((given.prediction_rows, outcome.outcome), (given.label_rows, outcome.label_outcome))
    for rows, code in sides:
        hit[rows] = to_value[code.numpy()]
    iou[given.prediction_rows] = np.where(hit[given.prediction_rows] == 1, outcome.iou.numpy(), np.nan)
    sure[given.prediction_rows] = score
    partner = outcome.prediction.numpy()
    if len(score):
        sure[given.label_rows] = np.where(partner >= 0, score[partner], 1.0)
    return hit, iou, sure
