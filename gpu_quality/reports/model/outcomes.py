"""Which predictions are right, which are false and why, and which labels were missed: the most telling of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from gpu_quality.evaluation.reasons import REASONS, explain
from gpu_quality.reports.columns import name_of
from gpu_quality.reports.model.exhibits import Exhibit, Stage
from gpu_quality.reports.model.figures import known
from gpu_quality.reports.model.reading import OUTCOMES, Stored
from gpu_quality.store.store import Store
from gpu_quality.text import number

ERRORS: Final[Mapping[str, str]] = {
    "Cls": "wrong class", "Loc": "badly placed", "Both": "badly placed and of the wrong class",
    "Dupe": "a second one of the same object", "Bkg": "overlaps no label by more than 0.1", "Miss": "not found",
}  # fmt: skip
"""TIDE's kinds of errors in words."""
_NEAR: Final = ("Cls", "Both")
"""Errors of predictions that overlap a label of another class."""
_TITLES: Final = {
    "no_overlap": "False: no label of the class there",
    "iou_too_low": "False: too little overlap",
    "already_matched": "False: the label was taken already",
}


@dataclass(frozen=True, slots=True)
class Gallery:
    """Objects with one outcome: how many, by which condition, and the most telling of them."""

    key: str
    title: str
    rule: str
    """SQL condition on `objects` that holds for exactly these."""
    order: str
    count: int
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True, slots=True)
class _Given:
    """What every gallery is made from."""

    stored: Stored
    stage: Stage
    classes: list[str] | None
    at: float
    """Confidence from which predictions count."""
    shown: int

    def column(self, name: str) -> str:
        """A column of the store, as a query calls it."""
        text = f"{OUTCOMES[name]}{self.stored.suffix}"
        return text if text.isidentifier() else '"' + text.replace('"', '""') + '"'

    def chosen(self, rows: pd.DataFrame, by: str, *, falling: bool, then: str = "object") -> list[dict[str, Any]]:
        """The first rows by a column."""
        keys = rows.sort_values([by, then], ascending=[not falling, True], kind="stable", na_position="last")
        found: list[dict[str, Any]] = keys.head(self.shown).to_dict("records")
        return found

    def name(self, row: Mapping[str, Any]) -> str:
        """The class of an object."""
        return name_of(self.classes, int(row["class_id"]))


def galleries_of(store: Store, stored: Stored, stage: Stage, shown: int) -> tuple[Gallery, ...]:
    """False predictions by reason, missed labels and weak right ones; nothing where the columns of outcomes are missing."""
    if not len(stored.objects):
        return ()
    given = _Given(stored, stage, store.identity.get("classes"), float(stored.params["confidence"]), shown)
    return (*_false(given), _missed(given), _weak(given))


def _false(given: _Given) -> Iterator[Gallery]:
    """False predictions that count, most confident first."""
    table = given.stored.objects
    sure = table[(table["outcome"] == "fp") & ~(table["confidence"] < given.at)]
    partner = _partners(given.stored, set(sure["object"])) if len(sure) else {}
    for reason in REASONS:
        rows = sure[sure["reason"] == reason]
        exhibits = tuple(_false_one(given, row, partner) for row in given.chosen(rows, "confidence", falling=True))
        rule = f"{given.column('outcome')} = 'fp' and {_counts(given)} and {given.column('reason')} = '{reason}'"
        yield Gallery(f"fp-{reason}", _TITLES[reason], rule, "the most confident first", len(rows), exhibits)


def _counts(given: _Given) -> str:
    """The condition that a prediction counts; without a confidence it does."""
    column = given.column("confidence")
    return f"coalesce({column}, 1) >= {given.at!r}"


def _partners(stored: Stored, wanted: set[str]) -> dict[str, str]:
    """Prediction → label that the confusion matrix put it with, across classes too."""
    cells = stored.tables["confusion"]
    some = cells[cells["prediction"].isin(wanted) & cells["label"].notna()]
    return dict(zip(some["prediction"], some["label"], strict=True))


