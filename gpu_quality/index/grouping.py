"""Groups of near duplicates that do not chain: every member is similar to the one that leads, not only to some other member."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from gpu_quality.index.pairs import Screen, screened


class Groups(NamedTuple):
    """Who leads each row, itself if nobody else; -1 for rows without a usable vector. And how similar the row is to it."""

    leader: Int64[Tensor, " n"]
    cosine: Float64[Tensor, " n"]
    """NaN where there is no leader."""


def groups(x: Float[Tensor, "n d"], at_least: float, order: Int64[Tensor, " n"] | None = None) -> Groups:
    """Leaders and their groups. Rows are visited in `order` (default: as they come); a row that has no group yet leads a new
    one and takes every row without a group that has a cosine of at least `at_least` to it.

    Copies cost nothing, whatever their number; memory does not grow with the number of pairs. Raises `UsageError`.
    """
    screen = screened(x, at_least)
    base = screen.base
    turn = torch.arange(len(x), device=x.device)
    if order is not None:
        turn[order] = turn.clone()
    known = (base.place >= 0).nonzero().flatten()
    known = known[turn[known].sort().indices]
    early = torch.full((len(base),), len(x), dtype=torch.int64, device=x.device)
    early.scatter_reduce_(0, base.place[known], turn[known], "amin")
    leading = _leaders(screen, early.sort().indices)
    by_turn = torch.empty_like(turn)
    by_turn[turn] = torch.arange(len(x), device=x.device)
    leader = torch.full_like(turn, -1)
    leader[known] = by_turn[early[leading[base.place[known]]]]
    cosine = torch.full((len(x),), torch.nan, dtype=torch.float64, device=x.device)
    cosine[known] = base.cosines(leading[base.place[known]], base.place[known])
    return Groups(leader, cosine)


def _leaders(screen: Screen, visit: Int64[Tensor, " m"]) -> Int64[Tensor, " m"]:
    """The vector that leads each vector, visited in the given order."""
    leader = torch.full_like(visit, -1)
    for begin in range(0, len(visit), screen.tile):
        own = visit[begin : begin + screen.tile]
        own = own[leader[own] < 0]
        if not len(own):
            continue
        near = screen.similar(own, own, upper=True).rows
        leads = _first_come(near, len(own))
        leader[own] = own[leads]
        heads = own[leads == torch.arange(len(own), device=own.device)]
        for other in range(begin + screen.tile, len(visit), screen.tile):
            _take(screen, heads, visit[other : other + screen.tile], leader)
    return leader


def _first_come(near: Int64[Tensor, "p 2"], n: int) -> Int64[Tensor, " n"]:
    """Groups inside one block: pairs are sorted, each place takes those after it that are still free."""
    leads = list(range(n))
    free: list[bool] = [True] * n
    for i, j in near.tolist():
        if leads[i] == i and free[j]:
            leads[j], free[j] = i, False
    return torch.tensor(leads, device=near.device)


def _take(screen: Screen, heads: Int64[Tensor, " h"], later: Int64[Tensor, " b"], leader: Int64[Tensor, " m"]) -> None:
    """Give the rows of a later block that are still free to the first head that is near."""
    free: Bool[Tensor, " b"] = leader[later] < 0
    later = later[free]
    if not len(later):
        return
    i, j = screen.similar(heads, later, upper=False).rows.unbind(1)
    first = torch.full_like(later, len(heads)).scatter_reduce(0, j, i, "amin")
    taken = first < len(heads)
    leader[later[taken]] = heads[first[taken]]
