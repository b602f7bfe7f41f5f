"""The part of a report about the models: how good each prediction set is, where it fails, and what its failures look like."""

from collections.abc import Sequence
from typing import Final

from gpu_quality.reports.charts import share_bar
from gpu_quality.reports.html import Markup, joined, name_tag, table, tag
from gpu_quality.reports.model import charts as drawn
from gpu_quality.reports.model.confusions import confusions_article
from gpu_quality.reports.model.galleries import galleries
from gpu_quality.reports.model.quality import EvaluatedSet, ModelQuality
from gpu_quality.reports.model.tables import (
    calibration_table,
    class_table,
    curve_table,
    grid_table,
    rate,
    size_table,
    sweep_table,
)
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.sections import section
from gpu_quality.text import counted, number, share

ANCHOR: Final = "model"
WORST: Final = 12
"""Classes shown as bars; the table has all."""
_TITLES: Final = {"AP": "AP", "AP50": "AP at IoU .50", "AP75": "AP at IoU .75", "map": "mean AP", "accuracy": "accuracy"}
_KINDS: Final = {
    "Cls": "right place, wrong class", "Loc": "right class, badly placed", "Both": "badly placed and of the wrong class",
    "Dupe": "found a second time", "Bkg": "no label there", "Miss": "not found at all",
}  # fmt: skip


def model_section(model: ModelQuality | None, ids: Sequence[str], album: Album) -> Markup | None:
    """Everything about the models; None where there is nothing to say. `ids` are those of the frames."""
    if model is None:
        return None
    notes = joined(tag("p.warning", note) for note in model.notes)
    several = len(model.sets) > 1
    parts = [_set(found, album, f"{ANCHOR}-{i}", several=several) for i, found in enumerate(model.sets)]
    judged = f"Figures cover {counted(len(ids), 'frame')}." if model.sets else ""
    compared = _compared(model.sets) if several else ""
    return section(
        ANCHOR, "Model quality", tag("p.lead", judged) if judged else "", notes, compared, _legend(model), joined(parts)
    )


def model_links(model: ModelQuality | None) -> list[tuple[str, int, str]]:
    """Name, count and anchor of what this part holds, for a table of contents."""
    links = []
    for i, found in enumerate(model.sets if model is not None else ()):
        anchor, of = f"{ANCHOR}-{i}", f" ({found.name})" if model is not None and len(model.sets) > 1 else ""
        links += [(f"scores{of}", 0, anchor), (f"confusions{of}", found.confusions.crossed, f"{anchor}-confusion")]
        filled = (gallery for gallery in found.galleries if gallery.count)
        links += [(f"{one.title[:1].lower()}{one.title[1:]}{of}", one.count, f"{anchor}-{one.key}") for one in filled]
    return links


def _legend(model: ModelQuality) -> Markup | str:
    if not model.sets:
        return ""
    own, other = (tag(f"span.swatch.{kind}", attributes={"aria-hidden": "true"}) for kind in ("own", "other"))
    return tag("p.legend", own, "solid: a prediction ", other, "dashed: a label")


def _compared(sets: Sequence[EvaluatedSet]) -> Markup:
    """All sets side by side."""
    keys = [key for key in _TITLES if any(key in found.metrics for found in sets)]
    rows = (
        (name_tag(one.name, 40), *(rate(one.metrics.get(key)) for key in keys), rate(one.counts.precision),
         rate(one.counts.recall), rate(one.counts.f1))
        for one in sets
    )  # fmt: skip
    head = ("predictions", *(_TITLES[key] for key in keys), "precision", "recall", "F1")
    return table(head, rows, numeric=range(1, len(head)))


def _set(found: EvaluatedSet, album: Album, anchor: str, *, several: bool) -> Markup:
    level = 4 if several else 3
    title = tag("h3", "Predictions ", name_tag(found.name)) if several else ""
    parts = (
        _curves(found, anchor, level), _classes(found, anchor, level), _errors(found, anchor, level),
        _calibration(found, anchor, level), confusions_article(found, album, f"{anchor}-confusion", level),
        galleries(found, album, anchor, level),
    )  # fmt: skip
    return tag("div.model", title, _scores(found), *parts, attributes={"id": anchor})


