"""Charts as inline SVG: no script, no outside resource, colors from the page's style."""

from typing import Final

import numpy as np

from gpu_quality.reports.figures import Distribution
from gpu_quality.reports.histogram import Histogram
from gpu_quality.reports.html import Markup, joined, tag
from gpu_quality.text import counted, number

BINS: Final = 32
WIDTH, HEIGHT = 320, 106
_LEFT, _RIGHT, _TOP, _BASE = 4, 316, 16, 84


def histogram_chart(d: Distribution, noun: str) -> Markup:
    """Histogram of a distribution with its range below, the tallest bar's count above, the median and a threshold marked."""
    h = d.histogram
    if h is None:
        return tag("p.empty", "no values")
    parts = [
        tag("path.bars", attributes={"d": _bars(h, 1, len(h.counts) - 1) if len(h.counts) > 2 else ""}),
        tag("path.bars" + (".beyond" if h.below else ""), attributes={"d": _bars(h, 0, 1)}),
        tag("path.bars" + (".beyond" if h.above else ""), attributes={"d": _bars(h, len(h.counts) - 1, len(h.counts))}),
        tag("line.axis", attributes={"x1": _LEFT, "x2": _RIGHT, "y1": _BASE, "y2": _BASE}),
        _text(_LEFT, _TOP - 5, "start", counted(int(h.counts.max()), noun)),
        _text(_LEFT, _BASE + 18, "start", ("≤ " if h.below else "") + number(h.low)),
        _text(_RIGHT, _BASE + 18, "end", ("≥ " if h.above else "") + number(h.high) if h.high > h.low else ""),
        tag("path.median", attributes={"d": f"M{_place(h, d.median):.1f} {_BASE + 1}l4 7h-8z"}),
    ]
    if d.threshold is not None:
        x = f"{_place(h, d.threshold):.1f}"
        parts.append(tag("line.threshold", attributes={"x1": x, "x2": x, "y1": _TOP, "y2": _BASE}))
    where = f"from {number(d.low)} to {number(d.high)}, median {number(d.median)}"
    label = f"{d.column.name}: histogram of {counted(d.n, noun)} {where}"
    return tag("svg.chart", joined(parts), attributes={"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": label})


def _bars(h: Histogram, first: int, stop: int) -> str:
    """Bars as one path; a bin with any value is at least one unit high."""
    step = (_RIGHT - _LEFT) / len(h.counts)
    heights = np.where(h.counts > 0, np.maximum(h.counts / h.counts.max() * (_BASE - _TOP), 1.0), 0.0)
    return "".join(
        f"M{_LEFT + i * step:.1f} {_BASE}v{-heights[i]:.1f}h{step - 1:.1f}V{_BASE}z" for i in range(first, stop) if heights[i]
    )


def _place(h: Histogram, value: float) -> float:
    share = (min(max(value, h.low), h.high) - h.low) / (h.high - h.low) if h.high > h.low else 0.5
    return _LEFT + share * (_RIGHT - _LEFT)


def _text(x: float, y: float, anchor: str, text: str) -> Markup:
    return tag("text", text, attributes={"x": x, "y": y, "text-anchor": anchor})


def share_bar(count: int, total: int) -> Markup:
    """A bar that shows a share; the numbers stand beside it, so it is decoration."""
    width = 0.0 if not total else max(100 * count / total, 0.6 if count else 0.0)
    return tag("span.bar", tag("span", attributes={"style": f"width:{width:.1f}%"}), attributes={"aria-hidden": "true"})
