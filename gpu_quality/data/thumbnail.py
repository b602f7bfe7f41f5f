"""Small pictures of frames for people to look at. No metric reads them."""

import io
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

QUALITY: Final = 80
ROUGH: Final = 4
"""Pixels are first averaged in blocks down to this many times the wanted size: quicker, and no detail is lost."""
OUTSIDE: Final = (112, 116, 122)
"""What is shown beyond the edges of a frame."""
DASH: Final = 9.0
_HALO: Final = (24, 24, 27)
Color = tuple[int, int, int]
Line = tuple[tuple[float, ...], Color, bool, bool]
"""Flat x y pixels, color, whether it closes, whether it is dashed."""


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


def cut_out(
    rgb: NDArray[np.uint8], window: tuple[int, int, int, int], lines: Iterable[Line], longest: int
) -> NDArray[np.uint8]:
    """A window of a frame with lines drawn on it, its longer side at most `longest` pixels and at least about half of that.

    `window` is left, top, right, bottom; what it has outside of the frame is gray. Lines have the frame's coordinates; what of
    them lies outside of the window is drawn along its edge.
    """
    left, top, right, bottom = window
    height, width = rgb.shape[:2]
    part = np.full((bottom - top, right - left, 3), OUTSIDE, np.uint8)
    x1, x2, y1, y2 = max(left, 0), min(right, width), max(top, 0), min(bottom, height)
    part[y1 - top : y2 - top, x1 - left : x2 - left] = rgb[y1:y2, x1:x2]
    times = max(1, longest // 2 // max(part.shape[:2]))
    small = shrink(part.repeat(times, 0).repeat(times, 1), longest)
    scale = small.shape[1] / (right - left), small.shape[0] / (bottom - top)
    image = Image.fromarray(small)
    pen = ImageDraw.Draw(image)
    for points, color, closed, dashed in lines:
        placed = [
            (_within((x - left) * scale[0], image.width), _within((y - top) * scale[1], image.height))
            for x, y in zip(points[::2], points[1::2], strict=True)
        ]
        _draw(pen, placed + placed[:1] if closed else placed, color, dashed=dashed)
    return np.array(image)


def _within(place: float, side: int) -> float:
    return min(max(place, 1.0), max(side - 2.0, 0.0))


def _draw(pen: ImageDraw.ImageDraw, points: list[tuple[float, float]], color: Color, *, dashed: bool) -> None:
    """A line three pixels wide on a dark one, so that it shows on any ground; a single point becomes a dot."""
    paths = list(_dashes(points)) if dashed and len(points) > 1 else [points]
    for shade, wide in ((_HALO, 5), (color, 3)):
        for path in paths:
            if len(set(path)) > 1:
                pen.line(path, fill=shade, width=wide, joint="curve")
            else:
                x, y = path[0]
                pen.ellipse((x - wide, y - wide, x + wide, y + wide), fill=shade)


def _dashes(points: list[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    """Every second piece of a line that is cut into pieces of `DASH` pixels; a bend ends a piece."""
    drawn = 0
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        pieces = max(1, math.ceil(math.hypot(x2 - x1, y2 - y1) / DASH))
        cuts = [(x1 + (x2 - x1) * i / pieces, y1 + (y2 - y1) * i / pieces) for i in range(pieces + 1)]
        yield from (cuts[i : i + 2] for i in range(pieces) if (drawn + i) % 2 == 0)
        drawn += pieces
