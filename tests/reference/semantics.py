"""What vectors say about frames, objects and answers, in plain loops over float64 numbers: a value, or why there is none."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.reference import neighbors

Cell = tuple[float | int | None, str]
SAME = 1e-5


@dataclass(frozen=True)
class Item:
    """An object of one origin, or an answer: what it is called, what it looks like, where it is from."""

    class_id: int
    frame: int
    sequence: int = -1
    copy: int = -1
    origin: int = 0
    question: int = 0
    about: int = -1


def known(table: np.ndarray) -> list[bool]:
    """Rows with a direction."""
    return [not math.isnan(table[i, i]) for i in range(len(table))]


def components(x: np.ndarray) -> list[int]:
    """Lowest row of the component of each row, -1 without a direction."""
    table = neighbors.cosines(x, x)
    edges = [(i, j) for i in range(len(x)) for j in range(i) if 1 - table[i, j] < SAME]
    lowest = neighbors.components(edges, len(x))
    return [low if ok else -1 for low, ok in zip(lowest, known(table), strict=True)]


def singularity(x: np.ndarray) -> list[Cell]:
    """Distance to the nearest outside for the first of a component, 0 for the rest."""
    table, component = neighbors.cosines(x, x), components(x)
    out: list[Cell] = []
    for i, own in enumerate(component):
        others = [1 - table[i, j] for j, c in enumerate(component) if c not in (own, -1)]
        if own < 0 or (own == i and not others):
            out.append((None, "no_neighbors"))
        else:
            out.append((0.0 if own != i else min(others), ""))
    return out


def groups(leader: Sequence[int]) -> list[Cell]:
    """The leader, or nothing where it leads nobody else."""
    return [(own, "") if own >= 0 and list(leader).count(own) > 1 else (None, "no_neighbors") for own in leader]


def uniqueness(x: np.ndarray) -> list[Cell]:
    """Weighted distances of the three nearest over the largest such sum."""
    table = neighbors.cosines(x, x)
    near = neighbors.nearest(table, 3, lambda i, j: i == j)
    ok = known(table)
    if sum(ok) <= 3:
        return [(1.0, "") if fine else (None, "no_neighbors") for fine in ok]
    total = [sum(w * d for w, (d, _) in zip((0.6, 0.3, 0.1), line, strict=True)) if line else 0.0 for line in near]
    largest = max(total)
    return [
        (t / largest if largest > 0 else 0.0, "") if fine else (None, "no_neighbors") for t, fine in zip(total, ok, strict=True)
    ]


def leaks(x: np.ndarray, split: Sequence[int], copy: Sequence[int]) -> list[Cell]:
    """Distance to the nearest frame of another split."""
    table = neighbors.cosines(x, x)
    out: list[Cell] = []
    for i, own in enumerate(split):
        others = [j for j, theirs in enumerate(split) if min(own, theirs) >= 0 and theirs != own]
        found = [0.0 for j in others if copy[j] == copy[i] >= 0]
        found += [1 - table[i, j] for j in others if not math.isnan(table[i, j])]
        out.append((min(found), "") if found else (None, "no_neighbors"))
    return out


def near(x: np.ndarray, items: Sequence[Item], k: int, apart: Sequence[str]) -> list[list[int]]:
    """Rows of the k nearest other items that share none of the named facts."""
    table = neighbors.cosines(x, x)

    def banned(i: int, j: int) -> bool:
        a, b = items[i], items[j]
        return i == j or any(getattr(a, name) == getattr(b, name) >= 0 for name in apart)

    return [[j for _, j in line] for line in neighbors.nearest(table, k, banned)]


def agreement(x: np.ndarray, items: Sequence[Item], part: int, k: int = 9, apart: Sequence[str] = ()) -> list[Cell]:
    """One of share, majority, votes, verdict, entropy (by `part`) of the classes of the neighbors."""
    verdicts = {"unsure": 0, "agrees": 1, "differs": 2}
    ok, out = known(neighbors.cosines(x, x)), []
    for own, rows, fine in zip(items, near(x, items, k, apart), ok, strict=True):
        found = neighbors.agreement([items[j].class_id for j in rows], own.class_id)[part] if rows else None
        out.append((verdicts.get(found, found), "") if rows else (None, "no_neighbors" if fine else "empty_region"))
    return out


def label_error_ratio(x: np.ndarray, items: Sequence[Item], without: str = "empty_region") -> list[Cell]:
    """Mean distance to the own class over that to others, among items with a direction."""
    ok = [i for i, fine in enumerate(known(neighbors.cosines(x, x))) if fine]
    table = neighbors.cosines(x[ok], x[ok])
    out: list[Cell] = [(None, without)] * len(x)
    for row, i in enumerate(ok):
        value = neighbors.label_error_ratio(table, [items[j].class_id for j in ok], row)
        out[i] = (None, "no_neighbors") if value is None else (value, "")
    return out


def class_outlier(x: np.ndarray, items: Sequence[Item]) -> list[Cell]:
    """Modified z-score of the mean distance to the five nearest of the class."""
    table = neighbors.cosines(x, x)
    ok = known(table)
    out: list[Cell] = [(None, "empty_region")] * len(x)
    for own in {item.class_id for item in items}:
        rows = [i for i, item in enumerate(items) if item.class_id == own and ok[i]]
        mean = {i: statistics.fmean(sorted(1 - table[i, j] for j in rows if j != i)[:5]) for i in rows if len(rows) > 1}
        if len(rows) < 5:
            out = [(None, "too_few_samples") if i in rows else cell for i, cell in enumerate(out)]
            continue
        middle = statistics.median(mean.values())
        off = [abs(d - middle) for d in mean.values()]
        usual = statistics.median(off) or statistics.fmean(off)
        for i, d in mean.items():
            out[i] = (0.6745 * (d - middle) / usual if usual else 0.0, "")
    return out


def appearance_duplicate(x: np.ndarray, items: Sequence[Item]) -> list[Cell]:
    """Largest cosine to another of the frame."""
    table = neighbors.cosines(x, x)
    out: list[Cell] = []
    for i, own in enumerate(items):
        mates = [table[i, j] for j, item in enumerate(items) if j != i and item.frame == own.frame]
        mates = [c for c in mates if not math.isnan(c)]
        reason = "empty_region" if math.isnan(table[i, i]) else "no_neighbors"
        out.append((max(mates), "") if mates else (None, reason))
    return out


def by_question(x: np.ndarray, items: Sequence[Item], score: Callable[[np.ndarray, list[Item]], list[Cell]]) -> list[Cell]:
    """What `score` says about the answers to each single-choice question, by origin; `x` are vectors of the answers' frames."""
    out: list[Cell] = [(None, "no_neighbors")] * len(items)
    for asked in {(item.origin, item.question) for item in items}:
        rows = [i for i, item in enumerate(items) if (item.origin, item.question) == asked and item.about < 0]
        if len({items[i].frame for i in rows}) < len(rows):
            cells: list[Cell] = [(None, "unsupported_shape")] * len(rows)
        else:
            cells = score(x[rows], [items[i] for i in rows])
        for i, (value, reason) in zip(rows, cells, strict=True):
            out[i] = value, "no_neighbors" if reason == "empty_region" else reason
    return out


def zero_shot(x: np.ndarray, texts: np.ndarray, scale: float) -> list[list[float]]:
    """Probability of every text, per vector."""
    out = []
    for row in neighbors.cosines(x, texts).tolist():
        weight = [math.exp(scale * (c - max(row))) for c in row]
        out.append([w / sum(weight) for w in weight])
    return out
