"""Unions and overlaps of boxes on CPU cores: every frame is swept from left to right, frames are spread over threads."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.kernels.threads import spread, threads

CHUNK: Final = 4096
"""Boxes a thread takes at a time, whole frames: 1 ms or so."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def refresh(node, leaves, covers, full, length):
    """What a node of the tree of y intervals covers: all of itself, or what its two halves do."""
    if covers[node] > 0:
        length[node] = full[node]
    elif node < leaves:
        length[node] = length[2 * node] + length[2 * node + 1]
    else:
        length[node] = 0.0


@compiled
def change(low, high, by, leaves, covers, full, length):
    """Add `by` covers to the leaves low .. high of the tree; `length[1]` is then the covered length of all."""
    left, right = low + leaves, high + leaves
    while left < right:
        if left & 1:
            covers[left] += by
            refresh(left, leaves, covers, full, length)
            left += 1
        if right & 1:
            right -= 1
            covers[right] += by
            refresh(right, leaves, covers, full, length)
        left, right = left >> 1, right >> 1
    left, right = (low + leaves) >> 1, (high - 1 + leaves) >> 1
    while right > 0:
        refresh(left, leaves, covers, full, length)
        if left != right:
            refresh(right, leaves, covers, full, length)
        left, right = left >> 1, right >> 1


@compiled
def union_area(box):
    """Area of the union of k boxes, none empty: a sweep along x over a tree of the intervals between their y, k log k."""
    k = len(box)
    x, y = np.empty(2 * k), np.empty(2 * k)
    x[:k], x[k:], y[:k], y[k:] = box[:, 0], box[:, 2], box[:, 1], box[:, 3]
    order = np.argsort(x)
    y.sort()
    leaves = 1
    while leaves < 2 * k - 1:
        leaves *= 2
    covers, full, length = np.zeros(2 * leaves, np.int64), np.zeros(2 * leaves), np.zeros(2 * leaves)
    full[leaves : leaves + 2 * k - 1] = y[1:] - y[:-1]
    for node in range(leaves - 1, 0, -1):
        full[node] = full[2 * node] + full[2 * node + 1]
    area, before = 0.0, x[order[0]]
    for event in order:
        area += length[1] * (x[event] - before)
        before = x[event]
        own = event if event < k else event - k
        low, high = np.searchsorted(y, box[own, 1]), np.searchsorted(y, box[own, 3])
        change(low, high, 1 if event < k else -1, leaves, covers, full, length)
    return area


@compiled
def union_frames(box, first, begin, end, out):
    """Area of the union of the boxes of frames begin .. end; frame f owns the boxes first[f] .. first[f + 1]."""
    for f in range(begin, end):
        own = box[first[f] : first[f + 1]]
        if len(own) == 1:
            out[f] = (own[0, 2] - own[0, 0]) * (own[0, 3] - own[0, 1])
        elif len(own) > 1:
            out[f] = union_area(own)


@compiled
def iou(box, i, j):
    """Intersection over union of two boxes that share area, as i / (area_a + area_b - i)."""
    w = min(box[i, 2], box[j, 2]) - max(box[i, 0], box[j, 0])
    h = min(box[i, 3], box[j, 3]) - max(box[i, 1], box[j, 1])
    both = w * h
    union = (box[i, 2] - box[i, 0]) * (box[i, 3] - box[i, 1]) + (box[j, 2] - box[j, 0]) * (box[j, 3] - box[j, 1]) - both
    return both / union if union > 0.0 else 0.0


@compiled
def improve(best, partner, own, other, value):
    """Take the other box where it is a better partner, or as good and earlier."""
    if value > best[own] or (value == best[own] and value > 0.0 and other < partner[own]):
        best[own], partner[own] = value, other


@compiled
def partner_groups(box, row, first, begin, end, best, partner):
    """Best partners in groups begin .. end; group g owns the boxes first[g] .. first[g + 1], which are rows `row`."""
    for g in range(begin, end):
        own = box[first[g] : first[g + 1]]
        order = np.argsort(own[:, 0])
        own, rows = own[order], row[first[g] : first[g + 1]][order]
        for i in range(len(own)):
            for j in range(i + 1, len(own)):
                if own[j, 0] >= own[i, 2]:
                    break
                if min(own[i, 3], own[j, 3]) > max(own[i, 1], own[j, 1]):
                    value = iou(own, i, j)
                    improve(best, partner, rows[i], rows[j], value)
                    improve(best, partner, rows[j], rows[i], value)


