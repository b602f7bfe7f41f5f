"""Cosines of chosen pairs of vectors, the same number for the same pair wherever and in whatever order it is asked for."""

from jaxtyping import Float, Float64, Int64
from torch import Tensor

__all__ = ["dots"]


def dots(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], i: Int64[Tensor, " p"], j: Int64[Tensor, " p"]
) -> Float64[Tensor, " p"]:
    """Scalar products of rows ``x[i]`` and ``y[j]`` in float64; equal rows give equal bits, and so do swapped sides."""
    if x.is_cuda:
        from gpu_quality.kernels.neighbors import reference

        return reference.dots(x, y, i, j)
    from gpu_quality.kernels.neighbors import cpu

    return cpu.dots(x, y, i, j)
