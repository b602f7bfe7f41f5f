"""Hamming distances on CPU cores: XOR and population count over blocks of codes that stay in cache."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Bool, Int64
from numba import njit
from numba.core import types as numba_types
from numba.extending import intrinsic
from torch import Tensor

from gpu_quality.kernels.hamming.reference import at_least_two
from gpu_quality.kernels.threads import spread, threads

BLOCK: Final = 1024
"""Codes of the second side handled at once: 8 KB."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@intrinsic
def popcount(_typing, _bits):
    """Number of set bits of a uint64, as the instruction of that name."""

    def code(_context, builder, _signature, arguments):
        return builder.ctpop(arguments[0])

    return numba_types.uint64(numba_types.uint64), code


@compiled
def nearest_rows(codes, begin, end, best):
    """Smallest distance of rows begin .. end to any other row."""
    n = len(codes)
    for other in range(0, n, BLOCK):
        stop = min(other + BLOCK, n)
        for row in range(begin, end):
            code, least = codes[row], best[row]
            if other <= row < stop:
                least = min(least, least_distance(code, codes[other:row]), least_distance(code, codes[row + 1 : stop]))
            else:
                least = min(least, least_distance(code, codes[other:stop]))
            best[row] = least


@compiled
def least_distance(code, others):
    """Smallest distance of one code to others; 65 if there are none."""
    least = np.uint64(65)
    for i in range(len(others)):
        least = min(least, popcount(code ^ others[i]))
    return np.int64(least)


@compiled
def lead(codes, rows, radius, leader):
    """Groups around leaders among `rows`; the codes still free are kept packed, so every round is shorter."""
    free, bits = rows.copy(), codes[rows]
    near = np.empty(len(rows), np.uint8)
    n = len(rows)
    while n > 0:
        first, code = free[0], bits[0]
        leader[first] = first
        hits = np.int64(0)
        for i in range(1, n):
            near[i] = np.uint8(popcount(code ^ bits[i]) <= radius)
        for i in range(1, n):
            hits += near[i]
        if hits == 0:
            free, bits, n = free[1:], bits[1:], n - 1
            continue
        kept = 0
        for i in range(1, n):
            if near[i]:
                leader[free[i]] = first
            else:
                free[kept], bits[kept] = free[i], bits[i]
                kept += 1
        n = kept


def nearest(codes: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Smallest Hamming distance of each code to another one, 0..64; see ``kernels.hamming``."""
    at_least_two(codes)
    bits = codes.contiguous().numpy().view(np.uint64)
    best = np.full(len(bits), 65, np.int64)
    step = -(-len(bits) // (4 * threads()))
    spread(lambda begin: nearest_rows(bits, begin, min(begin + step, len(bits)), best), range(0, len(bits), step))
    return torch.from_numpy(best)


def leaders(codes: Int64[Tensor, " n"], take: Bool[Tensor, " n"], radius: int) -> Int64[Tensor, " n"]:
    """Leader's row per row, -1 where `take` is false; see ``kernels.hamming``."""
    bits = codes.contiguous().numpy().view(np.uint64)
    leader = np.full(len(bits), -1, np.int64)
    lead(bits, np.flatnonzero(take.numpy()), np.uint64(max(radius, 0)), leader)
    return torch.from_numpy(leader)
