"""One self-contained HTML file with the answer to a search: the query, and the pictures most like it."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gpu_quality.errors import UsageError
from gpu_quality.reports.columns import Sheet
from gpu_quality.reports.html import Markup, document, joined, name_tag, tag
from gpu_quality.reports.pictures import LADDER, Album, Picture, decode_settings, image_root
from gpu_quality.reports.scenes import Scenes
from gpu_quality.reports.sections import figure, more, section, sheet_of
from gpu_quality.reports.shots import Shot, object_marks
from gpu_quality.store.commit import commit_bytes
from gpu_quality.text import clean, counted

if TYPE_CHECKING:
    from gpu_quality.api.search import Found

PICTURES: Final = 200
"""Answers that are shown as pictures; more make a page that nobody scrolls through."""
GIVEN: Final = Shot(-1)
"""Stands for a picture that was brought along, which is no frame of the store."""
_WHOLE: Final = {"style": "display: block"}
"""The page has no table of contents beside it."""
_COLUMNS: Final = ["frame", "uri", "size_bytes", "mtime_ns"]


@dataclass(frozen=True, slots=True)
class _Shown:
    """One picture of the page."""

    shot: Shot
    name: str
    kind: str = ""
    """What an object is."""
    object: str = ""


def write_search(found: "Found", path: str | Path, *, budget_mb: float = 5.0) -> Path:
    """Write the page of a search and return where it is; thumbnails shrink until it has at most about `budget_mb` megabytes.

    Raises `UsageError` where `path` is a folder, `DiskFullError`, `ResourceError`.
    """
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"{target} is a folder", hint=f"name a file, such as {target / 'search.html'}")
    commit_bytes(target, search_page(found, dt.datetime.now(dt.UTC), int(budget_mb * 1e6)).encode("utf-8"))
    return target


def search_page(found: "Found", written: dt.datetime, budget: int) -> str:
    """The page as text; `budget` is in bytes."""
    store = found.store
    frames = Sheet("frame", {}, store.table("frame", _COLUMNS))
    scenes = Scenes(store, frames.ids())
    shown = [_answer(found, scenes, row) for row in found.table.head(PICTURES).to_dict("records")]
    asked = _asked(found, scenes)
    album = Album(frames, image_root(store.path), decode_settings(store.identity))
    wanted = [entry.shot for entry in ([] if asked is None else [asked]) + shown if entry.shot != GIVEN]
    album.fill(wanted, max(budget - len(_render(found, album, asked, shown, written).encode()), 0))
    if found.query.rgb is not None:
        album.pictures[GIVEN] = _picture(found.query.rgb)
    return _render(found, album, asked, shown, written)


def _picture(rgb: Any) -> Picture:
    from gpu_quality.data.thumbnail import shrink, thumbnail

    longest, quality = LADDER[0]
    height, width = shrink(rgb, longest).shape[:2]
    return Picture(thumbnail(rgb, longest, quality), width, height)


def _asked(found: "Found", scenes: Scenes) -> _Shown | None:
    """The picture of the query; None for words."""
    query = found.query
    if query.kind == "text":
        return None
    if query.kind == "image":
        return _Shown(GIVEN, Path(query.told).name)
    if query.kind == "frame":
        return _Shown(Shot(query.row), query.told)
    row = found.store.table("object", ["frame"])["frame"].iloc[query.row]
    return _of_object(scenes, str(row), query.told)


def _answer(found: "Found", scenes: Scenes, row: dict[str, Any]) -> _Shown:
    if found.among == "frames":
        return _Shown(Shot(scenes.row_of[row["frame"]]), row["frame"])
    return _of_object(scenes, row["frame"], row["object"])


def _of_object(scenes: Scenes, frame: str, name: str) -> _Shown:
    known = scenes.find(frame, name)
    if known is None:
        return _Shown(Shot(scenes.row_of[frame]), frame)
    return _Shown(Shot(int(known["row"]), object_marks(known)), frame, scenes.told(known), name)


def _render(found: "Found", album: Album, asked: _Shown | None, shown: list[_Shown], written: dt.datetime) -> str:
    main = tag(
        "main", _header(found, written), _query(found, album, asked), _answers(found, album, shown), attributes={"id": "top"}
    )  # fmt: skip
    told = found.query.told if found.query.kind == "text" else f"{found.query.kind} {_name(found)}"
    return document(f"Search for {clean(told, 100)}", tag("div.page", main, attributes=_WHOLE))


def _name(found: "Found") -> str:
    """What the query is called; of a file only the last part, the rest of its path is nobody's business."""
    return Path(found.query.told).name if found.query.kind == "image" else found.query.told


def _header(found: "Found", written: dt.datetime) -> Markup:
    kind = found.query.kind
    title = joined(("“", name_tag(_name(found), 200), "”")) if kind == "text" else joined(("Like ", name_tag(_name(found))))
    noun = found.among.removesuffix("s")
    looked = f"{counted(found.hits.known, noun)} of {found.store.path.resolve().name}, embedded with {found.card}."
    return tag(
        "header", tag("p.kicker", "Search"), tag("h1", title), Markup("\n"),
        tag("p.date", f"Written {written.strftime('%Y-%m-%d %H:%M UTC')}"), Markup("\n"),
        tag("p.muted", f"Searched: {looked} {found.hits.choice.why[:1].upper()}{found.hits.choice.why[1:]}."),
        *(tag("p.warning", f"{note[:1].upper()}{note[1:]}.") for note in found.notes),
    )  # fmt: skip


def _query(found: "Found", album: Album, asked: _Shown | None) -> Markup | str:
    if asked is None:
        return ""
    name = {"image": "The image", "frame": "The frame", "object": "The object"}[found.query.kind]
    return section("query", name, sheet_of([figure(album, asked.shot, asked.name, asked.kind, below=clean(asked.object, 26))]))


def _answers(found: "Found", album: Album, shown: list[_Shown]) -> Markup:
    if not shown:
        return section("answers", "Nothing found", tag("p", "There is nothing else with a vector to compare with."))
    scores = found.table["similarity"].tolist()
    figures = [
        figure(
            album, entry.shot, entry.name, f"{rank}. {score:.3f}", entry.kind,
            alt=f"answer {rank}: {f'{entry.kind} in ' if entry.kind else ''}{entry.name}", below=clean(entry.object, 26),
        )
        for rank, (entry, score) in enumerate(zip(shown, scores, strict=False), 1)
    ]  # fmt: skip
    scale = "1 means equal" if found.query.kind != "text" else "of words and pictures only the order means something"
    lead = tag("p.lead", f"Most similar first. The number is the cosine of both vectors: {scale}.")
    title = f"The {counted(len(found.table), found.among.removesuffix('s'))} most like it"
    return section("answers", title, lead, sheet_of(figures), more(len(found.table), len(figures), found.among[:-1]))
