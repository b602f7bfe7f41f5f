"""Areas shared and covered by simple rings, on CPU cores: a sum over those parts of edges that bound the area.

By Green's theorem twice an area is the sum of a x b over the edges a b around it. Of two rings, the boundary of what they share
are the parts of each that lie inside the other; of many, the boundary of their union are the parts that lie in no other.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.kernels.rings import LONGEST
from gpu_quality.kernels.threads import spread

DOUBT: Final = 1e-9
"""A point this near to a line, as a share of the lengths compared, may lie on either side of it."""
SHALLOW: Final = 1e-3
"""Sine of the angle below which the place of a crossing loses too many digits."""
CHUNK: Final = 2048

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def inside(x, y, ring):
    """Whether a ray from (x, y) to the right crosses a ring an odd number of times."""
    odd = False
    c = len(ring) - 1
    for d in range(len(ring)):
        if (ring[c, 1] <= y) != (ring[d, 1] <= y):
            share = (y - ring[c, 1]) / (ring[d, 1] - ring[c, 1])
            if ring[c, 0] + share * (ring[d, 0] - ring[c, 0]) > x:
                odd = not odd
        c = d
    return odd


@compiled
def crossing(ax, ay, bx, by, cx, cy, dx, dy):
    """Where on edge a b, 0..1, the edge c d crosses it; -1 where they do not meet, -2 where that is in doubt."""
    ux, uy, vx, vy = bx - ax, by - ay, dx - cx, dy - cy
    own, other = abs(ux) + abs(uy), abs(vx) + abs(vy)
    pad = DOUBT * (own + other)
    if max(cx, dx) < min(ax, bx) - pad or min(cx, dx) > max(ax, bx) + pad:
        return -1.0
    if max(cy, dy) < min(ay, by) - pad or min(cy, dy) > max(ay, by) + pad:
        return -1.0
    c_side, d_side = ux * (cy - ay) - uy * (cx - ax), ux * (dy - ay) - uy * (dx - ax)
    a_side, b_side = vx * (ay - cy) - vy * (ax - cx), vx * (by - cy) - vy * (bx - cx)
    if min(abs(c_side), abs(d_side)) <= pad * own or min(abs(a_side), abs(b_side)) <= pad * other:
        return -2.0
    if (c_side > 0.0) == (d_side > 0.0) or (a_side > 0.0) == (b_side > 0.0):
        return -1.0
    return a_side / (a_side - b_side) if abs(a_side - b_side) >= SHALLOW * own * other else -2.0


@compiled
def is_simple(ring):
    """Whether no edge of a ring touches another, apart from sharing its ends with its neighbors."""
    n = len(ring)
    for i in range(n):
        j, m = (i + 1) % n, (i + 2) % n
        ax, ay, bx, by = ring[i, 0], ring[i, 1], ring[j, 0], ring[j, 1]
        ux, uy, vx, vy = bx - ax, by - ay, ring[m, 0] - bx, ring[m, 1] - by
        straight = abs(ux * vy - uy * vx) <= DOUBT * (abs(ux) + abs(uy)) * (abs(vx) + abs(vy))
        if straight and ux * vx + uy * vy <= 0.0:  # turns back on itself
            return False
        cx, cy = ring[m, 0], ring[m, 1]
        for k in range(i + 2, n if i > 0 else n - 1):
            d = k + 1 if k + 1 < n else 0
            if crossing(ax, ay, bx, by, cx, cy, ring[d, 0], ring[d, 1]) != -1.0:
                return False
            cx, cy = ring[d, 0], ring[d, 1]
    return True


@compiled
def parts_inside(p, q, box, parts, count):
    """Append the parts of p's edges that lie in q (edge, from, to); returns the array, larger if need be, and how many.

    `box` is around q. The count is -1 where a crossing is in doubt.
    """
    found = np.empty(len(q))
    within = inside(p[0, 0], p[0, 1], q)
    for e in range(len(p)):
        f = e + 1 if e + 1 < len(p) else 0
        ax, ay, bx, by = p[e, 0], p[e, 1], p[f, 0], p[f, 1]
        pad = DOUBT * (abs(bx - ax) + abs(by - ay) + box[2] - box[0] + box[3] - box[1])
        if max(ax, bx) < box[0] - pad or min(ax, bx) > box[2] + pad:
            continue
        if max(ay, by) < box[1] - pad or min(ay, by) > box[3] + pad:
            continue
        crossings, c = 0, len(q) - 1
        for d in range(len(q)):
            place = crossing(ax, ay, bx, by, q[c, 0], q[c, 1], q[d, 0], q[d, 1])
            c = d
            if place == -2.0:
                return parts, -1
            if place >= 0.0:
                found[crossings] = place
                crossings += 1
        if count + crossings + 1 > len(parts):
            larger = np.empty((2 * (len(parts) + crossings), 3))
            larger[:count] = parts[:count]
            parts = larger
        if crossings > 1:
            found[:crossings].sort()
        before = 0.0
        for k in range(crossings + 1):
            place = found[k] if k < crossings else 1.0
            if within:
                parts[count, 0], parts[count, 1], parts[count, 2] = e, before, place
                count += 1
            if k < crossings:
                within = not within
            before = place
    return parts, count


@compiled
def parts_outside(p, width, height, parts, count):
    """Append the parts of p's edges that lie outside the frame; see `parts_inside`."""
    for e in range(len(p)):
        f = e + 1 if e + 1 < len(p) else 0
        begin, end = 0.0, 1.0
        for axis in range(2):
            step, far = p[f, axis] - p[e, axis], width if axis == 0 else height
            if step == 0.0:
                if p[e, axis] < 0.0 or p[e, axis] > far:
                    begin = 2.0
                continue
            one, other = -p[e, axis] / step, (far - p[e, axis]) / step
            begin, end = max(begin, min(one, other)), min(end, max(one, other))
        if begin >= end:
            begin, end = 1.0, 1.0
        if count + 2 > len(parts):
            larger = np.empty((2 * len(parts) + 2, 3))
            larger[:count] = parts[:count]
            parts = larger
        for start, stop in ((0.0, begin), (end, 1.0)):
            if stop > start:
                parts[count, 0], parts[count, 1], parts[count, 2] = e, start, stop
                count += 1
    return parts, count


