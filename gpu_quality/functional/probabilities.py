"""How sure a model was, from the class probabilities it gave: entropy, least confidence, margin, variance (metrics.md 9).

Rows are predictions, columns classes. A row that is no probability vector is NaN throughout, and so is every value made of it.
"""

import math
from typing import Final

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

TOLERANCE: Final = 1e-3
"""How far the probabilities of a row may sum from 1; within it they are divided by their sum."""
_BLOCK: Final = 1 << 22
"""Numbers worked on at a time where a whole picture of probabilities comes in: 32 MiB of float64."""


def probabilities(x: Float[Tensor, "n k"], *, logits: bool = False) -> Float64[Tensor, "n k"]:
    """Rows that sum to 1: probabilities divided by their sum, or the softmax of logits; NaN rows where there are none.

    A row of probabilities must be finite, nowhere below 0, and sum to 1 within 1e-3; a row of logits must be finite.
    """
    value = x.double()
    usable = value.isfinite().all(-1)
    if logits:
        return torch.where(usable[:, None], value.softmax(-1), torch.nan)
    total = value.sum(-1)
    usable &= (value >= 0).all(-1) & ((total - 1).abs() <= TOLERANCE)
    return torch.where(usable[:, None], value / total[:, None], torch.nan)


def from_score(score: Float[Tensor, " n"]) -> Float64[Tensor, "n 2"]:
    """A lone score s as the two probabilities (s, 1 - s); NaN rows for scores that are not within 0..1."""
    value = score.double()
    inside = (value >= 0) & (value <= 1)
    return torch.where(inside[:, None], torch.stack([value, 1 - value], -1), torch.nan)


def usable(p: Float64[Tensor, "n k"]) -> Bool[Tensor, " n"]:
    """Which rows are probabilities; the others are null with the reason `no_probabilities`."""
    return ~p.isnan().any(-1)


def entropy(p: Float64[Tensor, "n k"]) -> Float64[Tensor, " n"]:
    r"""How undecided the model was: 0 when one class has all the probability, log2 K when all K have the same.

    .. math:: -\sum_k p_k \log_2 p_k, \qquad 0 \log 0 = 0

    Unit: bit.

    >>> entropy(torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)).item()
    1.5
    """
    # the entropies of certain rows would be -0.0
    return -torch.where(p == 0, 0.0, p * p.log2()).sum(-1) + 0.0


def hardness(p: Float64[Tensor, "n k"]) -> Float64[Tensor, " n"]:
    """How hard an answer was for the model: the entropy in nats, 0..ln K. Source: FiftyOne Brain."""
    return entropy(p) * math.log(2)


def least_confidence(p: Float64[Tensor, "n k"]) -> Float64[Tensor, " n"]:
    """What the largest probability lacks to 1: 0..1 - 1/K."""
    return 1 - p.amax(-1)


def margin(p: Float64[Tensor, "n k"]) -> Float64[Tensor, " n"]:
    """How far the first choice is ahead of the second: 0..1, low where two classes compete; 1 with one class alone."""
    top = p.topk(min(2, p.shape[-1]), -1).values  # [n, 2]
    return top[:, 0] - top[:, 1] if p.shape[-1] > 1 else top[:, 0]


def variance(p: Float64[Tensor, "n k"]) -> Float64[Tensor, " n"]:
    """Population variance of the K probabilities: 0 where all are the same, (K - 1) / K² where one has everything."""
    return (p - p.mean(-1, keepdim=True)).square().mean(-1)


def mask_entropy(p: Float[Tensor, "k h w"], *, logits: bool = False) -> Float64[Tensor, ""]:
    """Mean over the pixels of the entropy of their class probabilities, in bit, 0..log2 K; NaN if a pixel has none."""
    classes, pixels = p.shape[0], p.shape[1] * p.shape[2]
    flat = p.reshape(classes, pixels)
    step = max(1, _BLOCK // max(1, classes))
    total = torch.zeros((), dtype=torch.float64, device=p.device)
    for start in range(0, pixels, step):
        total += entropy(probabilities(flat[:, start : start + step].T, logits=logits)).sum()
    return total / pixels
