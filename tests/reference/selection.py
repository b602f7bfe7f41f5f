"""Selection as its definitions read: ranks by counting, and picking by looking at every frame and every center each time."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np


def fraction(values: Sequence[float], high: bool) -> list[float]:
    """Share of the values that are less interesting, equal ones counted half; 0 without a value."""
    known = [v for v in values if not math.isnan(v)]
    out = []
    for v in values:
        less = sum((k < v) if high else (k > v) for k in known)
        out.append(0.0 if math.isnan(v) else (less + sum(k == v for k in known) / 2) / len(known))
    return out


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine distance in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return max(1 - float((a * b).sum()) / math.sqrt(float((a * a).sum()) * float((b * b).sum())), 0.0)


def farthest_first(x: np.ndarray, near: Sequence[float], count: int) -> list[tuple[int, float]]:
    """k-center greedy: rows and their distances; ties go to the lowest row, and what was taken is not taken again."""
    taken: list[tuple[int, float]] = []
    while len(taken) < min(count, len(x)):
        best, most = -1, -1.0
        for i in range(len(x)):
            if i in [row for row, _ in taken]:
                continue
            own = min([near[i], *(distance(x[i], x[row]) for row, _ in taken)])
            if own > most:
                best, most = i, own
        taken.append((best, most))
    return taken


def in_turns(
    wanted: Sequence[int],
    shows: Mapping[int, Collection[int]],
    count: int,
    quotas: Mapping[int, int],
    known: Mapping[int, int] | None,
) -> list[int]:
    """Rows in the order `wanted`, quotas first, then by the class that fewest frames show where `known` counts are given."""
    taken: list[int] = []

    def take(rows: Collection[int]) -> bool:
        left = [row for row in wanted if row in rows and row not in taken]
        taken.extend(left[:1])
        return bool(left)

    for name in sorted(quotas, key=lambda name: (len(shows.get(name, ())), name)):
        while len(taken) < count and len(set(taken) & set(shows.get(name, ()))) < quotas[name]:
            if not take(shows.get(name, ())):
                break
    while len(taken) < min(count, len(wanted)):
        names = [name for name in shows if set(shows[name]) - set(taken)] if known is not None else []
        if names:
            have = {name: known.get(name, 0) + len(set(taken) & set(shows[name])) for name in names}
            take(shows[min(names, key=lambda name: (have[name], len(set(shows[name]) - set(taken)), name))])
        else:
            take(wanted)
    return taken
