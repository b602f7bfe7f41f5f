"""Precision against recall, the best threshold, and counts over any grid of thresholds: all from one matching."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.coco import CocoFigures, evaluate
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.protocol import COCO, EvaluationProtocol
from gpu_quality.kernels.matching import MAX_THRESHOLDS


@dataclass(frozen=True, slots=True)
class Curve:
    """What each threshold on the score gives, of one class at one overlap: one point per distinct score, highest first."""

    threshold: Float64[Tensor, " s"]
    """Predictions with at least this score count."""
    tp: Int64[Tensor, " s"]
    fp: Int64[Tensor, " s"]
    positives: int
    """Labels to be found."""

    @property
    def fn(self) -> Int64[Tensor, " s"]:
        """Labels not found."""
        return self.positives - self.tp

    @property
    def precision(self) -> Float64[Tensor, " s"]:
        """Share of predictions that are right, 0..1."""
        return self.tp / (self.tp + self.fp).double()

    @property
    def recall(self) -> Float64[Tensor, " s"]:
        """Share of labels found, 0..1; NaN where there is none."""
        return self.tp.double() / (self.positives or math.nan)

    def f_beta(self, beta: float = 1.0) -> Float64[Tensor, " s"]:
        """Precision and recall in one number, 0..1, recall weighing `beta` times as much; 1 is F1."""
        hits = (1 + beta**2) * self.tp
        return hits / (hits + beta**2 * self.fn + self.fp).double()


class Interpolated(NamedTuple):
    """Highest precision at each recall of the grid or a higher one, and the score there; -1 = no labels."""

    recall: Float64[Tensor, " r"]
    precision: Float64[Tensor, " r"]
    score: Float64[Tensor, " r"]


class Best(NamedTuple):
    """A threshold on the score, and what it gives."""

    threshold: float
    value: float
    precision: float
    recall: float


class Grid(NamedTuple):
    """Counts of each class, overlap and confidence; what is ignored is in none."""

    iou: Float64[Tensor, " t"]
    confidence: Float64[Tensor, " c"]
    tp: Int64[Tensor, "k t c"]
    fp: Int64[Tensor, "k t c"]
    fn: Int64[Tensor, "k t c"]


def curve(
    figures: CocoFigures, class_row: int, *, iou: float = 0.5, area: str | None = None, max_detections: int | None = None
) -> Curve:
    """Right and wrong predictions of a class down its scores; equal scores are one point, none is made up at recall 0 or 1.

    `area` is the first size range by default, `max_detections` the largest number.

    Raises
    ------
    UsageError
        The threshold, size range or number of detections was not evaluated.
    """
    t, a, most = _threshold(figures, iou), _area(figures, area), _most(figures, max_detections)
    first, last = figures.ranked[0].class_offset[class_row : class_row + 2].tolist()
    true, false = (side[first:last] for side in _verdicts(figures, t, a, most))
    counted = true | false
    score, order = torch.sort(figures.ranked[0].score[first:last][counted], descending=True, stable=True)
    tp, fp = true[counted][order].cumsum(0), false[counted][order].cumsum(0)
    ends = torch.ones_like(score, dtype=torch.bool)
    ends[:-1] = score[1:] != score[:-1]
    return Curve(score[ends], tp[ends], fp[ends], int(figures.positives[class_row, a]))


def interpolated(figures: CocoFigures, class_row: int, *, iou: float = 0.5, area: str | None = None) -> Interpolated:
    """The points of which COCO's average precision is the mean, with their scores.

    Raises
    ------
    UsageError
        The threshold or size range was not evaluated.
    """
    at = (_threshold(figures, iou), slice(None), class_row, _area(figures, area), -1)
    return Interpolated(figures.precision.new_tensor(figures.protocol.recalls), figures.precision[at], figures.scores[at])


def best(points: Curve, beta: float = 1.0) -> Best | None:
    """The threshold with the highest F-beta, the higher one of equals; None without labels or without predictions."""
    if not points.positives or not len(points.threshold):
        return None
    value = points.f_beta(beta)
    place = int((value == value.max()).nonzero()[0])
    return Best(*(float(side[place]) for side in (points.threshold, value, points.precision, points.recall)))


def best_common(curves: list[Curve], beta: float = 1.0) -> Best | None:
    """The one threshold with the highest mean F-beta over classes, the higher one of equals, and the means it gives.

    Classes without labels are left out; one without a prediction above the threshold has F-beta and recall 0 and no precision.
    """
    known = [points for points in curves if points.positives]
    scores = torch.unique(torch.cat([points.threshold for points in known])).flip(0) if known else torch.zeros(0)
    if not len(scores):
        return None
    mean = sum(_above(points, points.f_beta(beta), scores, 0.0) for points in known) / scores.new_tensor(len(known))
    place = (mean == mean.max()).nonzero()[0]
    score = scores[place]
    precision = torch.cat([_above(points, points.precision, score, math.nan) for points in known]).nanmean()
    recall = torch.cat([_above(points, points.recall, score, 0.0) for points in known]).mean()
    return Best(float(score), float(mean[place]), float(precision), float(recall))


def threshold_for(points: Curve, *, precision: float | None = None, recall: float | None = None) -> Best | None:
    """The lowest threshold with at least this precision, or the highest with at least this recall; None = out of reach.

    The value of the result is its F1.

    Raises
    ------
    UsageError
        Not exactly one of the two is given.
    """
    if (precision is None) == (recall is None):
        raise UsageError("a target is one number: a precision or a recall")
    side, target = (points.recall, recall) if precision is None else (points.precision, precision)
    places = (side >= torch.as_tensor(target)).nonzero().flatten()
    if not len(places):
        return None
    place = int(places[0] if precision is None else places[-1])
    return Best(*(float(side[place]) for side in (points.threshold, points.f_beta(), points.precision, points.recall)))


def counts(
    figures: CocoFigures, confidences: tuple[float, ...], *, area: str | None = None, max_detections: int | None = None
) -> Grid:
    """True and false predictions and missed labels at every threshold evaluated and every confidence: no second matching.

    Each is what an evaluation without the predictions of a lower score would count: they cannot change what is above them.

    Raises
    ------
    UsageError
        The size range or number of detections was not evaluated.
    """
    a, most, ranked = _area(figures, area), _most(figures, max_detections), figures.ranked[0]
    levels, order = torch.sort(ranked.score.new_tensor(confidences))
    k, c = len(figures.positives), len(levels)
    class_row = torch.repeat_interleave(torch.arange(k, device=levels.device), ranked.class_offset.diff())
    passed = class_row * (c + 1) + torch.searchsorted(levels, ranked.score, right=True)
    back = torch.argsort(order)
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for t in range(len(figures.protocol.thresholds)):
        for side, chosen in zip(sides, _verdicts(figures, t, a, most), strict=True):
            found = torch.bincount(passed[chosen], minlength=k * (c + 1)).view(k, c + 1)
            side.append(found.flip(1).cumsum(1).flip(1)[:, 1:][:, back])  # those that pass level i pass all before it
    tp, fp = (torch.stack(side, 1) for side in sides)
    iou = levels.new_tensor(figures.protocol.thresholds)
    return Grid(iou, levels.new_tensor(confidences), tp, fp, figures.positives[:, a, None, None] - tp)


def grid(
    labels: Instances,
    predictions: Instances,
    ious: tuple[float, ...],
    confidences: tuple[float, ...],
    protocol: EvaluationProtocol = COCO,
    *,
    kind: Kind = "box",
    classes: int | None = None,
) -> Grid:
    """Counts over any grid of overlaps and confidences, matched once, without size ranges.

    Raises
    ------
    UsageError
        A threshold is not within 0..1, or predictions have no score.
    """
    most = tuple(sorted(protocol.max_detections)[-1:])
    rules = replace(protocol, thresholds=ious, areas=(), max_detections=most)
    return counts(evaluate(labels, predictions, rules, kind=kind, classes=classes), confidences)


def recall_by_threshold(
    figures: CocoFigures, *, area: str | None = None, max_detections: int | None = None
) -> Float64[Tensor, " t"]:
    """Share of labels found at each threshold on the overlap, mean over classes with labels; NaN if there is none.

    Its mean over COCO's thresholds is the average recall.

    Raises
    ------
    UsageError
        The size range or number of detections was not evaluated.
    """
    m = figures.max_detections.index(_most(figures, max_detections))
    table = figures.recall[:, :, _area(figures, area), m]
    return torch.where(table > -1, table, torch.nan).nanmean(1)


def _verdicts(figures: CocoFigures, t: int, a: int, most: int) -> tuple[Bool[Tensor, " p"], Bool[Tensor, " p"]]:
    """Predictions that are right, and wrong, among the best `most` of their frame; ignored ones are neither."""
    ranked, bit = figures.ranked[t // MAX_THRESHOLDS], t % MAX_THRESHOLDS
    matched, hidden = ((bits[a] >> bit & 1).bool() for bits in (ranked.matched, ranked.hidden))
    among = ranked.rank < most
    return matched & ~hidden & among, ~matched & ~ranked.outside[a] & among


def _above(points: Curve, values: Float64[Tensor, " s"], score: Float64[Tensor, " n"], none: float) -> Float64[Tensor, " n"]:
    """Values of a curve at other scores: those of its lowest point that is not below; `none` where all are."""
    reached = torch.searchsorted(-points.threshold, -score, right=True)
    return torch.cat([values.new_tensor([none]), values])[reached]


def _threshold(figures: CocoFigures, iou: float) -> int:
    """Place of a threshold, as far as doubles can tell."""
    for t, value in enumerate(figures.protocol.thresholds):
        if abs(value - iou) < 1e-9:
            return t
    raise UsageError(
        f"threshold {iou} was not evaluated; there are {', '.join(f'{t:g}' for t in figures.protocol.thresholds)}",
        hint="evaluate once more with this threshold in the protocol",
    )


def _area(figures: CocoFigures, area: str | None) -> int:
    """Place of a size range."""
    if area is not None and area not in figures.areas:
        raise UsageError(f"size range {area!r} was not evaluated; there are {', '.join(figures.areas)}")
    return 0 if area is None else figures.areas.index(area)


def _most(figures: CocoFigures, max_detections: int | None) -> int:
    """The number of detections meant."""
    if max_detections is not None and max_detections not in figures.max_detections:
        known = ", ".join(map(str, figures.max_detections))
        raise UsageError(f"max_detections {max_detections} was not evaluated; there are {known}")
    return figures.max_detections[-1] if max_detections is None else max_detections
