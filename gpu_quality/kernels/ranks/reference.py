"""The same sums in plain NumPy: distances to windows of a level's list, rows below a distance by binary search."""

import numpy as np

from gpu_quality.kernels.ranks.coding import LEVEL_BITS, U_BITS, K, information, mixed

FAR = 1 << 61
GOLDEN = 0x9E3779B97F4A7C15


def neighbor_sum(code: np.ndarray, count: np.ndarray, table: np.ndarray) -> int:
    """Fixed-point sum of digammas; see ``kernels.ranks``."""
    level, fine = code & ((1 << LEVEL_BITS) - 1), (code >> LEVEL_BITS).astype(np.int64)
    x = (np.arange(len(code)) << U_BITS) + fine
    total = 0
    for own in (x[level == value] for value in np.flatnonzero(count)):
        k = min(K, len(own) - 1)
        padded = np.pad(own, k, constant_values=(-FAR, FAR))
        windows = [
            np.maximum(own - padded[a : a + len(own)], padded[a + k : a + k + len(own)] - own) for a in range(k + 1)
        ]  # a window of k + 1 entries of the list that begins a - k entries before the row
        d = np.minimum.reduce(windows)
        m = np.searchsorted(x, own + d) - np.searchsorted(x, own - d, side="right")
        total += int(table[m].sum())
    return total


def draws(seed: int, number: int, bounds: np.ndarray) -> np.ndarray:
    """Random numbers below the bounds, those of one permutation or half-sample."""
    state = mixed(mixed(seed + GOLDEN) + number)
    return np.array([(mixed(state + step * GOLDEN) >> 32) * int(b) >> 32 for step, b in enumerate(bounds)], np.int64)


def shuffled(n: int, seed: int, number: int) -> np.ndarray:
    """A permutation of 0 .. n - 1."""
    place = np.empty(n, np.int64)
    for i, j in enumerate(draws(seed, number, np.arange(1, n + 1))):
        place[i] = place[j]
        place[j] = i
    return place


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
    totals, products = np.empty(permutations, np.int64), np.empty((len(middle), permutations))
    for r in range(permutations):
        drawn = shuffled(len(code), seed, r)
        totals[r] = neighbor_sum(code[drawn], count, table)
        products[:, r] = middle @ score[drawn] / 2
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
    totals, ranks = np.empty(permutations, np.int64), np.empty(permutations)
    for r in range(permutations):
        value = group[shuffled(len(group), seed, r)]
        rows = value[unit]
        totals[r] = neighbor_sum(code[np.argsort(rows, kind="stable")], count, table)
        held = np.bincount(rows, minlength=int(group[-1]) + 1)
        middle = np.cumsum(held) - held / 2 - len(code) / 2
        ranks[r] = (middle[value] * score).sum() / np.sqrt((held * middle**2).sum())
    return totals, ranks


def halves(
    code: np.ndarray, unit: np.ndarray, table: np.ndarray, *, units: int, levels: int, samples: int, seed: int
) -> np.ndarray:
    """Importance in half-samples; see ``kernels.ranks``."""
    out = np.full(samples, np.nan)
    for r in range(samples):
        chosen, needed = np.zeros(units, bool), units // 2
        for i, number in enumerate(draws(seed, r, np.arange(units, 0, -1))):
            chosen[i] = number < needed
            needed -= int(chosen[i])
        part = code[chosen[unit]]
        level = part & ((1 << LEVEL_BITS) - 1)
        part = part[np.bincount(level, minlength=levels)[level] > 1]
        count = np.bincount(part & ((1 << LEVEL_BITS) - 1), minlength=levels)
        if len(part) > count.max(initial=0):
            mutual, entropy = information(count, neighbor_sum(part, count, table), table)
            out[r] = min(max(mutual / entropy, 0.0), 1.0)
    return out
