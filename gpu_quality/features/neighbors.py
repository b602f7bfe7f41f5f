"""What is near what, searched once for every metric that asks: the nearest frames, copies, and what lies outside of them."""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float, Float16, Float32, Float64, Int64
from torch import Tensor

from gpu_quality.registry import feature
from gpu_quality.types import Index

NEAREST: Final = 10
"""Neighbors of a frame that are kept: three are asked for, the rest spares a second search where there are a few copies."""


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The nearest other rows of each row, nearest first, equal distances by row; NaN and -1 where there are no more."""

    distance: Float32[Tensor, "n k"]
    """Cosine distance, 0..2."""
    row: Int64[Tensor, "n k"]


@dataclass(frozen=True, slots=True)
class Copies:
    """Which rows show the same, and how far the nearest row is that does not."""

    component: Int64[Tensor, " n"]
    """The lowest row of the component of cosine distances below 1e-5; -1 without a usable vector."""
    outside: Float64[Tensor, " n"]
    """Distance from the lowest row of a component to the nearest row of another; NaN where there is none."""


def nearest(
    index: Index, x: Float[Tensor, "n d"], k: int, groups: Int64[Tensor, "g n"] | Int64[Tensor, " n"] | None = None
) -> Neighbors:
    """The k nearest other rows, without those that share a group; rounding leaves no distance below 0."""
    found = index.nearest(x, k) if groups is None else index.nearest(x, k, groups=groups)
    return Neighbors(found.distance.clamp(0, 2), found.row)


def usable(index: Index, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
    """Which rows have a vector that can be compared."""
    take = torch.ones(len(x), dtype=torch.bool, device=x.device)
    take[index.refused(x)] = False
    return take


@feature(over="dataset")
def neighbors(embedding: Float16[Tensor, "n d"], index: Index) -> Neighbors:
    """The frames nearest to each frame."""
    return nearest(index, embedding, NEAREST)


@feature(over="dataset")
def copies(embedding: Float16[Tensor, "n d"], neighbors: Neighbors, index: Index) -> Copies:
    """Frames whose vectors are all but equal."""
    return find_copies(index, embedding, [neighbors])


def find_copies(index: Index, x: Float[Tensor, "n d"], known: list[Neighbors]) -> Copies:
    """Components of rows, and the nearest outside. `known` are neighbors found before: together the nearest of every row, each
    list complete where it has room left at its end.

    Nothing is searched again unless all the neighbors that are known of some row are its copies.
    """
    component = index.components(x)
    leads = component == torch.arange(len(x), device=x.device)
    outside = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)
    for found in known:
        there = found.row >= 0
        other = there & (component[found.row.clamp(min=0)] != component[:, None])
        if bool((leads & there[:, -1] & ~other.any(1)).any()):
            outside = nearest(index, x, 1, component).distance[:, 0].double()
            break
        outside = torch.minimum(outside, torch.where(other, found.distance.double(), torch.inf).amin(1))
    return Copies(component, torch.where(leads & outside.isfinite(), outside, torch.nan))
