"""Which boxes meet, and which partner overlaps each object most."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

ROWS = 1024
"""Boxes of one frame compared with all others at a time: 8 MB per thousand boxes."""


def meeting_pairs(frame: Int64[Tensor, " o"], box: Float64[Tensor, "o 4"]) -> Int64[Tensor, "2 p"]:
    """Pairs i < j of objects of the same frame whose boxes share area; `frame` is sorted."""
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


def best_partner(
    pairs: Int64[Tensor, "2 p"], iou: Float64[Tensor, " p"], count: int
) -> tuple[Float64[Tensor, " o"], Int64[Tensor, " o"]]:
    """For each of `count` objects its largest overlap and with whom, the lowest row on ties; 0 and -1 where it meets none."""
    who, partner, value = torch.cat([pairs[0], pairs[1]]), torch.cat([pairs[1], pairs[0]]), torch.cat([iou, iou])
    best = torch.zeros(count, dtype=torch.float64, device=iou.device).scatter_reduce(0, who, value, "amax")
    top = (value == best[who]) & (value > 0)
    nobody = torch.full((count,), count, device=iou.device)
    other = nobody.scatter_reduce(0, who[top], partner[top], "amin")
    return best, torch.where(other < count, other, -1)
