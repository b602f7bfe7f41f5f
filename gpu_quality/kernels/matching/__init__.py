"""Labels and predictions of many frames at once: cells of frame and class, overlaps of boxes, greedy matching; all float64."""

from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float64, Int, Int32, Int64
from torch import Tensor

__all__ = [
    "MAX_THRESHOLDS",
    "Cells",
    "Found",
    "Rules",
    "Sides",
    "Verdicts",
    "box_overlaps",
    "by_overlap",
    "by_score",
    "cells",
    "outside",
    "ranks",
    "verdicts",
]

MAX_THRESHOLDS: Final = 62
"""Thresholds of one pass: each is a bit of an int64, the sign stays clear."""


class Cells(NamedTuple):
    """Cells with a label or a prediction by class, then frame, as CSR."""

    frame: Int64[Tensor, " s"]
    class_id: Int64[Tensor, " s"]
    """-1 where all classes of a frame are one cell."""
    prediction: Int64[Tensor, " p"]
    """Rows by falling score inside a cell, equal scores as given."""
    prediction_offset: Int64[Tensor, " s_plus_1"]
    label: Int64[Tensor, " q"]
    """Rows as given inside a cell; whole frames: class by class."""
    label_offset: Int64[Tensor, " s_plus_1"]


class Rules(NamedTuple):
    """How a prediction picks a label where predictions choose in order of score."""

    need: Float64[Tensor, " t"]
    """Least overlap with a regular label."""
    need_ignored: Float64[Tensor, " t"]
    """Least overlap with an ignored label."""
    last: bool = True
    """The last of labels with equal overlap wins, else the first."""
    second_choice: bool = True
    """Where the best label is taken, the next best free one is picked; else the prediction stays alone."""
    groups: bool = False
    """Ignored labels are groups: the first prediction in one finds it and counts, all others in it are ignored."""


class Sides(NamedTuple):
    """What matching must know of labels and predictions, in the order of the cells."""

    crowd: Bool[Tensor, " q"]
    """Labels that any number of predictions may match."""
    label_ignored: Bool[Tensor, "a q"]
    outside: Bool[Tensor, "a p"]
    """Predictions that are ignored where they match nothing."""


class Found(NamedTuple):
    """Who matched whom, at every threshold t and size range a."""

    label_of: Int32[Tensor, "a t p"]
    """Row of the label of a prediction of the cells, -1 = none."""
    ignored: Bool[Tensor, "a t p"]
    """Predictions that neither count nor cost."""
    prediction_of: Int32[Tensor, "a t q"]
    """Row of the first prediction of a label of the cells, -1 = none."""


class Verdicts(NamedTuple):
    """The same without names: bit t tells of threshold t."""

    matched: Int[Tensor, "a p"]
    """Matched to some label."""
    hidden: Int[Tensor, "a p"]
    """Matched, and ignored for it."""


def cells(
    label_frame: Int64[Tensor, " m"],
    label_class: Int64[Tensor, " m"],
    prediction_frame: Int64[Tensor, " n"],
    prediction_class: Int64[Tensor, " n"],
    score: Float64[Tensor, " n"],
    *,
    pooled: bool = False,
    limit: int | None = None,
) -> Cells:
    """Sort rows into cells of a frame and a class (`pooled`: of a frame); `limit` keeps the best predictions of each cell.

    Frames and classes are rows, 0 or more; scores are numbers. Time and memory grow with the rows and the number of frames.
    """
    if score.is_cuda:
        from gpu_quality.kernels.matching import reference

        return reference.cells(label_frame, label_class, prediction_frame, prediction_class, score, pooled, limit)
    from gpu_quality.kernels.matching import cpu

    return cpu.cells(label_frame, label_class, prediction_frame, prediction_class, score, pooled, limit)


def outside(
    rows: Int64[Tensor, " p"],
    area: Float64[Tensor, " n"],
    class_id: Int64[Tensor, " n"],
    low: Float64[Tensor, "a k"],
    high: Float64[Tensor, "a k"],
    ignored: Bool[Tensor, " n"] | None = None,
) -> Bool[Tensor, "a p"]:
    """Whether members of the cells lie outside each size range, whose ends belong to it; those ignored lie outside of all.

    `low` and `high` have a column per class, or one for all.
    """
    if rows.is_cuda:
        from gpu_quality.kernels.matching import reference

        return reference.outside(rows, area, class_id, low, high, ignored)
    from gpu_quality.kernels.matching import cpu

    return cpu.outside(rows, area, class_id, low, high, ignored)


