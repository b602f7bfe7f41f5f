"""Central moments to order 3 of polygons and masks, without drawing either.

Columns of a result: m00, mu20, mu11, mu02, mu30, mu21, mu12, mu03 with unit density; m00 is the area, and all are 0 where a
shape has none. Source: M.-K. Hu, Visual pattern recognition by moment invariants, IRE Transactions 8, 1962.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.geometry import polygons, rle
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.geometry.regions import outlines_of
from gpu_quality.types import KINDS, Objects, Sizes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_BLOCK: Final = 1 << 15
"""Polygons measured at a time, so that memory does not go with the number of objects."""
_MASKS: Final = 1 << 10
"""Masks measured at a time: about 100 MB for a thousand rows each."""
_SLIVER: Final = 1e-12
"""Share of its bounds below which the area of a polygon is rounding error of points on one line."""


def central_moments(objects: Objects, sizes: Sizes) -> Floats:
    """Central moments of every polygon and mask; zeros for other kinds, crowd regions and shapes without area, NaN for masks of
    frames of unknown size.
    """
    out = np.zeros((len(objects), 8))
    if objects.shapes is None:
        return out
    kind = np.where(objects.crowd.cpu().numpy(), -1, objects.shapes.kind.cpu().numpy())
    outlines = outlines_of(objects.shapes)
    outlined = np.flatnonzero(kind == KINDS.index("polygon"))
    for start in range(0, len(outlined), _BLOCK):
        rows = outlined[start : start + _BLOCK]
        out[rows] = polygon_moments(outlines.take(rows))
    masked = np.flatnonzero(kind == KINDS.index("mask"))
    size = np.stack([sizes.height.cpu().numpy(), sizes.width.cpu().numpy()])[:, objects.frame.cpu().numpy()]  # [2, o]
    unknown = np.isnan(size).any(0)
    out[masked[unknown[masked]]] = np.nan
    masked = masked[~unknown[masked]]
    for start in range(0, len(masked), _MASKS):
        rows = masked[start : start + _MASKS]
        height, width = size[:, rows].astype(np.int64)
        out[rows] = mask_moments([objects.shapes.rle[row] or b"" for row in rows], height, width)
    return out


def polygon_moments(outlines: Outlines) -> Floats:
    """Central moments of the even-odd inside of every outline, by Green's theorem along its border."""
    import shapely

    bounds = polygons.bounds(outlines)
    parts, owner = shapely.get_parts(polygons.shapes(outlines), return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    inner = np.concatenate([np.zeros(min(1, len(part)), bool), part[1:] == part[:-1]])
    joined = ring[1:] == ring[:-1]
    edge_ring = ring[1:][joined]
    who = owner[part[edge_ring]]
    start = points - ((bounds[:, :2] + bounds[:, 2:]) / 2)[owner[part[ring]]]
    a, b = start[:-1][joined], start[1:][joined]
    twice = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    turn = np.sign(np.bincount(edge_ring, twice, len(rings))) * np.where(inner, -1, 1)
    turn = turn[edge_ring]  # with it, outer rings add and holes take away, whichever way they run

    def total(values: Floats) -> Floats:
        return np.bincount(who, turn * values, len(outlines)).astype(np.float64)

    area = total(twice / 2)
    known = area > _SLIVER * np.prod(bounds[:, 2:] - bounds[:, :2], axis=1)
    safe = np.where(known, area, 1)
    center = np.stack([total(twice * (a[:, k] + b[:, k]) / 6) / safe for k in (0, 1)], 1)
    a, b = a - center[who], b - center[who]
    found = np.stack([total(term) for term in _edge_terms(a, b)], 1)
    return np.where(known[:, None], found, 0)


def _edge_terms(a: Floats, b: Floats) -> list[Floats]:
    """What every edge from a to b adds to the eight moments about the origin."""
    (x, y), (u, v) = a.T, b.T
    twice = x * v - y * u
    return [
        twice / 2,
        twice * (x * x + x * u + u * u) / 12,
        twice * (2 * x * y + x * v + u * y + 2 * u * v) / 24,
        twice * (y * y + y * v + v * v) / 12,
        twice * (x + u) * (x * x + u * u) / 20,
        twice * (x * x * (3 * y + v) + 2 * x * u * (y + v) + u * u * (y + 3 * v)) / 60,
        twice * (y * y * (3 * x + u) + 2 * y * v * (x + u) + v * v * (x + 3 * u)) / 60,
        twice * (y + v) * (y * y + v * v) / 20,
    ]


def mask_moments(texts: Sequence[bytes], height: Ints, width: Ints) -> Floats:
    """Central moments of the set pixels of compressed masks, each counted at its center; zeros where counts do not fit."""
    runs, problems = rle.check(texts, height, width)
    sound = np.flatnonzero([not problem for problem in problems])
    mask, y, x0, x1 = rle.spans(runs, sound, height[sound], width[sound])
    mask = sound[mask]

    def total(values: Floats) -> Floats:
        return np.bincount(mask, values, len(texts)).astype(np.float64)

    zero = np.zeros(len(mask))
    area = total((x1 - x0).astype(np.float64))
    safe = np.maximum(area, 1)
    along = _power_sums(x0, x1, (total(_power_sums(x0, x1, zero)[1]) / safe)[mask])
    down = y - (total(((x1 - x0) * y).astype(np.float64)) / safe)[mask]
    powers = ((0, 0), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
    return np.stack([total(along[p] * down**q) for p, q in powers], 1)


def _power_sums(start: Ints, end: Ints, center: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Sums of (t - center)^p over the integers start <= t < end, p = 0..3."""
    count = (end - start).astype(np.float64)
    mid = (start + end - 1) / 2 - center
    spread = count * count - 1
    return count, count * mid, count * (mid * mid + spread / 12), count * mid * (mid * mid + spread / 4)
