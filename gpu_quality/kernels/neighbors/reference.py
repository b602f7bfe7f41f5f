"""Scalar products of pairs in plain torch, on any device."""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

BLOCK = 1 << 23
"""Products held at once: 64 MB of float64."""


def dots(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], i: Int64[Tensor, " p"], j: Int64[Tensor, " p"]
) -> Float64[Tensor, " p"]:
    """Scalar products of rows ``x[i]`` and ``y[j]`` in float64; see ``kernels.neighbors``."""
    out = torch.empty(len(i), dtype=torch.float64, device=x.device)
    step = max(1, BLOCK // max(1, x.shape[1]))
    for begin in range(0, len(i), step):
        own, other = i[begin : begin + step], j[begin : begin + step]
        out[begin : begin + step] = _folded(x[own].double() * y[other].double())
    return out


def _folded(products: Float64[Tensor, "p d"]) -> Float64[Tensor, " p"]:
    """Sums of rows, halves added to halves: an order of adding that no device and no block size can change."""
    while (width := products.shape[1]) > 1:
        half = width // 2
        folded = products[:, :half] + products[:, half : 2 * half]
        products = torch.cat([folded, products[:, 2 * half :]], 1) if width % 2 else folded
    return products[:, 0] if products.shape[1] else products.sum(1)
