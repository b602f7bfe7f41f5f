"""The second half of a report: extremes, distributions, objects and errors."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from gpu_quality.reports.charts import histogram_chart
from gpu_quality.reports.columns import name_of
from gpu_quality.reports.content import Content, Origin, Strip
from gpu_quality.reports.figures import Distribution
from gpu_quality.reports.html import Markup, joined, name_tag, table, tag
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.sections import figure, more, section, sheet_of
from gpu_quality.reports.shots import Shot
from gpu_quality.text import clean, counted, number

if TYPE_CHECKING:
    import pandas as pd

ERRORS_SHOWN = 200


def extremes_section(content: Content, album: Album) -> Markup | None:
    """The frames with the lowest and highest values of the main metrics."""
    if not content.strips:
        return None

    def draw(strip: Strip) -> Markup:
        pairs = zip(strip.rows, strip.values, strict=True)
        return sheet_of((figure(album, Shot(row), content.ids[row], number(value)) for row, value in pairs), ".strip")

    lead = "The lowest and highest frames of the main metrics, with their values. The suspicious end is marked."
    return section("extremes", "Extremes", tag("p.lead", lead), _extremes(content.strips, draw))


def _extremes(strips: Sequence[Strip], draw: object) -> Markup:
    articles = []
    for column, ends in groupby(strips, key=lambda strip: strip.column):
        rows = []
        for strip in ends:
            label = tag("h4", strip.end, *([" ", tag("span.badge.warn", "suspicious end")] if strip.suspicious else []))
            rows.append(joined((label, draw(strip))))  # type: ignore[operator]
        articles.append(
            tag("article", tag("h3", column.name, " ", tag("small", column.unit)), tag("p", column.summary), joined(rows))
        )
    return joined(articles)


def distributions_section(content: Content) -> Markup | None:
    """A histogram of every metric of frames."""
    if not content.distributions:
        return None
    lead = (
        "Every metric of frames. The triangle below a chart is the median, a dashed line the threshold of an issue; pale bars "
        "at an end also hold the values beyond it, more than 3 interquartile ranges from the quartiles."
    )
    return section("distributions", "Distributions", tag("p.lead", lead), _cards(content.distributions, "frame"))


def _cards(found: Sequence[Distribution], noun: str) -> Markup:
    parts = []
    for topic, members in groupby(found, key=lambda d: d.column.topic):
        cards = [_card(d, noun) for d in members]
        parts.append(joined((tag("h3", topic), tag("div.cards", joined(cards)))))
    return joined(parts)


def _card(d: Distribution, noun: str) -> Markup:
    facts = [("min", number(d.low)), ("median", number(d.median)), ("max", number(d.high)), ("null", f"{d.null:,}")]
    row = joined(tag("div", tag("dt", key), tag("dd", value)) for key, value in facts)
    bad = "" if d.column.bad == "neither" else tag("span.bad", f"{d.column.bad} is suspicious")
    title = tag("h4", d.column.name, " ", tag("small", d.column.unit))
    return tag("div.card", title, tag("p", d.column.summary, " ", bad), histogram_chart(d, noun), tag("dl", row))


def objects_section(content: Content, album: Album) -> Markup | None:
    """Objects of the labels and of every prediction set: classes, distributions, extreme crops."""
    if not content.origins:
        return None
    return section("objects", "Objects", joined(_origin(content, album, origin) for origin in content.origins))


def _origin(content: Content, album: Album, origin: Origin) -> Markup:
    objects = origin.sheet.table
    classes = content.identity.get("classes")

    def draw(strip: Strip) -> Markup:
        figures = []
        for row, value in zip(strip.rows, strip.values, strict=True):
            kind = name_of(classes, int(objects["class_id"].iloc[row]))
            figures.append(figure(album, origin.shot(row), str(objects["frame"].iloc[row]), kind, number(value)))
        return sheet_of(figures, ".strip")

    told = f"{counted(len(objects), 'object')} of {counted(origin.classes, 'class', 'classes')}."
    parts = [tag("h3", name_tag(origin.name), " ", tag("span.badge", f"{len(objects):,}")), tag("p", told)]
    parts.append(_extremes(origin.strips, draw))
    return tag("div.origin", *parts, _cards(origin.distributions, "object"))


def errors_section(content: Content) -> Markup:
    """What could not be scored or read, and why."""
    errors = content.errors
    if errors.empty:
        return section("errors", "Errors", tag("p", "None: every frame, annotation and cell has its value."))
    chips = joined(tag("li", tag("strong", f"{count:,}"), " ", reason) for reason, count in reasons_of(errors))
    rows = []
    for row in errors.head(ERRORS_SHOWN).to_dict("records"):
        place = row["frame"] if isinstance(row["frame"], str) else row["uri"]
        line = row["line"]
        where = joined((name_tag(place), "" if line is None or not line >= 0 else f" : {int(line)}"))
        detail = content.private(f"{row['metric']}: {row['detail']}" if isinstance(row["metric"], str) else row["detail"])
        rows.append((where, row["stage"], row["reason"], clean(detail, 300)))
    lead = "A frame that could not be scored has nulls in every metric and a row here; nothing is dropped silently."
    shown = table(("where", "stage", "reason", "detail"), rows)
    return section(
        "errors", "Errors", tag("p.lead", lead), tag("ul.chips", chips), shown, more(len(errors), len(rows), "error")
    )


def reasons_of(errors: "pd.DataFrame") -> list[tuple[str, int]]:
    """How often each reason occurs, the commonest first."""
    return sorted(Counter(map(str, errors["reason"])).items(), key=lambda item: (-item[1], item[0]))
