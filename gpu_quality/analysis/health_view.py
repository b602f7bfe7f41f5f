"""The tables as arrays that every check looks at, with the true areas and outlines of the objects."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.annotations import Dataset, objects_tensor
from gpu_quality.geometry import overlaps, polygons, rle
from gpu_quality.geometry.regions import outlines_of
from gpu_quality.types import AREAL, KINDS, Objects, Sizes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Sides = tuple[Any, Any]
"""Widths and heights, one per frame; below 1, NaN or null = unknown."""

_MASK: Final = KINDS.index("mask")
BLOCK: Final = 1 << 16
"""Objects whose outlines or runs are held at a time: about 100 MB."""


@dataclass(frozen=True, slots=True)
class View:
    """Objects of all origins, sorted by frame, and the sizes of the frames."""

    objects: Objects
    kind: NDArray[np.int8]
    row: Ints
    """Row of each object's frame."""
    origin: Ints
    class_id: Ints
    box: Floats
    crowd: Bools
    declared: Floats
    """Areas as declared; where none is, that of the shape as read."""
    area: Floats
    """True areas; NaN for shapes that cover none."""
    hull: Floats
    """Bounds x1 y1 x2 y2 of the shapes themselves, whatever box the file gives."""
    width: Floats
    """Of every frame: as decoded, else as declared; NaN = unknown."""
    height: Floats
    sizes: Sizes
    """Sizes of the frames that masks are drawn in."""

    @classmethod
    def of(cls, tables: Dataset, decoded: Sides | None) -> "View":
        """The arrays of these tables; `decoded` are the sizes that images really have, as far as known."""
        objects = objects_tensor(tables.objects, 0, True)
        kind, row = overlaps.kinds(objects), objects.frame.numpy()
        claimed = numbers(tables.frames.column("width")), numbers(tables.frames.column("height"))
        width, height = claimed if decoded is None else (_either(*both) for both in zip(decoded, claimed, strict=True))
        sizes = _drawn_sizes(tables, kind, row, claimed)
        return cls(
            objects=objects,
            kind=kind,
            row=row,
            origin=objects.origin.numpy().astype(np.int64),
            class_id=objects.class_id.numpy().astype(np.int64),
            box=objects.box.numpy(),
            crowd=objects.crowd.numpy(),
            declared=objects.area.numpy(),
            area=_areas(objects, sizes),
            hull=_hulls(objects, kind, sizes),
            width=width,
            height=height,
            sizes=sizes,
        )

    @property
    def areal(self) -> Bools:
        """Which objects cover an area by their kind."""
        return self.kind < AREAL

    @property
    def flat(self) -> Bools:
        """Which areal objects have a box without width or height."""
        return self.areal & (self.box[:, 2:] <= self.box[:, :2]).any(axis=1)


def numbers(values: Any) -> Floats:
    """Numbers of an Arrow or pandas column, a tensor or an array as float64; NaN where there is none or it is below 1."""
    if hasattr(values, "to_pandas"):
        values = values.to_pandas()
    if hasattr(values, "isna"):
        values = values.to_numpy(np.float64, na_value=np.nan)
    found = np.array(values, np.float64)
    return np.where(found >= 1, found, np.nan)


def _either(given: Any, claimed: Floats) -> Floats:
    known = numbers(given)
    return np.where(np.isnan(known), claimed, known)


def _drawn_sizes(tables: Dataset, kind: NDArray[np.int8], row: Ints, claimed: tuple[Floats, Floats]) -> Sizes:
    """Sizes that frames are drawn in: of their masks, which were checked against the declared ones, else as declared."""
    width, height = (np.nan_to_num(side, nan=1).astype(np.int32) for side in claimed)
    masked = np.flatnonzero(kind == _MASK)
    if len(masked):
        stored = tables.objects.column("rle").combine_chunks()
        for side, name in ((width, "width"), (height, "height")):
            side[row[masked]] = numbers(stored.field(name))[masked]
    return Sizes(torch.from_numpy(width), torch.from_numpy(height))


def _areas(objects: Objects, sizes: Sizes) -> Floats:
    """True areas, some objects at a time where they have outlines; NaN for shapes that cover none."""
    if objects.shapes is None:
        return overlaps.areas(objects, sizes)
    stops = range(0, len(objects), BLOCK)
    parts = [torch.arange(start, min(start + BLOCK, len(objects))) for start in stops]
    return np.concatenate([overlaps.areas(objects.select(rows), sizes) for rows in parts])


def _hulls(objects: Objects, kind: NDArray[np.int8], sizes: Sizes) -> Floats:
    """Bounds of the rings or the set pixels where an object has any, else its box."""
    hull = objects.box.numpy()
    if objects.shapes is None:
        return hull
    hull, outlines = hull.copy(), outlines_of(objects.shapes)
    ringed = np.flatnonzero((np.diff(outlines.rings) > 0) & (kind < _MASK))
    hull[ringed] = polygons.bounds(outlines.take(ringed))
    masked = np.flatnonzero(kind == _MASK)
    frame = objects.frame.numpy()
    height, width = (side.numpy().astype(np.int64) for side in (sizes.height, sizes.width))
    for start in range(0, len(masked), BLOCK):
        rows = masked[start : start + BLOCK]
        runs, _ = rle.check([objects.shapes.rle[row] or b"" for row in rows], height[frame[rows]], width[frame[rows]])
        hull[rows] = rle.bounds(runs, height[frame[rows]])
    return hull
