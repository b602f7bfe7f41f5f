"""The first half of a report: what was looked at, which issues were found, and which frames repeat each other."""

import datetime as dt
from collections.abc import Iterable

from gpu_quality.reports.charts import histogram_chart, share_bar
from gpu_quality.reports.content import GROUPS_SHOWN, PER_GROUP, PER_ISSUE, Content
from gpu_quality.reports.figures import Issue
from gpu_quality.reports.html import Markup, joined, name_tag, tag
from gpu_quality.reports.model.quality import ModelQuality
from gpu_quality.reports.model.tables import rate
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.shots import Shot
from gpu_quality.text import counted, number, share, spaced

ENOUGH = 10
"""Labels of a class from which on its average precision is more than a toss."""
CAPTION = 26
"""Characters of a frame's id under a picture; the whole id shows when hovered."""


def figure(album: Album, shot: Shot | None, name: str, *notes: object, alt: str = "", below: str = "") -> Markup:
    """A thumbnail, or a placeholder that says why there is none, with the frame's id and what is to be said about it."""
    picture = None if shot is None else album.pictures.get(shot)
    if picture is None or picture.missing:
        inner = tag("span.missing", picture.missing if picture else "")
    else:
        size = {"width": picture.width, "height": picture.height}
        told = alt or f"{'object in ' if shot is not None and shot.marks else ''}{name}"
        inner = tag("img", attributes={"src": Markup(picture.uri), "alt": told, **size, "loading": "lazy", "decoding": "async"})
    lines = [tag("span.note", note) for note in notes if note]
    under = tag("span.below", below) if below else ""
    return tag("figure", tag("span.frame", inner), tag("figcaption", *lines, name_tag(name, CAPTION), under))


def sheet_of(figures: Iterable[Markup], kind: str = "") -> Markup:
    """Pictures side by side."""
    return tag(f"div.sheet{kind}", joined(figures))


def section(anchor: str, title: str, *children: object) -> Markup:
    """A part of the page that the table of contents links to."""
    return tag("section", tag("h2", title), *children, attributes={"id": anchor})


def more(count: int, shown: int, noun: str, plural: str = "") -> str | Markup:
    """A line for what is left out."""
    return (
        tag("p.more", f"… and {count - shown:,} more {noun if count - shown == 1 else plural or noun + 's'}")
        if count > shown
        else ""
    )


def header(content: Content, written: dt.datetime) -> Markup:
    """Title, what was looked at, when, and the numbers of the run."""
    drawn = [
        tag("div.tile" + (f".{kind}" if kind else ""), tag("strong", value), tag("span", label))
        for value, label, kind in tiles(content)
    ]
    status = content.status
    state = "" if status["complete"] else tag("p.warning", "The run is not complete: figures cover the frames scored so far.")
    return tag(
        "header", tag("p.kicker", "Data and model quality report"), tag("h1", name_tag(content.title)),
        _dates(content, written), state, tag("div.tiles", joined(drawn)), tag("p.muted", joined(_looked_at(content))),
    )  # fmt: skip


def tiles(content: Content) -> list[tuple[str, str, str]]:
    """The numbers at the head of the page: value, what it counts, how bad that is (empty, ``warn`` or ``bad``)."""
    status = content.status
    found = [(f"{status['scored']:,}", f"{'frame' if status['scored'] == 1 else 'frames'} scored", "")]
    found += [(f"{status['errors']:,}", "errors", "bad")] if status["errors"] else []
    if content.issues:
        found.append(
            (
                f"{content.flagged:,}",
                f"with an issue ({share(content.flagged, status['scored'])})",
                "warn" if content.flagged else "",
            )
        )
    if content.labels is not None:
        grave = content.labels.grave
        found.append((f"{grave:,}", "label problem" if grave == 1 else "label problems", "warn" if grave else ""))
    if content.copies.asked:
        found.append((f"{content.copies.counts['surplus']:,}", "duplicates that could go", ""))
    return found + ([] if content.model is None else _model_tiles(content.model))


def _model_tiles(model: ModelQuality) -> list[tuple[str, str, str]]:
    """The figures of the first evaluated prediction set, and its worst class."""
    if not model.sets:
        return []
    first = model.sets[0]
    of = f" ({first.name})" if len(model.sets) > 1 else ""
    at = f" at IoU {number(first.iou)}, confidence {number(first.confidence)}"
    pairs = [("AP at IoU .50", first.metrics.get("AP50")), (f"precision{at}", first.counts.precision)]
    pairs.append((f"recall{at}", first.counts.recall))
    found = [(rate(value), f"{name}{of}", "") for name, value in pairs if value is not None]
    scored = [one for one in first.classes if one.labels and one.ap is not None]
    worst = next((one for one in scored if one.labels >= ENOUGH), scored[0] if scored else None)
    whole = first.metrics.get("AP")
    if worst is not None and len(first.classes) > 1 and (whole is None or (worst.ap or 0.0) < whole):
        enough = f", the worst class with {ENOUGH} labels or more" if worst.labels >= ENOUGH else ""
        found.append((rate(worst.ap), f"AP of {worst.name}{enough}{of}", "warn"))
    return found


