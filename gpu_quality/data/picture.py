"""A Pillow image whose pixels are decoded when somebody looks at it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class LazyImage(Image.Image):
    """An RGB image made by `read` at the first touch of its size or its pixels; what `read` raises comes out there.

    Pillow offers no other way to hand out an image before it is decoded: its own file images are subclasses as well.
    """

    def __init__(self, read: Callable[[], NDArray[np.uint8]]) -> None:
        super().__init__()
        self._mode = "RGB"
        self._read = read

    def load(self) -> "Image.core.PixelAccess | None":
        """Decode if that has not happened yet."""
        if self._im is None:
            decoded = Image.fromarray(self._read())
            self._im, self._size = decoded.im, decoded.size
        return super().load()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        self.load()
        return self._size
