"""The exact index: nothing is built, nothing is missed, nothing larger than the memory it was given is allocated."""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.functional import clustering
from gpu_quality.functional.association import components
from gpu_quality.functional.ranking import SAME
from gpu_quality.index import grouping, searching
from gpu_quality.index.grouping import Groups
from gpu_quality.index.pairs import LIMIT, Pairs, of_vectors, pairs, screened
from gpu_quality.index.searching import Neighbors
from gpu_quality.index.vectors import checked, unusable, usable

MEMORY: Final = 256 << 20
"""Bytes of working space on a CPU."""


@dataclass(frozen=True)
class Exact:
    """Exact neighbors, pairs, groups and clusters of vectors by cosine, on the device that the vectors are on.

    Vectors need not have length 1; zero vectors and those with NaN or an infinity are never found and find nothing (`refused`
    lists them). `memory` bounds the working space in bytes, beside the vectors and the result: 256 MB on a CPU, half of what is
    free on CUDA.
    """

    memory: int | None = None

    def neighbors(self, x: Float[Tensor, "n d"], k: int) -> tuple[Float32[Tensor, "n k"], Int64[Tensor, "n k"]]:
        """Cosine distances and rows of the k nearest other rows, nearest first, equal ones by row; NaN and -1 past the last."""
        found = self.nearest(x, k)
        return found.distance, found.row

    def nearest(self, x: Float[Tensor, "n d"], k: int, *, groups: Tensor | None = None) -> Neighbors:
        """The same, leaving out rows that share a group: `groups` [n] or [kinds, n] holds ids of images, videos or duplicate
        groups, -1 for none. Raises `UsageError`.
        """
        return searching.within(checked(x), _positive(k), groups, self._room(x))

    def search(
        self,
        queries: Float[Tensor, "q d"],
        x: Float[Tensor, "n d"],
        k: int,
        *,
        same: Int64[Tensor, " q"] | None = None,
        groups: tuple[Tensor, Tensor] | None = None,
    ) -> Neighbors:
        """The k rows of `x` nearest to each query. ``same[q]`` is the row that query q is itself (-1: none) and never its own
        neighbor; `groups` are the group ids of the queries and of `x`. Raises `UsageError`.
        """
        room = self._room(x)
        return searching.between(checked(queries), checked(x), _positive(k), same=same, groups=groups, memory=room)

    def pairs(self, x: Float[Tensor, "n d"], at_least: float) -> Int64[Tensor, "p 2"]:
        """All pairs of rows with a cosine of at least `at_least`, the lower row first, sorted. Raises as `scored_pairs`."""
        return self.scored_pairs(x, at_least).rows

    def scored_pairs(self, x: Float[Tensor, "n d"], at_least: float, *, limit: int = LIMIT) -> Pairs:
        """The same with their cosines. Raises `UsageError`, and `ResourceError` for more than `limit` pairs."""
        return pairs(checked(x), at_least, limit)

    def groups(self, x: Float[Tensor, "n d"], at_least: float, *, order: Int64[Tensor, " n"] | None = None) -> Groups:
        """Groups of near duplicates whose members have a cosine of at least `at_least` to the leader. Raises `UsageError`."""
        return grouping.groups(checked(x), at_least, order)

    def components(self, x: Float[Tensor, "n d"], below: float = SAME) -> Int64[Tensor, " n"]:
        """The lowest row of the component of cosine distances < `below` that each row is in; -1 without a usable vector."""
        screen = screened(checked(x), 1 - below)
        base = screen.base
        lowest = torch.arange(len(base), device=x.device)
        for found in of_vectors(screen):
            lowest = components(found.rows[1 - found.cosine < below], lowest)
        known = base.place >= 0
        component = base.place.clone()
        component[known] = base.rows[lowest[base.place[known]]]
        return component

    def clusters(self, x: Float[Tensor, "n d"], k: int, seed: int = 0) -> Int64[Tensor, " n"]:
        """Cluster of every row by k-means, 0 .. k - 1; -1 without a usable vector."""
        return self.kmeans(x, k, seed).label

    def kmeans(self, x: Float[Tensor, "n d"], k: int, seed: int = 0) -> clustering.Clusters:
        """The same with centers, and distances to them (NaN without a usable vector)."""
        take = usable(x)
        if bool(take.all()):
            return clustering.kmeans(x, _positive(k), seed)
        found = clustering.kmeans(x[take], _positive(k), seed)
        label = torch.full((len(x),), -1, dtype=torch.int64, device=x.device)
        distance = torch.full((len(x),), torch.nan, dtype=torch.float64, device=x.device)
        label[take], distance[take] = found.label, found.distance
        return clustering.Clusters(label, distance, found.center)

    def refused(self, x: Float[Tensor, "n d"]) -> Int64[Tensor, " u"]:
        """Rows that cannot be compared: zero, or with NaN or an infinity."""
        return unusable(x)

    def _room(self, x: Tensor) -> int:
        if self.memory is not None:
            return self.memory
        return int(torch.cuda.mem_get_info(x.device)[0]) // 2 if x.is_cuda else MEMORY


def _positive(k: int) -> int:
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}", hint="ask for one neighbor or cluster or more")
    return k
