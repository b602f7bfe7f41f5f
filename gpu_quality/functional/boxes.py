"""Boxes x1 y1 x2 y2 in float64: areas and overlaps of pairs."""

import torch
from jaxtyping import Float64
from torch import Tensor


def area(box: Float64[Tensor, "o 4"]) -> Float64[Tensor, " o"]:
    """Area in square pixels: width times height, continuous (no +1); 0 where a side is 0 or negative."""
    side = (box[:, 2:] - box[:, :2]).clamp_(min=0)
    return side[:, 0] * side[:, 1]


def iou(a: Float64[Tensor, "o 4"], b: Float64[Tensor, "o 4"]) -> Float64[Tensor, " o"]:
    """How well box `i` of `a` covers box `i` of `b`: intersection over union, 0..1; 0 where both areas are 0.

    Computed as i / (area_a + area_b - i), in this order. Source: reference evaluation.md 1.
    """
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    side = (high - low).clamp_(min=0)
    both = side[:, 0] * side[:, 1]
    union = area(a) + area(b) - both
    return torch.where(union > 0, both / union, 0.0)


def iou_matrix(a: Float64[Tensor, "n 4"], b: Float64[Tensor, "m 4"]) -> Float64[Tensor, "n m"]:
    """Intersection over union of every box of `a` with every box of `b`, 0..1; 0 where both areas are 0."""
    from torchvision.ops import box_iou  # half a second to import

    matrix: Tensor = box_iou(a, b)  # [n, m]
    return matrix.nan_to_num(nan=0.0)
