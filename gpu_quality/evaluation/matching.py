"""One matching for every protocol: which prediction found which label, at all thresholds and size ranges, in one pass."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from jaxtyping import Bool, Float64, Int32, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.protocol import AreaRange, EvaluationProtocol
from gpu_quality.evaluation.segments import Segments, segment
from gpu_quality.kernels import matching
from gpu_quality.kernels.matching import Rules, Sides

if TYPE_CHECKING:
    from gpu_quality.evaluation.overlaps import Comparison

Slices = Mapping[str, tuple[Bool[Tensor, " m"], Bool[Tensor, " n"]]]
"""Parts of the objects by name: which labels, and which predictions, lie outside. Those labels are ignored, and so are those
predictions where they match nothing; a size range is one such part."""

_ALMOST_ONE: Final = 1 - 1e-10
"""COCO's cap, so that threshold 1 is reached by overlaps that rounding left below 1."""


class Dropped(NamedTuple):
    """What a protocol left out because a frame had only labels, or only predictions."""

    frames: int = 0
    labels: int = 0
    predictions: int = 0


NOTHING_DROPPED: Final = Dropped()


@dataclass(frozen=True, slots=True)
class Matches:
    """Who matched whom under one protocol, at T thresholds and A size ranges (A = 1 without ranges)."""

    segments: Segments
    thresholds: Float64[Tensor, " t"]
    areas: tuple[str, ...]
    label_of: Int32[Tensor, "a t p"]
    """Per prediction of `segments.prediction`: the row of its label, -1 = none."""
    prediction_ignored: Bool[Tensor, "a t p"]
    """Matched to an ignored label, or unmatched and outside the size range."""
    prediction_of: Int32[Tensor, "a t q"]
    """Per label of `segments.label`: the row of its (first) prediction, -1 = none."""
    label_ignored: Bool[Tensor, "a q"]
    protocol: EvaluationProtocol
    dropped: Dropped = NOTHING_DROPPED


@dataclass(frozen=True, slots=True)
class Prepared:
    """Labels and predictions sorted into cells, and the rules as numbers: all that matching needs but overlaps."""

    labels: Instances
    """`crowd` says which labels overlap as a share of the prediction under this protocol."""
    predictions: Instances
    """With a score each."""
    segments: Segments
    sides: Sides
    """The size ranges in the order of the cells."""
    areas: tuple[str, ...]
    rules: Rules
    dropped: Dropped


def scores_of(predictions: Instances, protocol: EvaluationProtocol) -> Float64[Tensor, " n"]:
    """The scores by which a protocol sorts: what it takes for missing ones filled in.

    Raises
    ------
    UsageError
        A prediction has no score, and the protocol takes nothing for it.
    """
    missing = predictions.score.isnan()
    if protocol.zero_is_missing:
        missing = missing | (predictions.score == 0)
    if not missing.any():
        return predictions.score
    if protocol.missing_score is None:
        row = int(missing.nonzero()[0])
        raise UsageError(
            f"prediction {row} has no score ({int(missing.sum()):,} of {len(missing):,}); protocol {protocol.name} needs one",
            hint="give every prediction a score, or say what they count as: evaluate … --missing-score 1",
        )
    return torch.where(missing, protocol.missing_score, predictions.score)


def prepare(
    labels: Instances,
    predictions: Instances,
    protocol: EvaluationProtocol,
    *,
    confidence: float | None = None,
    slices: Slices | None = None,
) -> Prepared:
    """Everything before overlaps: scores, the confidence cut, frames that count, cells, size ranges.

    Raises
    ------
    UsageError
        A score is missing that the protocol needs.
    """
    predictions = replace(predictions, score=scores_of(predictions, protocol))
    both = _frames_with_both(labels, predictions) if protocol.rows == "both" else None
    keep_labels = None if both is None else both[labels.frame].nonzero().flatten()
    keep = None if both is None else both[predictions.frame]
    if confidence is not None:
        enough = predictions.score >= confidence
        keep = enough if keep is None else keep & enough
    segments = _segment(labels, predictions, protocol, keep_labels, None if keep is None else keep.nonzero().flatten())
    crowd, ignored = _absorbing(labels, protocol), _ignored(labels, protocol)
    sides = Sides(crowd[segments.label], *_outside(labels, predictions, segments, ignored, protocol.areas, slices))
    areas = tuple(slices) if slices is not None else tuple(area.name for area in protocol.areas) or ("all",)
    labels = replace(labels, crowd=crowd)
    return Prepared(
        labels, predictions, segments, sides, areas, _rules(protocol, labels.box.device), _dropped(labels, predictions, both)
    )


