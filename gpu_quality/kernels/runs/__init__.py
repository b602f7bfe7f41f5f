"""Masks as runs of set pixels down the columns: decoded, or drawn from polygons by COCO's rule.

Nothing here ever draws a mask: work and memory go with the number of runs. All counts are integers, so results are exact.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float64, Int32, Int64
from torch import Tensor

__all__ = ["MAX_PIXELS", "Runs", "decode", "draw"]

MAX_PIXELS = 1 << 30
"""Larger masks are refused: positions are 32-bit."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of set pixels of many masks: mask `i` owns ``first[i] : first[i] + count[i]`` of `start` and `end`.

    A pixel at column x, row y of a mask of h rows has position x * h + y; runs are half-open, in order, and do not overlap.
    There may be unused room between the runs of two masks. Empty masks have a box of zeros.
    """

    first: Int64[Tensor, " m"]
    count: Int64[Tensor, " m"]
    start: Int32[Tensor, " room"]
    end: Int32[Tensor, " room"]
    area: Int64[Tensor, " m"]
    """Set pixels."""
    box: Int32[Tensor, "m 4"]
    """x1 y1 x2 y2 around the set pixels, half-open."""
    plain: Bool[Tensor, " m"]
    """Every column of the box has exactly one run, so two such masks are compared without a search."""
    height: Int64[Tensor, " m"]
    width: Int64[Tensor, " m"]

    def __len__(self) -> int:
        """Number of masks."""
        return len(self.first)


def decode(texts: list[bytes], height: Int64[Tensor, " m"], width: Int64[Tensor, " m"]) -> tuple[Runs, Int64[Tensor, " b"]]:
    """Runs of COCO-compressed masks, and the rows of those that are broken, which get none.

    A mask is broken where its text does not follow the coding, its size is not 1 .. `MAX_PIXELS` pixels, or its counts do not
    sum to that size exactly.
    """
    from gpu_quality.kernels.runs import cpu

    return cpu.decode(texts, height, width)


def draw(
    points: Float64[Tensor, "p 2"],
    points_of: Int64[Tensor, " rings_plus_1"],
    rings: Int64[Tensor, " m_plus_1"],
    height: Int64[Tensor, " m"],
    width: Int64[Tensor, " m"],
) -> Runs:
    """Pixels of polygons by COCO's rule: borders are followed on a grid five times finer, rings of an object are united.

    Object `i` owns rings ``rings[i]:rings[i + 1]``, ring `r` the points ``points_of[r]:points_of[r + 1]``; the last point of a
    ring is joined to the first. Equal to pycocotools wherever that does not overflow; time goes with the columns an edge
    crosses inside the frame, however long it is.
    """
    from gpu_quality.kernels.runs import cpu

    return cpu.draw(points, points_of, rings, height, width)
