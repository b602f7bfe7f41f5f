"""The second half of a report: extremes, distributions, objects, errors, and what to do next."""

import shlex
from collections import Counter
from collections.abc import Sequence
from itertools import chain, groupby

from gpu_quality import __version__
from gpu_quality.reports.charts import histogram_chart
from gpu_quality.reports.columns import name_of
from gpu_quality.reports.content import Content, Origin, Strip
from gpu_quality.reports.figures import Distribution
from gpu_quality.reports.html import Markup, escape, joined, name_tag, table, tag
from gpu_quality.reports.pictures import Album
from gpu_quality.reports.sections import figure, more, section, sheet_of
from gpu_quality.reports.shots import Shot
from gpu_quality.text import clean, counted, number

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
            suspicious = (strip.end == "lowest" and column.bad == "low") or (strip.end == "highest" and column.bad == "high")
            label = tag("h4", strip.end, *([" ", tag("span.badge.warn", "suspicious end")] if suspicious else []))
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
    reasons = sorted(Counter(errors["reason"]).items(), key=lambda item: (-item[1], item[0]))
    chips = joined(tag("li", tag("strong", f"{count:,}"), " ", reason) for reason, count in reasons)
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


def next_section(content: Content) -> Markup:
    """Commands that go on from here."""
    out = shlex.quote(clean(content.name))
    flagged = next((issue for issue in content.issues if len(issue.rows)), None)
    metric = next((d.column.name for d in content.distributions if d.column.bad != "neither"), "")
    commands = [(f"gpu-quality show {out} --issues", "the same findings in the terminal")]
    if metric:
        commands.append((f"gpu-quality show {out} --sort {metric} --worst 20", "the worst frames by one metric"))
        commands.append((f"gpu-quality metric show {metric}", "what exactly a number means"))
    if flagged is not None:
        sql = f"select frame from frames where {flagged.column.name}"  # noqa: S608 - text to read, nothing runs it
        commands.append((f'gpu-quality query {out} "{sql}"', f"all {counted(len(flagged.rows), 'frame')} with this issue"))
    if content.labels is not None and content.labels.checks:
        code = content.labels.checks[0].code
        commands.append((f"gpu-quality check {out} --code {code}", "every such finding in the labels, with file and record"))
    commands += _by_likeness(content, out)
    commands += [(f"gpu-quality errors {out}", "every error")] if not content.errors.empty else []
    commands.append((f"gpu-quality export {out} --format csv --to scores.csv", "all numbers, for a spreadsheet"))
    rows = joined(tag("li", tag("code", command), tag("span.muted", what)) for command, what in commands)
    place = joined(("Type these in the folder that holds ", tag("code", content.name), "."))
    return section("next", "What to type next", tag("p.lead", place), tag("ul.commands", rows), _about(content))


def _by_likeness(content: Content, out: str) -> list[tuple[str, str]]:
    """What hashes and vectors answer: copies, where nobody asked or more is stored since, and what looks like a frame."""
    commands = []
    if content.copies.ask:
        again = " as things are now" if content.copies.asked else ""
        commands.append((f"gpu-quality duplicates {out}", f"copies, edits, flips and turns, and which to keep{again}"))
    if content.meaning is None or not content.meaning.frames:
        return commands
    frame = _example(content)
    if frame:
        told = "the frames that look most like this one"
        commands.append((f"gpu-quality search {out} --frame {shlex.quote(frame)} --html like_it.html", told))
    if content.meaning.words:
        commands.append((f'gpu-quality search {out} --text "a truck at night"', "the frames most like words"))
    return commands


def _example(content: Content) -> str:
    """Id of a frame with an issue that can be typed, else of one that was scored; empty where there is none."""
    failed = set(content.errors["frame"]) if len(content.errors) else set()
    flagged = (content.ids[row] for issue in content.issues for row in issue.rows.tolist())
    return next((name for name in chain(flagged, content.ids) if name not in failed and clean(name, len(name)) == name), "")


def _about(content: Content) -> Markup:
    """What made the numbers."""
    identity, made_by = content.identity, content.source.get("version")
    labels, predictions = identity.get("labels") or {}, identity.get("predictions") or {}
    decode = ", ".join(f"{key} {value}" for key, value in sorted((identity.get("decode") or {}).items()) if value is not None)
    hidden = [c.name for kind in ("fingerprint", "group") for c in content.frames.of_kind(kind)]
    facts = [
        ("scored by", f"gpu_quality {made_by}" if made_by else ""),
        ("report by", f"gpu_quality {__version__}"),
        ("labels", labels.get("format", "")),
        ("predictions", ", ".join(f"{name} ({facts.get('format', '')})" for name, facts in predictions.items())),
        ("decoding", decode),
        ("seed", identity.get("seed", "")),
        ("identify frames, have no distribution", ", ".join(hidden)),
    ]
    rows = joined(tag("div", tag("dt", key), tag("dd", escape(value))) for key, value in facts if value != "")
    return joined((tag("h3", "How the numbers were made"), tag("dl.about", rows)))
