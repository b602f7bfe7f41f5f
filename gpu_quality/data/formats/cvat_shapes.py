"""What the elements of a CVAT file draw."""

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from gpu_quality.annotations.columns import Problem
from gpu_quality.data.formats.gathering import Shape
from gpu_quality.data.formats.masking import from_rows
from gpu_quality.data.formats.xml_records import number_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

DRAWN: Final = frozenset({"box", "polygon", "polyline", "points", "mask", "ellipse", "skeleton", "cuboid"})
"""Elements that are objects."""
_AROUND: Final = 64
"""Corners of the polygon that stands for an ellipse: its area is 0.16 % less."""


def shape_of(element: "Element", size: tuple[int | None, int | None], order: list[str]) -> Shape | Problem:
    """Shape of an element in a frame of `size` (width, height); `order` collects the names of a skeleton's points."""
    if element.tag == "box":
        return _box(element)
    if element.tag == "ellipse":
        return _ellipse(element)
    if element.tag == "mask":
        return _mask(element, size)
    if element.tag == "skeleton":
        return _skeleton(element, order)
    if element.tag == "cuboid":
        return Problem("bad_annotation", "a cuboid is no shape in the plane")
    ring = _points(element.get("points"))
    if not ring or element.tag == "polygon" or (element.tag == "polyline" and len(ring) > 3):
        kind = "polyline" if element.tag == "polyline" else ""
        return Shape(rings=[ring], kind=kind) if ring else Problem("missing_geometry", f"its points are {_said(element)}")
    if element.tag == "polyline":
        return Problem("missing_geometry", "a line of one point")
    if len(ring) == 2:
        return Shape(rings=[ring], kind="point")
    return Shape(keypoints=[v for i in range(0, len(ring), 2) for v in (ring[i], ring[i + 1], 2.0)], kind="keypoints")


def _said(element: "Element") -> str:
    return repr(element.get("points"))[:80]


def _points(text: str | None) -> list[float]:
    """Flat numbers of ``x,y;x,y``; empty where that is not what is there."""
    pairs = [pair.split(",") for pair in (text or "").split(";") if pair.strip()]
    return [number_of(number) for pair in pairs for number in pair] if all(len(pair) == 2 for pair in pairs) else []


def _numbers(element: "Element", *names: str) -> list[float] | Problem:
    missing = [name for name in names if element.get(name) is None]
    if missing:
        return Problem("missing_geometry", f"<{element.tag}> has no {missing[0]}")
    return [number_of(element.get(name)) for name in names]


def _box(element: "Element") -> Shape | Problem:
    """A box, turned clockwise around its center by `rotation` degrees where it has some."""
    found = _numbers(element, "xtl", "ytl", "xbr", "ybr")
    if isinstance(found, Problem):
        return found
    x1, y1, x2, y2 = found
    degrees = number_of(element.get("rotation", "0"))
    if degrees == 0:
        return Shape((x1, y1, x2, y2))
    corners = [(x1 - x2, y1 - y2), (x2 - x1, y1 - y2), (x2 - x1, y2 - y1), (x1 - x2, y2 - y1)]
    angle = math.radians(degrees)
    return Shape(rings=[_turned([(x / 2, y / 2) for x, y in corners], (x1 + x2) / 2, (y1 + y2) / 2, angle)], angle=angle)


def _turned(points: list[tuple[float, float]], x: float, y: float, angle: float) -> list[float]:
    """Points around the origin, turned from +x toward +y and moved to (x, y), as flat numbers."""
    if not math.isfinite(angle):
        return [math.nan] * (2 * len(points))
    c, s = math.cos(angle), math.sin(angle)
    return [value for u, v in points for value in (x + c * u - s * v, y + s * u + c * v)]


def _ellipse(element: "Element") -> Shape | Problem:
    found = _numbers(element, "cx", "cy", "rx", "ry")
    if isinstance(found, Problem):
        return found
    cx, cy, rx, ry = found
    steps = [2 * math.pi * i / _AROUND for i in range(_AROUND)]
    angle = math.radians(number_of(element.get("rotation", "0")))
    return Shape(rings=[_turned([(rx * math.cos(t), ry * math.sin(t)) for t in steps], cx, cy, angle)])


def _mask(element: "Element", size: tuple[int | None, int | None]) -> Shape | Problem:
    """Run lengths along the rows of the part (left, top, width, height) of the frame, unset pixels first."""
    found = _numbers(element, "left", "top", "width", "height")
    if isinstance(found, Problem):
        return found
    width, height = size
    if width is None or height is None:
        return Problem("invalid_rle", "a mask can be placed only in a frame whose width and height the file says")
    if not all(math.isfinite(number) and abs(number) < 2**31 for number in found):
        return Problem("invalid_rle", f"place and size of the mask are {found}")
    left, top, columns, rows = (int(number) for number in found)
    try:
        counts = np.array([int(text) for text in (element.get("rle") or "").split(",") if text.strip()], np.int64)
    except (ValueError, OverflowError):
        return Problem("invalid_rle", f"rle holds something that is no count: {repr(element.get('rle'))[:80]}")
    made = from_rows(counts, left, top, rows, columns, height, width)
    return Problem("invalid_rle", made) if isinstance(made, str) else Shape(mask=(height, width, made))


def _skeleton(element: "Element", order: list[str]) -> Shape | Problem:
    """Keypoints in the order in which the class first named them: v is 0 outside the frame, 1 hidden, 2 visible."""
    found: dict[str, list[float]] = {}
    for point in element.findall("points"):
        place = _points(point.get("points"))
        if len(place) != 2:
            return Problem("missing_geometry", f"a point of the skeleton is {_said(point)}")
        seen = 0.0 if point.get("outside") == "1" else 1.0 if point.get("occluded") == "1" else 2.0
        found[point.get("label", "")] = [*place, seen] if seen else [0.0, 0.0, 0.0]
    order += [name for name in found if name not in order]
    if not found:
        return Problem("missing_geometry", "a skeleton without points")
    return Shape(keypoints=[number for name in order for number in found.get(name, [0.0, 0.0, 0.0])], kind="keypoints")
