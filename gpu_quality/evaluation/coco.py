"""COCO's figures: precision, recall and score arrays equal to pycocotools bit for bit, from one matching."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor

from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.matching import Matches, Prepared, Slices, match, prepare
from gpu_quality.evaluation.protocol import COCO, EvaluationProtocol
from gpu_quality.evaluation.segments import Segments
from gpu_quality.kernels import matching
from gpu_quality.kernels.matching import MAX_THRESHOLDS, Rules, Sides, Verdicts
from gpu_quality.kernels.precision import Accumulated, Ranked, accumulate

if TYPE_CHECKING:
    from gpu_quality.evaluation.overlaps import Comparison

UNLIMITED: Final = 1 << 62
"""A number of detections that no frame has."""


@dataclass(frozen=True, slots=True)
class CocoFigures:
    """Precision, recall and scores at every threshold t, recall r, class k, size range a and number of detections m."""

    protocol: EvaluationProtocol
    kind: Kind
    areas: tuple[str, ...]
    max_detections: tuple[int, ...]
    """Rising; most figures are about the last."""
    precision: Float64[Tensor, "t r k a m"]
    """-1 where a class has no label in the range."""
    recall: Float64[Tensor, "t k a m"]
    scores: Float64[Tensor, "t r k a m"]
    positives: Int64[Tensor, "k a"]
    """Labels to be found."""
    ranked: tuple[Ranked, ...]
    """What the arrays were made from, MAX_THRESHOLDS thresholds at a time: curves need no second matching."""


def evaluate(
    labels: Instances,
    predictions: Instances,
    protocol: EvaluationProtocol = COCO,
    *,
    kind: Kind = "box",
    how: "Comparison | None" = None,
    classes: int | None = None,
    slices: Slices | None = None,
) -> CocoFigures:
    """COCO's arrays for labels and predictions, in one pass that does not keep who matched whom.

    `classes` is the number of classes, so that those without a row have entries too. `how` and `slices` are those of `match`.
    Boxes on the CPU need no table of overlaps: memory grows with the predictions, not with the pairs.

    Raises
    ------
    UsageError
        A prediction has no score, or `kind` needs shapes that are not there.
    """
    classes = _classes(labels, predictions) if classes is None else classes
    if kind != "box" or how is not None or labels.box.is_cuda or protocol.ignore == "group_of":
        matches = match(labels, predictions, protocol, kind=kind, how=how, slices=slices)
        return from_matches(matches, predictions.score, kind=kind, classes=classes)
    ready = prepare(labels, predictions, protocol, slices=slices)
    needs = (torch.split(need, MAX_THRESHOLDS) for need in ready.rules[:2])
    parts = [
        _verdicts(ready, ready.rules._replace(need=need, need_ignored=ignored), inclusive=protocol.inclusive)
        for need, ignored in zip(*needs, strict=True)
    ]
    return _figures(ready.segments, ready.sides, parts, ready.predictions.score, ready.areas, protocol, kind, classes)


def from_matches(
    matches: Matches, score: Float64[Tensor, " n"], *, kind: Kind = "box", classes: int | None = None
) -> CocoFigures:
    """COCO's arrays from stored matches; `score` is that of all predictions, by row."""
    segments = matches.segments
    if classes is None:
        classes = int(segments.class_id.max()) + 1 if len(segments.class_id) else 0
    had = matches.label_of >= 0
    outside = (matches.prediction_ignored & ~had).any(1)
    blocks = (torch.split(flags, MAX_THRESHOLDS, 1) for flags in (had, matches.prediction_ignored))
    parts = [Verdicts(_bits(some), _bits(some & ignored)) for some, ignored in zip(*blocks, strict=True)]
    sides = Sides(segments.label.new_zeros(0).bool(), matches.label_ignored, outside)
    return _figures(segments, sides, parts, score, matches.areas, matches.protocol, kind, classes)


def _verdicts(ready: Prepared, rules: Rules, *, inclusive: bool) -> Verdicts:
    """Matching of boxes without names."""
    cells, boxes = ready.segments.cells(), (ready.labels.box, ready.predictions.box)
    return matching.verdicts(*boxes, ready.labels.crowd, cells, ready.sides, rules, inclusive=inclusive)


def _bits(flags: Tensor) -> Int[Tensor, "a p"]:
    """Flags [a, t, p] as one number per row and place, bit t for threshold t."""
    kind = torch.int16 if flags.shape[1] < 16 else torch.int64
    bits = torch.zeros(flags.shape[0], flags.shape[2], dtype=kind, device=flags.device)
    for t in range(flags.shape[1]):
        bits |= flags[:, t].to(kind) << t
    return bits


def _classes(labels: Instances, predictions: Instances) -> int:
    """The number of classes as far as rows show it."""
    return max([0, *(int(side.class_id.max()) + 1 for side in (labels, predictions) if len(side))])


def _figures(
    segments: Segments,
    sides: Sides,
    parts: list[Verdicts],
    score: Float64[Tensor, " n"],
    areas: tuple[str, ...],
    protocol: EvaluationProtocol,
    kind: Kind,
    classes: int,
) -> CocoFigures:
    """Accumulate the verdicts of all thresholds."""
    whole = protocol.classes != "same" or not protocol.use_classes
    offset, rank = (
        _class_offsets(segments, segments.prediction_offset, 1 if whole else classes),
        matching.ranks(segments.prediction_offset),
    )
    own_score = score[segments.prediction]
    ranked = tuple(Ranked(offset, rank, own_score, *part, sides.outside) for part in parts)
    positives = _positives(segments, sides, 1 if whole else classes)
    per_class = protocol.max_per == "class" and protocol.max_detections
    limits = tuple(sorted(protocol.max_detections)) if per_class else (UNLIMITED,)
    recalls = score.new_tensor(protocol.recalls)
    counts = (len(some) for some in torch.split(torch.arange(len(protocol.thresholds)), MAX_THRESHOLDS))
    found = [accumulate(part, positives, t, recalls, limits) for part, t in zip(ranked, counts, strict=True)]
    all_t = found[0] if len(found) == 1 else Accumulated(*(torch.cat(side, 3) for side in zip(*found, strict=True)))
    return CocoFigures(
        protocol,
        kind,
        areas,
        limits if per_class else (int(rank.max()) + 1 if len(rank) else 0,),
        precision=all_t.precision.permute(3, 4, 0, 1, 2),
        recall=all_t.recall.permute(3, 0, 1, 2),
        scores=all_t.scores.permute(3, 4, 0, 1, 2),
        positives=positives,
        ranked=ranked,
    )


def _class_offsets(segments: Segments, offset: Int64[Tensor, " s_plus_1"], classes: int) -> Int64[Tensor, " k_plus_1"]:
    """Where the members of each class start: cells go by class."""
    classes_of = segments.class_id.clamp(min=0)
    return offset[torch.searchsorted(classes_of, torch.arange(classes + 1, device=classes_of.device))]


def _positives(segments: Segments, sides: Sides, classes: int) -> Int64[Tensor, "k a"]:
    """Labels to be found, by class and size range."""
    first = _class_offsets(segments, segments.label_offset, classes)
    before = torch.nn.functional.pad((~sides.label_ignored).cumsum(1), (1, 0))  # [a, q + 1]
    return before[:, first].diff().T.contiguous()
