"""Axis-aligned boxes x1 y1 x2 y2 of many frames at once: area of their union, best partners, pairs that meet; all float64."""

from jaxtyping import Bool, Float64, Int64
from torch import Tensor

__all__ = ["best_partners", "meeting_pairs", "union_areas"]


def union_areas(box: Float64[Tensor, "o 4"], frame: Int64[Tensor, " o"], frames: int) -> Float64[Tensor, " b"]:
    """Square pixels that lie in at least one box of each of `frames` frames; `frame` is sorted, empty boxes cover nothing."""
    if box.is_cuda:
        from gpu_quality.kernels.boxes import reference

        return reference.union_areas(box, frame, frames)
    from gpu_quality.kernels.boxes import cpu

    return cpu.union_areas(box, frame, frames)


def best_partners(
    box: Float64[Tensor, "o 4"], group: Int64[Tensor, " o"], crowd: Bool[Tensor, " o"]
) -> tuple[Float64[Tensor, " o"], Int64[Tensor, " o"]]:
    """How much each box overlaps with the most similar other box of its group, and which one that is.

    Returns the best intersection over union, 0..1, and the row of the other box: the first of equally good ones, -1 where no
    other box of the group overlaps at all. Crowd regions take no part: their own value is 0, and they are nobody's partner.
    """
    if box.is_cuda:
        from gpu_quality.kernels.boxes import reference

        return reference.best_partners(box, group, crowd)
    from gpu_quality.kernels.boxes import cpu

    return cpu.best_partners(box, group, crowd)


def meeting_pairs(frame: Int64[Tensor, " o"], box: Float64[Tensor, "o 4"]) -> Int64[Tensor, "2 p"]:
    """Pairs i < j of boxes of the same frame that share area, in order of i and j; `frame` is sorted."""
    if box.is_cuda:
        from gpu_quality.kernels.boxes import reference

        return reference.meeting_pairs(frame, box)
    from gpu_quality.kernels.boxes import cpu

    return cpu.meeting_pairs(frame, box)
