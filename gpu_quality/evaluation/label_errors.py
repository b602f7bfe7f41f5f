"""Labels that a model contradicts: overlooked, badly drawn or of the wrong class (reference metrics.md 10).

ObjectLab scores look at every label and every prediction of a frame together, whatever their classes; `Pairs` lists them.
Scores are 0..1, low = suspicious. Source: Tkachenko, Thyagarajan, Mueller, ObjectLab, 2023 (cleanlab), whose numbers these are.
"""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

SURE: Final = 0.95
"""Predictions this confident overlook nothing (overlooked: at least; wrong class: above)."""
LIKELY: Final = 0.5
"""Predictions above this say where an object of their class is."""
SAME_PLACE: Final = 0.95
"""IoU from which two labels of different classes mark one object."""
_IOU_SHARE: Final = 0.9
_DECAY: Final = 0.1
"""Per pixel of distance between centers."""
_TEMPERATURE: Final = 0.1
_TINY: Final = 1e-100
_FLAG_FACTOR: Final = 0.8 * 0.25


@dataclass(frozen=True, slots=True)
class Pairs:
    """Every label with every prediction of its frame."""

    label: Int64[Tensor, " q"]
    prediction: Int64[Tensor, " q"]
    iou: Float64[Tensor, " q"]
    """0..1."""
    similarity: Float64[Tensor, " q"]
    """0..1, see `similarity`."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Classes of the labels and predictions that `Pairs` point into, and the confidence of the predictions."""

    label_class: Int64[Tensor, " l"]
    prediction_class: Int64[Tensor, " p"]
    score: Float64[Tensor, " p"]
    """NaN: none given; such predictions contradict nothing."""


def pairs_of(label_offset: Int64[Tensor, " f_plus_1"], prediction_offset: Int64[Tensor, " f_plus_1"]) -> Int64[Tensor, "2 q"]:
    """Label and prediction of every pair, frame after frame, predictions outside; both sides are sorted by frame.

    Frame i has labels ``label_offset[i]:label_offset[i + 1]``, predictions likewise.
    """
    labels, predictions = label_offset.diff(), prediction_offset.diff()
    count = labels * predictions
    frame = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    within = torch.arange(len(frame), device=count.device) - (count.cumsum(0) - count)[frame]
    row = torch.div(within, labels[frame], rounding_mode="floor")
    return torch.stack([label_offset[frame] + within - row * labels[frame], prediction_offset[frame] + row])


def similarity(
    iou: Float64[Tensor, " q"],
    first: Float64[Tensor, "q 2"],
    second: Float64[Tensor, "q 2"],
    scale: Float64[Tensor, " q"] | float = 1.0,
) -> Float64[Tensor, " q"]:
    """How alike two boxes are in place: .9 IoU + .1 exp(-.1 d), d the distance of their centers in pixels, 0..1.

    `scale` multiplies the distance: 640 over the longer side of the frame makes it independent of the resolution.
    """
    distance = (first - second).square().sum(1).sqrt() * scale
    # 1 - (1 - x), as in the source: so that boxes far apart have similarity 0, and the smallest other one is the source's
    near = 1 - (1 - (-_DECAY * distance).exp())
    return _IOU_SHARE * iou + (1 - _IOU_SHARE) * near


def smallest_similarity(pairs: Pairs) -> float:
    """The smallest similarity in the data set that is not 0; 1 if there is none."""
    some = pairs.similarity[pairs.similarity > 0]
    return float(some.min()) if len(some) else 1.0


def overlooked_score(sides: Sides, pairs: Pairs, smallest: float) -> Float64[Tensor, " p"]:
    """How surely a prediction shows an object that nobody labeled: low = overlooked. NaN for most predictions.

    Defined for predictions with a score of at least .95 that overlap no label of any class. The value is the largest
    similarity to a label of the class; without one in the frame, `smallest` times 1 - score.
    """
    count = len(sides.score)
    overlap = _largest(count, pairs.prediction, pairs.iou)
    same = sides.label_class[pairs.label] == sides.prediction_class[pairs.prediction]
    nearest = _largest(count, pairs.prediction[same], pairs.similarity[same])
    alone = nearest.isinf()
    value = torch.where(alone, smallest * (1 - sides.score), nearest)
    return torch.where((sides.score >= SURE) & (overlap <= 0), value, torch.nan)


def badloc_score(sides: Sides, pairs: Pairs) -> Float64[Tensor, " l"]:
    """How well a label is placed, by the predictions: low = badly located.

    The largest similarity to a prediction of its class with a score above .5 that overlaps it; 1 if there is none.
    """
    same = sides.label_class[pairs.label] == sides.prediction_class[pairs.prediction]
    counted = same & (sides.score[pairs.prediction] > LIKELY) & (pairs.iou > 0)
    found = _largest(len(sides.label_class), pairs.label[counted], pairs.similarity[counted])
    return torch.where(found.isinf(), 1.0, found)


def swap_score(
    sides: Sides, pairs: Pairs, smallest: float, conflicting: Bool[Tensor, " l"] | None = None
) -> Float64[Tensor, " l"]:
    """How surely a label has the right class, by the predictions: low = swapped for another class.

    1 minus the largest similarity to a prediction of another class with a score above .95, at least `smallest`; 1 if there is
    none. `conflicting` labels (see `conflicts`) get `smallest`; None switches that off.
    """
    other = sides.label_class[pairs.label] != sides.prediction_class[pairs.prediction]
    counted = other & (sides.score[pairs.prediction] > SURE)
    found = _largest(len(sides.label_class), pairs.label[counted], pairs.similarity[counted])
    value = torch.where(found.isinf(), 1.0, (1 - found).clamp(min=smallest))
    return value if conflicting is None else torch.where(conflicting, smallest, value)


