"""Precision, recall and F1 of an evaluated prediction set over all thresholds, from the stored curves of its classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gpu_quality.evaluation.curves import Best, Curve, best
from gpu_quality.evaluation.protocol import COCO
from gpu_quality.reports.model.figures import Counts

Floats = NDArray[np.float64]
RECALLS: Final = np.array(COCO.recalls)
"""Where the curves are read: COCO's 101 values, 0..1."""
STEPS: Final = 200
"""Steps between the lowest and the highest confidence drawn."""


@dataclass(frozen=True, slots=True)
class ClassCurve:
    """Precision at each recall of `RECALLS` or a higher one: the values of which COCO's average precision is the mean."""

    name: str
    labels: int
    precision: Floats
    best: Best | None
    """The confidence with the highest F1; None without a right prediction."""

    @property
    def mean(self) -> float:
        """Average precision at the overlap of the evaluation, 0..1."""
        return float(self.precision.mean())


@dataclass(frozen=True, slots=True)
class Sweep:
    """All classes together over confidence: counts of predictions with at least that confidence, and what follows."""

    confidence: Floats
    precision: Floats
    """NaN where no prediction is left."""
    recall: Floats
    f1: Floats
    best: Best | None
    """The confidence with the highest F1; None without a right prediction."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves of the classes with labels, those with most labels first, their mean, and all classes over confidence."""

    iou: float
    classes: tuple[ClassCurve, ...]
    mean: Floats
    """Mean precision of the classes at each of `RECALLS`; empty without classes."""
    sweep: Sweep | None

    @property
    def average(self) -> float | None:
        """Mean average precision at `iou`."""
        return float(self.mean.mean()) if len(self.mean) else None


def curves_of(table: pd.DataFrame, counts: Mapping[str, Counts], iou: float) -> Curves:
    """Curves from the table of an evaluation: class, threshold (falling), tp, fp, fn; and labels of classes never predicted."""
    points = _points(table)
    labels = {name: counted.tp + counted.fn for name, counted in counts.items()} | {
        name: curve.positives for name, curve in points.items()
    }
    ranked = sorted((-count, name) for name, count in labels.items() if count)
    none = Curve(torch.zeros(0, dtype=torch.float64), *(torch.zeros(0, dtype=torch.int64),) * 2, 0)
    classes = tuple(
        ClassCurve(name, -count, _interpolated(points.get(name, none)), _best(points.get(name, none))) for count, name in ranked
    )
    mean = np.mean([curve.precision for curve in classes], axis=0) if classes else np.zeros(0)
    return Curves(iou, classes, mean, _sweep(table, sum(labels.values())))


def _points(table: pd.DataFrame) -> dict[str, Curve]:
    """The stored points of every class."""
    found = {}
    for name, part in table.groupby("class", sort=False):
        threshold, tp, fp = (torch.from_numpy(part[key].to_numpy(copy=True)) for key in ("threshold", "tp", "fp"))
        found[str(name)] = Curve(threshold.double(), tp.long(), fp.long(), int(part["tp"].iloc[0] + part["fn"].iloc[0]))
    return found


def _best(curve: Curve) -> Best | None:
    """The best F1, where there is any above 0."""
    top = best(curve)
    return top if top is not None and top.value > 0 else None


def _interpolated(curve: Curve) -> Floats:
    """Highest precision at each recall or a higher one; 0 where that recall is not reached."""
    if not curve.positives:
        return np.zeros(len(RECALLS))
    top = np.maximum.accumulate(curve.precision.numpy()[::-1])[::-1]
    return np.asarray(np.append(top, 0.0)[np.searchsorted(curve.recall.numpy(), RECALLS, side="left")])


def _sweep(table: pd.DataFrame, labels: int) -> Sweep | None:
    """All classes as one; None without labels or without predictions."""
    if not len(table) or not labels:
        return None
    steps = table.groupby("class", sort=False)[["tp", "fp"]].diff().fillna(table[["tp", "fp"]])
    level, place = np.unique(-table["threshold"].to_numpy(np.float64), return_inverse=True)
    tp, fp = (np.bincount(place, weights=steps[key]).cumsum().round().astype(np.int64) for key in ("tp", "fp"))
    whole = Curve(torch.from_numpy(-level), torch.from_numpy(tp), torch.from_numpy(fp), labels)
    grid = np.linspace(min(0.0, -level[-1]), max(1.0, -level[0]), STEPS + 1)
    return Sweep(grid, *_at(whole, grid), _best(whole))


def _at(curve: Curve, confidence: Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of the predictions with at least each confidence."""
    reached = np.searchsorted(-curve.threshold.numpy(), -confidence, side="right")
    tp, fp = (np.append(0, side.numpy())[reached].astype(np.float64) for side in (curve.tp, curve.fp))
    kept = tp + fp
    precision = np.divide(tp, kept, out=np.full(len(tp), np.nan), where=kept > 0)
    return precision, tp / curve.positives, 2 * tp / (kept + curve.positives)
