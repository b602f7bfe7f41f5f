"""How well classes are told apart: accuracy, precision, recall and F1 per class and on average, from one matrix of counts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.rates import mean_of_known, rate
from gpu_quality.evaluation.resampling import BUDGET

Average = Literal["micro", "macro", "weighted"]


def confusion(
    label: Int64[Tensor, " m"],
    prediction: Int64[Tensor, " m"],
    classes: int,
    *,
    weight: Shaped[Tensor, " m"] | None = None,
) -> Shaped[Tensor, "k_plus_1 k_plus_1"]:
    """How often each label class met each predicted class; the last row and column stand for None (-1): nothing was said.

    Rows are labels, columns predictions. Row sums are the labels of a class, column sums its predictions. int64; with weights
    (of a resample, say) their sums, in their type (int32 as int64).

    Raises
    ------
    UsageError
        A class is not within -1..classes-1.
    """
    for name, side in (("label", label), ("prediction", prediction)):
        bad = ((side < -1) | (side >= classes)).nonzero().flatten()
        if len(bad):
            raise UsageError(
                f"{name} {int(bad[0])} has class {int(side[bad[0]])}; there are classes 0 to {classes - 1}, -1 = none"
            )
    size = classes + 1
    cell = torch.where(label < 0, classes, label) * size + torch.where(prediction < 0, classes, prediction)
    if weight is None:
        return torch.bincount(cell, minlength=size * size).view(size, size)
    value = weight if weight.is_floating_point() else weight.long()
    return value.new_zeros(size * size).index_add_(0, cell, value).view(size, size)


def normalized(
    counts: Shaped[Tensor, "a b"], by: Literal["row", "column", "all"], zero_division: float = torch.nan
) -> Float64[Tensor, "a b"]:
    """Counts as shares: of the labels of a class (`row`), of its predictions (`column`) or of `all`; NaN for 0 of 0."""
    if by == "all":
        return rate(counts, counts.sum().expand_as(counts), zero_division)
    return rate(counts, counts.sum(1 if by == "row" else 0, keepdim=True).expand_as(counts), zero_division)


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """True and false answers of each class; leading axes, such as resamples, are kept throughout."""

    tp: Shaped[Tensor, "*s k"]
    fp: Shaped[Tensor, "*s k"]
    fn: Shaped[Tensor, "*s k"]

    @property
    def support(self) -> Shaped[Tensor, "*s k"]:
        """Labels of each class."""
        return self.tp + self.fn

    def precision(self, zero_division: float = torch.nan) -> Float64[Tensor, "*s k"]:
        """TP / (TP + FP), 0..1; `zero_division` for a class that was never predicted."""
        return rate(self.tp, self.tp + self.fp, zero_division)

    def recall(self, zero_division: float = torch.nan) -> Float64[Tensor, "*s k"]:
        """TP / (TP + FN), 0..1; `zero_division` for a class without labels."""
        return rate(self.tp, self.tp + self.fn, zero_division)

    def f1(self, zero_division: float = torch.nan) -> Float64[Tensor, "*s k"]:
        """2 TP / (2 TP + FP + FN), 0..1; `zero_division` for a class that is nowhere."""
        return rate(2 * self.tp, 2 * self.tp + self.fp + self.fn, zero_division)

    def jaccard(self, zero_division: float = torch.nan) -> Float64[Tensor, "*s k"]:
        """TP / (TP + FP + FN), 0..1; `zero_division` for a class that is nowhere."""
        return rate(self.tp, self.tp + self.fp + self.fn, zero_division)

    def pooled(self, chosen: Bool[Tensor, " k"] | None = None) -> "ClassCounts":
        """All classes as one (micro), or the chosen ones."""
        kept = slice(None) if chosen is None else chosen
        parts = (part[..., kept].sum(-1, keepdim=True) for part in (self.tp, self.fp, self.fn))
        return ClassCounts(*parts)


def class_counts(counts: Shaped[Tensor, "*s k_plus_1 k_plus_1"]) -> ClassCounts:
    """True and false answers of each class from a confusion matrix whose last row and column are None."""
    tp = counts.diagonal(dim1=-2, dim2=-1)[..., :-1]
    return ClassCounts(tp, counts.sum(-2)[..., :-1] - tp, counts.sum(-1)[..., :-1] - tp)


def resampled_counts(
    label: Int64[Tensor, " m"], prediction: Int64[Tensor, " m"], unit: Int64[Tensor, " m"], classes: int
) -> Callable[[Shaped[Tensor, "r u"]], ClassCounts]:
    """`class_counts` [r, k] as a function of the weights of the units, for figures that are bootstrapped.

    `unit` is the unit of each row. Every row counts as often as its unit was drawn; memory is bounded by `resampling.BUDGET`.
    """
    parts = (label[label >= 0], unit[label >= 0]), (prediction[prediction >= 0], unit[prediction >= 0])
    hit = (label == prediction) & (label >= 0)

    def summed(class_id: Int64[Tensor, " a"], own: Int64[Tensor, " a"], weights: Shaped[Tensor, "r u"]) -> Int64[Tensor, "r k"]:
        out = torch.zeros((classes, len(weights)), dtype=torch.int64, device=weights.device)
        step = max(1, BUDGET // (8 * max(1, len(weights))))
        turned = weights.T.long()  # [u, r]
        for start in range(0, len(own), step):
            out.index_add_(0, class_id[start : start + step], turned[own[start : start + step]])
        return out.T

    def counts(weights: Shaped[Tensor, "r u"]) -> ClassCounts:
        tp = summed(label[hit], unit[hit], weights)
        labeled, predicted = (summed(*part, weights) for part in parts)
        return ClassCounts(tp, predicted - tp, labeled - tp)

    return counts


@dataclass(frozen=True, slots=True)
class Scores:
    """Precision, recall and F1 of one kind of average; NaN where undefined."""

    precision: Float64[Tensor, "*s"]
    recall: Float64[Tensor, "*s"]
    f1: Float64[Tensor, "*s"]


def averaged(
    counts: ClassCounts, average: Average, *, zero_division: float = torch.nan, chosen: Bool[Tensor, " k"] | None = None
) -> Scores:
    """Precision, recall and F1 over the classes, or the `chosen` ones.

    ``micro`` pools the counts; ``macro`` is the mean over the classes, undefined ones left out unless `zero_division` gives
    them a value; ``weighted`` weights them by their labels. The protocol ``encord`` is macro with `zero_division` 0.
    """
    if average == "micro":
        pooled = counts.pooled(chosen)
        parts = (pooled.precision(zero_division), pooled.recall(zero_division), pooled.f1(zero_division))
        return Scores(*(part[..., 0] for part in parts))
    weight = counts.support if average == "weighted" else None
    each = (counts.precision(zero_division), counts.recall(zero_division), counts.f1(zero_division))
    return Scores(*(mean_of_known(part, weight, chosen) for part in each))


def accuracy(counts: Shaped[Tensor, "*s k_plus_1 k_plus_1"]) -> Float64[Tensor, "*s"]:
    """Share of the labels that were predicted right, 0..1; a label without prediction is wrong. NaN without labels.

    Predictions for what nobody labeled are not in it; they are in the None row and in the precision.
    """
    right = counts.diagonal(dim1=-2, dim2=-1)[..., :-1].sum(-1)
    return rate(right, counts[..., :-1, :].sum((-2, -1)))


def balanced_accuracy(counts: Shaped[Tensor, "*s k_plus_1 k_plus_1"]) -> Float64[Tensor, "*s"]:
    """Mean recall of the classes that have labels, 0..1: accuracy as if all classes were equally frequent."""
    return mean_of_known(class_counts(counts).recall())


@dataclass(frozen=True, slots=True)
class LabelCounts(ClassCounts):
    """True and false answers of each option of a question with several answers, those rightly left out included."""

    tn: Shaped[Tensor, "*s k"]


def multilabel_counts(label: Bool[Tensor, "m l"], prediction: Bool[Tensor, "m l"]) -> LabelCounts:
    """Counts per option over all rows."""
    _same_shape(label, prediction)
    tp, fp = (label & prediction).sum(0), (~label & prediction).sum(0)
    fn, tn = (label & ~prediction).sum(0), (~label & ~prediction).sum(0)
    return LabelCounts(tp, fp, fn, tn)


def exact_match(label: Bool[Tensor, "m l"], prediction: Bool[Tensor, "m l"]) -> Float64[Tensor, ""]:
    """Share of the rows in which every option is right, 0..1; NaN without rows."""
    _same_shape(label, prediction)
    right = (label == prediction).all(1)
    return rate(right.sum(), right.new_tensor(len(right), dtype=torch.int64))


def row_jaccard(
    label: Bool[Tensor, "m l"], prediction: Bool[Tensor, "m l"], zero_division: float = torch.nan
) -> Float64[Tensor, " m"]:
    """Options in both over options in either, per row, 0..1; `zero_division` where both are empty."""
    _same_shape(label, prediction)
    return rate((label & prediction).sum(1), (label | prediction).sum(1), zero_division)


def _same_shape(label: Tensor, prediction: Tensor) -> None:
    if label.shape != prediction.shape:
        raise UsageError(
            f"labels {list(label.shape)} and predictions {list(prediction.shape)} must have the same rows and options"
        )
