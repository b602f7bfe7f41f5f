"""Four corners of a box that may be turned: whether they are a rectangle, and how it is turned."""

from typing import Final

import numpy as np

from gpu_quality.annotations.columns import Floats

NEAR: Final = 1.0
"""Pixels that a corner may be off a rectangle: coordinates are often rounded to whole pixels or to a few digits."""
SHARE: Final = 0.05
"""And the share of the diagonal, so that a small crooked shape is no rectangle."""


def angles(corners: Floats) -> Floats:
    """Angle of every rectangle among ``corners [n, 4, 2]`` in radians, NaN for other shapes.

    The angle is the direction of the side from the first to the second corner, positive from +x toward +y, folded into
    -pi/2 <= angle < pi/2 since half a turn changes nothing.
    """
    a, b, c, d = (corners[:, i] for i in range(4))
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused later
        first, second = np.hypot(*(c - a).T), np.hypot(*(d - b).T)
        middle = np.hypot(*((a + c) - (b + d)).T) / 2  # both diagonals of a rectangle have one middle
        apart = np.abs(first - second) / 2
        limit = np.minimum(NEAR, SHARE * np.maximum(first, second))
        side = b - a
    angle = np.arctan2(side[:, 1], side[:, 0])
    angle = np.where(angle >= np.pi / 2, angle - np.pi, np.where(angle < -np.pi / 2, angle + np.pi, angle))
    return np.where((middle <= limit) & (apart <= limit), angle, np.nan)
