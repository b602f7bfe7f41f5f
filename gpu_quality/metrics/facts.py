"""What is known about a frame without looking at its pixels."""

import hashlib

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.registry import metric
from gpu_quality.types import Facts, Frame, Masked, Objects, Sizes


@metric(unit="pixel", bounds=(1, float("inf")))
def width(sizes: Sizes) -> Int64[Tensor, " b"] | Masked:
    r"""How wide a frame is.

    .. math:: W
    Range: 1 and up; null where neither an image nor the labels tell.
    Depends on: EXIF orientation, which is applied first.
    """
    return Masked(sizes.width.long(), sizes.width.isnan(), "no_metadata")


@metric(unit="pixel", bounds=(1, float("inf")))
def height(sizes: Sizes) -> Int64[Tensor, " b"] | Masked:
    r"""How high a frame is.

    .. math:: H
    Range: 1 and up; null where neither an image nor the labels tell.
    Depends on: EXIF orientation, which is applied first.
    """
    return Masked(sizes.height.long(), sizes.height.isnan(), "no_metadata")


@metric(unit="pixel²", bounds=(1, float("inf")))
def area(sizes: Sizes) -> Int64[Tensor, " b"] | Masked:
    r"""How many pixels a frame has.

    .. math:: W H
    Range: 1 and up; null where neither an image nor the labels tell.
    Depends on: resolution.
    Source: Encord Active, "Area".
    """
    unknown = sizes.width.isnan() | sizes.height.isnan()
    return Masked(sizes.width.long() * sizes.height.long(), unknown, "no_metadata")


@metric(unit="ratio", bounds=(0.0, float("inf")))
def aspect_ratio(sizes: Sizes) -> Float64[Tensor, " b"]:
    r"""Width over height: above 1 lies, below 1 stands.

    .. math:: W / H
    Range: above 0; 1 for a square.
    Depends on: EXIF orientation, which is applied first.
    Source: Encord Active, "Aspect Ratio".
    """
    return sizes.width.double() / sizes.height.double()


@metric(unit="channels", bounds=(1, 4))
def channels(facts: Facts) -> Int64[Tensor, " b"] | Masked:
    r"""How many channels the stored file has, before it became RGB.

    .. math:: C
    Range: 1 (gray) to 4 (color with alpha, or CMYK); a palette counts as 3. Null for an image whose origin is unknown.
    Depends on: the file, not the picture: gray stored as RGB has 3.
    Source: DataEval, "channels".
    """
    return Masked(facts.channels, facts.channels < 0, "no_metadata")


@metric(unit="bit", bounds=(1, 32))
def bit_depth(facts: Facts) -> Int64[Tensor, " b"] | Masked:
    r"""How many bits a stored value of one channel has.

    .. math:: \mathrm{depth}
    Range: 1 to 32; 8 for JPEG. Null for an image whose origin is unknown.
    Depends on: the file; deeper values are rounded to 8 bits before anything is measured.
    Source: DataEval, "depth".
    """
    return Masked(facts.bit_depth, facts.bit_depth < 0, "no_metadata")


@metric(unit="fraction", bounds=(0.0, 1.0))
def transparent_fraction(facts: Facts) -> Float64[Tensor, " b"] | Masked:
    r"""How much of a frame was see-through before alpha was dropped.

    .. math:: \frac{1}{N} \sum [\alpha < 255]
    Range: 0 (no alpha, or all opaque) to 1. Null for an image whose origin is unknown.
    Depends on: the file only; the colors under the alpha are measured as they are stored.
    """
    return Masked(facts.transparent, ~(facts.transparent >= 0), "no_metadata")


@metric(unit="byte", bounds=(1, float("inf")))
def file_size(facts: Facts) -> Int64[Tensor, " b"] | Masked:
    r"""How many bytes the file has.

    .. math:: \mathrm{bytes}
    Range: 1 and up. Null for an image given in memory.
    Depends on: format and compression.
    Source: fastdup, "file_size".
    """
    return Masked(facts.file_size, facts.file_size < 0, "no_metadata")


@metric(unit="position", bounds=(0, float("inf")))
def frame_number(frames: tuple[Frame, ...]) -> Int64[Tensor, " b"]:
    r"""Where in its sequence a frame stands, counted from 0.

    .. math:: t
    Range: 0 and up; 0 for a lone image.
    Depends on: the order the reader gave.
    """
    return torch.tensor([frame.position for frame in frames], dtype=torch.int64)


@metric(unit="random number", bounds=(0.0, 1.0))
def random(frames: tuple[Frame, ...], seed: int) -> Float64[Tensor, " b"]:
    r"""A number that has nothing to do with the picture: a baseline that no useful metric should fall behind.

    .. math:: 2^{-53} \lfloor \mathrm{SHA256}(\mathrm{seed{:}id})_{0..7} / 2^{11} \rfloor
    Range: 0 up to, not including, 1.
    Depends on: the frame's id and the run's seed alone; the same on every machine.
    Source: Encord Active, "Random Values on Images" (unseeded there).
    """
    return _draws([frame.id for frame in frames], seed)


@metric(per="object", unit="random number", bounds=(0.0, 1.0))
def object_random(objects: Objects, seed: int) -> Float64[Tensor, " o"]:
    r"""A number that has nothing to do with the object: a baseline that no useful metric should fall behind.

    .. math:: 2^{-53} \lfloor \mathrm{SHA256}(\mathrm{seed{:}id})_{0..7} / 2^{11} \rfloor
    Range: 0 up to, not including, 1.
    Depends on: the object's id and the run's seed alone; the same on every machine.
    Source: Encord Active, "Random Values on Objects" (unseeded there).
    """
    return _draws(objects.ids, seed)


def _draws(ids: tuple[str, ...] | list[str], seed: int) -> Float64[Tensor, " n"]:
    """The top 53 bits of the first 8 bytes of each digest: every float64 step of 2^-53 is equally likely."""
    digests = (hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in ids)
    return torch.tensor([(int.from_bytes(d[:8], "big") >> 11) * 2.0**-53 for d in digests], dtype=torch.float64)
