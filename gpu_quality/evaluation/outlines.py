"""How well outlines cover each other: turned boxes, polygons, and lines and points of a width; pairs of rows at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.instances import Instances, Polygons, Rotated
from gpu_quality.geometry import buffered, polygons, rotated, shared
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.kernels import convex, rings

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

Shared = Callable[[Ints, Ints], Floats]
"""Area that the predictions of some rows share with the labels of others."""


@dataclass(frozen=True, slots=True)
class Areas:
    """What a kind of shape says of objects: their areas, and the area that pairs of them share."""

    prediction: Floats
    label: Floats
    shared: Shared


def outlines_of(side: Instances) -> Outlines:
    """Outlines of objects: their own rings, or the four corners of their box."""
    if isinstance(side.shapes, Polygons):
        own = side.shapes
        return Outlines(own.rings.numpy(), own.points_of.numpy() * 2, own.points.numpy().reshape(-1))
    corners = rotated.corners(side.shapes.box) if isinstance(side.shapes, Rotated) else rotated.box_corners(side.box)
    rows = np.arange(len(side) + 1)
    return Outlines(rows, rows * 8, corners.numpy().reshape(-1))


def turned_boxes(predictions: Instances, labels: Instances) -> Areas:
    """Exact areas of turned boxes; boxes are turned by 0, and four corners are taken where they are convex.

    Raises
    ------
    UsageError
        An outline has not four corners, or they are not convex.
    """
    one, other = (_corners(side, name) for side, name in ((predictions, "prediction"), (labels, "label")))

    def pairs(first: Ints, second: Ints) -> Floats:
        return convex.shared_areas(one, other, torch.from_numpy(np.stack([first, second]))).numpy()

    return Areas(convex.areas(one).numpy(), convex.areas(other).numpy(), pairs)


def _corners(side: Instances, name: str) -> torch.Tensor:
    """Corners [n, 4, 2] of turned boxes, boxes and outlines of four points."""
    if isinstance(side.shapes, Rotated):
        return rotated.corners(side.shapes.box)
    if not isinstance(side.shapes, Polygons):
        return rotated.box_corners(side.box)
    own = outlines_of(side)
    length = own.numbers[own.rings[1:]] - own.numbers[own.rings[:-1]]
    wrong = np.flatnonzero((np.diff(own.rings) != 1) | (length != 8))
    if len(wrong):
        raise UsageError(f"{name} {wrong[0]}: a turned box has 4 corners, this outline {length[wrong[0]] // 2} points")
    return rotated.checked_corners(torch.from_numpy(own.values.reshape(-1, 4, 2)))


def even_odd(predictions: Instances, labels: Instances) -> Areas:
    """Exact areas of polygons under the even-odd rule, with holes; boxes and turned boxes by their corners.

    Pairs of single rings are compared by their edges. Where that is in doubt (edges touch), or rings cross, shapely decides.
    """
    both = [outlines_of(side) for side in (predictions, labels)]
    box = [polygons.bounds(outlines) for outlines in both]
    points, first, simple = zip(*map(_rings, both), strict=True)
    starts = torch.from_numpy(np.concatenate([first[0], first[1][1:] + first[0][-1]]))
    together = torch.from_numpy(np.concatenate(points))

    def pairs(one: Ints, other: Ints) -> Floats:
        out = np.zeros(len(one))
        near = _near(box[0][one], box[1][other])
        easy = near & simple[0][one] & simple[1][other]
        asked = torch.from_numpy(np.stack([one[easy], other[easy] + len(both[0])]))
        out[easy] = rings.shared_areas(together, starts, asked).numpy()
        hard = np.flatnonzero((near & ~easy) | np.isnan(out))
        out[hard] = _shapely(both, one[hard], other[hard])
        return out

    return Areas(polygons.areas(both[0], simple[0]), polygons.areas(both[1], simple[1]), pairs)


def _rings(outlines: Outlines) -> tuple[Floats, Ints, NDArray[np.bool_]]:
    """Points of all outlines without repeated ones, where each outline starts, and which are one ring that is surely simple."""
    owner, _, a, b = polygons.edges(outlines)
    keep = (a != b).any(1)
    points, first = a[keep], polygons.offsets(np.bincount(owner[keep], minlength=len(outlines)))
    sure = rings.simple(torch.from_numpy(points), torch.from_numpy(first)).numpy()
    return points, first, sure & (np.diff(outlines.rings) == 1)


def _near(one: Floats, other: Floats) -> NDArray[np.bool_]:
    """Pairs of boxes x1 y1 x2 y2 that share area."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    return np.asarray((high > low).all(1))


def _shapely(both: list[Outlines], one: Ints, other: Ints) -> Floats:
    """Shared areas by geometries, each built once."""
    (a, first), (b, second) = (np.unique(rows, return_inverse=True) for rows in (one, other))
    return shared.shared_areas(polygons.shapes(both[0].take(a)), polygons.shapes(both[1].take(b)), first, second)


def widened(predictions: Instances, labels: Instances, radius: Floats, its: Floats) -> Areas:
    """Areas of points and lines widened by a radius, `radius` of predictions and `its` of labels, which is equal in a frame.

    Two single points are compared in closed form; circles around all others have 16 edges to a quarter.
    """
    lines = [outlines_of(side) for side in (predictions, labels)]
    single = [np.diff(side.numbers[side.rings]) == 2 for side in lines]
    at = [_first_points(side) for side in lines]
    area, wide = [np.pi * reach**2 for reach in (radius, its)], []
    if not (single[0].all() and single[1].all()):
        wide = [buffered.widened(side, reach) for side, reach in zip(lines, (radius, its), strict=True)]
        area = [np.where(*known) for known in zip(single, area, map(shared.areas, wide), strict=True)]
    box = [shared.bounds(shapes) for shapes in wide]

    def pairs(one: Ints, other: Ints) -> Floats:
        out = buffered.disc_overlap(np.hypot(*(at[0][one] - at[1][other]).T), radius[one])
        lined = np.flatnonzero(~(single[0][one] & single[1][other]))
        out[lined] = 0
        if len(lined):
            near = lined[_near(box[0][one[lined]], box[1][other[lined]])]
            out[near] = shared.shared_areas(wide[0], wide[1], one[near], other[near])
        return out

    return Areas(area[0], area[1], pairs)


def _first_points(lines: Outlines) -> Floats:
    """First point of every object; 0, 0 of one without points."""
    out = np.zeros((len(lines), 2))
    first = lines.numbers[lines.rings]
    some = np.flatnonzero(np.diff(first) > 0)
    out[some] = lines.values.reshape(-1, 2)[first[:-1][some] // 2]
    return out
