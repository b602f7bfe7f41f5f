"""Which vectors may be among the nearest: scores in bfloat16 with a proven error, so that nothing near is ever left out.

Let b be a bfloat16 score, s the true cosine, u = 2^-9. With rounded vectors off by r_i and r_j (measured, Cauchy-Schwarz),
``|b - s| <= e_i + u |b|``, ``e_i = r_i (1 + r_max) + r_max + accumulation``. The k best scores of a row are those of k true
vectors, so the k-th best cosine is at least ``T - e_i - u |T|``, T the k-th best score; whatever reaches that has a score of at
least ``T - 2 e_i - 2 u |T|``. All such vectors are kept; a row that has no room for them is searched in float64.
"""

from typing import NamedTuple

import torch
from jaxtyping import BFloat16, Bool, Float32, Int32, Int64
from torch import Tensor

from gpu_quality.index.vectors import ROUNDING, Vectors, accumulation

TILE = 4096
"""Vectors on each side of a tile on a CPU, 32 MB of scores: smaller tiles lose time at their barriers on a busy machine."""
ROOM = 44
"""Places a list has above 2 k: normally distributed cosines need about 2 k (k + 22 measured at 50k x 512)."""


class Side(NamedTuple):
    """Those who ask: for each the vector of the base that it is itself (-1: none), and its groups."""

    vectors: Vectors
    same: Int64[Tensor, " q"]
    groups: Int64[Tensor, "g q"]


class Candidates(NamedTuple):
    """Per asking vector what may be near, -1 where there is nothing more; and who must be searched in full instead."""

    rows: Int32[Tensor, "q c"]
    low: BFloat16[Tensor, "q c"]
    """Low-precision scores."""
    bound: Float32[Tensor, " q"]
    """e_i: how far such a score may be off, besides its own rounding."""
    failed: Bool[Tensor, " q"]


def bounds(own: Vectors, other: Vectors) -> Float32[Tensor, " q"]:
    """e_i of every asking vector."""
    mine = own.residuals()
    largest = float((mine if other is own else other.residuals()).max())
    return mine * (1 + largest) + largest + accumulation(own.x.shape[1])


def scores(a: BFloat16[Tensor, "a d"], b: BFloat16[Tensor, "b d"], buffer: BFloat16[Tensor, " s"]) -> BFloat16[Tensor, "a b"]:
    """Scores of two blocks, in a buffer: fresh memory would cost as much as the product of short vectors.

    Float32 products are rounded where the machine has no fast bfloat16.
    """
    out = buffer[: len(a) * len(b)].view(len(a), len(b))
    if a.is_cuda or fast_bfloat16():
        return torch.mm(a, b.T, out=out)
    return out.copy_(a.float() @ b.float().T)


def fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices at least as fast as float32 ones."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def on_cpu(side: Side, base: Vectors, groups: Int64[Tensor, "g m"], k: int) -> Candidates:
    """Shortlists from tiles; where the base asks about itself a tile serves its rows and its columns, and half are enough."""
    from gpu_quality.kernels.neighbors import cpu

    asking = side.vectors
    bound = bounds(asking, base)
    slack = (2 * bound + 1e-6).numpy()
    lists = cpu.Shortlists(len(asking), k, 2 * k + ROOM, slack)
    same, of_base, of_side = side.same.numpy(), groups.contiguous().numpy(), side.groups.contiguous().numpy()
    mirrored, buffer = asking is base, torch.empty(min(TILE, len(asking)) * min(TILE, len(base)), dtype=torch.bfloat16)
    for first in range(0, len(asking), TILE):
        rows = asking.block(first, first + TILE)
        for other in range(first if mirrored else 0, len(base), TILE):
            tile = scores(rows, base.block(other, other + TILE), buffer)
            lists.offer(tile, first, other, same, of_base, of_side)
            if mirrored and other > first:
                lists.offer_back(tile, first, other, of_base, of_side)
    return Candidates(*lists.result(), bound, torch.from_numpy(lists.count < 0))


def on_any_device(side: Side, base: Vectors, groups: Int64[Tensor, "g m"], k: int, memory: int) -> Candidates:
    """Shortlists from whole rows of scores, by the maxima of blocks of 64: the best scores lie in the blocks of best maxima."""
    asking, m = side.vectors, len(base)
    bound, width = bounds(asking, base), min(2 * k + ROOM, m)
    step = max(64, min(8192, memory // (8 * m)))
    parts, buffer = [], torch.empty(min(step, len(asking)) * m, dtype=torch.bfloat16, device=base.x.device)
    with _exact_reduction():
        everything = base.block(0, m)
        for first in range(0, len(asking), step):
            found = scores(asking.block(first, first + step), everything, buffer)
            hide(found, side, groups, first)
            parts.append(_best(found, width))
    low, rows = (torch.cat(t) for t in zip(*parts, strict=True))
    return _checked(Candidates(rows.int(), low, bound, torch.zeros_like(bound, dtype=torch.bool)), k, m)


def hide(found: Tensor, side: Side, groups: Int64[Tensor, "g m"], first: int) -> None:
    """Give -inf to scores of vectors with themselves and with others of their groups; row 0 is asking vector `first`."""
    same = side.same[first : first + len(found)]
    known = (same >= 0).nonzero().flatten()
    found[known, same[known]] = -torch.inf
    for mine, theirs in zip(side.groups, groups, strict=True):
        own = mine[first : first + len(found), None]
        found.masked_fill_((own == theirs) & (own >= 0), -torch.inf)


def _checked(found: Candidates, k: int, m: int) -> Candidates:
    """Keep what may be near; a row whose last kept score may still be near has not been given room enough."""
    low, width = found.low.float(), found.low.shape[1]
    kth = low[:, k - 1] if width >= k else torch.full_like(low[:, 0], -torch.inf)
    gate = kth - 2 * found.bound - 2.05 * ROUNDING * kth.abs() - 1e-6
    gate = torch.where(kth.isfinite(), gate, -torch.inf)
    failed = (low[:, -1] >= gate) & low[:, -1].isfinite() & (width < m)
    keep = (low >= gate[:, None]) & low.isfinite()
    return Candidates(torch.where(keep, found.rows, -1), found.low, found.bound, failed)


def _best(found: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The `width` best scores of each row and their columns."""
    q, m = found.shape
    blocks = -(-m // 64)
    if blocks <= 2 * width:
        top = found.topk(width, 1)
        return top.values, top.indices
    padded = torch.nn.functional.pad(found, (0, 64 * blocks - m), value=-torch.inf).view(q, blocks, 64)
    chosen = padded.amax(2).topk(width, 1).indices
    inside = padded.gather(1, chosen[:, :, None].expand(-1, -1, 64)).flatten(1)
    top = inside.topk(width, 1)
    return top.values, chosen.gather(1, top.indices // 64) * 64 + top.indices % 64


class _exact_reduction:  # noqa: N801 - reads as the statement it is
    """Sums of bfloat16 products on CUDA stay float32 inside; the setting before is put back."""

    def __enter__(self) -> None:
        self.before = torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False

    def __exit__(self, *_: object) -> None:
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = self.before
