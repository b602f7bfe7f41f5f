"""What is wrong with an outline as such: it crosses or touches itself, or has too few points to enclose anything."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.geometry.polygons import Outlines

Ints = NDArray[np.int64]

_BLOCK: Final = 1 << 20
"""Numbers of outlines that are looked at as geometries at a time: about 100 MB."""


def _blocks(outlines: Outlines) -> list[Ints]:
    """Rows of the objects, cut so that each block holds about `_BLOCK` numbers."""
    ends = outlines.numbers[outlines.rings[1:]]
    cuts = np.searchsorted(ends, np.arange(_BLOCK, int(ends[-1]) if len(ends) else 0, _BLOCK), "right")
    return [rows for rows in np.split(np.arange(len(outlines)), np.unique(cuts)) if len(rows)]


def crossing(outlines: Outlines) -> NDArray[np.bool_]:
    """Which objects have a ring of three or more different points that crosses or touches itself: no valid ring by OGC."""
    import shapely

    found = np.zeros(len(outlines), bool)
    for rows in _blocks(outlines):
        part = outlines.take(rows)
        size = np.diff(part.numbers) // 2
        real = ring_points(part) >= 3
        point = real[np.repeat(np.arange(len(size)), size)]
        place = np.repeat(np.arange(int(real.sum())), size[real])
        rings = shapely.linearrings(part.values.reshape(-1, 2)[point], indices=place)
        owner = np.repeat(rows, np.diff(part.rings))[real]
        found[owner[~shapely.is_valid(shapely.polygons(rings))]] = True
    return found


def ring_points(outlines: Outlines) -> Ints:
    """The number of different points of every ring."""
    size = np.diff(outlines.numbers) // 2
    ring = np.repeat(np.arange(len(size)), size)
    points = outlines.values.reshape(-1, 2)
    order = np.lexsort((points[:, 1], points[:, 0], ring))
    ring, points = ring[order], points[order]
    new = np.ones(len(ring), bool)
    new[1:] = (ring[1:] != ring[:-1]) | (points[1:] != points[:-1]).any(axis=1)
    return np.bincount(ring[new], minlength=len(size))


def fewest_points(outlines: Outlines) -> Ints:
    """The number of different points of that ring of each object which has the fewest; 0 for an object without rings."""
    found = np.zeros(len(outlines), np.int64)
    some = np.flatnonzero(np.diff(outlines.rings))
    if len(some):
        found[some] = np.minimum.reduceat(ring_points(outlines), outlines.rings[some])
    return found
