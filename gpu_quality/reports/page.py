"""One self-contained HTML file about a store: written whole, opened anywhere, loading nothing."""

import datetime as dt
from pathlib import Path
from typing import Final

from gpu_quality.errors import UsageError
from gpu_quality.reports import asked_sections, duplicates, labels, look_alikes, measures, sections
from gpu_quality.reports.content import Content, gather
from gpu_quality.reports.far_section import far_section
from gpu_quality.reports.html import Markup, document, joined, tag
from gpu_quality.reports.model.section import model_links, model_section
from gpu_quality.reports.next_steps import further_section, next_section
from gpu_quality.reports.pictures import Album, decode_settings, image_root
from gpu_quality.reports.why.section import why_links, why_section
from gpu_quality.store.commit import commit_bytes
from gpu_quality.store.store import Store
from gpu_quality.text import counted, spaced

NAME: Final = "report.html"
_TITLES: Final = {
    "next": "What to do",
    "issues": "Issues",
    "duplicates": "Duplicates",
    "copies": "Copies",
    "labels": "Labels",
    "model": "Model",
    "why": "Why it fails",
    "meaning": "Look-alikes",
    "drift": "Drift",
    "selection": "Label next",
    "outliers": "Outliers",
    "extremes": "Extremes",
    "distributions": "Distributions",
    "objects": "Objects",
    "errors": "Errors",
    "further": "Look further",
}


def report(store: Store | str | Path, path: str | Path | None = None, *, budget_mb: float = 5.0) -> Path:
    """Write the report of a store, by default as ``report.html`` inside it, and return where it is.

    Thumbnails shrink, then get fewer, until the file has at most about `budget_mb` megabytes. The same store gives the same
    bytes but for the line with the dates. Raises `UsageError`, `NotAStoreError`, `CorruptError`, `DiskFullError`.
    """
    opened = store if not isinstance(store, str | Path) else Store.open(Path(store))
    target = Path(opened.path) / NAME if path is None else Path(path)
    _checked(target, budget_mb)
    return write(gather(opened), target, dt.datetime.now(dt.UTC), budget_mb)


def write(content: Content, path: str | Path, written: dt.datetime, budget_mb: float) -> Path:
    """Write the page of what was gathered and return where it is. Raises as `report` does."""
    target = _checked(Path(path), budget_mb)
    commit_bytes(target, drawn(content, written, int(budget_mb * 1e6)).encode("utf-8"))
    return target


def _checked(target: Path, budget_mb: float) -> Path:
    """The file to write, before anything is read. Raises `UsageError`."""
    if not budget_mb > 0:
        raise UsageError(f"budget_mb is {budget_mb}, it must be above 0")
    if target.is_dir():
        raise UsageError(f"{target} is a folder", hint=f"name a file, such as {target / NAME}")
    return target


def page(store: Store, written: dt.datetime, budget: int) -> str:
    """The page of a store as text; `budget` is in bytes."""
    return drawn(gather(store), written, budget)


def drawn(content: Content, written: dt.datetime, budget: int) -> str:
    """The page of what was gathered: laid out once to know its size, then with as many pictures as fit."""
    album = Album(content.frames, image_root(content.path), decode_settings(dict(content.identity)))
    if content.copies.other is not None:
        other, frames = content.copies.other
        album.add(frames, image_root(other.path), decode_settings(other.identity))
    bare = len(_render(content, album, written).encode())
    album.fill(content.shots(), max(budget - bare, 0))
    return _render(content, album, written)


def _render(content: Content, album: Album, written: dt.datetime) -> str:
    parts = {
        "next": next_section(content),
        "issues": sections.issues_section(content, album),
        "duplicates": duplicates.duplicates_section(content, album),
        "copies": sections.groups_section(content, album),
        "labels": labels.labels_section(content, album),
        "model": model_section(content.model, content.ids, album),
        "why": why_section(content, album),
        "meaning": look_alikes.meaning_section(content.meaning, content.ids, album),
        "drift": asked_sections.drift_section(content, album),
        "selection": asked_sections.selection_section(content, album),
        "outliers": far_section(content, album),
        "extremes": measures.extremes_section(content, album),
        "distributions": measures.distributions_section(content),
        "objects": measures.objects_section(content, album),
        "errors": measures.errors_section(content),
        "further": further_section(content),
    }
    present = {key: part for key, part in parts.items() if part is not None}
    main = tag("main", sections.header(content, written), _warning(album), joined(present.values()))
    skip = tag("a.skip", "Skip to the findings", attributes={"href": "#next"})
    body = joined((skip, tag("div.page", _contents(content, list(present)), main)))
    judged = content.model is not None and content.model.sets
    styles = ("model.css", "why.css") if judged or content.far is not None else ()
    return document(f"Data and model quality of {content.title}", body, *styles)


def _contents(content: Content, present: list[str]) -> Markup:
    """The table of contents, with every issue that was found and every check that spoke."""
    found = [(i, issue) for i, issue in enumerate(content.issues) if len(issue.rows)]
    inner = {
        "issues": [(spaced(issue.name), len(issue.rows), f"issue-{i}") for i, issue in found],
        "duplicates": _copy_links(content),
        "labels": _label_links(content),
        "model": model_links(content.model),
        "why": [] if content.why is None else why_links(content.why),
        **asked_sections.asked_links(content.drift, content.selection),
    }
    items = []
    for key in present:
        link = tag("a", _TITLES[key], attributes={"href": f"#{key}"})
        below = [
            tag("li", tag("a", name, " ", tag("small", f"{count:,}") if count else "", attributes={"href": f"#{anchor}"}))
            for name, count, anchor in inner.get(key, [])
        ]
        items.append(tag("li", link, tag("ul", joined(below)) if below else ""))
    return tag("nav", tag("ul", joined(items)), attributes={"aria-label": "Contents"})


def _copy_links(content: Content) -> list[tuple[str, int, str]]:
    """Name, count and anchor of what the part about duplicates holds."""
    found = content.copies
    links = [(f"leaks between {leaks.between}", leaks.count, f"leaks-{leaks.between}") for leaks in found.leaks]
    return links + ([("groups", found.counts["groups"], "duplicate-groups")] if found.groups else [])


def _label_links(content: Content) -> list[tuple[str, int, str]]:
    """Name, count and anchor of what the part about labels holds."""
    found = content.labels
    if found is None:
        return []
    loud = [(i, check) for i, check in enumerate(found.checks) if check.severity != "info"]
    links = [(spaced(check.code), check.count, f"label-{i}") for i, check in loud]
    quiet = sum(check.count for check in found.checks if check.severity == "info")
    links += [("remarks", quiet, "label-remarks")] if quiet else []
    links += [("tracks", sum(tracks.count for tracks in found.tracks), "label-tracks")] if found.tracks else []
    return links + ([("class balance", 0, "label-classes")] if found.classes else [])


def _warning(album: Album) -> Markup | str:
    """A remark where pictures could not be shown."""
    if album.gone:
        return tag(
            "p.warning",
            "The images are no longer where they were scored, or were given in memory: here are names and numbers only.",
        )
    missing = album.missing
    return tag("p.warning", f"{counted(missing, 'picture')} could not be shown; the places say why.") if missing else ""
