"""Turned boxes as their four corners, the form in which they are compared."""

import torch
from jaxtyping import Float64
from torch import Tensor

from gpu_quality.errors import UsageError


def corners(box: Float64[Tensor, "n 5"]) -> Float64[Tensor, "n 4 2"]:
    """Corners of turned boxes, turning from +x toward +y; a side that is not positive gives a box without area.

    `box`: center x, center y, w, h in pixels, theta in radians, positive from +x toward +y (clockwise on screen), w along the
    turned x. So theta and theta + pi are the same box.
    """
    half = box[:, 2:4].clamp(min=0) / 2
    along = torch.stack([box[:, 4].cos(), box[:, 4].sin()], 1) * half[:, :1]  # [n, 2]
    across = torch.stack([-box[:, 4].sin(), box[:, 4].cos()], 1) * half[:, 1:]
    steps = torch.stack([-along - across, along - across, along + across, across - along], 1)  # [n, 4, 2]
    return box[:, None, :2] + steps


def box_corners(box: Float64[Tensor, "n 4"]) -> Float64[Tensor, "n 4 2"]:
    """Corners of boxes x y w h in the same order; a side that is not positive gives a box without area."""
    far = box[:, :2] + box[:, 2:].clamp(min=0)
    x, y = torch.stack([box[:, 0], far[:, 0]], 1), torch.stack([box[:, 1], far[:, 1]], 1)
    return torch.stack([x[:, [0, 1, 1, 0]], y[:, [0, 0, 1, 1]]], 2)


def checked_corners(points: Float64[Tensor, "n 4 2"]) -> Float64[Tensor, "n 4 2"]:
    """Four corners of each object turning from +x toward +y, whichever way they were given.

    Raises
    ------
    UsageError
        Four corners are no convex outline: they turn both ways, or cross; the message names the first such row.
    """
    step = points.roll(-1, 1) - points  # [n, 4, 2]
    after = step.roll(-1, 1)
    turn = step[..., 0] * after[..., 1] - step[..., 1] * after[..., 0]  # [n, 4]
    # Turning one way only, four corners still cross where they go around twice; the diagonals tell.
    diagonal = points[:, 2:] - points[:, :2]  # [n, 2, 2]
    crossed = diagonal[:, 0, 0] * diagonal[:, 1, 1] - diagonal[:, 0, 1] * diagonal[:, 1, 0]  # twice the area
    both = (turn > 0).any(1) & (turn < 0).any(1)
    bad = both | ((crossed == 0) & (turn != 0).any(1))
    if bad.any():
        row = int(bad.nonzero()[0])
        where = points[row].tolist()
        raise UsageError(f"row {row}: corners {where} are no convex outline", hint="give them in order around the box")
    return torch.where((crossed < 0)[:, None, None], points.flip(1), points)
