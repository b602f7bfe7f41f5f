"""Pixels that pairs of masks share, on CPU cores: column by column where masks are smooth, run by run where they are not.

Two columns with one run each share a difference of a maximum and a minimum, for eight or sixteen columns at a time in one
instruction; a search for where the next run ends takes ten times as long. So a mask with many partners is split into *layers*
before: layer 0 has the first run of every column, layer 1 the second, and so on. What two masks share is the sum over all pairs
of their layers.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Int64
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.kernels.runs import Runs
from gpu_quality.kernels.runs.cpu import cuts
from gpu_quality.kernels.threads import spread

PAIRS: Final = 4096
"""Pairs a thread takes at a time; as many boxes are compared in 10 µs."""
CHUNK: Final = 64
"""Masks, or pairs of masks that may share pixels, a thread takes at a time."""
LAYERS: Final = 8
"""Runs a column may have at most, for its mask to be split."""
SPREAD: Final = 4
"""Columns of all layers per run, above which a mask is too thin to be split."""
PARTNERS: Final = 8
"""Partners from which splitting a mask is sure to pay: it takes about as long as comparing it three times by its runs."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def candidates(box_a, box_b, one, other, begin, stop, out):
    """Mark those pairs begin .. stop whose boxes share a pixel."""
    for k in range(begin, stop):
        i, j = one[k], other[k]
        across = min(box_a[i, 2], box_b[j, 2]) > max(box_a[i, 0], box_b[j, 0])
        out[k] = across and min(box_a[i, 3], box_b[j, 3]) > max(box_a[i, 1], box_b[j, 1])


@compiled
def split(start, end, height, right, most, extent, at, top, bottom, used):
    """Append the layers of one mask: from where to where each column is set, 0 and 0 where the layer has nothing there.

    A layer reaches from its first column to the right side of the mask. Returns how many layers there are, 0 where they are too
    many, or more than `most` columns long together, to be of use.
    """
    inverse, before, layer, layers, room = 1.0 / height, -1, 0, 0, used
    for r in range(len(start)):
        a, b = start[r], end[r]
        column = int((a + 0.5) * inverse)
        layer = layer + 1 if column == before else 0
        if layer == layers:
            length = right - column
            if layer == LAYERS or room + length > used + most:
                return 0
            at[layer], extent[layer, 0], extent[layer, 1] = room - column, column, right
            top[room : room + length] = 0
            bottom[room : room + length] = 0
            room, layers = room + length, layers + 1
        place = at[layer] + column
        top[place], bottom[place], before = a, b, column
        edge = (column + 1) * height
        while b > edge:  # goes on in the next columns
            bottom[place] = edge
            layer, before, place = 0, before + 1, at[0] + before + 1
            top[place], bottom[place] = edge, b
            edge += height
    return layers


@compiled
def split_some(rows, room, begin, stop, start, end, first, count, box, height, layers, extent, at, top, bottom):
    """Layers of the masks ``rows[begin:stop]``, each in its own room: their columns, and where they would have column 0."""
    for k in range(begin, stop):
        i = rows[k]
        own = slice(first[i], first[i] + count[i])
        most = room[k + 1] - room[k]
        layers[i] = split(start[own], end[own], height[i], box[i, 2], most, extent[i], at[i], top, bottom, room[k])


@compiled
def first_after(values, begin, stop, position):
    """First place among begin .. stop whose value is above `position`; values rise."""
    while begin < stop:
        middle = (begin + stop) // 2
        if values[middle] > position:
            stop = middle
        else:
            begin = middle + 1
    return begin


@compiled
def between(start, end, first, count, low, high):
    """The runs of one mask that may have pixels among low .. high."""
    begin = first_after(end, first, first + count, low)
    return slice(begin, first_after(start, begin, first + count, high - 1))


@compiled
def meet(start_a, end_a, start_b, end_b):
    """Positions in runs of both masks.

    Which run ends first is hard to foresee, so both indices move by arithmetic instead of a branch; unsigned ones need no test
    for counting from the end.
    """
    total, one = 0, np.uintp(1)
    i, j, i_stop, j_stop = np.uintp(0), np.uintp(0), np.uintp(len(start_a)), np.uintp(len(start_b))
    while i < i_stop and j < j_stop:
        a, b = end_a[i], end_b[j]
        total += max(min(a, b) - max(start_a[i], start_b[j]), 0)
        step = np.uintp(a <= b)
        i += step
        j += one - step
    return total


