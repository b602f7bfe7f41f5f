"""Scores that need more than one sum: how odd a size is, how soft a thumbnail, how blocky and how unevenly lit a frame."""

from functools import cache

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.functional.statistics import sorted_quantile, variance

IQR_FACTOR = 3.0


def size_distance(width: Tensor, height: Tensor, known: Bool[Tensor, " n"]) -> tuple[Float64[Tensor, " n"], bool]:
    """Distance of ``sqrt(W) sqrt(H)`` to the middle of the usual range, over the length of that range.

    Also says whether that length is 0, in which case the distance is over the middle itself.
    """
    size = width.double().sqrt() * height.double().sqrt()
    ordered = size[known].sort().values
    if not ordered.numel():
        return torch.zeros_like(size), True
    q1, q3 = sorted_quantile(ordered, 25), sorted_quantile(ordered, 75)
    low, high = q1 - IQR_FACTOR * (q3 - q1), q3 + IQR_FACTOR * (q3 - q1)
    middle, gap = (low + high) / 2, high - low
    return (size - middle).abs() / torch.where(gap > 0, gap, middle), not bool(gap > 0)


def sharp_share(
    count: Int64[Tensor, " r"],
    response: Int64[Tensor, " r"],
    square: Int64[Tensor, " r"],
    histogram_square: Int64[Tensor, " r"],
) -> Float64[Tensor, " r"]:
    """0..1, low = blurred: spread of the edge response of a thumbnail, plus a bonus for a histogram of few spikes."""
    edges = variance(count, response, square).sqrt()
    spikes = (256 * histogram_square - count * count).double().sqrt() / 256  # population std of 256 bin counts
    bonus = 1 - torch.exp(-0.01 * spikes)
    bonus = torch.where(bonus <= 0.18, 0.0, bonus)
    return (1 - torch.exp(-0.01 * edges) + bonus).clamp(max=1)


def seam_means(
    phases: Int64[Tensor, "b 8"], along: Int64[Tensor, " b"], across: Int64[Tensor, " b"], backwards: Bool[Tensor, " b"]
) -> tuple[Float64[Tensor, " b"], Float64[Tensor, " b"]]:
    """Mean step across the seams of 8-pixel blocks, and everywhere else; NaN where a side has no seam.

    `along` is the length of the axis, `across` the number of lines. Blocks are counted from the far end where `backwards`.
    """
    seam = torch.where(backwards, (along - 1) % 8, 7)  # [b]
    index = torch.arange(8, device=phases.device)
    pairs = torch.div((along - 1)[:, None] - index + 7, 8, rounding_mode="floor").clamp(min=0) * across[:, None]  # [b, 8]
    here = index == seam[:, None]
    at_seam = (phases * here).sum(1).double() / (pairs * here).sum(1)
    elsewhere = (phases * ~here).sum(1).double() / (pairs * ~here).sum(1)
    return at_seam, torch.where(at_seam.isnan(), at_seam, elsewhere)


@cache
def _surface_fit() -> Float64[Tensor, "64 64"]:
    """Projection of 8 x 8 values onto ``1, u, v, u^2, u v, v^2`` at the cell centers, u and v in -1..1."""
    center = (torch.arange(8, dtype=torch.float64) + 0.5) / 4 - 1
    u, v = center.repeat(8), center.repeat_interleave(8)
    basis = torch.stack([torch.ones_like(u), u, v, u * u, u * v, v * v], 1)  # [64, 6]
    q, _ = torch.linalg.qr(basis)
    projection: Tensor = q @ q.T
    return projection


def surface_range(cells: Float64[Tensor, "b 8 8"]) -> Float64[Tensor, " b"]:
    """Largest minus smallest value of the least-squares quadratic surface through 8 x 8 values, taken at the 64 places."""
    # not a matrix product: its rounding would depend on the number of frames in the batch
    fitted = (cells.flatten(1)[:, None] * _surface_fit().to(cells.device)).sum(2)  # [b, 64]
    return fitted.amax(1) - fitted.amin(1)
