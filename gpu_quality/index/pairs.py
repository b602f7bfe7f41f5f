"""All pairs of vectors that are at least so similar, without ever holding more than a tile of the matrix of all pairs."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import torch
from jaxtyping import BFloat16, Float, Float64, Int64
from torch import Tensor

from gpu_quality.errors import ResourceError, UsageError
from gpu_quality.index.shortlists import scores
from gpu_quality.index.sketches import Sketch, sketched
from gpu_quality.index.vectors import Vectors, prepared

TILE: Final = 2048
"""Vectors on each side of a tile on a CPU: 8 MB of scores."""
CUDA_TILE: Final = 8192
PART: Final = 1 << 18
"""Pairs that are looked at exactly at a time."""
LIMIT: Final = 50_000_000
"""Pairs that are returned at most: 1.2 GB."""


class Pairs(NamedTuple):
    """Two rows and their cosine, sorted by the first and then the second row; the first is the lower one."""

    rows: Int64[Tensor, "p 2"]
    cosine: Float64[Tensor, " p"]


class Screen:
    """Finds what may be similar in tiles of sketches, and keeps what is."""

    def __init__(self, base: Vectors, sketch: Sketch, at_least: float) -> None:
        self.base, self.low, self.at_least = base, sketch.low, at_least
        self.tile = CUDA_TILE if base.x.is_cuda else TILE
        self.limit = at_least - sketch.error
        self.sieve = self._sieve()
        side = min(self.tile, max(1, len(base)))
        self.buffer = torch.empty(side**2, dtype=torch.bfloat16, device=base.x.device)

    def _sieve(self) -> Callable[[BFloat16[Tensor, "a b"]], Int64[Tensor, " h"]]:
        if self.low.is_cuda:
            # Rounding keeps order: a score that reaches the limit is not below the rounded limit.
            limit = torch.tensor(self.limit, device=self.low.device).bfloat16()
            return lambda tile: (tile >= limit).flatten().nonzero().flatten()
        from gpu_quality.kernels.neighbors.cpu import Sieve

        side = min(self.tile, max(1, len(self.base)))
        return Sieve(side, side, self.limit)

    def similar(self, rows: Int64[Tensor, " a"], columns: Int64[Tensor, " b"], *, upper: bool) -> Pairs:
        """Pairs of a tile that are similar enough, as places among `rows` and `columns`; only those with i < j if `upper`."""
        a, b = self.low[rows], self.low[columns]
        found = self.sieve(scores(a, b, self.buffer))
        parts = [self._exact(rows, columns, part, upper=upper) for part in torch.split(found, PART)]
        return joined(parts, rows.device)

    def _exact(self, rows: Tensor, columns: Tensor, found: Int64[Tensor, " h"], *, upper: bool) -> Pairs:
        i, j = found // len(columns), found % len(columns)
        if upper:
            i, j = i[i < j], j[i < j]
        cosine = self.base.cosines(rows[i], columns[j])
        near = cosine >= self.at_least
        return Pairs(torch.stack([i[near], j[near]], 1), cosine[near])


def joined(parts: list[Pairs], device: torch.device) -> Pairs:
    """All pairs of all parts, in their order."""
    none = Pairs(torch.empty(0, 2, dtype=torch.int64, device=device), torch.empty(0, dtype=torch.float64, device=device))
    return Pairs(*(torch.cat(t) for t in zip(none, *parts, strict=True)))


def screened(x: Float[Tensor, "n d"], at_least: float) -> Screen:
    """The screen for pairs of rows of `x`. Raises `UsageError` if the threshold is no cosine."""
    if not -1 <= at_least <= 1:
        raise UsageError(f"at_least must be a cosine, -1 to 1, got {at_least}", hint="1 finds copies, .97 near duplicates")
    base = prepared(x)
    return Screen(base, sketched(base, at_least), at_least)


def pairs(x: Float[Tensor, "n d"], at_least: float, limit: int = LIMIT) -> Pairs:
    """All pairs of rows with a cosine of at least `at_least`, exact.

    Raises
    ------
    UsageError
        The threshold is no cosine.
    ResourceError
        There are more than `limit` pairs.
    """
    screen = screened(x, at_least)
    base, parts, total = screen.base, [], 0
    multiplicity = torch.bincount(base.place[base.place >= 0], minlength=len(base))
    _refuse_more(int((multiplicity * (multiplicity - 1) // 2).sum()), limit, at_least)
    for found in of_vectors(screen):
        total += int(multiplicity[found.rows].prod(1).sum())
        _refuse_more(total, limit, at_least)
        parts.append(found)
    return _sorted(_of_rows(joined(parts, x.device), base, multiplicity), len(x))


def of_vectors(screen: Screen) -> Iterator[Pairs]:
    """Similar pairs of different vectors, as places in `screen.base`, tile by tile."""
    places = torch.arange(len(screen.base), device=screen.base.x.device)
    for first in range(0, len(places), screen.tile):
        own = places[first : first + screen.tile]
        for other in range(first, len(places), screen.tile):
            found = screen.similar(own, places[other : other + screen.tile], upper=other == first)
            if len(found.cosine):
                yield Pairs(found.rows + torch.tensor([first, other], device=places.device), found.cosine)


def _refuse_more(total: int, limit: int, at_least: float) -> None:
    if total > limit:
        raise ResourceError(
            f"more than {limit:,} pairs have a cosine of at least {at_least}",
            hint="raise the threshold, ask for groups instead of pairs, or raise the limit",
        )


def _of_rows(found: Pairs, base: Vectors, count: Int64[Tensor, " m"]) -> Pairs:
    """From pairs of vectors to pairs of rows: a vector with copies stands for all of them, and they are pairs too."""
    if not base.has_copies:
        return Pairs(base.rows[found.rows], found.cosine)
    members = (base.place >= 0).nonzero().flatten()
    members = members[base.place[members].sort(stable=True).indices]
    start = count.cumsum(0) - count
    own = torch.arange(len(base), device=count.device)
    every = torch.cat([found.rows, torch.stack([own, own], 1)[count > 1]])
    cosine = torch.cat([found.cosine, torch.ones(int((count > 1).sum()), dtype=torch.float64, device=count.device)])
    many = count[every].prod(1)
    entry = torch.repeat_interleave(torch.arange(len(every), device=count.device), many)
    offset = torch.arange(len(entry), device=count.device) - (many.cumsum(0) - many)[entry]
    a, b = every[entry].unbind(1)
    left, right = members[start[a] + offset // count[b]], members[start[b] + offset % count[b]]
    take = (a != b) | (left < right)
    rows = torch.stack([torch.minimum(left, right), torch.maximum(left, right)], 1)
    return Pairs(rows[take], cosine[entry[take]])


def _sorted(found: Pairs, n: int) -> Pairs:
    order = (found.rows[:, 0] * n + found.rows[:, 1]).sort().indices
    return Pairs(found.rows[order], found.cosine[order])
