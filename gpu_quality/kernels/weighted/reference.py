"""Figures of weighted sets by their definition, in plain torch: every frame is repeated, and everything accumulated anew."""

import numpy as np
import torch
from jaxtyping import Float64, Int32, Int64
from torch import Tensor

from gpu_quality.kernels.matching import MAX_THRESHOLDS
from gpu_quality.kernels.precision import Ranked, reference
from gpu_quality.kernels.weighted import Figure, Means, Stored


def means(
    stored: Stored,
    figures: tuple[Figure, ...],
    recalls: Float64[Tensor, " r"],
    max_detections: tuple[int, ...],
    *,
    zero: bool = False,
) -> Means:
    """A function from weights to figures; see ``kernels.weighted``."""

    def function(weights: Int32[Tensor, "r n"]) -> Float64[Tensor, "r v"]:
        rows = [_figures(stored, figures, recalls, max_detections, row.long(), zero=zero) for row in weights]
        return torch.tensor(rows, dtype=torch.float64).reshape(len(weights), len(figures))

    return function


def sums(
    frame: Int64[Tensor, " p"], first: Int64[Tensor, " k_plus_1"], weights: Int32[Tensor, "r n"]
) -> Float64[Tensor, "k r"]:
    """Weights added up by group; see ``kernels.weighted``."""
    members = frame.split(first.diff().tolist())  # type: ignore[no-untyped-call]
    return torch.stack([weights[:, own].double().sum(1) for own in members])


def _figures(
    stored: Stored,
    figures: tuple[Figure, ...],
    recalls: Float64[Tensor, " r"],
    max_detections: tuple[int, ...],
    weight: Int64[Tensor, " n"],
    *,
    zero: bool,
) -> list[float]:
    """The figures of one set."""
    classes = len(stored.ranked[0].class_offset) - 1
    positives = torch.stack(
        [
            torch.bincount(stored.label_class[~out], weights=weight[stored.label_frame[~out]].double(), minlength=classes)
            for out in stored.label_ignored
        ],
        1,
    ).long()
    rows, offset = _repeated(stored.ranked[0].class_offset, stored.frame, weight)
    parts = []
    for i, part in enumerate(stored.ranked):
        sides = (part.rank[rows], part.score[rows], part.matched[:, rows], part.hidden[:, rows], part.outside[:, rows])
        count = min(stored.thresholds - i * MAX_THRESHOLDS, MAX_THRESHOLDS)
        parts.append(reference.accumulate(Ranked(offset, *sides), positives, count, recalls, max_detections))
    precision = torch.cat([part.precision for part in parts], 3).permute(3, 4, 0, 1, 2)  # [t, r, k, a, m]
    recall = torch.cat([part.recall for part in parts], 3).permute(3, 0, 1, 2)  # [t, k, a, m]
    if zero:
        only_false = ((positives == 0).all(1) & (offset.diff() > 0))[:, None, None]
        precision, recall = (torch.where(only_false, 0.0, table) for table in (precision, recall))
    return [_mean(recall if figure.recall else precision[..., -1:], figure) for figure in figures]


def _repeated(
    class_offset: Int64[Tensor, " k_plus_1"], frame: Int64[Tensor, " p"], weight: Int64[Tensor, " n"]
) -> tuple[Int64[Tensor, " s"], Int64[Tensor, " k_plus_1"]]:
    """Places of predictions, all those of a class and frame as often as the frame stands there; where classes start."""
    rows, first = [torch.zeros(0, dtype=torch.int64)], [0]
    for start, stop in torch.stack([class_offset[:-1], class_offset[1:]], 1).tolist():
        cells, counts = torch.unique_consecutive(frame[start:stop], return_counts=True)
        ends = counts.cumsum(0) + start
        for begin, end, times in zip((ends - counts).tolist(), ends.tolist(), weight[cells].tolist(), strict=True):
            rows.append(torch.arange(begin, end).repeat(times))
        first.append(sum(map(len, rows)))
    return torch.cat(rows), torch.tensor(first)


def _mean(table: Tensor, figure: Figure) -> float:
    """Mean of what is defined, summed as NumPy sums; NaN of nothing."""
    own = table[..., figure.area, figure.limit if figure.recall else -1][list(figure.thresholds)].numpy()
    if figure.class_row >= 0:
        own = own[..., figure.class_row]
    defined = own[own > -1]
    return float(np.mean(defined)) if len(defined) else float("nan")
