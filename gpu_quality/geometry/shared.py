"""Areas that pairs of shapely geometries share, in blocks, so that memory does not go with the number of pairs."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_PAIRS: Final = 1 << 15
"""Pairs intersected at a time: tens of megabytes of geometries."""


def areas(shapes: Any) -> Floats:
    """Area of every geometry."""
    import shapely

    return np.asarray(shapely.area(shapes), np.float64)


def bounds(shapes: Any) -> Floats:
    """Smallest box x1 y1 x2 y2 around every geometry; NaN around an empty one."""
    import shapely

    return np.asarray(shapely.bounds(shapes), np.float64).reshape(-1, 4)


def shared_areas(one: Any, other: Any, first: Ints, second: Ints) -> Floats:
    """Area that geometries ``one[first[i]]`` and ``other[second[i]]`` share; all are valid."""
    import shapely

    out = np.zeros(len(first))
    for start in range(0, len(first), _PAIRS):
        cut = slice(start, start + _PAIRS)
        out[cut] = shapely.area(shapely.intersection(one[first[cut]], other[second[cut]]))
    return out
