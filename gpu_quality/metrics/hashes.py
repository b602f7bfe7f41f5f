"""Fingerprints of frames: equal for equal pixels, or alike for alike pictures. Shown as 16 hex digits."""

from jaxtyping import Int64, UInt8
from torch import Tensor

from gpu_quality.functional import hashing
from gpu_quality.registry import metric
from gpu_quality.types import Content, Sizes

HASH = "64-bit hash"


@metric(unit=HASH)
def content_hash(content: Content, sizes: Sizes) -> Int64[Tensor, " b"]:
    r"""A fingerprint of the pixels and the shape: equal for exact duplicates, whatever file format they came in.

    .. math:: \mathrm{mix}(2^{32} W + H) \oplus \sum_i \mathrm{mix}(2^{24} i + 2^{16} R_i + 2^8 G_i + B_i) \bmod 2^{64}
    with mix the finalizer of SplitMix64 and i the row-major index of a pixel.
    Range: any 64 bits, stored as int64.
    Depends on: every pixel; changes with any of them.
    """
    return hashing.content_hash(content.sum, sizes.width, sizes.height)


@metric(unit=HASH)
def phash(square_thumbnail: UInt8[Tensor, "b 32 32"]) -> Int64[Tensor, " b"]:
    r"""A fingerprint of the coarse picture: differs in few bits between copies that were scaled or recompressed.

    .. math:: \mathrm{bit}_{ij} = [d_{ij} > \operatorname{median} d], \qquad d = \text{the 8 x 8 lowest DCT coefficients}
    Range: 64 bits, stored as int64; compare by the number of differing bits.
    Depends on: layout and light, not on resolution, format or mild edits; nearly flat frames share hashes.
    Source: the 8 x 8 "phash" of imagehash (equal).
    """
    return hashing.phash(square_thumbnail)


@metric(unit=HASH)
def dhash(wide_thumbnail: UInt8[Tensor, "b 8 9"]) -> Int64[Tensor, " b"]:
    r"""A fingerprint of where brightness grows from left to right.

    .. math:: \mathrm{bit}_{ij} = [t_{i, j+1} > t_{ij}], \qquad t = \text{the 9 x 8 thumbnail of } Y
    Range: 64 bits, stored as int64; compare by the number of differing bits.
    Depends on: layout, not on resolution, format or exposure; 0 for a flat frame.
    Source: the 8 x 8 "dhash" of imagehash (equal).
    """
    return hashing.dhash(wide_thumbnail)


@metric(unit=HASH)
def phash_d4(square_thumbnail: UInt8[Tensor, "b 32 32"]) -> Int64[Tensor, " b"]:
    r"""A phash that is the same however the picture is flipped or turned by quarters.

    .. math:: \min_{g \in D_4} \mathrm{phash}(g \cdot t)
    Range: 64 bits, stored as int64; compare by the number of differing bits, 2 between a picture and its quarter turn.
    Depends on: layout and light, not on orientation.
    Source: DataEval, "phash_d4" (other thumbnail).
    """
    return hashing.phash_d4(square_thumbnail)


@metric(unit=HASH)
def dhash_d4(wide_thumbnail: UInt8[Tensor, "b 8 9"], tall_thumbnail: UInt8[Tensor, "b 9 8"]) -> Int64[Tensor, " b"]:
    r"""A dhash that is the same however the picture is flipped or turned by quarters.

    .. math:: \min_{g \in D_4} \mathrm{dhash}(g \cdot t)
    Range: 64 bits, stored as int64; compare by the number of differing bits, 2 between a picture and its quarter turn.
    Depends on: layout, not on orientation or exposure.
    Source: DataEval, "dhash_d4" (other thumbnail).
    """
    return hashing.dhash_d4(wide_thumbnail, tall_thumbnail)
