"""What each prediction and label came to, and in plain words why a prediction is false (reference evaluation.md 6)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from jaxtyping import Bool, Float64, Int8, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.instances import Instances
from gpu_quality.evaluation.matching import Matches
from gpu_quality.evaluation.verdicts import Verdicts, by_row, least, verdicts_at
from gpu_quality.kernels.errors import Closest, closest

if TYPE_CHECKING:
    pass

PREDICTION_OUTCOMES: Final = ("tp", "fp", "ignored")
LABEL_OUTCOMES: Final = ("matched", "fn", "ignored")
REASONS: Final = ("no_overlap", "iou_too_low", "already_matched")
_TEXTS: Final = {
    "no_overlap": "No overlapping label of class `{}`.",
    "iou_too_low": "IOU too low.",
    "already_matched": "Prediction with higher confidence already matched label.",
}


@dataclass(frozen=True, slots=True)
class Outcomes:
    """One row per prediction, and one per label, as they were given; -1 in a code: took no part, or has no reason."""

    outcome: Int8[Tensor, " n"]
    """Place in `PREDICTION_OUTCOMES`."""
    reason: Int8[Tensor, " n"]
    """Place in `REASONS` for false positives."""
    label: Int64[Tensor, " n"]
    """Row of the matched label, -1 = none."""
    iou: Float64[Tensor, " n"]
    """Overlap with that label; unmatched: the best with a label of the class, 0 without one. NaN where it took no part."""
    label_outcome: Int8[Tensor, " m"]
    """Place in `LABEL_OUTCOMES`."""
    prediction: Int64[Tensor, " m"]
    """Row of the prediction that matched the label, -1 = none."""
    label_iou: Float64[Tensor, " m"]
    """Overlap with it, NaN without one."""


def outcomes(matches: Matches, labels: Instances, predictions: Instances, *, threshold: int = 0, area: int = 0) -> Outcomes:
    """What came of everything at one threshold (by its place) and size range of the matches.

    A false positive whose best label of its class does not reach the threshold has too low an IoU; one that reaches it was
    late. A prediction matched across classes is false, and its label missed.
    """
    verdict = verdicts_at(matches, labels, predictions, threshold, area)
    near = _closest(matches, labels, predictions)
    enough = torch.full_like(near.same, least(matches.protocol, float(matches.thresholds[threshold])))
    reason = torch.where(near.same > 0, torch.where(near.same >= enough, 2, 1), 0)
    return _written(matches, verdict, near, reason, labels, predictions, threshold, area)


def explain(reason: str, class_name: str) -> str:
    """A reason in words for people.

    >>> explain("no_overlap", "dog")
    'No overlapping label of class `dog`.'

    Raises
    ------
    UsageError
        There is no such reason.
    """
    if reason not in _TEXTS:
        raise UsageError(f"reason {reason!r} is none of {', '.join(REASONS)}")
    return _TEXTS[reason].format(class_name)


def _closest(matches: Matches, labels: Instances, predictions: Instances) -> Closest:
    """The label of its class that every prediction overlaps most, ignored ones included."""
    segments = matches.segments
    flags: Bool[Tensor, " q"] = torch.ones(len(segments.label), dtype=torch.bool)
    classes = labels.class_id, predictions.class_id
    if not matches.protocol.use_classes:
        classes = torch.zeros_like(classes[0]), torch.zeros_like(classes[1])
    return closest(segments.overlap, segments.cells(), *classes, flags, ~flags)


def _written(
    matches: Matches,
    verdict: Verdicts,
    near: Closest,
    reason: Int64[Tensor, " p"],
    labels: Instances,
    predictions: Instances,
    threshold: int,
    area: int,
) -> Outcomes:
    """Bring results from the order of cells into that of the rows."""
    false = ~verdict.hit & ~verdict.ignored
    own = torch.where(verdict.partner >= 0, verdict.iou, near.same.clamp(min=0))
    outcome = torch.where(verdict.hit, 0, torch.where(verdict.ignored, 2, 1))
    label_outcome = torch.where(verdict.label_ignored, 2, torch.where(verdict.found, 0, 1))
    n, m = len(predictions), len(labels)
    prediction = by_row(verdict.label, matches.prediction_of[area, threshold].long(), m, -1)
    iou = torch.full((m,), torch.nan, dtype=torch.float64)
    mutual = (verdict.partner >= 0).nonzero().flatten()
    mutual = mutual[prediction[verdict.partner[mutual]] == verdict.prediction[mutual]]
    iou[verdict.partner[mutual]] = verdict.iou[mutual]
    return Outcomes(
        outcome=by_row(verdict.prediction, outcome, n, -1).to(torch.int8),
        reason=by_row(verdict.prediction, torch.where(false, reason, -1), n, -1).to(torch.int8),
        label=by_row(verdict.prediction, verdict.partner, n, -1),
        iou=by_row(verdict.prediction, own, n, torch.nan),
        label_outcome=by_row(verdict.label, label_outcome, m, -1).to(torch.int8),
        prediction=prediction,
        label_iou=iou,
    )
