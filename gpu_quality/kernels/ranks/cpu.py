"""Neighbor counts of ranked rows, compiled: once, under permutations, and in half-samples.

Row p of n rows in order lies at the integer ``p << 20 | u``, u below 2^20. So the rows below any integer t are known without a
search: ``t >> 20`` of them, and one more where the u of the next row is small enough. What is left is the third nearest
row of the same level, which is the best of four windows in the list of that level, and a sum of table entries.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from gpu_quality.kernels.ranks.coding import LEVEL_BITS, U_BITS, UNIT, K
from gpu_quality.kernels.shuffles.cpu import below, rearrange, shuffle, shuffled, started
from gpu_quality.kernels.threads import spread, threads

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")
summing: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
"""For sums that may be split into lanes."""

U_MASK, LEVEL_MASK = (1 << U_BITS) - 1, (1 << LEVEL_BITS) - 1
FAR = 1 << 61
"""Farther than any row, and small enough to be subtracted from one."""


@compiled
def nearby(x, first, stop, u, n, table):
    """Sum of table entries of the rows of one level with four or more of them; `x` has three far entries at both ends."""
    total = np.int64(0)
    for j in range(first, stop):
        own = x[j]
        d = min(own - x[j - 3], x[j + 3] - own)
        d = min(d, max(own - x[j - 2], x[j + 1] - own))
        d = min(d, max(own - x[j - 1], x[j + 2] - own))
        high, low = own + d, own - d
        above, under = min(high >> U_BITS, n), max(low >> U_BITS, -1)
        more = np.int64(np.int64(u[above + 1]) < (high & U_MASK))
        fewer = np.int64(np.int64(u[under + 1]) <= (low & U_MASK))
        total += table[above - under + more - fewer]
    return total


@compiled
def nearby_few(x, first, stop, u, n, table):
    """The same for a level of two or three rows, whose farthest row counts."""
    total = np.int64(0)
    for j in range(first, stop):
        d = max(x[j] - x[first], x[stop - 1] - x[j])
        high, low = x[j] + d, x[j] - d
        above, under = min(high >> U_BITS, n), max(low >> U_BITS, -1)
        m = above - under + (u[above + 1] < (high & U_MASK)) - (u[under + 1] <= (low & U_MASK))
        total += table[m]
    return total


@compiled
def count_levels(code, n, count):
    """Number of rows of each level."""
    count[:] = 0
    for p in range(n):
        count[code[p] & LEVEL_MASK] += 1


@compiled
def without_single(code, n, count):
    """Take out rows whose level has no other row; how many are left."""
    kept = 0
    for p in range(n):
        if count[code[p] & LEVEL_MASK] != 1:
            code[kept] = code[p]
            kept += 1
    count[count == 1] = 0
    return kept


@compiled
def summed(code, n, count, cursor, x, u, table):
    """Sum over the first n rows, in order, of the table entry of their number of nearer rows."""
    place = 0
    for level in range(len(count)):
        for far in range(K):
            x[place + far] = -FAR
            x[place + K + count[level] + far] = FAR
        cursor[level] = place + K
        place += count[level] + 2 * K
    u[0], u[n + 1] = -1, U_MASK + 1
    for p in range(n):
        own = np.int64(code[p])
        level, fine = own & LEVEL_MASK, own >> LEVEL_BITS
        u[p + 1] = fine
        x[cursor[level]] = (p << U_BITS) | fine
        cursor[level] += 1
    total = np.int64(0)
    for level in range(len(count)):
        first, stop = cursor[level] - count[level], cursor[level]
        if count[level] > K:
            total += nearby(x, first, stop, u, n, table)
        elif count[level] > 1:
            total += nearby_few(x, first, stop, u, n, table)
    return total


@summing
def multiplied(rank, score):
    """Scalar product; the order of adding is fixed on compiling."""
    total = 0.0
    for p in range(len(rank)):
        total += rank[p] * score[p]
    return total


@compiled
def permute_rows(begin, stop, seed, code, middle, score, count, table, totals, products):
    """Permutations begin .. stop of rows."""
    n = len(code)
    out, scores = np.empty(n, np.uint32), np.empty(n, np.float64)
    at, x, u = np.empty(len(count), np.int64), np.empty(n + 2 * K * len(count), np.int64), np.empty(n + 2, np.int32)
    for r in range(begin, stop):
        state = started(seed, r)
        shuffled(code, out, state)
        shuffled(score, scores, state)
        totals[r] = summed(out, n, count, at, x, u, table)
        for s in range(len(middle)):
            products[s, r] = multiplied(middle[s], scores) / 2


@compiled
def permute_units(begin, stop, seed, code, unit, group, size, score, count, table, totals, ranks):
    """Permutations begin .. stop of values between units."""
    n, units, groups = len(code), len(size), group[-1] + 1
    place, out = np.empty(units, np.int32), np.empty(n, np.uint32)
    cursor, middle = np.empty(groups, np.int32), np.empty(groups, np.float64)
    at, x, u = np.empty(len(count), np.int64), np.empty(n + 2 * K * len(count), np.int64), np.empty(n + 2, np.int32)
    for r in range(begin, stop):
        shuffle(place, started(seed, r))
        ranks[r] = rearrange(code, unit, place, group, size, score, cursor, middle, out)
        totals[r] = summed(out, n, count, at, x, u, table)


@compiled
def information(n, count, total, table):
    """Mutual information and entropy in nats."""
    known, entropy = 0.0, 0.0
    for level in range(len(count)):
        if count[level] > 1:
            known += count[level] * float(table[min(K, count[level] - 1)])
            entropy -= count[level] * float(table[count[level]])
    whole = float(table[n])
    return (whole + (known + entropy - float(total)) / n) / UNIT, (whole + entropy / n) / UNIT


@compiled
def halve(begin, stop, seed, code, unit, units, levels, table, out):
    """Importance in half-samples begin .. stop: half of the units, drawn without replacement."""
    n, chosen = len(code), np.empty(units, np.uint8)
    part, count, at = np.empty(n + 1, np.uint32), np.empty(levels, np.int64), np.empty(levels, np.int64)
    x, u = np.empty(n + 2 * K * levels, np.int64), np.empty(n + 2, np.int32)
    for r in range(begin, stop):
        state, needed = started(seed, r), units // 2
        for i in range(units):
            take = below(state, i, units - i) < needed
            chosen[i] = take
            needed -= take
        kept = 0
        for p in range(n):
            part[kept] = code[p]
            kept += chosen[unit[p]]
        count_levels(part, kept, count)
        kept = without_single(part, kept, count) if np.any(count == 1) else kept
        out[r] = np.nan
        if kept > np.max(count):
            mutual, entropy = information(kept, count, summed(part, kept, count, at, x, u, table), table)
            out[r] = min(max(mutual / entropy, 0.0), 1.0)


def neighbor_sum(code: np.ndarray, count: np.ndarray, table: np.ndarray) -> int:
    """Fixed-point sum of digammas; see ``kernels.ranks``."""
    n = len(code)
    x, u = np.empty(n + 2 * K * len(count), np.int64), np.empty(n + 2, np.int32)
    return int(summed(code, n, count, np.empty(len(count), np.int64), x, u, table))


def permuted_rows(
    code: np.ndarray,
    middle: np.ndarray,
    score: np.ndarray,
    count: np.ndarray,
    table: np.ndarray,
    *,
    permutations: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Sums and rank products of rows in random order; see ``kernels.ranks``."""
    totals, products = np.empty(permutations, np.int64), np.empty((len(middle), permutations), np.float64)

    def work(begin: int, stop: int) -> None:
        permute_rows(begin, stop, seed, code, middle, score, count, table, totals, products)

    _share(work, permutations)
    return totals, products


