"""Localization recall precision error: how wrong the detections of a class are, misses, false finds and offsets together.

0 = perfect, 1 = nothing right. Source: Oksuz et al., Localization Recall Precision, ECCV 2018, and One Metric to Measure Them
All, TPAMI 2021 (reference evaluation.md 10).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.rates import mean_of_known, rate
from gpu_quality.evaluation.resampling import BUDGET, Figures


@dataclass(frozen=True, slots=True)
class LrpCurve:
    """The error of one class at every confidence threshold s, highest first: predictions with a score of at least s count."""

    score: Float64[Tensor, " s"]
    lrp: Float64[Tensor, " s"]
    """0..1; NaN where there is neither label nor prediction."""
    localization: Float64[Tensor, " s"]
    """Mean of 1 - IoU of the true positives, 0..1 - tau; NaN without any."""
    false_positive: Float64[Tensor, " s"]
    """FP / (TP + FP), 0..1: one minus the precision."""
    false_negative: Float64[Tensor, " s"]
    """FN / (TP + FN), 0..1: one minus the recall."""
    tp: Int64[Tensor, " s"]
    fp: Int64[Tensor, " s"]
    fn: Int64[Tensor, " s"]


@dataclass(frozen=True, slots=True)
class OptimalLrp:
    """The smallest error of each class over all thresholds, its three parts, and the threshold that gives it."""

    olrp: Float64[Tensor, " k"]
    """NaN for classes without labels."""
    localization: Float64[Tensor, " k"]
    false_positive: Float64[Tensor, " k"]
    false_negative: Float64[Tensor, " k"]
    threshold: Float64[Tensor, " k"]
    """The highest score with that error; NaN for classes without predictions."""

    @property
    def mean(self) -> Float64[Tensor, ""]:
        """moLRP: mean over the classes with labels; NaN without any."""
        return mean_of_known(self.olrp)


def lrp_curve(
    score: Float64[Tensor, " p"],
    correct: Bool[Tensor, " p"],
    iou: Float64[Tensor, " p"],
    labels: int,
    *,
    tau: float = 0.5,
    grid: bool = False,
) -> LrpCurve:
    """The curve of one class from its predictions, in any order, that are not ignored.

    `correct` marks the true positives at IoU `tau`, `iou` is that of their match (masks: mask IoU, keypoints: OKS; others:
    any), `labels` how many labels are not ignored. Thresholds are the distinct scores, or 1, .99 .. 0 (`grid`).

    Raises
    ------
    UsageError
        `tau` is not within [0, 1), or a score is NaN.
    """
    _check(score, tau)
    order = score.sort(descending=True, stable=True).indices
    ordered = score[order]
    if grid:
        thresholds = torch.arange(100, -1, -1, dtype=torch.float64, device=score.device) / 100
        kept = torch.searchsorted(-ordered, -thresholds, right=True)
    else:
        kept = _ends(ordered)
        thresholds = ordered[kept - 1]
    hit, offset = correct[order], torch.where(correct, 1 - iou, 0.0)[order]
    tp, shift = _prefix(hit.long())[kept], _prefix(offset)[kept]
    fp, fn = kept - tp, labels - tp
    return LrpCurve(thresholds, _lrp(shift, tp, fp, fn, tau), rate(shift, tp), rate(fp, tp + fp), rate(fn, tp + fn), tp, fp, fn)


def optimal_lrp(curves: list[LrpCurve], labels: Int64[Tensor, " k"]) -> OptimalLrp:
    """The best point of the curve of each class; `labels` is how many each class has.

    A class without predictions has error 1, all of it misses. Equal minima: the highest threshold.
    """
    rows = [_best(curve, count) for curve, count in zip(curves, labels.tolist(), strict=True)]
    return OptimalLrp(*torch.tensor(rows, dtype=torch.float64).reshape(-1, 5).T)


def resampled_olrp(
    score: Float64[Tensor, " p"],
    correct: Bool[Tensor, " p"],
    iou: Float64[Tensor, " p"],
    unit: Int64[Tensor, " p"],
    labels: Int64[Tensor, " u"],
    *,
    tau: float = 0.5,
) -> Figures:
    """The oLRP of one class [r, 1] as a function of the weights of the units, for `intervals.interval` and `compare`.

    Predictions as in `lrp_curve`, with the unit of each; `labels` is the number of labels in each unit.

    Raises
    ------
    UsageError
        As in `lrp_curve`.
    """
    _check(score, tau)
    order = score.sort(descending=True, stable=True).indices
    kept = _ends(score[order]) - 1
    own, hit = unit[order], correct[order]
    # (sum of (1 - IoU) / (1 - tau) + FP + FN) / (TP + FP + FN) with FN = labels - TP: one running sum above, one below
    above = torch.where(hit, (1 - iou[order]) / (1 - tau) - 1, 1.0)[:, None]
    below = (~hit).double()[:, None]

    def some(weights: Shaped[Tensor, "r u"]) -> Float64[Tensor, " r"]:
        drawn = weights.T.double()[own]  # [p, r]
        total = (weights.long() @ labels).double()
        error = rate((drawn * above).cumsum(0)[kept] + total, (drawn * below).cumsum(0)[kept] + total)
        # without predictions all labels are missed: error 1, which no threshold exceeds
        best = torch.cat([error.nan_to_num(nan=1.0), error.new_ones(1, len(weights))]).amin(0)
        return torch.where(total > 0, best, torch.nan)

    def figures(weights: Shaped[Tensor, "r u"]) -> Float64[Tensor, "r 1"]:
        step = max(1, BUDGET // (8 * max(1, len(own))))
        return torch.cat([some(weights[first : first + step]) for first in range(0, max(1, len(weights)), step)])[:, None]

    return figures


def _lrp(
    shift: Float64[Tensor, "*s"], tp: Int64[Tensor, "*s"], fp: Int64[Tensor, "*s"], fn: Int64[Tensor, "*s"], tau: float
) -> Float64[Tensor, "*s"]:
    return rate(shift / (1 - tau) + fp + fn, tp + fp + fn)


def _best(curve: LrpCurve, labels: int) -> tuple[float, ...]:
    """oLRP, its parts and threshold of one class."""
    nan = float("nan")
    if labels == 0:
        return (nan,) * 5
    if len(curve.score) == 0:
        return 1.0, nan, nan, 1.0, nan
    at = int((curve.lrp == curve.lrp.min()).long().argmax())  # argmin promises no order among equals
    parts = (curve.lrp, curve.localization, curve.false_positive, curve.false_negative, curve.score)
    return tuple(part[at].item() for part in parts)


def _ends(ordered: Float64[Tensor, " p"]) -> Int64[Tensor, " s"]:
    """How many predictions come before the end of each run of equal scores."""
    last = torch.ones(len(ordered), dtype=torch.bool, device=ordered.device)
    last[:-1] = ordered[1:] != ordered[:-1]
    return last.nonzero().flatten() + 1


def _prefix(value: Shaped[Tensor, " p"]) -> Shaped[Tensor, " p_plus_1"]:
    """Sums of the first 0, 1 .. p values."""
    return torch.cat([value.new_zeros(1), value.cumsum(0)])


def _check(score: Float64[Tensor, " p"], tau: float) -> None:
    if not 0 <= tau < 1:
        raise UsageError(f"LRP needs an IoU threshold from 0 to below 1; got {tau}")
    if bool(score.isnan().any()):
        raise UsageError(f"LRP needs a score for every prediction: {int(score.isnan().sum()):,} of {len(score):,} have none")
