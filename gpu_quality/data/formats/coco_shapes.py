"""Polygons and masks as COCO files spell them."""

from itertools import chain
from typing import Any, Final

import numpy as np

from gpu_quality.annotations.columns import Ints, Masks, Problem
from gpu_quality.geometry import rle
from gpu_quality.geometry.polygons import Outlines, offsets

_NUMBERS: Final = {int, float}
_REFUSED: Final = (TypeError, ValueError, OverflowError)


def number(value: Any) -> float:
    """A JSON number as float64; NaN for anything else."""
    try:
        return float(value) if type(value) in _NUMBERS else np.nan
    except OverflowError:
        return np.inf


def side(value: Any) -> int | None:
    """A width or height in pixels where a JSON value can be one."""
    pixels = number(value)
    return int(pixels) if 1 <= pixels < 2**31 else None


def outlines_of(values: list[list[Any]], problems: dict[int, Problem]) -> Outlines:
    """Lists of rings of flat x y numbers; what is none is noted in `problems`."""
    rings = list(chain.from_iterable(values))
    try:
        if set(map(type, rings)) - {list}:
            raise TypeError
        count = np.fromiter(map(len, values), np.int64, len(values))
        length = np.fromiter(map(len, rings), np.int64, len(rings))
        flat = np.fromiter(chain.from_iterable(rings), np.float64, int(length.sum()))
    except _REFUSED:
        wrong = {}
        for i, value in enumerate(values):
            if not all(type(ring) is list and set(map(type, ring)) <= _NUMBERS for ring in value):
                text = f"segmentation must be a list of rings of numbers, found {repr(value)[:80]}"
                wrong[i] = Problem("missing_geometry", text)
        problems |= wrong
        good = [[] if i in wrong else value for i, value in enumerate(values)]
        return outlines_of([[[number(v) for v in ring] for ring in value] for value in good], {})
    return Outlines(offsets(count), offsets(length), flat)


def masks_of(values: list[dict[str, Any] | None], problems: dict[int, Problem]) -> Masks:
    """Objects with size and counts, compressed or not; what is none is noted in `problems`."""
    counts: list[bytes | None] = [None] * len(values)
    size = np.zeros((len(values), 2), np.int64)
    plain: list[tuple[int, Ints]] = []
    for i, value in enumerate(values):
        if value is None:
            continue
        try:
            size[i], found = _mask(value)
        except _REFUSED:
            text = f"segmentation must have size [height, width] and counts, found {repr(value)[:80]}"
            problems[i] = Problem("invalid_rle", text)
            continue
        if isinstance(found, bytes):
            counts[i] = found
        else:
            plain.append((i, found))
    if plain:
        texts = rle.encode_counts(np.concatenate([c for _, c in plain]), offsets(np.array([len(c) for _, c in plain])))
        for (i, _), made in zip(plain, texts, strict=True):
            counts[i] = made
    return Masks(size[:, 0], size[:, 1], counts)


def _mask(value: dict[str, Any]) -> tuple[list[int], bytes | Ints]:
    """Size, and the counts as text or as run lengths cut to what a mask can hold, so that wrong ones stay wrong."""
    size, counts = value.get("size"), value.get("counts")
    if type(size) is not list or len(size) != 2 or set(map(type, size)) != {int} or max(map(abs, size)) > rle.MAX_PIXELS:
        raise ValueError
    if isinstance(counts, str):
        return size, counts.encode("utf-8", "surrogatepass")
    if type(counts) is not list or set(map(type, counts)) - {int}:
        raise ValueError
    limit = 2 * rle.MAX_PIXELS
    return size, np.clip(np.fromiter(counts, np.int64, len(counts)), -limit, limit)