def permuted_units(
    code: np.ndarray,
    unit: np.ndarray,
    group: np.ndarray,
    score: np.ndarray,
    count: np.ndarray,
    table: np.ndarray,
    *,
    permutations: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Sums and rank covariances with the values of units dealt out anew; see ``kernels.ranks``."""
    totals, ranks = np.empty(permutations, np.int64), np.empty(permutations, np.float64)
    size = np.bincount(unit, minlength=len(group)).astype(np.int32)

    def work(begin: int, stop: int) -> None:
        permute_units(begin, stop, seed, code, unit, group, size, score, count, table, totals, ranks)

    _share(work, permutations)
    return totals, ranks


def halves(
    code: np.ndarray, unit: np.ndarray, table: np.ndarray, *, units: int, levels: int, samples: int, seed: int
) -> np.ndarray:
    """Importance in half-samples; see ``kernels.ranks``."""
    out = np.empty(samples, np.float64)
    _share(lambda begin, stop: halve(begin, stop, seed, code, unit, units, levels, table, out), samples)
    return out


def _share(work: Callable[[int, int], None], count: int) -> None:
    """Do 0 .. count in as many parts as there are threads: a part has its own buffers."""
    step = max(1, -(-count // threads()))
    spread(lambda begin: work(begin, min(begin + step, count)), range(0, count, step))