def _looked_at(content: Content) -> Iterable[object]:
    """How the numbers add up, and what they are about."""
    status = content.status
    yield f"{counted(status['listed'], 'frame')} listed = {status['scored']:,} scored + {counted(status['errors'], 'error')}"
    yield joined((", kept in ", tag("code", content.name)))
    annotated = [f"{counted(len(origin.sheet), 'object')} in {origin.name}" for origin in content.origins]
    yield joined((", with ", name_tag(", ".join(annotated), 300))) if annotated else ""
    yield "."


def _dates(content: Content, written: dt.datetime) -> Markup:
    """The one line that differs between two reports of the same store."""
    at = content.source.get("at")
    scored = f"Scored {_minute(dt.datetime.fromtimestamp(at, dt.UTC))}, r" if isinstance(at, int | float) else "R"
    return joined((Markup("\n"), tag("p.date", f"{scored}eport written {_minute(written)}"), Markup("\n")))


def _minute(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def issues_section(content: Content, album: Album) -> Markup | None:
    """Every issue with its count, then the flagged frames of those found."""
    if not content.issues:
        return None
    rows = [_issue_row(i, issue) for i, issue in enumerate(content.issues) if len(issue.rows)]
    details = [_issue_detail(content, album, i, issue) for i, issue in enumerate(content.issues) if len(issue.rows)]
    lead = "A frame has an issue where a score passes its threshold. Look before you delete: no threshold knows your task."
    clear = ", ".join(spaced(issue.name) for issue in content.issues if not len(issue.rows))
    rest = tag("p.muted", f"Looked for and not found: {clear}.") if clear else ""
    shown = joined((tag("p.lead", lead), tag("ul.issues", joined(rows)))) if rows else ""
    return section("issues", "Issues", shown, rest, joined(details))


def _issue_row(index: int, issue: Issue) -> Markup:
    count = len(issue.rows)
    link = tag("a", spaced(issue.name), attributes={"href": f"#issue-{index}"})
    numbers = tag("span.count", f"{count:,}"), tag("span.share", share(count, issue.total))
    return tag("li", tag("span.what", link), share_bar(count, issue.total), *numbers)


def _issue_detail(content: Content, album: Album, index: int, issue: Issue) -> Markup:
    scores = None if issue.score is None else content.frames.values(issue.score.name)
    figures = [
        figure(album, Shot(row), content.ids[row], "" if scores is None else number(scores[row]))
        for row in issue.rows[:PER_ISSUE].tolist()
    ]
    count = len(issue.rows)
    rule = ""
    if issue.score is not None and issue.threshold is not None:
        rule = f" where {issue.score.name} is below {number(issue.threshold)}"
    common = ""
    if issue.common:
        common = tag("p.warning", "Found on more than half of the frames: perhaps this is how the data are meant to look.")
    chart: Markup | str = ""
    if issue.score is not None:
        d = next((d for d in content.distributions if d.column.name == issue.score.name), None)
        if d is not None and d.low < d.high:
            chart = tag(
                "div.aside",
                histogram_chart(d, "frame"),
                tag("p.muted", f"{issue.score.name} of all frames; dashed: the threshold"),
            )
    told = tag("p", f"{issue.column.summary} {counted(count, 'frame')} of {issue.total:,} ({share(count, issue.total)}){rule}.")
    title = tag("h3.named", spaced(issue.name), " ", tag("span.badge", f"{count:,}"))
    intro = tag("div.intro", tag("div", title, told, common), chart)
    return tag("article", intro, sheet_of(figures), more(count, len(figures), "frame"), attributes={"id": f"issue-{index}"})


def groups_section(content: Content, album: Album) -> Markup | None:
    """Frames that repeat each other, side by side, rule by rule."""
    found = [entry for entry in content.copies.without(content.groups)[0] if entry.members]
    if not found:
        return None
    articles = []
    for entry in found:
        drawn = [_group(content, album, members) for members in entry.members[:GROUPS_SHOWN]]
        frames = sum(len(members) for members in entry.members)
        told = f"{counted(len(entry.members), 'group')} with {counted(frames, 'frame')} (column {entry.column.name})."
        title = spaced(entry.column.name.replace("_group", "_groups"))
        rest = more(len(entry.members), len(drawn), "group")
        articles.append(
            tag(
                "article",
                tag("h3.named", title, " ", tag("span.badge", f"{len(entry.members):,}")),
                tag("p", told),
                joined(drawn),
                rest,
            )
        )
    lead = "Frames of a group show the same. A group that an earlier, stricter rule found is not repeated below it."
    if content.copies.asked:
        lead = "Groups that metrics found and that are not among the duplicates above, one column after the other."
    return section("copies", "Copies and near copies", tag("p.lead", lead), joined(articles))


def _group(content: Content, album: Album, members: tuple[int, ...]) -> Markup:
    sizes = [content.frames.values(name) if name in content.frames.columns else None for name in ("width", "height")]
    figures = []
    for row in members[:PER_GROUP]:
        size = "" if sizes[0] is None or sizes[1] is None else f"{number(sizes[0][row])} × {number(sizes[1][row])}"
        figures.append(figure(album, Shot(row), content.ids[row], size))
    return tag(
        "div.group", sheet_of(figures), more(len(members), len(figures), "copy", "copies") if len(members) > PER_GROUP else ""
    )
