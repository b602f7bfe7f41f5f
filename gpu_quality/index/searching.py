"""Exact nearest neighbors by cosine: shortlist, exact cosines, and a full search of whatever is not certain."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.index import settling, shortlists
from gpu_quality.index.settling import Nearest
from gpu_quality.index.shortlists import Side
from gpu_quality.index.vectors import BLOCK, Vectors, prepared

SMALL = 1024
"""So few vectors are compared in float64 at once."""


class Neighbors(NamedTuple):
    """The k nearest of each row, nearest first, equal distances by row; NaN and -1 where there are fewer than k."""

    distance: Float32[Tensor, "n k"]
    """Cosine distance, 0..2."""
    row: Int64[Tensor, "n k"]
    redone: int = 0
    """How many vectors low precision could not settle, so that they were searched in float64; the result is exact anyway."""


def checked_groups(groups: Tensor | None, x: Tensor) -> Int64[Tensor, "g n"]:
    """Exclusion ids as a matrix with a row per kind of group. Raises `UsageError` if they do not fit the vectors."""
    if groups is None:
        return torch.empty(0, len(x), dtype=torch.int64, device=x.device)
    matrix = groups[None] if groups.ndim == 1 else groups
    if matrix.ndim != 2 or matrix.shape[1] != len(x) or matrix.is_floating_point():
        raise UsageError(
            f"groups of {len(x)} vectors must be integers [n] or [kinds, n], got {list(groups.shape)} {groups.dtype}",
            hint="give every vector one id per kind of group, -1 for none",
        )
    return matrix.long().to(x.device)


def within(x: Float[Tensor, "n d"], k: int, groups: Tensor | None, memory: int) -> Neighbors:
    """The k nearest other rows of every row."""
    ids = checked_groups(groups, x)
    base = prepared(x, ids, memory=memory // 2)
    rows = torch.arange(len(x), device=x.device)
    found, redone = _nearest(_lone(base, base, rows[base.rows], ids), base, ids[:, base.rows], k, memory)
    return _expanded(found, base, base.place, rows, k)._replace(redone=redone)


def between(
    queries: Float[Tensor, "q d"],
    x: Float[Tensor, "n d"],
    k: int,
    *,
    same: Int64[Tensor, " q"] | None,
    groups: tuple[Tensor, Tensor] | None,
    memory: int,
) -> Neighbors:
    """The k nearest rows of `x` for every query; ``same[q]`` is the row that query q is itself, -1 for none."""
    if queries.ndim != 2 or queries.shape[1] != x.shape[1]:
        raise UsageError(
            f"queries {list(queries.shape)} do not fit vectors {list(x.shape)}", hint="both need the same number of components"
        )
    of_query, of_base = (None, None) if groups is None else groups
    query_ids, ids = checked_groups(of_query, queries), checked_groups(of_base, x)
    base = prepared(x, ids, memory=memory // 2)
    # A different column per query keeps equal queries apart: they may be different rows of the base.
    order = torch.arange(len(queries), device=x.device)
    asking = prepared(queries, order[None])
    own = torch.full_like(order, -1) if same is None else same
    side = _lone(asking, base, own[asking.rows], query_ids)
    found, redone = _nearest(side, base, ids[:, base.rows], k, memory)
    return _expanded(found, base, asking.place, own, k)._replace(redone=redone)


def _lone(asking: Vectors, base: Vectors, same: Int64[Tensor, " a"], groups: Int64[Tensor, "g n"]) -> Side:
    """Who asks. A vector with copies may find itself, for it stands for them too; `_expanded` takes the row itself out."""
    multiplicity = torch.bincount(base.place[base.place >= 0], minlength=len(base))
    place = torch.where(same >= 0, base.place[same.clamp(min=0)] if len(base.place) else -1, -1)
    alone = (place >= 0) & (multiplicity[place.clamp(min=0)] == 1) if len(base) else place >= 0
    return Side(asking, torch.where(alone, place, -1), groups[:, asking.rows].contiguous())


def _nearest(side: Side, base: Vectors, groups: Int64[Tensor, "g m"], k: int, memory: int) -> tuple[Nearest, int]:
    q, m, device = len(side.vectors), len(base), base.x.device
    width = min(k, m)
    if not q or not width:
        return settling.empty(q, k, device), 0
    everyone = torch.arange(q, device=device)
    if m <= max(SMALL, 8 * width):
        return settling.in_full(side, base, groups, k, everyone, memory), 0
    if base.x.is_cuda:
        candidates = shortlists.on_any_device(side, base, groups, width, memory)
    else:
        candidates = shortlists.on_cpu(side, base, groups, width)
    found, failed = settling.settle(side, base, candidates, k)
    again = failed.nonzero().flatten()
    found.distance[again], found.place[again] = settling.in_full(side, base, groups, k, again, memory)
    return found, len(again)


def _expanded(found: Nearest, base: Vectors, place: Int64[Tensor, " r"], own: Int64[Tensor, " r"], k: int) -> Neighbors:
    """From vectors to rows: every asking row r is vector ``place[r]`` and never its own neighbor ``own[r]``."""
    known = (place >= 0).nonzero().flatten()
    distance = torch.full((len(place), k), torch.nan, device=place.device)
    row = torch.full((len(place), k), -1, dtype=torch.int64, device=place.device)
    distance[known] = found.distance[place[known]].float()
    places = found.place[place[known]]
    row[known] = torch.where(places >= 0, base.rows[places.clamp(min=0)], -1) if len(base) else places
    if base.has_copies:
        count = torch.bincount(base.place[base.place >= 0], minlength=len(base))
        many = known[((places >= 0) & (count[places.clamp(min=0)] > 1)).any(1)]
        for part in torch.split(many, BLOCK):
            values, rows = _with_copies(found, base, count, place[part], own[part])
            distance[part], row[part] = values.float(), rows
    return Neighbors(distance, row)


def _with_copies(found: Nearest, base: Vectors, count: Tensor, place: Int64[Tensor, " b"], own: Int64[Tensor, " b"]) -> Nearest:
    """The nearest rows where vectors stand for several: the lowest k + 1 rows of each are enough, one may be the asker."""
    k = found.place.shape[1]
    members = (base.place >= 0).nonzero().flatten()
    members = members[base.place[members].sort(stable=True).indices]
    start = count.cumsum(0) - count
    owner, column = (found.place[place] >= 0).nonzero(as_tuple=True)
    vector = found.place[place][owner, column]
    many = count[vector].clamp(max=k + 1)
    entry = torch.repeat_interleave(torch.arange(len(vector), device=vector.device), many)
    offset = torch.arange(len(entry), device=entry.device) - (many.cumsum(0) - many)[entry]
    row = members[start[vector[entry]] + offset]
    other = row != own[owner[entry]]
    entry, row = entry[other], row[other]
    values = found.distance[place][owner, column]
    return settling.ranked(owner[entry], values[entry], row, len(place), k)
