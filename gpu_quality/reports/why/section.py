"""The part of a report about causes: importance and correlation as bars, performance along the best metrics, weak slices."""

from collections.abc import Sequence
from typing import Final

from gpu_quality.reports.content import Content
from gpu_quality.reports.html import Markup, joined, name_tag, table, tag
from gpu_quality.reports.model.tables import rate
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.sections import section
from gpu_quality.reports.why.answers import LIMIT, ROWS, Bar, Curve, Part, Why
from gpu_quality.reports.why.bars import chance, end_of, interval_bar, rate_chart, signed_bar
from gpu_quality.reports.why.slices_section import weak_article
from gpu_quality.text import counted, number

_QUESTION: Final = {"P": "predictions: true or false", "O": "labels: found or missed"}
_NOUN: Final = {"P": "prediction", "O": "label"}
_LEAD: Final = (
    "Which properties go along with success. Importance: 0 the metric tells nothing about success, 1 it determines it. "
    "Correlation: 1 larger goes with better, -1 with worse; it misses what rises and falls again. Neither is a cause."
)
_HEAD: Final = ("metric", "importance 0…{end}", "", "interval", "correlation -1…1", "", "adds", "rows", "p")


def why_section(content: Content, album: Album) -> Markup | None:
    """What explains the failures of the model; None where nothing was evaluated."""
    found = content.why
    if found is None:
        return None
    of = tag("p.muted", "Prediction set ", name_tag(found.predictions), f": {found.asked}.") if found.asked else ""
    notes = [tag("p.warning", content.private(note)) for note in found.notes]
    parts = [_part(part) for part in found.parts]
    weak = weak_article(content, found.weak, album)
    return section("why", "Why it fails", tag("p.lead", _LEAD), of, joined(notes), joined(parts), weak)


def _part(part: Part) -> Markup:
    """Bars and curves of predictions or of labels."""
    title = tag("h3.named", _QUESTION[part.rows], " ", tag("span.badge", f"{part.size:,}"))
    head = [title, tag("p", told(part))]
    same = _same(part)
    curves = tag("div.cards.rates", joined(_curve(curve, part.rows) for curve in part.curves)) if part.curves else ""
    below = tag("h4.by", f"{ROWS[part.rows][1].capitalize()} by metric") if part.curves else ""
    drawn = _bars(part.bars) if part.bars else ""
    return tag("article", *head, drawn, same, below, curves, attributes={"id": f"why-{part.rows}"})


def told(part: Part) -> str:
    """What was found, in a sentence or two."""
    if not part.bars:
        return f"Of {counted(part.size, _NOUN[part.rows])} no metric has an importance: too few, or all alike."
    few = "At least " if part.together and part.significant else ""  # of a quick look only the best are tested
    text = f"{few}{part.significant:,} of {counted(part.tested, 'metric')} tell more than chance (adjusted p ≤ {LIMIT:g})"
    best = next((bar for bar in part.bars if bar.p <= LIMIT), None)
    text += "." if best is None else f"; of these {best.metric} ({best.level}) tells most: {rate(best.value)}."
    if part.explained is None:
        return text
    reach = "" if part.spread is None else f" ({_percent(part.spread[0])} to {_percent(part.spread[1])})"
    who = f"The first {part.together}" if part.together else "All"
    return f"{text} {who} together explain {_percent(part.explained)}{reach} of which fail and which do not."


def _spread(low: float | None, high: float | None) -> str:
    """An interval; a dash where there is none."""
    return "–" if low is None or high is None or low != low else f"{rate(low)} to {rate(high)}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _bars(bars: Sequence[Bar]) -> Markup:
    """Metrics in rows: a bar of importance with its interval, a bar of correlation, and the numbers."""
    end = end_of([max(bar.value, 0 if bar.high != bar.high else bar.high) for bar in bars])
    rows = [
        (
            joined((tag("span.level", f"({bar.level})"), " ", name_tag(bar.metric))),
            interval_bar(bar.value, bar.low, bar.high, end, sure=bar.p <= LIMIT), rate(bar.value), _spread(bar.low, bar.high),
            signed_bar(bar.spearman), rate(bar.spearman), rate(bar.alone), f"{bar.n:,}", chance(bar.p),
        )
        for bar in bars
    ]  # fmt: skip
    head = [text.format(end=number(end)) for text in _HEAD]
    legend = "(F) measured on the frame, (P) on the prediction, (O) on the label object. Pale: may be chance. "
    legend += "Lines: 95 % intervals. Correlation: Spearman's. Adds: what all shown would explain less without it."
    return joined((tag("div.importance", table(head, rows, numeric=(2, 3, 5, 6, 7, 8))), tag("p.legend", legend)))


def _same(part: Part) -> Markup | str:
    """Metrics above that say the same."""
    if not part.redundant:
        return ""
    pairs = "; ".join(f"{first} and {second} ({rate(value)})" for first, second, value in part.redundant)
    return tag("p.muted", f"Say the same: {pairs}.")


def _curve(curve: Curve, rows: str) -> Markup:
    """A card with the chart, the worst stretch in words, and the numbers beneath."""
    title = tag("h4", curve.metric, " ", tag("small", f"({curve.level}) {curve.unit}"))
    gone = int(curve.missing["n"])
    absent = f" {counted(gone, _NOUN[rows])} without a value: {rate(curve.missing['rate'])}." if gone else ""
    data = [
        (_range(found), rate(found["rate"]), _spread(found["rate_low"], found["rate_high"]),
         f"{found['n']:,}", "" if not found["marked"] else "below" if found["rate"] < curve.mean else "above")
        for found in curve.bins
    ]  # fmt: skip
    beneath = table((curve.metric, curve.rate, "interval", "n", "mean"), data, numeric=(1, 2, 3))
    shown = tag("details", tag("summary", f"data: {counted(len(curve.bins), 'bin')}"), beneath)
    chart = rate_chart(curve.metric, curve.rate, curve.bins, curve.mean)
    return tag("div.card", title, tag("p", worst(curve), absent), chart, shown)


def _range(found: object) -> str:
    low, high = (found[key] for key in ("low", "high"))  # type: ignore[index]
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def worst(curve: Curve) -> str:
    """Where the rate is lowest, in words."""
    mean = f"Dashed: the mean, {rate(curve.mean)} of {curve.n:,}."
    if curve.worst is None:
        return f"No stretch is surely below the mean. {mean}"
    found = curve.worst
    return f"Worst from {_range(found)}: {curve.rate} {rate(found['rate'])} of {int(found['n']):,}. {mean}"


def why_links(found: Why) -> list[tuple[str, int, str]]:
    """Name, count and anchor of what this part holds."""
    links = [(ROWS[part.rows][0], 0, f"why-{part.rows}") for part in found.parts]
    return links + ([("weak slices", len(found.weak.slices), "weak-slices")] if found.weak.slices else [])
