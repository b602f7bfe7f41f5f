"""Charts of rates and shares: bars with an interval, bars around zero, and a rate along the bins of a metric."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gpu_quality.reports.html import Markup, joined, tag
from gpu_quality.text import counted, number

WIDTH, HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BASE = 30, 314, 12, 118
_STRETCH: Final = {"viewBox": "0 0 100 10", "preserveAspectRatio": "none", "aria-hidden": "true"}
"""A bar fills its cell of a table; the numbers stand beside it, so it is decoration."""
_STEPS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Ends of the axis of bars."""


def end_of(values: Sequence[float]) -> float:
    """The end of an axis from 0 that holds all values, at most 1."""
    most = max((value for value in values if value == value), default=1.0)
    return next((step for step in _STEPS if most <= step), 1.0)


def chance(p: float) -> str:
    """A p-value; below a millionth no digits say more."""
    return "< 0.000001" if p < 1e-6 else number(p)


def interval_bar(value: float, low: float, high: float, end: float, *, sure: bool) -> Markup:
    """A bar from 0 to `value` on an axis that ends at `end`, with a line from `low` to `high`; pale where it may be chance."""
    parts = [tag("rect.track", attributes={"x": 0, "y": 4, "width": 100, "height": 2})]
    kind = "" if sure else ".unsure"
    parts.append(tag(f"rect.bars{kind}", attributes={"x": 0, "y": 1.5, "width": _at(value, end), "height": 7}))
    if low == low and high == high:
        place = {"x1": _at(low, end), "x2": _at(high, end), "y1": 5, "y2": 5}
        parts.append(tag("line.whisker", attributes=place))
    return tag("svg.inline", joined(parts), attributes=_STRETCH)


def signed_bar(value: float) -> Markup:
    """A bar from the middle to `value` on an axis from -1 to 1."""
    parts = [tag("rect.track", attributes={"x": 0, "y": 4, "width": 100, "height": 2})]
    if value == value:
        width = abs(value) * 50
        start = f"{50 - width if value < 0 else 50:.1f}"
        kind = ".minus" if value < 0 else ""
        parts.append(tag(f"rect.bars{kind}", attributes={"x": start, "y": 1.5, "width": f"{width:.1f}", "height": 7}))
    parts.append(tag("line.middle", attributes={"x1": 50, "x2": 50, "y1": 0, "y2": 10}))
    return tag("svg.inline", joined(parts), attributes=_STRETCH)


def _at(value: float, end: float) -> str:
    return f"{100 * min(max(value, 0.0), end) / end:.1f}"


def rate_chart(name: str, rate: str, bins: Sequence[Mapping[str, Any]], mean: float) -> Markup:
    """A rate in the bins of a metric, each as wide as every other: dots with intervals, the mean dashed, marked bins apart.

    Each bin has `low` and `high` of the metric, `n`, `rate`, `rate_low`, `rate_high` (0..1, None without rows) and `marked`.
    """
    step = (_RIGHT - _LEFT) / max(len(bins), 1)
    middle = f"{_y(mean):.1f}"
    parts = [_grid(), tag("line.mean", attributes={"x1": _LEFT, "x2": _RIGHT, "y1": middle, "y2": middle})]
    for place, found in enumerate(bins):
        if found["rate"] is None:
            continue
        x = f"{_LEFT + (place + 0.5) * step:.1f}"
        kind = "" if not found["marked"] else ".below" if found["rate"] < mean else ".above"
        ends = {"y1": f"{_y(found['rate_low']):.1f}", "y2": f"{_y(found['rate_high']):.1f}"}
        parts.append(tag(f"line.reach{kind}", attributes={"x1": x, "x2": x, **ends}))
        parts.append(tag(f"path.dot{kind}", attributes={"d": f"M{x} {_y(found['rate']):.1f}h0"}))
    if bins:
        parts.append(_text(_LEFT, "start", number(bins[0]["low"])))
        if len(bins) > 2:
            parts.append(_text((_LEFT + _RIGHT) / 2, "middle", number(bins[len(bins) // 2]["low"])))
        parts.append(_text(_RIGHT, "end", number(bins[-1]["high"])))
    marked = sum(bool(found["marked"]) for found in bins)
    label = f"{rate} by {name} in {counted(len(bins), 'bin')}, mean {number(mean)}; {marked} differ from it"
    view = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": label}
    return tag("svg.chart.rates", joined(parts), attributes=view)


def _y(value: float) -> float:
    return _BASE - value * (_BASE - _TOP)


def _grid() -> Markup:
    """Lines at 0, a half and 1 with their numbers."""
    parts = []
    for value in (0.0, 0.5, 1.0):
        y = f"{_y(value):.1f}"
        parts.append(tag("line.axis", attributes={"x1": _LEFT, "x2": _RIGHT, "y1": y, "y2": y}))
        at = {"x": _LEFT - 5, "y": f"{_y(value) + 3.5:.1f}", "text-anchor": "end"}
        parts.append(tag("text", number(value), attributes=at))
    return joined(parts)


def _text(x: float, anchor: str, text: str) -> Markup:
    return tag("text", text, attributes={"x": f"{x:.0f}", "y": _BASE + 20, "text-anchor": anchor})
