"""Labels and predictions as flat arrays, as evaluation takes them: boxes as given, nothing clipped, rounded or re-derived."""

from dataclasses import dataclass
from typing import Final, Literal

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError

Kind = Literal["box", "mask", "keypoints", "oriented", "polygon", "line", "point"]
"""What is compared: axis-aligned boxes, masks, keypoints by OKS, turned boxes, polygons, lines and points with a width."""

KINDS: Final[tuple[Kind, ...]] = ("box", "mask", "keypoints", "oriented", "polygon", "line", "point")


@dataclass(frozen=True, slots=True)
class MaskShapes:
    """Masks as COCO's compressed run lengths, column-major, each with the size of its frame."""

    rle: tuple[bytes, ...]
    height: Int64[Tensor, " n"]
    width: Int64[Tensor, " n"]

    def select(self, rows: Int64[Tensor, " k"]) -> "MaskShapes":
        """The masks of the given rows, in that order."""
        return MaskShapes(tuple(self.rle[row] for row in rows.tolist()), self.height[rows], self.width[rows])


@dataclass(frozen=True, slots=True)
class Keypoints:
    """K keypoints per object: x, y in pixels, and v (0 not labeled, 1 hidden, 2 visible)."""

    points: Float64[Tensor, "n k 3"]

    def select(self, rows: Int64[Tensor, " m"]) -> "Keypoints":
        """The keypoints of the given rows, in that order."""
        return Keypoints(self.points[rows])


@dataclass(frozen=True, slots=True)
class Rotated:
    """Turned boxes: center x, center y, w, h in pixels, theta in radians, positive from +x toward +y."""

    box: Float64[Tensor, "n 5"]

    def select(self, rows: Int64[Tensor, " k"]) -> "Rotated":
        """The boxes of the given rows, in that order."""
        return Rotated(self.box[rows])


@dataclass(frozen=True, slots=True)
class Polygons:
    """Outlines as CSR: object, rings (or lines, or single points), points; even-odd, in pixels."""

    rings: Int64[Tensor, " n_plus_1"]
    """Object `i` owns rings ``rings[i]:rings[i + 1]``."""
    points_of: Int64[Tensor, " rings_plus_1"]
    points: Float64[Tensor, "p 2"]

    def select(self, rows: Int64[Tensor, " k"]) -> "Polygons":
        """The outlines of the given rows, in that order."""
        ring_rows, rings = _gather(self.rings, rows)
        point_rows, points_of = _gather(self.points_of, ring_rows)
        return Polygons(rings, points_of, self.points[point_rows])


ShapeSet = MaskShapes | Keypoints | Rotated | Polygons


@dataclass(frozen=True, slots=True)
class Instances:
    """Labels, or predictions, in the order they were given."""

    frame: Int64[Tensor, " n"]
    """Row of the frame; "image order" is ascending row."""
    class_id: Int64[Tensor, " n"]
    """Row of the class; class order is ascending row."""
    box: Float64[Tensor, "n 4"]
    """x y w h in pixels as given; predicted masks and keypoints: the hull."""
    score: Float64[Tensor, " n"]
    """Confidence of predictions; NaN where none was given: the protocol decides what that means."""
    area: Float64[Tensor, " n"]
    """Labels: the `area` field; predictions: w * h, area of the mask, or of the box around the keypoints."""
    crowd: Bool[Tensor, " n"]
    """Labels of a region with many objects: overlap is the share of the prediction, and any number of them may match."""
    ignored: Bool[Tensor, " n"]
    """Labels that nobody must find: difficult (VOC), group of (Open Images), without visible keypoints (COCO)."""
    shapes: ShapeSet | None = None

    def __len__(self) -> int:
        """Number of labels, or predictions."""
        return len(self.frame)

    def select(self, rows: Int64[Tensor, " k"]) -> "Instances":
        """The given rows, in that order."""
        return Instances(
            frame=self.frame[rows],
            class_id=self.class_id[rows],
            box=self.box[rows],
            score=self.score[rows],
            area=self.area[rows],
            crowd=self.crowd[rows],
            ignored=self.ignored[rows],
            shapes=self.shapes and self.shapes.select(rows),
        )


