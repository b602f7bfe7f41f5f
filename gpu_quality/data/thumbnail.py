"""Small pictures of frames for people to look at. No metric reads them."""

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUALITY: Final = 80
ROUGH: Final = 4
"""Pixels are first averaged in blocks down to this many times the wanted size: quicker, and no detail is lost."""


def shrink(rgb: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """A copy whose longer side has at most `longest` pixels; small pictures are not enlarged."""
    height, width = rgb.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC, reducing_gap=float(ROUGH))
    return np.array(image)


def thumbnail(rgb: NDArray[np.uint8], longest: int, quality: int = QUALITY) -> bytes:
    """A frame as a JPEG file without metadata, its longer side at most `longest` pixels; the same bytes every time."""
    sink = io.BytesIO()
    Image.fromarray(shrink(rgb, longest)).save(sink, "JPEG", quality=quality, optimize=True)
    return sink.getvalue()
