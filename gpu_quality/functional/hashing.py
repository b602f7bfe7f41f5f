"""64-bit hashes of images as int64 bit patterns, first bit most significant; and groups of rows that are equal."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

_SIGN = -(1 << 63)
_FIRST, _SECOND = 0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64)


def mix64(x: Int64[Tensor, "*s"]) -> Int64[Tensor, "*s"]:
    """The finalizer of SplitMix64: every input bit changes about half of the output bits."""
    x = (x ^ _shift(x, 30)) * _FIRST
    x = (x ^ _shift(x, 27)) * _SECOND
    return x ^ _shift(x, 31)


def _shift(x: Tensor, by: int) -> Tensor:
    return (x >> by) & ((1 << (64 - by)) - 1)


def content_hash(content: Int64[Tensor, " n"], width: Tensor, height: Tensor) -> Int64[Tensor, " n"]:
    """The order-free content sum and the shape of a frame in one number; its own inverse in the first argument."""
    return content ^ mix64((width.long() << 32) | height.long())


def pack(bits: Bool[Tensor, "... 64"]) -> Int64[Tensor, "..."]:
    """64 bits as one int64, the first bit most significant."""
    places = torch.tensor([_SIGN, *(1 << p for p in range(62, -1, -1))], device=bits.device)
    return (bits * places).sum(-1)


def hamming(a: Int64[Tensor, "*s"], b: Int64[Tensor, "*s"]) -> Int64[Tensor, "*s"]:
    """Number of bits in which two hashes differ, 0..64."""
    x = a ^ b
    x = x - (_shift(x, 1) & 0x5555555555555555)
    x = (x & 0x3333333333333333) + (_shift(x, 2) & 0x3333333333333333)
    x = (x + _shift(x, 4)) & 0x0F0F0F0F0F0F0F0F
    return _shift(x * 0x0101010101010101, 56)


def cosine_table(device: torch.device | None = None) -> Int64[Tensor, "8 32"]:
    """``round(2^20 cos(pi k (2n + 1) / 64))``, k = 0..7, n = 0..31."""
    rows = [[round((1 << 20) * math.cos(math.pi * k * (2 * n + 1) / 64)) for n in range(32)] for k in range(8)]
    return torch.tensor(rows, device=device)


def low_frequencies(thumbnail: UInt8[Tensor, "b 32 32"]) -> Int64[Tensor, "b 8 8"]:
    """The 8 x 8 lowest coefficients of the cosine transform, exact: at most 255 * 1024 * 2^40 < 2^58."""
    table = cosine_table(thumbnail.device)
    # matmul of integers exists on no GPU, a broadcast product does
    rows = (table[None, :, :, None] * thumbnail.long()[:, None]).sum(2)  # [b, 8, 32]
    return (rows[:, :, None, :] * table[None, None]).sum(3)  # [b, 8, 8]


def _above_median(coefficients: Int64[Tensor, "... 8 8"]) -> Int64[Tensor, "..."]:
    flat = coefficients.flatten(-2)  # [..., 64]
    ordered = flat.sort(-1).values
    return pack(2 * flat > ordered[..., 31:32] + ordered[..., 32:33])


def phash(thumbnail: UInt8[Tensor, "b 32 32"]) -> Int64[Tensor, " b"]:
    """Which of the 64 lowest frequencies lie above their median."""
    return _above_median(low_frequencies(thumbnail))


def phash_d4(thumbnail: UInt8[Tensor, "b 32 32"]) -> Int64[Tensor, " b"]:
    """Smallest `phash` over the 8 rotations and flips: a flip changes the sign of odd rows or columns."""
    d = low_frequencies(thumbnail)
    sign = torch.tensor([1, -1, 1, -1, 1, -1, 1, -1], device=d.device)
    variants = [a * p * q for a in (d, d.mT) for p in (1, sign) for q in (1, sign[:, None])]
    return _lowest(_above_median(torch.stack(variants, 1)))


def _lowest(codes: Int64[Tensor, "b v"]) -> Int64[Tensor, " b"]:
    """Smallest of each row as unsigned numbers: flipping the sign bit makes the signed order the unsigned one."""
    return (codes ^ _SIGN).min(1).values ^ _SIGN


def dhash(wide: UInt8[Tensor, "b 8 9"]) -> Int64[Tensor, " b"]:
    """Where brightness grows from left to right."""
    return pack((wide[:, :, 1:] > wide[:, :, :-1]).flatten(1))


def dhash_d4(wide: UInt8[Tensor, "b 8 9"], tall: UInt8[Tensor, "b 9 8"]) -> Int64[Tensor, " b"]:
    """Smallest `dhash` over the 8 rotations and flips."""
    variants = [base.flip(axes) for base in (wide, tall.mT) for axes in ((), (1,), (2,), (1, 2))]
    return _lowest(torch.stack([dhash(v) for v in variants], 1))


def equal_rows(columns: Sequence[Tensor], take: Bool[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """For each row, the first row that equals it in every column; rows without `take` equal only themselves."""
    rows = torch.arange(take.numel(), device=take.device)
    group = torch.where(take, 0, rows + 1)
    for column in columns:
        _, code = torch.unique(column, return_inverse=True)
        _, group = torch.unique(group * (take.numel() + 1) + code, return_inverse=True)
    first = torch.full_like(rows, take.numel()).scatter_reduce(0, group, rows, "amin")
    return first[group]


def group_sizes(leader: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Number of rows with the same leader, per row; rows with leader -1 are alone."""
    take = leader >= 0
    counts = torch.bincount(leader[take], minlength=leader.numel())
    return torch.where(take, counts[leader.clamp(min=0)], 1) if leader.numel() else leader.clone()
