"""Geometry by plain loops over pixels and characters."""

from collections.abc import Sequence

Point = tuple[float, float]


def inside(x: float, y: float, rings: Sequence[Sequence[Point]]) -> bool:
    """Whether a ray from (x, y) to the right crosses the rings an odd number of times."""
    crossings = 0
    for ring in rings:
        for (ax, ay), (bx, by) in zip(ring, [*ring[1:], ring[0]], strict=True):
            if (ay <= y) != (by <= y):
                if ay > by:
                    ax, ay, bx, by = bx, by, ax, ay
                crossings += ax + (y - ay) / (by - ay) * (bx - ax) > x
    return crossings % 2 == 1


def polygon_pixels(rings: Sequence[Sequence[Point]], width: int, height: int) -> list[list[int]]:
    """1 for every pixel whose center is inside."""
    return [[int(inside(i + 0.5, j + 0.5, rings)) for i in range(width)] for j in range(height)]


def box_pixels(box: Sequence[float], width: int, height: int) -> list[list[int]]:
    """1 for every pixel whose center is inside the box, left and top sides included."""
    x1, y1, x2, y2 = box
    return [[int(x1 <= i + 0.5 < x2 and y1 <= j + 0.5 < y2) for i in range(width)] for j in range(height)]


def counts_of(text: bytes) -> list[int]:
    """Run lengths of a legal compressed mask, character by character."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            if len(counts) > 2:
                value += counts[-2]
            counts.append(value)
            value = shift = 0
    return counts


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = w * h if w > 0 and h > 0 else 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union if union > 0 else 0.0
