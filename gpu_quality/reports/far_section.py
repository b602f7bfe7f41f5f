"""The part of a report about outliers: how many per metric, and what is one in most metrics."""

from gpu_quality.reports.content import Content
from gpu_quality.reports.far import Extent, Far, Stranger
from gpu_quality.reports.html import Markup, joined, name_tag, table, tag
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.sections import figure, section, sheet_of
from gpu_quality.text import counted, number

_RULES = {
    "iqr": "Moderate: more than 1.5 interquartile ranges from the quartiles; severe: more than 2.5.",
    "modified_z": "More than 3.5 robust standard deviations from the median.",
    "adaptive": "More than 3.5 deviations of its own side from the median, wider for long tails.",
}


def far_section(content: Content, album: Album) -> Markup | None:
    """Outliers; None where nothing was judged."""
    found = content.far
    if found is None:
        return None
    notes = joined(tag("p.warning", content.private(note)) for note in found.notes)
    if not found.judged:
        return section("outliers", "Outliers", notes)
    lead = tag("p.lead", told(found), " ", _RULES.get(found.rule, ""))
    extents = _table(found) if found.extents else ""
    return section("outliers", "Outliers", lead, notes, extents, _strangers(found, album))


def told(found: Far) -> str:
    """How many, in a sentence."""
    one = found.rows.removesuffix("s")
    severe = "" if found.severe is None else f", {found.severe:,} of them severe"
    where = f"{counted(found.measures, 'metric')} of {counted(found.judged, one)}"
    return f"{counted(found.outliers, 'outlying value')}{severe} in {where}."


def _table(found: Far) -> Markup:
    """The metrics with the most outliers."""
    named = any(extent.of for extent in found.extents)
    head = ["metric", *(["class"] if named else []), "outliers", "severe", "values", "below", "above"]
    rows = [_row(extent, named=named) for extent in found.extents]
    first = 2 if named else 1
    return table(head, rows, numeric=range(first, first + 5))


def _row(extent: Extent, *, named: bool) -> list[object]:
    name = joined((name_tag(extent.metric), " ", tag("small", extent.unit)))
    severe = "–" if extent.severe is None else f"{extent.severe:,}"
    limits = [number(extent.low), number(extent.high)]
    return [name, *([name_tag(extent.of)] if named else []), f"{extent.outliers:,}", severe, f"{extent.values:,}", *limits]


def _strangers(found: Far, album: Album) -> Markup | str:
    """Pictures of what is an outlier in most metrics."""
    if not found.strangers:
        return ""
    drawn = sheet_of((_picture(stranger, album, found.measures) for stranger in found.strangers), ".strip")
    return tag("article", tag("h3", "Far out in most metrics"), drawn)


def _picture(found: Stranger, album: Album, measures: int) -> Markup:
    told = f"{found.metrics:,} of {counted(measures, 'metric')}"
    what = f"{found.label} in {found.frame}" if found.label else found.frame
    alt = f"{what}: an outlier in {told}"
    return figure(album, found.shot, found.frame, told, found.label, alt=alt, below=f"farthest in {found.farthest}")
