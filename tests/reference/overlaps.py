"""Overlaps of shapes by plain loops and drawn masks."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def mask_iou(prediction: Mask, label: Mask, *, crowd: bool = False) -> float:
    """Pixels in both over pixels in either; over the prediction's where the label is a crowd; 0 / 0 = 0."""
    both = int((prediction & label).sum())
    over = int(prediction.sum()) if crowd else int((prediction | label).sum())
    return both / over if over else 0.0


def eroded(mask: Mask) -> Mask:
    """Pixels whose eight neighbors are all set; outside the frame nothing is."""
    padded = np.pad(mask, 1)
    out = np.ones_like(mask)
    for y in range(3):
        for x in range(3):
            out &= padded[y : y + mask.shape[0], x : x + mask.shape[1]]
    return out


def border(mask: Mask, distance: int) -> Mask:
    """What so many erosions take away."""
    inner = mask
    for _ in range(distance):
        inner = eroded(inner)
    return mask & ~inner


def oks(
    found: Sequence[Sequence[float]],
    given: Sequence[Sequence[float]],
    area: float,
    box: Sequence[float],
    sigmas: Sequence[float],
) -> float:
    """Object keypoint similarity, keypoint by keypoint."""
    x, y, w, h = box
    visible = [k for k, point in enumerate(given) if point[2] > 0]
    total = 0.0
    for k in visible or range(len(given)):
        if visible:
            dx, dy = found[k][0] - given[k][0], found[k][1] - given[k][1]
        else:
            dx = max(0.0, x - w - found[k][0]) + max(0.0, found[k][0] - (x + 2 * w))
            dy = max(0.0, y - h - found[k][1]) + max(0.0, found[k][1] - (y + 2 * h))
        total += math.exp(-(dx**2 + dy**2) / (2 * (2 * sigmas[k]) ** 2 * (area + 2.0**-52)))
    return total / len(visible or given)


def disc_iou(distance: float, radius: float) -> float:
    """Two discs of one radius."""
    if distance >= 2 * radius:
        return 0.0
    both = 2 * radius**2 * math.acos(distance / (2 * radius)) - distance / 2 * math.sqrt(4 * radius**2 - distance**2)
    return both / (2 * math.pi * radius**2 - both)
