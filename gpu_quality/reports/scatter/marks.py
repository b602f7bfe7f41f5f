"""What stands for points: dots of several shapes, squares for many points at once, and the legend that explains them."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_quality.reports.html import Markup, tag
from gpu_quality.text import clean, counted

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
LEVELS: Final = 5
"""Steps of the number of points in a bin."""
GLYPHS: Final = (
    ("round", "h0"),
    ("tri", "m0-4.4l4.2 7.4h-8.4z"),
    ("square", "m-3.2-3.2h6.4v6.4h-6.4z"),
    ("plus", "m-4 0h8m-4-4v8"),
    ("dia", "m0-4.8l4.2 4.8-4.2 4.8-4.2-4.8z"),
    ("cross", "m-3.2-3.2l6.4 6.4m0-6.4l-6.4 6.4"),
)
"""Shape of each group: a class of the style, and a path from its middle."""
RING: Final = "m-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0z"
_LETTER, _LINE = 7.2, 20


class Entry(NamedTuple):
    """One line of the legend: class and path of its sign, and what it stands for."""

    kind: str
    path: str
    label: str


class Bins(NamedTuple):
    """Points counted in squares of the drawing."""

    counts: NDArray[np.int64]
    """[columns, rows], rows from the bottom."""
    level: NDArray[np.int64]
    """0 for no point, else 1 .. 5."""
    edges: tuple[int, ...]
    """Least count of each level."""


def dots(x: Floats, y: Floats, group: Ints, groups: int) -> list[Markup]:
    """Points in pixels as one path per group, each group of a shape and color of its own."""
    found = []
    for number in range(groups):
        rows = np.flatnonzero(group == number)
        kind, path = GLYPHS[number % len(GLYPHS)]
        places = zip(x[rows].tolist(), y[rows].tolist(), strict=True)
        d = "".join(f"M{a:.1f} {b:.1f}{path}" for a, b in places)
        if d:
            found.append(tag(f"path.dots.{kind}.c{number % len(GLYPHS)}", attributes={"d": Markup(d)}))
    return found


def rings(x: Floats, y: Floats) -> Markup:
    """Points in pixels as rings, over the squares."""
    places = zip(x.tolist(), y.tolist(), strict=True)
    return tag("path.dots.far", attributes={"d": Markup("".join(f"M{a:.1f} {b:.1f}{RING}" for a, b in places))})


def binned(x: Floats, y: Floats, columns: int, rows: int) -> Bins:
    """Count points at places 0..1 in squares; levels grow by equal factors of the count."""
    across = np.clip((x * columns).astype(np.int64), 0, columns - 1)
    up = np.clip((y * rows).astype(np.int64), 0, rows - 1)
    count = np.bincount(across * rows + up, minlength=columns * rows).reshape(columns, rows)
    most = max(int(count.max()), 1)
    edges = tuple(sorted({max(1, round(most ** (step / LEVELS))) for step in range(LEVELS)}))
    return Bins(count, np.searchsorted(np.array(edges), count, side="right"), edges)


def squares(bins: Bins, left: float, top: float, width: float, height: float) -> list[Markup]:
    """The bins as squares, a path per level: the more points, the larger and darker."""
    columns, rows = bins.counts.shape
    wide, high = width / columns, height / rows
    found = []
    for level in range(1, len(bins.edges) + 1):
        part = _share(level, len(bins.edges))
        w, h = wide * part, high * part
        at = np.argwhere(bins.level == level)
        xs, ys = left + (at[:, 0] + 0.5) * wide - w / 2, top + height - (at[:, 1] + 0.5) * high - h / 2
        d = "".join(f"M{x:.1f} {y:.1f}h{w:.1f}v{h:.1f}h{-w:.1f}z" for x, y in zip(xs.tolist(), ys.tolist(), strict=True))
        found.append(tag("path.bin", attributes={"d": Markup(d), "opacity": f"{_opacity(level, len(bins.edges)):.2f}"}))
    return found


def _share(level: int, levels: int) -> float:
    """Side of a square as a share of its bin."""
    return 0.4 + 0.6 * level / levels


def _opacity(level: int, levels: int) -> float:
    return 0.25 + 0.75 * level / levels


def group_entries(names: Sequence[str], group: Ints) -> list[Entry]:
    """The legend of dots: the shape, the name and the size of each group that has points."""
    if tuple(names) == ("",):
        return []
    sizes = np.bincount(group, minlength=len(names)).tolist()
    found = []
    for number, (name, size) in enumerate(zip(names, sizes, strict=True)):
        kind, path = GLYPHS[number % len(GLYPHS)]
        if size:
            found.append(Entry(f"path.dots.{kind}.c{number % len(GLYPHS)}", path, f"{clean(name, 40)} ({size:,})"))
    return found


def bin_entries(bins: Bins, far: int) -> list[Entry]:
    """The legend of squares: how many points each size stands for, and the rings."""
    found = []
    ends = [edge - 1 for edge in bins.edges[1:]] + [int(bins.counts.max())]
    for level, (first, last) in enumerate(zip(bins.edges, ends, strict=True), 1):
        half = 6 * _share(level, len(bins.edges))
        path = f"m-{half:.1f}-{half:.1f}h{2 * half:.1f}v{2 * half:.1f}h-{2 * half:.1f}z"
        many = counted(last, "point") if level == len(bins.edges) and first >= last else f"{last:,}"
        label = many if first >= last else f"{first:,} to {last:,}" + (" points" if level == len(bins.edges) else "")
        found.append(Entry(f"path.bin@{_opacity(level, len(bins.edges)):.2f}", path, label))
    if far:
        found.append(Entry("path.dots.far", RING, "outlier"))
    return found


def legend(entries: Sequence[Entry], left: float, width: float) -> tuple[int, list[Markup]]:
    """The entries side by side in as many lines as they need; the height that they take."""
    x, y, found = left, 16.0, []
    for entry in entries:
        need = 22 + len(entry.label) * _LETTER
        if x > left and x + need > width:
            x, y = left, y + _LINE
        kind, _, opacity = entry.kind.partition("@")
        given = {"d": f"M{x + 8:.1f} {y - 4:.1f}{entry.path}"} | ({"opacity": opacity} if opacity else {})
        found += [tag(kind, attributes=given), tag("text", entry.label, attributes={"x": f"{x + 19:.1f}", "y": f"{y:.1f}"})]
        x += need + 8
    return (int(y) + 12 if entries else 10), found
