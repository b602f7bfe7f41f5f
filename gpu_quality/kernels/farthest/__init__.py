"""Farthest-first picking: of many vectors again and again the one that is farthest from all that were picked before."""

from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

__all__ = ["Spread", "spread"]


@runtime_checkable
class Spread(Protocol):
    """Vectors and the centers picked among them so far."""

    def farthest(self, rows: Int64[Tensor, " m"], open_: Bool[Tensor, " n"]) -> tuple[int, float]:
        """The open row of `rows` (rising) whose nearest center is farthest, the lowest of equal ones, and its cosine distance.

        The distance is infinite before there is any center, and the row -1 where none is open.
        """

    def add(self, row: int) -> None:
        """Make a row a center."""


def spread(x: Float[Tensor, "n d"], near: Float64[Tensor, " n"]) -> Spread:
    """Begin with no center among `x`; `near` is each row's cosine distance to the nearest one elsewhere, infinite for none.

    Distances are ``1 - x·y / sqrt(x·x y·y)`` in float64, 0 for equal rows. Every vector is finite and not zero.
    """
    if x.is_cuda:
        from gpu_quality.kernels.farthest import reference

        return reference.Spread(x, near)
    from gpu_quality.kernels.farthest import cpu

    return cpu.Spread(x, near)
