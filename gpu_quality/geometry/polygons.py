"""Outlines of one or more rings under the even-odd rule: areas, and the pixels whose centers they hold."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FARTHEST: Final = 1e9
"""Coordinates beyond this are no pixels; squares of those within keep their digits."""
_PAIRS: Final = 1 << 21
"""Crossings of edges and rows, or faces asked about edges, computed at a time: about 150 MB."""


@dataclass(frozen=True, slots=True)
class Outlines:
    """Rings of many objects as CSR: object `i` owns rings ``rings[i]:rings[i + 1]``, ring `r` the flat x y numbers
    ``values[numbers[r]:numbers[r + 1]]``. The last point of a ring is joined to the first.
    """

    rings: Ints
    numbers: Ints
    values: Floats

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.rings) - 1

    def take(self, keep: Ints) -> "Outlines":
        """The outlines of some of the objects, in the order asked for."""
        count = np.diff(self.rings)[keep]
        ring = ranges(self.rings[:-1][keep], count)
        length = np.diff(self.numbers)[ring]
        return Outlines(offsets(count), offsets(length), self.values[ranges(self.numbers[:-1][ring], length)])


def reordered(pieces: list[Outlines | int], order: Ints) -> Outlines:
    """Object ``order[i]`` of the pieces laid end to end, for every `i`; a number stands for so many objects without rings.

    `pieces` is emptied on the way, so that the numbers of a large data set are never held three times.
    """
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    rings, start = np.zeros(len(order), np.int64), 0
    starts = []
    for piece in pieces:
        starts.append(start)
        if isinstance(piece, Outlines):
            rings[place[start : start + len(piece)]] = np.diff(piece.rings)
        start += len(piece) if isinstance(piece, Outlines) else piece
    first_ring = offsets(rings)
    length = np.zeros(first_ring[-1], np.int64)
    where = {}
    for start, piece in zip(starts, pieces, strict=True):
        if isinstance(piece, Outlines):
            where[start] = ranges(first_ring[place[start : start + len(piece)]], np.diff(piece.rings))
            length[where[start]] = np.diff(piece.numbers)
    numbers = offsets(length)
    values = np.empty(numbers[-1])
    while pieces:
        piece = pieces.pop()
        ring = where.pop(starts.pop(), None)
        if isinstance(piece, Outlines) and ring is not None:
            values[ranges(numbers[ring], length[ring])] = piece.values
    return Outlines(first_ring, numbers, values)


def offsets(lengths: Ints) -> Ints:
    """Where each of these lengths starts when they lie side by side, and the end of all."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def ranges(start: Ints, length: Ints) -> Ints:
    """The numbers of all ranges start .. start + length, side by side."""
    first = offsets(length)
    return np.arange(first[-1]) + np.repeat(start - first[:-1], length)


def check(outlines: Outlines, least: int = 6) -> list[str]:
    """Per object what is wrong with its rings, "" where nothing is: each needs at least `least` numbers, all finite."""
    length = np.diff(outlines.numbers)
    owner = np.repeat(np.arange(len(outlines)), np.diff(outlines.rings))
    infinite = np.zeros(len(length), bool)
    infinite[np.repeat(np.arange(len(length)), length)[~(np.abs(outlines.values) <= FARTHEST)]] = True
    problems = [""] * len(outlines)
    for r in np.flatnonzero((length < least) | (length % 2 == 1) | infinite)[::-1]:
        if infinite[r]:
            text = f"a ring of the polygon holds a number that is not finite or beyond {FARTHEST:g}"
        else:
            text = f"a ring of the polygon has {length[r]} numbers; it takes an even count of at least {least}"
        problems[owner[r]] = text
    return problems