def _scores(found: EvaluatedSet) -> Markup:
    """The headline: figures as tiles, and what they say in a sentence."""
    keys = [key for key in _TITLES if key in found.metrics] + ([found.recall_key] if found.recall_key else [])
    tiles = [
        (rate(found.metrics[key]), _TITLES.get(key, f"average recall ({key})"), f"{found.source()}: {key}") for key in keys
    ]
    counts = found.counts
    where = f"{found.source('confusion')} at confidence {number(found.confidence)}, IoU {number(found.iou)}"
    tiles += [(rate(getattr(counts, name.lower())), name, where) for name in ("precision", "recall", "F1")]
    drawn_tiles = (
        tag("div.tile", tag("strong", value), tag("span", title), attributes={"title": source})
        for value, title, source in tiles
    )
    sources = f"Protocol {found.protocol}, {found.kind}. Scores from {found.source()}; precision, recall and F1 from {where}."
    notes = joined(tag("p.warning", note) for note in found.notes)
    rest = {key: value for key, value in found.metrics.items() if key not in keys}
    sizes = tag("details", tag("summary", "By size, and all other figures"), size_table(found.metrics, rest)) if rest else ""
    return joined((tag("div.tiles", joined(drawn_tiles)), tag("p", _sentence(found)), notes, tag("p.source", sources), sizes))


def _sentence(found: EvaluatedSet) -> str:
    """Labels found, predictions right, and the kind of error that costs most."""
    counts = found.counts
    labels, kept = counts.tp + counts.fn, counts.tp + counts.fp
    told = (
        [f"Of {counted(labels, 'label')}, {counts.tp:,} are found ({share(counts.tp, labels)})"]
        if labels
        else ["There is no label"]
    )
    told.append(f"of {counted(kept, 'prediction')} that count, {counts.fp:,} are false ({share(counts.fp, kept)})" if kept
                else "no prediction counts")  # fmt: skip
    text = "; ".join(told) + "."
    costs = [(cost, name) for name, _, cost in (found.errors.kinds if found.errors else ()) if cost]
    if costs:
        cost, name = max(costs)
        text += f" What costs most is {name}: {_KINDS.get(name, name)} ({cost:.1f} points of AP)."
    return text


def _curves(found: EvaluatedSet, anchor: str, level: int) -> Markup | str:
    curves = found.curves
    if not curves.classes:
        return tag("p.empty", "No class has a label, so there are no curves.")
    source = f"From {found.source('curves')}, IoU from {number(found.iou)}."
    told = "Precision is the highest at that recall or a higher one, so that the mean of a line is its average precision."
    left = tag("div", tag(f"h{level + 1}", "Precision over recall"), drawn.precision_recall_chart(curves),
               drawn.curve_legend(curves), tag("p.source", f"{told} {source}"))  # fmt: skip
    right: Markup | str = ""
    tables = [_opened("Precision of every class", curve_table(curves))]
    if curves.sweep is not None:
        right = tag("div", tag(f"h{level + 1}", "All classes over confidence"), drawn.f1_chart(curves.sweep, found.confidence),
                    drawn.f1_legend(), tag("p.source", f"Predictions with at least that confidence. {source}"))  # fmt: skip
        tables.append(_opened("Precision, recall and F1 of all classes over confidence", sweep_table(curves.sweep)))
    if found.grid is not None:
        tables.append(_opened(f"F1 by IoU and confidence ({found.source('grid')})", grid_table(found.grid)))
    pair = tag("div.curves", left, right)
    return tag("article", tag(f"h{level}", "Precision and recall"), pair, joined(tables), attributes={"id": f"{anchor}-curves"})


def _opened(title: str, inner: Markup) -> Markup:
    return tag("details", tag("summary", title), inner)


