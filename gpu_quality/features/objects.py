"""What object metrics share: true areas, the area all objects of a frame cover, and who overlaps whom."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.functional import boxes, shapes
from gpu_quality.functional.overlaps import best_partner
from gpu_quality.geometry import overlaps
from gpu_quality.kernels import boxes as box_kernel
from gpu_quality.kernels import rings
from gpu_quality.registry import feature
from gpu_quality.types import AREAL, Objects, Sizes


@dataclass(frozen=True, slots=True)
class Overlap:
    """The other object of the frame that overlaps each object most."""

    iou: Float64[Tensor, " o"]
    """Intersection over union of the two shapes, 0 where nothing overlaps; NaN where a shape has no area."""
    partner: Int64[Tensor, " o"]
    """Its row among the objects, -1 where nothing overlaps."""


@dataclass(frozen=True, slots=True)
class Rings:
    """Outlines of objects that are one ring each, as CSR: object `i` owns ``points[first[i]:first[i + 1]]``."""

    points: Float64[Tensor, "p 2"]
    first: Int64[Tensor, " o_plus_1"]
    simple: Bool[Tensor, " o"]
    """Which objects surely are one ring that does not touch itself; the points of the others mean nothing."""

    def select(self, rows: Int64[Tensor, " k"]) -> tuple[Float64[Tensor, "q 2"], Int64[Tensor, " k_plus_1"]]:
        """Points of the given objects, and where each starts among them."""
        count = self.first[rows + 1] - self.first[rows]
        first = torch.cat([torch.zeros(1, dtype=torch.int64), count.cumsum(0)])
        shift = torch.repeat_interleave(self.first[rows] - first[:-1], count)
        return self.points[torch.arange(len(shift)) + shift], first


def _rings(objects: Objects) -> Rings:
    points, first, single = (torch.from_numpy(part) for part in overlaps.single_rings(objects))
    return Rings(points, first, rings.simple(points, first) & single)


@feature(per="object")
def shape_area(objects: Objects, sizes: Sizes) -> Float64[Tensor, " o"]:
    """Even-odd area of every object in square pixels, not clipped; NaN for shapes that cover no area."""
    simple = None if objects.shapes is None else _rings(objects).simple.numpy()
    return torch.from_numpy(overlaps.areas(objects, sizes, simple))


@feature(per="frame")
def covered_area(objects: Objects, sizes: Sizes) -> Float64[Tensor, " b"]:
    """Square pixels of every frame that lie in at least one object."""
    kind = torch.from_numpy(overlaps.kinds(objects))
    areal = (kind < AREAL) & ((kind > 0) | (objects.box[:, 2:] > objects.box[:, :2]).all(1))
    outlined = torch.zeros(len(sizes.width), dtype=torch.bool)
    outlined[objects.frame[areal & (kind > 0)]] = True
    inside = outlined[objects.frame]
    area = _covered_by_boxes(objects, sizes, areal & ~inside)
    if not inside.any():
        return area
    area[outlined] = _covered_by_rings(objects, sizes, areal & inside)[outlined]
    hard = (outlined & area.isnan())[objects.frame] & areal
    if hard.any():
        frames = torch.unique_consecutive(objects.frame[hard])
        area[frames] = torch.from_numpy(overlaps.covered(objects.select(hard.nonzero().flatten()), sizes))[frames]
    return area


def _covered_by_boxes(objects: Objects, sizes: Sizes, chosen: Bool[Tensor, " o"]) -> Float64[Tensor, " b"]:
    """Square pixels that the boxes of some objects cover, clipped to the frames."""
    limit = torch.stack(shapes.frame_sides(objects, sizes), 1)[chosen]
    box = objects.box[chosen].clamp(min=0).minimum(torch.cat([limit, limit], 1))
    return box_kernel.union_areas(box, objects.frame[chosen], len(sizes.width))


def _covered_by_rings(objects: Objects, sizes: Sizes, chosen: Bool[Tensor, " o"]) -> Float64[Tensor, " b"]:
    """Square pixels that the outlines of some objects cover, clipped to the frames; NaN where that takes another way."""
    own = _rings(objects)
    points, first = own.select((chosen & own.simple).nonzero().flatten())
    size = torch.stack([sizes.width.double(), sizes.height.double()], 1)
    area = rings.union_areas(points, first, objects.frame[chosen & own.simple], size)
    area[objects.frame[chosen & ~own.simple]] = torch.nan
    return area


@feature(per="object", gives=("same_class_overlap", "any_class_overlap"))
def overlap(objects: Objects, sizes: Sizes, *, wanted: frozenset[str]) -> dict[str, Overlap]:
    """Best overlap of every object with another of its class, or of any class; crowd regions neither have nor are partners."""
    if objects.shapes is None:  # nothing but boxes: all frames at once
        return {name: _of_boxes(objects, same_class=name == "same_class_overlap") for name in wanted}
    areal = torch.from_numpy(overlaps.kinds(objects) < AREAL)
    pairs = box_kernel.meeting_pairs(objects.frame, objects.box)
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
    return Overlap(*box_kernel.best_partners(objects.box, group, objects.crowd))


def _iou(objects: Objects, sizes: Sizes, pairs: Int64[Tensor, "2 p"]) -> Float64[Tensor, " p"]:
    """Intersection over union of the two shapes of every pair."""
    value = boxes.iou(objects.box[pairs[0]], objects.box[pairs[1]])
    outlined = torch.from_numpy(overlaps.kinds(objects) > 0)[pairs].any(0).nonzero().flatten()
    if len(outlined):
        value[outlined] = ring_iou(objects, sizes, pairs[:, outlined])
        hard = outlined[value[outlined].isnan()]
        value[hard] = torch.from_numpy(overlaps.shared(objects, sizes, *pairs[:, hard].numpy()))
    return value


def ring_iou(objects: Objects, sizes: Sizes, pairs: Int64[Tensor, "2 p"]) -> Float64[Tensor, " p"]:
    """Intersection over union of the outlines of every pair, of whatever frames; NaN where that takes another way."""
    own = _rings(objects)
    rows = own.simple[pairs].all(0).nonzero().flatten()
    value = torch.full((pairs.shape[1],), torch.nan, dtype=torch.float64)
    area = torch.from_numpy(overlaps.areas(objects, sizes, own.simple.numpy()))[pairs[:, rows]].sum(0)
    both = rings.shared_areas(own.points, own.first, pairs[:, rows])
    value[rows] = both / (area - both)
    return value


def _best(pairs: Int64[Tensor, "2 p"], iou: Float64[Tensor, " p"], areal: Tensor) -> Overlap:
    best, partner = best_partner(pairs, iou, len(areal))
    return Overlap(torch.where(areal, best, torch.nan), partner)
