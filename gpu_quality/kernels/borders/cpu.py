"""Borders of masks on CPU cores: every mask is swept column by column, with one counter per row of its box.

A pixel survives the erosion by a square where the 2 d + 1 columns around it all hold it at least d rows away from the ends of a
run; so each row counts for how many columns in turn that has been so, and the decision falls d columns later.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any, Final

import numpy as np
from jaxtyping import Int64
from numba import njit
from torch import Tensor

from gpu_quality.kernels.runs import Runs
from gpu_quality.kernels.runs.cpu import cuts, joined, measure
from gpu_quality.kernels.threads import spread

CHUNK: Final = 16
"""Masks a thread takes at a time."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def piece(start, end, r, low, high):
    """What run `r` and those that go on where it ends have of the positions low .. high, from low; and the next run."""
    begin, stop = max(start[r], low), end[r]
    r += 1
    while r < len(start) and start[r] == stop and stop < high:
        stop = end[r]
        r += 1
    return begin - low, min(stop, high) - low, r


@compiled
def count_column(start, end, r, low, high, top, distance, inner):
    """Count one column on: rows `distance` away from the ends of its runs go up by one, all others back to 0."""
    reached = 0
    while r < len(start) and start[r] < high:
        begin, stop, r = piece(start, end, r, low, high)
        begin, stop = begin + distance - top, stop - distance - top
        if stop > begin:
            inner[reached:begin] = 0
            for y in range(begin, stop):
                inner[y] += 1
            reached = stop
    inner[reached:] = 0


@compiled
def border_column(start, end, r, low, high, top, full, inner, found, used):
    """Append the runs of one column of which the counters say that they are no inner ones."""
    while r < len(start) and start[r] < high:
        begin, stop, r = piece(start, end, r, low, high)
        if used + (stop - begin) // 2 + 1 > found.shape[1]:
            more = np.empty((2, 2 * found.shape[1] + stop - begin), np.int32)
            more[:, :used] = found[:, :used]
            found = more
        y = begin
        while y < stop:
            while y < stop and inner[y - top] >= full:
                y += 1
            first = y
            while y < stop and inner[y - top] < full:
                y += 1
            if y > first:
                found[0, used], found[1, used] = low + first, low + y
                used += 1
    return found, used


@compiled
def border(start, end, height, box, distance, found, used):
    """Append the border of one mask."""
    left, top, right, bottom = box[0], box[1], box[2], box[3]
    inner = np.zeros(bottom - top, np.int32)
    ahead, behind = 0, 0
    for x in range(left, right + distance):
        low = x * height
        while ahead < len(start) and end[ahead] <= low:
            ahead += 1
        count_column(start, end, ahead, low, low + height, top, distance, inner)
        low -= distance * height
        if x - distance >= left:
            while end[behind] <= low:
                behind += 1
            found, used = border_column(start, end, behind, low, low + height, top, 2 * distance + 1, inner, found, used)
    return found, used


@compiled
def border_some(start, end, own_first, own_count, own_box, height, distance, first, count, area, box, plain):
    """Borders of some masks, measured."""
    found, used = np.empty((2, 1024), np.int32), 0
    for i in range(len(first)):
        first[i] = used
        if own_count[i] > 0:
            own = slice(own_first[i], own_first[i] + own_count[i])
            found, used = border(start[own], end[own], height[i], own_box[i], distance[i], found, used)
        count[i] = used - first[i]
        area[i], plain[i] = measure(found[0, first[i] : used], found[1, first[i] : used], height[i], box[i])
    return found[0, :used].copy(), found[1, :used].copy()


def borders(runs: Runs, distance: Int64[Tensor, " m"]) -> Runs:
    """Pixels of every mask near its border; see ``kernels.borders``."""
    done: dict[int, tuple[Any, ...]] = {}
    sides = [part.contiguous().numpy() for part in (runs.first, runs.count, runs.box, runs.height, distance)]

    def work(cut: tuple[int, int]) -> None:
        many = cut[1] - cut[0]
        first, count, area = np.zeros((3, many), np.int64)
        box, plain = np.zeros((many, 4), np.int32), np.zeros(many, np.bool_)
        own = [side[slice(*cut)] for side in sides]
        start, end = border_some(runs.start.numpy(), runs.end.numpy(), *own, first, count, area, box, plain)
        done[cut[0]] = first, count, start, end, area, box, plain

    spread(work, cuts(len(runs), CHUNK))
    return joined([done[key] for key in sorted(done)], runs.height, runs.width)