def _classes(found: EvaluatedSet, anchor: str, level: int) -> Markup:
    """The worst classes as bars, all of them in the table."""
    labeled = [one for one in found.classes if one.labels]
    by = "AP" if any(one.ap is not None for one in labeled) else "F1"
    rows = []
    for one in labeled[:WORST]:
        value = one.ap if by == "AP" else one.counts.f1
        bar = share_bar(round((value or 0.0) * 1000), 1000)
        rows.append(tag("li", tag("span.what", name_tag(one.name, 32)), bar, tag("span.count", rate(value)),
                        tag("span.share", counted(one.labels, "label"))))  # fmt: skip
    silent = len(found.classes) - len(labeled)
    rest = tag("p.muted", f"{counted(silent, 'class', 'classes')} without a label: no {by}.") if silent else ""
    title = tag(f"h{level}", f"Classes, the worst first by {by} ", tag("span.badge", f"{len(labeled):,}"))
    told = f"AP and ECE from {found.source('classes')}, counts from {found.source('confusion')}, best confidence from "
    source = tag("p.source", f"{told}{found.source('curves')}.")
    whole = _opened("Every class with all figures", class_table(found.classes))
    bars = tag("ul.issues.classes", joined(rows)) if rows else ""
    return tag("article", title, bars, rest, source, whole, attributes={"id": f"{anchor}-classes"})


def _errors(found: EvaluatedSet, anchor: str, level: int) -> Markup | str:
    """What every kind of error costs, as bars."""
    errors = found.errors
    if errors is None:
        return ""
    most = max((cost or 0.0 for _, _, cost in errors.kinds), default=0.0) or 1.0
    rows = joined(_kind(name, count, cost, most) for name, count, cost in errors.kinds)
    others = f"All false predictions after all right ones: {_points(errors.false_positive)}; no label missed: "
    told = (
        "Points of AP (0..100, at IoU .5, all predictions) won if one kind of error were repaired and no other; they do not "
        f"add up. {others}{_points(errors.false_negative)}. AP before: "
        f"{_points(errors.ap)}, the mean of all classes with a label or a prediction (that of COCO: with a label)."
    )
    source = f"As `gpu-quality evaluate --tide` has it; the kind of every error is in the column tide_error{found.suffix}."
    title = tag(f"h{level}", "What kinds of errors cost")
    return tag("article", title, tag("ul.issues.kinds", rows), tag("p.muted", told), tag("p.source", source),
               attributes={"id": f"{anchor}-errors"})  # fmt: skip


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _kind(name: str, count: int, cost: float | None, most: float) -> Markup:
    what = tag("span.what", tag("b", name), " ", tag("small", _KINDS.get(name, "")))
    bar = share_bar(round((cost or 0.0) / most * 1000), 1000)
    return tag("li", what, bar, tag("span.count", _points(cost)), tag("span.share", counted(count, "error")))


def _calibration(found: EvaluatedSet, anchor: str, level: int) -> Markup | str:
    one = found.calibration
    if one is None:
        return ""
    gap = one.gap or 0.0
    lean = "more sure than right" if gap > 0 else "less sure than right" if gap < 0 else "as sure as right"
    told = (
        f"Expected calibration error (ECE) {rate(one.ece)}, largest gap of a bin {rate(one.mce)}, Brier score "
        f"{rate(one.brier)}. On the whole the model is {lean}: mean confidence minus share of right predictions is {gap:+.3f}."
    )
    source = (
        f"{counted(one.n, 'prediction')}: columns confidence{found.suffix} and outcome{found.suffix}; bars with 95 % intervals."
    )
    title = tag(f"h{level}", "Whether confidence means what it says")
    aside = tag("div.curves", tag("div", drawn.reliability_chart(one)), tag("div", tag("p", told), tag("p.source", source)))
    aside = joined((aside, _opened("These bins", calibration_table(one))))
    return tag("article", title, aside, attributes={"id": f"{anchor}-calibration"})
