"""Hamming distances among 64-bit hashes: nearest other code, and groups around leaders."""

from jaxtyping import Bool, Int64
from torch import Tensor

__all__ = ["leaders", "nearest"]


def nearest(codes: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """How many bits each code differs from the most similar other one, 0..64.

    Raises
    ------
    ValueError
        There are fewer than two codes.
    """
    if codes.is_cuda:
        from gpu_quality.kernels.hamming import reference

        return reference.nearest(codes)
    from gpu_quality.kernels.hamming import cpu

    return cpu.nearest(codes)


def leaders(codes: Int64[Tensor, " n"], take: Bool[Tensor, " n"], radius: int) -> Int64[Tensor, " n"]:
    """The row that leads each row's group, -1 where `take` is false.

    In row order, a row that has no group yet opens one and takes every row without a group within `radius` bits of itself;
    members are near their leader, not necessarily near each other.
    """
    if codes.is_cuda:
        from gpu_quality.kernels.hamming import reference

        return reference.leaders(codes, take, radius)
    from gpu_quality.kernels.hamming import cpu

    return cpu.leaders(codes, take, radius)
