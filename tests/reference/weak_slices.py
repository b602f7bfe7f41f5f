"""The search for weak slices the slow way: every allowed range, and pair of ranges, counted row by row."""

from collections.abc import Sequence

import numpy as np

from gpu_quality.analysis.weak_codes import Feature


def best(features: Sequence[Feature], failed: np.ndarray, least: float) -> tuple[float, float]:
    """The largest score of one range, and of two of different features that each add to the other; independent rows."""
    n, rate = len(failed), failed.mean()
    inside = [[(f.code >= part.first) & (f.code <= part.last) for part in f.parts] for f in features]
    simple = [
        [rows for rows, part in zip(own, f.parts, strict=True) if part.simple] for own, f in zip(inside, features, strict=True)
    ]

    def score(rows: np.ndarray) -> float:
        m = int(rows.sum())
        if m < least or m > n / 2:
            return -np.inf
        return float((failed[rows].sum() - rate * m) / np.sqrt(rate * (1 - rate) * m * (1 - m / n)))

    def adds(rows: np.ndarray, rest: np.ndarray) -> bool:
        m, k = int(rows.sum()), int(rest.sum())
        if not m or not k:
            return False
        both = failed[rows | rest].mean()
        error = np.sqrt(both * (1 - both) * (1 / m + 1 / k))
        return bool(error > 0 and failed[rows].mean() - failed[rest].mean() >= 3 * error)

    single = max((score(rows) for own in inside for rows in own), default=-np.inf)
    pair = max(
        (
            score(a & b)
            for i, first in enumerate(simple)
            for second in simple[i + 1 :]
            for a in first
            for b in second
            if adds(a & b, a & ~b) and adds(a & b, b & ~a)
        ),
        default=-np.inf,
    )
    return single, pair
