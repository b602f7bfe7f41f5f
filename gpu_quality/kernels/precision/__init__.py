"""Precision at fixed recalls from matched predictions: every class, size range, number of detections and threshold at once."""

from typing import NamedTuple

from jaxtyping import Bool, Float64, Int, Int32, Int64
from torch import Tensor

__all__ = ["Accumulated", "Ranked", "accumulate"]


class Ranked(NamedTuple):
    """Predictions class by class and frame by frame, those of a frame by falling score; bit t tells of threshold t."""

    class_offset: Int64[Tensor, " k_plus_1"]
    """Class k owns predictions ``class_offset[k]:class_offset[k + 1]``."""
    rank: Int32[Tensor, " p"]
    """Place among the predictions of the class in the frame, from 0."""
    score: Float64[Tensor, " p"]
    matched: Int[Tensor, "a p"]
    hidden: Int[Tensor, "a p"]
    """Matched, and ignored for it."""
    outside: Bool[Tensor, "a p"]
    """Ignored where unmatched."""


class Accumulated(NamedTuple):
    """What is known of every class, size range, number of detections and threshold; -1 where a class has no label."""

    precision: Float64[Tensor, "k a m t r"]
    """Highest precision at this recall or a higher one; 0 where the recall is not reached."""
    recall: Float64[Tensor, "k a m t"]
    scores: Float64[Tensor, "k a m t r"]
    """Score of the prediction with which the recall is reached."""


def accumulate(
    ranked: Ranked,
    positives: Int64[Tensor, "k a"],
    thresholds: int,
    recalls: Float64[Tensor, " r"],
    max_detections: tuple[int, ...],
) -> Accumulated:
    """Precision and score at each recall, and the final recall, exactly as COCO's tools compute them; predictions of equal
    score keep the order of frames. `positives` counts the labels to be found; `thresholds` is at most 62.
    """
    if ranked.score.is_cuda:
        from gpu_quality.kernels.precision import reference

        return reference.accumulate(ranked, positives, thresholds, recalls, max_detections)
    from gpu_quality.kernels.precision import cpu

    return cpu.accumulate(ranked, positives, thresholds, recalls, max_detections)
