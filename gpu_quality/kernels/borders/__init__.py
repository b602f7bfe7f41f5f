"""Borders of masks given as runs of set pixels: what a comparison of outlines looks at."""

from jaxtyping import Int64
from torch import Tensor

from gpu_quality.kernels.runs import Runs

__all__ = ["borders"]


def borders(runs: Runs, distance: Int64[Tensor, " m"]) -> Runs:
    """Those pixels of every mask that lie within `distance` (1 or more) rows and columns of a pixel that is not set.

    All outside the frame is not set. Time goes with the area of the boxes around the masks. Source: Cheng et al., Boundary IoU,
    CVPR 2021 (mask minus its erosion by a 3 x 3 square, repeated `distance` times).
    """
    from gpu_quality.kernels.borders import cpu

    return cpu.borders(runs, distance)
