"""What a picture shows: a frame, or a part of it with lines around objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gpu_quality.types import KINDS

Box = tuple[float, float, float, float]
OWN: Final = (255, 214, 10)
"""Color of the object a picture is about: amber, which few photos hold and color-blind people tell from blue."""
OTHER: Final = (56, 189, 248)
"""Color of its partner, whose lines are dashed as well."""
MARGIN: Final = 0.35
"""Surroundings shown around an object, as a share of its longer side."""
LEAST_MARGIN: Final = 20.0
BEYOND: Final = 0.25
"""Part of a frame's side that is shown outside of it where an object reaches out."""
MOST_POINTS: Final = 400
"""Corners of an outline that are drawn; of finer ones every second, third … corner is."""


class Mark(NamedTuple):
    """A line to draw on a frame: flat x y pixels, color, whether it closes, whether it is dashed."""

    points: tuple[float, ...]
    color: tuple[int, int, int] = OWN
    closed: bool = True
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture to show: a frame, or with marks the part of it around them, unless the whole is asked for."""

    row: int
    marks: tuple[Mark, ...] = ()
    whole: bool = False
    other: bool = False
    """Of the run that this one was compared with."""

    def window(self, width: int, height: int) -> tuple[int, int, int, int]:
        """What is shown of a frame, left top right bottom in its pixels; beyond its edges only where a mark reaches out."""
        points = [value for mark in self.marks for value in mark.points]
        if self.whole or not points:
            return 0, 0, width, height
        (x1, x2), (y1, y2) = ((min(points[i::2]), max(points[i::2])) for i in (0, 1))
        sides = min(max(x1, 0.0), float(width)), min(max(x2, 0.0), float(width))
        ends = min(max(y1, 0.0), float(height)), min(max(y2, 0.0), float(height))
        margin = max(MARGIN * max(sides[1] - sides[0], ends[1] - ends[0]), LEAST_MARGIN)
        (left, right), (top, bottom) = _range(x1, x2, margin, width), _range(y1, y2, margin, height)
        return left, top, right, bottom


def _range(low: float, high: float, margin: float, side: int) -> tuple[int, int]:
    """First and last pixel shown along one axis."""
    far = BEYOND * side
    start = max(low - margin, 0.0) if low >= 0 else max(low - margin / 4, -far)
    stop = min(high + margin, float(side)) if high <= side else min(high + margin / 4, side + far)
    first = min(max(int(start), -int(far)), side - 1)
    return first, max(int(stop) + (stop > int(stop)), first + 1, 1)


def box_mark(box: Sequence[float], color: tuple[int, int, int] = OWN, *, dashed: bool = False) -> Mark:
    """The four sides of a box, x1 y1 x2 y2."""
    x1, y1, x2, y2 = map(float, box)
    return Mark((x1, y1, x2, y1, x2, y2, x1, y2), color, closed=True, dashed=dashed)


def object_marks(found: Mapping[str, Any], color: tuple[int, int, int] = OWN, *, dashed: bool = False) -> tuple[Mark, ...]:
    """The outline of an object, a row of the table of objects, where it has one; the box of masks and keypoints."""
    rings = found.get("polygon")
    if rings is None or not len(rings):
        return (box_mark(found["box"], color, dashed=dashed),)
    closed = KINDS[int(found["kind"])] not in ("polyline", "point")
    return tuple(Mark(_thinned(ring), color, closed=closed, dashed=dashed) for ring in rings if len(ring))


def _thinned(ring: Sequence[float]) -> tuple[float, ...]:
    step = -(-len(ring) // (2 * MOST_POINTS))
    return tuple(float(value) for i in range(0, len(ring), 2 * step) for value in ring[i : i + 2])