def match(
    labels: Instances,
    predictions: Instances,
    protocol: EvaluationProtocol,
    *,
    kind: Kind = "box",
    how: "Comparison | None" = None,
    confidence: float | None = None,
    slices: Slices | None = None,
) -> Matches:
    """Match predictions with labels under a protocol.

    `how` says more about the comparison of shapes than their `kind`: sigmas of keypoints, sizes of frames, borders of masks.
    `confidence` leaves out predictions with a lower score. `slices` takes the place of the protocol's size ranges. Predictions
    beyond the largest `max_detections` are not in the result. Rows of the result are those of `labels` and `predictions`.

    Raises
    ------
    UsageError
        A score is missing that the protocol needs, or `kind` needs shapes that are not there.
    """
    ready = prepare(labels, predictions, protocol, confidence=confidence, slices=slices)
    segments = replace(ready.segments, overlap=_overlaps(ready, protocol, kind, how))
    found = _found(ready, segments, protocol)
    ignored, label_ignored = found.ignored, ready.sides.label_ignored
    if protocol.ignore == "group_of":
        if protocol.group_of_weight > 0:
            label_ignored = torch.zeros_like(label_ignored)
        else:
            group = torch.cat([ready.labels.crowd, ready.labels.crowd.new_zeros(1)])  # row -1: no label
            ignored = ignored | group[found.label_of.long()]
    return Matches(
        segments=segments,
        thresholds=torch.tensor(protocol.thresholds, dtype=torch.float64),
        areas=ready.areas,
        label_of=found.label_of,
        prediction_ignored=ignored,
        prediction_of=found.prediction_of,
        label_ignored=label_ignored,
        protocol=protocol,
        dropped=ready.dropped,
    )


def _overlaps(ready: Prepared, protocol: EvaluationProtocol, kind: Kind, how: "Comparison | None") -> Float64[Tensor, " pairs"]:
    """Overlap of every pair of every cell: predictions x labels, row-major."""
    if how is None and kind == "box":
        return matching.box_overlaps(
            ready.labels.box,
            ready.predictions.box,
            ready.labels.crowd,
            ready.segments.cells(),
            inclusive=protocol.inclusive,
        )
    from gpu_quality.evaluation.overlaps import Comparison, overlaps

    how = Comparison(kind, buffer=protocol.buffer) if how is None else how
    return overlaps(ready.labels, ready.predictions, ready.segments, how)


def _found(ready: Prepared, segments: Segments, protocol: EvaluationProtocol) -> matching.Found:
    """Run the kernel of the protocol's order."""
    if protocol.order == "score":
        return matching.by_score(segments.overlap, segments.cells(), ready.sides, ready.rules)
    return matching.by_overlap(
        segments.overlap,
        segments.cells(),
        ready.labels.class_id,
        ready.predictions.class_id,
        ready.predictions.score,
        ready.labels.crowd,
        ready.rules.need,
        same_first=protocol.classes == "same_first",
        listed=protocol.tie == "listed",
    )


def _segment(
    labels: Instances,
    predictions: Instances,
    protocol: EvaluationProtocol,
    label_rows: Int64[Tensor, " m"] | None,
    prediction_rows: Int64[Tensor, " n"] | None,
) -> Segments:
    """Cells of the given rows (None = all), which keep their numbers."""
    most = max(protocol.max_detections, default=None)
    found = segment(
        labels if label_rows is None else labels.select(label_rows),
        predictions if prediction_rows is None else predictions.select(prediction_rows),
        whole_frames=protocol.classes != "same" or not protocol.use_classes,
        max_detections=most if protocol.max_per == "class" else None,
        max_per_frame=most if protocol.max_per == "frame" else None,
    )
    if label_rows is not None:
        found = replace(found, label=label_rows[found.label])
    return found if prediction_rows is None else replace(found, prediction=prediction_rows[found.prediction])


