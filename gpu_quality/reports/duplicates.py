"""The part of a report about duplicates: groups side by side, the frame to keep first, and leaks between splits or runs."""

from typing import Final

from gpu_quality.reports.content import Content
from gpu_quality.reports.copies import Copies, Copy, Group, Leaks
from gpu_quality.reports.html import Markup, joined, name_tag, tag
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.sections import figure, more, section, sheet_of
from gpu_quality.text import clean, counted

NARROW: Final = 3
"""Copies of a group that fit into half of the page."""
_NOUNS: Final = (("frames", "frame"), ("groups", "group"), ("surplus", "frame"))


def duplicates_section(content: Content, album: Album) -> Markup | None:
    """What the verb `duplicates` found; None where nobody ran it."""
    found = content.copies
    if not found.asked and not found.leaks and not found.notes:
        return None
    notes = [tag("p.warning", _sentence(content.private(note))) for note in found.notes]
    leaks = [_leaks(album, part) for part in found.leaks]
    groups = [tag("p.lead", _counted(found)), tag("p.muted", _sentence(found.how).replace(">=", "≥"))] if found.asked else []
    return section("duplicates", "Duplicates", joined(groups), joined(notes), joined(leaks), _groups(content, album))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""


def _counted(found: Copies) -> str:
    counts = found.counts
    frames, groups, surplus = (counted(counts[key], noun) for key, noun in _NOUNS)
    if not counts["groups"]:
        return f"No two of {frames} show the same."
    return f"{groups} with {counts['members']:,} of {frames} that show the same; {surplus} could go."


def _groups(content: Content, album: Album) -> Markup | str:
    found = content.copies
    if not found.groups:
        return ""
    _, told = found.without(content.groups)
    columns = tag("p.muted", f"By column: {'; '.join(told)}.") if told else ""
    lead = "The frame to keep comes first, with the reason. Below the others: what speaks for them, and how strongly."
    drawn = tag("div.groups", joined(_group(album, group) for group in found.groups))
    title = tag("h3.named", "groups ", tag("span.badge", f"{found.counts['groups']:,}"))
    rest = more(found.counts["groups"], len(found.groups), "group")
    return tag("article", title, tag("p", lead), drawn, rest, columns, attributes={"id": "duplicate-groups"})


def _group(album: Album, group: Group) -> Markup:
    why = tag("p.muted", "Keep ", name_tag(group.copies[0].frame), f": {group.reason}.") if group.copies else ""
    drift = tag("p.muted", group.drift) if group.drift else ""
    figures = sheet_of((_copy(album, copy) for copy in group.copies), ".copies")
    wide = ".wide" if len(group.copies) > NARROW else ""
    return tag(f"div.group{wide}", figures, more(group.count, len(group.copies), "copy", "copies"), why, drift)


def _copy(album: Album, copy: Copy) -> Markup:
    mark = tag("span.badge.keep", "keep") if copy.keep else tag("span.badge", "compared with") if copy.leads else ""
    told = joined((copy.sign, " ", mark)) if mark and copy.sign else mark or copy.sign
    alt = f"{'keep: ' if copy.keep else ''}{copy.frame}"
    return figure(album, copy.shot, copy.frame, told, alt=alt, below=clean(copy.place, 40))


def _leaks(album: Album, found: Leaks) -> Markup:
    """Counts in words, then the first pairs, both ends side by side."""
    title = tag("h3.named", f"leaks between {found.between} ", tag("span.badge.warn", f"{found.count:,}"))
    lines = tag("ul.plain", joined(tag("li", name_tag(text, 300)) for text in found.counts)) if found.counts else ""
    pairs = [
        tag("div.group.pair", sheet_of((_copy(album, end) for end in pair.ends), ".two"), tag("p.muted", pair.sign))
        for pair in found.pairs
    ]
    told = "A frame that both sides show: what is learned on one is asked for on the other."
    nothing = "" if found.count else tag("p", f"No frame of one of the two {found.between} is in the other.")
    shown = tag("div.pairs", joined(pairs)) if pairs else ""
    lead = tag("p", told) if found.count else ""
    rest = more(found.count, len(pairs), "pair")
    return tag("article", title, lead, nothing, lines, shown, rest, attributes={"id": f"leaks-{found.between}"})