def conflicts(label_class: Int64[Tensor, " l"], pairs: Int64[Tensor, "2 q"], iou: Float64[Tensor, " q"]) -> Bool[Tensor, " l"]:
    """Labels with another label of a different class at the same place (IoU of at least .95).

    `pairs` lists two labels of one frame each; each pair once is enough.
    """
    found = (iou >= SAME_PLACE) & (label_class[pairs[0]] != label_class[pairs[1]])
    out = torch.zeros(len(label_class), dtype=torch.bool, device=label_class.device)
    out[pairs[:, found].flatten()] = True
    return out


def pooled(score: Float64[Tensor, " o"], frame: Int64[Tensor, " o"], frames: int) -> Float64[Tensor, " n"]:
    """One score per frame: mostly that of its worst box (softmin with temperature .1), NaN left out; 1 without any."""
    known = ~score.isnan()
    value, at = score[known], frame[known]
    weight = (-value / _TEMPERATURE).exp()
    total = value.new_zeros(frames).index_add_(0, at, weight)
    mean = value.new_zeros(frames).index_add_(0, at, weight * value) / total
    return torch.where(total > 0, mean, 1.0)


def label_quality(
    overlooked: Float64[Tensor, " n"], badloc: Float64[Tensor, " n"], swap: Float64[Tensor, " n"]
) -> Float64[Tensor, " n"]:
    """How likely a frame is labeled right, 0..1: the geometric mean of its three pooled scores; 1 for a frame without boxes."""
    logs = [(_TINY + part).log() / 3 for part in (overlooked, badloc, swap)]
    return (logs[0] + logs[1] + logs[2]).exp()


def flagged(score: Float64[Tensor, " o"], class_id: Int64[Tensor, " o"], ap: Float64[Tensor, " k"]) -> Bool[Tensor, " o"]:
    """Boxes whose score is at most .8 x .25 x the AP of their class (mean over IoU .5:.95; NaN counts as 0).

    A frame is flagged if a box of it is, or, by option, if its `label_quality` is at most .1. NaN scores are not flagged.
    """
    return score <= _FLAG_FACTOR * ap.nan_to_num(nan=0.0)[class_id]


def mistakenness(
    matched: Bool[Tensor, " o"], same_class: Bool[Tensor, " o"], confidence: Float64[Tensor, " o"]
) -> Float64[Tensor, " o"]:
    """How likely a label has the wrong class, 0..1: high where a sure prediction says another one; NaN without a match.

    ``(m c + 1) / 2``, m = -1 where the classes agree and +1 where not. `confidence` is that of the matched prediction, or
    `confidence_of_probabilities`. Source: FiftyOne Brain.
    """
    sign = torch.where(same_class, -1.0, 1.0).to(confidence.dtype)
    return torch.where(matched, (sign * confidence + 1) / 2, torch.nan)


def answer_mistakenness(
    labeled: Bool[Tensor, " c"],
    predicted: Bool[Tensor, " c"],
    same_class: Bool[Tensor, " c"],
    confidence: Float64[Tensor, " c"],
) -> Float64[Tensor, " c"]:
    """`mistakenness` of answers about frames: 1 where only one side gave an answer, NaN where neither did."""
    value = mistakenness(labeled & predicted, same_class, confidence)
    return torch.where(labeled ^ predicted, 1.0, value)


def mistakenness_localization(
    matched: Bool[Tensor, " o"], iou: Float64[Tensor, " o"], confidence: Float64[Tensor, " o"]
) -> Float64[Tensor, " o"]:
    """How likely a label is badly drawn, 0..1: high where a sure prediction overlaps it little; NaN without a match.

    ``(c (2 i - 1) + 1) / 2`` with ``i = 2 (1 - IoU)``; matches have an IoU of at least .5. Source: FiftyOne Brain.
    """
    return torch.where(matched, (confidence * (4 * (1 - iou) - 1) + 1) / 2, torch.nan)


def confidence_of_probabilities(hardness: Float64[Tensor, " o"]) -> Float64[Tensor, " o"]:
    """Confidence 0..1 from class probabilities: exp(-H), H their entropy in nats (`functional.probabilities.hardness`)."""
    return (-hardness).exp()


def possible_missing(matched: Bool[Tensor, " p"], confidence: Float64[Tensor, " p"]) -> Bool[Tensor, " p"]:
    """Predictions without a match and with a confidence above .95: perhaps an object that nobody labeled."""
    return ~matched & (confidence > SURE)


def possible_spurious(matched: Bool[Tensor, " l"]) -> Bool[Tensor, " l"]:
    """Labels that no prediction matches: perhaps there is nothing."""
    return ~matched


def worst_per_frame(value: Float64[Tensor, " o"], frame: Int64[Tensor, " o"], frames: int) -> Float64[Tensor, " n"]:
    """Largest value of the objects of each frame, NaN left out; NaN for frames without any."""
    known = ~value.isnan()
    found = _largest(frames, frame[known], value[known])
    return torch.where(found.isinf(), torch.nan, found)


def _largest(size: int, row: Int64[Tensor, " q"], value: Float64[Tensor, " q"]) -> Float64[Tensor, " size"]:
    """Largest value of each row, -inf where it has none."""
    return value.new_full((size,), -torch.inf).scatter_reduce(0, row, value, "amax")
