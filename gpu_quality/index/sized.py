"""The index a run searches with: exact as long as that is affordable, one of faiss where it is not, the choice told."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from gpu_quality.index import faiss
from gpu_quality.index.choice import Choice, choose
from gpu_quality.index.exact import Exact
from gpu_quality.index.searching import Neighbors, checked_groups

SPARE: Final = 32
"""Neighbors asked for beyond k where some may have to be left out."""
TOLD: Final = 20_000
"""Data sets from this size on are worth a sentence about how they are searched."""


@dataclass(frozen=True)
class Sized(Exact):
    """`Exact`, but for neighbors of more vectors than an exact search affords: those come from an index of faiss.

    `kind` is "auto" or the name of an index; `say` gets a sentence about each choice. Pairs, groups and components are always
    exact: they cost less. Raises `ConfigError` for an unknown kind.
    """

    kind: str = "auto"
    say: Callable[[str], None] | None = None

    def neighbors(self, x: Float[Tensor, "n d"], k: int) -> tuple[Float32[Tensor, "n k"], Int64[Tensor, "n k"]]:
        """Cosine distances and rows of the k nearest other rows; NaN and -1 past the last."""
        found = self.nearest(x, k)
        return found.distance, found.row

    def nearest(self, x: Float[Tensor, "n d"], k: int, *, groups: Tensor | None = None) -> Neighbors:
        """The same, leaving out rows that share a group. Raises `UsageError`."""
        choice = self._choice(x)
        if choice.name == "exact":
            return super().nearest(x, k, groups=groups)
        ids = checked_groups(groups, x)
        index = faiss.build(x, faiss.Setting(choice.name))
        found = index.search(x, k + (SPARE if len(ids) else 0), same=torch.arange(len(x)))
        if not len(ids):
            return found
        full = (found.row >= 0).all(1)
        found = _without_group(found, ids.cpu(), k)
        short = (full & (found.row < 0).any(1)).nonzero().flatten()
        if len(short):  # more of their own group were near than could be spared: those are searched exactly
            exact = super().search(x[short], x, k, same=short, groups=(ids[:, short], ids))
            found.distance[short], found.row[short] = exact.distance, exact.row
        return found

    def _choice(self, x: Tensor) -> Choice:
        wanted = None if self.kind == "auto" else self.kind
        choice = choose(*x.shape, memory=_memory(), cuda=x.is_cuda, wanted=wanted)
        if self.say is not None and (len(x) >= TOLD or choice.name != "exact"):
            self.say(choice.why)
        return choice


def _memory() -> int:
    """Half of this machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _without_group(found: Neighbors, ids: Int64[Tensor, "g n"], k: int) -> Neighbors:
    """The first k neighbors of each row that share no group with it."""
    there = found.row >= 0
    theirs = ids[:, found.row.clamp(min=0)]  # g n k+
    own = ids[:, :, None]
    there &= ~((theirs == own) & (own >= 0)).any(0)
    order = (~there).to(torch.int8).sort(dim=1, stable=True).indices[:, :k]
    kept = there.gather(1, order)
    return Neighbors(
        torch.where(kept, found.distance.gather(1, order), torch.nan), torch.where(kept, found.row.gather(1, order), -1)
    )
