"""Areas of all objects of a data set and what pairs of them share across frames, block by block."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.geometry import overlaps
from gpu_quality.types import Objects, Sizes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_BLOCK: Final = 1 << 16
"""Objects, or pairs, whose outlines are built at a time: about 100 MB."""


def areas(objects: Objects, sizes: Sizes) -> Floats:
    """Even-odd area of every object in square pixels; NaN where its kind covers none."""
    if objects.shapes is None:
        return overlaps.areas(objects, sizes)
    out = np.empty(len(objects))
    for start in range(0, len(objects), _BLOCK):
        rows = torch.arange(start, min(start + _BLOCK, len(objects)))
        out[rows.numpy()] = overlaps.areas(objects.select(rows), sizes)
    return out


def iou(objects: Objects, sizes: Sizes, first: Ints, second: Ints) -> Floats:
    """Intersection over union of areal objects ``first[i]`` and ``second[i]`` of any two frames, laid on each other by their
    top left corners. A shape that has to be drawn, because the other is a mask, covers nothing in a frame of unknown size.
    """
    out = np.zeros(len(first))
    drawable = Sizes(*(side.nan_to_num(0).int() for side in (sizes.width, sizes.height)))
    for start in range(0, len(first), _BLOCK):
        pairs = np.concatenate([side[start : start + _BLOCK] for side in (first, second)])
        rows, place = np.unique(pairs, return_inverse=True)
        some, half = objects.select(torch.from_numpy(rows)), len(pairs) // 2
        out[start : start + half] = overlaps.shared(some, drawable, place[:half], place[half:])
    return out
