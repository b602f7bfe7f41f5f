"""What object metrics share: true areas, the area all objects of a frame cover, and who overlaps whom."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.functional import boxes
from gpu_quality.functional.overlaps import best_partner, meeting_pairs
from gpu_quality.geometry import overlaps
from gpu_quality.registry import feature
from gpu_quality.types import AREAL, Objects, Sizes


@dataclass(frozen=True, slots=True)
class Overlap:
    """The other object of the frame that overlaps each object most."""

    iou: Float64[Tensor, " o"]
    """Intersection over union of the two shapes, 0 where nothing overlaps; NaN where a shape has no area."""
    partner: Int64[Tensor, " o"]
    """Its row among the objects, -1 where nothing overlaps."""


@feature(per="object")
def shape_area(objects: Objects, sizes: Sizes) -> Float64[Tensor, " o"]:
    """Even-odd area of every object in square pixels, not clipped; NaN for shapes that cover no area."""
    return torch.from_numpy(overlaps.areas(objects, sizes))


@feature(per="frame")
def covered_area(objects: Objects, sizes: Sizes) -> Float64[Tensor, " b"]:
    """Square pixels of every frame that lie in at least one object."""
    return torch.from_numpy(overlaps.covered(objects, sizes))


@feature(per="object", gives=("same_class_overlap", "any_class_overlap"))
def overlap(objects: Objects, sizes: Sizes, *, wanted: frozenset[str]) -> dict[str, Overlap]:
    """Best overlap of every object with another of its class, or of any class; crowd regions neither have nor are partners."""
    if objects.shapes is None:  # nothing but boxes: all frames at once
        return {name: _of_boxes(objects, same_class=name == "same_class_overlap") for name in wanted}
    areal = torch.from_numpy(overlaps.kinds(objects) < AREAL)
    pairs = meeting_pairs(objects.frame, objects.box)
    counted = (areal & ~objects.crowd)[pairs].all(0)
    pairs = pairs[:, counted]
    same = objects.class_id[pairs[0]] == objects.class_id[pairs[1]]
    if "any_class_overlap" not in wanted:
        pairs, same = pairs[:, same], same[same]
    iou = _iou(objects, sizes, pairs)
    made = {"any_class_overlap": _best(pairs, iou, areal), "same_class_overlap": _best(pairs[:, same], iou[same], areal)}
    return {name: made[name] for name in wanted}


def _of_boxes(objects: Objects, *, same_class: bool) -> Overlap:
    classes = int(objects.class_id.max()) + 1 if len(objects) else 1
    group = objects.frame * classes + objects.class_id if same_class else objects.frame
    return Overlap(*boxes.best_overlap(objects.box, group, objects.crowd))


def _iou(objects: Objects, sizes: Sizes, pairs: Int64[Tensor, "2 p"]) -> Float64[Tensor, " p"]:
    """Intersection over union of the two shapes of every pair."""
    value = boxes.iou(objects.box[pairs[0]], objects.box[pairs[1]])
    outlined = torch.from_numpy(overlaps.kinds(objects) > 0)[pairs].any(0)
    if outlined.any():
        first, second = pairs[:, outlined].numpy()
        value[outlined] = torch.from_numpy(overlaps.shared(objects, sizes, first, second))
    return value


def _best(pairs: Int64[Tensor, "2 p"], iou: Float64[Tensor, " p"], areal: Tensor) -> Overlap:
    best, partner = best_partner(pairs, iou, len(areal))
    return Overlap(torch.where(areal, best, torch.nan), partner)
