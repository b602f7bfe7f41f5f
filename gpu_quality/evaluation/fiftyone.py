"""FiftyOne's figures: COCO's matching without sizes, counts at one overlap per object and frame, averages over ten."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float64, Int64, Shaped
from torch import Tensor

from gpu_quality.evaluation.average_precision import Ranking, average_precision, class_count, rank
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.matching import match, prepare
from gpu_quality.evaluation.pairs import pairs
from gpu_quality.evaluation.protocol import FIFTYONE, EvaluationProtocol
from gpu_quality.evaluation.rates import mean_of_known, optional, rate
from gpu_quality.evaluation.segments import Segments
from gpu_quality.kernels import matching
from gpu_quality.kernels.matching import Found

if TYPE_CHECKING:
    from gpu_quality.evaluation.overlaps import Comparison


class Evaluated(NamedTuple):
    """What is written beside every object."""

    true: Bool[Tensor, " n"]
    """`eval`: a prediction is TP, else FP; a label is TP, else FN."""
    id: Int64[Tensor, " n"]
    """`eval_id`: row of the object on the other side, -1 = none; of a label the first of its predictions."""
    iou: Float64[Tensor, " n"]
    """`eval_iou`: their overlap, NaN = none."""


class Counts(NamedTuple):
    """What is written beside every frame: `eval_tp`, `eval_fp`, `eval_fn`."""

    tp: Int64[Tensor, " f"]
    fp: Int64[Tensor, " f"]
    fn: Int64[Tensor, " f"]


@dataclass(frozen=True, slots=True)
class FiftyoneFigures:
    """Averages of each class k over thresholds t, and who matched whom at `iou`; NaN for classes without labels."""

    protocol: EvaluationProtocol
    iou: float
    ap: Float64[Tensor, "t k"]
    """Average precision, 0..1."""
    ar: Float64[Tensor, "t k"]
    """Recall of all predictions that count, 0..1."""
    positives: Int64[Tensor, " k"]
    """Labels to be found: crowds are not."""
    labels: Evaluated
    predictions: Evaluated
    frames: Counts
    ranked: tuple[Ranking, ...]

    def summary(self) -> dict[str, float | None]:
        """Average precision and recall over classes and thresholds, and counts at `iou`, where a match with a crowd is true."""
        tp, fp, fn = (count.sum() for count in self.frames)
        means = {"mAP": mean_of_known(self.ap.mean(0)), "mAR": mean_of_known(self.ar.mean(0))}
        shares = {"precision": rate(tp, tp + fp), "recall": rate(tp, tp + fn), "fscore": rate(2 * tp, 2 * tp + fp + fn)}
        counts: dict[str, float | None] = {"TP": float(tp), "FP": float(fp), "FN": float(fn)}
        return counts | {name: optional(value) for name, value in (means | shares).items()}


def evaluate(
    labels: Instances,
    predictions: Instances,
    protocol: EvaluationProtocol = FIFTYONE,
    *,
    iou: float = 0.5,
    sizes: Shaped[Tensor, "frames 2"] | None = None,
    frames: int | None = None,
    classes: int | None = None,
    kind: Kind = "box",
    how: "Comparison | None" = None,
) -> FiftyoneFigures:
    """FiftyOne's figures: averages over the thresholds of the protocol, counts and columns at `iou`.

    Predictions beyond the protocol's `max_detections` are only left out of the averages. ``classes="any"`` in the protocol
    matches across classes. `sizes` (height, width of frames in pixels) makes boxes relative to the frame before they are
    compared, as the peer stores them. `frames` and `classes` are their numbers, as far as rows do not show them.
    Source: reference evaluation.md 6.

    Raises
    ------
    UsageError
        `kind` needs shapes that are not there.
    """
    classes = class_count(labels.class_id, predictions.class_id) if classes is None else classes
    frames = class_count(labels.frame, predictions.frame) if frames is None else frames
    if sizes is not None and kind == "box":
        labels, predictions = (replace(side, box=_relative(side, sizes)) for side in (labels, predictions))
    single = replace(protocol, thresholds=(iou,), max_detections=())
    segments, found = _matched(labels, predictions, single, kind, how)
    on_labels, on_predictions = _columns(labels, predictions, segments, found)
    swept, found = _matched(labels, predictions, protocol, kind, how)
    positives = torch.bincount(labels.class_id[~labels.crowd], minlength=classes)
    asked = positives.double()
    ranked = tuple(_ranking(labels, predictions, swept, label_of.long(), asked) for label_of in found.label_of[0])
    return FiftyoneFigures(
        protocol=protocol,
        iou=iou,
        ap=torch.stack([average_precision(one, asked, protocol.curve, protocol.recalls) for one in ranked]),
        ar=torch.stack([rate(one.tp(), asked) for one in ranked]),
        positives=positives,
        labels=on_labels,
        predictions=on_predictions,
        frames=Counts(
            torch.bincount(predictions.frame[on_predictions.true], minlength=frames),
            torch.bincount(predictions.frame[~on_predictions.true], minlength=frames),
            torch.bincount(labels.frame[~on_labels.true], minlength=frames),
        ),
        ranked=ranked,
    )


def _relative(given: Instances, sizes: Shaped[Tensor, "frames 2"]) -> Float64[Tensor, "n 4"]:
    """Boxes as shares of the width and height of their frame."""
    return given.box / sizes.double().flip(1).repeat(1, 2)[given.frame]


def _matched(
    labels: Instances, predictions: Instances, protocol: EvaluationProtocol, kind: Kind, how: "Comparison | None"
) -> tuple[Segments, Found]:
    """Who matched whom; across classes, a crowd takes none but predictions of its own class."""
    crowd, kinds = labels.crowd, (labels.class_id, predictions.class_id)
    if protocol.classes == "any":  # one class for all, so that equal scores and overlaps keep the given order
        protocol = replace(protocol, classes="same")
        labels, predictions = (replace(side, class_id=torch.zeros_like(side.class_id)) for side in (labels, predictions))
    matches = match(labels, predictions, protocol, kind=kind, how=how)
    segments = matches.segments
    of = pairs(segments)
    label, prediction = segments.label[of.label], segments.prediction[of.prediction]
    barred = crowd[label] & (kinds[0][label] != kinds[1][prediction])
    if not bool(barred.any()):
        return segments, Found(matches.label_of, matches.prediction_ignored, matches.prediction_of)
    ready = prepare(labels, predictions, protocol)
    overlap = torch.where(barred, -1.0, segments.overlap)
    return segments, matching.by_score(overlap, segments.cells(), ready.sides, ready.rules)


def _columns(labels: Instances, predictions: Instances, segments: Segments, found: Found) -> tuple[Evaluated, Evaluated]:
    """The columns of labels and of predictions at the one threshold of a matching."""
    rows, label_of = segments.prediction, found.label_of[0, 0].long()
    own = _none(len(predictions))
    some = (label_of >= 0).nonzero().flatten()
    own.id[rows] = label_of
    own.iou[rows[some]] = _overlap_with(segments, some, label_of[some], len(labels))
    matched = own.id >= 0
    own.true[matched] = labels.class_id[own.id[matched]] == predictions.class_id[matched]

    other = _none(len(labels))
    other.id[segments.label] = found.prediction_of[0, 0].long()
    matched = other.id >= 0
    first = other.id[matched]
    other.iou[matched] = own.iou[first]
    other.true[matched] = own.true[first]
    return other, own


def _none(n: int) -> Evaluated:
    """Columns of objects without a match."""
    return Evaluated(torch.zeros(n, dtype=torch.bool), torch.full((n,), -1), torch.full((n,), torch.nan).double())


def _overlap_with(
    segments: Segments, place: Int64[Tensor, " m"], label: Int64[Tensor, " m"], labels: int
) -> Float64[Tensor, " m"]:
    """Overlap of predictions at given places with given rows of labels of their cell."""
    place_of = torch.zeros(labels, dtype=torch.int64)
    place_of[segments.label] = torch.arange(len(segments.label))
    cell = segments.owner_of_predictions()[place]
    across, width = place - segments.prediction_offset[cell], segments.label_offset.diff()[cell]
    return segments.overlap[segments.overlap_offset[cell] + across * width + place_of[label] - segments.label_offset[cell]]


def _ranking(
    labels: Instances,
    predictions: Instances,
    segments: Segments,
    label_of: Int64[Tensor, " p"],
    positives: Float64[Tensor, " k"],
) -> Ranking:
    """Predictions by score, true ones first; those in crowds are left out, those on another class are false for that class."""
    crowd = torch.cat([labels.crowd, labels.crowd.new_zeros(1)])[label_of]  # row -1: no label
    label, rows = label_of[~crowd], segments.prediction[~crowd]
    own = predictions.class_id[rows]
    class_id = torch.where(label >= 0, torch.cat([labels.class_id, own.new_full((1,), -1)])[label], own)
    score = predictions.score[rows].nan_to_num(-1.0)
    return rank(class_id, rows, score, ((label >= 0) & (class_id == own)).double(), positives, true_first=True)
