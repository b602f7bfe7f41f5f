"""Areas that pairs of convex outlines share, on CPU cores: pairs are spread over threads."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numba import njit
from torch import Tensor

from gpu_quality.kernels.threads import spread

PAIRS: Final = 1024
"""Pairs a thread takes at a time: less than 1 ms."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def shoelace(points, count):
    """Area of an outline, seen from its first point."""
    twice, x, y = 0.0, points[0, 0], points[0, 1]
    for p in range(1, count - 1):
        twice += (points[p, 0] - x) * (points[p + 1, 1] - y) - (points[p, 1] - y) * (points[p + 1, 0] - x)
    return twice / 2


@compiled
def clip(points, count, a, b, out):
    """Write that part of an outline which lies on the inner side of the line a b; returns how many points it has."""
    kept, ux, uy = 0, b[0] - a[0], b[1] - a[1]
    before = count - 1
    side_before = ux * (points[before, 1] - a[1]) - uy * (points[before, 0] - a[0])
    for p in range(count):
        side = ux * (points[p, 1] - a[1]) - uy * (points[p, 0] - a[0])
        if (side < 0.0 < side_before) or (side_before < 0.0 < side):
            share = side_before / (side_before - side)
            for axis in range(2):
                out[kept, axis] = points[before, axis] + share * (points[p, axis] - points[before, axis])
            kept += 1
        if side >= 0.0:
            out[kept] = points[p]
            kept += 1
        before, side_before = p, side
    return kept


@compiled
def comes_first(a, b):
    """Whether the corners of `a` are the smaller ones: both orders of a pair then take the same steps."""
    for p in range(4):
        for axis in range(2):
            if a[p, axis] != b[p, axis]:
                return a[p, axis] < b[p, axis]
    return True


@compiled
def apart(a, b):
    """Whether the boxes around two outlines do not meet."""
    for axis in range(2):
        low_a, high_a, low_b, high_b = a[0, axis], a[0, axis], b[0, axis], b[0, axis]
        for p in range(1, 4):
            low_a, high_a = min(low_a, a[p, axis]), max(high_a, a[p, axis])
            low_b, high_b = min(low_b, b[p, axis]), max(high_b, b[p, axis])
        if low_a >= high_b or low_b >= high_a:
            return True
    return False


@compiled
def share(one, other, area_one, area_other, first, second, begin, stop, out):
    """Shared areas of the pairs begin .. stop."""
    points, clipped = np.empty((16, 2)), np.empty((16, 2))
    for k in range(begin, stop):
        a, b = one[first[k]], other[second[k]]
        most = min(area_one[first[k]], area_other[second[k]])
        out[k] = 0.0
        if not most > 0.0 or apart(a, b):
            continue
        if not comes_first(a, b):
            a, b = b, a
        count = 4
        points[:4] = a
        for edge in range(4):
            count = clip(points, count, b[edge], b[(edge + 1) % 4], clipped)
            points, clipped = clipped, points
            if count < 3:
                break
        if count >= 3:
            out[k] = min(max(shoelace(points, count), 0.0), most)


@compiled
def measure(corners, out):
    """Areas of all outlines."""
    for i in range(len(corners)):
        out[i] = shoelace(corners[i], 4)


def areas(corners: Float64[Tensor, "n 4 2"]) -> Float64[Tensor, " n"]:
    """Area of every outline; see ``kernels.convex``."""
    out = np.empty(len(corners))
    measure(corners.contiguous().numpy(), out)
    return torch.from_numpy(out)


def shared_areas(
    one: Float64[Tensor, "n 4 2"], other: Float64[Tensor, "m 4 2"], pairs: Int64[Tensor, "2 k"]
) -> Float64[Tensor, " k"]:
    """Area that the outlines of every pair share; see ``kernels.convex``."""
    out, (first, second) = np.empty(pairs.shape[1]), pairs.contiguous().numpy()
    sides = [corners.contiguous().numpy() for corners in (one, other)]
    area = [areas(corners).numpy() for corners in (one, other)]
    cuts = [(begin, min(begin + PAIRS, len(out))) for begin in range(0, len(out), PAIRS)]
    spread(lambda cut: share(*sides, *area, first, second, *cut, out), cuts)
    return torch.from_numpy(out)
