"""Formulas of color and light on tensors."""

import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor

from gpu_quality.functional.statistics import between, ratio, variance


def luma(rgb: UInt8[Tensor, "b 3 h w"]) -> UInt8[Tensor, "b h w"]:
    """8-bit luma, ``(19595 R + 38470 G + 7471 B + 32768) >> 16``: the `L` of Pillow, bit for bit."""
    r, g, b = rgb.int().unbind(1)
    return ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16).to(torch.uint8)


def gray(rgb: UInt8[Tensor, "b 3 h w"]) -> Float32[Tensor, "b h w"]:
    """8-bit luma as float32 in 0..1."""
    return luma(rgb).float() / 255


def colorfulness(
    count: Int64[Tensor, " r"], total: Int64[Tensor, "r 2"], square: Int64[Tensor, "r 2"]
) -> Float64[Tensor, " r"]:
    """Hasler and Suesstrunk's colorfulness from the sums of rg = R - G and yb = R + G - 2B (twice their yellow-blue axis)."""
    both = count.unsqueeze(-1).expand_as(total)
    spread = variance(both, total, square)  # [r, 2]
    middle = ratio(total, both).square()
    return (spread[:, 0] + spread[:, 1] / 4).sqrt() + 0.3 * (middle[:, 0] + middle[:, 1] / 4).sqrt()


def perceived_quantile(count: Int64[Tensor, " r"], ends: Int64[Tensor, "r 2"], percent: int) -> Float64[Tensor, " r"]:
    """Quantile of the perceived brightness ``sqrt(K / 1000) / 255`` between the two order statistics `ends` of K."""
    weight = ((count - 1).clamp(min=0) * percent % 100).double() / 100
    low, high = ((ends.double() / 1000).sqrt() / 255).unbind(1)
    return between(low, high, weight)