def bounds(outlines: Outlines) -> Floats:
    """Smallest box x1 y1 x2 y2 around all points of each object; zeros for an object without points."""
    out = np.zeros((len(outlines), 4))
    point = offsets(np.diff(outlines.numbers) // 2)[outlines.rings]
    has = np.flatnonzero(np.diff(point) > 0)
    if len(has):
        points = outlines.values.reshape(-1, 2)
        out[has, :2] = np.minimum.reduceat(points, point[has])
        out[has, 2:] = np.maximum.reduceat(points, point[has])
    return out


def edges(outlines: Outlines) -> tuple[Ints, Ints, Floats, Floats]:
    """Every edge in the order of the points: its object, its ring, start and end point."""
    size = np.diff(outlines.numbers) // 2
    points = outlines.values.reshape(-1, 2)
    ring = np.repeat(np.arange(len(size)), size)
    owner = np.repeat(np.arange(len(outlines)), np.diff(outlines.rings))[ring]
    after = np.arange(len(points)) + 1
    wrap = offsets(size)[1:][size > 0] - 1
    after[wrap] = offsets(size)[:-1][size > 0]
    return owner, ring, points, points[after]


def _ring_areas(outlines: Outlines) -> Floats:
    """Signed shoelace area of every ring, from its own first point so that far-away rings keep their digits."""
    _, ring, a, b = edges(outlines)
    size = np.diff(outlines.numbers) // 2
    origin = a[np.minimum(offsets(size)[:-1], max(len(a) - 1, 0))][ring] if len(a) else a
    a, b = a - origin, b - origin
    return np.bincount(ring, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2, len(size)).astype(np.float64)


def _faces(outlines: Outlines) -> Any:
    """One shapely polygon per ring, perhaps invalid."""
    import shapely

    size = np.diff(outlines.numbers) // 2
    ring = np.repeat(np.arange(len(size)), size)
    return shapely.polygons(shapely.linearrings(outlines.values.reshape(-1, 2), indices=ring))


def _odd_faces(outline: Outlines) -> Any:
    """The even-odd inside of an object whose rings cross: those faces between their lines with an odd number of edges on the
    right of a point of their own.
    """
    import shapely

    lines = shapely.union_all(shapely.get_exterior_ring(_faces(outline)))
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    _, _, a, b = edges(outline)
    with np.errstate(over="ignore", invalid="ignore"):  # of edges that are hardly longer than 0; they lie right of nothing
        point = shapely.get_coordinates(shapely.point_on_surface(faces))
        step = max(1, _PAIRS // max(1, len(a)))
        odd = [_odd(point[i : i + step], a, b) for i in range(0, len(point), step)]
    return shapely.coverage_union_all(faces[np.concatenate([np.zeros(0, bool), *odd])])


def _odd(point: Floats, a: Floats, b: Floats) -> NDArray[np.bool_]:
    """Which points have an odd number of the edges a b to their right."""
    x, y = point[:, :1], point[:, 1:]
    meets = (a[:, 1] <= y) != (b[:, 1] <= y)  # [points, edges]
    rise = np.where(b[:, 1] == a[:, 1], 1, b[:, 1] - a[:, 1])
    right = a[:, 0] + (y - a[:, 1]) / rise * (b[:, 0] - a[:, 0]) > x
    return np.asarray((meets & right).sum(1) % 2 == 1)


def shapes(outlines: Outlines) -> Any:
    """One valid shapely geometry per object that covers exactly its even-odd inside; empty for an object without rings."""
    import shapely

    faces = _faces(outlines)
    simple = shapely.is_valid(faces)
    first, count = outlines.rings[:-1], np.diff(outlines.rings)
    out = np.full(len(outlines), shapely.Polygon(), dtype=object)
    single = np.flatnonzero(count == 1)
    plain = single[simple[first[single]]]
    out[plain] = faces[first[plain]]
    hard = count > 0
    hard[plain] = False
    for i in np.flatnonzero(hard):
        out[i] = _odd_faces(outlines.take(np.array([i])))
    return out


def areas(outlines: Outlines, simple: NDArray[np.bool_] | None = None) -> Floats:
    """Even-odd area of each object in square pixels, self-crossing rings and holes included; `simple` objects are known to
    have one ring that does not touch itself.
    """
    import shapely

    ring_area = np.abs(_ring_areas(outlines))
    count = np.diff(outlines.rings)
    out = np.zeros(len(outlines))
    out[count == 1] = ring_area[outlines.rings[:-1][count == 1]]
    unsure = np.flatnonzero((count > 0) & (True if simple is None else ~simple))
    some = outlines.take(unsure)
    crossed = np.zeros(len(unsure), bool)
    if len(some.numbers) > 1:
        crossed[np.repeat(np.arange(len(unsure)), np.diff(some.rings))[~shapely.is_valid(_faces(some))]] = True
    hard = unsure[crossed | (count[unsure] > 1)]
    if len(hard):
        out[hard] = shapely.area(shapes(outlines.take(hard)))
    return out


def _pieces(rows: Ints) -> list[slice]:
    """Slices of edges whose row counts add up to about `_PAIRS`."""
    total = offsets(rows)
    cuts = [0]
    while cuts[-1] < len(rows):
        cuts.append(max(cuts[-1] + 1, int(np.searchsorted(total, total[cuts[-1]] + _PAIRS, "right")) - 1))
    return [slice(a, b) for a, b in pairwise(cuts)]


def _crossings(outlines: Outlines, height: Ints) -> tuple[Ints, Ints, Floats]:
    """Where outlines cross the center lines of pixel rows inside the frame: object, row, x.

    An edge covers centers from its upper end (included) to its lower end (not included); it is always followed downwards, so
    that two shapes sharing an edge get the same x.
    """
    owner, _, a, b = edges(outlines)
    up = a[:, 1] > b[:, 1]
    a, b = np.where(up[:, None], b, a), np.where(up[:, None], a, b)
    limit = height[owner].astype(np.float64)
    first = np.clip(np.ceil(a[:, 1] - 0.5), 0, limit).astype(np.int64)
    last = np.clip(np.ceil(b[:, 1] - 0.5), 0, limit).astype(np.int64)
    found = []
    rows = last - first
    for piece in _pieces(rows):
        edge = np.repeat(np.arange(piece.start, piece.stop), rows[piece])
        y = ranges(first[piece], rows[piece])
        share = (y + 0.5 - a[edge, 1]) / (b[edge, 1] - a[edge, 1])
        found.append((owner[edge], y, a[edge, 0] + share * (b[edge, 0] - a[edge, 0])))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    who, y, x = (np.concatenate(column) for column in zip(*found, strict=True))
    return who, y, x


def spans(outlines: Outlines, height: Ints, width: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Pixel runs of each object inside its frame: object, y, x0, x1, sorted by object, row and column.

    A pixel belongs to an object when its center lies inside under the even-odd rule; centers on a left or top edge are inside.
    """
    who, y, x = _crossings(outlines, height)
    order = np.lexsort((x, y, who))
    who, y, x = who[order], y[order], x[order]
    pixel = np.clip(np.ceil(x - 0.5), 0, width[who].astype(np.float64)).astype(np.int64)
    x0, x1, who, y = pixel[0::2], pixel[1::2], who[0::2], y[0::2]
    keep = x1 > x0
    return who[keep], y[keep], x0[keep], x1[keep]