def instances(
    frame: Int64[Tensor, " n"],
    class_id: Int64[Tensor, " n"],
    box: Float64[Tensor, "n 4"],
    *,
    score: Float64[Tensor, " n"] | None = None,
    area: Float64[Tensor, " n"] | None = None,
    crowd: Bool[Tensor, " n"] | None = None,
    ignored: Bool[Tensor, " n"] | None = None,
    shapes: ShapeSet | None = None,
) -> Instances:
    """Labels, or predictions, of which only what is not the usual is said: no score, area w * h, no crowd, none ignored.

    `box` is x y w h in pixels.

    Raises
    ------
    UsageError
        A number is NaN or infinite, or a row of a frame or class is negative; the message names the first such row. (A score
        that is NaN was not given.) `problems` finds all of them.
    """
    n = len(frame)
    no = torch.zeros(n, dtype=torch.bool, device=box.device)
    out = Instances(
        frame=frame,
        class_id=class_id,
        box=box,
        score=box.new_full((n,), torch.nan) if score is None else score,
        area=box[:, 2] * box[:, 3] if area is None else area,
        crowd=no if crowd is None else crowd,
        ignored=no if ignored is None else ignored,
        shapes=shapes,
    )
    refused = problems(out)
    if refused:
        row, reason, detail = refused[0]
        more = f" ({len(refused):,} such rows)" if len(refused) > 1 else ""
        raise UsageError(f"row {row}: {reason}: {detail}{more}", hint="leave these rows out, or correct them")
    return out


def problems(given: Instances) -> list[tuple[int, str, str]]:
    """Rows that evaluation refuses: row, reason code of ``errors.REASONS``, and what was found there; at most one per row."""
    found: dict[int, tuple[int, str, str]] = {}
    floats = (given.box, given.area) if given.shapes is None else ()
    if floats and all(bool(side.sum().isfinite()) for side in floats) and not bool(given.score.isinf().any()):
        numbers = (given.frame, given.class_id)
        if not len(given) or all(int(side.min()) >= 0 for side in numbers):
            return []  # a sum over NaN or infinity is never finite

    def note(bad: Bool[Tensor, " n"], reason: str, what: str, values: Tensor) -> None:
        for row in bad.nonzero().flatten().tolist():
            found.setdefault(row, (row, reason, f"{what} {values[row].tolist()}"))

    note(given.frame < 0, "orphan_image_id", "frame", given.frame)
    note(given.class_id < 0, "orphan_category_id", "class", given.class_id)
    note(~given.box.isfinite().all(1), "non_finite_geometry", "box", given.box)
    note(~given.area.isfinite(), "non_finite_geometry", "area", given.area)
    note(given.score.isinf(), "dt_score_out_of_range", "score", given.score)
    if isinstance(given.shapes, Keypoints):
        note(~given.shapes.points.isfinite().all(2).all(1), "non_finite_geometry", "keypoints", given.shapes.points)
    elif isinstance(given.shapes, Rotated):
        note(~given.shapes.box.isfinite().all(1), "non_finite_geometry", "turned box", given.shapes.box)
    elif isinstance(given.shapes, Polygons):
        note(_not_finite(given.shapes), "non_finite_geometry", "outline of box", given.box)
    return [found[row] for row in sorted(found)]


def _not_finite(shapes: Polygons) -> Bool[Tensor, " n"]:
    """Objects with a point that is NaN or infinite."""
    bad = (~shapes.points.isfinite().all(1)).nonzero().flatten()
    ring = torch.searchsorted(shapes.points_of, bad, right=True) - 1
    owner = torch.searchsorted(shapes.rings, ring, right=True) - 1
    out = torch.zeros(len(shapes.rings) - 1, dtype=torch.bool)
    out[owner] = True
    return out


def _gather(offset: Int64[Tensor, " n_plus_1"], rows: Int64[Tensor, " k"]) -> tuple[Tensor, Tensor]:
    """Members of the given rows of a CSR one after another, and the new offsets."""
    count = offset[rows + 1] - offset[rows]
    first = torch.cat([count.new_zeros(1), count.cumsum(0)])
    members = torch.arange(int(first[-1])) + torch.repeat_interleave(offset[rows] - first[:-1], count)
    return members, first
