"""The article about weak slices: each in words with its figure against the rest, its condition, and failures inside it."""

from typing import Final

from gpu_quality.reports.content import Content
from gpu_quality.reports.html import Markup, joined, tag
from gpu_quality.reports.model.tables import rate
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.sections import figure, more, sheet_of
from gpu_quality.reports.why.bars import chance
from gpu_quality.reports.why.slices import Example, Slice, Weak
from gpu_quality.text import counted

_LEAD: Final = (
    "Parts of the data in which the model surely fails more often than elsewhere: chosen on half of the frames, tested on the "
    "other, corrected for all that were looked at. Slices may share rows."
)
_NOUN: Final = {"P": "prediction", "O": "label"}


def weak_article(content: Content, found: Weak, album: Album) -> Markup | str:
    """The weak slices of the page; empty where nobody looked."""
    if not found.asked:
        return ""
    title = tag("h3", "Weak slices ", tag("span.badge.warn" if found.found else "span.badge", f"{found.found:,}"))
    lead = tag("p", _LEAD if found.slices else "No part of the data surely fails more often than the rest.")
    notes = joined(tag("p.muted", content.private(message)) for message in found.messages)
    drawn = joined(_slice(one, album) for one in found.slices)
    rest = more(found.found, len(found.slices), "slice")
    return tag("article", title, lead, notes, drawn, rest, attributes={"id": "weak-slices"})


def _slice(found: Slice, album: Album) -> Markup:
    title = tag("h4", found.words)
    numbers = tag("p.muted", in_words(found))
    command = tag("code.where", found.where)
    pictures = sheet_of((_picture(example, album) for example in found.examples), ".strip") if found.examples else ""
    return tag("div.group.slice", title, numbers, command, pictures)


def in_words(found: Slice) -> str:
    """The figure of a slice against the rest."""
    return (
        f"{found.figure.capitalize()} {rate(found.value)} ({rate(found.low)} to {rate(found.high)}) against "
        f"{rate(found.rest)} elsewhere; {counted(found.n, _NOUN[found.rows])}, adjusted p {chance(found.p)}."
    )


def _picture(found: Example, album: Album) -> Markup:
    alt = f"{found.label} in {found.frame}: {found.told}"
    return figure(album, found.shot, found.frame, found.told, found.label, alt=alt)
