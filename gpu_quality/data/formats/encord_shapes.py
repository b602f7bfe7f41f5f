"""What Encord objects draw; all coordinates are shares of the width and height of the frame."""

import math
from collections.abc import Mapping
from typing import Any

from gpu_quality.annotations.columns import Problem
from gpu_quality.data.formats.coco_shapes import number
from gpu_quality.data.formats.gathering import Shape


def shape_of(record: Mapping[str, Any], size: tuple[int | None, int | None]) -> Shape | Problem:
    """Shape of an object in a frame of `size` (width, height), in pixels."""
    width, height = size
    if width is None or height is None:
        return Problem("bad_annotation", "its coordinates are relative, and the data unit tells no width and height")
    if isinstance(record.get("boundingBox"), dict):
        x, y, w, h = (number(record["boundingBox"].get(key)) for key in "xywh")
        return Shape((x * width, y * height, (x + w) * width, (y + h) * height))
    if isinstance(record.get("rotatableBoundingBox"), dict):
        return _turned(record["rotatableBoundingBox"], width, height)
    if isinstance(record.get("polygons"), list):
        return _polygons(record["polygons"], width, height)
    for key, kind in (("polygon", ""), ("polyline", "polyline"), ("point", "point")):
        if record.get(key) is not None:
            return _points(record[key], width, height, kind)
    found = ", ".join(repr(key) for key in ("bitmask", "skeleton", "cuboid") if key in record)
    return Problem("missing_geometry", f"no shape that is read here{': ' + found if found else ''}")


def _turned(box: Mapping[str, Any], width: int, height: int) -> Shape:
    """A box turned clockwise around its center by theta degrees."""
    x, y, w, h = (number(box.get(key)) for key in "xywh")
    angle = math.radians(number(box.get("theta", 0)))
    c, s = (math.cos(angle), math.sin(angle)) if math.isfinite(angle) else (math.nan, math.nan)
    u, v = w * width / 2, h * height / 2
    middle = (x + w / 2) * width, (y + h / 2) * height
    corners = ((-u, -v), (u, -v), (u, v), (-u, v))
    return Shape(
        rings=[[value for a, b in corners for value in (middle[0] + c * a - s * b, middle[1] + s * a + c * b)]], angle=angle
    )


def _polygons(value: list[Any], width: int, height: int) -> Shape | Problem:
    """Polygons as lists of rings of flat relative numbers; the first ring of each is its outside."""
    rings = [ring for polygon in value if isinstance(polygon, list) for ring in polygon]
    if not rings or not all(isinstance(ring, list) and len(ring) % 2 == 0 for ring in rings):
        return Problem("missing_geometry", f"polygons are lists of rings of numbers, found {repr(value)[:80]}")
    return Shape(rings=[[number(v) * (height if i % 2 else width) for i, v in enumerate(ring)] for ring in rings])


def _points(value: Any, width: int, height: int, kind: str) -> Shape | Problem:
    """Points listed under their places as texts."""
    points = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if not points or not all(isinstance(p, dict) and "x" in p and "y" in p for p in points):
        return Problem("missing_geometry", f"points are x and y by their places, found {repr(value)[:80]}")
    if kind == "polyline" and len(points) == 1:
        return Problem("missing_geometry", "a line of one point")
    ring = [share for p in points for share in (number(p["x"]) * width, number(p["y"]) * height)]
    if kind == "point" and len(points) > 1:
        triples = [v for i in range(0, len(ring), 2) for v in (ring[i], ring[i + 1], 2.0)]
        return Shape(keypoints=triples, kind="keypoints")
    return Shape(rings=[ring], kind=kind)