@compiled
def edge_sum(p, parts, taken, x, y):
    """Twice the area under the parts of p's edges (`taken`), or under all but the parts; as seen from (x, y)."""
    reach, covered = np.zeros(len(p)), np.zeros(len(p))
    for row in np.argsort(parts[:, 1]):
        e = int(parts[row, 0])
        covered[e] += max(parts[row, 2] - max(parts[row, 1], reach[e]), 0.0)
        reach[e] = max(reach[e], parts[row, 2])
    total = 0.0
    for e in range(len(p)):
        f = e + 1 if e + 1 < len(p) else 0
        twice = (p[e, 0] - x) * (p[f, 1] - y) - (p[e, 1] - y) * (p[f, 0] - x)
        total += twice * (covered[e] if taken else 1.0 - covered[e])
    return total


@compiled
def pair_areas(points, first, box, pairs, begin, end, out):
    """Area shared by the pairs begin .. end."""
    parts = np.empty((64, 3))
    for k in range(begin, end):
        total = 0.0
        for turn in range(2):
            i, j = pairs[turn, k], pairs[1 - turn, k]
            p, q = points[first[i] : first[i + 1]], points[first[j] : first[j + 1]]
            parts, count = parts_inside(p, q, box[j], parts, 0)
            if count < 0:
                total = np.nan
                break
            x, y = points[first[pairs[0, k]]]
            total += edge_sum(p, parts[:count], True, x, y)
        out[k] = total / 2 if total > 0.0 or np.isnan(total) else 0.0


@compiled
def frame_area(points, first, box, begin, end, width, height):
    """Area of the union of rings begin .. end in their frame; NaN where that is in doubt."""
    window = np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])
    edges, parts = np.empty((64, 3)), np.empty((64, 3))
    on_edges, total = 0, 0.0
    for i in range(begin, end):
        p, count = points[first[i] : first[i + 1]], 0
        for j in range(begin, end):
            apart = box[i, 0] > box[j, 2] or box[j, 0] > box[i, 2] or box[i, 1] > box[j, 3] or box[j, 1] > box[i, 3]
            if i == j or apart:
                continue
            parts, count = parts_inside(p, points[first[j] : first[j + 1]], box[j], parts, count)
            if count < 0:
                return np.nan
        if box[i, 0] < 0.0 or box[i, 1] < 0.0 or box[i, 2] > width or box[i, 3] > height:
            parts, count = parts_outside(p, width, height, parts, count)
            edges, on_edges = parts_inside(window, p, box[i], edges, on_edges)
            if on_edges < 0:
                return np.nan
        total += edge_sum(p, parts[:count], False, width / 2, height / 2)
    total += edge_sum(window, edges[:on_edges], True, width / 2, height / 2)
    return max(total / 2, 0.0)


