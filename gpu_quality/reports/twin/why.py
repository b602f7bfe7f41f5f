"""Causes of failures, outliers, drift and the selection of a report as plain values."""

from dataclasses import asdict
from typing import Any

from gpu_quality.reports.content import Content
from gpu_quality.reports.plain import plain
from gpu_quality.reports.why.answers import Bar, Curve, Part
from gpu_quality.reports.why.slices import Slice, Weak


def why_json(content: Content) -> dict[str, Any]:
    """``importance``, ``performance`` and ``weak_slices``; null where nothing was evaluated."""
    found = content.why
    if found is None:
        return dict.fromkeys(("importance", "performance", "weak_slices"))
    notes = [content.private(note) for note in found.notes]
    importance = {"predictions": found.predictions, "asked": found.asked, "rows": [_part(part) for part in found.parts]}
    slices = None if not found.weak.asked else _weak(found.weak)
    curves = [_curve(curve, part.rows) for part in found.parts for curve in part.curves]
    return {"importance": {**importance, "notes": notes}, "performance": curves, "weak_slices": slices}


def _part(part: Part) -> dict[str, Any]:
    return {
        "rows": part.rows,
        "count": part.size,
        "tested": part.tested,
        "significant": part.significant,
        "explained": part.explained,
        "together": part.together or None,
        "explained_interval": part.spread,
        "metrics": [_bar(bar) for bar in part.bars],
        "redundant": [{"first": first, "second": second, "spearman": value} for first, second, value in part.redundant],
    }


def _bar(bar: Bar) -> dict[str, Any]:
    numbers = {"importance": bar.value, "low": bar.low, "high": bar.high, "spearman": bar.spearman, "pearson": bar.pearson}
    found = {name: plain(value) for name, value in numbers.items()}
    return {"metric": bar.metric, "level": bar.level, **found, "adds": bar.alone, "n": bar.n, "p_adjusted": plain(bar.p)}


def _curve(curve: Curve, rows: str) -> dict[str, Any]:
    return {"rows": rows, **asdict(curve), "mean": plain(curve.mean), "bins": [dict(found) for found in curve.bins]}


def _weak(found: Weak) -> dict[str, Any]:
    shown = [_slice(one) for one in found.slices]
    return {"found": found.found, "tested": found.tested, "messages": list(found.messages), "slices": shown}


def _slice(found: Slice) -> dict[str, Any]:
    apart = ("examples", "origin", "p", "rest", "low", "high", "value")
    told = {key: value for key, value in asdict(found).items() if key not in apart}
    numbers = {"value": found.value, "low": found.low, "high": found.high, "rest": found.rest, "p_adjusted": found.p}
    shown = [{"frame": example.frame, "label": example.label, "told": example.told} for example in found.examples]
    return {**told, **{name: plain(value) for name, value in numbers.items()}, "examples": shown}


def far_json(content: Content) -> dict[str, Any] | None:
    """Outliers as far as the page shows them, with whole counts."""
    found = content.far
    if found is None:
        return None
    strangers = [
        {"subject": one.subject, "frame": one.frame, "label": one.label or None, "metrics": one.metrics, "severe": one.severe,
         "farthest": one.farthest}
        for one in found.strangers
    ]  # fmt: skip
    return {
        "rows": found.rows,
        "rule": found.rule,
        "judged": found.judged,
        "measures": found.measures,
        "outliers": found.outliers,
        "severe": found.severe,
        "metrics": [{**asdict(extent), "of": extent.of or None} for extent in found.extents],
        "subjects": strangers,
        "notes": [content.private(note) for note in found.notes],
    }


def drift_json(content: Content) -> dict[str, Any] | None:
    """What `drift` found as far as the page shows it; None where nobody asked."""
    found = content.drift
    if found is None:
        return None
    frames = [{"frame": one.frame, "unusual": one.unusual, "above": one.above} for one in found.unlike]
    return {
        "reference": {"name": found.reference, "frames": found.frames[0]},
        "current": {"name": found.current, "frames": found.frames[1]},
        "verdict": [content.private(text) for text in found.verdict],
        "figures": dict(found.figures),
        "measures": [asdict(row) for row in found.measures],
        "frames": frames,
        "notes": [content.private(note) for note in (*found.warnings, *found.notes)],
    }


def selection_json(content: Content) -> dict[str, Any] | None:
    """What `select` chose as far as the page shows it; None where nobody asked."""
    found = content.selection
    if found is None:
        return None
    frames = [{"frame": one.frame, "reason": one.reason} for one in found.frames]
    how, notes = ([content.private(text) for text in told] for told in (found.how, (*found.warnings, *found.notes)))
    return {"count": found.count, "candidates": found.candidates, "how": how, "frames": frames, "notes": notes}
