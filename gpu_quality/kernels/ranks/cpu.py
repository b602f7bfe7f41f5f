"""Sums over ranked rows, compiled: once, under permutations, and in half-samples."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from gpu_quality.kernels.neighbor_sums.cpu import LEVEL_MASK, summed
from gpu_quality.kernels.ranks.coding import UNIT, K
from gpu_quality.kernels.shuffles.cpu import choose, rearrange, shuffle, shuffled, started
from gpu_quality.kernels.threads import spread, threads

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")
summing: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
"""For sums that may be split into lanes."""


@compiled
def count_levels(code, n, count):
    """Number of rows of each level."""
    count[:] = 0
    if len(count) == 2:
        ones = 0
        for p in range(n):
            ones += code[p] & LEVEL_MASK
        count[0], count[1] = n - ones, ones
    else:
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


@summing
def multiplied(rank, score):
    """Scalar product; the order of adding is fixed on compiling."""
    total = 0.0
    for p in range(len(rank)):
        total += rank[p] * score[p]
    return total


@compiled
def upper(rank, code):
    """Sum of the ranks of rows of the second of two levels."""
    total = np.int64(0)
    for p in range(len(rank)):
        total += rank[p] * np.int64(code[p] & LEVEL_MASK)
    return total


@compiled
def permute_rows(begin, stop, seed, code, middle, score, of_level, count, table, totals, products):
    """Permutations begin .. stop of rows; `of_level` is the score of each of two levels, or empty."""
    n = len(code)
    out, scores = np.empty(n, np.uint32), np.empty(0 if len(of_level) else n, np.float64)
    at, x, u = np.empty(len(count), np.int64), np.empty(n + 2 * K * len(count), np.int64), np.empty(n + 2, np.int32)
    for r in range(begin, stop):
        state = started(seed, r)
        shuffled(code, out, state)
        totals[r] = summed(out, n, count, at, x, u, table)
        if len(of_level):
            for s in range(len(middle)):
                ones = upper(middle[s], out)
                products[s, r] = (of_level[0] * (middle[s].sum() - ones) + of_level[1] * ones) / 2
        else:
            shuffled(score, scores, state)
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
        choose(chosen, units // 2, started(seed, r))
        kept = 0
        for p in range(n):
            part[np.uint64(kept)] = code[p]
            kept += chosen[np.uint64(unit[p])]
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
    level, of_level = code & LEVEL_MASK, np.zeros(len(count))
    of_level[level] = score
    of_level = of_level if len(count) == 2 and (of_level[level] == score).all() else of_level[:0]

    def work(begin: int, stop: int) -> None:
        permute_rows(begin, stop, seed, code, middle, score, of_level, count, table, totals, products)

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
    first: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Sums and rank covariances with the values of units dealt out anew; see ``kernels.ranks``."""
    totals, ranks = np.empty(first + permutations, np.int64), np.empty(first + permutations, np.float64)
    size = np.bincount(unit, minlength=len(group)).astype(np.int32)

    def work(begin: int, stop: int) -> None:
        permute_units(first + begin, first + stop, seed, code, unit, group, size, score, count, table, totals, ranks)

    _share(work, permutations)
    return totals[first:], ranks[first:]


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
