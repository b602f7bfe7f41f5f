"""Precision at fixed recalls on CPU cores: one walk down the scores of a class serves all thresholds, classes over threads."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.kernels.precision import Accumulated, Ranked
from gpu_quality.kernels.threads import spread

EPSILON: Final = 2.0**-52

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def settle(order, score):
    """Put rows of equal score, which the sort left in any order, into rising order."""
    start, value = 0, 0.0
    for end in range(len(order) + 1):
        here = score[order[end]] if end < len(order) else 0.0
        if end == 0 or (end < len(order) and here == value):
            value = here
            continue
        if end - start > 16:
            order[start:end] = np.sort(order[start:end])
        else:
            for i in range(start + 1, end):
                row, j = order[i], i
                while j > start and order[j - 1] > row:
                    order[j] = order[j - 1]
                    j -= 1
                order[j] = row
        start, value = end, here


@compiled
def needed(recalls, positives):
    """How many labels must be found for each recall."""
    out = np.empty(len(recalls), np.int64)
    for r in range(len(recalls)):
        count = max(int(np.ceil(recalls[r] * positives)), 0)
        while count > 0 and (count - 1) / positives >= recalls[r]:
            count -= 1
        while count / positives < recalls[r]:
            count += 1
        out[r] = count
    return out


@compiled
def walk(order, rank, most, score, matched, hidden, outside, hits, false, precision, at):
    """Walk down the scores: precision and score at every found label of each threshold; hits per threshold, the first place."""
    hits[:], false[:] = 0, 0
    top, common = -1, 0
    for j in order:
        if rank[j] >= most:
            continue
        if top < 0:
            top = j
        bits = matched[j]
        if bits == 0:
            common += 0 if outside[j] else 1
            continue
        true, wrong = bits & ~hidden[j], 0 if outside[j] else ~bits
        for t in range(len(hits)):
            if wrong >> t & 1:
                false[t] += 1
            if true >> t & 1:
                count = hits[t] + 1
                precision[t, hits[t]] = count / (float(false[t] + common) + count + EPSILON)
                at[t, hits[t]] = score[j]
                hits[t] = count
    return top


@compiled
def class_figures(
    order, rank, score, matched, hidden, outside, positives, recalls, maxima, out_precision, out_recall, out_scores
):
    """Fill in one class: [a, m, t, r] and [a, m, t]."""
    t_count = out_recall.shape[2]
    hits, false = np.empty(t_count, np.int64), np.empty(t_count, np.int64)
    for a in range(len(positives)):
        if positives[a] == 0:
            continue
        need = needed(recalls, positives[a])
        room = min(positives[a], len(order))
        precision, at = np.empty((t_count, room)), np.empty((t_count, room))
        for m in range(len(maxima)):
            top = walk(order, rank, maxima[m], score, matched[a], hidden[a], outside[a], hits, false, precision, at)
            for t in range(t_count):
                count = hits[t]
                out_recall[a, m, t] = count / positives[a]
                for i in range(count - 1, 0, -1):
                    precision[t, i - 1] = max(precision[t, i - 1], precision[t, i])
                for r in range(len(recalls)):
                    place = max(need[r] - 1, 0)
                    out_precision[a, m, t, r] = precision[t, place] if place < count else 0.0
                    found = need[r] == 0 or place < count
                    out_scores[a, m, t, r] = 0.0 if top < 0 or not found else at[t, place] if need[r] else score[top]


def _order(score: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows by falling score, equal scores as they are: the quick unstable sort of NumPy, then its ties."""
    order = np.argsort(-score)
    settle(order, score)
    return order


def accumulate(
    ranked: Ranked,
    positives: Int64[Tensor, "k a"],
    thresholds: int,
    recalls: Float64[Tensor, " r"],
    max_detections: tuple[int, ...],
) -> Accumulated:
    """Precision and score at each recall; see ``kernels.precision``."""
    first, rank, score, matched, hidden, outside = (np.ascontiguousarray(part.numpy()) for part in ranked)
    count, grid, maxima = positives.numpy(), recalls.numpy(), np.array(max_detections)
    shape = (*count.shape, len(maxima), thresholds)
    recall, precision, scores = np.full(shape, -1.0), *(np.full((*shape, len(grid)), -1.0) for _ in range(2))

    def work(k: int) -> None:
        own = slice(int(first[k]), int(first[k + 1]))
        columns = (rank[own], score[own], matched[:, own], hidden[:, own], outside[:, own])
        if count[k].any():
            class_figures(_order(score[own]), *columns, count[k], grid, maxima, precision[k], recall[k], scores[k])

    sizes = np.diff(first)
    spread(work, np.argsort(-sizes).tolist())  # the largest first, so that no thread is left alone with it
    return Accumulated(torch.from_numpy(precision), torch.from_numpy(recall), torch.from_numpy(scores))
