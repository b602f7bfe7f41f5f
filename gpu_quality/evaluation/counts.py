"""True and false positives and misses at every confidence and IoU threshold of a grid, per class, per frame or both.

By falling score, predictions below a confidence never influence those above it: one pass per IoU threshold serves all
confidences. By falling overlap, one pass per confidence serves all IoU thresholds. Source: reference evaluation.md 2 and 8.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.matching import Matches, match, scores_of
from gpu_quality.evaluation.narrowing import Compared, of_one_class
from gpu_quality.evaluation.protocol import CONFUSION, EvaluationProtocol
from gpu_quality.evaluation.rates import mean_of_known, rate
from gpu_quality.evaluation.verdicts import OverlapTable, check_rows
from gpu_quality.kernels.errors import Tally, tally

if TYPE_CHECKING:
    from gpu_quality.evaluation.overlaps import Comparison

By = Literal["class", "frame", "cell"]
"""What is counted apart: each class, each frame, or each class of each frame that has one."""

TENTHS: Final = tuple(i / 10 for i in range(11))
"""0, .1 .. 1."""


class Rates(NamedTuple):
    """Shares 0..1 of one key or an average of all; NaN where nothing is divided by nothing."""

    precision: Float64[Tensor, "*s"]
    recall: Float64[Tensor, "*s"]
    f1: Float64[Tensor, "*s"]
    iou: Float64[Tensor, "*s"]
    """Mean overlap of the true positives."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of k keys (classes, frames or cells) at t IoU thresholds and c confidences; ignored ones are in none."""

    thresholds: Float64[Tensor, " t"]
    confidences: Float64[Tensor, " c"]
    frame: Int64[Tensor, " k"]
    """Frame of each key, -1 = all."""
    class_id: Int64[Tensor, " k"]
    """Class of each key, -1 = all."""
    labels: Int64[Tensor, " k"]
    """Labels that are to be found."""
    tp: Int64[Tensor, "k t c"]
    fp: Int64[Tensor, "k t c"]
    """Also a match of two classes: it is a false positive of the predicted one."""
    fn: Int64[Tensor, "k t c"]
    iou_sum: Float64[Tensor, "k t c"]
    """Overlaps of the true positives."""

    @property
    def tn(self) -> Int64[Tensor, "k t c"]:
        """True negatives: objects that are not there cannot be counted, so 0."""
        return torch.zeros_like(self.tp)

    def rates(self, zero_division: float = torch.nan) -> Rates:
        """Precision, recall, F1 and mean IoU of every key: [k t c]."""
        return _rates(self.tp, self.fp, self.fn, self.iou_sum, zero_division)

    def micro(self, zero_division: float = torch.nan) -> Rates:
        """Rates of the summed counts: [t c]."""
        return _rates(self.tp.sum(0), self.fp.sum(0), self.fn.sum(0), self.iou_sum.sum(0), zero_division)

    def macro(self, zero_division: float = torch.nan) -> Rates:
        """Mean over the keys, those without a value left out: [t c]."""
        return Rates(*(mean_of_known(value.movedim(0, -1)) for value in self.rates(zero_division)))

    def weighted(self, zero_division: float = torch.nan) -> Rates:
        """Mean over the keys by their number of labels, those without a value left out: [t c]."""
        weight = self.labels.expand(*self.tp.shape[1:], -1)
        return Rates(*(mean_of_known(value.movedim(0, -1), weight) for value in self.rates(zero_division)))

    def lrp(self) -> Float64[Tensor, "k t c"]:
        """Localization recall precision error, 0..1; NaN at threshold 1 and where there is nothing."""
        offset = rate(self.tp - self.iou_sum, (1 - self.thresholds)[:, None].expand(self.tp.shape))
        return rate(offset + self.fp + self.fn, self.tp + self.fp + self.fn)


def steps(low: float, high: float, step: float) -> tuple[float, ...]:
    """Thresholds from `low` to `high`, both ends included, as the doubles that one would type.

    >>> steps(0.5, 0.53, 0.01)
    (0.5, 0.51, 0.52, 0.53)
    """
    return tuple(round(low + i * step, 9) for i in range(round((high - low) / step) + 1))


def counts(
    labels: Instances,
    predictions: Instances,
    *,
    classes: int,
    frames: int,
    thresholds: Sequence[float] = TENTHS,
    confidences: Sequence[float] = TENTHS,
    by: By = "class",
    protocol: EvaluationProtocol = CONFUSION,
    kind: Kind = "box",
    how: "Comparison | None" = None,
) -> Counts:
    """Counts of a full grid; every point is what an evaluation without the predictions below its confidence gives.

    `confidences` rise. Overlaps are computed once. Size ranges of the protocol are left out; where classes are all one, all
    is of class 0. Memory: 5 bytes per prediction and threshold, and 64 per key and point.

    Raises
    ------
    UsageError
        A class or frame is out of range, confidences do not rise, a score is missing that the protocol needs, or `kind` needs
        shapes that are not there.
    """
    check_rows(labels, predictions, classes=classes, frames=frames)
    if not protocol.use_classes:
        labels, predictions = of_one_class(labels), of_one_class(predictions)
    rules = replace(protocol, thresholds=tuple(thresholds), areas=())
    if rules.order == "score":
        matches = match(labels, predictions, rules, kind=kind, how=how)
        return counts_of(matches, labels, predictions, classes=classes, frames=frames, confidences=confidences, by=by)
    keys = _Keys.of(labels, predictions, classes, frames, by)
    out = _Sums.zeros(len(keys.frame), len(rules.thresholds), len(confidences))
    wanted, compared = _rising(confidences), Compared.of(labels, predictions, rules, kind=kind, how=how)
    for c, confidence in enumerate(wanted.tolist()):
        matches = compared.matched(confidence)
        _add(out, matches, labels, predictions, keys, confidences=wanted[c : c + 1], at=c)
    return _counted(out, matches, keys, wanted)


