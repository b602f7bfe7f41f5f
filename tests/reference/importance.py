"""Importance, correlation, bins and outlier bounds as their definitions read: all pairs, one row at a time."""

import math

import numpy as np


def neighbor_counts(x: np.ndarray, level: np.ndarray) -> np.ndarray:
    """For each row: rows of any level nearer than the third nearest of its own level, itself included."""
    out = np.empty(len(x), np.int64)
    for i in range(len(x)):
        distance = np.abs(x - x[i])
        same = np.sort(np.delete(distance, i)[np.delete(level, i) == level[i]])
        out[i] = (distance < same[min(3, len(same)) - 1]).sum()
    return out


def psi(n: int) -> float:
    """Digamma at a positive integer."""
    return sum(1 / i for i in range(1, n)) - float(np.euler_gamma)


def importance(x: np.ndarray, level: np.ndarray) -> tuple[float, float]:
    """Mutual information in nats and importance of integer positions without ties."""
    keep = np.array([(level == y).sum() > 1 for y in level])
    x, level = x[keep], level[keep]
    n = len(x)
    of = [int((level == y).sum()) for y in level]
    near = sum(psi(min(3, size - 1)) for size in of) / n
    size = sum(psi(c) for c in of) / n
    around = sum(psi(int(m)) for m in neighbor_counts(x, level)) / n
    mutual, entropy = psi(n) + near - size - around, psi(n) - size
    return mutual, min(max(mutual / entropy, 0.0), 1.0)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's interval with z = 1.96."""
    z, p = 1.96, successes / n
    spread = z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    return (p + z * z / 2 / n - spread) / (1 + z * z / n), (p + z * z / 2 / n + spread) / (1 + z * z / n)


def adjusted(p: list[float]) -> list[float]:
    """Benjamini and Hochberg: the smallest limit at which a test is found, for each."""
    return [min(1.0, *(q * len(p) / sum(other <= q for other in p) for q in p if q >= own)) if len(p) > 1 else own for own in p]


def adaptive_bounds(values: np.ndarray) -> tuple[float, float]:
    """Bounds of the adaptive rule."""
    x = sorted(values.tolist())
    middle = float(np.median(x))
    mean = sum(abs(v - middle) for v in x) / len(x)
    sides = [[middle - v for v in x if v <= middle], [v - middle for v in x if v >= middle]]
    deviations = [float(np.median(side)) for side in sides]
    reach = []
    for side, deviation in zip(sides, deviations, strict=True):
        factor = 1.0
        if deviations == [0, 0]:
            off = [abs(v - middle) for v in x if v != middle]
            deviation = mean
            if len(off) > 10 and min(off) < mean / 0.6745:
                deviation, high = float(np.median(off)), float(np.percentile(off, 90))
                factor = 1 + math.log(1 + max(0, high / deviation / 1.91 - 1))
        elif deviation == 0:
            deviation = mean
        else:
            factor = 1 + math.log(1 + max(0, float(np.percentile(side, 90)) / deviation / 1.91 - 1))
        reach.append(3.5 * factor * deviation / 0.6745)
    return middle - reach[0], middle + reach[1]


def wilson_all(successes: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Wilson's interval of many shares: lows, highs."""
    return np.array([wilson(int(k), int(m)) for k, m in zip(successes, n, strict=True)]).T
