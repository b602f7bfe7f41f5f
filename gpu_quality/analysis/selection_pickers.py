"""Ways to take the next frame among those that are left: the best, the farthest from all taken, the best of another cluster."""

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from gpu_quality.kernels.farthest import Spread, spread


@runtime_checkable
class Picker(Protocol):
    """Takes rows one after the other."""

    def take(self, rows: Int64[Tensor, " m"], open_: Bool[Tensor, " n"]) -> tuple[int, float]:
        """One of the open rows among `rows` (rising), and its distance to the nearest taken before (NaN where nobody asks).

        The row is -1 where none is open.
        """


class First:
    """Takes the first row: rows come in the order in which they are wanted."""

    def take(self, rows: Int64[Tensor, " m"], open_: Bool[Tensor, " n"]) -> tuple[int, float]:
        """The first open row."""
        left = open_[rows]
        place = int(left.int().argmax()) if len(rows) else 0
        return (int(rows[place]), float("nan")) if len(rows) and bool(left[place]) else (-1, float("nan"))


class Farthest:
    """Takes the row farthest from all that were taken and from what was known before: k-center greedy.

    Without anything to be far from, the first row is taken, or one drawn by `seed`; equally far ones go by row.
    """

    def __init__(self, x: Float[Tensor, "n d"], near: Float64[Tensor, " n"], seed: int | None = None) -> None:
        self.spread: Spread = spread(x, near)
        self.size = len(x)
        self.seed = seed

    def take(self, rows: Int64[Tensor, " m"], open_: Bool[Tensor, " n"]) -> tuple[int, float]:
        """The farthest open row."""
        row, distance = self.spread.farthest(rows, open_)
        if row >= 0 and np.isinf(distance) and self.seed is not None:
            left = rows[open_[rows]]
            row = int(left[int(np.random.default_rng(self.seed).integers(len(left)))])
        if row >= 0:
            self.spread.add(row)
        return row, distance

    def radius(self, rows: Int64[Tensor, " m"]) -> float:
        """How far the farthest of some rows is from what was taken or known; NaN for none."""
        return self.spread.farthest(rows, torch.ones(self.size, dtype=torch.bool))[1]


class OfClusters:
    """Takes rows of clusters of which fewest were taken, in the order in which rows are wanted."""

    def __init__(
        self, x: Float[Tensor, "n d"], near: Float64[Tensor, " n"], label: Int64[Tensor, " n"], order: Int64[Tensor, " n"]
    ) -> None:
        """`order` lists the rows, the most wanted first."""
        self.spread: Spread = spread(x, near)
        self.label = label
        self.place = torch.empty_like(order)
        self.place[order] = torch.arange(len(order))
        self.taken = torch.zeros(int(label.max()) + 1 if len(label) else 0, dtype=torch.int64)

    def take(self, rows: Int64[Tensor, " m"], open_: Bool[Tensor, " n"]) -> tuple[int, float]:
        """The most wanted open row of a cluster of which fewest were taken."""
        left = rows[open_[rows]]
        if not len(left):
            return -1, float("nan")
        turn = self.taken[self.label[left]] * len(self.place) + self.place[left]
        row = int(left[turn.argmin()])
        distance = self.spread.farthest(torch.tensor([row]), open_)[1]
        self.taken[self.label[row]] += 1
        self.spread.add(row)
        return row, distance
