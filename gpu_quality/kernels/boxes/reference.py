"""Unions and overlaps of boxes in plain torch, on any device: the definition of the fast kernel."""

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

ROWS = 1024
"""Boxes of one frame compared with all others at a time: 8 MB per thousand boxes."""


def union_areas(box: Float64[Tensor, "o 4"], frame: Int64[Tensor, " o"], frames: int) -> Float64[Tensor, " b"]:
    """Area of the union of the boxes of each frame: cells between all x and y that a box covers; see ``kernels.boxes``."""
    out = torch.zeros(frames, dtype=torch.float64, device=box.device)
    for row in torch.unique_consecutive(frame).tolist():
        own = box[frame == row]
        x, y = (torch.unique_consecutive(own[:, axis::2].flatten().sort().values) for axis in (0, 1))
        across = (own[:, :1] <= x[:-1]) & (x[1:] <= own[:, 2:3])  # [k, columns]
        down = (own[:, 1:2] <= y[:-1]) & (y[1:] <= own[:, 3:])  # [k, rows]
        covered = (down.double().T @ across.double()) > 0
        out[row] = (covered * y.diff()[:, None] * x.diff()).sum()
    return out


def iou(a: Float64[Tensor, "p 4"], b: Float64[Tensor, "p 4"]) -> Float64[Tensor, " p"]:
    """Intersection over union as i / (area_a + area_b - i), in this order."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    both = (high - low).clamp_(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).clamp_(min=0).prod(1) + (b[:, 2:] - b[:, :2]).clamp_(min=0).prod(1) - both
    return torch.where(union > 0, both / union, 0.0)


def best_partners(
    box: Float64[Tensor, "o 4"], group: Int64[Tensor, " o"], crowd: Bool[Tensor, " o"]
) -> tuple[Float64[Tensor, " o"], Int64[Tensor, " o"]]:
    """Best overlap with another box of the group, and its row; see ``kernels.boxes``.

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


def meeting_pairs(frame: Int64[Tensor, " o"], box: Float64[Tensor, "o 4"]) -> Int64[Tensor, "2 p"]:
    """Pairs i < j of boxes of the same frame that share area; see ``kernels.boxes``."""
    found = [torch.zeros(2, 0, dtype=torch.int64, device=box.device)]
    _, counts = torch.unique_consecutive(frame, return_counts=True)
    start = 0
    for count in counts.tolist():
        own = box[start : start + count]
        for top in range(0, count - 1, ROWS):
            rows = own[top : top + ROWS]
            low, high = torch.maximum(rows[:, None, :2], own[None, :, :2]), torch.minimum(rows[:, None, 2:], own[None, :, 2:])
            i, j = (high > low).all(2).nonzero().unbind(1)  # [rows, count] -> [p]
            found.append(torch.stack([i + top, j])[:, j > i + top] + start)
        start += count
    return torch.cat(found, 1)
