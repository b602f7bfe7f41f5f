"""What to do next: the findings of a report in the order of what they cost, each with its command and its source."""

import shlex
from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from gpu_quality import __version__
from gpu_quality.reports.content import Content
from gpu_quality.reports.findings import Check
from gpu_quality.reports.html import Markup, escape, joined, tag
from gpu_quality.reports.next_model import Step, label_steps, model_steps, out_of
from gpu_quality.reports.sections import section
from gpu_quality.text import clean, counted, spaced

MOST: Final = 10
CHECKS, ISSUES = 2, 1
"""Health checks that are named, the gravest first, and issues of frames; their parts of the page have all."""


def steps(content: Content) -> list[Step]:
    """At most ten things to do, those first that make every other number wrong; empty where nothing was found."""
    found = (_broken(content), _labels(content), _copies(content), model_steps(content), _frames(content), label_steps(content))
    return list(islice(chain(*found), MOST))


def _broken(content: Content) -> Iterator[Step]:
    out = out_of(content)
    if len(content.errors):
        things = counted(len(content.errors), "frame, label or number", "frames, labels or numbers")
        yield Step(f"Read why {things} could not be used", f"gpu-quality errors {out}", "table errors", "errors")
    for leaks in content.copies.leaks:
        if leaks.count:
            what = f"Take {counted(leaks.count, 'duplicate')} out of one of the two {leaks.between} that share them"
            kept = "duplicates" if leaks.between == "splits" else "duplicates_against"
            sql = f"select * from {kept}"  # noqa: S608 - text to read, nothing runs it
            yield Step(what, f'gpu-quality query {out} "{sql}"', f"results/{kept}.json", f"leaks-{leaks.between}")


def _labels(content: Content) -> Iterator[Step]:
    """Findings of the health checks, and labels that look like those of another class."""
    out = out_of(content)
    every = () if content.labels is None else content.labels.checks
    for at in [at for at, check in enumerate(every) if _is_work(check)][:CHECKS]:
        check = every[at]
        verb, where = ("Repair" if check.severity == "error" else "Look at"), f" ({check.origin})" if check.predicted else ""
        what = f"{verb} {check.count:,} × {spaced(check.code)}{where}: {check.meaning}"
        yield Step(what, f"gpu-quality check {out} --code {check.code}", f"health check {check.code}", f"label-{at}")
    if content.meaning is not None and content.meaning.doubtful:
        what = f"Look at the {counted(content.meaning.doubtful, 'label')} whose look-alikes have another class"
        sql = (
            "select object, frame from objects where origin = 0 and object_annotation_verdict = 2 "
            "order by object_annotation_quality"
        )
        yield Step(what, f'gpu-quality query {out} "{sql}"', "column object_annotation_verdict", "meaning")


def _is_work(check: Check) -> bool:
    """Whether somebody has to act: on what is odd in labels, and on predictions that are broken."""
    return check.severity == "error" or (check.severity == "warning" and not check.predicted)


def _copies(content: Content) -> Iterator[Step]:
    """Duplicates to remove, or to look for where nobody did."""
    out, found = out_of(content), content.copies
    if found.asked and found.counts["surplus"]:
        what = f"Remove {counted(found.counts['surplus'], 'duplicate')}; the list says which frame of a group to keep"
        yield Step(what, f"gpu-quality duplicates {out} --format csv --out copies.csv", "results/duplicates.json", "duplicates")
    elif found.ask:
        again = " as things are now" if found.asked else ""
        what = f"Look for copies, edits, flips and turns, and which to keep{again}"
        yield Step(what, f"gpu-quality duplicates {out}", "changed since" if again else "nobody asked yet")


def _frames(content: Content) -> Iterator[Step]:
    """The issues of frames, the most frequent first; what most frames have is no finding."""
    found = [(at, issue) for at, issue in enumerate(content.issues) if len(issue.rows) and not issue.common]
    for at, issue in found[:ISSUES]:
        sql = f"select frame from frames where {issue.column.name}"  # noqa: S608 - text to read, nothing runs it
        what = f"Look at the {counted(len(issue.rows), 'frame')} with the issue {spaced(issue.name)}"
        yield Step(what, f'gpu-quality query {out_of(content)} "{sql}"', f"column {issue.column.name}", f"issue-{at}")


def further(content: Content) -> list[Step]:
    """Commands that go deeper, whatever was found."""
    out = out_of(content)
    found = [Step("the same findings in the terminal", f"gpu-quality show {out} --issues")]
    metric = next((d.column.name for d in content.distributions if d.column.bad != "neither"), "")
    if metric:
        found.append(Step("the worst frames by one metric", f"gpu-quality show {out} --sort {metric} --worst 20"))
        found.append(Step("what exactly a number means", f"gpu-quality metric show {metric}"))
    found += _by_likeness(content, out)
    found.append(Step("everything of this page as JSON", f"gpu-quality report {out} --json"))
    found.append(Step("all numbers, for a spreadsheet", f"gpu-quality export {out} --format csv --to scores.csv"))
    return found


def _by_likeness(content: Content, out: str) -> Iterator[Step]:
    """What vectors answer: which frames look like one, or like words."""
    if content.meaning is None or not content.meaning.frames:
        return
    frame = _example(content)
    if frame:
        command = f"gpu-quality search {out} --frame {shlex.quote(frame)} --html like_it.html"
        yield Step("the frames that look most like this one", command)
    if content.meaning.words:
        yield Step("the frames most like words", f'gpu-quality search {out} --text "a truck at night"')


def _example(content: Content) -> str:
    """Id of a frame with an issue that can be typed, else of one that was scored; empty where there is none."""
    failed = set(content.errors["frame"]) if len(content.errors) else set()
    flagged = (content.ids[row] for issue in content.issues for row in issue.rows.tolist())
    return next((name for name in chain(flagged, content.ids) if name not in failed and clean(name, len(name)) == name), "")


def next_section(content: Content) -> Markup:
    """What to do, in order, each with the part of the page that shows it."""
    place = joined(("Type these in the folder that holds ", tag("code", content.name), "."))
    found = steps(content)
    told = "In this order: first what makes other numbers wrong. " if len(found) > 1 else ""
    told = told if found else "Nothing was found that asks for work."
    rows = [
        tag("li", tag("strong", _linked(step)), " ", tag("small", f"({step.source})"), tag("code", step.command))
        for step in found
    ]
    steps_ = tag("ol.steps", joined(rows)) if rows else ""
    return section("next", "What to do", tag("p.lead", told, place if found else ""), steps_)


def _linked(step: Step) -> object:
    return tag("a", step.what, attributes={"href": f"#{step.anchor}"}) if step.anchor else step.what


def further_section(content: Content) -> Markup:
    """Commands that go deeper, and what made the numbers."""
    place = joined(("Type these in the folder that holds ", tag("code", content.name), "."))
    more = joined(tag("li", tag("code", step.command), tag("span.muted", step.what)) for step in further(content))
    return section("further", "Look further", tag("p.lead", place), tag("ul.commands", more), _about(content))


def _about(content: Content) -> Markup:
    rows = joined(tag("div", tag("dt", key), tag("dd", escape(value))) for key, value in about(content))
    return joined((tag("h3", "How the numbers were made"), tag("dl.about", rows)))


def about(content: Content) -> list[tuple[str, object]]:
    """What made the numbers: versions, formats, decoding, seed."""
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
    return [(key, value) for key, value in facts if value != ""]
