"""Masks given as runs of set pixels, compared pair by pair: integer counts, nothing is ever drawn."""

from jaxtyping import Int64
from torch import Tensor

from gpu_quality.kernels.runs import Runs

__all__ = ["shared_pixels"]


def shared_pixels(one: Runs, other: Runs, pairs: Int64[Tensor, "2 k"]) -> Int64[Tensor, " k"]:
    """Pixels set in both masks of every pair, ``pairs[0]`` of `one` and ``pairs[1]`` of `other`; both have the same size.

    Pairs whose boxes do not meet cost next to nothing.
    """
    from gpu_quality.kernels.mask_pairs import cpu

    return cpu.shared_pixels(one, other, pairs)
