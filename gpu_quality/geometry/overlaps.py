"""Areas of shapes, of what two of them share, and of what all of a frame cover together.

Boxes, rotated boxes and polygons are exact. Where a mask takes part, both sides are counted in pixels by the center rule.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.geometry import polygons, rle
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.geometry.regions import outlines_of, regions_of
from gpu_quality.types import AREAL, KINDS, Objects, Sizes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_MASK: Final = KINDS.index("mask")
_PAIRS: Final = 1 << 18
"""Pairs of outlines, or runs of pixels, compared at a time: tens of megabytes."""


def kinds(objects: Objects) -> NDArray[np.int8]:
    """Index into `KINDS` of every object; without shapes all are boxes."""
    if objects.shapes is None:
        return np.zeros(len(objects), np.int8)
    return objects.shapes.kind.cpu().numpy()


def outlines(objects: Objects) -> Outlines:
    """One outline per object: its rings, or the four corners of its box where it has none; a negative side is 0."""
    low, high = objects.box[:, :2].cpu().numpy(), objects.box[:, 2:].cpu().numpy()
    count = len(low)
    box = np.concatenate([low, np.maximum(low, high)], 1)
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


def single_rings(objects: Objects) -> tuple[Floats, Ints, Bools]:
    """Points of the one ring of every object, repeated ones left out, where object `i` starts among them, and whether it is
    such an object at all: a box, a rotated box or a polygon without holes.
    """
    outline = _without_repeats(outlines(objects))
    single = (np.diff(outline.rings) == 1) & (kinds(objects) < _MASK)
    return outline.values.reshape(-1, 2), outline.numbers[outline.rings] // 2, single


def _without_repeats(outlines: Outlines) -> Outlines:
    """The same rings without points that equal the one before; the first of a ring goes where it equals the last."""
    _, ring, a, b = polygons.edges(outlines)
    keep = (a != b).any(1)
    length = 2 * np.bincount(ring[keep], minlength=len(outlines.numbers) - 1)
    return Outlines(outlines.rings, polygons.offsets(length), a[keep].reshape(-1))


def areas(objects: Objects, sizes: Sizes, simple: Bools | None = None) -> Floats:
    """Area of every object in square pixels, not clipped to the frame; NaN where its kind covers none.

    `simple` names objects of which it is known that they have one ring that does not touch itself.
    """
    box = objects.box.cpu().numpy()
    out: Floats = np.clip(box[:, 2] - box[:, 0], 0, None) * np.clip(box[:, 3] - box[:, 1], 0, None)
    if objects.shapes is None:
        return out
    kind, own = kinds(objects), outlines_of(objects.shapes)
    ringed = np.flatnonzero((np.diff(own.rings) > 0) & (kind < _MASK))
    out[ringed] = polygons.areas(own.take(ringed), None if simple is None else simple[ringed])
    masked = np.flatnonzero(kind == _MASK)
    out[masked] = _mask_areas(objects, sizes, masked)
    out[kind >= AREAL] = np.nan
    return out


def _mask_areas(objects: Objects, sizes: Sizes, rows: Ints) -> Ints:
    """Set pixels of some masks; 0 for one that does not fit its frame, where the size of that is known."""
    assert objects.shapes is not None  # noqa: S101 - there are masks
    texts = [objects.shapes.rle[row] or b"" for row in rows]
    height, width = (side.numpy()[objects.frame.numpy()[rows]] for side in (sizes.height, sizes.width))
    known = ~np.isnan(height) & ~np.isnan(width)
    runs, problems = rle.check(texts, *(np.where(known, side, 1).astype(np.int64) for side in (height, width)))
    sound = np.array([not problem for problem in problems], bool)
    return np.where(np.where(known, sound, runs.legal), rle.areas(runs), 0)


def shared(objects: Objects, sizes: Sizes, first: Ints, second: Ints) -> Floats:
    """Intersection over union of the shapes of objects ``first[i]`` and ``second[i]``; they lie in the same frame."""
    kind = kinds(objects)
    out = np.zeros(len(first))
    masked = (kind[first] == _MASK) | (kind[second] == _MASK)
    if not masked.all():
        out[~masked] = _outline_iou(outlines(objects), first[~masked], second[~masked])
    if masked.any():
        rows, place = np.unique(np.concatenate([first[masked], second[masked]]), return_inverse=True)
        drawn = _drawn(objects.select(torch.from_numpy(rows)), sizes)
        out[masked] = _pixel_iou(drawn, place[: masked.sum()], place[masked.sum() :])
    return out


def _ratio(inter: Floats, one: Floats, other: Floats) -> Floats:
    union = one + other - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def _outline_iou(outline: Outlines, first: Ints, second: Ints) -> Floats:
    import shapely

    rows, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    shapes = polygons.shapes(outline.take(rows))
    area = shapely.area(shapes)
    one, other = place[: len(first)], place[len(first) :]
    inter = np.zeros(len(first))
    for start in range(0, len(first), _PAIRS):  # geometries are far larger than their areas
        cut = slice(start, start + _PAIRS)
        inter[cut] = shapely.area(shapely.intersection(shapes[one[cut]], shapes[other[cut]]))
    return _ratio(inter, area[one], area[other])


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Pixel runs of some objects: object `i` owns ``first[i]:first[i + 1]``, in order of y and x0; runs never overlap."""

    first: Ints
    y: Ints
    x0: Ints
    x1: Ints


