"""Data rows of Labelbox as frames, and objects between the keyframes of a video."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from gpu_quality.annotations.columns import Problem
from gpu_quality.data.formats.coco_shapes import number, side

_NAMES: Final = ("external_id", "externalId", "global_key", "globalKey", "id")
MOST_FRAMES: Final = 1_000_000
"""Frames that one segment may span."""


def names_of(record: Any) -> list[str]:
    """What a data row is called: its external id, its global key, its id, as far as they are told."""
    found = (record.get(key) for key in _NAMES) if isinstance(record, dict) else ()
    return [name for name in found if isinstance(name, str) and name]


def media_size(record: Any) -> tuple[int | None, int | None]:
    """Width and height that an export tells."""
    found = [record.get("width"), record.get("height")] if isinstance(record, dict) else [None, None]
    return side(found[0]), side(found[1])


def between(keyframes: Sequence[Mapping[str, Any]]) -> list[tuple[int, dict[str, Any]]] | Problem:
    """Position and drawing of every frame of a segment; boxes between two keyframes lie on straight lines, other shapes stand
    at their keyframes alone.
    """
    places = [key.get("frame") for key in keyframes]
    numbers = [place for place in places if type(place) is int and 1 <= place < 2**53]
    if not numbers or len(numbers) < len(places):
        return Problem("bad_annotation", f"keyframes have frame numbers from 1, found {repr(places)[:80]}")
    if numbers != sorted(set(numbers)) or numbers[-1] - numbers[0] >= MOST_FRAMES:
        return Problem(
            "bad_annotation", f"frame numbers of keyframes go up, at most {MOST_FRAMES:,} frames: {repr(places)[:80]}"
        )
    made: list[tuple[int, dict[str, Any]]] = []
    for (first, a), (last, b) in pairwise(zip(numbers, keyframes, strict=True)):
        made.append((first, _drawing(a)))
        made += _boxes(first, last, a.get("bbox"), b.get("bbox"))
    return [*made, (numbers[-1], _drawing(keyframes[-1]))]


def _drawing(keyframe: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in keyframe.items() if key not in ("frame", "classifications")}


def _boxes(first: int, last: int, a: Any, b: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    if not isinstance(a, dict) or not isinstance(b, dict):
        return
    for position in range(first + 1, last):
        share = (position - first) / (last - first)
        sides = {
            key: number(a.get(key)) * (1 - share) + number(b.get(key)) * share for key in ("left", "top", "width", "height")
        }
        yield position, {"bbox": sides}
