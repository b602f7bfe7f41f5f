"""What is wrong with the labels, as pictures: health checks, class balance, and tracks as filmstrips."""

from collections.abc import Sequence
from typing import Final

from gpu_quality.reports.charts import share_bar
from gpu_quality.reports.content import Content
from gpu_quality.reports.findings import Check, Classes, Finding, Labels, Tracks
from gpu_quality.reports.html import Markup, joined, name_tag, tag
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.scenes import Film
from gpu_quality.reports.sections import figure, more, section, sheet_of
from gpu_quality.text import clean, counted, number, share, spaced

CLASSES_SHOWN: Final = 24
"""Classes listed of an origin: of more, the commonest and the rarest half of that."""
_SEVERITY: Final = {"error": ("bad", "error"), "warning": ("warn", "warning"), "info": ("", "remark")}


def labels_section(content: Content, album: Album) -> Markup | None:
    """Everything about labels and predictions as such; None where nothing is annotated."""
    found = content.labels
    if found is None:
        return None
    several = len({check.origin for check in found.checks if check.origin}) > 1 or found.predicted > 0
    loud = [(i, check) for i, check in enumerate(found.checks) if check.severity != "info"]
    articles = [_check(content, album, i, check, several=several) for i, check in loud]
    quiet = [_remark(content, check, several=several) for check in found.checks if check.severity == "info"]
    parts: list[object] = [_overview(content, found, several=several), tag("div.flow", joined(articles)) if articles else ""]
    if quiet:
        parts.append(tag("article", tag("h3", "Remarks"), joined(quiet), attributes={"id": "label-remarks"}))
    if found.tracks:
        parts.append(_tracks(content, album, found.tracks))
    if found.classes:
        parts.append(_balance(found.classes))
    return section("labels", "Labels", *parts)


def _overview(content: Content, found: Labels, *, several: bool) -> Markup:
    """What was looked for, and how often each check spoke: of labels the gravest first, then of predictions, then remarks."""
    if not found.checks:
        return joined((tag("p", "The health checks found nothing wrong and nothing odd."), _notes(content, found)))
    both = " and, below, in predictions" if found.predicted else ""
    lead = f"What the health checks found in labels{both}. Nothing was changed; look before you repair."
    own, other = (tag(f"span.swatch.{kind}", attributes={"aria-hidden": "true"}) for kind in ("own", "other"))
    legend = tag("p.legend", own, "the object in question ", other, "dashed: its partner, or where it should be")
    rows = [_row(i, check, several=several) for i, check in enumerate(found.checks)]
    return joined((tag("p.lead", lead), _notes(content, found), tag("ul.issues.checks", joined(rows)), legend))


def _notes(content: Content, found: Labels) -> Markup:
    return joined(tag("p.warning", content.private(note)) for note in found.notes)


def _row(index: int, check: Check, *, several: bool) -> Markup:
    target = "#label-remarks" if check.severity == "info" else f"#label-{index}"
    link = tag("a", spaced(check.code), attributes={"href": target})
    origin = joined((" ", tag("small", name_tag(check.origin, 24)))) if several and check.origin else ""
    part = share(check.count, check.total) if check.total else ""
    numbers = tag("span.count", f"{check.count:,}"), tag("span.share", part)
    kind = ".quiet" if check.severity == "info" else ""
    return tag(f"li{kind}", _badge(check), tag("span.what", link, origin), tag("span.meaning", check.meaning), *numbers)


def _badge(check: Check) -> Markup:
    kind, word = _SEVERITY[check.severity]
    return tag("span.badge" + (f".{kind}" if kind else ""), word)


def _check(content: Content, album: Album, index: int, check: Check, *, several: bool) -> Markup:
    """One check with its first findings, as pictures where they have a place, else as text; as wide as these need."""
    name = tag("h3.named", spaced(check.code), " ", tag("span.badge", f"{check.count:,}"), " ", _badge(check))
    origin = joined((", in ", name_tag(check.origin))) if several and check.origin else ""
    told = tag("p", joined((check.meaning[:1].upper() + check.meaning[1:], origin, ".")))
    pictures = [_picture(content, album, finding) for finding in check.findings if finding.shot is not None]
    films = [_film(content, album, finding.film, finding.place) for finding in check.findings if finding.film is not None]
    words = [finding for finding in check.findings if finding.shot is None and finding.film is None]
    parts = [sheet_of(pictures, ".finds") if pictures else "", joined(films), _listed(content, words)]
    rest = more(check.count, len(check.findings), "finding")
    width = len(pictures) if 0 < len(pictures) < 4 and not films and not words else "all"
    return tag(f"article.span-{width}", name, told, *parts, rest, attributes={"id": f"label-{index}"})


