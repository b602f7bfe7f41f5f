"""Values computed elsewhere, aggregated over weighted frames: what a bootstrap of a custom metric needs (evaluation.md 13).

The values are those of frames, as `analysis.custom.roll_up` leaves them. One resample of weight 1 throughout gives the same
number as `analysis.custom.aggregate`, within the rounding of a sum in another order.
"""

from typing import Literal

import torch
from jaxtyping import Float64, Int64, Shaped
from torch import Tensor

from gpu_quality.evaluation.rates import rate

Aggregation = Literal["ARITHMETIC_MEAN", "GEOMETRIC_MEAN", "HARMONIC_MEAN", "SUM"]


def aggregate(value: Float64[Tensor, " n"], weight: Shaped[Tensor, "r n"], how: Aggregation) -> Float64[Tensor, " r"]:
    """One number per row of weights; frames without a value (NaN) are skipped; NaN where no frame with one has weight.

    Values are 0 or more. A zero with weight makes the geometric and the harmonic mean 0.
    """
    known = ~value.isnan()
    x, w = value[known], weight[:, known].double()
    total = w.sum(1)
    if how == "SUM":
        return torch.where(total > 0, w @ x, torch.nan)
    if how == "ARITHMETIC_MEAN":
        return rate(w @ x, total)
    zero = (w[:, x == 0] > 0).any(1)
    x, w = x[x > 0], w[:, x > 0]
    mean = rate(w @ x.log(), total).exp() if how == "GEOMETRIC_MEAN" else rate(total, w @ x.reciprocal())
    return torch.where(zero, 0.0, mean)


def confusion_rates(counts: Int64[Tensor, "n 4"], weight: Shaped[Tensor, "r n"]) -> Float64[Tensor, "r 3"]:
    """Precision, recall and F1 of the summed counts TP, FP, TN, FN, per row of weights; NaN where they divide by nothing.

    Frames without a value have counts of 0.
    """
    tp, fp, _, fn = (weight.double() @ counts.double()).unbind(1)
    return torch.stack([rate(tp, tp + fp), rate(tp, tp + fn), rate(2 * tp, 2 * tp + fp + fn)], 1)