@compiled
def frame_areas(points, first, box, start, size, begin, end, out):
    """Areas of the unions in frames begin .. end; frame f owns the rings start[f] .. start[f + 1]."""
    for f in range(begin, end):
        out[f] = frame_area(points, first, box, start[f], start[f + 1], size[f, 0], size[f, 1])


@compiled
def simple_rings(points, first, begin, end, out):
    """Which of the rings begin .. end are simple."""
    for i in range(begin, end):
        count = first[i + 1] - first[i]
        out[i] = 3 <= count <= LONGEST and is_simple(points[first[i] : first[i + 1]])


def _bounds(points: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """The smallest box around each ring; zeros for one without points."""
    box = np.zeros((len(first) - 1, 4))
    has = np.flatnonzero(np.diff(first))
    if len(has):
        box[has, :2] = np.minimum.reduceat(points, first[has])
        box[has, 2:] = np.maximum.reduceat(points, first[has])
    return box


def _counter_clockwise(points: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """The points of every ring in the order in which its area is positive."""
    ring = np.repeat(np.arange(len(first) - 1), np.diff(first))
    after = np.arange(1, len(points) + 1)
    after[first[1:][np.diff(first) > 0] - 1] = first[:-1][np.diff(first) > 0]
    a, b = points - points[first[ring]], points[after] - points[first[ring]]
    negative = np.bincount(ring, a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], len(first) - 1)[ring] < 0
    at = np.arange(len(points))
    return np.ascontiguousarray(points[np.where(negative, first[ring] + first[ring + 1] - 1 - at, at)])


def _cuts(count: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + CHUNK, count)) for begin in range(0, count, CHUNK)]


def simple(points: Float64[Tensor, "p 2"], first: Int64[Tensor, " o_plus_1"]) -> Bool[Tensor, " o"]:
    """Which rings surely do not cross or touch themselves; see ``kernels.rings``."""
    out = np.zeros(len(first) - 1, np.bool_)
    numbers, starts = points.contiguous().numpy(), first.numpy()
    spread(lambda cut: simple_rings(numbers, starts, *cut, out), _cuts(len(out)))
    return torch.from_numpy(out)


def shared_areas(
    points: Float64[Tensor, "p 2"], first: Int64[Tensor, " o_plus_1"], pairs: Int64[Tensor, "2 k"]
) -> Float64[Tensor, " k"]:
    """Area that the two simple rings of every pair share; see ``kernels.rings``."""
    out, starts, both = np.zeros(pairs.shape[1]), first.numpy(), pairs.contiguous().numpy()
    numbers = _counter_clockwise(points.numpy(), starts)
    box = _bounds(numbers, starts)
    spread(lambda cut: pair_areas(numbers, starts, box, both, *cut, out), _cuts(len(out)))
    return torch.from_numpy(out)


def union_areas(
    points: Float64[Tensor, "p 2"],
    first: Int64[Tensor, " o_plus_1"],
    frame: Int64[Tensor, " o"],
    size: Float64[Tensor, "b 2"],
) -> Float64[Tensor, " b"]:
    """Area that the simple rings of every frame cover together; see ``kernels.rings``."""
    out, starts = np.zeros(len(size)), first.numpy()
    numbers = _counter_clockwise(points.numpy(), starts)
    box, limits = _bounds(numbers, starts), size.contiguous().numpy()
    of_frame = np.searchsorted(frame.numpy(), np.arange(len(size) + 1))
    step = max(1, len(size) * CHUNK // max(len(starts), 1) // 4)
    cuts = [(begin, min(begin + step, len(size))) for begin in range(0, len(size), step)]
    spread(lambda cut: frame_areas(numbers, starts, box, of_frame, limits, *cut, out), cuts)
    return torch.from_numpy(out)
