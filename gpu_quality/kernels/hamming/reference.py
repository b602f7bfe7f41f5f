"""Hamming distances in plain torch, on any device: the definition of the fast kernel."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

BLOCK = 4096
"""Codes compared with all others at a time."""


def popcount(bits: Tensor) -> Tensor:
    """Number of set bits of every int64."""
    count = torch.zeros_like(bits)
    for _ in range(8):
        byte = bits & 0xFF
        byte = byte - ((byte >> 1) & 0x55)
        byte = (byte & 0x33) + ((byte >> 2) & 0x33)
        count += (byte + (byte >> 4)) & 0x0F
        bits = bits >> 8
    return count


def at_least_two(codes: Tensor) -> None:
    """Refuse sets in which no code has another.

    Raises
    ------
    ValueError
        There are fewer than two codes.
    """
    if len(codes) < 2:
        raise ValueError(f"the nearest other code needs at least 2 codes, got {len(codes)}")


def nearest(codes: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Smallest Hamming distance of each code to another one, 0..64; see ``kernels.hamming``."""
    at_least_two(codes)
    found = []
    for start in range(0, len(codes), BLOCK):
        rows = codes[start : start + BLOCK]
        best = torch.full_like(rows, 65)
        for other in range(0, len(codes), BLOCK):
            distance = popcount(rows[:, None] ^ codes[None, other : other + BLOCK])
            if other == start:
                distance.fill_diagonal_(65)
            best = torch.minimum(best, distance.amin(1))
        found.append(best)
    return torch.cat(found)


def leaders(codes: Int64[Tensor, " n"], take: Bool[Tensor, " n"], radius: int) -> Int64[Tensor, " n"]:
    """Leader's row per row, -1 where `take` is false; see ``kernels.hamming``."""
    lead = torch.full_like(codes, -1)
    free = take.clone()
    for row in take.nonzero().flatten().tolist():
        if free[row]:
            near = free & (popcount(codes ^ codes[row]) <= radius)
            near[row] = True
            lead[near] = row
            free &= ~near
    return lead
