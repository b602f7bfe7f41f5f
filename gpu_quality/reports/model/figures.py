"""Figures of an evaluated prediction set: counts in all and per class, kinds of errors, calibration, grids of thresholds."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import torch

from gpu_quality.errors import GpuQualityError
from gpu_quality.evaluation.calibration import Reliability, reliability
from gpu_quality.reports.model.reading import Stored
from gpu_quality.store.store import Store

if TYPE_CHECKING:
    from gpu_quality.reports.model.curves import Curves

OTHER: Final = "(other)"
"""All classes that an evaluation left out, in its confusion matrix."""
_SAME: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Counts:
    """Right and false predictions and missed labels; rates over nothing are None."""

    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float | None:
        """Share of predictions that are right."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        """Share of labels that are found."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    @property
    def f1(self) -> float | None:
        """Both in one number."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp + self.fp + self.fn else None


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class: counts at the thresholds of the evaluation, and the figures of all scores; None = not defined."""

    name: str
    counts: Counts
    ap: float | None
    ap50: float | None
    ece: float | None
    best: float | None
    """Confidence with the highest F1."""
    best_f1: float | None

    @property
    def labels(self) -> int:
        """Labels to be found."""
        return self.counts.tp + self.counts.fn


@dataclass(frozen=True, slots=True)
class ErrorKinds:
    """TIDE: how many errors of each kind, and how many points of AP repairing all of them would give."""

    ap: float | None
    kinds: tuple[tuple[str, int, float | None], ...]
    false_positive: float | None
    false_negative: float | None


@dataclass(frozen=True, slots=True)
class F1Grid:
    """F1 of all classes together at overlaps (rows) and confidences (columns), NaN where nothing is counted."""

    ious: tuple[float, ...]
    confidences: tuple[float, ...]
    f1: tuple[tuple[float, ...], ...]


def counts_of(cells: pd.DataFrame, classes: Collection[str]) -> tuple[Counts, dict[str, Counts]]:
    """Counts in all and of each of `classes` from the members of the confusion matrix; those of others do not count."""
    label, predicted = cells["label"].notna().to_numpy(), cells["prediction"].notna().to_numpy()
    truth, guess = (cells[key].to_numpy(dtype=object) for key in ("label_class", "predicted_class"))
    hit = label & predicted & (truth == guess)
    parts = [truth[hit], guess[predicted & ~hit], truth[label & ~hit]]
    table = pd.DataFrame({key: pd.Series(part).value_counts() for key, part in zip(("tp", "fp", "fn"), parts, strict=True)})
    table = table[table.index.isin(list(classes))].fillna(0).astype(np.int64)
    found = {str(name): Counts(*map(int, row)) for name, row in zip(table.index, table.to_numpy(), strict=True)}
    return Counts(*(int(table[key].sum()) for key in ("tp", "fp", "fn"))), found


def classes_of(stored: Stored, counts: Mapping[str, Counts], curves: "Curves") -> tuple[ClassFigures, ...]:
    """Every class, the worst first: by AP, else by F1; of equals the one with more labels; without labels last."""
    best = {curve.name: curve.best for curve in curves.classes}
    found = []
    for row in stored.tables["classes"].to_dict("records"):
        name = str(row["class"])
        top = best.get(name)
        values = {key: known(row.get(key)) for key in ("AP", "AP50", "ECE")}
        found.append(
            ClassFigures(name, counts.get(name, Counts(0, 0, 0)), values["AP"], values["AP50"], values["ECE"],
                         top and top.threshold, top and top.value)
        )  # fmt: skip
    return tuple(sorted(found, key=_badness))


def _badness(figures: ClassFigures) -> tuple[bool, float, int, str]:
    value = figures.counts.f1 if figures.ap is None else figures.ap
    return not figures.labels, math.inf if value is None else value, -figures.labels, figures.name


def known(value: object) -> float | None:
    """A number, None where there is none."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def calibration_of(stored: Stored) -> Reliability | None:
    """Confidence against being right, of all predictions that are right or false; None without any that has one."""
    table = stored.objects
    judged = table[table["outcome"].isin(("tp", "fp"))]
    score = judged["confidence"].to_numpy(np.float64, na_value=np.nan)
    missing = stored.params.get("missing_score")
    score = np.where(np.isnan(score), np.nan if missing is None else missing, score)
    right = (judged["outcome"] == "tp").to_numpy(bool)
    use = np.isfinite(score)
    if not use.any():
        return None
    return reliability(torch.from_numpy(score[use]).clamp(0, 1), torch.from_numpy(right[use]))


def f1_grid(table: pd.DataFrame) -> F1Grid:
    """F1 at every pair of thresholds, counts of all classes added."""
    total = table.groupby(["iou_threshold", "confidence"])[["tp", "fp", "fn"]].sum()
    whole = 2 * total["tp"] + total["fp"] + total["fn"]
    f1 = (2 * total["tp"] / whole.where(whole > 0)).to_numpy()
    ious, confidences = (tuple(map(float, level)) for level in total.index.levels)
    return F1Grid(ious, confidences, tuple(tuple(map(float, row)) for row in f1.reshape(len(ious), -1)))


def errors_of(store: Store, stored: Stored) -> tuple[ErrorKinds | None, str]:
    """Kinds of errors as they are stored, else found anew without writing; or why there are none."""
    told = stored.facts.get("tide")
    if told is None:
        try:
            told = _found_anew(store, stored)
        except GpuQualityError as error:
            return None, f"What kinds of errors cost is not known: {error}."
    kinds = tuple((str(row["error"]), int(row["count"]), known(row["dAP"])) for row in told["errors"])
    return ErrorKinds(known(told["AP"]), kinds, known(told["FalsePos"]), known(told["FalseNeg"])), ""


def _found_anew(store: Store, stored: Stored) -> Mapping[str, Any]:
    """TIDE's figures under the stored options. Raises `UsageError` where these can no longer be asked for."""
    from gpu_quality.api.evaluate import evaluate

    params, names = stored.params, [str(name) for name in stored.tables["classes"]["class"]]
    found = evaluate(
        store, predictions=stored.name, protocol=stored.facts["protocol"], kind=stored.facts["kind"], iou=params["iou"],
        confidence=params["confidence"], missing_score=params.get("missing_score"), inclusive=bool(params.get("inclusive")),
        classes=() if names == list(store.identity["classes"]) else names, write=False,
    )  # fmt: skip
    return found.tide_summary()
