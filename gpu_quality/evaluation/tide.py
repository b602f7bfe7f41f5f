"""TIDE: the kind of every error of a detector, and how much average precision each kind costs.

Source: Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV 2020 (reference evaluation.md 9).
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int8, Int64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.matching import match, prepare
from gpu_quality.evaluation.narrowing import of_one_class
from gpu_quality.evaluation.pairs import pairs
from gpu_quality.evaluation.protocol import TIDE, EvaluationProtocol
from gpu_quality.evaluation.segments import Segments
from gpu_quality.evaluation.tide_precision import Repairs
from gpu_quality.evaluation.verdicts import by_row, check_rows
from gpu_quality.kernels.errors import Closest, closest
from gpu_quality.kernels.matching import by_score

if TYPE_CHECKING:
    from gpu_quality.evaluation.overlaps import Comparison

ERRORS: Final = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
"""Wrong class, badly placed, both, found twice, nothing there, not found; in the order of the report."""
_CLS, _LOC, _BOTH, _DUPE, _BKG, _MISS = range(6)


@dataclass(frozen=True, slots=True)
class Errors:
    """The kind of every error, row by row as given, and what the kinds cost. Labels of crowds and ignored ones are regions."""

    error: Int8[Tensor, " n"]
    """Place in `ERRORS` of false and of ignored predictions; -1: right, or beyond the number per frame."""
    label: Int64[Tensor, " n"]
    """Row of the label it got wrong (Cls, Loc, Dupe), -1 = none."""
    ignored: Bool[Tensor, " n"]
    """Lies in a region: no part of the precision, still an error if it is close to a label."""
    missed: Bool[Tensor, " m"]
    """Neither matched nor claimed by a prediction that is badly placed or of the wrong class."""
    ap: float
    """Average precision in points, 0..100, mean over the classes with a label or a prediction; NaN without any."""
    count: Int64[Tensor, " e"]
    """How many errors of each kind of `ERRORS`."""
    dap: Float64[Tensor, " e"]
    """Points won if all errors of one kind were repaired; they do not add up."""
    false_positive: float
    """Points won if every false prediction came after every right one."""
    false_negative: float
    """Points won if no label were missed."""


def tide(
    labels: Instances,
    predictions: Instances,
    *,
    classes: int,
    protocol: EvaluationProtocol = TIDE,
    kind: Kind = "box",
    how: "Comparison | None" = None,
    progressive: bool = False,
) -> Errors:
    """Name every error at the first threshold of the protocol, and repair one kind at a time.

    `progressive` keeps repairs as it goes through `ERRORS`. ``replace(TIDE, bounds="half_open")`` counts an overlap of exactly
    the threshold, or of exactly `background`, to the better side.

    Raises
    ------
    UsageError
        A class is not below `classes`, a score is missing, or `kind` needs shapes that are not there.
    """
    check_rows(labels, predictions, classes=classes)
    found = _matched(labels, predictions, protocol, kind, how)
    error, label = _named(found.near, ~found.hit, protocol)
    rows, wanted = found.segments.prediction, found.segments.label[found.regular & ~found.taken]
    winner, claimed = _claims(error, label, found, len(labels))
    missed = torch.zeros(len(labels), dtype=torch.bool)
    missed[wanted] = True
    missed &= ~claimed
    own = predictions.class_id[rows]
    new = own.clone()
    new[error == _CLS] = labels.class_id[label[error == _CLS]]

    def per_class(some: Int64[Tensor, " k"]) -> NDArray[np.int64]:
        return torch.bincount(labels.class_id[some], minlength=classes).numpy()

    repairs = Repairs(
        class_id=own.numpy(),
        new_class=new.numpy(),
        score=found.score.numpy(),
        error=error.numpy(),
        winner=winner.numpy(),
        ignored=found.ignored.numpy(),
        positives=per_class(found.segments.label[found.regular]),
    )
    ap = repairs.before()
    count = torch.bincount(error[error >= 0], minlength=len(ERRORS))
    count[_MISS] = missed.sum()
    return Errors(
        error=by_row(rows, error, len(predictions), -1).to(torch.int8),
        label=by_row(rows, label, len(predictions), -1),
        ignored=by_row(rows, found.ignored, len(predictions), 0),
        missed=missed,
        ap=ap,
        count=count,
        dap=torch.tensor(repairs.gains(per_class(missed.nonzero().flatten()), progressive=progressive), dtype=torch.float64),
        false_positive=repairs.ranked() - ap,
        false_negative=repairs.found(per_class(wanted)) - ap,
    )


class _Found(NamedTuple):
    """Whole frames as cells, predictions by falling score, matched with labels of their class."""

    segments: Segments
    score: Float64[Tensor, " p"]
    hit: Bool[Tensor, " p"]
    ignored: Bool[Tensor, " p"]
    regular: Bool[Tensor, " q"]
    taken: Bool[Tensor, " q"]
    near: Closest


def _matched(
    labels: Instances, predictions: Instances, protocol: EvaluationProtocol, kind: Kind, how: "Comparison | None"
) -> _Found:
    """Compare everything in a frame once, and match only what is of one class."""
    labels = replace(labels, crowd=labels.crowd | labels.ignored)
    whole, sides = (
        replace(protocol, thresholds=protocol.thresholds[:1], areas=()),
        (of_one_class(labels), of_one_class(predictions)),
    )
    segments, ready = match(*sides, whole, kind=kind, how=how).segments, prepare(*sides, whole)
    every = pairs(segments)
    classes = labels.class_id[segments.label], predictions.class_id[segments.prediction]
    own = torch.where(classes[1][every.prediction] == classes[0][every.label], segments.overlap, -1.0)
    found = by_score(own, segments.cells(), ready.sides, ready.rules)
    regular = ~ready.sides.label_ignored[0]
    taken = regular & (found.prediction_of[0, 0] >= 0)
    near = closest(segments.overlap, segments.cells(), labels.class_id, predictions.class_id, regular, taken)
    ignored = found.ignored[0, 0]
    hit = (found.label_of[0, 0] >= 0) & ~ignored
    return _Found(segments, ready.predictions.score[segments.prediction], hit, ignored, regular, taken, near)


def _named(
    near: Closest, wrong: Bool[Tensor, " p"], protocol: EvaluationProtocol
) -> tuple[Int64[Tensor, " p"], Int64[Tensor, " p"]]:
    """The first rule that fits each wrong prediction, and the label it is about; -1 = none."""
    enough, background = protocol.thresholds[0], protocol.background
    best = torch.maximum(near.same, near.other)  # -1: no regular label in the frame
    if protocol.bounds == "closed":
        close, far = (near.same >= background) & (near.same <= enough), best <= background
    else:
        close, far = (near.same >= background) & (near.same < enough), best < background
    error, label = torch.full_like(near.same_label, -1), torch.full_like(near.same_label, -1)
    none = torch.full_like(label, -1)
    for kind, fits, about in (
        (_BOTH, wrong, none),
        (_BKG, wrong & far, none),
        (_DUPE, wrong & (near.taken >= enough), near.taken_label),
        (_CLS, wrong & (near.other >= enough), near.other_label),
        (_LOC, wrong & close, near.same_label),
        (_BKG, wrong & (best < 0), none),
    ):  # the last word is that of the first rule
        error[fits], label[fits] = kind, about[fits]
    return error, label


def _claims(
    error: Int64[Tensor, " p"], label: Int64[Tensor, " p"], found: _Found, labels: int
) -> tuple[Bool[Tensor, " p"], Bool[Tensor, " m"]]:
    """Predictions that would be right if repaired: the best of those that claim a free label; and the labels claimed."""
    free = torch.ones(labels, dtype=torch.bool)
    free[found.segments.label[found.taken]] = False
    place = ((error == _LOC) | (error == _CLS)).nonzero().flatten()
    place = place[free[label[place]]]
    first = torch.full((labels,), len(error))
    first.scatter_reduce_(0, label[place], place, "amin")
    winner, claimed = torch.zeros(len(error), dtype=torch.bool), first < len(error)
    winner[first[claimed]] = True
    return winner, claimed
