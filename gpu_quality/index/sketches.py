"""Short vectors whose scalar products are never below the true cosines: most pairs are ruled out for a fraction of the cost.

Let P hold w orthonormal directions, ``p = P x`` and ``q = sqrt(1 - |p|^2)`` the length of the rest of a unit vector. Then
``<x, y> = <p, p'> + <rest, rest'> <= <p, p'> + q q'`` (Cauchy-Schwarz): the product of the sketches ``[p, q]``. With the
directions in which the data spreads most, 31 or 63 of 512 numbers decide almost every pair of a near-duplicate search.
"""

from typing import Final, NamedTuple

import torch
from jaxtyping import BFloat16, Float32
from torch import Tensor

from gpu_quality.index.vectors import BLOCK, Vectors, accumulation, residual

WIDTHS: Final = (31, 63, 127, 255)
SAMPLE: Final = 2048
"""Vectors from which directions are taken; half as many others tell how much each width rules out."""
FEW: Final = 8192
"""Below this many vectors nothing is gained."""
PRODUCT, SCAN, EXACT = 4e-12, 1e-10, 1.5e-7
"""Seconds per pair: of one component of a product, of a look at a score, of an exact cosine (2 cores; ratios count)."""
SLACK: Final = 1e-5
"""Directions are orthonormal, and lengths of rests exact, up to float32 rounding."""


class Sketch(NamedTuple):
    """Short vectors, and how far the score of two may lie below their cosine."""

    low: BFloat16[Tensor, "m w"]
    error: float


def sketched(base: Vectors, at_least: float, seed: int = 0) -> Sketch:
    """The sketch that makes a search for cosines of at least `at_least` cheapest, judged by a sample."""
    m, d = len(base), base.x.shape[1]
    directions = None
    if m >= FEW and d > 2 * WIDTHS[0]:
        directions = _directions(base, at_least, seed)
    low, largest = None, 0.0
    for begin in range(0, m, BLOCK):
        short = _short(base.unit(begin, begin + BLOCK), directions)
        if low is None:
            low = torch.empty(m, short.shape[1], dtype=torch.bfloat16, device=short.device)
        low[begin : begin + BLOCK] = short
        largest = max(largest, float(residual(short).max()))
    if low is None:
        low = torch.empty(0, d, dtype=torch.bfloat16, device=base.x.device)
    return Sketch(low, largest * (2 + largest) + accumulation(low.shape[1]) + SLACK)


def _short(unit: Float32[Tensor, "b d"], directions: Float32[Tensor, "d w"] | None) -> Float32[Tensor, "b w1"]:
    if directions is None:
        return unit
    inside = unit @ directions
    rest = (1 - inside.double().square().sum(1)).clamp(min=0).sqrt()
    return torch.cat([inside, rest.float()[:, None]], 1)


def _directions(base: Vectors, at_least: float, seed: int) -> Float32[Tensor, "d w"] | None:
    """The directions worth the most, as many as make the search cheapest; None if all components do."""
    order = torch.randperm(len(base), generator=torch.Generator().manual_seed(seed))[: SAMPLE + SAMPLE // 2].to(base.x.device)
    some = base.units(order)
    fit, check = some[:SAMPLE], some[SAMPLE:]
    values = torch.linalg.eigh((fit.T @ fit).double())
    ranked = values.eigenvectors.flip(1).float()
    best, cheapest = None, cost(base.x.shape[1], _share(check, at_least))
    for width in WIDTHS:
        if 2 * width >= base.x.shape[1]:
            break
        price = cost(width + 1, _share(_short(check, ranked[:, :width]), at_least))
        if price < cheapest:
            best, cheapest = ranked[:, :width].contiguous(), price
    return best


def cost(width: int, share: float) -> float:
    """Seconds per pair if a sketch of this width leaves this share of the pairs to be looked at exactly."""
    return width * PRODUCT + SCAN + share * EXACT


def _share(short: Float32[Tensor, "s w"], at_least: float) -> float:
    """Share of the pairs of a sample that a sketch leaves, its rounding included."""
    largest = float(residual(short).max())
    limit = at_least - largest * (2 + largest) - SLACK
    products = (short.bfloat16().float() @ short.bfloat16().float().T).bfloat16().float()
    return float(((products >= limit).sum() - len(short)) / max(1, len(short) * (len(short) - 1)))
