"""One self-contained HTML file with the pictures of a slice: its frames, or its objects with lines around them."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.api.slices import condition_of, frame_rows, level_of, object_rows
from gpu_quality.errors import UsageError
from gpu_quality.reports.columns import Sheet, name_of
from gpu_quality.reports.html import Markup, document, tag
from gpu_quality.reports.pictures import Album, decode_settings, image_root
from gpu_quality.reports.sections import figure, more, section, sheet_of
from gpu_quality.reports.shots import OTHER, Shot, object_marks
from gpu_quality.store.commit import commit_bytes
from gpu_quality.store.store import Store
from gpu_quality.text import clean, counted

PICTURES: Final = 200
"""Pictures of a page; more make one that nobody scrolls through."""
_MARKED: Final = 100
"""Objects of a frame that are drawn."""
_WHOLE: Final = {"style": "display: block"}
"""The page has no table of contents beside it."""
_OBJECTS: Final = ("object", "origin", "class_id", "box", "kind", "polygon", "score")
_FAILED: Final = ("fn", "fp")
_WORDS: Final = {"tp": "true", "fp": "false", "fn": "missed", "matched": "found"}


@dataclass(frozen=True, slots=True)
class SlicePart:
    """The frames or objects of a slice: missed labels first, then false predictions, the surest first."""

    store: Store
    name: str
    condition: str
    per: str
    rows: NDArray[np.int64]
    """Rows of the table of frames or objects, in input order."""
    outcome: Mapping[int, str]
    """What came of the objects that are shown, where that is known."""
    shown: Sequence[int]
    frames: int


def part_of(store: Store, where: str, per: str | None = None, most: int = PICTURES) -> SlicePart:
    """The frames or objects (`per`; what the condition is about without it) of a slice. Raises `UsageError`."""
    per = per or level_of(store, where)
    rows = np.flatnonzero((frame_rows if per == "frame" else object_rows)(store, where))
    condition = condition_of(store, where)
    outcome = _outcomes(store, condition) if per == "object" else None
    first = rows
    if outcome is not None:
        score = store.column("score", "object").to_numpy(np.float64, na_value=np.nan)[rows]
        place = np.select([outcome[rows] == name for name in _FAILED], range(len(_FAILED)), len(_FAILED))
        first = rows[np.lexsort((-np.nan_to_num(score), place))]
    shown = first[:most].tolist()
    told = {} if outcome is None else {row: str(outcome[row]) for row in shown if outcome[row]}
    frames = len(rows) if per == "frame" else int(frame_rows(store, where).sum())
    return SlicePart(store, where, condition, per, rows, told, shown, frames)


def write_slice(
    store: Store, where: str, path: str | Path, *, per: str | None = None, budget_mb: float = 5.0
) -> Path:  # fmt: skip
    """Write the page of a slice and return where it is; thumbnails shrink until it has at most about `budget_mb` megabytes.

    Raises `UsageError` where `path` is a folder or `where` no condition, `DiskFullError`, `ResourceError`.
    """
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"{target} is a folder", hint=f"name a file, such as {target / 'slice.html'}")
    page = slice_page(part_of(store, where, per), dt.datetime.now(dt.UTC), int(budget_mb * 1e6))
    commit_bytes(target, page.encode("utf-8"))
    return target


def slice_page(part: SlicePart, written: dt.datetime, budget: int) -> str:
    """The page as text; `budget` is in bytes."""
    store = part.store
    frames = Sheet("frame", {}, store.table("frame", ["frame", "uri", "size_bytes", "mtime_ns"]))
    ids = frames.ids()
    entries = [_of_frame(store, row) if part.per == "frame" else _of_object(part, row) for row in part.shown]
    album = Album(frames, image_root(store.path), decode_settings(store.identity))
    bare = _render(part, album, ids, entries, written)
    album.fill([shot for shot, _, _ in entries], max(budget - len(bare.encode()), 0))
    return _render(part, album, ids, entries, written)


def objects_at(store: Store, frame: int) -> list[dict[str, Any]]:
    """The objects of a frame, in input order."""
    table = store.objects(frame, frame + 1)
    return list(table.select([name for name in _OBJECTS if name in table.column_names]).to_pylist())


def _outcomes(store: Store, condition: str) -> NDArray[Any]:
    """What came of every object, "" where nothing is known: of labels in the set that the condition names, or the first."""
    names = [name for name, facts in store.columns().items() if facts.get("metric") == "outcome"]
    names.sort(key=lambda name: re.search(rf"\b{re.escape(name)}\b", condition) is None)
    found = np.full(store.input.count("objects"), "", dtype=object)
    for name in names:
        own = store.column(name, "object").fillna("").to_numpy(object)
        found = np.where(found == "", own, found)
    return found


def _of_object(part: SlicePart, row: int) -> tuple[Shot, str, str]:
    """The picture of an object, its class and origin, and what came of it."""
    frame = int(np.searchsorted(_starts(part.store), row, side="right")) - 1
    start = part.store.input.object_range(frame, frame + 1).start
    found = objects_at(part.store, frame)[row - start]
    origin = int(found["origin"])
    marks = object_marks(found) if origin == 0 else object_marks(found, OTHER, dashed=True)
    score = "" if found.get("score") is None else f" {found['score']:.2f}"
    kind = f"{name_of(part.store.identity.get('classes'), int(found['class_id']))}{score}"
    told = _WORDS.get(part.outcome.get(row, ""), "") or name_of(part.store.identity.get("origins"), origin)
    return Shot(frame, marks), kind, told


def _starts(store: Store) -> NDArray[np.int64]:
    """The first object of every frame."""
    frame = np.asarray(store.input.table("objects", ["row"])["row"].to_numpy())
    return np.searchsorted(frame, np.arange(store.input.count("frames")))


def _of_frame(store: Store, row: int) -> tuple[Shot, str, str]:
    """The picture of a frame with its labels, and how many there are."""
    labels = [one for one in objects_at(store, row) if one["origin"] == 0] if store.input.count("objects") else []
    marks = tuple(mark for one in labels[:_MARKED] for mark in object_marks(one))
    return Shot(row, marks, whole=True), counted(len(labels), "label") if labels else "", ""


def _render(
    part: SlicePart, album: Album, ids: Sequence[str], entries: Sequence[tuple[Shot, str, str]], written: dt.datetime
) -> str:
    main = tag("main", _header(part, written), _pictures(part, album, ids, entries), attributes={"id": "top"})
    return document(f"Slice {clean(part.name, 100)}", tag("div.page", main, attributes=_WHOLE))


def _header(part: SlicePart, written: dt.datetime) -> Markup:
    what = counted(len(part.rows), part.per) + (f" in {counted(part.frames, 'frame')}" if part.per == "object" else "")
    condition = tag("p.muted", "Condition: ", tag("code", clean(part.condition, 600)))
    return tag(
        "header", tag("p.kicker", "Slice"), tag("h1", clean(part.name, 200)), Markup("\n"),
        tag("p.date", f"Written {written.strftime('%Y-%m-%d %H:%M UTC')}"), Markup("\n"),
        condition, tag("p.muted", f"{what} of {part.store.path.resolve().name}."),
    )  # fmt: skip


def _pictures(part: SlicePart, album: Album, ids: Sequence[str], entries: Sequence[tuple[Shot, str, str]]) -> Markup:
    if not entries:
        return section("pictures", "Nothing in it", tag("p", f"No {part.per} meets the condition."))
    figures = [
        figure(album, shot, ids[shot.row], kind, told, alt=f"{f'{kind} in ' if kind else ''}{ids[shot.row]}")
        for shot, kind, told in entries
    ]
    lines = "Amber lines are labels, dashed blue ones predictions" if part.per == "object" else "Amber lines are labels"
    order = "; missed labels come first, then false predictions, the surest first" if part.outcome else ""
    rest = more(len(part.rows), len(figures), part.per)
    return section("pictures", counted(len(part.rows), part.per), tag("p.lead", f"{lines}{order}."), sheet_of(figures), rest)
