"""What class probabilities are worth beyond the first choice: ROC and precision-recall curves, top-k, log loss, Brier score."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.calibration import Reliability, reliability
from gpu_quality.evaluation.rates import mean_of_known, rate

Area = Callable[[Float64[Tensor, " n"], Bool[Tensor, " n"]], Float64[Tensor, ""]]


@dataclass(frozen=True, slots=True)
class Roc:
    """How many false alarms each hit rate costs: one point per distinct score, highest first, after the point (0, 0)."""

    fpr: Float64[Tensor, " s"]
    """False positives over negatives, 0..1."""
    tpr: Float64[Tensor, " s"]
    """True positives over positives, 0..1."""
    threshold: Float64[Tensor, " s"]
    """Scores of at least this are positive; the first is infinite."""


def roc(score: Float64[Tensor, " n"], positive: Bool[Tensor, " n"]) -> Roc:
    """The receiver operating characteristic; rates over nothing are NaN.

    Raises
    ------
    UsageError
        A score is NaN.
    """
    threshold, tp, fp = _steps(score, positive)
    zero, first = tp.new_zeros(1), threshold.new_full((1,), torch.inf)
    tp, fp = torch.cat([zero, tp]), torch.cat([zero, fp])
    return Roc(rate(fp, fp[-1:].expand_as(fp)), rate(tp, tp[-1:].expand_as(tp)), torch.cat([first, threshold]))


def roc_auc(score: Float64[Tensor, " n"], positive: Bool[Tensor, " n"]) -> Float64[Tensor, ""]:
    """Chance that a positive has a higher score than a negative, equal scores counting half, 0..1; NaN with one class present.

    The pairs are counted in integers.

    Raises
    ------
    UsageError
        A score is NaN.
    """
    _, tp, fp = _steps(score, positive)
    zero = tp.new_zeros(1)
    before, new = torch.cat([zero, tp[:-1]])[: len(tp)], torch.diff(fp, prepend=zero)
    halves = (new * (before + tp)).sum()  # twice the pairs won
    pairs = positive.sum() * (~positive).sum()
    return rate(halves, 2 * pairs)


def average_precision(score: Float64[Tensor, " n"], positive: Bool[Tensor, " n"]) -> Float64[Tensor, ""]:
    r"""Area under the precision-recall curve by steps, without interpolation, 0..1; NaN without positives.

    .. math:: \sum_s (R_s - R_{s-1}) P_s

    Raises
    ------
    UsageError
        A score is NaN.
    """
    _, tp, fp = _steps(score, positive)
    gained = torch.diff(tp, prepend=tp.new_zeros(1))
    return rate((gained * rate(tp, tp + fp)).sum(), positive.sum())


def one_vs_rest_auc(p: Float64[Tensor, "m k"], label: Int64[Tensor, " m"]) -> Float64[Tensor, " k"]:
    """ROC AUC of each class against all others; NaN for classes without labels, or with all.

    Rows without probabilities (NaN) or label (-1) are left out. Means over the classes: ``rates.mean_of_known``.

    Raises
    ------
    UsageError
        A label is no column.
    """
    return _each(p, label, roc_auc)


def one_vs_rest_average_precision(p: Float64[Tensor, "m k"], label: Int64[Tensor, " m"]) -> Float64[Tensor, " k"]:
    """Area under the precision-recall curve of each class against all others; NaN for classes without labels.

    Rows without probabilities (NaN) or label (-1) are left out.

    Raises
    ------
    UsageError
        A label is no column.
    """
    return _each(p, label, average_precision)


def top_k_accuracy(p: Float64[Tensor, "m k"], label: Int64[Tensor, " m"], k: int = 5) -> Float64[Tensor, ""]:
    """Share of the rows whose label is among the k most likely classes, 0..1; of equal ones the lower class comes first.

    Rows without probabilities (NaN) are wrong, rows without a label (-1) are left out.

    Raises
    ------
    UsageError
        k is below 1, or a label is no column.
    """
    if k < 1:
        raise UsageError(f"top-k needs k of at least 1; got {k}")
    p, label = _labeled(p, label)
    own = p.gather(1, label[:, None])
    earlier = torch.arange(p.shape[1], device=p.device) < label[:, None]
    ahead = ((p > own) | ((p == own) & earlier)).sum(1)
    right = (ahead < k) & ~own[:, 0].isnan()
    return mean_of_known(right.double())


def log_loss(p: Float64[Tensor, "m k"], label: Int64[Tensor, " m"]) -> Float64[Tensor, ""]:
    """Mean of -ln of the probability of the right class, 0 or more (nats); a probability of 0 counts as 2^-52.

    Rows without probabilities (NaN) or label (-1) are left out.

    Raises
    ------
    UsageError
        A label is no column.
    """
    p, label = _labeled(p, label)
    own = p.gather(1, label[:, None])[:, 0]
    return mean_of_known(-own.clamp(min=torch.finfo(torch.float64).eps).log())


def brier(p: Float64[Tensor, "m k"], label: Int64[Tensor, " m"]) -> Float64[Tensor, ""]:
    """Mean squared distance between probabilities and truth: 0..2, with two classes halved, as usual, to 0..1.

    Rows without probabilities (NaN) or label (-1) are left out.

    Raises
    ------
    UsageError
        A label is no column.
    """
    p, label = _labeled(p, label)
    truth = torch.zeros_like(p).scatter_(1, label[:, None], 1.0)
    return mean_of_known((p - truth).square().sum(1)) / (2 if p.shape[1] == 2 else 1)


def top_class_reliability(
    p: Float64[Tensor, "m k"], label: Int64[Tensor, " m"], *, bins: int = 10, equal_count: bool = False
) -> Reliability:
    """Calibration of the most likely class: its probability against whether it is the label.

    Rows without probabilities (NaN) or label (-1) are left out.

    Raises
    ------
    UsageError
        A label is no column.
    """
    p, label = _labeled(p, label)
    known = ~p.isnan().any(1)
    sure = p[known].amax(1)
    first = (p[known] == sure[:, None]).long().argmax(1)  # the lower class of equal ones
    return reliability(sure, first == label[known], bins=bins, equal_count=equal_count)


def _steps(
    score: Float64[Tensor, " n"], positive: Bool[Tensor, " n"]
) -> tuple[Float64[Tensor, " s"], Int64[Tensor, " s"], Int64[Tensor, " s"]]:
    """Distinct scores, highest first, with the positives and negatives that have at least that score."""
    if bool(score.isnan().any()):
        raise UsageError(f"{int(score.isnan().sum()):,} of {len(score):,} scores are missing", hint="leave these rows out")
    ordered, order = score.sort(descending=True, stable=True)
    last = torch.ones(len(ordered), dtype=torch.bool, device=score.device)
    last[:-1] = ordered[1:] != ordered[:-1]
    tp = positive[order].cumsum(0)[last]
    return ordered[last], tp, last.nonzero().flatten() + 1 - tp


def _each(p: Float64[Tensor, "m k"], label: Int64[Tensor, " m"], area: Area) -> Float64[Tensor, " k"]:
    p, label = _labeled(p, label)
    known = ~p.isnan().any(1)
    areas = [area(p[known, column].contiguous(), label[known] == column) for column in range(p.shape[1])]
    return torch.stack(areas) if areas else p.new_zeros(0)


def _labeled(p: Float64[Tensor, "m k"], label: Int64[Tensor, " m"]) -> tuple[Float64[Tensor, "a k"], Int64[Tensor, " a"]]:
    """The rows that have a label."""
    if len(label) and int(label.max()) >= p.shape[1]:
        raise UsageError(f"label class {int(label.max())} has no probability: there are {p.shape[1]} columns")
    kept = label >= 0
    return p[kept], label[kept]
