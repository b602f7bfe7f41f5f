"""Which frames to label next: what the predictions of a frame say together about how sure the model was (metrics.md 9)."""

import math
from typing import Final, Literal, get_args

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.errors import UnknownNameError

Measure = Literal["entropy", "least_confidence", "margin", "variance", "confidence"]
Empty = Literal["certain", "uncertain", "null"]
MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)
"""The five acquisition functions; `confidence` is `mean_object_confidence`."""


def of_empty(measure: Measure, classes: int, empty: Empty = "certain") -> float:
    """What a frame without predictions gets: as if the model were sure of nothing being there, or as if it knew nothing.

    ``certain``: entropy 0, least confidence 0, margin 1, variance (K-1)/K². ``uncertain``: log2 K, 1 - 1/K, 0, 0. The mean
    confidence is 0 in both, so that frames where nothing was found come first. ``null``: NaN.

    Raises
    ------
    UnknownNameError
        For another measure or option.
    """
    if measure not in MEASURES:
        raise UnknownNameError(f"no acquisition function {measure!r}; there are {', '.join(MEASURES)}")
    if empty not in get_args(Empty):
        raise UnknownNameError(f"no option empty={empty!r}; there are {', '.join(get_args(Empty))}")
    if empty == "null":
        return math.nan
    k = max(1, classes)
    certain = {"entropy": 0.0, "least_confidence": 0.0, "margin": 1.0, "variance": (k - 1) / k**2, "confidence": 0.0}
    uncertain = {"entropy": math.log2(k), "least_confidence": 1 - 1 / k, "margin": 0.0, "variance": 0.0, "confidence": 0.0}
    return (certain if empty == "certain" else uncertain)[measure]


def acquisition(
    value: Float64[Tensor, " o"], frame: Int64[Tensor, " o"], frames: int, *, empty: float = math.nan
) -> Float64[Tensor, " n"]:
    """Mean of a measure over the predictions of each frame; `empty` (see `of_empty`) where there are none.

    `value` holds the measure of every prediction (NaN: it had no probabilities, left out), `frame` its row of 0..frames-1. A
    frame all of whose predictions are NaN is NaN.
    """
    known = ~value.isnan()
    total = value.new_zeros(frames).index_add_(0, frame[known], value[known])
    count = torch.bincount(frame[known], minlength=frames)
    there = torch.bincount(frame, minlength=frames) > 0
    return torch.where(there, total / count, empty)


def calibration_residual(
    correct: Bool[Tensor, " o"], confidence: Float64[Tensor, " o"], ignored: Bool[Tensor, " o"]
) -> Float64[Tensor, " o"]:
    """By how much the outcome of a prediction differs from its confidence: 1 if true, minus the confidence, -1..1.

    Near 1: right and unsure; near -1: wrong and sure; NaN for ignored predictions and where there is no confidence.
    """
    return torch.where(ignored, torch.nan, correct.double() - confidence)
