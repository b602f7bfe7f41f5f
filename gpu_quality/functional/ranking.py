"""What the place of a vector among all others says about a frame: rare or repeated, central or marginal."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

SAME = 1e-5
"""Cosine distance below which two frames count as copies of each other (Encord Active)."""
_REST = 1e-6
"""Distances to a center below this are rounding: the members of the cluster are all alike."""


class Singularity(NamedTuple):
    """How far each frame is from all that are not its copies."""

    value: Float64[Tensor, " n"]
    duplicate_of: Int64[Tensor, " n"]
    """The lowest row of the component for its other members, -1 for frames that lead."""
    missing: Bool[Tensor, " n"]
    """No other frame is outside the component (`no_neighbors`), or the frame has no usable vector."""


def singularity(component: Int64[Tensor, " n"], outside: Float[Tensor, " n"]) -> Singularity:
    """Distance to the nearest frame that is no copy for the lowest row of each component, 0 for its other members.

    `component` holds the lowest row of the component of distances below 1e-5 of each row, -1 without a usable vector; `outside`
    the distance to the nearest row of another component, NaN where there is none.
    """
    rows = torch.arange(len(component), device=component.device)
    copy = (component >= 0) & (component != rows)
    missing = (component < 0) | (~copy & outside.isnan())
    value = torch.where(copy | missing, 0.0, outside.double())
    return Singularity(value, torch.where(copy, component, -1), missing)


def uniqueness(distance: Float[Tensor, "n k"], usable: Bool[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """``(.6 d1 + .3 d2 + .1 d3)`` over the largest such value, 0..1; what stands in rows that are not usable does not matter.

    d1..d3 are the three nearest distances. With three frames or fewer all are unique (1); where all are alike none is (0).
    """
    if int(usable.sum()) <= 3:
        return torch.ones(len(usable), dtype=torch.float64, device=usable.device)
    weights = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64, device=distance.device)
    value = torch.where(usable[:, None], distance[:, :3].double(), 0) @ weights
    largest = value.max()
    return value / largest if largest > 0 else value


def representativeness(label: Int64[Tensor, " n"], distance: Float[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """``1 - d / d_max`` with d the distance to the center of the own cluster: 1 = central, 0 = the farthest of its cluster.

    1 throughout a cluster whose members are all alike or that has one member. Rows with label -1 get 1; mask them.
    """
    known = label >= 0
    size = torch.bincount(label[known])
    far = torch.zeros(len(size), dtype=torch.float64, device=label.device)
    far.scatter_reduce_(0, label[known], distance[known].double(), "amax")
    far[size < 2] = 0
    limit = torch.zeros(len(label), dtype=torch.float64, device=label.device)
    limit[known] = far[label[known]]
    return torch.where(limit > _REST, 1 - distance.double() / limit.clamp(min=_REST), 1.0)


def downweighted(value: Float64[Tensor, " n"], pairs: Int64[Tensor, "p 2"], weight: float = 0.7) -> Float64[Tensor, " n"]:
    """Values lowered where others nearby stand for the row: times `weight` for each of them that comes before it.

    Rows are visited from the highest value down, equal values by row; each visit multiplies the rows within the radius that
    were not visited yet. `pairs` are the rows within that radius (0.5: cosine of at least .875).
    """
    order = value.sort(stable=True, descending=True).indices
    turn = torch.empty_like(order)
    turn[order] = torch.arange(len(order), device=order.device)
    later = torch.where(turn[pairs[:, 0]] > turn[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    return value * torch.as_tensor(weight, dtype=value.dtype).pow(torch.bincount(later, minlength=len(value)))


def diversity_rank(label: Int64[Tensor, " n"], distance: Float[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """In which order to look at frames so that the first few are as different as possible, 1..n; 0 for rows with label -1.

    Inside each cluster frames are sorted by distance to its center, equal ones by row; then the clusters take turns.
    """
    known = (label >= 0).nonzero().flatten()
    order = known[distance[known].sort(stable=True).indices]
    order = order[label[order].sort(stable=True).indices]
    count = torch.bincount(label[known]) if len(known) else label.new_empty(0)
    place = torch.arange(len(order), device=label.device) - (count.cumsum(0) - count)[label[order]]
    turns = order[place.sort(stable=True).indices]
    rank = torch.zeros_like(label)
    rank[turns] = torch.arange(1, len(turns) + 1, device=label.device)
    return rank
