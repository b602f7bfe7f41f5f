"""Points and lines widened to areas, so that two of them can overlap."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.geometry.polygons import Outlines

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

QUARTER: Final = 16
"""Edges of a quarter circle around the end of a line: areas are .16 % too small."""


def disc_overlap(distance: Floats, radius: Floats) -> Floats:
    """Area that two discs of one radius share whose centers are so far apart: 2 r² acos(d / 2r) - d / 2 · sqrt(4 r² - d²)."""
    reach = 2 * radius
    share = np.divide(distance, reach, out=np.ones_like(distance), where=reach > 0)
    apart = np.minimum(distance, reach)
    lens = 2 * radius**2 * np.arccos(np.minimum(share, 1)) - apart / 2 * np.sqrt(reach**2 - apart**2)
    return np.asarray(np.maximum(lens, 0))


def widened(lines: Outlines, radius: Floats) -> Any:
    """One shapely geometry per object: all that lies within its radius of its lines or single points, with round ends.

    What an outline calls a ring is an open line here; one of a single point, or of equal points, becomes a disc.
    """
    import shapely

    size = np.diff(lines.numbers) // 2
    ring = np.repeat(np.arange(len(size)), size)
    points = lines.values.reshape(-1, 2)
    long = size > 1
    parts = np.empty(len(size), dtype=object)
    kept = long[ring]
    parts[long] = shapely.linestrings(points[kept], indices=(np.cumsum(long) - 1)[ring[kept]])
    parts[size == 1] = shapely.points(points[(size == 1)[ring]])
    owner = np.repeat(np.arange(len(lines)), np.diff(lines.rings))
    out = np.full(len(lines), shapely.Polygon(), dtype=object)
    some = np.flatnonzero(np.bincount(owner[size > 0], minlength=len(lines)))
    place = np.searchsorted(some, owner[size > 0])
    out[some] = shapely.buffer(shapely.geometrycollections(parts[size > 0], indices=place), radius[some], quad_segs=QUARTER)
    return out