@compiled
def pair_frames(box, first, begin, end, pairs):
    """How many pairs of boxes meet in frames begin .. end, written to `pairs` as far as that reaches."""
    count = 0
    for f in range(begin, end):
        own = box[first[f] : first[f + 1]]
        order = np.argsort(own[:, 0])
        own = own[order]
        for i in range(len(own)):
            for j in range(i + 1, len(own)):
                if own[j, 0] >= own[i, 2]:
                    break
                if min(own[i, 3], own[j, 3]) > max(own[i, 1], own[j, 1]):
                    if count < len(pairs):
                        pairs[count, 0] = first[f] + min(order[i], order[j])
                        pairs[count, 1] = first[f] + max(order[i], order[j])
                    count += 1
    return count


def _some(box: Tensor, keep: Tensor) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows that are kept and have an area, and their boxes."""
    kept = keep & (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
    rows = kept.nonzero().flatten().numpy()
    return rows, np.ascontiguousarray(box.numpy()[rows])


def _starts(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the groups of a sorted array start, and its end."""
    change = np.flatnonzero(group[1:] != group[:-1]) + 1
    return np.concatenate([np.zeros(min(1, len(group)), np.int64), change, [len(group)]])


def _chunks(first: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of whole groups with about `CHUNK` boxes each, fewer where one thread does it all."""
    size = CHUNK if threads() > 1 else max(int(first[-1]), CHUNK)
    cuts = np.unique(np.concatenate([np.searchsorted(first, np.arange(0, first[-1], size)), [len(first) - 1]]))
    return list(pairwise(cuts.tolist()))


def union_areas(box: Float64[Tensor, "o 4"], frame: Int64[Tensor, " o"], frames: int) -> Float64[Tensor, " b"]:
    """Area of the union of the boxes of each frame; see ``kernels.boxes``."""
    rows, own = _some(box, torch.ones(len(box), dtype=torch.bool))
    first = np.searchsorted(frame.numpy()[rows], np.arange(frames + 1))
    out = np.zeros(frames)
    spread(lambda cut: union_frames(own, first, *cut, out), _chunks(first))
    return torch.from_numpy(out)


def best_partners(
    box: Float64[Tensor, "o 4"], group: Int64[Tensor, " o"], crowd: Bool[Tensor, " o"]
) -> tuple[Float64[Tensor, " o"], Int64[Tensor, " o"]]:
    """Best overlap with another box of the group, and its row; see ``kernels.boxes``."""
    rows, own = _some(box, ~crowd)
    groups = group.numpy()[rows]
    if (groups[1:] < groups[:-1]).any():
        order = np.argsort(groups, kind="stable")
        rows, own, groups = rows[order], own[order], groups[order]
    first = _starts(groups)
    best, partner = np.zeros(len(box)), np.full(len(box), -1, np.int64)
    spread(lambda cut: partner_groups(own, rows, first, *cut, best, partner), _chunks(first))
    return torch.from_numpy(best), torch.from_numpy(partner)


def meeting_pairs(frame: Int64[Tensor, " o"], box: Float64[Tensor, "o 4"]) -> Int64[Tensor, "2 p"]:
    """Pairs i < j of boxes of the same frame that share area; see ``kernels.boxes``."""
    rows, own = _some(box, torch.ones(len(box), dtype=torch.bool))
    first = _starts(frame.numpy()[rows])
    found: dict[int, NDArray[np.int64]] = {}

    def work(cut: tuple[int, int]) -> None:
        pairs = np.empty((0, 2), np.int64)
        count = pair_frames(own, first, *cut, pairs)
        pairs = np.empty((count, 2), np.int64)
        pair_frames(own, first, *cut, pairs)
        found[cut[0]] = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]

    spread(work, _chunks(first))
    pairs = np.concatenate([np.empty((0, 2), np.int64), *(found[key] for key in sorted(found))])
    return torch.from_numpy(rows[pairs.T])
