"""Pascal VOC: average precision per class by 11 points (2007) or all points (2010 and later), with its lists."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.evaluation.average_precision import Ranking, average_precision, class_count, rankings
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.matching import match
from gpu_quality.evaluation.protocol import VOC12, EvaluationProtocol
from gpu_quality.evaluation.rates import mean_of_known, optional, rate

if TYPE_CHECKING:
    from gpu_quality.evaluation.overlaps import Comparison


@dataclass(frozen=True, slots=True)
class VocFigures:
    """Figures of each class k at each threshold t; classes without labels are NaN and in no mean."""

    protocol: EvaluationProtocol
    ap: Float64[Tensor, "t k"]
    """Average precision, 0..1."""
    positives: Int64[Tensor, " k"]
    """Labels to be found: difficult ones are not."""
    tp: Int64[Tensor, "t k"]
    fp: Int64[Tensor, "t k"]
    """Predictions matched to a difficult label are in neither."""
    ranked: tuple[Ranking, ...]
    """Precision and recall after each prediction, one ranking per threshold."""

    @property
    def fn(self) -> Int64[Tensor, "t k"]:
        """Labels that nothing found."""
        return self.positives - self.tp

    @property
    def precision(self) -> Float64[Tensor, "t k"]:
        """Of all predictions, 0..1; NaN without predictions."""
        return rate(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Float64[Tensor, "t k"]:
        """Of all predictions, 0..1; NaN without labels."""
        return rate(self.tp, self.positives.expand_as(self.tp))

    def summary(self) -> dict[str, float | None]:
        """mAP, and with several thresholds that of each; counts of the first threshold over all classes."""
        each = {f"mAP@{t:g}": optional(mean_of_known(ap)) for t, ap in zip(self.protocol.thresholds, self.ap, strict=True)}
        out = {"mAP": optional(mean_of_known(mean_of_known(self.ap))), **(each if len(each) > 1 else {})}
        tp, fp, positives = self.tp[0].sum(), self.fp[0].sum(), self.positives.sum()
        counts = {"TP": float(tp), "FP": float(fp), "FN": float(positives - tp)}
        return out | counts | {"precision": optional(rate(tp, tp + fp)), "recall": optional(rate(tp, positives))}


def evaluate(
    labels: Instances,
    predictions: Instances,
    protocol: EvaluationProtocol = VOC12,
    *,
    kind: Kind = "box",
    how: "Comparison | None" = None,
    classes: int | None = None,
) -> VocFigures:
    """VOC's figures: each prediction may only find the label it overlaps most, the first of equal ones.

    With ``inclusive`` protocols, `box` is x y w h of inclusive pixels: from xmin to xmax, w = xmax - xmin. ``compare="gt"``
    follows ports that ask for more than the threshold. Equal scores keep the order of frames, then the given one.
    `classes` is the number of classes, so that those without a row have entries too. Source: VOC development kit.

    Raises
    ------
    UsageError
        A prediction has no score, or `kind` needs shapes that are not there.
    """
    classes = class_count(labels.class_id, predictions.class_id) if classes is None else classes
    protocol = replace(protocol, compare_ignored=protocol.compare)  # one threshold for ordinary and difficult labels
    matches = match(labels, predictions, protocol, kind=kind, how=how)
    ranked, positives = rankings(matches, predictions.score, classes=classes)
    return VocFigures(
        protocol=protocol,
        ap=torch.stack([average_precision(one, positives, protocol.curve, protocol.recalls) for one in ranked]),
        positives=positives.long(),
        tp=torch.stack([one.tp() for one in ranked]).long(),
        fp=torch.stack([one.fp() for one in ranked]),
        ranked=ranked,
    )
