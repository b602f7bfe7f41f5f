"""The parts of a report about drift and about what to label next."""

from gpu_quality.reports.asked import Chosen, Drifted, Moved, Selected, Unlike
from gpu_quality.reports.content import Content
from gpu_quality.reports.html import Markup, joined, name_tag, table, tag
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.sections import figure, more, section, sheet_of
from gpu_quality.text import clean, counted, number, share


def drift_section(content: Content, album: Album) -> Markup | None:
    """How other data differ; None where nobody asked."""
    found = content.drift
    if found is None:
        return None
    notes = _notes(content, found)
    if not found.verdict:
        return section("drift", "Drift", notes)
    sides = zip((found.reference, found.current), found.frames, strict=True)
    names = [joined((name_tag(name), f" ({counted(frames, 'frame')})")) for name, frames in sides]
    lead = tag("p.lead", "How ", names[1], " differs from ", names[0], ".")
    lines = tag("ul.plain.verdict", joined(tag("li", content.private(text)) for text in found.verdict))
    return section("drift", "Drift", lead, lines, notes, _measures(found), _unlike(found, album))


def _notes(content: Content, found: Drifted | Selected) -> Markup:
    """What makes the answer doubtful, then remarks."""
    loud = [tag("p.warning", content.private(note)) for note in found.warnings]
    return joined([*loud, *(tag("p.muted", content.private(note)) for note in found.notes)])


def _measures(found: Drifted) -> Markup | str:
    """The measures that differ most."""
    if not found.measures:
        return ""
    head = ("measure", "of", "KS", "PSI", f"median in {clean(found.reference, 40)}", f"in {clean(found.current, 40)}", "p", "")
    return table(head, [_moved(row) for row in found.measures], numeric=range(2, 7))


def _moved(row: Moved) -> list[object]:
    numbers = [number(value) for value in (row.ks, row.psi, row.reference, row.current, row.p)]
    return [name_tag(row.metric), row.rows, *numbers, tag("span.badge.warn", "drifts") if row.drifts else ""]


def _unlike(found: Drifted, album: Album) -> Markup | str:
    """The frames least like the reference."""
    if not found.unlike:
        return ""
    title = tag("h3", "Least like ", name_tag(found.reference))
    return tag("article", title, sheet_of((_stranger(one, album) for one in found.unlike), ".strip"))


def _stranger(one: Unlike, album: Album) -> Markup:
    usual = f"{share(round(one.above * 1000), 1000)} of the reference is more usual"
    return figure(album, one.shot, one.frame, usual, alt=f"{one.frame}: {usual}", below=one.unusual)


def selection_section(content: Content, album: Album) -> Markup | None:
    """What to label next; None where nobody asked."""
    found = content.selection
    if found is None:
        return None
    notes = _notes(content, found)
    if not found.count:
        return section("selection", "Label next", notes)
    lines = tag("ul.plain.verdict", joined(tag("li", content.private(text)) for text in found.how))
    drawn = sheet_of(_chosen(place, one, album) for place, one in enumerate(found.frames, 1))
    return section("selection", "Label next", lines, notes, drawn, more(found.count, len(found.frames), "frame"))


def _chosen(place: int, one: Chosen, album: Album) -> Markup:
    return figure(album, one.shot, one.frame, f"{place}.", alt=f"{place}. {one.frame}: {one.reason}", below=one.reason)


def asked_links(drift: Drifted | None, selection: Selected | None) -> dict[str, list[tuple[str, int, str]]]:
    """Name, count and anchor of what these parts hold, by part."""
    chosen = [("frames", selection.count, "selection")] if selection is not None and selection.count else []
    moved = (
        [("measures that drift", int(drift.figures["drifting"]), "drift")]
        if drift is not None and drift.figures.get("drifting")
        else []
    )
    return {"drift": moved, "selection": chosen}
