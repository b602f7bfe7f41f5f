"""Which partner overlaps each object most."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor


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