@compiled
def meet_columns(start_a, end_a, start_b, end_b):
    """Positions in both of two masks that have one run in each of the same columns."""
    total = 0
    for x in range(len(start_a)):
        total += max(min(end_a[x], end_b[x]) - max(start_a[x], start_b[x]), 0)
    return total


@compiled
def meet_layers(layers_a, extent_a, at_a, top_a, bottom_a, layers_b, extent_b, at_b, top_b, bottom_b):
    """Positions in both of two masks that were split."""
    total = 0
    for k in range(layers_a):
        for m in range(layers_b):
            left, right = max(extent_a[k, 0], extent_b[m, 0]), min(extent_a[k, 1], extent_b[m, 1])
            if left < right:
                i, j = at_a[k] + left, at_b[m] + left
                own, its = slice(i, i + right - left), slice(j, j + right - left)
                total += meet_columns(top_a[own], bottom_a[own], top_b[its], bottom_b[its])
    return total


@compiled
def share(a, b, split_a, split_b, height, one, other, chosen, begin, stop, out):
    """Shared pixels of the pairs ``chosen[begin:stop]``, whose boxes meet."""
    start_a, end_a, first_a, count_a, box_a, plain_a = a
    start_b, end_b, first_b, count_b, box_b, plain_b = b
    layers_a, extent_a, at_a, top_a, bottom_a = split_a
    layers_b, extent_b, at_b, top_b, bottom_b = split_b
    for k in chosen[begin:stop]:
        i, j = one[k], other[k]
        left, right = max(box_a[i, 0], box_b[j, 0]), min(box_a[i, 2], box_b[j, 2])
        if plain_a[i] and plain_b[j]:
            at, on = first_a[i] + left - box_a[i, 0], first_b[j] + left - box_b[j, 0]
            own, its = slice(at, at + right - left), slice(on, on + right - left)
            out[k] = meet_columns(start_a[own], end_a[own], start_b[its], end_b[its])
        elif layers_a[i] and layers_b[j]:
            sides = (layers_a[i], extent_a[i], at_a[i], top_a, bottom_a, layers_b[j], extent_b[j], at_b[j], top_b, bottom_b)
            out[k] = meet_layers(*sides)
        else:
            top, bottom = max(box_a[i, 1], box_b[j, 1]), min(box_a[i, 3], box_b[j, 3])
            low, high = left * height[i] + top, (right - 1) * height[i] + bottom
            own = between(start_a, end_a, first_a[i], count_a[i], low, high)
            its = between(start_b, end_b, first_b[j], count_b[j], low, high)
            out[k] = meet(start_a[own], end_a[own], start_b[its], end_b[its])


def _split(runs: Runs, partner: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    """Layers of masks with enough partners: how many, first and last column and place of each, tops and bottoms of columns."""
    rows = np.flatnonzero(np.bincount(partner, minlength=len(runs)) >= PARTNERS)
    layers, at = np.zeros(len(runs), np.int64), np.empty((len(runs), LAYERS), np.int64)
    extent = np.empty((len(runs), LAYERS, 2), np.int64)
    own = [part.numpy() for part in (runs.start, runs.end, runs.first, runs.count, runs.box, runs.height)]
    room = np.concatenate([np.zeros(1, np.int64), np.cumsum(SPREAD * own[3][rows] + LAYERS)])
    top, bottom = np.empty(room[-1], np.int32), np.empty(room[-1], np.int32)  # most is never touched, so takes no memory
    spread(lambda cut: split_some(rows, room, *cut, *own, layers, extent, at, top, bottom), cuts(len(rows), CHUNK))
    return layers, extent, at, top, bottom


def shared_pixels(one: Runs, other: Runs, pairs: Int64[Tensor, "2 k"]) -> Int64[Tensor, " k"]:
    """Pixels set in both masks of every pair; see ``kernels.mask_pairs``."""
    a, b = pairs.contiguous().numpy()
    out, meeting = np.zeros(len(a), np.int64), np.empty(len(a), np.bool_)
    spread(lambda cut: candidates(one.box.numpy(), other.box.numpy(), a, b, *cut, meeting), cuts(len(a), PAIRS))
    chosen = np.flatnonzero(meeting)
    sides = [
        tuple(part.numpy() for part in (runs.start, runs.end, runs.first, runs.count, runs.box, runs.plain))
        for runs in (one, other)
    ]
    layers = [_split(one, a[chosen]), _split(other, b[chosen])]
    height = one.height.numpy()
    spread(lambda cut: share(*sides, *layers, height, a, b, chosen, *cut, out), cuts(len(chosen), CHUNK))
    return torch.from_numpy(out)