def _false_one(given: _Given, row: Mapping[str, Any], partner: Mapping[str, str]) -> Exhibit:
    frame, own, name = str(row["frame"]), str(row["object"]), given.name(row)
    crossed = row["reason"] == "no_overlap"
    label = partner.get(own) or ("" if crossed and row["error"] not in _NEAR else given.stage.nearest(frame, own))
    other = given.stage.class_of(frame, label)
    told = explain(str(row["reason"]), name)
    if (kind := row["error"]) in ERRORS:
        told += f" TIDE {kind}: {ERRORS[kind]}."
    shot = given.stage.shot(frame, own, label)
    iou = None if crossed else known(row["iou"])
    return Exhibit(shot, frame, own, name, known(row["confidence"]), iou, told, "" if other == name else other)


def _missed(given: _Given) -> Gallery:
    """Labels that no prediction that counts found, the largest first."""
    table = given.stored.objects
    found = table[table["outcome"] == "matched"]
    place = pd.Index(table["object"]).get_indexer(found["partner"])
    columns = ("confidence", "iou")
    sure, iou = (np.where(place >= 0, table[key].to_numpy(np.float64, na_value=np.nan)[place], np.nan) for key in columns)
    faint = found.assign(confidence=sure, iou=iou)[sure < given.at]
    rows = pd.concat([table[table["outcome"] == "fn"], faint]) if len(faint) else table[table["outcome"] == "fn"]
    cells = given.stored.tables["confusion"]
    chosen = given.chosen(rows, "area", falling=True)
    ids = {str(row["object"]) for row in chosen}
    crossed = cells[cells["label"].isin(ids) & (cells["label_class"] != cells["predicted_class"]) & cells["prediction"].notna()]
    taken = {str(cell["label"]): cell for cell in crossed.to_dict("records")}
    outcome, match, sureness = (given.column(key) for key in ("outcome", "partner", "confidence"))
    faintly = f"select object from objects where {sureness} < {given.at!r}"  # noqa: S608 - shown, not run
    rule = f"{outcome} = 'fn' or ({outcome} = 'matched' and {match} in ({faintly}))"
    exhibits = tuple(_missed_one(given, row, taken.get(str(row["object"]))) for row in chosen)
    return Gallery("fn", "Missed labels", rule, "the largest first", len(rows), exhibits)


def _missed_one(given: _Given, row: Mapping[str, Any], taken: Mapping[str, Any] | None) -> Exhibit:
    frame, own, name = str(row["frame"]), str(row["object"]), given.name(row)
    if row["outcome"] == "matched":
        told = f"Found, but with a confidence of {number(known(row['confidence']))} only."
        shot = given.stage.shot(frame, str(row["partner"]), own)
        return Exhibit(shot, frame, own, name, known(row["confidence"]), known(row["iou"]), told, missed=True)
    if taken is not None:
        other = str(taken["predicted_class"])
        shot = given.stage.shot(frame, str(taken["prediction"]), own)
        return Exhibit(shot, frame, own, name, None, known(taken["iou"]), "Found as another class.", other, missed=True)
    nothing = "Not even a badly placed prediction, or one of another class (TIDE Miss)."
    near = nothing if row["error"] == "Miss" else "What is near is badly placed or of another class."
    return Exhibit(given.stage.shot(frame, "", own), frame, own, name, None, None, near, missed=True)


def _weak(given: _Given) -> Gallery:
    """Right predictions that count, those with the least overlap first."""
    table = given.stored.objects
    rows = table[(table["outcome"] == "tp") & ~(table["confidence"] < given.at)]
    chosen = given.chosen(rows, "iou", falling=False, then="confidence")
    exhibits = tuple(
        Exhibit(
            given.stage.shot(str(row["frame"]), str(row["object"]), str(row["partner"])), str(row["frame"]), str(row["object"]),
            given.name(row), known(row["confidence"]), known(row["iou"]), "Right: the label has this class.",
        )
        for row in chosen
    )  # fmt: skip
    rule = f"{given.column('outcome')} = 'tp' and {_counts(given)}"
    return Gallery("tp", "Right predictions", rule, "those with the least overlap first", len(rows), exhibits)
