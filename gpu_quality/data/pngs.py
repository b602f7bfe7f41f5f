"""PNG files that hold no photo but a number for each pixel: masks and segment ids of label files."""

from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

MOST_PIXELS: Final = 1 << 26
"""Larger ones are refused before they are decoded: frames may have no more pixels."""
_NUMBERS: Final = ("1", "L", "I;16", "I", "P")


def read_png(source: Path | BinaryIO, *, plain: bool = False) -> NDArray[np.generic] | str:
    """Pixels [h, w, 3] of a PNG; with `plain` [h, w] of one that has no colors: gray levels, or numbers in its palette.

    Returns a text that says what is wrong with a file that is no PNG, too large or broken.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(source, formats=("PNG",)) as image:
            if image.width * image.height > MOST_PIXELS:
                return f"a PNG of {image.width} x {image.height} pixels is too large"
            return np.asarray(image if plain and image.mode in _NUMBERS else image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"no readable PNG: {type(error).__name__}"


def write_png(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write pixels [h, w, 3]."""
    from PIL import Image

    Image.fromarray(pixels).save(path)