def _picture(content: Content, album: Album, finding: Finding) -> Markup:
    """The object cut out of its frame, why it is here, and where it is written."""
    reason = content.private(finding.detail)
    what = f"{finding.label} in {finding.frame}" if finding.label else finding.frame
    label, alt = clean(finding.label, 60), f"{what}: {reason}"
    return figure(album, finding.shot, finding.frame, reason, label, alt=alt, below=content.private(finding.place))


def _listed(content: Content, findings: Sequence[Finding]) -> Markup | str:
    """Findings without a picture, as lines of text."""
    rows = []
    for finding in findings:
        places = [name_tag(text) for text in (finding.frame, content.private(finding.place)) if text]
        where = [piece for place in places for piece in (" · ", place)]
        rows.append(tag("li", content.private(finding.detail), tag("span.muted", *where) if where else ""))
    return tag("ul.plain", joined(rows)) if rows else ""


def _remark(content: Content, check: Check, *, several: bool) -> Markup:
    """A check that only informs: one line, and the first findings for those who open it."""
    origin = joined((" in ", name_tag(check.origin))) if several and check.origin else ""
    title = tag("summary", f"{check.meaning} ", tag("span.badge", f"{check.count:,}"), origin)
    return tag("details", title, _listed(content, check.findings), more(check.count, len(check.findings), "finding"))


def _tracks(content: Content, album: Album, found: Sequence[Tracks]) -> Markup:
    """Objects of videos that a track metric questions, each with the frames around it."""
    several = len({tracks.origin for tracks in found}) > 1
    articles = []
    for tracks in found:
        title = tag("h4", tracks.title[:1].upper() + tracks.title[1:], " ", tag("span.badge.warn", f"{tracks.count:,}"))
        origin = joined((" (", name_tag(tracks.origin), ")")) if several else ""
        films = [_film(content, album, film, "") for film in tracks.films]
        rest = more(tracks.left, 0, "object")
        articles.append(joined((title, tag("p.muted", tracks.rule, origin, "."), joined(films), rest)))
    lead = tag("p.lead", "Objects of videos over time: the frame before, the one in question, and the one after.")
    return tag("article", tag("h3", "Tracks"), lead, joined(articles), attributes={"id": "label-tracks"})


def _film(content: Content, album: Album, film: Film, place: str) -> Markup:
    """Three frames side by side."""
    stills = []
    for at, still in enumerate(film.stills):
        if still is None:
            stills.append(tag("span.absent", "the video ends here" if at else "the video begins here"))
            continue
        frame = content.ids[still.shot.row]
        stills.append(figure(album, still.shot, frame, still.note, alt=f"{frame}: {still.note}"))
    told = content.private(" · ".join(part for part in (film.reason, place) if part))
    return tag("div.group.film", sheet_of(stills, ".three"), tag("p.muted", told))


def _balance(found: Sequence[Classes]) -> Markup:
    """Counts of every class, and how even they are."""
    parts = []
    for classes in found:
        most = max((count for _, count, _, _ in classes.rows), default=0)
        name = name_tag(classes.origin)
        if classes.question:
            name = joined((name, ": ", name_tag(classes.question)))
        told = counted(len(classes.rows), "class", "classes")
        if classes.ratio > 1:
            told += f"; the commonest is {number(classes.ratio)} × as frequent as the rarest that occurs"
        even = "" if classes.evenness != classes.evenness else f"; evenness {number(classes.evenness)} of 1"
        parts.append(joined((tag("h4", name), tag("p.muted", f"{told}{even}."), _bars(classes, most))))
    lead = tag("p.lead", "How many objects or answers every class has, and in how many images. Few: at most half the median.")
    return tag("article", tag("h3", "Class balance"), lead, joined(parts), attributes={"id": "label-classes"})


def _bars(classes: Classes, most: int) -> Markup:
    half = CLASSES_SHOWN // 2
    rows = classes.rows if len(classes.rows) <= CLASSES_SHOWN else (*classes.rows[:half], *classes.rows[-half:])
    lines = [
        tag(
            "li",
            tag("span.what", name_tag(name, 32), *((" ", tag("span.badge.warn", "few")) if few else ())),
            share_bar(count, most),
            tag("span.count", f"{count:,}"),
            tag("span.share", counted(images, "image")),
        )
        for name, count, images, few in rows
    ]
    if len(rows) < len(classes.rows):
        lines.insert(half, tag("li.gap", f"… {counted(len(classes.rows) - len(rows), 'class', 'classes')} between …"))
    return tag("ul.issues.classes", joined(lines))
