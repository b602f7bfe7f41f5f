"""Boxes x1 y1 x2 y2 in float64: areas and overlaps."""

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor


def area(box: Float64[Tensor, "o 4"]) -> Float64[Tensor, " o"]:
    """Area in square pixels: width times height, continuous (no +1)."""
    return (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])


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


def best_overlap(
    box: Float64[Tensor, "o 4"], group: Int64[Tensor, " o"], crowd: Bool[Tensor, " o"]
) -> tuple[Float64[Tensor, " o"], Int64[Tensor, " o"]]:
    """How much each box overlaps with the most similar other box of its group, and which one that is.

    Returns the best intersection over union, 0..1, and the row of the other box: the first of equally good ones, -1 where no
    other box of the group overlaps at all. Crowd regions take no part: their own value is 0, and they are nobody's partner.

    Every pair is computed once, in steps: neighbors in the group first, then those two places apart and so on. So the time
    goes with the number of pairs, and the memory with the number of boxes.
    """
    best = torch.zeros(len(box), dtype=torch.float64, device=box.device)
    partner = torch.full_like(group, -1)
    row = (~crowd).nonzero().flatten()
    row = row[torch.sort(group[row], stable=True).indices]
    _, count = torch.unique_consecutive(group[row], return_counts=True)
    last = torch.repeat_interleave(count.cumsum(0), count)
    left = torch.arange(len(row), device=box.device)
    for step in range(1, int(count.max()) if len(count) else 0):
        left = left[left + step < last[left]]
        a, b = row[left], row[left + step]
        value = iou(box[a], box[b])
        _improve(best, partner, a, b, value)
        _improve(best, partner, b, a, value)
    return best, partner


def _improve(
    best: Float64[Tensor, " o"],
    partner: Int64[Tensor, " o"],
    own: Int64[Tensor, " p"],
    other: Int64[Tensor, " p"],
    value: Float64[Tensor, " p"],
) -> None:
    """Write where the other box is a better partner, or as good and earlier; no row is twice in `own`."""
    known = best[own]
    better = (value > known) | ((value == known) & (value > 0) & (other < partner[own]))
    best[own[better]] = value[better]
    partner[own[better]] = other[better]
