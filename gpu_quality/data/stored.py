"""The structs of decoding: limits in, canonical pixels and facts of the stored form out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_quality.errors import DecodeError, UsageError


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """Limits and choices of decoding; each of them can change what a frame is, so they belong to the fingerprint."""

    max_megapixels: float = 64.0
    max_bytes: int = 256_000_000
    max_scans: int = 100
    """Most scans of a JPEG; each one costs a pass over the frame."""
    exif: bool = True
    """Turn frames upright as their EXIF orientation asks."""
    float_range: tuple[float, float] | None = None
    """Values of float images that mean black and white; None refuses float images."""

    def __post_init__(self) -> None:
        if self.float_range is not None and not self.float_range[0] < self.float_range[1]:
            raise UsageError(f"float_range must be (black, white) with black < white, got {self.float_range}")


@dataclass(frozen=True, slots=True)
class Decoded:
    """One frame as canonical pixels, with the facts of its stored form; -1 means unknown."""

    rgb: NDArray[np.uint8]
    """Height x width x 3, C-contiguous."""
    file_size: int
    """Bytes; -1 for an image given in memory."""
    channels: int
    bit_depth: int
    transparent: float
    """Share of pixels with alpha below full; 0 without alpha."""
    reversed_x: bool
    reversed_y: bool
    """The stored axis that became x (y) runs backwards after the EXIF turn."""
    format: str
    digest: str
    """SHA-256 of the bytes as 64 hex digits; empty for an image given in memory."""


def check_size(width: int, height: int, settings: DecodeSettings) -> None:
    """Refuse frames without pixels and frames with too many.

    Raises
    ------
    DecodeError
        ``bad_dimensions`` or ``too_many_pixels``.
    """
    if width < 1 or height < 1:
        raise DecodeError("bad_dimensions", f"{width} x {height} pixels", stage="sniff")
    if width * height > settings.max_megapixels * 1e6:
        limit = f"{settings.max_megapixels:g} megapixels are allowed"
        raise DecodeError("too_many_pixels", f"{width} x {height} pixels, {limit}", stage="sniff")
