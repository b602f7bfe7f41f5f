"""Encord Active's figures: each prediction is attached to the one label it overlaps most, and says in words why it is false."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from jaxtyping import Float64, Int8, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import reasons
from gpu_quality.evaluation.average_precision import Ranking, average_precision, class_count, rankings
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.matching import Matches, match
from gpu_quality.evaluation.pairs import first_best, pairs
from gpu_quality.evaluation.protocol import ENCORD, EvaluationProtocol
from gpu_quality.evaluation.rates import mean_of_known, optional, rate

if TYPE_CHECKING:
    from gpu_quality.evaluation.overlaps import Comparison

REASONS: Final = ("", *reasons.REASONS)
"""Why a prediction is false, by code; 0 = it is true."""
_SWEEP: Final = tuple(i / 10 for i in range(5, 11))


@dataclass(frozen=True, slots=True)
class EncordFigures:
    """Figures of each class k, what became of each of n predictions and m labels, at one threshold."""

    protocol: EvaluationProtocol
    ap: Float64[Tensor, " k"]
    """Average precision, 0..1; NaN for a class that is in no mean."""
    ar: Float64[Tensor, " k"]
    """Final recall; ``encord-db``: twice the area under recall over thresholds .5 to 1. NaN as `ap`."""
    tp: Int64[Tensor, " k"]
    fp: Int64[Tensor, " k"]
    fn: Int64[Tensor, " k"]
    reason: Int8[Tensor, " n"]
    """Place in `REASONS`."""
    attached: Int64[Tensor, " n"]
    """Row of the label of the class that a prediction overlaps most, -1 = none."""
    iou: Float64[Tensor, " n"]
    """Overlap with it, 0 = none."""
    prediction_of: Int64[Tensor, " m"]
    """Row of the true prediction of each label, -1 = missed."""
    ranked: Ranking

    @property
    def precision(self) -> Float64[Tensor, " k"]:
        """TP / (TP + FP), 0..1; 0 without predictions."""
        return rate(self.tp, self.tp + self.fp, 0.0)

    @property
    def recall(self) -> Float64[Tensor, " k"]:
        """TP / (TP + FN), 0..1; 0 without labels."""
        return rate(self.tp, self.tp + self.fn, 0.0)

    @property
    def f1(self) -> Float64[Tensor, " k"]:
        """2 TP / (2 TP + FP + FN), 0..1; 0 where nothing is found."""
        return rate(2 * self.tp, 2 * self.tp + self.fp + self.fn, 0.0)

    def summary(self, classes: Sequence[int] | None = None) -> dict[str, float | None]:
        """Means over classes and sums of counts, of all classes or of the given ones, headline included."""
        chosen = torch.ones_like(self.ap, dtype=torch.bool)
        if classes is not None:
            chosen = torch.isin(torch.arange(len(self.ap)), torch.tensor(list(classes), dtype=torch.int64))
        counted = chosen & ~self.ap.isnan()
        columns = {"mAP": self.ap, "mAR": self.ar, "mP": self.precision, "mR": self.recall, "mF1": self.f1}
        means = {name: optional(mean_of_known(value, chosen=counted)) for name, value in columns.items()}
        return means | {name: float(n[chosen].sum()) for name, n in {"TP": self.tp, "FP": self.fp, "FN": self.fn}.items()}


def evaluate(
    labels: Instances,
    predictions: Instances,
    protocol: EvaluationProtocol = ENCORD,
    *,
    kind: Kind = "box",
    how: "Comparison | None" = None,
    classes: int | None = None,
) -> EncordFigures:
    """Encord's figures at the one threshold of the protocol, `ENCORD` or `ENCORD_DB`; a missing score is 1.

    Its slips are not repeated: F1 is the harmonic mean, frames are told apart by row, threshold 0 means any overlap, and means
    follow the choice of classes. A class of one label that is found has recall 1 (the peer adds 2^-52 to the labels, and so
    loses its last point). `classes` is the number of classes. Source: reference evaluation.md 6.

    Raises
    ------
    UsageError
        The protocol has several thresholds, or `kind` needs shapes that are not there.
    """
    if len(protocol.thresholds) != 1:
        raise UsageError(f"protocol {protocol.name} has one threshold; got {protocol.thresholds}")
    database = protocol.curve == "11"
    classes = class_count(labels.class_id, predictions.class_id) if classes is None else classes
    swept = replace(protocol, thresholds=(*protocol.thresholds, *_SWEEP)) if database else protocol
    matches = match(labels, predictions, swept, kind=kind, how=how)
    score = torch.where(predictions.score.isnan(), protocol.missing_score or 0.0, predictions.score)
    ranked, positives = rankings(matches, score, classes=classes)
    recall = torch.stack([rate(one.tp(), positives) for one in ranked])
    if database:
        ap, ar = _eleven(ranked[0], positives), _area(recall[1:])
    else:
        ap, ar = average_precision(ranked[0], positives, protocol.curve, protocol.recalls), recall[0]
    if protocol.empty_class == "zero":
        shown = (positives > 0) | (ranked[0].offset.diff() > 0)
        ap, ar = (torch.where(shown, value.nan_to_num(0.0), torch.nan) for value in (ap, ar))
    tp = ranked[0].tp().long()
    objects = _objects(matches, len(labels), len(predictions))
    return EncordFigures(protocol, ap, ar, tp, ranked[0].fp(), positives.long() - tp, *objects, ranked[0])


def texts(reason: Int8[Tensor, " n"], class_id: Int64[Tensor, " n"], names: Sequence[str]) -> list[str]:
    """The reason of each prediction as a sentence, "" for true ones; `names` are those of the classes."""
    codes = zip(reason.tolist(), class_id.tolist(), strict=True)
    return [reasons.explain(REASONS[code], names[row]) if code else "" for code, row in codes]


def _objects(
    matches: Matches, labels: int, predictions: int
) -> tuple[Int8[Tensor, " n"], Int64[Tensor, " n"], Float64[Tensor, " n"], Int64[Tensor, " m"]]:
    """Reason, attached label and overlap of every prediction, and the true prediction of every label."""
    segments = matches.segments
    of = pairs(segments)
    pair = first_best(segments.overlap, of)
    some = (pair >= 0).nonzero().flatten()
    place = of.label[pair[some]]
    matched = matches.prediction_of[0, 0].long()
    place_of = torch.full((predictions + 1,), predictions)  # row -1, which is no prediction, comes after all
    place_of[segments.prediction] = torch.arange(len(segments.prediction))
    winner = place_of[matched]
    true = matches.label_of[0, 0] >= 0

    reason = torch.ones(len(pair), dtype=torch.int8)
    reason[some] = torch.where(some > winner[place], 3, 2).to(torch.int8)
    reason[true] = 0
    out = (torch.ones(predictions, dtype=torch.int8), torch.full((predictions,), -1), torch.zeros(predictions).double())
    rows = segments.prediction
    out[0][rows] = reason
    out[1][rows[some]] = segments.label[place]
    out[2][rows[some]] = segments.overlap[pair[some]]
    found = torch.full((labels,), -1)
    found[segments.label] = matched
    return *out, found


def _area(recall: Float64[Tensor, "t k"]) -> Float64[Tensor, " k"]:
    """Twice the area under recall over the thresholds of the sweep, by trapezoids."""
    step = torch.tensor(_SWEEP, dtype=torch.float64).diff()[:, None]
    return 2.0 * (step * (recall[1:] + recall[:-1]) / 2.0).sum(0)


def _eleven(ranking: Ranking, positives: Float64[Tensor, " k"]) -> Float64[Tensor, " k"]:
    """11 points, where each count of true predictions has the precision at its end, and recall is in hundredths, half up."""
    true, offset = ranking.true.numpy(), ranking.offset.numpy()
    out = np.full(len(positives), np.nan)
    for k in (positives > 0).nonzero().flatten().tolist():
        found = true[offset[k] : offset[k + 1]].cumsum().astype(np.int64)
        last = np.flatnonzero(np.diff(found, append=-1))  # before the next true prediction
        precision, labels = found[last] / (last + 1), int(positives[k])
        hundredths = (200 * found[last] + labels) // (2 * labels)
        out[k] = np.mean([precision[hundredths >= 10 * r].max(initial=0.0) for r in range(11)])
    return torch.from_numpy(out)
