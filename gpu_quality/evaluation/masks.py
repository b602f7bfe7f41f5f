"""How well masks cover each other, cell after cell in bounded memory; what is no mask is drawn by COCO's rule."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.instances import Instances, MaskShapes
from gpu_quality.evaluation.outlines import outlines_of
from gpu_quality.geometry import polygons, rle
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.kernels import borders, mask_pairs, runs
from gpu_quality.kernels.runs import Runs

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_TEXT: Final = 24
"""Bytes of memory per character of a compressed mask: its text, its runs, and their columns side by side."""
_MASK: Final = 512
"""Bytes of memory per mask beside that."""
_TILE: Final = 8 << 20
"""Bytes of masks decoded together where the budget allows: they stay in the cache, and memory is used again, not asked for."""
_PAIRS: Final = 1 << 18
"""Pairs compared at a time: 8 MB."""


class Rows(NamedTuple):
    """Predictions and labels of all cells: their rows, and where cells start in them."""

    prediction: Ints
    prediction_offset: Ints
    label: Ints
    label_offset: Ints


class _Tile(NamedTuple):
    """Masks decoded together: places among `Rows`, and the pairs of them with the place of their result."""

    prediction: Ints
    label: Ints
    first: Ints
    second: Ints
    out: Ints


def overlaps(
    labels: Instances, predictions: Instances, rows: Rows, sizes: Int64[Tensor, "frames 2"] | None, boundary: float, budget: int
) -> Floats:
    """Intersection over union of masks, predictions x labels of cell after cell; over the prediction's area at crowds.

    `sizes`: height and width of frames, needed where neither side has masks. `boundary` above 0 compares the borders of masks
    alone, so wide a share of the frame's diagonal (Boundary IoU: .02). At most `budget` bytes are held beside input and result,
    unless a single pair needs more. Two empty masks overlap by 0.

    Raises
    ------
    UsageError
        A mask is broken, or has another size than its frame.
    """
    sides = (predictions, labels)
    size = _sizes(labels, predictions, sizes)
    crowd = labels.crowd.numpy()
    cost = [_cost(side)[chosen] for side, chosen in zip(sides, (rows.prediction, rows.label), strict=True)]
    counts = np.diff(rows.prediction_offset) * np.diff(rows.label_offset)
    out = np.zeros(counts.sum())
    for tile in _tiles(rows, cost[0], cost[1], polygons.offsets(counts), budget):
        own = (rows.prediction[tile.prediction], rows.label[tile.label])
        one, other = (
            _runs(side, chosen, size, name, boundary)
            for side, chosen, name in zip(sides, own, ("prediction", "label"), strict=True)
        )
        for start in range(0, len(tile.out), _PAIRS):
            cut = slice(start, start + _PAIRS)
            pairs = np.stack([tile.first[cut], tile.second[cut]])
            shared = mask_pairs.shared_pixels(one, other, torch.from_numpy(pairs)).numpy()
            area, its = one.area.numpy()[pairs[0]], other.area.numpy()[pairs[1]]
            over = np.where(crowd[own[1][pairs[1]]], area, area + its - shared)
            out[tile.out[cut]] = np.divide(shared, over, out=np.zeros(len(shared)), where=shared > 0)
    return out


def drawn(outlines: Outlines, height: Ints, width: Ints) -> MaskShapes:
    """Polygons as masks by COCO's rule: what evaluation of COCO files compares. Rings of an object are united.

    Source: reference evaluation.md 1 (border followed on a grid five times finer).
    """
    found = _draw(outlines, height, width)
    rows = np.repeat(np.arange(len(found)), found.count.numpy())
    place = polygons.ranges(found.first.numpy(), found.count.numpy())
    ends = np.stack([found.start.numpy()[place], found.end.numpy()[place]], 1).astype(np.int64).reshape(-1)
    base = np.repeat(rows, 2)
    edge = np.concatenate([ends, height * width])
    order = np.argsort(np.concatenate([base, np.arange(len(found))]), kind="stable")
    many = 2 * found.count.numpy() + 1
    offset = polygons.offsets(many)
    counts = np.diff(edge[order], prepend=0)
    counts[offset[:-1]] = edge[order][offset[:-1]]
    # A mask that ends with set pixels has no last count of unset ones.
    last = offset[1:] - 1
    keep = np.ones(len(counts), bool)
    keep[last[(counts[last] == 0) & (many > 1)]] = False
    texts = rle.encode_counts(counts[keep], polygons.offsets(np.add.reduceat(keep, offset[:-1]) if len(many) else many))
    return MaskShapes(tuple(texts), torch.from_numpy(height), torch.from_numpy(width))


def _draw(outlines: Outlines, height: Ints, width: Ints) -> Runs:
    arrays = (outlines.values.reshape(-1, 2), outlines.numbers // 2, outlines.rings, height, width)
    points, points_of, rings, h, w = map(torch.from_numpy, arrays)
    return runs.draw(points, points_of, rings, h, w)


def _sizes(labels: Instances, predictions: Instances, sizes: Int64[Tensor, "frames 2"] | None) -> Ints:
    """Height and width of every frame: as given, else those of its masks; all masks must have them."""
    masked = [
        (name, side.frame.numpy(), side.shapes)
        for name, side in (("label", labels), ("prediction", predictions))
        if isinstance(side.shapes, MaskShapes)
    ]
    if sizes is None and not masked and len(labels) and len(predictions):
        raise UsageError("boxes and polygons can be drawn only in frames of known size", hint="give the sizes of frames")
    many = 1 + max((int(side.frame.max()) for side in (labels, predictions) if len(side)), default=-1)
    known = np.full((many, 2), -1, np.int64) if sizes is None else sizes.numpy().copy()
    for name, frame, shapes in masked:
        own = np.stack([shapes.height.numpy(), shapes.width.numpy()], 1)
        fresh = known[frame, 0] < 0
        known[frame[fresh][::-1]] = own[fresh][::-1]  # the first mask of a frame tells
        wrong = np.flatnonzero((known[frame] != own).any(1))
        if len(wrong):
            row = wrong[0]
            (h, w), (height, width) = own[row].tolist(), known[frame[row]].tolist()
            raise UsageError(
                f"{name} {row}: mask of {h} x {w} pixels in frame {frame[row]} of {height} x {width} (height x width)",
                hint="masks must have the size of their frame",
            )
    large = np.flatnonzero(known.prod(1) > runs.MAX_PIXELS)
    if len(large):
        raise UsageError(
            f"frame {large[0]} of {known[large[0]].tolist()} pixels is too large for masks: {runs.MAX_PIXELS} at most"
        )
    return known


def _cost(side: Instances) -> Ints:
    """Bytes that the mask of every object takes while it is compared, about."""
    if isinstance(side.shapes, MaskShapes):
        return _MASK + _TEXT * np.fromiter(map(len, side.shapes.rle), np.int64, len(side))
    owner, _, a, b = polygons.edges(outlines_of(side))
    return _MASK + _TEXT * np.bincount(owner, np.abs(a[:, 0] - b[:, 0]), len(side)).astype(np.int64)


def _runs(side: Instances, rows: Ints, size: Ints, name: str, boundary: float) -> Runs:
    """Runs of the masks of some objects, or of their borders."""
    height, width = size[side.frame.numpy()[rows]].T.copy()
    if isinstance(side.shapes, MaskShapes):
        texts = [side.shapes.rle[row] for row in rows.tolist()]
        found, broken = runs.decode(texts, torch.from_numpy(height), torch.from_numpy(width))
        if len(broken):
            at = int(broken[0])
            _, problem = rle.check([texts[at]], height[at : at + 1], width[at : at + 1])
            raise UsageError(f"{name} {rows[at]}: {problem[0]}", hint="leave out such masks, or correct them")
    else:
        found = _draw(outlines_of(side).take(rows), height, width)
    if boundary <= 0:
        return found
    distance = np.maximum(np.round(boundary * np.sqrt(height**2 + width**2)), 1).astype(np.int64)
    return borders.borders(found, torch.from_numpy(distance))


def _tiles(rows: Rows, cost: Ints, its: Ints, offset: Ints, budget: int) -> Iterator[_Tile]:
    """A few whole cells at a time; one that does not fit into the budget is cut into parts of both sides."""
    bounds = [polygons.offsets(side) for side in (cost, its)]
    cell = np.diff(bounds[0][rows.prediction_offset]) + np.diff(bounds[1][rows.label_offset])
    useful = np.flatnonzero(np.diff(offset) > 0)
    total = polygons.offsets(cell[useful])
    begin = 0
    while begin < len(useful):
        stop = max(int(np.searchsorted(total, total[begin] + min(budget, _TILE), "right")) - 1, begin + 1)
        if total[stop] - total[begin] <= budget:
            yield _cells(rows, useful[begin:stop], offset)
        else:
            yield from _parts(rows, bounds, int(useful[begin]), offset, budget // 2)
        begin = stop


def _cells(rows: Rows, cells: Ints, offset: Ints) -> _Tile:
    many, labels = np.diff(rows.prediction_offset)[cells], np.diff(rows.label_offset)[cells]
    prediction, label = polygons.ranges(rows.prediction_offset[cells], many), polygons.ranges(rows.label_offset[cells], labels)
    count = np.repeat(labels, many)  # pairs of every prediction
    first = np.repeat(np.arange(len(prediction)), count)
    second = polygons.ranges(np.repeat(polygons.offsets(labels)[:-1], many), count)
    return _Tile(prediction, label, first, second, polygons.ranges(offset[cells], many * labels))


def _parts(rows: Rows, bounds: list[Ints], cell: int, offset: Ints, budget: int) -> Iterator[_Tile]:
    """The pairs of one cell in tiles, each side of which fits into the budget, or is one mask."""
    sides = (rows.prediction_offset[cell : cell + 2], rows.label_offset[cell : cell + 2])
    cuts = [list(_cuts(bound, int(side[0]), int(side[1]), budget)) for bound, side in zip(bounds, sides, strict=True)]
    labels = int(sides[1][1] - sides[1][0])
    for a, b in cuts[0]:
        for c, d in cuts[1]:
            first, second = (part.reshape(-1) for part in np.indices((b - a, d - c)))
            place = offset[cell] + (first + a - sides[0][0]) * labels + second + c - sides[1][0]
            yield _Tile(np.arange(a, b), np.arange(c, d), first, second, place)


def _cuts(bound: Ints, begin: int, stop: int, budget: int) -> Iterator[tuple[int, int]]:
    while begin < stop:
        end = min(max(int(np.searchsorted(bound, bound[begin] + budget, "right")) - 1, begin + 1), stop)
        yield begin, end
        begin = end
