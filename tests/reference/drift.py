"""Drift as its definitions read: every pair, every permutation, one bin at a time."""

import itertools
import math

import numpy as np


def ks(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference of the shares of values up to any value."""
    return max(abs((a <= v).mean() - (b <= v).mean()) for v in [*a, *b])


def shift(a: np.ndarray, b: np.ndarray) -> float:
    """Pairs in which the second is larger, minus those in which it is smaller, over all pairs."""
    return float(np.mean([np.sign(y - x) for x in a for y in b]))


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """Area between the two distribution functions, value by value."""
    at = sorted([*a, *b])
    return sum(abs((a <= x).mean() - (b <= x).mean()) * (y - x) for x, y in itertools.pairwise(at))


def psi(a: np.ndarray, b: np.ndarray) -> float:
    """Population stability index over bins ``(-inf, c0], (c0, c1], ..., (ck, inf)``, half a row added to each."""
    bins = min(max(min(len(a), len(b)) // 20, 2), 10)
    ordered = sorted(a)
    cuts = sorted({ordered[max(math.ceil(len(a) * i / bins - 1e-9) - 1, 0)] for i in range(1, bins)})
    own = {float(np.nextafter(cut, -math.inf)) for cut in cuts if ordered.count(cut) >= len(a) / bins}
    limits = [-math.inf, *sorted({*cuts, *own}), math.inf]
    total, k = 0.0, len(limits) - 1
    for low, high in itertools.pairwise(limits):
        p = (sum(low < v <= high for v in a) + 0.5) / (len(a) + 0.5 * k)
        q = (sum(low < v <= high for v in b) + 0.5) / (len(b) + 0.5 * k)
        total += (q - p) * math.log(q / p)
    return total


def every_exchange(sizes: tuple[int, int]) -> list[np.ndarray]:
    """All ways to say which units are of the second set."""
    whole = sum(sizes)
    return [np.isin(np.arange(whole), chosen) for chosen in itertools.combinations(range(whole), sizes[1])]


def mmd2(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy, pair by pair, with the median distance as width."""
    both = [*x, *y]
    apart = sorted(float(((p - q) ** 2).sum()) for i, p in enumerate(both) for q in both[:i])
    width = apart[(len(apart) - 1) // 2]

    def kernel(p: np.ndarray, q: np.ndarray) -> float:
        return math.exp(-float(((p - q) ** 2).sum()) / (2 * width))

    def own(z: np.ndarray) -> float:
        return sum(kernel(p, q) for i, p in enumerate(z) for j, q in enumerate(z) if i != j) / (len(z) * (len(z) - 1))

    return own(x) + own(y) - 2 * sum(kernel(p, q) for p in x for q in y) / (len(x) * len(y))


def ridge_scores(x: np.ndarray, side: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """What ridge regression, made without a fold, predicts for its rows."""
    out = np.full(len(x), np.nan)
    for number in np.unique(fold):
        train, test = fold != number, fold == number
        center, level = x[train].mean(0), side[train].mean()
        given = x[train] - center
        strength = (given**2).sum() / min(len(given) - 1, given.shape[1])
        weights = np.linalg.inv(given.T @ given + strength * np.eye(x.shape[1])) @ given.T @ (side[train] - level)
        out[test] = (x[test] - center) @ weights + level
    return out


def area(scores: np.ndarray, side: np.ndarray, fold: np.ndarray) -> float:
    """Share of pairs of one fold in which the row of the second set scores higher."""
    won = [
        np.sign(scores[i] - scores[j]) / 2 + 0.5
        for i in np.flatnonzero(side)
        for j in np.flatnonzero(~side)
        if fold[i] == fold[j]
    ]
    return float(np.mean(won))
