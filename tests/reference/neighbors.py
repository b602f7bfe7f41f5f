"""Neighbors and what follows from them in plain loops over float64 numbers."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """Cosine of two vectors, NaN where one has no direction."""
    if list(a) == list(b) and any(a) and all(math.isfinite(v) for v in a):
        return 1.0
    length = math.sqrt(math.fsum(v * v for v in a)) * math.sqrt(math.fsum(v * v for v in b))
    if not (math.isfinite(length) and length > 0):
        return math.nan
    return math.fsum(p * q for p, q in zip(a, b, strict=True)) / length


def cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """All cosines of two sets of vectors."""
    return np.array([[cosine(a, b) for b in y.tolist()] for a in x.tolist()]).reshape(len(x), len(y))


def nearest(table: np.ndarray, k: int, banned) -> list[list[tuple[float, int]]]:
    """Per row the k smallest (distance, column), without columns that `banned(row, column)` forbids."""
    out = []
    for i, line in enumerate(table.tolist()):
        found = sorted((1 - c, j) for j, c in enumerate(line) if not math.isnan(c) and not banned(i, j))
        out.append(found[:k])
    return out


def pairs(table: np.ndarray, at_least: float) -> list[tuple[int, int]]:
    """Pairs of rows that are similar enough."""
    n = len(table)
    return [(i, j) for i in range(n) for j in range(i + 1, n) if table[i, j] >= at_least]


def leaders(table: np.ndarray, at_least: float, order: Sequence[int]) -> list[int]:
    """Greedy groups around leaders in the given order."""
    leader = [-1] * len(table)
    for i in order:
        if leader[i] < 0 and not math.isnan(table[i, i]):
            for j in order:
                if leader[j] < 0 and (i == j or table[i, j] >= at_least):
                    leader[j] = i
    return leader


def components(edges: Sequence[tuple[int, int]], n: int) -> list[int]:
    """Lowest row of every component, by spreading it until nothing changes."""
    low = list(range(n))
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            if low[a] != low[b]:
                low[a] = low[b] = min(low[a], low[b])
                changed = True
    return low


def agreement(classes: Sequence[int], own: int) -> tuple[float, int, int, str, float]:
    """Share of the own class, most frequent class, its votes, verdict, entropy in bit."""
    count = Counter(classes)
    votes = max(count.values())
    majority = min(c for c, v in count.items() if v == votes)
    verdict = "unsure" if votes <= math.floor(0.6 * len(classes) + 1e-9) else "agrees" if majority == own else "differs"
    entropy = -sum(v / len(classes) * math.log2(v / len(classes)) for v in count.values())
    return count[own] / len(classes), majority, votes, verdict, entropy


def label_error_ratio(table: np.ndarray, classes: Sequence[int], row: int, most: int = 50) -> float | None:
    """Mean distance to the nearest of the own class over that to the nearest of other classes."""
    size = sum(c == classes[row] for c in classes)
    k = min(most, size - 1)
    length = [math.sqrt(max(0.0, 2 * (1 - c))) for c in table[row]]
    own = sorted(length[j] for j in range(len(classes)) if j != row and classes[j] == classes[row])[:k]
    other = sorted(length[j] for j in range(len(classes)) if classes[j] != classes[row])[:k]
    if not own or not other:
        return None
    a, b = math.fsum(own) / len(own), math.fsum(other) / len(other)
    return 1.0 if a < 1e-12 and b < 1e-12 else a / max(b, 1e-12)


def downweighted(values: Sequence[float], near: Sequence[tuple[int, int]], weight: float) -> list[float]:
    """Visit from the highest value down and multiply neighbors that were not visited."""
    out, visited = list(values), set()
    for i in sorted(range(len(values)), key=lambda r: (-values[r], r)):
        visited.add(i)
        for a, b in near:
            if i in (a, b) and (other := a + b - i) not in visited:
                out[other] *= weight
    return out


def diversity_rank(label: Sequence[int], distance: Sequence[float]) -> list[int]:
    """Clusters take turns, each gives its members from the center outwards."""
    queues = [sorted((i for i, c in enumerate(label) if c == cluster), key=lambda i: (distance[i], i))
              for cluster in range(max(label, default=-1) + 1)]  # fmt: skip
    rank, turn = [0] * len(label), 0
    while any(queues):
        for queue in queues:
            if queue:
                turn += 1
                rank[queue.pop(0)] = turn
    return rank
