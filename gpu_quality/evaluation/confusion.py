"""What was taken for what: labels against predictions with a row and a column for None, and who is behind every cell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.matching import Dropped
from gpu_quality.evaluation.narrowing import matched
from gpu_quality.evaluation.protocol import CONFUSION, EvaluationProtocol
from gpu_quality.evaluation.rates import rate
from gpu_quality.evaluation.verdicts import check_rows, verdicts_at

if TYPE_CHECKING:
    from gpu_quality.evaluation.overlaps import Comparison


class Members(NamedTuple):
    """Who is in a cell: one entry per pair, missed label or background prediction."""

    frame: Int64[Tensor, " n"]
    label: Int64[Tensor, " n"]
    """Row of the label, -1 = none."""
    prediction: Int64[Tensor, " n"]
    """Row of the prediction, -1 = none."""
    iou: Float64[Tensor, " n"]
    """NaN where one of them is missing."""


class ClassCounts(NamedTuple):
    """Counts and rates of the named classes of a matrix; rates over nothing are NaN."""

    tp: Int64[Tensor, " k"]
    fp: Int64[Tensor, " k"]
    fn: Int64[Tensor, " k"]
    precision: Float64[Tensor, " k"]
    recall: Float64[Tensor, " k"]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows are label classes, columns predicted classes, the last of each is None; before it `(other)` where a filter folded.

    The sum of a row is the number of labels of its class, that of a column the number of predictions; (None, None) is 0.
    """

    matrix: Int64[Tensor, "c c"]
    classes: Int64[Tensor, " k"]
    """Class of each of the first k rows and columns."""
    folded: bool
    """Whether the row and column before None are those of all other classes."""
    members: Members
    """Of all cells one after another, cell by cell along the rows; inside by frame, label and prediction."""
    offset: Int64[Tensor, " cells_plus_1"]
    ignored_labels: Int64[Tensor, " i"]
    """Rows of labels left out: crowds, and what the protocol ignores."""
    ignored_predictions: Int64[Tensor, " j"]
    """Rows of predictions left out because of them."""
    dropped: Dropped
    threshold: float
    confidence: float
    protocol: EvaluationProtocol

    def cell(self, row: int, column: int) -> Members:
        """The members of one cell; -1 is None."""
        size = len(self.matrix)
        at = row % size * size + column % size
        start, end = self.offset[at : at + 2].tolist()
        return Members(*(part[start:end] for part in self.members))

    def normalized(self, by: str = "row") -> Float64[Tensor, "c c"]:
        """Shares 0..1 by ``row`` (recall view), ``column`` (precision view) or ``all``; 0/0 is NaN. ``none``: the counts.

        Raises
        ------
        UsageError
            Another word.
        """
        whole = {
            "none": torch.ones_like(self.matrix),
            "row": self.matrix.sum(1, keepdim=True),
            "column": self.matrix.sum(0, keepdim=True),
            "all": self.matrix.sum(),
        }
        if by not in whole:
            raise UsageError(f"normalization {by!r} is none of {', '.join(whole)}")
        return rate(self.matrix, whole[by].expand_as(self.matrix))

    def per_class(self, zero_division: float = torch.nan) -> ClassCounts:
        """Counts of each named class: TP on the diagonal, FP the rest of its column, FN the rest of its row."""
        named = len(self.classes)
        tp = self.matrix.diagonal()[:named]
        columns, rows = self.matrix.sum(0)[:named], self.matrix.sum(1)[:named]
        precision, recall = rate(tp, columns, zero_division), rate(tp, rows, zero_division)
        return ClassCounts(tp, columns - tp, rows - tp, precision, recall)

    def fold(self, classes: Sequence[int]) -> "Confusion":
        """The matrix of some classes, in this order, with all others as one row and column before None.

        Raises
        ------
        UsageError
            A class is not a row of this matrix, or named twice.
        """
        place = {class_id: at for at, class_id in enumerate(self.classes.tolist())}
        if set(classes) - set(place) or len(set(classes)) < len(classes):
            raise UsageError(f"classes must be different rows of the matrix; got {list(classes)}")
        size, none = len(classes) + 2, len(self.matrix) - 1
        new = torch.full((none + 1,), size - 2, dtype=torch.int64)
        new[[place[class_id] for class_id in classes]] = torch.arange(len(classes))
        new[none] = size - 1
        old = torch.repeat_interleave(torch.arange(self.matrix.numel()), self.offset.diff())
        row, column = new[old // (none + 1)], new[old % (none + 1)]
        matrix, offset, members = _sorted(row, column, self.members, size)
        kept = torch.tensor(list(classes), dtype=torch.int64)
        return replace(self, matrix=matrix, offset=offset, members=members, classes=kept, folded=True)


def confusion(
    labels: Instances,
    predictions: Instances,
    *,
    classes: int,
    threshold: float = 0.5,
    confidence: float = 0.25,
    protocol: EvaluationProtocol = CONFUSION,
    kind: Kind = "box",
    how: "Comparison | None" = None,
    only: Sequence[int] | None = None,
) -> Confusion:
    """The confusion matrix of `classes` classes: predictions with at least `confidence`, pairs that reach `threshold`.

    By default pairs of one class choose first, by falling overlap, then all others; each label and prediction is in one cell.
    ``replace(CONFUSION, order="score", tie="last", classes="any")`` and other protocols give other tools' matrices. `only`
    folds all other classes into one. Crowds, and predictions ignored for them, are in no cell.

    Raises
    ------
    UsageError
        A class is not below `classes`, a score is missing that the protocol needs, or `kind` needs shapes that are not there.
    """
    check_rows(labels, predictions, classes=classes)
    rules = replace(protocol, thresholds=(threshold,), areas=())
    matches = matched(labels, predictions, rules, kind=kind, how=how, confidence=confidence)
    verdicts = verdicts_at(matches, labels, predictions)
    kept, missed = ~verdicts.ignored, verdicts.label[~verdicts.matched & ~verdicts.label_ignored]
    prediction, partner = verdicts.prediction[kept], verdicts.partner[kept]
    row = torch.where(partner >= 0, labels.class_id[partner.clamp(min=0)] if len(labels) else classes, classes)
    members = Members(
        torch.cat([predictions.frame[prediction], labels.frame[missed]]),
        torch.cat([partner, missed]),
        torch.cat([prediction, torch.full_like(missed, -1)]),
        torch.cat([verdicts.iou[kept], torch.full(missed.shape, torch.nan, dtype=torch.float64)]),
    )
    rows = torch.cat([row, labels.class_id[missed]])
    columns = torch.cat([predictions.class_id[prediction], torch.full_like(missed, classes)])
    matrix, offset, members = _sorted(rows, columns, members, classes + 1)
    out = Confusion(
        matrix=matrix,
        classes=torch.arange(classes),
        folded=False,
        members=members,
        offset=offset,
        ignored_labels=verdicts.label[verdicts.label_ignored],
        ignored_predictions=verdicts.prediction[verdicts.ignored],
        dropped=matches.dropped,
        threshold=threshold,
        confidence=confidence,
        protocol=rules,
    )
    return out if only is None else out.fold(only)


def _sorted(
    row: Int64[Tensor, " n"], column: Int64[Tensor, " n"], members: Members, size: int
) -> tuple[Int64[Tensor, "c c"], Int64[Tensor, " cells_plus_1"], Members]:
    """Counts of all cells, where each starts, and the members cell by cell."""
    order = torch.arange(len(row))
    for key in (members.prediction, members.label, members.frame, row * size + column):
        order = order[key[order].sort(stable=True).indices]
    count = torch.bincount(row * size + column, minlength=size * size)
    offset = torch.cat([count.new_zeros(1), count.cumsum(0)])
    return count.reshape(size, size), offset, Members(*(part[order] for part in members))
