"""Two measures against each other in one file: dots of several shapes, or squares where there are too many, and the data."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_quality.errors import UsageError
from gpu_quality.reports.html import Markup, document, joined, name_tag, table, tag
from gpu_quality.reports.scatter import marks
from gpu_quality.reports.scatter.axes import Scale, scale_of, shown, told
from gpu_quality.store.commit import commit_bytes
from gpu_quality.text import clean, counted, number

if TYPE_CHECKING:
    from gpu_quality.api.scatter import Axis, Scatter

MOST_DOTS: Final = 5_000
"""More points are drawn as squares."""
FAR: Final = 200
"""Outliers drawn over squares, the farthest first."""
OPEN: Final = 60
"""Rows up to which a table is open from the start."""
Floats = NDArray[np.float64]


class Layout(NamedTuple):
    """A size of the drawing in units of its view box, and the bins across and up."""

    name: str
    width: int
    height: int
    left: int
    columns: int
    rows: int


class Place(NamedTuple):
    """Where on the drawing the points are."""

    left: float
    top: float
    width: float
    height: float


WIDE: Final = Layout("wide", 760, 520, 66, 56, 36)
NARROW: Final = Layout("narrow", 360, 420, 54, 30, 30)
_RIGHT, _BOTTOM = 16, 50
_DIGIT: Final = 7.6
"""Width of a digit of a tick."""
STYLE: Final = """
.plot{width:100%;height:auto;display:block;font:13px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Arial,sans-serif;
--c0:#2f55cc;--c1:#b3451b;--c2:#1d7a4f;--c3:#8a2f8f;--c4:#7a5c00;--c5:#5b636d;--i:#1b1f24;--s:#5b636d;--l:#dfe1dc}
@media (prefers-color-scheme:dark){.plot{--c0:#8fa8ff;--c1:#ffab85;--c2:#74d3a4;--c3:#e39be6;--c4:#e2c25e;--c5:#a0a8b2;
--i:#e7e9ec;--s:#a0a8b2;--l:#343a41}}
@media print{.plot{--c0:#2f55cc;--c1:#b3451b;--c2:#1d7a4f;--c3:#8a2f8f;--c4:#7a5c00;--c5:#5b636d;--i:#000;--s:#444;--l:#ccc}}
.plot text{fill:var(--s)}.plot .name{fill:var(--i);font-weight:600}.plot .grid{stroke:var(--l);fill:none}
.plot .dots{fill:none;stroke-width:1.5;opacity:.75}.plot .round{stroke-width:6;stroke-linecap:round}
.plot .c0{stroke:var(--c0)}.plot .c1{stroke:var(--c1)}.plot .c2{stroke:var(--c2)}.plot .c3{stroke:var(--c3)}
.plot .c4{stroke:var(--c4)}.plot .c5{stroke:var(--c5)}.plot .bin{fill:var(--c0);stroke:none}
.plot .far{stroke:var(--c1);opacity:1}
"""
_PAGE: Final = """h1{font-size:clamp(1.25rem,4.5vw,2rem)}thead th{white-space:nowrap}.narrow{display:none}
figure .plot{background:var(--card);border:1px solid var(--line);border-radius:12px}
figure figcaption{font-size:.9rem;margin:.6rem 0 1.6rem;max-width:46rem}details{max-width:none}
@media screen and (max-width:46rem){.wide{display:none}.narrow{display:block}}
"""


def write_scatter(data: "Scatter", path: str | Path) -> Path:
    """Write a scatter as one self-contained file: an HTML page with the data beneath, or an SVG, told by the ending.

    Raises
    ------
    UsageError
        For another ending, and for a folder.
    """
    target = check_target(path)
    alone = f'<?xml version="1.0" encoding="UTF-8"?>\n{svg(data, WIDE, alone=True)}\n'
    text = page(data) if target.suffix.lower() == ".html" else alone
    commit_bytes(target, text.encode("utf-8", "surrogateescape"))
    return target


def check_target(path: str | Path) -> Path:
    """The file to write. Raises `UsageError` for another ending than .html and .svg, and for a folder."""
    target = Path(path)
    if target.suffix.lower() not in (".html", ".svg") or target.is_dir():
        raise UsageError(f"{clean(target)}: a scatter is a file that ends in .html or .svg")
    return target


def page(data: "Scatter") -> str:
    """The drawing for wide and for narrow screens, its caption, and the data as tables."""
    title = f"{data.y.name} against {data.x.name}"
    drawn = joined((svg(data, WIDE), svg(data, NARROW))) if data.facts["n"] else tag("p.warning", "There is nothing to draw.")
    notes = joined(tag("p.muted", note) for note in data.notes)
    figure = tag("figure", tag("style", Markup(STYLE + _PAGE)), drawn, tag("figcaption", caption(data)))
    body = joined((tag("h1", title), notes, figure, _groups(data), _bins(data), _points(data)))
    style = "max-width:62rem;margin:0 auto;padding:1.6rem 1.2rem 3rem"
    return document(title, tag("main", body, attributes={"style": style}))


def caption(data: "Scatter") -> str:
    """How many points, how far the two go together, and what is not shown, in sentences."""
    facts = data.facts
    left = f"; {facts['missing']:,} without a value of both are left out" if facts["missing"] else ""
    parts = [f"{counted(facts['n'], data.rows[:-1])}{left}."]
    if facts["params"]["where"]:
        parts.append(f"Only where {clean(facts['params']['where'], 200)}.")
    rho, low, high = (facts[name] for name in ("spearman", "spearman_low", "spearman_high"))
    if rho is None:
        parts.append("Spearman's correlation is not defined: fewer than three points, or one value throughout.")
    else:
        between = f" (95 % interval {low:.2f} to {high:.2f})" if low is not None else ""
        parts.append(f"Spearman's correlation {round(rho, 2) + 0.0:.2f}{between}.")  # 0.0: no minus zero
    far = int((data.distance > 0).sum())
    if far:
        how = " on the scales shown" if data.x.log or data.y.log else ""
        parts.append(f"{counted(far, 'outlier')} in one of the two by the interquartile rule{how}.")
    if facts["n"] > MOST_DOTS:
        parts.append(f"Squares are larger the more points they stand for; rings: the {min(far, FAR):,} farthest out.")
    if facts["n"] > MOST_DOTS and data.color is not None:
        parts.append("So many points do not show their groups; the table beneath does.")
    return " ".join(parts)


def svg(data: "Scatter", layout: Layout, *, alone: bool = False) -> Markup:
    """The drawing as an SVG element; `alone` for a file of its own."""
    scales = scales_of(data)
    across, up = scales[0].unit(data.x.numbers), scales[1].unit(data.y.numbers)
    far = np.argsort(-data.distance, kind="stable")[: min(FAR, int((data.distance > 0).sum()))]
    bins = marks.binned(across, up, layout.columns, layout.rows) if data.facts["n"] > MOST_DOTS else None
    entries = marks.group_entries(data.groups, data.group) if bins is None else marks.bin_entries(bins, len(far))
    taken, key = marks.legend(entries, layout.left - 4, layout.width - 6)
    room = Place(layout.left, taken + 18, layout.width - layout.left - _RIGHT, layout.height - taken - 18 - _BOTTOM)
    x, y = room.left + across * room.width, room.top + (1 - up) * room.height
    if bins is None:
        points = marks.dots(x, y, data.group, len(data.groups))
    else:
        points = [*marks.squares(bins, *room), marks.rings(x[far], y[far])]
    parts = joined((*key, *_axes(data, scales, room, layout), *points))
    said = f"{data.y.name} against {data.x.name}. {caption(data)}"
    given = {"viewBox": f"0 0 {layout.width} {layout.height}", "role": "img", "aria-label": said}
    if not alone:
        return tag(f"svg.plot.{layout.name}", parts, attributes=given)
    size = {"xmlns": "http://www.w3.org/2000/svg", "width": layout.width, "height": layout.height}
    return tag("svg.plot", tag("style", Markup(STYLE)), parts, attributes=size | given)


def scales_of(data: "Scatter") -> tuple[Scale, Scale]:
    """The two axes."""
    x, y = (scale_of(axis.numbers, log=axis.log, near=axis.near) for axis in (data.x, data.y))
    return x, y


def _axes(data: "Scatter", scales: tuple[Scale, Scale], room: Place, layout: Layout) -> list[Markup]:
    """Grid lines with their values, and what the axes are."""
    across, up = (scale.ticks(max(4, int(size / each))) for scale, size, each in
                  zip(scales, (room.width, room.height), (80, 60), strict=True))  # fmt: skip
    bottom = room.top + room.height
    found = []
    for text, place in zip(told(across), scales[0].unit(np.array(across)), strict=True):
        x = f"{room.left + float(place) * room.width:.1f}"
        middle = f"{min(float(x), layout.width - 4 - len(text) * _DIGIT / 2):.1f}"
        found += [tag("line.grid", attributes={"x1": x, "x2": x, "y1": f"{room.top:.1f}", "y2": f"{bottom:.1f}"}),
                  _text(text, middle, bottom + 17, "middle")]  # fmt: skip
    for text, place in zip(told(up), scales[1].unit(np.array(up)), strict=True):
        y = bottom - float(place) * room.height
        line = {"x1": f"{room.left:.1f}", "x2": f"{room.left + room.width:.1f}", "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
        found += [tag("line.grid", attributes=line), _text(text, room.left - 7, y + 4.5, "end")]
    long = int(layout.width / 8.4)
    found.append(_text(axis_title(data.y, long), 6, room.top - 9, "start", ".name"))
    found.append(_text(axis_title(data.x, long), room.left + room.width, layout.height - 10, "end", ".name"))
    return found


def axis_title(axis: "Axis", long: int) -> str:
    """Name and unit of an axis in at most `long` characters."""
    scale = f"log scale beyond {shown(axis.near)}" if axis.near else "log scale" if axis.log else ""
    facts = ", ".join(part for part in (axis.unit, scale) if part)
    return clean(f"{axis.name} ({facts})" if facts else axis.name, long)


def _text(text: str, x: object, y: float, anchor: str, kind: str = "") -> Markup:
    return tag(f"text{kind}", text, attributes={"x": x, "y": f"{y:.1f}", "text-anchor": anchor})


def _folded(title: str, rows: int, inner: Markup) -> Markup:
    """A table under its title, closed where it is long."""
    given = {"open": "open"} if rows <= OPEN else None
    return tag("details", tag("summary", tag("strong", title), f" ({rows:,})"), inner, attributes=given)


def _groups(data: "Scatter") -> Markup | str:
    """Size and medians of each group."""
    groups = data.facts["groups"]
    if not groups:
        return ""
    rows = [(clean(g["group"], 80), f"{g['n']:,}", number(g["median_x"]), number(g["median_y"])) for g in groups]
    head = (str(data.color), "points", f"median {data.x.name}", f"median {data.y.name}")
    return _folded("Groups", len(rows), table(head, rows, (1, 2, 3)))


def _bins(data: "Scatter") -> Markup | str:
    """What the squares of the wide drawing count."""
    if data.facts["n"] <= MOST_DOTS:
        return ""
    scales = scales_of(data)
    units = scales[0].unit(data.x.numbers), scales[1].unit(data.y.numbers)
    count = marks.binned(units[0], units[1], WIDE.columns, WIDE.rows).counts
    at = np.argwhere(count)
    at = at[np.argsort(-count[at[:, 0], at[:, 1]], kind="stable")]
    edges = [scale.value(np.arange(n + 1) / n) for scale, n in zip(scales, count.shape, strict=True)]
    spans = [[f"{number(float(edge[i]))} to {number(float(edge[i + 1]))}" for i in range(len(edge) - 1)] for edge in edges]
    rows = [(spans[0][i], spans[1][j], f"{count[i, j]:,}") for i, j in at.tolist()]
    return _folded("Squares", len(rows), table((data.x.name, data.y.name, "points"), rows, (2,)))


def _points(data: "Scatter") -> Markup:
    """The points, outliers first: all where they are dots, else the rings."""
    order = np.argsort(-data.distance, kind="stable")
    if data.facts["n"] > MOST_DOTS:
        order = order[: min(FAR, int((data.distance > 0).sum()))]
    of_objects, colored = data.rows != "frames", data.color is not None
    names = data.points
    frame, subject, kind = (names[name].to_numpy(dtype=object) for name in ("frame", "subject", "class"))
    rows = []
    for i in order.tolist():
        who = [name_tag(frame[i]), *([name_tag(subject[i]), name_tag(kind[i])] if of_objects else [])]
        values = [number(float(data.x.numbers[i])), number(float(data.y.numbers[i]))]
        group = [clean(data.groups[data.group[i]], 60)] if colored else []
        rows.append((*who, *values, "yes" if data.distance[i] else "", *group))
    head = ["frame", *(["object", "class"] if of_objects else []), data.x.name, data.y.name, "outlier"]
    first = 3 if of_objects else 1
    title = "Points" if data.facts["n"] <= MOST_DOTS else "Farthest outliers"
    return _folded(title, len(rows), table([*head, *([str(data.color)] if colored else [])], rows, (first, first + 1)))