def _frames_with_both(labels: Instances, predictions: Instances) -> Bool[Tensor, " frames"]:
    """Frames with a label and a prediction, by row up to the last frame that has either."""
    count = max([0, *(int(side.frame.max()) + 1 for side in (labels, predictions) if len(side))])
    has = torch.zeros(2, count, dtype=torch.bool, device=labels.frame.device)
    has[0, labels.frame], has[1, predictions.frame] = True, True
    return has.all(0)


def _dropped(labels: Instances, predictions: Instances, both: Bool[Tensor, " frames"] | None) -> Dropped:
    """How much the rule of frames with both leaves out."""
    if both is None:
        return NOTHING_DROPPED
    lost = [side.frame[~both[side.frame]] for side in (labels, predictions)]
    frames = torch.zeros_like(both)
    frames[torch.cat(lost)] = True
    return Dropped(int(frames.sum()), len(lost[0]), len(lost[1]))


def _absorbing(labels: Instances, protocol: EvaluationProtocol) -> Bool[Tensor, " m"]:
    """Labels whose overlap is the share of the prediction."""
    if protocol.ignore == "crowd":
        return labels.crowd
    return labels.crowd | labels.ignored if protocol.ignore == "group_of" else torch.zeros_like(labels.crowd)


def _ignored(labels: Instances, protocol: EvaluationProtocol) -> Bool[Tensor, " m"]:
    """Labels that nobody must find, whatever their size."""
    return torch.zeros_like(labels.crowd) if protocol.ignore == "none" else labels.crowd | labels.ignored


def _outside(
    labels: Instances,
    predictions: Instances,
    segments: Segments,
    ignored: Bool[Tensor, " m"],
    areas: tuple[AreaRange, ...],
    slices: Slices | None,
) -> tuple[Bool[Tensor, "a q"], Bool[Tensor, "a p"]]:
    """Labels of the cells that are ignored in each range, and predictions outside of it; both ends of a range belong to it."""
    if slices is not None:
        out = [(ignored | label_out)[segments.label] for label_out, _ in slices.values()]
        return torch.stack(out), torch.stack([other[segments.prediction] for _, other in slices.values()])
    low, high = _limits(labels, areas)
    return (
        matching.outside(segments.label, labels.area, labels.class_id, low, high, ignored),
        matching.outside(segments.prediction, predictions.area, predictions.class_id, low, high),
    )


def _limits(labels: Instances, areas: tuple[AreaRange, ...]) -> tuple[Float64[Tensor, "a k"], Float64[Tensor, "a k"]]:
    """Ends of the size ranges, of all classes or of each; one range without ends where there are none."""
    if not areas:
        return labels.area.new_full((1, 1), -torch.inf), labels.area.new_full((1, 1), torch.inf)
    sides = [[side if isinstance(side, tuple) else (side,) for side in ends] for ends in ((a.low, a.high) for a in areas)]
    width = max(len(side) for ends in sides for side in ends)
    table = labels.area.new_tensor([[side * width if len(side) == 1 else side for side in ends] for ends in sides])
    return table[:, 0].contiguous(), table[:, 1].contiguous()


def _rules(protocol: EvaluationProtocol, device: torch.device) -> Rules:
    """The rules of picking as numbers: thresholds become the least overlap that passes."""
    cap = _ALMOST_ONE if protocol.order == "score" and protocol.tie == "last" else 1.0

    def least(compare: str) -> Float64[Tensor, " t"]:
        edge = [min(t, cap) if compare == "ge" else math.nextafter(t, math.inf) for t in protocol.thresholds]
        lowest = math.nextafter(0.0, 1.0) if protocol.overlapping else 0.0
        return torch.tensor([max(t, lowest) for t in edge], dtype=torch.float64, device=device)

    return Rules(
        need=least(protocol.compare),
        need_ignored=least(protocol.compare_ignored),
        last=protocol.tie == "last",
        second_choice=protocol.second_choice,
        groups=protocol.ignore == "group_of",
    )
