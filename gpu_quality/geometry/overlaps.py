"""Areas of shapes, of what two of them share, and of what all of a frame cover together.

Boxes, rotated boxes and polygons are exact. Where a mask takes part, both sides are counted in pixels by the center rule.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.geometry import polygons, rle
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.geometry.regions import outlines_of, regions_of
from gpu_quality.types import AREAL, KINDS, Objects, Regions, Sizes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_MASK: Final = KINDS.index("mask")


def kinds(objects: Objects) -> NDArray[np.int8]:
    """Index into `KINDS` of every object; without shapes all are boxes."""
    if objects.shapes is None:
        return np.zeros(len(objects), np.int8)
    return objects.shapes.kind.cpu().numpy()


def outlines(objects: Objects) -> Outlines:
    """One outline per object: its rings, or the four corners of its box where it has none."""
    box = objects.box.cpu().numpy()
    count = len(box)
    corners = box[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1)
    rows = np.arange(count + 1, dtype=np.int64)
    if objects.shapes is None:
        return Outlines(rows, rows * 8, corners)
    own = outlines_of(objects.shapes)
    both = Outlines(
        np.concatenate([own.rings, own.rings[-1] + rows[1:]]),
        np.concatenate([own.numbers, own.numbers[-1] + 8 * rows[1:]]),
        np.concatenate([own.values, corners]),
    )
    return both.take(np.where(np.diff(own.rings) > 0, rows[:-1], rows[:-1] + count))


def areas(objects: Objects, sizes: Sizes) -> Floats:
    """Area of every object in square pixels, not clipped to the frame; NaN where its kind covers none."""
    box = objects.box.cpu().numpy()
    out: Floats = np.clip(box[:, 2] - box[:, 0], 0, None) * np.clip(box[:, 3] - box[:, 1], 0, None)
    if objects.shapes is None:
        return out
    kind, own = kinds(objects), outlines_of(objects.shapes)
    ringed = np.flatnonzero((np.diff(own.rings) > 0) & (kind < _MASK))
    out[ringed] = polygons.areas(own.take(ringed))
    masked = np.flatnonzero(kind == _MASK)
    frame = objects.frame.cpu().numpy()[masked]
    texts = [objects.shapes.rle[row] or b"" for row in masked]
    runs, problems = rle.check(texts, sizes.height.numpy()[frame].astype(np.int64), sizes.width.numpy()[frame].astype(np.int64))
    out[masked] = np.where([not problem for problem in problems], rle.areas(runs), 0)
    out[kind >= AREAL] = np.nan
    return out


def shared(objects: Objects, sizes: Sizes, first: Ints, second: Ints) -> Floats:
    """Intersection over union of the shapes of objects ``first[i]`` and ``second[i]``; they lie in the same frame."""
    kind = kinds(objects)
    out = np.zeros(len(first))
    masked = (kind[first] == _MASK) | (kind[second] == _MASK)
    if not masked.all():
        out[~masked] = _outline_iou(outlines(objects), first[~masked], second[~masked])
    if masked.any():
        out[masked] = _pixel_iou(regions_of(objects, sizes), len(sizes.width), first[masked], second[masked])
    return out


def _ratio(inter: Floats, one: Floats, other: Floats) -> Floats:
    union = one + other - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def _outline_iou(outline: Outlines, first: Ints, second: Ints) -> Floats:
    import shapely

    rows, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    shapes = polygons.shapes(outline.take(rows))
    one, other = shapes[place[: len(first)]], shapes[place[len(first) :]]
    inter = shapely.area(shapely.intersection(one, other))
    return _ratio(inter, shapely.area(one), shapely.area(other))


def _pixel_iou(regions: Regions, frames: int, first: Ints, second: Ints) -> Floats:
    rect = regions.rect.numpy()
    out = np.zeros(len(first))
    for place, (i, j) in enumerate(zip(first + frames, second + frames, strict=True)):
        x0, y0 = np.minimum(rect[i, :2], rect[j, :2])
        x1, y1 = np.maximum(rect[i, 2:], rect[j, 2:])
        a, b = (drawn(regions, np.array([k]), (x0, y0, x1, y1)) for k in (i, j))
        out[place] = (a & b).sum() / max(1, (a | b).sum())
    return out


def drawn(regions: Regions, rows: Ints, window: tuple[int, int, int, int]) -> Bools:
    """Which pixels of a window x0 y0 x1 y1 belong to any of some regions of one frame, all inside the window."""
    left, top, right, bottom = (int(side) for side in window)
    starts = np.zeros((bottom - top, right - left + 1), np.int32)
    for row in rows:
        y, x0, x1 = _runs(regions, int(row))
        np.add.at(starts, (y - top, x0 - left), 1)
        np.add.at(starts, (y - top, x1 - left), -1)
    return np.cumsum(starts, axis=1)[:, :-1] > 0


def _runs(regions: Regions, row: int) -> tuple[Ints, Ints, Ints]:
    spans = regions.spans
    if spans is not None and not bool(spans.whole[row]):
        own = slice(int(spans.offset[row]), int(spans.offset[row + 1]))
        return spans.y[own].numpy(), spans.x0[own].numpy(), spans.x1[own].numpy()
    x0, y0, x1, y1 = regions.rect[row].tolist()
    y = np.arange(y0, y1 if x1 > x0 else y0)
    return y, np.full(len(y), x0), np.full(len(y), x1)


def covered(objects: Objects, sizes: Sizes) -> Floats:
    """Area in square pixels that the areal objects of every frame cover together, clipped to the frame."""
    out = np.zeros(len(sizes.width))
    kind, frame = kinds(objects), objects.frame.cpu().numpy()
    areal = np.flatnonzero(kind < AREAL)
    masked = np.unique(frame[areal][kind[areal] == _MASK])
    by_pixels = np.isin(frame[areal], masked)
    if by_pixels.any():
        regions, count = regions_of(objects, sizes), len(sizes.width)
        for row in masked:
            window = (0, 0, int(sizes.width[row]), int(sizes.height[row]))
            out[row] = drawn(regions, count + areal[frame[areal] == row], window).sum()
    exact = areal[~by_pixels]
    if len(exact):
        _cover_exactly(out, outlines(objects).take(exact), frame[exact], sizes)
    return out


def _cover_exactly(out: Floats, outline: Outlines, frame: Ints, sizes: Sizes) -> None:
    import shapely

    shapes: Any = polygons.shapes(outline)
    starts = np.flatnonzero(np.concatenate([[True], frame[1:] != frame[:-1]]))
    for start, end in zip(starts, [*starts[1:], len(frame)], strict=True):
        row = frame[start]
        window = shapely.box(0, 0, int(sizes.width[row]), int(sizes.height[row]))
        out[row] = shapely.area(shapely.intersection(shapely.union_all(shapes[start:end]), window))
