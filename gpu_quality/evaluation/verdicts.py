"""What became of every prediction and every label in one matching at one threshold: the common ground of counts and reasons."""

import math
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.instances import Instances
from gpu_quality.evaluation.matching import Matches
from gpu_quality.evaluation.protocol import EvaluationProtocol
from gpu_quality.evaluation.segments import Segments

_ALMOST_ONE: Final = 1 - 1e-10
"""COCO's cap: threshold 1 is reached by overlaps that rounding left below 1."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Predictions and labels that took part, in the order of their cells."""

    prediction: Int64[Tensor, " p"]
    """Rows of the predictions."""
    partner: Int64[Tensor, " p"]
    """Row of the label each matched, -1 = none."""
    iou: Float64[Tensor, " p"]
    """Overlap with that label, NaN without one."""
    hit: Bool[Tensor, " p"]
    """True positive: matched to a label of its class, and not ignored."""
    ignored: Bool[Tensor, " p"]
    label: Int64[Tensor, " q"]
    """Rows of the labels."""
    found: Bool[Tensor, " q"]
    """Matched to a prediction of its class."""
    matched: Bool[Tensor, " q"]
    """Matched to a prediction of any class."""
    label_ignored: Bool[Tensor, " q"]


class OverlapTable:
    """Where the overlap of a prediction with a label of its cell stands; made once, used at every threshold."""

    def __init__(self, segments: Segments, labels: int) -> None:
        self.segments = segments
        owner = segments.owner_of_predictions()
        per_cell = segments.label_offset.diff()
        inside = torch.arange(len(owner), device=owner.device) - segments.prediction_offset[owner]
        self.row_start = segments.overlap_offset[owner] + inside * per_cell[owner] - segments.label_offset[owner]
        self.place = torch.full((labels,), -1, dtype=torch.int64, device=owner.device)
        self.place[segments.label] = torch.arange(len(segments.label), device=owner.device)

    def overlap_with(self, label: Int64[Tensor, " p"]) -> Float64[Tensor, " p"]:
        """Overlap of each prediction with the label of the given row, NaN for row -1."""
        some = label >= 0
        out = torch.full(label.shape, torch.nan, dtype=torch.float64, device=label.device)
        out[some] = self.segments.overlap[self.row_start[some] + self.place[label[some]]]
        return out


def verdicts_at(
    matches: Matches,
    labels: Instances,
    predictions: Instances,
    threshold: int = 0,
    area: int = 0,
    table: OverlapTable | None = None,
) -> Verdicts:
    """The matching at one threshold (by its place) and size range. A prediction matched to an ignored label is ignored."""
    segments = matches.segments
    table = OverlapTable(segments, len(labels)) if table is None else table
    prediction, label = segments.prediction, segments.label
    partner = matches.label_of[area, threshold].long()
    label_ignored = matches.label_ignored[area]
    ignored, some = matches.prediction_ignored[area, threshold].clone(), partner >= 0
    ignored[some] |= label_ignored[table.place[partner[some]]]
    same = same_class(matches.protocol, labels, predictions, partner, prediction)
    other = matches.prediction_of[area, threshold].long()
    found = same_class(matches.protocol, labels, predictions, label, other)
    iou = table.overlap_with(partner)
    return Verdicts(prediction, partner, iou, same & ~ignored, ignored, label, found, other >= 0, label_ignored)


def same_class(
    protocol: EvaluationProtocol,
    labels: Instances,
    predictions: Instances,
    label: Int64[Tensor, " k"],
    prediction: Int64[Tensor, " k"],
) -> Bool[Tensor, " k"]:
    """Whether both rows are there (not -1) and of one class."""
    both = (label >= 0) & (prediction >= 0)
    if protocol.use_classes:
        rows = both.nonzero().flatten()
        both[rows] = labels.class_id[label[rows]] == predictions.class_id[prediction[rows]]
    return both


def least(protocol: EvaluationProtocol, threshold: float) -> float:
    """The smallest overlap that passes a threshold."""
    if protocol.compare == "gt":
        return math.nextafter(threshold, math.inf)
    return min(threshold, _ALMOST_ONE) if protocol.order == "score" and protocol.tie == "last" else threshold


def by_row(rows: Int64[Tensor, " p"], value: Tensor, count: int, missing: float | int) -> Tensor:
    """Values brought from the order of cells into that of `count` rows, `missing` in rows that took no part."""
    out = torch.full((count,), missing, dtype=value.dtype, device=value.device)
    out[rows] = value
    return out


def check_rows(labels: Instances, predictions: Instances, *, classes: int | None = None, frames: int | None = None) -> None:
    """Refuse rows of classes or frames beyond what there is.

    Raises
    ------
    UsageError
        The first such row.
    """
    for side, name in ((labels, "label"), (predictions, "prediction")):
        for rows, count, what in ((side.class_id, classes, "class"), (side.frame, frames, "frame")):
            if count is not None and len(rows) and int(rows.max()) >= count:
                row = int((rows >= count).nonzero()[0])
                hint = f"rows of a {what} count from 0: pass their number"
                raise UsageError(f"{name} {row} is of {what} {int(rows[row])}, but there are {count:,}", hint=hint)
