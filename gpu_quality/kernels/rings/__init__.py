"""Polygons of one ring each, compared by their edges: exact areas without building geometries, where no doubt can arise.

A comparison is in doubt where edges touch, meet at their ends, run along each other or cross at a very small angle; such a
result is NaN, and the caller asks a library that decides these cases exactly. Without doubt, results are good to about 1e-12.
"""

from jaxtyping import Bool, Float64, Int64
from torch import Tensor

__all__ = ["LONGEST", "shared_areas", "simple", "union_areas"]

LONGEST = 256
"""Points of a ring above which comparing every edge with every other is no longer the faster way."""


def simple(points: Float64[Tensor, "p 2"], first: Int64[Tensor, " o_plus_1"]) -> Bool[Tensor, " o"]:
    """Which rings surely do not cross or touch themselves; ring `i` is ``points[first[i]:first[i + 1]]``, at least 3 points.

    No point may equal the one after it. Rings of fewer than 3 or more than `LONGEST` points are not called simple.
    """
    from gpu_quality.kernels.rings import cpu

    return cpu.simple(points, first)


def shared_areas(
    points: Float64[Tensor, "p 2"], first: Int64[Tensor, " o_plus_1"], pairs: Int64[Tensor, "2 k"]
) -> Float64[Tensor, " k"]:
    """Area that the two simple rings of every pair share; NaN where that is in doubt."""
    from gpu_quality.kernels.rings import cpu

    return cpu.shared_areas(points, first, pairs)


def union_areas(
    points: Float64[Tensor, "p 2"],
    first: Int64[Tensor, " o_plus_1"],
    frame: Int64[Tensor, " o"],
    size: Float64[Tensor, "b 2"],
) -> Float64[Tensor, " b"]:
    """Area that the simple rings of every frame cover together, inside 0..width and 0..height; NaN where that is in doubt.

    `frame` is sorted; `size` holds width and height of the frames.
    """
    from gpu_quality.kernels.rings import cpu

    return cpu.union_areas(points, first, frame, size)
