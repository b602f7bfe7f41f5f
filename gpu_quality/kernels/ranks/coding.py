"""Codes of ranked rows: a level and a fine position in 32 bits, and the table of digammas their sums are made of."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

K: Final = 3
"""Neighbors."""
U_BITS: Final = 20
"""Bits of the fine position of a row between two ranks."""
LEVEL_BITS: Final = 12
"""Bits of a level."""
UNIT: Final = 1 << 36
"""One, in the fixed-point numbers of the table: a sum of a million of them is below 2^63, whatever their order."""


def hashed(rows: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """A random 64-bit number for every row id (splitmix64), the same wherever it is computed."""
    z = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(mixed(seed + 0x632BE59BD9B4E019))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def mixed(state: int) -> int:
    """The hash of one number."""
    whole = (1 << 64) - 1
    z = state & whole
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & whole
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & whole
    return z ^ (z >> 31)


def encoded(level: NDArray[np.int64], hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Fine position (the low bits of the hash) and level of every row in one number.

    Raises
    ------
    ValueError
        There are more than 4,096 levels.
    """
    if level.size and int(level.max()) >> LEVEL_BITS:
        raise ValueError(f"at most {1 << LEVEL_BITS} levels, got {int(level.max()) + 1}")
    fine = hashes & np.uint64((1 << U_BITS) - 1)
    return (fine << np.uint64(LEVEL_BITS) | level.astype(np.uint64)).astype(np.uint32)


def digammas(n: int) -> NDArray[np.int64]:
    """Digamma of 0 .. n + 1 in fixed point; the entry of 0 is never asked for and is 0."""
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])
    return np.concatenate([[0], np.rint((harmonic - np.euler_gamma) * UNIT)]).astype(np.int64)


def information(count: NDArray[np.int64], total: int, table: NDArray[np.int64]) -> tuple[float, float]:
    """Mutual information and entropy of the level in nats, from rows per level (none with one row) and the neighbor sum."""
    some = count[count > 1]
    n = int(some.sum())
    near = float((some * (table[np.minimum(K, some - 1)] / UNIT)).sum())
    known = float((some * (table[some] / UNIT)).sum())
    whole = float(table[n]) / UNIT
    return whole + (near - known - total / UNIT) / n, whole - known / n