def counts_of(
    matches: Matches,
    labels: Instances,
    predictions: Instances,
    *,
    classes: int,
    frames: int,
    confidences: Sequence[float] = TENTHS,
    by: By = "class",
    area: int = 0,
) -> Counts:
    """Counts at the thresholds of stored matches, made in order of score, at any confidences and in one size range.

    Raises
    ------
    UsageError
        The matches were made in order of overlap, a class or frame is out of range, or confidences do not rise.
    """
    if matches.protocol.order != "score":
        raise UsageError("matches by falling overlap hold for one confidence only", hint="use counts()")
    check_rows(labels, predictions, classes=classes, frames=frames)
    if not matches.protocol.use_classes:
        labels, predictions = of_one_class(labels), of_one_class(predictions)
    keys, wanted = _Keys.of(labels, predictions, classes, frames, by), _rising(confidences)
    out = _Sums.zeros(len(keys.frame), len(matches.thresholds), len(wanted))
    _add(out, matches, labels, predictions, keys, confidences=wanted, at=0, area=area)
    return _counted(out, matches, keys, wanted, area)


class _Keys(NamedTuple):
    """What is counted apart: the key of every label and prediction, and what each key stands for."""

    label: Int64[Tensor, " m"]
    prediction: Int64[Tensor, " n"]
    frame: Int64[Tensor, " k"]
    class_id: Int64[Tensor, " k"]

    @classmethod
    def of(cls, labels: Instances, predictions: Instances, classes: int, frames: int, by: By) -> "_Keys":
        if by == "class":
            return cls(labels.class_id, predictions.class_id, torch.full((classes,), -1), torch.arange(classes))
        if by == "frame":
            return cls(labels.frame, predictions.frame, torch.arange(frames), torch.full((frames,), -1))
        both = torch.cat([side.frame * classes + side.class_id for side in (labels, predictions)])
        cell, key = torch.unique(both, return_inverse=True)
        return cls(key[: len(labels)], key[len(labels) :], cell // max(classes, 1), cell % max(classes, 1))


class _Sums(NamedTuple):
    """What passes add up, by key, threshold and confidence."""

    tp: Int64[Tensor, "k t c"]
    fp: Int64[Tensor, "k t c"]
    crossed: Int64[Tensor, "k t c"]
    """Labels matched to a prediction of another class."""
    iou: Float64[Tensor, "k t c"]

    @classmethod
    def zeros(cls, *shape: int) -> "_Sums":
        tp, fp, crossed = torch.zeros(3, *shape, dtype=torch.int64)
        return cls(tp, fp, crossed, torch.zeros(shape, dtype=torch.float64))


def _add(
    out: _Sums,
    matches: Matches,
    labels: Instances,
    predictions: Instances,
    keys: _Keys,
    *,
    confidences: Float64[Tensor, " c"],
    at: int,
    area: int = 0,
) -> None:
    """Count the predictions of some matches at all their thresholds and at `confidences`, which stand from column `at` on."""
    segments = matches.segments
    table, rows = OverlapTable(segments, len(labels)), segments.prediction
    score = scores_of(predictions, matches.protocol)[rows]
    classes = labels.class_id, predictions.class_id[rows]
    given = Tally(
        matches.label_of[area],
        matches.prediction_ignored[area],
        table.row_start,
        table.place,
        matches.label_ignored[area],
        torch.searchsorted(confidences, score, right=True),
        *classes,
        keys.label,
        keys.prediction[rows],
    )
    count, iou = tally(given, segments.overlap, len(out.tp), len(confidences))
    columns = slice(at, at + len(confidences))
    out.tp[:, :, columns], out.fp[:, :, columns], out.crossed[:, :, columns] = count
    out.iou[:, :, columns] = iou


def _rates(tp: Tensor, fp: Tensor, fn: Tensor, iou_sum: Tensor, zero_division: float) -> Rates:
    precision, recall = rate(tp, tp + fp, zero_division), rate(tp, tp + fn, zero_division)
    return Rates(precision, recall, rate(2 * tp, 2 * tp + fp + fn, zero_division), rate(iou_sum, tp))


def _rising(confidences: Sequence[float]) -> Float64[Tensor, " c"]:
    wanted = torch.tensor(list(confidences), dtype=torch.float64)
    if not len(wanted) or bool((wanted.diff() <= 0).any()) or bool(wanted.isnan().any()):
        raise UsageError(f"confidences must rise, at least one; got {list(confidences)}")
    return wanted


def _counted(sums: _Sums, matches: Matches, keys: _Keys, wanted: Float64[Tensor, " c"], area: int = 0) -> Counts:
    """The misses follow from the labels that took part."""
    rows = matches.segments.label[~matches.label_ignored[area]]
    total = torch.bincount(keys.label[rows], minlength=len(keys.frame))
    missed = total[:, None, None] - sums.tp - (0 if matches.protocol.cross_fn else sums.crossed)
    return Counts(matches.thresholds, wanted, keys.frame, keys.class_id, total, sums.tp, sums.fp, missed, sums.iou)
