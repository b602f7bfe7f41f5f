"""Pairs of frames whose hashes differ in few bits, in the best of several ways of laying one over the other."""

from jaxtyping import Int64
from torch import Tensor

__all__ = ["near"]


def near(
    own: Int64[Tensor, "ways 2 n"], other: Int64[Tensor, "ways 2 n"], begin: int, stop: int, most: int
) -> Int64[Tensor, "p 2"]:
    """Pairs (i, j) with begin <= i < stop and i < j, in order, of which some way has at most `most` of 128 bits differing.

    The bits that differ in way w are those of ``own[w, :, i]`` and ``other[w, :, j]``, both codes together.
    """
    if own.is_cuda:
        from gpu_quality.kernels.near_codes import reference

        return reference.near(own, other, begin, stop, most)
    from gpu_quality.kernels.near_codes import cpu

    return cpu.near(own, other, begin, stop, most)
