"""What a model's failures, drift and a selection ask for: the steps of a report that are about the model."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gpu_quality.reports.content import Content
from gpu_quality.reports.model.tables import rate
from gpu_quality.reports.why.slices import Slice
from gpu_quality.text import clean, counted

TO_LABEL: Final = 100
"""Frames that a selection is asked for, at most."""
SLICES: Final = {"O": "labels", "P": "predictions"}


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do, the command that does or shows it, and the column or result that says so."""

    what: str
    command: str
    source: str = ""
    anchor: str = ""
    """The part of the page that shows it."""


def out_of(content: Content) -> str:
    """The store as it is typed in the folder that holds it."""
    return shlex.quote(clean(content.name))


def model_steps(content: Content) -> Iterator[Step]:
    """Evaluate, look at weak slices, at what explains failures and at drift, in that order."""
    out = out_of(content)
    if content.model is not None and not content.model.sets and len(content.origins) > 1:
        yield Step(
            "Evaluate the predictions: nothing says yet which are right",
            f"gpu-quality evaluate {out}",
            "nobody asked yet",
            "model",
        )
    yield from _wrong(content, out)
    yield from _weak(content, out)
    yield from _explained(content, out)
    if content.drift is not None and content.drift.figures.get("drifting"):
        moved = int(content.drift.figures["drifting"])
        what = f"Look at what drifts: {counted(moved, 'measure')}, {content.drift.measures[0].metric} most"
        sql = "select * from drift_measures where drifts"
        yield Step(what, f'gpu-quality query {out} "{sql}"', "results/drift.json", "drift")


def typed(condition: str) -> str:
    """A condition as a shell takes it: in double quotes where nothing in it would be expanded."""
    return shlex.quote(condition) if set(condition) & set('"$`\\!') else f'"{condition}"'


def _wrong(content: Content, out: str) -> Iterator[Step]:
    """What each evaluated set gets wrong, and how to see the most frequent kind of it."""
    for at, found in enumerate(content.model.sets if content.model is not None else ()):
        counts, failed = found.counts, [one for one in found.galleries if one.key != "tp" and one.count]
        if failed:
            worst = max(failed, key=lambda one: one.count)
            what = (
                f"See what {found.name} gets wrong: {counts.fn:,} of {counted(counts.tp + counts.fn, 'label')} missed, "
                f"{counts.fp:,} of {counted(counts.tp + counts.fp, 'prediction')} false"
            )
            command = f"gpu-quality show {out} --where {typed(worst.rule)}"
            yield Step(what, command, found.source("confusion"), f"model-{at}")


def _weak(content: Content, out: str) -> Iterator[Step]:
    """The slice with most failures beyond what is expected, of labels and of predictions."""
    for rows, noun in SLICES.items():
        own = [one for one in content.why.weak.slices if one.rows == rows] if content.why is not None else []
        if own:
            worst = max(own, key=lambda one: one.excess)
            what = f"Look at the {worst.n:,} {noun} with {worst.words}: {worst.figure} {against(worst)} elsewhere"
            only = f"({worst.where}) and origin = {worst.origin}"  # without it, labels and every set of predictions are meant
            yield Step(what, f"gpu-quality show {out} --where {typed(only)}", "results/weak_slices.json", "weak-slices")


def against(found: Slice) -> str:
    """The figure of a slice and that of the rest."""
    return f"{found.value:.2f} against {found.rest:.2f}"


def _explained(content: Content, out: str) -> Iterator[Step]:
    """The metric that the others replace least, else tells most; what the model says of itself is no property of the data."""
    parts = () if content.why is None else content.why.parts
    bars = [(bar, part) for part in parts for bar in part.bars if bar.metric in {curve.metric for curve in part.curves}]
    named = [(bar, part) for bar, part in bars if not bar.of_model] or bars
    if named:
        bar, part = max(named, key=lambda pair: (pair[0].alone or 0.0, pair[0].value))
        what = f"See how success of {SLICES[part.rows]} depends on {bar.metric}, importance {rate(bar.value)}"
        command = f"gpu-quality performance {out} {shlex.quote(bar.metric)} --rows {SLICES[part.rows]}"
        yield Step(what, command, f"columns {bar.metric} and outcome", f"why-{part.rows}")


def label_steps(content: Content) -> Iterator[Step]:
    """The frames to label next: those that were selected, or how to select some."""
    out = out_of(content)
    if content.selection is not None and content.selection.count:
        what = f"Label the {counted(content.selection.count, 'frame')} that were selected"
        sql = "select rank, frame, reason from selection"
        yield Step(what, f'gpu-quality query {out} "{sql}"', "results/selection.json", "selection")
    elif content.unlabelled:
        count = min(TO_LABEL, content.unlabelled)
        by = " --by acquisition_entropy" if "acquisition_entropy" in content.frames.columns else ""
        what = f"Choose what to label next among {counted(content.unlabelled, 'frame')} without labels"
        yield Step(what, f"gpu-quality select {out} --count {count}{by} --exclude labelled", "column labelled")
