"""Hu's seven invariants of a shape, a log-scaled form of them that tells shapes apart, and how alike two shapes are."""

from collections.abc import Callable
from typing import Final

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

FLOORS: Final = (1e-1, 1e-2, 1e-2, 1e-2, 1e-4, 1e-3, 1e-4)
"""0.1 to the degree of each invariant: below, a term that vanishes for symmetric shapes is raster noise (metrics.md 6.2)."""
FULL: Final = 255.0
"""Level that Encord Active fills a shape with before it takes moments."""

Hu = Float64[Tensor, "o 7"]


def hu_invariants(moments: Float64[Tensor, "o 8"], density: float = 1.0) -> Hu:
    """Hu's invariants h1..h7 of central moments (m00 mu20 mu11 mu02 mu30 mu21 mu12 mu03) of a shape filled with `density`.

    NaN where the area is 0. Source: Hu 1962; signs and order as in OpenCV's HuMoments.
    """
    area = moments[:, :1]
    second, third = (
        moments[:, 1:4] / area**2 / density,
        moments[:, 4:] / (area**2 * area.sqrt()) / density**1.5,
    )  # [o, 3], [o, 4]
    n20, n11, n02 = second.unbind(1)
    n30, n21, n12, n03 = third.unbind(1)
    a, b, c, d = n30 + n12, n21 + n03, n30 - 3 * n12, 3 * n21 - n03
    lying, turning = a * (a**2 - 3 * b**2), b * (3 * a**2 - b**2)
    h1, h2, h3 = n20 + n02, (n20 - n02) ** 2 + 4 * n11**2, c**2 + d**2
    h6 = (n20 - n02) * (a**2 - b**2) + 4 * n11 * a * b
    return torch.stack([h1, h2, h3, a**2 + b**2, c * lying + d * turning, h6, d * lying - c * turning], 1)


def log_scaled(hu: Hu) -> Hu:
    """``sign(h) log10(1 + |h| / e)`` with a floor e for each invariant: size of a term in decades, 0 where it is noise."""
    floors = torch.tensor(FLOORS, dtype=torch.float64, device=hu.device)
    return hu.sign() * torch.log10(1 + hu.abs() / floors)


def similarity(f: Hu, g: Hu) -> Float64[Tensor, " o"]:
    """How alike two log-scaled vectors are: ``1 / (1 + sum |f - g|)``, 1 for equal shapes."""
    return 1 / (1 + (f - g).abs().sum(1))


def cosine(f: Hu, g: Hu) -> Float64[Tensor, " o"]:
    """Cosine of the angle between two vectors, -1..1."""
    lengths = f.square().sum(1).sqrt() * g.square().sum(1).sqrt()
    return ((f * g).sum(1) / lengths).clamp(-1, 1)


def compared_with_past(
    vector: Hu, group: Int64[Tensor, " o"], compare: Callable[[Hu, Hu], Float64[Tensor, " o"]]
) -> Float64[Tensor, " o"]:
    """How alike each vector is to the fading mean of those before it in its group; rows of a group are in order of time.

    The mean starts as the first vector, whose own value is 1; after each comparison it moves half of the way to the vector. One
    step handles the t-th member of every group, so the loop is as long as the longest group.
    """
    order = torch.sort(group, stable=True).indices
    kind, members, count = torch.unique_consecutive(group[order], return_inverse=True, return_counts=True)
    turn = torch.arange(len(order), device=group.device) - (count.cumsum(0) - count)[members]
    by_turn = torch.sort(turn, stable=True).indices
    mean = torch.zeros(len(kind), vector.shape[1], dtype=vector.dtype, device=vector.device)
    value = torch.ones(len(vector), dtype=torch.float64, device=vector.device)
    stop = 0
    for number, now in enumerate(torch.bincount(turn).tolist()):
        places = by_turn[stop : stop + now]
        row, own, stop = order[places], members[places], stop + now
        new = vector[row]
        if number == 0:
            mean[own] = new
            continue
        old = mean[own]
        value[row] = compare(old, new)
        mean[own] = 0.5 * old + 0.5 * new
    return value


def distance_to_center(vector: Hu, group: Int64[Tensor, " o"]) -> Float64[Tensor, " o"]:
    """Euclidean distance of every vector to the mean of its group, after each component was divided by its spread over all.

    A component that does not vary (population standard deviation up to 1e-9, which is rounding) is left out.
    """
    spread = vector.std(0, correction=0)
    kept = spread > 1e-9
    scaled = (vector[:, kept] - vector[:, kept].mean(0)) / spread[kept]
    _, own, count = torch.unique(group, return_inverse=True, return_counts=True)
    center = torch.zeros(len(count), scaled.shape[1], dtype=scaled.dtype, device=scaled.device).index_add(0, own, scaled)
    away: Tensor = scaled - center[own] / count[own, None]
    return away.square().sum(1).sqrt()
