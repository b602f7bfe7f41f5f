"""The separating value of a metric as its definition reads: every threshold, every unit, one at a time."""

import math
from fractions import Fraction

import numpy as np


def grouped(x: np.ndarray, hit: np.ndarray, units: np.ndarray) -> list[tuple[float, int, int]]:
    """Value, rows and successes of every unit that has a value, by value."""
    found: dict[object, tuple[float, int, int]] = {}
    for value, good, unit in zip(x.tolist(), hit.tolist(), units.tolist(), strict=True):
        if not math.isnan(value):
            _, n, k = found.get(unit, (value, 0, 0))
            found[unit] = (value, n + 1, k + int(good))
    return sorted(found.values(), key=lambda unit: unit[0])


def statistics(ordered: list[tuple[float, int, int]], values: list[float] | None = None) -> dict[float, float]:
    """z by threshold (the largest value on its left), over thresholds with 20 rows and 5 % of them on both sides."""
    values = [value for value, _, _ in ordered] if values is None else values
    rows, good, units = sum(u[1] for u in ordered), sum(u[2] for u in ordered), len(ordered)
    if not rows:
        return {}
    mean = Fraction(good, rows)
    spread = sum((k - n * mean) ** 2 for _, n, k in ordered)
    found = {}
    for left in range(1, units):
        inside = ordered[:left]
        n = sum(unit[1] for unit in inside)
        if values[left - 1] == values[left] or min(n, rows - n) < max(20, math.ceil(0.05 * rows)) or not spread:
            continue
        total = sum(unit[2] for unit in inside) - n * mean
        found[values[left - 1]] = float(total) / math.sqrt(float(spread) * left * (units - left) / (units * (units - 1)))
    return found


def newcombe(k1: int, n1: int, k2: int, n2: int) -> tuple[float, float]:
    """Newcombe's interval of a difference of shares, from the roots of the score equation of each."""
    p1, p2, z = k1 / n1, k2 / n2, 1.96
    ends = []
    for p, n in ((p1, n1), (p2, n2)):
        ends.append(np.sort(np.roots([1 + z * z / n, -(2 * p + z * z / n), p * p]).real))  # (p - q)^2 = z^2 q (1 - q) / n
    (l1, u1), (l2, u2) = ends
    return p1 - p2 - math.hypot(p1 - l1, u2 - p2), p1 - p2 + math.hypot(u1 - p1, p2 - l2)
