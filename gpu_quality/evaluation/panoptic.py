"""Panoptic quality: segments of things and stuff, found and drawn right (Kirillov et al., Panoptic Segmentation, CVPR 2019).

PQ = SQ x RQ: the mean IoU of the matched segments times the F1 of finding them. A pair matches if it has one class and an IoU
above .5, so that no segment can have two partners.
"""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float64, Int64, Integer, Shaped
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.rates import mean_of_known, rate

VOID: Final = 0
"""Id of pixels that belong to no segment."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The segments of one frame and side, without overlaps."""

    map: Integer[Tensor, "h w"]
    """Id of the segment of each pixel, 0 = void (unlabeled)."""
    ids: Int64[Tensor, " s"]
    class_id: Int64[Tensor, " s"]
    crowd: Bool[Tensor, " s"]
    """Labels: regions of many things of a class, which nobody must find. Predictions: all false."""


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Segments of one frame as areas and the pixels that each label shares with each prediction: what lists of masks give."""

    label_class: Int64[Tensor, " l"]
    label_crowd: Bool[Tensor, " l"]
    label_area: Int64[Tensor, " l"]
    prediction_class: Int64[Tensor, " p"]
    prediction_area: Int64[Tensor, " p"]
    shared: Int64[Tensor, "l p"]
    void: Int64[Tensor, " p"]
    """Pixels of each prediction that no label covers: unlabeled, not wrong."""


@dataclass(frozen=True, slots=True)
class PanopticCounts:
    """What panoptic quality is made of, per class; counts of frames add up, and may be stacked and weighted."""

    iou: Float64[Tensor, "*s k"]
    """Sum of the IoU of the matched pairs."""
    tp: Shaped[Tensor, "*s k"]
    fp: Shaped[Tensor, "*s k"]
    fn: Shaped[Tensor, "*s k"]

    def __add__(self, other: "PanopticCounts") -> "PanopticCounts":
        """Counts of both."""
        return PanopticCounts(self.iou + other.iou, self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    def pq(self) -> Float64[Tensor, "*s k"]:
        """Panoptic quality, 0..1; NaN for a class that is nowhere."""
        return rate(2 * self.iou, self._segments())

    def sq(self) -> Float64[Tensor, "*s k"]:
        """Segmentation quality: mean IoU of the matched pairs, .5..1, 0 without any; NaN for a class that is nowhere."""
        return torch.where(self._segments() > 0, rate(self.iou, self.tp, 0.0), torch.nan)

    def rq(self) -> Float64[Tensor, "*s k"]:
        """Recognition quality: F1 of finding segments, 0..1; NaN for a class that is nowhere."""
        return rate(2 * self.tp, self._segments())

    def _segments(self) -> Shaped[Tensor, "*s k"]:
        """Segments of both sides, those that are neither false nor missed."""
        return 2 * self.tp + self.fp + self.fn


@dataclass(frozen=True, slots=True)
class PanopticScores:
    """Means over the classes that are labeled or predicted somewhere; NaN without any."""

    pq: Float64[Tensor, "*s"]
    sq: Float64[Tensor, "*s"]
    rq: Float64[Tensor, "*s"]
    classes: Int64[Tensor, "*s"]
    """How many classes the means are over."""


def no_counts(classes: int) -> PanopticCounts:
    """Nothing counted yet."""
    zero = torch.zeros(classes, dtype=torch.int64)
    return PanopticCounts(torch.zeros(classes, dtype=torch.float64), zero, zero.clone(), zero.clone())


def scores(counts: PanopticCounts, chosen: Bool[Tensor, " k"] | None = None) -> PanopticScores:
    """PQ, SQ and RQ over all classes, or the `chosen` ones: things, or stuff."""
    known = ~counts.pq().isnan()
    if chosen is not None:
        known = known & chosen
    pq, sq, rq = (mean_of_known(part, None, chosen) for part in (counts.pq(), counts.sq(), counts.rq()))
    return PanopticScores(pq, sq, rq, known.sum(-1))


def panoptic_counts(overlaps: Overlaps, classes: int) -> PanopticCounts:
    """Matched, false and missed segments of one frame.

    Void pixels are taken out of a prediction before its IoU is computed. A crowd label is never matched nor missed. A
    prediction without partner is no false positive if more than half of it is void or crowd of its class. Where a class has
    several crowd regions in a frame they count together (panopticapi: the last one alone).

    Raises
    ------
    UsageError
        A class is not within 0..classes-1.
    """
    for name, side in (("label", overlaps.label_class), ("prediction", overlaps.prediction_class)):
        if len(side) and (int(side.min()) < 0 or int(side.max()) >= classes):
            wrong = side[(side < 0) | (side >= classes)][0]
            raise UsageError(f"a {name} segment has class {int(wrong)}; there are classes 0 to {classes - 1}")
    same = overlaps.label_class[:, None] == overlaps.prediction_class  # [l, p]
    union = overlaps.label_area[:, None] + overlaps.prediction_area - overlaps.shared - overlaps.void
    iou = torch.where(same & ~overlaps.label_crowd[:, None], rate(overlaps.shared, union, 0.0), 0.0)
    label, prediction = (iou > 0.5).nonzero(as_tuple=True)
    missed, extra = ~overlaps.label_crowd, torch.ones_like(overlaps.prediction_class, dtype=torch.bool)
    missed[label] = False
    extra[prediction] = False
    crowded = (overlaps.shared * (same & overlaps.label_crowd[:, None])).sum(0)
    extra &= rate(overlaps.void + crowded, overlaps.prediction_area, 1.0) <= 0.5
    at = overlaps.label_class[label]
    return PanopticCounts(
        torch.zeros(classes, dtype=torch.float64, device=at.device).index_add_(0, at, iou[label, prediction]),
        torch.bincount(at, minlength=classes),
        torch.bincount(overlaps.prediction_class[extra], minlength=classes),
        torch.bincount(overlaps.label_class[missed], minlength=classes),
    )


def overlaps_of(label: Segmentation, prediction: Segmentation) -> Overlaps:
    """Areas and shared pixels of the segments of one frame from the two maps.

    Raises
    ------
    UsageError
        The maps differ in size, a map holds an id that is not listed, or an id is listed twice, is void, or has no pixel.
    """
    if label.map.shape != prediction.map.shape:
        raise UsageError(f"the label map has shape {list(label.map.shape)}, the prediction {list(prediction.map.shape)}")
    row, column = _places("label", label), _places("prediction", prediction)
    rows, columns = len(label.ids) + 1, len(prediction.ids) + 1
    table = torch.bincount(row * columns + column, minlength=rows * columns).view(rows, columns)  # 0 = void
    out = Overlaps(
        label_class=label.class_id,
        label_crowd=label.crowd,
        label_area=table[1:].sum(1),
        prediction_class=prediction.class_id,
        prediction_area=table[:, 1:].sum(0),
        shared=table[1:, 1:],
        void=table[0, 1:],
    )
    for name, side, area in (("label", label, out.label_area), ("prediction", prediction, out.prediction_area)):
        if bool((area == 0).any()):
            raise UsageError(f"{name} segment {int(side.ids[area == 0][0])} is listed and has no pixel in the map")
    return out


def _places(name: str, side: Segmentation) -> Int64[Tensor, " pixels"]:
    """1 + the row of the segment of each pixel, 0 for void."""
    order = side.ids.sort().indices
    ordered = side.ids[order]
    if bool((ordered == VOID).any()) or bool((ordered[1:] == ordered[:-1]).any()):
        raise UsageError(f"{name} segments need ids that are different and not {VOID}; got {side.ids.tolist()[:20]}")
    found, inverse = torch.unique(side.map.long(), return_inverse=True)
    place = torch.searchsorted(ordered, found).clamp(max=max(0, len(ordered) - 1))
    listed = ordered[place] == found if len(ordered) else torch.zeros_like(found, dtype=torch.bool)
    strange = found[~listed & (found != VOID)]
    if len(strange):
        raise UsageError(f"the {name} map holds segment {int(strange[0])}, which is not listed ({len(strange):,} such ids)")
    number = torch.zeros_like(found)
    number[listed] = order[place[listed]] + 1
    return number[inverse.reshape(-1)]
