"""What metrics over time share: why an object takes no part, who overlaps whom in the frames before, and forms of outlines."""

from typing import Final

import torch
from jaxtyping import Bool, Float64, Int8, Int64
from torch import Tensor

from gpu_quality.errors import NULL_REASONS
from gpu_quality.features.objects import ring_iou
from gpu_quality.functional import tracks
from gpu_quality.functional.tracks import Partners
from gpu_quality.geometry import overlaps, pairs
from gpu_quality.geometry.moments import central_moments
from gpu_quality.registry import feature
from gpu_quality.types import AREAL, KINDS, Masked, Objects, Sizes

BLOCK: Final = 1 << 16
"""Pairs of outlines compared at a time: about 100 MB."""


def undefined(null: Int8[Tensor, " o"], *cases: tuple[Bool[Tensor, " o"], str]) -> Int8[Tensor, " o"]:
    """Why each object has no value: 0 it has one, else 1 + index into `NULL_REASONS`; the first case that fits counts."""
    null = null.clone()
    for missing, reason in cases:
        null[(null == 0) & missing] = 1 + NULL_REASONS.index(reason)
    return null


def masked(value: Tensor, null: Int8[Tensor, " o"]) -> Masked:
    """Values that are null for more than one reason."""
    return Masked(value, null > 0, null)


@feature(per="object", over="sequence")
def no_area(objects: Objects, sizes: Sizes) -> Int8[Tensor, " o"]:
    """Why an object cannot be compared by area, as `undefined` codes it: 0 it can."""
    kind, area = torch.from_numpy(overlaps.kinds(objects)), torch.from_numpy(pairs.areas(objects, sizes))
    spread = (objects.box[:, 2:] > objects.box[:, :2]).all(1)  # a declared box may be empty though its mask is not
    unsized = (sizes.width.isnan() | sizes.height.isnan())[objects.frame] & (kind == KINDS.index("mask"))
    return undefined(
        torch.zeros(len(objects), dtype=torch.int8),
        ((kind >= AREAL) | objects.crowd, "unsupported_shape"),
        (unsized, "no_metadata"),
        (~((area > 0) & spread & objects.box.isfinite().all(1)), "degenerate_geometry"),
    )


@feature(per="object", over="sequence")
def partners_before(
    objects: Objects, sizes: Sizes, sequence: Int64[Tensor, " n"], position: Int64[Tensor, " n"], no_area: Int8[Tensor, " o"]
) -> Partners:
    """Who overlaps every object most in the stored frame before its own."""
    return _partners(objects, sizes, tracks.windows(sequence, position).previous, no_area)


@feature(per="object", over="sequence")
def partners_two_before(
    objects: Objects, sizes: Sizes, sequence: Int64[Tensor, " n"], position: Int64[Tensor, " n"], no_area: Int8[Tensor, " o"]
) -> Partners:
    """Who overlaps every object most in the stored frame two places before its own."""
    previous = tracks.windows(sequence, position).previous
    return _partners(objects, sizes, tracks.step_back(previous, previous), no_area)


def _partners(objects: Objects, sizes: Sizes, earlier: Int64[Tensor, " n"], no_area: Int8[Tensor, " o"]) -> Partners:
    shaped = torch.from_numpy(overlaps.kinds(objects) > 0)
    best = tracks.nobody(len(objects))
    for found in tracks.meetings(objects.box, objects.frame, no_area == 0, earlier):
        outlined = (shaped[found.later] | shaped[found.earlier]).nonzero().flatten()
        if len(outlined):
            both = torch.stack([found.later[outlined], found.earlier[outlined]])
            for at in range(0, len(outlined), BLOCK):
                found.iou[outlined[at : at + BLOCK]] = _outline_iou(objects, sizes, both[:, at : at + BLOCK])
        tracks.note_best(best, found, objects.class_id)
    return best


def _outline_iou(objects: Objects, sizes: Sizes, both: Int64[Tensor, "2 p"]) -> Float64[Tensor, " p"]:
    """Intersection over union of the shapes of every pair: by their edges, and by geometries where that leaves a doubt."""
    rows, place = torch.unique(both, return_inverse=True)
    value = ring_iou(objects.select(rows), sizes, place)
    hard = value.isnan().nonzero().flatten()
    value[hard] = torch.from_numpy(pairs.iou(objects, sizes, *both[:, hard].numpy()))
    return value


@feature(per="object", over="dataset")
def shape_moments(objects: Objects, sizes: Sizes, outlined: Bool[Tensor, " o"]) -> Float64[Tensor, "o 8"]:
    """Central moments to order 3 of polygons and masks; zeros for other shapes, crowd regions and shapes without area, NaN for
    masks of frames of unknown size.
    """
    if not outlined.any():
        return torch.zeros(len(objects), 8, dtype=torch.float64)
    return torch.from_numpy(central_moments(objects, sizes))
