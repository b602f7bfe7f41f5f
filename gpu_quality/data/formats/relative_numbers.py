"""Pixels as numbers relative to the size of an image, chosen so that reading them gives the same pixels again.

Multiplying a quotient does not always give back what was divided. Among the few neighbors of the rounded quotient there is one
that does, wherever the pixels came from such a number in the first place.
"""

from itertools import product
from typing import Final

import numpy as np

from gpu_quality.annotations.columns import Bools, Floats

_STEPS: Final = tuple(sorted(range(-8, 9), key=abs))
"""Quarters of a unit in the last place tried on either side, nearest first."""


def shares(pixels: Floats, size: Floats) -> Floats:
    """``pixels / size``, moved to a neighbor where only that one times `size` is `pixels` again."""
    out = pixels / size
    for step in (np.inf, -np.inf):
        tried = np.nextafter(pixels / size, step)
        better = (out * size != pixels) & (tried * size == pixels)
        out = np.where(better, tried, out)
    return out


def spans(low: Floats, high: Floats, size: Floats) -> tuple[Floats, Floats]:
    """Center and length, relative to `size`, of ``low .. high``; moved so that ``(center - length / 2) * size`` is `low` again
    and ``(center + length / 2) * size`` is `high`, where any neighbors do that.
    """
    center, length = (low + high) / 2 / size, (high - low) / size
    grid = np.spacing(np.maximum(np.abs(low), np.abs(high)) / size) / 4
    wrong = np.flatnonzero(~_gives(center, length, low, high, size))
    start = center.copy(), length.copy()
    for shift, stretch in sorted(product(_STEPS, repeat=2), key=lambda s: abs(s[0]) + abs(s[1])):
        if not len(wrong):
            break
        c, n = start[0][wrong] + shift * grid[wrong], start[1][wrong] + stretch * grid[wrong]
        good = _gives(c, n, low[wrong], high[wrong], size[wrong])
        center[wrong[good]], length[wrong[good]] = c[good], n[good]
        wrong = wrong[~good]
    return center, length


def _gives(center: Floats, length: Floats, low: Floats, high: Floats, size: Floats) -> Bools:
    return np.asarray(((center - length / 2) * size == low) & ((center + length / 2) * size == high))
