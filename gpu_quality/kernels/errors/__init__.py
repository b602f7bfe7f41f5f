"""What becomes of predictions: the labels they come closest to, how many are right, and cells with the best of them alone."""

from typing import NamedTuple

from jaxtyping import Bool, Float64, Int32, Int64
from torch import Tensor

from gpu_quality.kernels.matching import Cells

__all__ = ["Closest", "Tally", "best_rows", "closest", "tally"]


class Closest(NamedTuple):
    """The best overlaps of every prediction of the cells, and the rows of the labels that give them: -1 where there is none.

    Of labels with equal overlap the one with the lowest row counts. Overlap 0 counts too.
    """

    same: Float64[Tensor, " p"]
    same_label: Int64[Tensor, " p"]
    """Among the labels of its class."""
    other: Float64[Tensor, " p"]
    other_label: Int64[Tensor, " p"]
    """Among the labels of all other classes."""
    taken: Float64[Tensor, " p"]
    taken_label: Int64[Tensor, " p"]
    """Among the labels of its class that are taken."""


def closest(
    overlap: Float64[Tensor, " pairs"],
    found: Cells,
    label_class: Int64[Tensor, " m"],
    prediction_class: Int64[Tensor, " n"],
    regular: Bool[Tensor, " q"],
    taken: Bool[Tensor, " q"],
) -> Closest:
    """Compare every prediction with the `regular` labels of its cell: CPU tensors.

    Classes go by rows, `regular` and `taken` by places of the cells' labels.
    """
    from gpu_quality.kernels.errors import cpu

    return cpu.closest(overlap, found, label_class, prediction_class, regular, taken)


class Tally(NamedTuple):
    """What to count, by places of the cells."""

    label_of: Int32[Tensor, "t p"]
    """Row of the label of each prediction, -1 = none."""
    ignored: Bool[Tensor, "t p"]
    iou_at: Int64[Tensor, " p"]
    """Where the overlap of each prediction with the label at place 0 would stand."""
    label_place: Int64[Tensor, " m"]
    """Place of each label row."""
    label_ignored: Bool[Tensor, " q"]
    last: Int64[Tensor, " p"]
    """At how many of the columns each prediction counts: the first ones."""
    label_class: Int64[Tensor, " m"]
    prediction_class: Int64[Tensor, " p"]
    label_key: Int64[Tensor, " m"]
    """What is counted apart."""
    prediction_key: Int64[Tensor, " p"]


def tally(
    given: Tally, overlap: Float64[Tensor, " pairs"], keys: int, columns: int
) -> tuple[Int64[Tensor, "3 k t c"], Float64[Tensor, "k t c"]]:
    """Right predictions, wrong ones, and labels matched to another class, by key, threshold and column: CPU tensors.

    Second: the overlaps of the right ones, summed. One pass over the predictions per threshold.
    """
    from gpu_quality.kernels.errors import cpu

    return cpu.tally(given, overlap, keys, columns)


def best_rows(
    overlap: Float64[Tensor, " pairs"], found: Cells, count: Int64[Tensor, " s"]
) -> tuple[Int64[Tensor, " p"], Float64[Tensor, " pairs"]]:
    """The first `count` predictions of every cell, and their overlaps: CPU tensors."""
    from gpu_quality.kernels.errors import cpu

    return cpu.best_rows(overlap, found, count)
