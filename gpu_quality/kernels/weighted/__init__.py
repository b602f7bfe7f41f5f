"""COCO's figures of sets in which each frame stands several times: what a bootstrap asks for, from one stored matching."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Bool, Float64, Int32, Int64
from torch import Tensor

from gpu_quality.kernels.precision import Ranked

__all__ = ["Figure", "Means", "Stored", "means", "sums"]

Means = Callable[[Int32[Tensor, "r n"]], Float64[Tensor, "r v"]]
"""Weights of the frames in, one row per set; figures out, NaN where nothing is defined."""


class Stored(NamedTuple):
    """A finished matching: what became of predictions, and which labels were to be found."""

    ranked: tuple[Ranked, ...]
    """Blocks of thresholds, as in ``CocoFigures.ranked``."""
    thresholds: int
    frame: Int64[Tensor, " p"]
    """Frame of every ranked prediction."""
    label_frame: Int64[Tensor, " q"]
    label_class: Int64[Tensor, " q"]
    label_ignored: Bool[Tensor, "a q"]


class Figure(NamedTuple):
    """A mean of the entries of COCO's precision or recall table that are defined, in the table's order."""

    recall: bool
    thresholds: tuple[int, ...]
    """Places of thresholds, rising."""
    area: int
    limit: int
    """Place in the numbers of detections; precision is always that at the last."""
    class_row: int = -1
    """-1: all classes."""


def means(
    stored: Stored,
    figures: tuple[Figure, ...],
    recalls: Float64[Tensor, " r"],
    max_detections: tuple[int, ...],
    *,
    zero: bool = False,
) -> Means:
    """A function from weights to figures, bit for bit those of a set in which frame i stands ``weights[i]`` times in a row.

    `zero`: classes that have predictions and no label in any range count as 0. Computed on the CPU, sets over threads; a
    thread holds at most 32 tables of thresholds x recalls x classes, or 64 MiB of them.
    """
    from gpu_quality.kernels.weighted import figures as computed

    ranked = tuple(type(part)(*(side.cpu() for side in part)) for part in stored.ranked)
    here = Stored(ranked, stored.thresholds, *(side.cpu() for side in stored[2:]))
    return computed.means(here, figures, recalls.cpu(), max_detections, zero=zero)


def sums(
    frame: Int64[Tensor, " p"], first: Int64[Tensor, " k_plus_1"], weights: Int32[Tensor, "r n"]
) -> Float64[Tensor, "k r"]:
    """How often the members of each group stand in a set: members of frame i ``weights[i]`` times. Whole numbers, on the CPU.

    Group k owns ``frame[first[k]:first[k + 1]]``.
    """
    from gpu_quality.kernels.weighted import figures as computed

    return computed.group_sums(frame.cpu(), first.cpu(), weights.cpu())
