"""Sides and places of objects, from their boxes and corners."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.types import KINDS, Objects, Sizes

Sides = tuple[Float64[Tensor, " o"], Float64[Tensor, " o"]]


def frame_sides(objects: Objects, sizes: Sizes) -> Sides:
    """Width and height of the frame of every object."""
    return sizes.width.double()[objects.frame], sizes.height.double()[objects.frame]


def sides(objects: Objects) -> Sides:
    """Width and height of every object: of its bounds, or a rotated box's own; a negative side is 0."""
    w, h = (objects.box[:, 2:] - objects.box[:, :2]).clamp_(min=0).unbind(1)
    if objects.shapes is None:
        return w, h
    rotated = (objects.shapes.kind == KINDS.index("rotated_box")).nonzero().flatten()
    corner = objects.shapes.points_of[objects.shapes.rings[rotated]]  # [k], the first of four
    points = objects.shapes.points
    own_w = (points[corner + 1] - points[corner]).square().sum(1).sqrt()
    own_h = (points[corner + 2] - points[corner + 1]).square().sum(1).sqrt()
    return w.index_copy(0, rotated, own_w), h.index_copy(0, rotated, own_h)


def center_distance(objects: Objects, sizes: Sizes) -> Float64[Tensor, " o"]:
    """Distance of the center of every object to that of its frame, in pixels."""
    center = (objects.box[:, :2] + objects.box[:, 2:]) / 2
    return (center - torch.stack(frame_sides(objects, sizes), 1) / 2).square().sum(1).sqrt()


def edge_distance(objects: Objects, sizes: Sizes) -> Float64[Tensor, " o"]:
    """Smallest distance of a side of every box to the same side of its frame, in pixels."""
    w, h = frame_sides(objects, sizes)
    x1, y1, x2, y2 = objects.box.unbind(1)
    return torch.stack([x1, y1, w - x2, h - y2]).abs().amin(0)


def border_closeness(objects: Objects, sizes: Sizes) -> Float64[Tensor, " o"]:
    """Largest of x / W, y / H, 1 - x / W, 1 - y / H over all points; those of the bounds are the outermost."""
    w, h = frame_sides(objects, sizes)
    one, other = objects.box[:, :2], objects.box[:, 2:]
    (x1, y1), (x2, y2) = torch.minimum(one, other).unbind(1), torch.maximum(one, other).unbind(1)  # sides may be negative
    return torch.stack([x2 / w, y2 / h, 1 - x1 / w, 1 - y1 / h]).amax(0)


def position_in_frame(objects: Objects) -> Int64[Tensor, " o"]:
    """Number of objects of the same frame before each, from 0; objects are sorted by frame."""
    _, counts = torch.unique_consecutive(objects.frame, return_counts=True)
    first: Tensor = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return torch.arange(len(objects), device=objects.frame.device) - first
