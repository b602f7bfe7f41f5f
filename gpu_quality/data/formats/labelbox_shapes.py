"""What Labelbox annotations draw; exports and imports name the same things a little differently."""

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gpu_quality.annotations.columns import Problem
from gpu_quality.data.formats.coco_shapes import number
from gpu_quality.data.formats.folder import path_of
from gpu_quality.data.formats.gathering import Shape
from gpu_quality.data.formats.masking import picture, placed
from gpu_quality.errors import FrameError

DRAWN: Final = ("bounding_box", "bbox", "polygon", "line", "point", "mask", "composite_mask")
"""Keys of an annotation that say it is an object."""
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LARGEST: Final = 1 << 26
_NAMES: Final = ("instanceURI", "url", "imBytesUri", "path")


def shape_of(record: Mapping[str, Any], size: tuple[int | None, int | None], folder: Path) -> Shape | Problem:
    """Shape of an annotation in a frame of `size` (width, height); `folder` is where pictures of masks may lie."""
    key = next((key for key in DRAWN if record.get(key) is not None), None)
    if key is None:
        return Problem("missing_geometry", f"none of {', '.join(DRAWN)} is there")
    value = record[key]
    if key in ("bounding_box", "bbox"):
        return _box(value)
    if key == "point":
        xy = _points([value])
        return xy if isinstance(xy, Problem) else Shape(rings=[xy], kind="point")
    if key in ("polygon", "line"):
        points = _points(value)
        if isinstance(points, Problem) or key == "polygon":
            return points if isinstance(points, Problem) else Shape(rings=[points])
        kind = "polyline" if len(points) > 2 else "point"
        return Shape(rings=[points], kind=kind)
    return _mask(value, size, folder)


def _box(value: Any) -> Shape | Problem:
    keys = ("left", "top", "width", "height")
    if not isinstance(value, dict) or any(key not in value for key in keys):
        return Problem("missing_geometry", f"a box has top, left, height and width, found {repr(value)[:80]}")
    x, y, w, h = (number(value[key]) for key in keys)
    return Shape((x, y, x + w, y + h))


def _points(value: Any) -> list[float] | Problem:
    """Flat numbers of a list of x and y."""
    points = value if isinstance(value, list) else []
    if not points or not all(isinstance(p, dict) and "x" in p and "y" in p for p in points):
        return Problem("missing_geometry", f"points are a list of x and y, found {repr(value)[:80]}")
    return [number(point[axis]) for point in points for axis in ("x", "y")]


def _mask(value: Any, size: tuple[int | None, int | None], folder: Path) -> Shape | Problem:
    """A mask picture given as base64 or as a path beside the file; what lies on the web is never fetched."""
    if not isinstance(value, dict):
        return Problem("missing_geometry", f"a mask is an object with png or instanceURI, found {repr(value)[:80]}")
    data = _bytes(value, folder)
    if isinstance(data, Problem):
        return data
    color = value.get("colorRGB", value.get("color_rgb"))
    if color is not None and not (isinstance(color, list) and len(color) == 3 and all(c in range(256) for c in color)):
        return Problem("bad_annotation", f"a color is three numbers from 0 to 255, found {repr(color)[:80]}")
    bits = picture(data, None if color is None else (int(color[0]), int(color[1]), int(color[2])))
    if isinstance(bits, str):
        return Problem("bad_annotation", bits)
    height, width = bits.shape
    if None not in size and size != (width, height):
        return Problem(
            "invalid_rle", f"the mask is {width} x {height} pixels, its image {size[0]} x {size[1]} (width x height)"
        )
    if not bits.any():
        return Problem(
            "missing_geometry", "no pixel of the mask is set" if color is None else f"no pixel has the color {color}"
        )
    return Shape(mask=(height, width, placed(bits, 0, 0, height, width)))


def _bytes(value: Mapping[str, Any], folder: Path) -> bytes | Problem:
    if isinstance(value.get("png"), str):
        text = value["png"].removeprefix("data:image/png;base64,")
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            return Problem("bad_annotation", f"png of the mask is no base64: {error}")
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    if name is None:
        return Problem("missing_geometry", f"a mask has png or instanceURI, found {', '.join(map(repr, value))[:80]}")
    if name.startswith("data:image/png;base64,"):
        return _bytes({"png": name}, folder)
    if _URL.match(name):
        text = f"the mask is a URL, which is never fetched: {name[:80]}; download it and name the file"
        return Problem("missing_file", text)
    try:
        path = path_of(folder, name)
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return Problem("missing_file", f"mask {name[:80]} is no file beside the annotations, or too large")
        return path.read_bytes()
    except (FrameError, OSError) as error:
        return Problem("missing_file", f"mask {name[:80]} cannot be read: {error}")
