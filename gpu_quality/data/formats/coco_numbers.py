"""Ids and floats of a COCO file to be written: what is read again is the same to the last bit."""

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_DIGITS: Final = 13


def integers(texts: Sequence[str]) -> list[int] | None:
    """The ids as integers where every one is written as one, else None."""
    return [int(text) for text in texts] if all(map(_INTEGER.fullmatch, texts)) else None


def image_ids(frames: Sequence[str]) -> list[int]:
    """An id for every frame: the number that its file name is, where all are different numbers as in COCO's own files, else its
    place in the order of frames, counted from 1.
    """
    stems = [PurePosixPath(frame).stem for frame in frames]
    if all(stem.isascii() and stem.isdecimal() and len(stem) < 16 for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return list(range(1, len(frames) + 1))


def _shortest(plain: Floats, fits: Callable[[Floats], Bools]) -> tuple[Floats, Bools]:
    """For every number the shortest decimal near it that fits and True; the number itself and False where there is none."""
    rounded = (np.round(plain, digits) for digits in range(_DIGITS))
    out, found = plain.copy(), np.zeros(len(plain), bool)
    for candidate in (*rounded, plain, np.nextafter(plain, np.inf), np.nextafter(plain, -np.inf)):
        hit = ~found & fits(candidate)
        out[hit] = candidate[hit]
        found |= hit
    return out, found


def sides(low: Floats, high: Floats) -> tuple[Floats, Bools]:
    """For every pair the shortest decimal with ``low + side == high`` in float64, and whether there is one."""
    return _shortest(high - low, lambda side: low + side == high)


def boxes(box: Floats, area: Floats | None = None) -> tuple[Floats, Bools, Bools]:
    """x, y, width, height of xyxy boxes; whether corners come back exactly, and whether width times height is `area`."""
    width, wide = sides(box[:, 0], box[:, 2])
    height, high = sides(box[:, 1], box[:, 3])
    if area is not None:
        _fit(box, width, height, area)
    made = np.column_stack([box[:, :2], width, height])
    return made, wide & high, np.ones(len(box), bool) if area is None else width * height == area


def _fit(box: Floats, width: Floats, height: Floats, area: Floats) -> None:
    """Other widths and heights with the same corners where only those give the area."""
    exact_width, exact_height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    for w, h in ((exact_width, height), (width, exact_height), (exact_width, exact_height)):
        hit = (width * height != area) & (w * h == area) & (box[:, 0] + w == box[:, 2]) & (box[:, 1] + h == box[:, 3])
        width[hit], height[hit] = w[hit], h[hit]


def degrees(angle: Floats) -> Floats:
    """Angles in degrees whose radians are the given ones, to the last bit where that can be."""
    return _shortest(np.degrees(angle), lambda turned: np.radians(turned) == angle)[0]
