"""Curves of a model as inline SVG: precision over recall, F1 over confidence, confidence against being right."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.evaluation.calibration import Reliability
from gpu_quality.reports.html import Markup, joined, name_tag, tag
from gpu_quality.reports.model.curves import RECALLS, ClassCurve, Curves, Sweep
from gpu_quality.text import clean, counted, number

NAMED: Final = 8
"""Classes with a line of their own, those with most labels; the table has all."""
WIDTH, HEIGHT = 360, 266
_LEFT, _RIGHT, _TOP, _BASE = 40, 350, 18, 222
_TICKS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_SPOTS: Final = (0.92, 0.7, 0.5, 0.3, 0.12, 0.82, 0.6, 0.4, 0.2)
"""Where along a line its number may stand, in the order of preference."""
_APART: Final = 15.0
Floats = NDArray[np.float64]


def precision_recall_chart(curves: Curves) -> Markup:
    """Precision over recall: the mean of all classes as a thick line, the commonest classes as thin numbered ones."""
    named = curves.classes[:NAMED]
    taken: list[tuple[float, float]] = []
    lines = [
        _named_line(f"{clean(one.name, 60)}: AP {one.mean:.3f}", _steps(one.precision), f"c{i}", str(i), one.precision, taken)
        for i, one in enumerate(named, 1)
    ]
    mean = tag("g", tag("title", f"mean of {counted(len(curves.classes), 'class', 'classes')}: {curves.average:.3f}"),
               tag("path.line.mean", attributes={"d": _steps(curves.mean)}))  # fmt: skip
    label = (
        f"precision over recall at IoU {number(curves.iou)}: mean of {counted(len(curves.classes), 'class', 'classes')}, "
        f"average precision {curves.average:.3f}; lines of {counted(len(named), 'class', 'classes')}; the table below has all"
    )
    return _chart(label, [*_frame("recall", "precision"), mean, *lines])


def curve_legend(curves: Curves) -> Markup:
    """Which line is which class: number, name, labels, average precision."""
    rows = [_legend("mean", joined((tag("b", "mean of classes"), f" {curves.average:.3f}")))]
    rows += [_legend(f"c{i}", _told(i, one)) for i, one in enumerate(curves.classes[:NAMED], 1)]
    return tag("ul.keys", joined(rows))


def _told(place: int, one: ClassCurve) -> Markup:
    return joined((f"{place} ", name_tag(one.name, 28), f" {one.mean:.3f} ", tag("small", counted(one.labels, "label"))))


def _legend(kind: str, *told: object) -> Markup:
    line = tag(f"path.line.{kind}", attributes={"d": "M1 5h26"})
    sample = tag("svg.key", line, attributes={"viewBox": "0 0 28 10", "aria-hidden": "true"})
    return tag("li", sample, tag("span", *told))


def f1_chart(sweep: Sweep, used: float) -> Markup:
    """Precision, recall and F1 of all classes together over confidence; the best F1 and the confidence in use are marked."""
    low, high = float(sweep.confidence[0]), float(sweep.confidence[-1])
    span = (high - low) or 1.0
    x = (sweep.confidence - low) / span
    sides = (("precision", "c2", sweep.precision), ("recall", "c3", sweep.recall), ("F1", "mean", sweep.f1))
    lines = [
        tag("g", tag("title", name), tag(f"path.line.{kind}", attributes={"d": _joined_points(x, y)}))
        for name, kind, y in sides
    ]
    marks = [_vertical("axis", _x((used - low) / span)), _note(_x((used - low) / span), _BASE - 5, f"in use: {number(used)}")]
    label = "precision, recall and F1 of all classes over confidence"
    if (best := sweep.best) is not None:
        best_x, best_y = _x((best.threshold - low) / span), _y(best.value)
        dot = tag("circle.best", attributes={"cx": f"{best_x:.1f}", "cy": f"{best_y:.1f}", "r": 4})
        told = f"best F1 {best.value:.3f} at {number(best.threshold)}"
        marks += [_vertical("threshold", best_x), dot, _note(best_x, _TOP - 6, told)]
        label += f"; {told}, precision {best.precision:.3f}, recall {best.recall:.3f}"
    return _chart(label, [*_frame("confidence", "", low, high), *lines, *marks])


def f1_legend() -> Markup:
    """Which line is which."""
    rows = [("mean", tag("b", "F1")), ("c2", "precision"), ("c3", "recall")]
    return tag("ul.keys", joined(_legend(kind, told) for kind, told in rows))


def reliability_chart(found: Reliability) -> Markup:
    """Share of right predictions per bin of confidence with its interval, the diagonal where both agree, and counts on top."""
    edges, parts = found.edges.tolist(), _frame("confidence", "share that is right")
    parts.append(tag("path.ideal", attributes={"d": f"M{_x(0):.1f} {_y(0):.1f}L{_x(1):.1f} {_y(1):.1f}"}))
    for i, count in enumerate(found.count.tolist()):
        left, right = _x(edges[i]), _x(edges[i + 1])
        middle = (left + right) / 2
        parts.append(_text(middle, _TOP - 6, "middle", _compact(count)))
        if not count:
            continue
        low, high, share = (float(side[i]) for side in (found.low, found.high, found.accuracy))
        bar = f"M{left + 2:.1f} {_BASE}V{_y(share):.1f}H{right - 2:.1f}V{_BASE}z"
        whisker = f"M{middle:.1f} {_y(low):.1f}V{_y(high):.1f}m-4 0h8M{middle - 4:.1f} {_y(low):.1f}h8"
        told = f"confidence {number(edges[i])} to {number(edges[i + 1])}: {share:.3f} of {counted(count, 'prediction')} right"
        parts.append(
            tag(
                "g", tag("title", told), tag("path.bars", attributes={"d": bar}), tag("path.whisker", attributes={"d": whisker})
            )
        )
    label = (
        f"share of right predictions over confidence, {counted(found.n, 'prediction')} in {len(edges) - 1} bins; "
        f"expected calibration error {number(found.ece)}; counts on top, the table below has all"
    )
    return _chart(label, parts)


def _compact(count: int) -> str:
    """A count of at most four characters."""
    if count < 1000:
        return str(count)
    if count < 9950:
        return f"{count / 1000:.1f}k"
    return f"{count // 1000}k" if count < 1_000_000 else f"{count // 1_000_000}M"


def _chart(label: str, parts: Iterable[Markup]) -> Markup:
    box = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": label}
    return tag("svg.chart.curve", joined(parts), attributes=box)


def _frame(x_title: str, y_title: str, low: float = 0.0, high: float = 1.0) -> list[Markup]:
    """Grid lines with their numbers, and what the axes are."""
    grid = "".join(f"M{_LEFT} {_y(t):.1f}H{_RIGHT}M{_x(t):.1f} {_TOP}V{_BASE}" for t in _TICKS)
    parts = [tag("path.grid", attributes={"d": grid})]
    parts += [_text(_LEFT - 5, _y(t) + 3.5, "end", number(t)) for t in _TICKS]
    parts += [_text(_x(t), _BASE + 15, "middle", number(low + t * (high - low))) for t in _TICKS]
    parts.append(_text((_LEFT + _RIGHT) / 2, _BASE + 33, "middle", x_title))
    if y_title:
        turned = {"x": 0, "y": 0, "text-anchor": "middle", "transform": f"translate(9 {(_TOP + _BASE) / 2:.0f}) rotate(-90)"}
        parts.append(tag("text", y_title, attributes=turned))
    return parts


def _x(share: float) -> float:
    return _LEFT + share * (_RIGHT - _LEFT)


def _y(share: float) -> float:
    return _BASE - share * (_BASE - _TOP)


def _text(x: float, y: float, anchor: str, text: str) -> Markup:
    return tag("text", text, attributes={"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor})


def _note(x: float, y: float, text: str) -> Markup:
    """Words beside a vertical line, on the side where there is room."""
    right = x < (_LEFT + _RIGHT) / 2
    return _text(x + (5 if right else -5), y, "start" if right else "end", text)


def _vertical(kind: str, x: float) -> Markup:
    return tag(f"line.{kind}", attributes={"x1": f"{x:.1f}", "x2": f"{x:.1f}", "y1": _TOP, "y2": _BASE})


def _steps(precision: Floats) -> Markup:
    """Precision over the recalls as a line of steps, down to the axis behind the last recall that is reached."""
    path, last = f"M{_x(0):.1f} {_y(float(precision[0])):.1f}", float(precision[0])
    for recall, value in zip(RECALLS.tolist(), precision.tolist(), strict=True):
        if value != last:
            path += f"H{_x(max(recall - 0.01, 0.0)):.1f}V{_y(value):.1f}"
            last = value
    return Markup(path + (f"H{_x(1):.1f}" if last > 0 else ""))


def _joined_points(x: Floats, y: Floats) -> Markup:
    """A line through the points that have a value."""
    known = np.isfinite(y)
    pieces = (f"{_x(float(a)):.1f} {_y(float(b)):.1f}" for a, b in zip(x[known], y[known], strict=True))
    return Markup("M" + "L".join(pieces) if known.any() else "")


def _named_line(told: str, path: Markup, kind: str, name: str, precision: Floats, taken: list[tuple[float, float]]) -> Markup:
    """A line with its number on it, where no other number stands."""
    x, y = _spot(precision, taken)
    taken.append((x, y))
    dot = tag(f"circle.dot.{kind}", attributes={"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": 6.5})
    number_in = tag("text.digit", name, attributes={"x": f"{x:.1f}", "y": f"{y + 3.6:.1f}", "text-anchor": "middle"})
    return tag("g", tag("title", told), tag(f"path.line.{kind}", attributes={"d": path}), dot, number_in)


def _spot(precision: Floats, taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """A place on a line, away from those that are taken; the least crowded one where all are near another."""
    reached = int(np.count_nonzero(precision)) - 1 if precision.any() else len(precision) - 1
    best, room = (_x(0.0), _y(0.0)), -1.0
    for share in _SPOTS:
        at = max(int(reached * share), 0)
        x, y = _x(float(RECALLS[at])), _y(float(precision[at]))
        free = min((float(np.hypot(x - a, y - b)) for a, b in taken), default=_APART)
        if free >= _APART:
            return x, y
        if free > room:
            best, room = (x, y), free
    return best
