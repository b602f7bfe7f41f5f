"""Masks of label files as COCO-compressed run lengths of the whole frame, from pixels or from runs in other orders."""

import io

import numpy as np
from numpy.typing import NDArray

from gpu_quality.data.pngs import MOST_PIXELS, read_png
from gpu_quality.geometry import rle

Ints = NDArray[np.int64]


def counts_of(start: Ints, end: Ints, pixels: int) -> bytes:
    """Compressed counts of a mask of so many pixels from its set runs, down the columns; runs that touch are joined."""
    joined = start[1:] == end[:-1]
    start = start[np.concatenate([np.ones(min(1, len(start)), bool), ~joined])]
    end = end[np.concatenate([~joined, np.ones(min(1, len(end)), bool)])]
    edges = np.concatenate([np.zeros(1, np.int64), np.stack([start, end], 1).reshape(-1), np.array([pixels], np.int64)])
    counts = np.diff(edges)
    counts = counts if counts[-1] or len(counts) == 1 else counts[:-1]
    return rle.encode_counts(counts, np.array([0, len(counts)]))[0]


def placed(crop: NDArray[np.bool_], left: int, top: int, height: int, width: int) -> bytes:
    """Compressed counts of a frame of `height` rows and `width` columns that is set where `crop`, put at (left, top), is."""
    rows, columns = crop.shape
    edge = np.zeros((columns, rows + 2), np.int8)
    edge[:, 1:-1] = crop.T
    x, y = np.nonzero(np.diff(edge, axis=1))
    place = (x + left) * height + y + top
    return counts_of(place[0::2].astype(np.int64), place[1::2].astype(np.int64), height * width)


def from_rows(counts: Ints, left: int, top: int, rows: int, columns: int, height: int, width: int) -> bytes | str:
    """Compressed counts from run lengths along the rows of a part of the frame, unset pixels first; or what is wrong."""
    if min(rows, columns, height, width) < 1 or rows * columns > MOST_PIXELS or height * width > rle.MAX_PIXELS:
        return f"mask of {rows} x {columns} pixels in a frame of {height} x {width} (height x width)"
    if left < 0 or top < 0 or left + columns > width or top + rows > height:
        return f"mask at ({left}, {top}) of {rows} x {columns} pixels leads out of the frame of {height} x {width}"
    if len(counts) == 0 or (counts < 0).any() or (counts > rows * columns).any() or int(counts.sum()) != rows * columns:
        return f"run lengths of the mask do not sum to {rows} x {columns} pixels"
    bits = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return placed(bits.reshape(rows, columns), left, top, height, width)


def picture(data: bytes, color: tuple[int, int, int] | None) -> NDArray[np.bool_] | str:
    """Pixels [h, w] of a mask picture that are set, which are those of one color, else all but black; or what is wrong."""
    pixels = read_png(io.BytesIO(data), plain=color is None)
    if isinstance(pixels, str):
        return f"mask: {pixels}"
    if pixels.ndim == 2:
        return np.asarray(pixels != 0)
    return np.asarray(pixels.any(2) if color is None else (pixels == np.array(color, np.uint8)).all(2))
