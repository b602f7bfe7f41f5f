"""Vectors made ready for searching: which can be used, which are copies, and low-precision blocks with a bound."""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import BFloat16, Bool, Float, Float32, Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.kernels import neighbors

BLOCK: Final = 2048
"""Vectors per block: a tile of scores of two blocks is 8 MB and stays in the cache of most machines."""
ROUNDING: Final = 2.0**-9
"""Largest relative error of rounding to bfloat16 (8 significant bits)."""
_SAMPLED: Final = 32
"""Components that are compared first when copies are looked for."""


def checked(x: Tensor) -> Tensor:
    """`x` if it can be searched. Raises `UsageError` if it is no matrix of floats."""
    if x.ndim != 2 or not x.is_floating_point():
        raise UsageError(
            f"vectors must be a float matrix [n, d], got {str(x.dtype).removeprefix('torch.')} {list(x.shape)}",
            hint="pass one row per vector, float16 or float32",
        )
    return x.detach()


def square_lengths(x: Float[Tensor, "n d"]) -> Float64[Tensor, " n"]:
    """Squared length of every vector by the same sum as the scalar products, so that a copy has a cosine of exactly 1."""
    rows = torch.arange(len(x), device=x.device)
    return neighbors.dots(x, x, rows, rows)


def usable(x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
    """Which vectors have a direction: finite and not zero."""
    square = square_lengths(checked(x))
    return square.isfinite() & (square > 0)


def unusable(x: Float[Tensor, "n d"]) -> Int64[Tensor, " u"]:
    """Rows that are never anyone's neighbor and have none: zero vectors, and those that hold NaN or an infinity."""
    return (~usable(x)).nonzero().flatten()


@dataclass(frozen=True, slots=True)
class Vectors:
    """The usable, mutually different vectors of a matrix, in row order; copies are represented by their lowest row."""

    x: Float[Tensor, "n d"]
    square: Float64[Tensor, " n"]
    """Squared lengths of all rows."""
    rows: Int64[Tensor, " m"]
    """Row of every vector in `x`."""
    place: Int64[Tensor, " n"]
    """Which vector stands for a row; -1 for unusable rows."""
    low: BFloat16[Tensor, "m d"] | None = None
    """All vectors in low precision, where memory allows."""

    def __len__(self) -> int:
        """Number of vectors."""
        return len(self.rows)

    @property
    def has_copies(self) -> bool:
        """Whether a vector stands for several rows."""
        return len(self.rows) < int((self.place >= 0).sum())

    def unit(self, begin: int, stop: int) -> Float32[Tensor, "b d"]:
        """Vectors begin .. stop scaled to length 1, off by at most 2^-22 of it."""
        rows = self.rows[begin:stop]
        whole = len(rows) > 0 and int(rows[-1] - rows[0]) == len(rows) - 1
        return self._scaled(self.x[int(rows[0]) : int(rows[-1]) + 1] if whole else self.x[rows], rows)

    def units(self, places: Int64[Tensor, " b"]) -> Float32[Tensor, "b d"]:
        """The same for chosen vectors."""
        rows = self.rows[places]
        return self._scaled(self.x[rows], rows)

    def _scaled(self, block: Float[Tensor, "b d"], rows: Int64[Tensor, " b"]) -> Float32[Tensor, "b d"]:
        scale = self.square[rows].rsqrt()
        if bool(((scale > 1e-30) & (scale < 1e30)).all()):
            return block.float() * scale.float()[:, None]
        scaled: Tensor = (block.double() * scale[:, None]).float()
        return scaled

    def block(self, begin: int, stop: int) -> BFloat16[Tensor, "b d"]:
        """The same in low precision."""
        return self.unit(begin, stop).bfloat16() if self.low is None else self.low[begin:stop]

    def cosines(self, i: Int64[Tensor, " p"], j: Int64[Tensor, " p"]) -> Float64[Tensor, " p"]:
        """Cosines of pairs of vectors; exactly 1 for a vector and itself."""
        return cosines(self, self, i, j)

    def residuals(self) -> Float32[Tensor, " m"]:
        """How far each vector moves when it is rounded to low precision (not more than this)."""
        parts = [residual(self.unit(b, b + BLOCK)) for b in range(0, len(self), BLOCK)]
        return torch.cat(parts) if parts else torch.empty(0, device=self.x.device)


def cosines(own: Vectors, other: Vectors, i: Int64[Tensor, " p"], j: Int64[Tensor, " p"]) -> Float64[Tensor, " p"]:
    """Cosines of vectors i of one set with vectors j of another: float64 sums of exact products."""
    rows, columns = own.rows[i], other.rows[j]
    # The product of two squares may leave the range of float64 only where their roots do not.
    length = (own.square[rows] * other.square[columns]).sqrt()
    split = own.square[rows].sqrt() * other.square[columns].sqrt()
    length = torch.where((length > 1e-140) & (length < 1e140), length, split)
    return neighbors.dots(own.x, other.x, rows, columns) / length


def residual(unit: Float32[Tensor, "b d"]) -> Float32[Tensor, " b"]:
    """Length of what rounding to bfloat16 takes from each vector, rounded up."""
    lost: Tensor = (unit - unit.bfloat16().float()).norm(dim=1)
    return lost * (1 + 1e-4) + 1e-7


def accumulation(d: int) -> float:
    """Largest error of a float32 sum of d products of two unit vectors, and of scaling them to unit length."""
    return 1.1 * (d + 4) * 2.0**-23 + 2.0**-20


def prepared(x: Float[Tensor, "n d"], groups: Int64[Tensor, "g n"] | None = None, *, memory: int = 0) -> Vectors:
    """Vectors ready for a search; only copies with equal `groups` are merged, for they have the same neighbors.

    A low-precision copy of all of them is kept where it needs no more than `memory` bytes.
    """
    x = checked(x).contiguous()
    square = square_lengths(x)
    take = (square.isfinite() & (square > 0)).nonzero().flatten()
    leader = copies(x, take, groups)
    rows = take[leader == take]
    place = torch.full((len(x),), -1, dtype=torch.int64, device=x.device)
    place[take] = torch.searchsorted(rows, leader)
    found = Vectors(x, square, rows, place)
    if not 0 < 2 * len(rows) * x.shape[1] <= memory:
        return found
    low = torch.empty(len(rows), x.shape[1], dtype=torch.bfloat16, device=x.device)
    for begin in range(0, len(rows), BLOCK):
        low[begin : begin + BLOCK] = found.block(begin, begin + BLOCK)
    return Vectors(x, square, rows, place, low)


def copies(x: Float[Tensor, "n d"], take: Int64[Tensor, " t"], groups: Int64[Tensor, "g n"] | None) -> Int64[Tensor, " t"]:
    """The lowest row that equals each row of `take` in every bit (and in its groups)."""
    if len(take) < 2:
        return take
    code = _codes(x, take, groups)
    ordered = torch.sort(code, stable=True)
    fresh = torch.ones_like(take, dtype=torch.bool)
    fresh[1:] = ordered.values[1:] != ordered.values[:-1]
    start = fresh.nonzero().flatten()[fresh.cumsum(0) - 1]
    first = torch.empty_like(take).index_copy_(0, ordered.indices, take[ordered.indices[start]])
    alike = (first != take).nonzero().flatten()
    leader = take.clone()
    for part in torch.split(alike, BLOCK):
        own, other = take[part], first[part]
        same = (x[own] == x[other]).all(1)
        if groups is not None:
            same &= (groups[:, own] == groups[:, other]).all(0)
        leader[part[same]] = other[same]
    return leader


def _codes(x: Tensor, take: Tensor, groups: Tensor | None) -> Int64[Tensor, " t"]:
    """A number per row that copies share and different vectors hardly ever do."""
    columns = torch.linspace(0, x.shape[1] - 1, min(_SAMPLED, x.shape[1]), device=x.device).long()
    columns = torch.unique_consecutive(columns)
    weights = torch.arange(1, len(columns) + 1, device=x.device) * 0x5851F42D4C957F2D | 1
    code = torch.empty_like(take)
    for begin in range(0, len(take), BLOCK):
        some = x[take[begin : begin + BLOCK, None], columns].double() + 0.0  # -0 becomes 0
        code[begin : begin + BLOCK] = (some.view(torch.int64) * weights).sum(1)
    for group in groups if groups is not None else ():
        code = code * 0x14057B7EF767814F + group[take]
    return code
