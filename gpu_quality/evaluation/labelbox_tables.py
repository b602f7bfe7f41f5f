"""Labelbox's counts by class, by data row and in all, and the two ways to average them (reference evaluation.md 5)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.evaluation.protocol import EvaluationProtocol
from gpu_quality.evaluation.rates import mean_of_known, rate


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts of every class in every frame that has a label or a prediction of it, by frame, then class."""

    frame: Int64[Tensor, " k"]
    class_id: Int64[Tensor, " k"]
    labels: Int64[Tensor, " k"]
    predictions: Int64[Tensor, " k"]
    tp: Int64[Tensor, " k"]
    fp: Int64[Tensor, " k"]
    fn: Int64[Tensor, " k"]
    iou_sum: Float64[Tensor, " k"]
    iou_count: Int64[Tensor, " k"]
    """What the sum is divided by: the larger of labels and predictions, or the true positives."""


@dataclass(frozen=True, slots=True)
class Table:
    """Figures, one row per frame, class or both; rates are 0..1, NaN where undefined."""

    frame: Int64[Tensor, " k"]
    """-1 = all."""
    class_id: Int64[Tensor, " k"]
    """-1 = all."""
    labels: Int64[Tensor, " k"]
    predictions: Int64[Tensor, " k"]
    tp: Int64[Tensor, " k"]
    fp: Int64[Tensor, " k"]
    tn: Int64[Tensor, " k"]
    """0: objects that are not there cannot be counted."""
    fn: Int64[Tensor, " k"]
    precision: Float64[Tensor, " k"]
    recall: Float64[Tensor, " k"]
    f1: Float64[Tensor, " k"]
    iou: Float64[Tensor, " k"]


def table_of(cells: Cells) -> Table:
    """One row per class and frame."""
    return _table(cells, cells.frame, cells.class_id, torch.arange(len(cells.frame)), rate(cells.iou_sum, cells.iou_count))


def frame_table(cells: Cells, frames: Int64[Tensor, " f"], protocol: EvaluationProtocol) -> Table:
    """One row per frame; every other frame has no cells. IoU: mean of its classes, or of all its true positives."""
    place = torch.searchsorted(frames, cells.frame)
    iou = _pooled_iou(cells, place, len(frames), protocol)
    return _table(cells, frames, torch.full_like(frames, -1), place, iou)


def class_table(cells: Cells, classes: int, protocol: EvaluationProtocol) -> Table:
    """One row per class, of summed counts or of means over its frames."""
    every = torch.arange(classes)
    iou = _pooled_iou(cells, cells.class_id, classes, protocol)
    out = _table(cells, torch.full_like(every, -1), every, cells.class_id, iou)
    if protocol.average == "pooled":
        return out
    return _averaged(out, table_of(cells), cells.class_id)


def total_of(cells: Cells, frames: Table, protocol: EvaluationProtocol) -> Table:
    """One row for everything, of summed counts or of means over frames. IoU: mean of the frames, or of all true positives."""
    one, place = torch.full((1,), -1), torch.zeros_like(cells.frame)
    iou = mean_of_known(frames.iou)[None]
    if protocol.iou_mean == "matched" and protocol.average == "pooled":
        iou = rate(cells.iou_sum.sum(0, keepdim=True), cells.iou_count.sum(0, keepdim=True))
    out = _table(cells, one, one, place, iou)
    return out if protocol.average == "pooled" else _averaged(out, frames, torch.zeros_like(frames.frame))


def _pooled_iou(cells: Cells, place: Int64[Tensor, " k"], size: int, protocol: EvaluationProtocol) -> Float64[Tensor, " s"]:
    """Mean IoU of the cells of each place, or of their true positives where only these count and counts are summed."""
    if protocol.iou_mean == "matched" and protocol.average == "pooled":
        return rate(_sum(place, cells.iou_sum, size), _sum(place, cells.iou_count, size))
    return _mean(place, rate(cells.iou_sum, cells.iou_count), size)


def _table(
    cells: Cells,
    frame: Int64[Tensor, " s"],
    class_id: Int64[Tensor, " s"],
    place: Int64[Tensor, " k"],
    iou: Float64[Tensor, " s"],
) -> Table:
    """Counts summed by place, and their rates."""
    counts = (cells.labels, cells.predictions, cells.tp, cells.fp, cells.fn)
    labels, predictions, tp, fp, fn = (_sum(place, part, len(frame)) for part in counts)
    precision, recall, f1 = rate(tp, tp + fp), rate(tp, tp + fn), rate(2 * tp, 2 * tp + fp + fn)
    return Table(frame, class_id, labels, predictions, tp, fp, torch.zeros_like(tp), fn, precision, recall, f1, iou)


def _averaged(out: Table, rows: Table, place: Int64[Tensor, " k"]) -> Table:
    """The same counts with means of the rates of `rows`."""
    rates = (_mean(place, part, len(out.frame)) for part in (rows.precision, rows.recall, rows.f1))
    precision, recall, f1 = rates
    return Table(
        out.frame, out.class_id, out.labels, out.predictions, out.tp, out.fp, out.tn, out.fn, precision, recall, f1, out.iou
    )


def _sum(place: Int64[Tensor, " k"], value: Tensor, size: int) -> Tensor:
    return torch.zeros(size, dtype=value.dtype).index_add_(0, place, value)


def _mean(place: Int64[Tensor, " k"], value: Float64[Tensor, " k"], size: int) -> Float64[Tensor, " s"]:
    """Mean of the values that are known."""
    known = ~value.isnan()
    return rate(_sum(place, torch.where(known, value, 0.0), size), _sum(place, known.long(), size))
