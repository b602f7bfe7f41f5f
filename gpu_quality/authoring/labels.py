"""Rows of the canonical tables in the shape that class-form metrics expect: dictionaries with relative coordinates."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gpu_quality.authoring.names import short_hash
from gpu_quality.authoring.types import ObjectShape
from gpu_quality.types import KINDS

Size = tuple[int, int]
Row = Mapping[str, Any]
PLACE: Final = "place"
"""Key of a label under which it says which row of which table it is; survives copies of the dictionary."""
_SHAPES: Final = {
    "box": ObjectShape.BOUNDING_BOX,
    "rotated_box": ObjectShape.ROTATABLE_BOUNDING_BOX,
    "polygon": ObjectShape.POLYGON,
    "mask": ObjectShape.BITMASK,
    "polyline": ObjectShape.POLYLINE,
    "point": ObjectShape.KEY_POINT,
    "keypoints": ObjectShape.SKELETON,
}


def object_label(row: Row, number: int, sequence: str, size: Size, class_name: str) -> dict[str, Any]:
    """One row of the objects table, the `number`-th, as a label; `size` is width and height of its frame in pixels."""
    kind = KINDS[row["kind"]]
    track = row["track"]
    own = row["object"] if track is None else f"{sequence}/{row['origin']}/{track}"
    return {
        **_said(row, class_name),
        "objectHash": short_hash(own),
        "shape": str(_SHAPES[kind]),
        **_geometry(kind, row, size),
        PLACE: ("object", row["row"], number),
    }


def answer_label(row: Row, frame: int, number: int, class_name: str) -> dict[str, Any]:
    """One row of the classifications table as a label: `name` is the question, `value` the answer."""
    own = f"{row['frame']}/{row['object']}/{row['origin']}/{row['question']}/{row['class_id']}"
    said = _said(row, class_name)
    answer = {"name": class_name, "value": said["value"], "featureHash": said["featureHash"]}
    return {
        **said,
        "name": row["question"],
        "featureHash": short_hash(row["question"]),
        "classificationHash": short_hash(own),
        "answers": [answer],
        PLACE: ("classification", frame, number),
    }


def _said(row: Row, class_name: str) -> dict[str, Any]:
    """What every label says: its class, and who made it how surely; times are unknown to the tables."""
    annotator = row["annotator"] or ""
    return {
        "name": class_name,
        "value": re.sub(r"\W+", "_", class_name.lower()).strip("_"),
        "featureHash": short_hash(class_name),
        "confidence": 1.0 if row["score"] is None else row["score"],
        "createdAt": None,
        "createdBy": annotator,
        "lastEditedAt": None,
        "lastEditedBy": annotator,
        "manualAnnotation": row["origin"] == 0,
        "reviews": [],
    }


def _geometry(kind: str, row: Row, size: Size) -> dict[str, Any]:
    """The coordinates of a shape under the key that belongs to its kind, as shares of the frame's width and height."""
    width, height = size
    if kind == "box":
        x0, y0, x1, y1 = row["box"]
        return {"boundingBox": {"x": x0 / width, "y": y0 / height, "w": (x1 - x0) / width, "h": (y1 - y0) / height}}
    if kind == "mask":
        rle = row["rle"]
        counts = rle["counts"].decode("ascii", "replace")
        return {"bitmask": {"top": 0, "left": 0, "width": rle["width"], "height": rle["height"], "rleString": counts}}
    if kind == "keypoints":
        values = row["keypoints"] or ()
        points = enumerate(zip(values[::3], values[1::3], values[2::3], strict=True))
        return {"skeleton": {str(i): {"x": x / width, "y": y / height, "visible": v > 1} for i, (x, y, v) in points if v}}
    rings = [_relative(ring, size) for ring in row["polygon"] or ()]
    if kind == "rotated_box":
        return {"rotatableBoundingBox": _turned_box(row["polygon"][0], size)}
    if kind == "polygon":
        largest = max(rings, key=_area, default=[])
        flat = [[value for point in ring for value in point] for ring in rings]
        return {"polygon": _numbered(largest), "polygons": flat}
    return {"polyline" if kind == "polyline" else "point": _numbered(rings[0] if rings else [])}


def _relative(ring: Sequence[float], size: Size) -> list[tuple[float, float]]:
    return [(x / size[0], y / size[1]) for x, y in zip(ring[::2], ring[1::2], strict=True)]


def _numbered(points: Sequence[tuple[float, float]]) -> dict[str, dict[str, float]]:
    return {str(i): {"x": x, "y": y} for i, (x, y) in enumerate(points)}


def _area(points: Sequence[tuple[float, float]]) -> float:
    """Area of a ring, whatever its direction."""
    following = [*points[1:], *points[:1]]
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(points, following, strict=True))) / 2


def _turned_box(corners: Sequence[float], size: Size) -> dict[str, float]:
    """A rotated box as the upright box around its center, and the angle from +x toward +y in degrees that turns it back."""
    x, y = corners[:8:2], corners[1:8:2]
    w, h = math.dist((x[0], y[0]), (x[1], y[1])), math.dist((x[1], y[1]), (x[2], y[2]))
    center = sum(x) / 4, sum(y) / 4
    return {
        "x": (center[0] - w / 2) / size[0],
        "y": (center[1] - h / 2) / size[1],
        "w": w / size[0],
        "h": h / size[1],
        "theta": math.degrees(math.atan2(y[1] - y[0], x[1] - x[0])),
    }