def _drawn(objects: Objects, sizes: Sizes) -> _Drawn:
    """The pixels of every object by the center rule; a box has a run for each of its rows."""
    regions, frames = regions_of(objects, sizes), len(sizes.width)
    rect = regions.rect.numpy()[frames:].astype(np.int64)
    count = np.clip(rect[:, 3] - rect[:, 1], 0, None)
    row = polygons.ranges(rect[:, 1], count)
    columns = [row, np.repeat(rect[:, 0], count), np.repeat(rect[:, 2], count)]
    spans = regions.spans
    if spans is not None:
        whole, own = spans.whole.numpy()[frames:], np.diff(spans.offset.numpy())[frames:]
        count = np.where(whole, count, 0)
        kept = np.repeat(whole, np.clip(rect[:, 3] - rect[:, 1], 0, None))
        order = np.argsort(np.concatenate([np.repeat(np.arange(len(count)), c) for c in (count, own)]), kind="stable")
        runs = (spans.y, spans.x0, spans.x1)
        columns = [np.concatenate([a[kept], b.numpy()])[order] for a, b in zip(columns, runs, strict=True)]
        count = count + own
    return _Drawn(polygons.offsets(count), *columns)


def _pixel_iou(drawn: _Drawn, first: Ints, second: Ints) -> Floats:
    """Shared pixels over all pixels of pairs of objects: every run of the simpler one asks how much of it the other holds."""
    count = np.diff(drawn.first)
    swap = count[first] > count[second]
    small, large = np.where(swap, second, first), np.where(swap, first, second)
    length = drawn.x1 - drawn.x0
    stride = int(drawn.x1.max(initial=0)) + 1
    height = int(drawn.y.max(initial=0)) + 1
    start = (np.repeat(np.arange(len(count)) * height, count) + drawn.y) * stride + drawn.x0  # one axis for all objects
    before = polygons.offsets(length)

    def held(place: Ints) -> Ints:
        """Pixels of all runs before a place on that axis."""
        run = np.searchsorted(start, place, "right") - 1
        return np.where(run < 0, 0, before[run] + np.clip(place - start[run], 0, length[run]))

    inter = np.zeros(len(first), np.int64)
    ends = polygons.offsets(count[small])
    at = 0
    while at < len(first):
        stop = max(at + 1, int(np.searchsorted(ends, ends[at] + _PAIRS, "right")) - 1)
        cut, own = slice(at, stop), count[small[at:stop]]
        run = polygons.ranges(drawn.first[small[cut]], own)
        place = start[run] + np.repeat((large[cut] - small[cut]) * height * stride, own)
        total = polygons.offsets(held(place + length[run]) - held(place))[polygons.offsets(own)]
        inter[cut] = np.diff(total)
        at = stop
    area = np.diff(before[drawn.first])
    return inter / np.maximum(area[first] + area[second] - inter, 1)


def _pixel_cover(drawn: _Drawn, frame: Ints, frames: int) -> Ints:
    """Pixels of every frame that lie in at least one of its objects."""
    own = np.repeat(frame, np.diff(drawn.first))
    order = np.lexsort((drawn.x0, drawn.y, own))
    own, y, x0, x1 = own[order], drawn.y[order], drawn.x0[order], drawn.x1[order]
    line = np.cumsum(np.concatenate([[False], (own[1:] != own[:-1]) | (y[1:] != y[:-1])])[: len(own)])
    shift = line * (int(x1.max(initial=0)) + 1)
    reached = np.maximum.accumulate(x1 + shift)
    before = np.concatenate([np.full(min(1, len(x0)), -1), reached[:-1]])
    fresh = np.clip(x1 + shift - np.maximum(x0 + shift, before), 0, None)
    return np.bincount(own, fresh, frames).astype(np.int64)


def covered(objects: Objects, sizes: Sizes) -> Floats:
    """Area in square pixels that the areal objects of every frame cover together, clipped to the frame; 0 where that has no
    known size.
    """
    out = np.zeros(len(sizes.width))
    kind, frame = kinds(objects), objects.frame.cpu().numpy()
    known = ~np.isnan(sizes.width.numpy()) & ~np.isnan(sizes.height.numpy())
    flat = (kind == 0) & (objects.box[:, 2:] <= objects.box[:, :2]).any(1).cpu().numpy()
    areal = np.flatnonzero((kind < AREAL) & ~flat & known[frame])
    masked = np.unique(frame[areal][kind[areal] == _MASK])
    by_pixels = np.isin(frame[areal], masked)
    if by_pixels.any():
        some = objects.select(torch.from_numpy(areal[by_pixels]))
        out[masked] = _pixel_cover(_drawn(some, sizes), frame[areal[by_pixels]], len(out))[masked]
    exact = areal[~by_pixels]
    if len(exact):
        _cover_exactly(out, outlines(objects).take(exact), frame[exact], sizes)
    return out


def _cover_exactly(out: Floats, outline: Outlines, frame: Ints, sizes: Sizes) -> None:
    """Areas of the unions of all outlines of each frame."""
    import shapely

    shapes: Any = polygons.shapes(outline)
    rows, place = np.unique(frame, return_inverse=True)
    together = shapely.union_all(shapely.geometrycollections(shapes, indices=place)[:, None], axis=1)
    windows = shapely.box(0, 0, sizes.width.numpy()[rows], sizes.height.numpy()[rows])
    out[rows] = shapely.area(shapely.intersection(together, windows))
