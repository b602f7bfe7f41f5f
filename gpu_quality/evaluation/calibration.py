"""Whether confidence means what it says: of predictions with confidence .8, are 80 % right (reference evaluation.md 11)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.rates import optional, rate
from gpu_quality.evaluation.resampling import Figures
from gpu_quality.functional.inference import wilson


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability curve, bin by bin, and what it says in one number. Bins without predictions are there, with NaN."""

    edges: Float64[Tensor, " b_plus_1"]
    """Bin i is [edges[i], edges[i+1]), the last one closed."""
    count: Int64[Tensor, " b"]
    confidence: Float64[Tensor, " b"]
    """Mean confidence of the bin, 0..1."""
    accuracy: Float64[Tensor, " b"]
    """Share of its predictions that are right, 0..1."""
    low: Float64[Tensor, " b"]
    """Wilson's 95 % interval of the accuracy."""
    high: Float64[Tensor, " b"]
    n: int
    ece: float | None
    """Expected calibration error: mean of the gaps between accuracy and confidence, by predictions, 0..1; None for n = 0."""
    mce: float | None
    """Largest gap of a bin, 0..1."""
    gap: float | None
    """Mean confidence minus accuracy over all: positive = overconfident, -1..1."""
    brier: float | None
    """Mean squared difference between confidence and outcome, 0..1."""


def reliability(
    confidence: Float64[Tensor, " n"], correct: Bool[Tensor, " n"], *, bins: int = 10, equal_count: bool = False
) -> Reliability:
    """The reliability curve of predictions: their confidence, and whether each was right. Leave ignored ones out.

    Bins are of equal width over 0..1, or of equal count (equal values never split, so there may be fewer).

    Raises
    ------
    UsageError
        A confidence is NaN or infinite, or there is not one bin.
    """
    _check(confidence, bins)
    edges = equal_count_edges(confidence, bins) if equal_count else equal_width_edges(bins)
    edges = edges.to(confidence.device)
    bin_of = bins_of(confidence, edges)
    size = len(edges) - 1
    count = torch.bincount(bin_of, minlength=size)
    right = torch.bincount(bin_of[correct], minlength=size)
    mean = rate(_sum(bin_of, confidence, size), count)
    accuracy = rate(right, count)
    low, high = wilson(right, count)
    n = len(confidence)
    gaps = (accuracy - mean).abs()
    return Reliability(
        *(edges, count, mean, accuracy, low, high, n),
        ece=float((torch.where(count > 0, gaps, 0.0) * count).sum() / n) if n else None,
        mce=float(gaps[count > 0].max()) if n else None,
        gap=optional((confidence - correct.double()).mean()),
        brier=optional((confidence - correct.double()).square().mean()),
    )


def equal_width_edges(bins: int) -> Float64[Tensor, " b_plus_1"]:
    """0, 1/B .. 1, each the double nearest to it."""
    return torch.arange(bins + 1, dtype=torch.float64) / bins


def equal_count_edges(values: Float64[Tensor, " n"], bins: int) -> Float64[Tensor, " b_plus_1"]:
    """Quantiles i/B of the values (linear), duplicates merged; 0 and 1 for no values."""
    if not len(values):
        return equal_width_edges(1)
    ordered = values.sort().values
    place = torch.arange(bins + 1, dtype=torch.float64, device=values.device) * (len(values) - 1) / bins
    below = place.floor().long()
    above = (below + 1).clamp(max=len(values) - 1)
    edges: Tensor = torch.unique(ordered[below] + (ordered[above] - ordered[below]) * (place - below))
    return edges if len(edges) > 1 else edges.repeat(2)


def bins_of(values: Float64[Tensor, " n"], edges: Float64[Tensor, " b_plus_1"]) -> Int64[Tensor, " n"]:
    """The bin of each value; those beyond the edges are in the first or the last one."""
    return (torch.searchsorted(edges, values, right=True) - 1).clamp(0, len(edges) - 2)


def resampled_calibration(
    confidence: Float64[Tensor, " n"], correct: Bool[Tensor, " n"], unit: Int64[Tensor, " n"], units: int, *, bins: int = 10
) -> Figures:
    """ECE, MCE, signed gap and Brier score [r, 4] as a function of the weights of the units, for `interval` and `compare`.

    `unit` is the unit each prediction belongs to. Bins have equal width, so that they are the same in every resample.

    Raises
    ------
    UsageError
        As in `reliability`.
    """
    _check(confidence, bins)
    cell = unit * bins + bins_of(confidence, equal_width_edges(bins))

    def table(value: Float64[Tensor, " n"]) -> Float64[Tensor, "u b"]:
        return _sum(cell, value, units * bins).view(units, bins)

    outcome = correct.double()
    tables = [table(torch.ones_like(confidence)), table(confidence), table(outcome), table((confidence - outcome).square())]

    def figures(weights: Tensor) -> Float64[Tensor, "r 4"]:
        count, sure, right, square = (weights.double() @ part for part in tables)  # [r, b] each
        gaps = torch.where(count > 0, (right - sure).abs(), 0.0)
        n = count.sum(1)
        worst = torch.where(n > 0, rate(gaps, count, 0.0).amax(1), torch.nan)
        return torch.stack([rate(gaps.sum(1), n), worst, rate((sure - right).sum(1), n), rate(square.sum(1), n)], 1)

    return figures


def _sum(where: Int64[Tensor, " n"], value: Float64[Tensor, " n"], size: int) -> Float64[Tensor, " size"]:
    return value.new_zeros(size).index_add_(0, where, value)


def _check(confidence: Float64[Tensor, " n"], bins: int) -> None:
    if bins < 1:
        raise UsageError(f"calibration needs at least one bin; got {bins}")
    bad = (~confidence.isfinite()).nonzero()
    if len(bad):
        raise UsageError(
            f"calibration needs a confidence for every prediction: {len(bad):,} of {len(confidence):,} have none, "
            f"the first is in row {int(bad[0])}",
            hint="leave them out, or let the protocol give them one",
        )
