"""What is taken for what, drawn: the matrix as a table, and pictures of the most frequent confusions."""

from collections.abc import Iterator
from typing import Final

from gpu_quality.reports.html import Markup, joined, name_tag, tag
from gpu_quality.reports.model.cells import Confusions, Pair
from gpu_quality.reports.model.galleries import exhibit_figure
from gpu_quality.reports.model.quality import EvaluatedSet
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.sections import more, sheet_of
from gpu_quality.text import clean, counted, number, share

_NAME: Final = 18
"""Characters of a class beside or above the matrix; the whole name shows when hovered."""
_COLUMN: Final = {"scope": "col"}
_WEAKEST: Final = 0.06
"""Shade of the smallest share."""


def confusions_article(found: EvaluatedSet, album: Album, anchor: str, level: int) -> Markup:
    """The matrix, what was folded, and the most frequent confusions with both boxes."""
    one = found.confusions
    rule = f"confidence from {number(found.confidence)}, IoU from {number(found.iou)}"
    lead = tag(
        "p", f"Rows are labels, columns what they were predicted as ({rule}). A row adds up to the labels of its class, a "
        "column to its predictions. The darker, the larger the share of the row; the last column are missed labels, the last "
        "row predictions where nothing is labeled.",
    )  # fmt: skip
    title = tag(f"h{level}", "What is taken for what ", tag("span.badge", f"{one.crossed:,}"))
    source = tag("p.source", f"From {found.source('confusion')}.")
    shown = tag("div.confused", joined(_pair(album, pair, f"{anchor}-{i}", level + 1) for i, pair in enumerate(one.pairs)))
    rest = more(one.kinds, len(one.pairs), "pair of classes", "pairs of classes")
    return tag("article", title, lead, _matrix(one, anchor), _folded(one), source, shown, rest, attributes={"id": anchor})


def _folded(one: Confusions) -> Markup | str:
    at = one.named
    if at == len(one.names) - 1:
        return ""
    whole = int(one.matrix[at, at])
    more_classes = counted(one.folded, "more class", "more classes")
    told = f"{one.names[at]} are {more_classes}: of the {whole:,} pairs within, {one.right:,} agree."
    return tag("p.muted", told)


def _matrix(one: Confusions, anchor: str) -> Markup:
    links = {(pair.label, pair.predicted): f"#{anchor}-{i}" for i, pair in enumerate(one.pairs)}
    places = range(len(one.names))
    corner, total = tag("th", "label ↓ predicted →", attributes=_COLUMN), tag("th.number", "labels", attributes=_COLUMN)
    head = tag("tr", corner, joined(_column(one, at) for at in places), total)
    body = joined(tag("tr", joined(_row(one, at, links))) for at in places)
    sums = joined(tag("td.number", f"{total:,}") for total in one.matrix.sum(0)[:-1].tolist())
    foot = tag("tr", tag("th", "predictions", attributes={"scope": "row"}), sums, tag("td"), tag("td"))
    caption = tag("caption", "Counts of labels (rows) by the class of the prediction they were matched with (columns)")
    whole = tag("table.matrix", caption, tag("thead", head), tag("tbody", body), tag("tfoot", foot))
    region = {"tabindex": "0", "role": "region", "aria-label": "confusion matrix"}
    return tag("div.scroll.confusion", whole, attributes=region)


def _column(one: Confusions, at: int) -> Markup:
    return tag("th.turned", tag("span", _shown(one, at)), attributes=_COLUMN)


def _shown(one: Confusions, at: int) -> Markup:
    """A class as it is called; in italics what is none."""
    return name_tag(one.names[at], _NAME) if at < one.named else tag("i", one.names[at])


def _row(one: Confusions, at: int, links: dict[tuple[str, str], str]) -> Iterator[Markup]:
    total = int(one.matrix[at].sum())
    last = len(one.names) - 1
    yield tag("th", _shown(one, at), attributes={"scope": "row"})
    for column, count in enumerate(one.matrix[at].tolist()):
        if not count:
            yield tag("td.none", "·" if at == column != last else "")
            continue
        pair = one.names[at], one.names[column]
        told = f"{clean(pair[0], 60)} → {clean(pair[1], 60)}: {count:,} of {total:,} ({share(count, total)})"
        strength = max(count / total, _WEAKEST) * 100
        kind = "td.right" if at == column else "td.wrong"
        text: object = f"{count:,}"
        if pair in links and max(at, column) < one.named:
            text = tag("a", text, attributes={"href": links[pair], "aria-label": f"{told}, examples"})
        yield tag(kind, text, attributes={"title": told, "style": f"--share:{strength:.0f}%"})
    yield tag("td.number", f"{total:,}" if at != last else "")


def _pair(album: Album, pair: Pair, anchor: str, level: int) -> Markup:
    """One confusion: how often, and its examples side by side."""
    title = tag(f"h{level}", name_tag(pair.label, 40), " taken for ", name_tag(pair.predicted, 40))
    told = tag(
        "p.muted",
        f"{pair.count:,} of {counted(pair.labels, 'label')} ({share(pair.count, pair.labels)}), the most confident first",
    )
    figures = sheet_of((exhibit_figure(album, exhibit) for exhibit in pair.examples), ".exhibits")
    return tag("div.group.taken", title, told, figures, attributes={"id": anchor})
