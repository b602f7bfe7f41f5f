"""Frames that have a duplicate on another side: in another split, or in another run."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.analysis.duplicates_links import Links


class Leaks(NamedTuple):
    """A frame, its most similar duplicate on one other side, and what speaks for it; every pair once, in order."""

    rows: Int64[Tensor, "p 2"]
    """Frame, and the frame on the other side. A frame may have one partner on each other side."""
    hash: Float64[Tensor, " p"]
    """Similarity by hash; NaN where that says nothing."""
    cosine: Float64[Tensor, " p"]
    same: Bool[Tensor, " p"]
    """The two are equal in every pixel."""


def leaks(links: Links, content: Int64[Tensor, " n"], alike: Bool[Tensor, " n"], side: Int64[Tensor, " n"]) -> Leaks:
    """The most similar partner of every frame on every other side.

    `links` are pairs of rows of `content`, the first frame with the same pixels; `alike` says of such a first frame whether its
    copies are duplicates; `side` is -1 for frames that are on none.
    """
    step = _directed(links, content, alike)
    parts = [_towards(step, content, side, other) for other in range(int(side.max()) + 1 if len(side) else 0)]
    empty = torch.empty(0, dtype=torch.float64)
    none = Leaks(torch.empty(0, 2, dtype=torch.int64), empty, empty, torch.empty(0, dtype=torch.bool))
    found = Leaks(*(torch.cat(columns) for columns in zip(none, *parts, strict=True)))
    low, high = found.rows.amin(1), found.rows.amax(1)
    _, order = np.unique((low * max(len(side), 1) + high).numpy(), return_index=True)
    place = torch.from_numpy(order)
    rows = found.rows[place]
    lower = side[rows[:, 0]] < side[rows[:, 1]]
    return Leaks(torch.where(lower[:, None], rows, rows.flip(1)), found.hash[place], found.cosine[place], found.same[place])


def _directed(links: Links, content: Tensor, alike: Tensor) -> Leaks:
    """Every link from both its ends, and every picture to itself where its copies are duplicates."""
    own = (alike & (content == torch.arange(len(content)))).nonzero().flatten()
    self_hash = torch.full((len(own),), torch.nan, dtype=torch.float64)
    rows = torch.cat([links.rows, links.rows.flip(1), torch.stack([own, own], 1)])
    hashes, cosines = torch.cat([links.hash, links.hash, self_hash]), torch.cat([links.cosine, links.cosine, self_hash])
    return Leaks(rows, hashes, cosines, rows[:, 0] == rows[:, 1])


def _towards(step: Leaks, content: Tensor, side: Tensor, other: int) -> Leaks:
    """The most similar partner on side `other` of every frame that is on another side; the lowest row of equals."""
    n = len(side)
    there = (side == other).nonzero().flatten()
    partner = torch.full((n,), n, dtype=torch.int64).scatter_reduce(0, content[there], there, "amin")
    take = partner[step.rows[:, 1]] < n
    start, target = step.rows[take, 0], partner[step.rows[take, 1]]
    strength = torch.where(step.same[take], 2.0, torch.fmax(step.hash[take], step.cosine[take]))
    order = torch.from_numpy(np.lexsort([target.numpy(), -strength.numpy(), start.numpy()]))
    first = torch.ones(len(order), dtype=torch.bool)
    first[1:] = start[order][1:] != start[order][:-1]
    best = torch.full((n,), -1, dtype=torch.int64)
    best[start[order][first]] = order[first]
    frame = ((side >= 0) & (side != other) & (best[content] >= 0)).nonzero().flatten()
    chosen = best[content[frame]]
    rows = torch.stack([frame, target[chosen]], 1)
    return Leaks(rows, step.hash[take][chosen], step.cosine[take][chosen], step.same[take][chosen])
