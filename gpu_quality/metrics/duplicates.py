"""Which frames repeat each other: groups, distances and frozen video, from stored hashes."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.functional import hashing
from gpu_quality.kernels import hamming
from gpu_quality.registry import metric
from gpu_quality.types import Masked, Sizes

FLAT = 8
"""Thumbnails whose luma spans less than this hold too little to compare: their hashes follow noise."""


@metric(over="dataset", unit="bit", bounds=(0, 64), bad="low")
def phash_distance(phash: Int64[Tensor, " n"], thumbnail_range: Float64[Tensor, " n"]) -> Int64[Tensor, " n"] | Masked:
    r"""How many bits of phash separate a frame from the most similar other frame.

    .. math:: \min_{j \ne i} \operatorname{popcount}(p_i \oplus p_j)
    Range: 0 (same hash) to 64; up to about 10 the two usually show the same. Null for a lone frame.
    Depends on: all other frames.
    Source: imagededup (there a threshold of 10).
    """
    known = ~thumbnail_range.isnan()
    value = torch.zeros_like(phash)
    if int(known.sum()) < 2:
        return Masked(value, torch.ones_like(known), "no_neighbors")
    value[known] = hamming.nearest(phash[known])
    return Masked(value, ~known, "no_neighbors")


@metric(over="dataset", unit="row")
def exact_duplicate_group(
    content_hash: Int64[Tensor, " n"],
    mean_red: Float64[Tensor, " n"],
    mean_green: Float64[Tensor, " n"],
    mean_blue: Float64[Tensor, " n"],
    contrast: Float64[Tensor, " n"],
    sizes: Sizes,
) -> Int64[Tensor, " n"] | Masked:
    r"""The first of the frames with exactly these pixels; frames with the same value are copies of each other.

    .. math:: \min \lbrace j : \mathrm{content}_j = \mathrm{content}_i \rbrace
    Range: the row of a frame, in the order of ids. Null where no other frame is equal.
    Depends on: pixels and shape, not on file format or metadata; equal hashes are confirmed by equal color moments.
    Source: FiftyOne, "exact duplicates" (there equal files).
    """
    columns = (content_hash, mean_red, mean_green, mean_blue, contrast, sizes.width, sizes.height)
    leader = hashing.equal_rows(columns, ~contrast.isnan())
    return Masked(leader, hashing.group_sizes(leader) < 2, "no_neighbors")


@metric(over="dataset", unit="row")
def near_duplicate_group(
    phash: Int64[Tensor, " n"], thumbnail_range: Float64[Tensor, " n"], *, radius: int = 5
) -> Int64[Tensor, " n"] | Masked:
    r"""The first of the frames that look like this one; frames with the same value are near duplicates.

    .. math:: \min \lbrace j : j \text{ leads},\ \operatorname{popcount}(p_i \oplus p_j) \le \mathrm{radius} \rbrace
    In the order of ids, a frame without a group leads a new one and takes every such frame within the radius of itself.
    Range: the row of a frame. Null where no other frame is near, and for nearly flat frames.
    Depends on: all other frames; members are near their leader, so no chain of small steps joins unlike pictures.
    Source: imagededup and cleanvision, near duplicates by hash (radius 10 and 0 there).
    """
    return _near(phash, thumbnail_range, radius)


@metric(over="dataset", unit="row")
def near_duplicate_group_d4(
    phash_d4: Int64[Tensor, " n"], thumbnail_range: Float64[Tensor, " n"], *, radius: int = 5
) -> Int64[Tensor, " n"] | Masked:
    r"""The first of the frames that look like this one, flipped or turned by quarters as they may be.

    .. math:: \min \lbrace j : j \text{ leads},\ \operatorname{popcount}(p_i \oplus p_j) \le \mathrm{radius} \rbrace,
              \qquad p = \mathrm{phash\_d4}
    Range: the row of a frame. Null where no other frame is near, and for nearly flat frames.
    Depends on: all other frames.
    """
    return _near(phash_d4, thumbnail_range, radius)


def _near(code: Int64[Tensor, " n"], thumbnail_range: Float64[Tensor, " n"], radius: int) -> Int64[Tensor, " n"] | Masked:
    leader = hamming.leaders(code, thumbnail_range >= FLAT, radius)
    return Masked(leader, hashing.group_sizes(leader) < 2, "no_neighbors")


@metric(over="sequence", unit="flag", bounds=(0, 1), bad="high")
def frozen(
    content_hash: Int64[Tensor, " n"], sequence: Int64[Tensor, " n"], position: Int64[Tensor, " n"]
) -> Int64[Tensor, " n"]:
    r"""Whether a frame repeats the one before it, pixel for pixel: the camera or the recording hung.

    .. math:: [\mathrm{content}_t = \mathrm{content}_{t-1}]
    Range: 0 or 1; 0 for the first frame of a sequence and for lone images.
    Depends on: the order of the stored frames; re-encoding noise hides a freeze.
    """
    order = position.sort(stable=True).indices
    order = order[sequence[order].sort(stable=True).indices]
    same = (sequence[order].diff() == 0) & (content_hash[order].diff() == 0) & (sequence[order][1:] >= 0)
    value = torch.zeros_like(content_hash)
    value[order[1:]] = same.long()
    return value
