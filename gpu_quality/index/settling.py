"""From candidates to neighbors: exact cosines, an audit of the proven error, and a full search for rows that failed."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.index.shortlists import Candidates, Side, hide
from gpu_quality.index.vectors import BLOCK, ROUNDING, Vectors, cosines

CLOSE = 2e-6
"""Twice the error of a float64 product of vectors that were scaled to length 1 in float32."""


class Nearest(NamedTuple):
    """The k nearest of each asking vector, nearest first, equal distances by place; NaN and -1 where there are fewer."""

    distance: Float64[Tensor, "q k"]
    place: Int64[Tensor, "q k"]


def empty(q: int, k: int, device: torch.device) -> Nearest:
    """Nobody has a neighbor."""
    distance = torch.full((q, k), torch.nan, dtype=torch.float64, device=device)
    return Nearest(distance, torch.full((q, k), -1, dtype=torch.int64, device=device))


def settle(side: Side, base: Vectors, found: Candidates, k: int) -> tuple[Nearest, Bool[Tensor, " q"]]:
    """The nearest among candidates, and which rows are not certain: no room, or a score off by more than was proven."""
    out, failed = empty(len(found.rows), k, found.rows.device), found.failed.clone()
    for begin in range(0, len(found.rows), BLOCK):
        part = slice(begin, begin + BLOCK)
        places = found.rows[part].long()
        owner, column = (places >= 0).nonzero(as_tuple=True)
        cosine = cosines(side.vectors, base, owner + begin, places[owner, column])
        low = found.low[part][owner, column].float()
        wrong = (low - cosine).abs() > found.bound[part][owner] + ROUNDING * 1.02 * low.abs() + 1e-6
        failed[begin + owner[wrong]] = True
        distance = torch.full(places.shape, torch.inf, dtype=torch.float64, device=places.device)
        distance[owner, column] = 1 - cosine
        _take(out, part, *_ordered(distance, places), k)
    return out, failed


def _ordered(distance: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    by_place = places.sort(dim=1, stable=True)
    by_distance = distance.gather(1, by_place.indices).sort(dim=1, stable=True)
    return by_distance.values, by_place.values.gather(1, by_distance.indices)


def _take(out: Nearest, part: slice | Tensor, distance: Tensor, places: Tensor, k: int) -> None:
    width = min(k, distance.shape[1])
    there = distance[:, :width].isfinite()
    values, rows = out.distance[part], out.place[part]
    values[:, :width] = torch.where(there, distance[:, :width], torch.nan)
    rows[:, :width] = torch.where(there, places[:, :width], -1)
    out.distance[part], out.place[part] = values, rows


def in_full(
    side: Side, base: Vectors, groups: Int64[Tensor, "g m"], k: int, asking: Int64[Tensor, " a"], memory: int
) -> Nearest:
    """The nearest of some asking vectors among all, by float64 products: slow, and certain whatever the vectors are like."""
    m = len(base)
    out = empty(len(asking), k, asking.device)
    step = max(1, min(BLOCK, memory // (32 * m)))
    for begin in range(0, len(asking), step):
        rows = asking[begin : begin + step]
        found = _products(side, base, rows)
        part = Side(side.vectors, side.same[rows], side.groups[:, rows])
        hide(found, part, groups, 0)
        kth = found.topk(min(k, m), 1).values[:, -1:]
        owner, place = ((found >= kth - CLOSE) & found.isfinite()).nonzero(as_tuple=True)
        distance = 1 - cosines(side.vectors, base, rows[owner], place)
        best = ranked(owner, distance, place, len(rows), k)
        out.distance[begin : begin + step], out.place[begin : begin + step] = best
    return out


def _products(side: Side, base: Vectors, rows: Int64[Tensor, " a"]) -> Float64[Tensor, "a m"]:
    own = side.vectors.units(rows).double()
    found = torch.empty(len(rows), len(base), dtype=torch.float64, device=rows.device)
    for begin in range(0, len(base), BLOCK):
        found[:, begin : begin + BLOCK] = own @ base.unit(begin, begin + BLOCK).double().T
    return found


def ranked(owner: Int64[Tensor, " p"], distance: Float64[Tensor, " p"], place: Int64[Tensor, " p"], n: int, k: int) -> Nearest:
    """The k first entries of every owner 0 .. n - 1, by distance and then by place."""
    order = place.sort(stable=True).indices
    order = order[distance[order].sort(stable=True).indices]
    order = order[owner[order].sort(stable=True).indices]
    owner = owner[order]
    count = torch.bincount(owner, minlength=n)
    rank = torch.arange(len(owner), device=owner.device) - (count.cumsum(0) - count)[owner]
    first = rank < k
    out = empty(n, k, owner.device)
    out.distance[owner[first], rank[first]] = distance[order][first]
    out.place[owner[first], rank[first]] = place[order][first]
    return out
