"""How well predictions cover the labels of their cell, whatever the shape: one table for every kind of object."""

from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import masks, outlines
from gpu_quality.evaluation.instances import Instances, Keypoints, Kind, MaskShapes, Polygons, Rotated
from gpu_quality.evaluation.masks import Rows
from gpu_quality.evaluation.outlines import Areas
from gpu_quality.evaluation.segments import Segments
from gpu_quality.functional import keypoints
from gpu_quality.geometry.polygons import offsets
from gpu_quality.kernels import matching

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_PAIRS: Final = 1 << 18
"""Pairs compared at a time: about 20 MB."""
_COMMON: Final[tuple[Kind, ...]] = ("box", "oriented", "polygon", "mask")
"""Forms of an area, each poorer than the one before: what every shape before it can be brought to."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How shapes are compared."""

    kind: Kind = "box"
    """The form asked for; where a side has only a poorer one (box, turned box, polygon, mask), both are brought to that."""
    sizes: Int64[Tensor, "frames 2"] | None = None
    """Height and width of frames in pixels: for radii relative to the diagonal, and to draw where neither side has masks."""
    sigmas: Float64[Tensor, " k"] | None = None
    """Spread of each keypoint as a share of the object's scale; None: COCO's 17."""
    buffer: float = 70.0
    """Pixels by which points and lines are widened to both sides."""
    relative: bool = False
    """`buffer` is a share of the frame's diagonal."""
    boundary: float = 0.0
    """Above 0: masks are compared by their borders alone, so wide a share of the diagonal (Boundary IoU: .02)."""
    mask_budget: int = 256 << 20
    """Bytes that masks may take while they are compared."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises
        ------
        UsageError
            An unknown kind, or a width or budget that is not positive and finite.
        """
        if self.kind not in get_args(Kind):
            raise UsageError(f"kind {self.kind!r} is none of {', '.join(get_args(Kind))}")
        if not 0 < self.buffer < float("inf"):
            raise UsageError(f"buffer must be positive and finite; got {self.buffer}")
        if not 0 <= self.boundary < 1:
            raise UsageError(f"boundary is a share of the diagonal, 0 to 1; got {self.boundary}")
        if self.mask_budget < 1:
            raise UsageError(f"mask_budget must be at least 1 byte; got {self.mask_budget}")


def overlaps(labels: Instances, predictions: Instances, cells: Segments, how: Comparison) -> Float64[Tensor, " pairs"]:
    """How well predictions cover the labels of their cell, 0..1: predictions x labels, row-major, of cell after cell.

    Intersection over union, i / (a_prediction + a_label - i); over the prediction alone, i / a_prediction, where the label is a
    crowd. Keypoints: OKS. 0 where nothing is shared, and for two empty shapes. Source: reference evaluation.md 1, 5, 12.

    Raises
    ------
    UsageError
        A side has no shapes that can be compared in this way; masks are broken or have another size than their frame.
    """
    kind = common(labels, predictions, how.kind)
    if kind == "box":
        found = cells.frame, cells.class_id, cells.prediction, cells.prediction_offset, cells.label, cells.label_offset
        return matching.box_overlaps(labels.box, predictions.box, labels.crowd, matching.Cells(*found))
    rows = Rows(*(part.numpy() for part in (cells.prediction, cells.prediction_offset, cells.label, cells.label_offset)))
    if kind == "mask":
        return torch.from_numpy(masks.overlaps(labels, predictions, rows, how.sizes, how.boundary, how.mask_budget))
    counts = np.diff(rows.prediction_offset) * np.diff(rows.label_offset)
    offset = offsets(counts)
    out = np.zeros(offset[-1])
    if not len(out):
        return torch.from_numpy(out)
    areas = None if kind == "keypoints" else _areas(labels, predictions, kind, how)
    for start in range(0, len(out), _PAIRS):
        stop = min(start + _PAIRS, len(out))
        first, second = _pairs(rows, offset, start, stop)
        if areas is None:
            out[start:stop] = _oks(labels, predictions, first, second, how)
        else:
            out[start:stop] = _ratio(areas, first, second, labels.crowd.numpy())
    return torch.from_numpy(out)


def common(labels: Instances, predictions: Instances, kind: Kind) -> Kind:
    """The form in which two sides are compared: the one asked for, or the poorest that a side has.

    Raises
    ------
    UsageError
        Points, lines or keypoints are asked for, and a side has none.
    """
    sides = (("labels", labels), ("predictions", predictions))
    if kind in ("line", "point", "keypoints"):
        wanted = Keypoints if kind == "keypoints" else Polygons
        for name, side in sides:
            if len(side) and not isinstance(side.shapes, wanted):
                raise UsageError(f"{name} have no {kind if kind == 'keypoints' else kind + 's'} to compare")
        return kind
    if kind == "box":
        return kind
    forms = {MaskShapes: "mask", Polygons: "polygon", Rotated: "oriented", Keypoints: "box", type(None): "box"}
    found = [forms[type(side.shapes)] for _, side in sides]
    if kind == "oriented" and "mask" not in found:  # outlines of four corners are turned boxes
        return kind
    return max((kind, *found), key=_COMMON.index)  # type: ignore[arg-type]


def _areas(labels: Instances, predictions: Instances, kind: Kind, how: Comparison) -> Areas:
    if kind == "polygon":
        return outlines.even_odd(predictions, labels)
    if kind in ("line", "point"):
        return outlines.widened(predictions, labels, *(_radius(side, how) for side in (predictions, labels)))
    return outlines.turned_boxes(predictions, labels)


def _radius(side: Instances, how: Comparison) -> Floats:
    """Pixels by which each object is widened."""
    if not how.relative:
        return np.full(len(side), how.buffer)
    if how.sizes is None:
        raise UsageError("a buffer relative to the diagonal needs the sizes of frames")
    height, width = how.sizes.numpy()[side.frame.numpy()].T.astype(np.float64)
    return np.asarray(how.buffer * np.hypot(height, width))


def _pairs(rows: Rows, offset: Ints, start: int, stop: int) -> tuple[Ints, Ints]:
    """Rows of prediction and label of the pairs start .. stop."""
    place = np.arange(start, stop)
    cell = np.searchsorted(offset, place, "right") - 1
    across, down = np.divmod(place - offset[cell], np.diff(rows.label_offset)[cell])
    return rows.prediction[rows.prediction_offset[cell] + across], rows.label[rows.label_offset[cell] + down]


def _ratio(areas: Areas, first: Ints, second: Ints, crowd: NDArray[np.bool_]) -> Floats:
    shared, area = areas.shared(first, second), areas.prediction[first]
    over = np.where(crowd[second], area, area + areas.label[second] - shared)
    return np.divide(shared, over, out=np.zeros(len(shared)), where=over > 0)


def _oks(labels: Instances, predictions: Instances, first: Ints, second: Ints, how: Comparison) -> Floats:
    assert isinstance(labels.shapes, Keypoints)  # noqa: S101 - checked by `common`
    assert isinstance(predictions.shapes, Keypoints)  # noqa: S101 - the same
    pairs = torch.from_numpy(np.stack([first, second]))
    return keypoints.oks(predictions.shapes.points, labels.shapes.points, labels.area, labels.box, pairs, how.sigmas).numpy()
