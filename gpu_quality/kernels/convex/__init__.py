"""Convex outlines of four corners, compared pair by pair: areas they share, by clipping one with the edges of the other."""

from jaxtyping import Float64, Int64
from torch import Tensor

__all__ = ["areas", "shared_areas"]


def areas(corners: Float64[Tensor, "n 4 2"]) -> Float64[Tensor, " n"]:
    """Area of every outline by the shoelace formula, positive where its corners turn from +x toward +y."""
    from gpu_quality.kernels.convex import cpu

    return cpu.areas(corners)


def shared_areas(
    one: Float64[Tensor, "n 4 2"], other: Float64[Tensor, "m 4 2"], pairs: Int64[Tensor, "2 k"]
) -> Float64[Tensor, " k"]:
    """Area that the outlines ``one[pairs[0]]`` and ``other[pairs[1]]`` share; the same bits whichever is named first.

    Corners turn from +x toward +y, at most 180 degrees each. Outlines without area share nothing, and an outline shares exactly
    its own area with itself. Source: I. E. Sutherland, G. W. Hodgman, Reentrant polygon clipping, CACM 17, 1974.
    """
    from gpu_quality.kernels.convex import cpu

    return cpu.shared_areas(one, other, pairs)
