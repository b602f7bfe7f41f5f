"""Farthest-first picking in plain torch, on any device: after every pick all distances are taken anew."""

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor


class Spread:
    """Vectors and the centers picked among them so far; see ``kernels.farthest``."""

    def __init__(self, x: Float[Tensor, "n d"], near: Float64[Tensor, " n"]) -> None:
        self.x, self.near = x.double(), near.clone()
        self.square = (self.x * self.x).sum(1)

    def farthest(self, rows: Int64[Tensor, " m"], open_: Bool[Tensor, " n"]) -> tuple[int, float]:
        """The open row of `rows` whose nearest center is farthest, the lowest of equal ones, and its distance."""
        left = rows[open_[rows]]
        if not len(left):
            return -1, float("nan")
        distance = self.near[left]
        best = int((distance == distance.max()).nonzero()[0])
        return int(left[best]), float(distance[best])

    def add(self, row: int) -> None:
        """Make a row a center."""
        products = (self.x * self.x[row]).sum(1)
        distance = 1 - products / (self.square * self.square[row]).sqrt()
        self.near = torch.minimum(self.near, distance.clamp(min=0))
