"""Which pixels belong to a frame, a box, a polygon or a mask."""

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.errors import NULL_REASONS
from gpu_quality.geometry import polygons, rle
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.types import AREAL, KINDS, Objects, Regions, Shapes, Sizes, Spans

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Runs = tuple[Ints, Ints, Ints, Ints]
"""Object, y, x0, x1."""

_EMPTY = 1 + NULL_REASONS.index("empty_region")
_DEGENERATE = 1 + NULL_REASONS.index("degenerate_geometry")
_UNSUPPORTED = 1 + NULL_REASONS.index("unsupported_shape")
_MASK = KINDS.index("mask")


def regions_of(objects: Objects | None, sizes: Sizes) -> Regions:
    """Where to count pixels: every frame whole, then every object's pixels by the center rule.

    A shape that meets its frame without holding any pixel center gets the one pixel at the center of its box. `objects.frame`
    must be rows of `sizes`. Source: reference metrics.md 1.4.
    """
    size = np.stack([sizes.width.cpu().numpy(), sizes.height.cpu().numpy()], 1)
    size = np.nan_to_num(size).astype(np.int64)  # a frame of unknown size holds no pixels
    frames = np.concatenate([np.zeros_like(size), size], 1)
    if objects is None or not len(objects):
        rows = torch.arange(len(size))
        return Regions(rows, torch.from_numpy(frames.astype(np.int32)), None, torch.zeros(len(size), dtype=torch.int8))
    frame = objects.frame.cpu().numpy()
    box, own = objects.box.cpu().numpy(), size[frame]
    rect = box_pixels(box, own)
    null = np.where((box[:, 2:] > box[:, :2]).all(1), 0, _DEGENERATE).astype(np.int8)
    runs = None
    if objects.shapes is not None:
        runs = shape_runs(objects.shapes, own, null)
        _fit(rect, runs, null, objects.shapes)
    whole = _rescue(rect, box, own, null, runs)
    b = len(size)
    spans = None if runs is None else _spans(runs, whole, b)
    return Regions(
        torch.from_numpy(np.concatenate([np.arange(b), frame])),
        torch.from_numpy(np.concatenate([frames, rect]).astype(np.int32)),
        spans,
        torch.from_numpy(np.concatenate([np.zeros(b, np.int8), null])),
    )


def box_pixels(box: Floats, size: Ints) -> Ints:
    """Pixels x0 y0 x1 y1 (half-open) whose centers are inside each box, clipped to frames of `size` (width, height)."""
    limit = np.concatenate([size, size], 1)
    return np.clip(np.ceil(box - 0.5), 0, limit).astype(np.int64)


def outlines_of(shapes: Shapes) -> Outlines:
    """The rings of every object."""
    points = shapes.points_of.cpu().numpy()
    return Outlines(shapes.rings.cpu().numpy(), points * 2, shapes.points.cpu().numpy().reshape(-1))


def shape_runs(shapes: Shapes, size: Ints, null: NDArray[np.int8]) -> Runs:
    """Pixel runs of polygons and masks; writes into `null` why an object can have none.

    `size` holds width and height of each object's frame. A mask whose counts do not fit that size is degenerate.
    """
    kind = shapes.kind.cpu().numpy()
    null[kind >= AREAL] = _UNSUPPORTED
    outlines = outlines_of(shapes)
    outlined = np.flatnonzero((np.diff(outlines.rings) > 0) & (kind < _MASK))
    chosen = outlines.take(outlined)
    flat = polygons.areas(chosen) <= 0  # so it is with fewer than three different points
    null[outlined] = np.where(flat, _DEGENERATE, 0)
    chosen, outlined = chosen.take(np.flatnonzero(~flat)), outlined[~flat]
    who, y, x0, x1 = polygons.spans(chosen, size[outlined, 1], size[outlined, 0])
    masked = np.flatnonzero(kind == _MASK)
    runs, problems = rle.check([shapes.rle[i] or b"" for i in masked], size[masked, 1], size[masked, 0])
    sound = np.flatnonzero([not problem for problem in problems])
    drawn, *parts = rle.spans(runs, sound, size[masked[sound], 1], size[masked[sound], 0])
    null[masked] = _DEGENERATE
    null[masked[sound[drawn]]] = 0
    both: tuple[Runs, Runs] = (outlined[who], y, x0, x1), (masked[sound[drawn]], parts[0], parts[1], parts[2])
    who, y, x0, x1 = (np.concatenate(column) for column in zip(*both, strict=True))
    order = np.argsort(who, kind="stable")
    return who[order], y[order], x0[order], x1[order]


def _fit(rect: Ints, runs: Runs, null: NDArray[np.int8], shapes: Shapes) -> None:
    """Shrink the rectangles of polygons and masks to their runs."""
    who, y, x0, x1 = runs
    kind = shapes.kind.cpu().numpy()
    shaped = (np.diff(shapes.rings.cpu().numpy()) > 0) | (kind == _MASK) | (null > 0)
    rect[shaped] = 0
    if len(who):
        first = np.flatnonzero(np.concatenate([[True], who[1:] != who[:-1]]))
        last = np.concatenate([first[1:], [len(who)]]) - 1
        rect[who[first]] = np.stack([np.minimum.reduceat(x0, first), y[first], np.maximum.reduceat(x1, first), y[last] + 1], 1)


def _rescue(rect: Ints, box: Floats, size: Ints, null: NDArray[np.int8], runs: Runs | None) -> NDArray[np.bool_]:
    """Give shapes that hold no pixel center their one pixel; returns which regions count their whole rectangle."""
    empty = (rect[:, 2] <= rect[:, 0]) | (rect[:, 3] <= rect[:, 1])
    meets = (box[:, 0] < size[:, 0]) & (box[:, 2] > 0) & (box[:, 1] < size[:, 1]) & (box[:, 3] > 0)
    saved = empty & meets & (null == 0)
    center = np.floor((box[saved, :2] + box[saved, 2:]) / 2)
    pixel = np.clip(center, 0, size[saved] - 1).astype(np.int64)
    rect[saved] = np.concatenate([pixel, pixel + 1], 1)
    null[empty & ~meets & (null == 0)] = _EMPTY
    rect[null > 0] = 0
    whole = np.ones(len(rect), bool)
    if runs is not None:
        whole[runs[0]] = False
    return whole


def _spans(runs: Runs, whole: NDArray[np.bool_], frames: int) -> Spans:
    who, y, x0, x1 = runs
    count = np.concatenate([np.zeros(frames, np.int64), np.bincount(who, minlength=len(whole))])
    return Spans(
        torch.from_numpy(polygons.offsets(count)),
        torch.from_numpy(np.concatenate([np.ones(frames, bool), whole])),
        torch.from_numpy(y.astype(np.int32)),
        torch.from_numpy(x0.astype(np.int32)),
        torch.from_numpy(x1.astype(np.int32)),
    )
