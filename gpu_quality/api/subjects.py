"""The rows that an analysis is about - predictions, labels or frames - with their measures and what came of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.api.compared import prediction_set
from gpu_quality.api.subjects_rows import (
    Floats,
    Measure,
    answers_of,
    evaluated,
    frames_of,
    matched_anew,
    measures_of,
    objects_of,
    outcome,
)
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.store.store import Store
from gpu_quality.text import clean, close, counted

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["ROWS", "Measure", "Subjects", "measures_of", "subjects"]

Ints = NDArray[np.int64]
ROWS: Final[Mapping[str, str]] = {"P": "predictions", "O": "labels", "C": "answers", "F": "frames"}
"""What the rows of a level are."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """Rows of one kind, in the order of the input."""

    store: Store
    rows: str
    """P predictions, O labels, C answers, F frames."""
    table: "pd.DataFrame"
    """`frame`, `object` (P, O, C), `class` (P, O, C), `question` (C), and every measure."""
    measures: Mapping[str, Measure]
    frame: Ints
    """Row of the frame of each."""
    place: Ints
    """Row of each in the objects table, or the frames table."""
    success: Floats | None
    """1 = true, matched or right; 0 = false, missed or wrong; NaN = took no part; of frames their F1. None: not evaluated."""
    iou: Floats | None
    """Overlap of the matches of predictions, else NaN."""
    at: Mapping[str, Any]
    """Which prediction set, IoU, confidence, classes and condition."""
    notes: tuple[str, ...]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.table)

    def values(self, name: str) -> Floats:
        """A measure as float64, NaN where it has no value. Raises `UnknownNameError`."""
        if name not in self.measures:
            known = ", ".join(self.measures)[:400]
            raise UnknownNameError(
                f"{ROWS[self.rows]} have no measure {clean(name, 200)!r}",
                hint=close(name, self.measures) or f"there are {known}",
            )
        return np.asarray(self.table[name].to_numpy(dtype=np.float64, na_value=np.nan))

    def known_success(self) -> Floats:
        """`success`. Raises `UsageError` where nothing was evaluated."""
        if self.success is None:
            raise UsageError(
                f"{self.store.path} holds no predictions: nothing says which {ROWS[self.rows]} went well",
                hint="gpu-quality run … --predictions NAME=PATH --out another folder",
            )
        return self.success


def subjects(
    store: Store,
    rows: str = "P",
    *,
    predictions: str | None = None,
    classes: Sequence[str] = (),
    iou: float | None = None,
    confidence: float | None = None,
    where: str = "",
    judge: bool = True,
) -> Subjects:
    """Predictions (`rows` P), labels (O), labeled answers (C) or frames (F) of a store with their measures and outcomes.

    `predictions` names one of several sets. `iou` and `confidence` are those of the stored evaluation unless given; another
    IoU is matched anew. Predictions below the confidence are left out, and labels whose match is below it are missed.
    `classes` and `where` (an SQL condition, or the name of a saved slice) keep some rows. What was never evaluated is evaluated
    now (COCO, IoU .5), and kept; not where outcomes are of no matter (`judge` False), which also needs no choice of a set for
    labels, answers and frames. These work without predictions. Raises `UsageError`, `UnknownNameError`.
    """
    _refuse(rows, iou, confidence)
    asked = rows == "P" or predictions is not None or (judge and len(store.identity["origins"]) > 1)
    chosen = prediction_set(store, predictions) if asked else None
    notes: list[str] = []
    facts = {} if chosen is None or rows == "C" else evaluated(store, chosen, notes) if judge else outcome(store, chosen) or {}
    options = facts.get("options", {})
    at = {
        "predictions": chosen,
        "iou": options.get("iou") if iou is None else iou,
        "confidence": options.get("confidence") if confidence is None else confidence,
        "classes": list(classes),
        "where": where,
    }
    other = bool(facts) and at["iou"] != options["iou"]
    if other and rows == "F":
        hint = f"gpu-quality evaluate {store.path} --iou {iou:g}"
        raise UsageError("the F1 of frames is stored for one IoU", hint=hint)
    if rows == "F":
        given = frames_of(store, chosen)
    elif rows == "C":
        given = answers_of(store, chosen)
    else:
        anew = matched_anew(store, at, options) if other else None
        given = objects_of(store, rows, chosen, at["confidence"], anew)
    table, measures, success, overlap = given
    kept = _kept(store, table, rows, at)
    table = table[kept].reset_index(drop=True)
    measures, told = _with_values(table, measures, rows)
    shown = {"F": ["frame"], "C": ["frame", "object", "question", "class"]}.get(rows, ["object", "frame", "class"])
    frame, place = (table[name].to_numpy(np.int64) for name in ("_frame", "_place"))
    return Subjects(
        store, rows, table[[*shown, *measures]], measures, frame, place,
        None if success is None else success[kept], None if overlap is None else overlap[kept], at, (*notes, *told),
    )  # fmt: skip


def check_seed(seed: int) -> None:
    """Refuse what random generators and models of scikit-learn do not take. Raises `UsageError`."""
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed {seed} is not from 0 to {2**32 - 1:,}", hint="--seed 0")


def _refuse(rows: str, iou: float | None, confidence: float | None) -> None:
    """Refuse what no store can answer. Raises `UsageError`."""
    if rows not in ROWS:
        raise UsageError(f"no rows {clean(rows, 40)!r}", hint=f"there are {', '.join(f'{k} ({v})' for k, v in ROWS.items())}")
    for name, value in (("iou", iou), ("confidence", confidence)):
        if value is None:
            continue
        if rows == "C":
            raise UsageError(f"answers have no {name}: they are right or wrong", hint=f"leave --{name} out")
        if not 0 <= value <= 1:
            raise UsageError(f"{name} must be from 0 to 1; got {value:g}", hint=f"{name} 0.5 is half")


def _kept(store: Store, table: "pd.DataFrame", rows: str, at: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which rows are of the chosen classes and meet the condition."""
    kept = np.ones(len(table), bool)
    if at["classes"]:
        if rows == "F":
            raise UsageError("frames have no class", hint="choose predictions or labels, or use --where")
        known = tuple(store.identity["classes"])
        for name in at["classes"]:
            if name not in known:
                raise UnknownNameError(
                    f"there is no class {clean(name, 200)!r}", hint=close(name, known) or ", ".join(known[:20])
                )
        kept &= table["class"].isin(at["classes"]).to_numpy()
    if at["where"]:
        from gpu_quality.api.slices import frame_rows, object_rows

        if rows in "FC":
            kept &= frame_rows(store, at["where"])[table["_frame"].to_numpy()]
        else:
            kept &= object_rows(store, at["where"])[table["_place"].to_numpy()]
    return kept


def _with_values(
    table: "pd.DataFrame", measures: Mapping[str, Measure], rows: str
) -> tuple[dict[str, Measure], tuple[str, ...]]:
    """Measures that have a value in some row, and a sentence about the others."""
    known = table[list(measures)].notna().any() if len(table) else dict.fromkeys(measures, True)
    empty = [name for name in measures if not known[name]]
    kept = {name: measure for name, measure in measures.items() if name not in set(empty)}
    if not empty:
        return kept, ()
    named = ", ".join(empty[:5]) + (", …" if len(empty) > 5 else "")
    return kept, (f"{counted(len(empty), 'measure')} of no value for {ROWS[rows]}: {named}",)
