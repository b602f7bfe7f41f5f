"""Which objects of a frame lie on each other: near duplicates and conflicting classes, without comparing all with all."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gpu_quality.analysis.health_codes import Limits
from gpu_quality.analysis.health_rows import Floats, Ints, Rows, quoted
from gpu_quality.analysis.health_view import BLOCK, View
from gpu_quality.functional import boxes
from gpu_quality.geometry import overlaps

Bools = NDArray[np.bool_]

ALL_PAIRS: Final = 1_000_000
"""So many pairs are listed all; beyond, an object whose partners are known already gets no further ones."""
MOST_COMPARED: Final = 500_000_000
"""Comparisons before giving up: half a minute. Millions of boxes of one frame that share an edge come to it, no photo does."""
_CHUNK: Final = 1 << 20
"""Pairs looked at at a time: about 100 MB."""
_ORIGINS: Final = 128
"""`objects.origin` is an int8."""


def pair_findings(view: View, rows: Rows, classes: Sequence[str], limits: Limits, notes: list[str]) -> Iterator[pd.DataFrame]:
    """Every pair of objects of one frame and origin that are nearly the same shape, once: told of the later one.

    Crowd regions and shapes without area take no part. `notes` is told when a pair may be missing.
    """
    first, second, iou = close_pairs(view, min(limits.duplicate_iou, limits.conflict_iou), notes)
    same = view.class_id[first] == view.class_id[second]
    names = [quoted(name) for name in (*classes, "?")]
    for code, chosen in (
        ("near_duplicate", same & (iou > limits.duplicate_iou)),
        ("conflicting_classes", ~same & (iou >= limits.conflict_iou)),
    ):
        one, two, value = first[chosen], second[chosen], iou[chosen]
        of = [names[i] for i in view.class_id[one].tolist()], [names[i] for i in view.class_id[two].tolist()]
        detail = [
            f"overlap {v:.3f} with another {b}" if code == "near_duplicate" else f"overlap {v:.3f}: here {b}, there {a}"
            for v, a, b in zip(value.tolist(), *of, strict=True)
        ]
        yield rows.of_objects(code, two, detail, value, one)


def close_pairs(view: View, least: float, notes: list[str]) -> tuple[Ints, Ints, Floats]:
    """Pairs of rows i < j of one frame and origin whose shapes have an intersection over union of at least `least`, and it.

    What two shapes share lies inside both their bounds and must be at least `least` of the larger one. So along an axis a
    shape can only be close to those that begin before it has grown too narrow; of the two axes the one is taken, frame by
    frame, that leaves fewer to compare.
    """
    search = _Search(view, least)
    for axis, members in _axes(search):
        search.along(axis, members)
    if search.full:
        notes.append(
            f"more than {ALL_PAIRS:,} pairs of objects overlap nearly fully: further pairs of the same objects are not listed"
        )
    if search.gave_up:
        notes.append(
            f"objects were compared {MOST_COMPARED:,} times; pairs far apart in the most crowded frames may be missing"
        )
    first, second = (np.concatenate([part[side] for part in search.found]) for side in (0, 1))
    iou = np.concatenate([part[2] for part in search.found])
    order = np.lexsort((first, second))
    return first[order], second[order], iou[order]


class _Search:
    """The state of one search: who takes part, what was found, and how much was compared."""

    def __init__(self, view: View, least: float) -> None:
        self.view, self.least = view, least
        side = view.hull[:, 2:] - view.hull[:, :2]
        part = ~view.crowd & ~view.flat & (view.area > 0) & (side > 0).all(axis=1)
        self.rows = np.flatnonzero(part)
        self.group = (view.row * _ORIGINS + view.origin)[self.rows]
        self.found: list[tuple[Ints, Ints, Floats]] = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
        self.count = self.compared = 0
        self.full = self.gave_up = False
        self.named = np.zeros(len(view.row), bool)

    def windows(self, axis: int, rows: Ints, group: Ints) -> tuple[Ints, Ints]:
        """The rows in order of where they begin along an axis, and with how many that follow each has to be compared."""
        view, other = self.view, 1 - axis
        low, high = view.hull[rows, axis], view.hull[rows, axis + 2]
        across = view.hull[rows, other + 2] - view.hull[rows, other]
        limit = high - self.least * view.area[rows] / across
        limit += 1e-9 * (1 + np.abs(limit))  # rounding must not hide a pair
        n = len(rows)
        both = np.lexsort((np.r_[low, limit], np.r_[group, group]))  # stable: on ties beginnings come first
        begins = np.cumsum(both < n)
        order = both[both < n]
        stop = np.empty(n, np.int64)
        stop[both[both >= n] - n] = begins[both >= n]
        return order, np.maximum(stop[order] - np.arange(n) - 1, 0)

    def along(self, axis: int, members: Ints) -> None:
        """Compare these of the taking part, nearest ones first, twice as far apart in every round."""
        order, count = self.windows(axis, self.rows[members], self.group[members])
        rows, step = self.rows[members][order], 1
        left = np.flatnonzero(count >= 1)
        while len(left):
            reach = np.minimum(count[left], 2 * step - 1) - step + 1
            for piece in _pieces(reach):
                self.compare(rows, left[piece], step, reach[piece])
            step *= 2
            left = left[count[left] >= step]
            if self.count > ALL_PAIRS:
                self.full = True
                unnamed = np.concatenate([[0], np.cumsum(~self.named[rows])])
                left = left[unnamed[left + count[left] + 1] > unnamed[np.where(self.named[rows[left]], left + step, left)]]
            if self.compared > MOST_COMPARED:
                self.gave_up = self.gave_up or len(left) > 0
                return

    def compare(self, rows: Ints, left: Ints, step: int, reach: Ints) -> None:
        """Compare each of `left` with `reach` others, the first of which stands `step` places behind it."""
        begin = np.cumsum(reach) - reach
        place = np.repeat(left, reach)
        behind = place + step + np.arange(len(place)) - np.repeat(begin, reach)
        one, two = rows[place], rows[behind]
        self.compared += len(one)
        view = self.view
        low, high = np.maximum(view.hull[one, :2], view.hull[two, :2]), np.minimum(view.hull[one, 2:], view.hull[two, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        near = shared >= self.least * (1 - 1e-9) * np.maximum(view.area[one], view.area[two])
        if self.full:
            near &= ~(self.named[one] & self.named[two])
        one, two = np.minimum(one[near], two[near]), np.maximum(one[near], two[near])
        iou = _iou(view, one, two)
        close = iou >= self.least
        self.named[one[close]] = self.named[two[close]] = True
        self.count += int(close.sum())
        self.found.append((one[close], two[close], iou[close]))


def _axes(search: _Search) -> list[tuple[int, Ints]]:
    """Per axis the members that are compared along it."""
    everyone = np.arange(len(search.rows))
    cost = [np.zeros(0)] * 2
    _, group = np.unique(search.group, return_inverse=True)
    for axis in (0, 1):
        order, count = search.windows(axis, search.rows, search.group)
        cost[axis] = np.bincount(group[order], count).astype(np.float64)
        if axis == 0 and count.sum() <= 4 * len(everyone):
            return [(0, everyone)]
    wide = (cost[0] <= cost[1])[group]
    return [(0, everyone[wide]), (1, everyone[~wide])]


def _pieces(reach: Ints) -> Iterator[slice]:
    """Slices whose numbers add up to about `_CHUNK`; a larger number stands alone."""
    total, start = np.cumsum(reach), 0
    while start < len(reach):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + _CHUNK, "right")))
        yield slice(start, stop)
        start = stop


def _iou(view: View, one: Ints, two: Ints) -> Floats:
    """Intersection over union of the shapes: boxes as evaluation computes them, others by their real geometry."""
    value = boxes.iou(view.objects.box[one], view.objects.box[two]).numpy()
    shaped = np.flatnonzero((view.kind[one] > 0) | (view.kind[two] > 0))
    for start in range(0, len(shaped), BLOCK):
        part = shaped[start : start + BLOCK]
        rows, place = np.unique(np.concatenate([one[part], two[part]]), return_inverse=True)
        objects = view.objects.select(torch.from_numpy(rows))
        value[part] = overlaps.shared(objects, view.sizes, place[: len(part)], place[len(part) :])
    return value
