"""Weighted correlations in one sweep over rows sorted by one side, compiled."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any

import numpy as np
from numba import njit

from gpu_quality.kernels.shuffles.cpu import BLOCK, draw, scaled, started
from gpu_quality.kernels.threads import spread, threads

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def draw_frames(drawn, state):
    """How often each frame is drawn."""
    bits, frames = np.empty(BLOCK, np.uint32), len(drawn)
    drawn[:] = 0
    for begin in range(0, frames, BLOCK):
        draw(state, begin, bits)
        for i in range(min(BLOCK, frames - begin)):
            drawn[np.uint64(scaled(bits[i], frames))] += np.uint8(1)


@compiled
def weigh(drawn, frame, y_group, weight, held):
    """How often each row is drawn, and how many rows each group of equal y holds."""
    held[:] = 0
    for p in range(len(frame)):
        weight[p] = drawn[np.uint64(frame[p])]
    if len(held) == 2:  # two sums instead of counters that wait for each other
        ones, total = np.int64(0), np.int64(0)
        for p in range(len(frame)):
            ones += weight[p] * y_group[p]
            total += weight[p]
        held[0], held[1] = total - ones, ones
    else:
        for p in range(len(frame)):
            held[y_group[p]] += weight[p]


@compiled
def rank_groups(held, middle, total):
    """Mid-ranks of groups around their mean, from the rows they hold; sum of squares over rows."""
    before, square = 0, 0.0
    for g in range(len(held)):
        middle[g] = before + held[g] / 2 - total / 2
        square += held[g] * middle[g] * middle[g]
        before += held[g]
    return square


@compiled
def spearman(x, y_group, weight, held, middle, total):
    """Rank correlation of weighted rows sorted by x."""
    square_y = rank_groups(held, middle, total)
    before, square, together = 0, 0.0, 0.0
    own, other = 0, 0.0
    for p in range(len(x)):
        own += weight[p]
        other += weight[p] * middle[y_group[p]]
        if p + 1 == len(x) or x[p + 1] != x[p]:
            rank = before + own / 2 - total / 2
            square += own * rank * rank
            together += rank * other
            before += own
            own, other = 0, 0.0
    return together / np.sqrt(square * square_y) if square * square_y > 0 else np.nan


@compiled
def pearson(x, y, weight, total):
    """Correlation of weighted rows."""
    sum_x = sum_y = xx = yy = xy = 0.0
    for p in range(len(x)):
        wx, wy = weight[p] * x[p], weight[p] * y[p]
        sum_x += wx
        sum_y += wy
        xx += wx * x[p]
        yy += wy * y[p]
        xy += wx * y[p]
    spread_x, spread_y = xx - sum_x * sum_x / total, yy - sum_y * sum_y / total
    if not (spread_x > 1e-12 * xx and spread_y > 1e-12 * yy):
        return np.nan
    return (xy - sum_x * sum_y / total) / np.sqrt(spread_x * spread_y)


@compiled
def resample(begin, stop, seed, x, y, y_group, frame, frames, groups, out):
    """Resamples begin .. stop."""
    drawn, weight = np.empty(frames, np.uint8), np.empty(len(x), np.uint8)  # 256 times the same: once in 10^500 resamples
    held, middle = np.empty(groups, np.int64), np.empty(groups, np.float64)
    for r in range(begin, stop):
        draw_frames(drawn, started(seed, r))
        weigh(drawn, frame, y_group, weight, held)
        total = held.sum()
        rho = spearman(x, y_group, weight, held, middle, total)
        out[r, 1] = rho
        out[r, 0] = np.nan if np.isnan(rho) else pearson(x, y, weight, total)


def resampled(
    x: np.ndarray, y: np.ndarray, y_group: np.ndarray, frame: np.ndarray, *, frames: int, resamples: int, seed: int
) -> np.ndarray:
    """Correlations of resamples; see ``kernels.correlations``."""
    out, groups = np.empty((resamples, 2)), int(y_group.max(initial=-1)) + 1
    step = max(1, -(-resamples // threads()))

    def work(begin: int) -> None:
        resample(begin, min(begin + step, resamples), seed, x, y, y_group, frame, frames, groups, out)

    spread(work, range(0, resamples, step))
    return out