def ranks(offset: Int64[Tensor, " s_plus_1"]) -> Int32[Tensor, " p"]:
    """Place of every member of a CSR in its cell, from 0."""
    if offset.is_cuda:
        from gpu_quality.kernels.matching import reference

        return reference.ranks(offset)
    from gpu_quality.kernels.matching import cpu

    return cpu.ranks(offset)


def box_overlaps(
    label_box: Float64[Tensor, "m 4"],
    prediction_box: Float64[Tensor, "n 4"],
    crowd: Bool[Tensor, " m"],
    found: Cells,
    *,
    inclusive: bool = False,
) -> Float64[Tensor, " pairs"]:
    """How well predictions cover the labels of their cell, 0..1: predictions x labels, row-major, of cell after cell.

    Boxes are x y w h. Intersection over union as i / (w_p h_p + w_l h_l - i), in this order; over the prediction alone where
    the label is a crowd. `inclusive` boxes of width w span w + 1 pixels. 0 where nothing is shared.
    """
    if label_box.is_cuda:
        from gpu_quality.kernels.matching import reference

        return reference.box_overlaps(label_box, prediction_box, crowd, found, inclusive)
    from gpu_quality.kernels.matching import cpu

    return cpu.box_overlaps(label_box, prediction_box, crowd, found, inclusive)


def by_score(overlap: Float64[Tensor, " pairs"], found: Cells, sides: Sides, rules: Rules) -> Found:
    """Let predictions pick labels in order of score, at all thresholds and size ranges in one pass.

    A prediction takes the free regular label with the highest overlap that reaches the threshold; only where there is none,
    an ignored one. Matching at one threshold knows nothing of the others.
    """
    parts = [
        _by_score(overlap, found, sides, rules._replace(need=need, need_ignored=ignored))
        for need, ignored in zip(*(torch.split(side, MAX_THRESHOLDS) for side in (rules.need, rules.need_ignored)), strict=True)
    ]
    return parts[0] if len(parts) == 1 else Found(*(torch.cat(same, 1) for same in zip(*parts, strict=True)))


def _by_score(overlap: Float64[Tensor, " pairs"], found: Cells, sides: Sides, rules: Rules) -> Found:
    """`by_score` at no more than MAX_THRESHOLDS thresholds."""
    if overlap.is_cuda:
        from gpu_quality.kernels.matching import reference

        return reference.by_score(overlap, found, sides, rules)
    from gpu_quality.kernels.matching import cpu

    return cpu.by_score(overlap, found, sides, rules)


def verdicts(
    label_box: Float64[Tensor, "m 4"],
    prediction_box: Float64[Tensor, "n 4"],
    crowd: Bool[Tensor, " m"],
    found: Cells,
    sides: Sides,
    rules: Rules,
    *,
    inclusive: bool = False,
) -> Verdicts:
    """What `by_score` over `box_overlaps` tells of predictions, without keeping overlaps and names: CPU tensors.

    At most MAX_THRESHOLDS thresholds. `crowd` goes by rows of labels, `sides` by cells.
    """
    from gpu_quality.kernels.matching import cpu

    return cpu.verdicts(label_box, prediction_box, crowd, found, sides, rules, inclusive)


def by_overlap(
    overlap: Float64[Tensor, " pairs"],
    found: Cells,
    label_class: Int64[Tensor, " m"],
    prediction_class: Int64[Tensor, " n"],
    score: Float64[Tensor, " n"],
    crowd: Bool[Tensor, " m"],
    need: Float64[Tensor, " t"],
    *,
    same_first: bool = False,
    listed: bool = False,
) -> Found:
    """Match pairs by falling overlap, each label and prediction once, at all thresholds; computed on the CPU.

    Equal overlaps: same class first, then higher score, earlier label, earlier prediction; `listed`: earlier label, earlier
    prediction. `same_first` lets all pairs of one class choose before all others. Crowd labels match nothing; a prediction
    left alone whose overlap with one of its class reaches the threshold is ignored. Columns of arguments go by rows.
    """
    from gpu_quality.kernels.matching import cpu

    here = Cells(*(side.cpu() for side in found))
    classes = label_class.cpu(), prediction_class.cpu()
    out = cpu.by_overlap(overlap.cpu(), here, *classes, score.cpu(), crowd.cpu(), need.cpu(), same_first, listed)
    return Found(*(side.to(overlap.device) for side in out))
