"""The verb `search`: the frames or objects of a store most like words, a picture, or another frame or object of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gpu_quality.api import queries
from gpu_quality.api.queries import KINDS, PREDICTIONS, Query
from gpu_quality.api.vectors import Hits, Per, Vectors, vectors_of
from gpu_quality.errors import UsageError
from gpu_quality.index.choice import NAMES as INDEXES
from gpu_quality.store.store import Store
from gpu_quality.text import clean, counted

if TYPE_CHECKING:
    import pandas as pd

Among = Literal["frames", "objects"]
MOST = 10_000
"""Answers of one search: more than anybody reads."""


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to one search."""

    store: Store
    query: Query
    among: Among
    card: str
    hits: Hits
    listed: int
    """Frames or objects of the input."""
    table: "pd.DataFrame"
    """As `search` returns it."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was not searched, and what to mind."""
        less = self.listed - self.hits.known
        noun = self.among.removesuffix("s")
        missing = f"{less:,} of {counted(self.listed, noun)} have no vector and cannot be found"
        if self.among == "objects" and len(self.store.identity.get("origins") or ()) > 1:
            missing += f"; {PREDICTIONS}"
        return (*((missing,) if less else ()), *self.query.notes, *self.hits.notes)


def search(
    store: str | Path | Store,
    *,
    text: str | None = None,
    image: object = None,
    frame: str | None = None,
    object: str | None = None,  # noqa: A002 - the word of the field
    among: Among | None = None,
    count: int = 20,
    index: str = "auto",
    card: str | None = None,
) -> "pd.DataFrame":
    """The frames or objects most like what is asked for, most similar first: one of words, an image, a frame, an object.

    Columns: rank (from 1), frame, similarity (cosine, at most 1), uri; for objects also object, class and origin. `image` is a
    path, the bytes of a file, a Pillow image, an array (HWC) or a tensor (CHW). `among` is by default "objects" for an object,
    else "frames"; a frame or object is left out of its own answer. `index` names one of exact, flat, ivf, hnsw, pq; "auto" goes
    by size. `card` names a file where the store's encoder card is not found by name. ``table.attrs`` holds "index" (the choice
    and why) and "notes".

    Raises `UsageError` where not exactly one thing is asked for, the store has no vectors, or its card no text tower;
    `UnknownNameError` for an unknown id, `IncompatibleError` where the card's weights are not those of the store.
    """
    found = find(
        store, text=text, image=image, frame=frame, object=object, among=among, count=count, index=index, card=card
    )  # fmt: skip
    found.table.attrs.update(index=found.hits.choice.why, notes=list(found.notes))
    return found.table


def find(
    store: str | Path | Store,
    *,
    text: str | None = None,
    image: object = None,
    frame: str | None = None,
    object: str | None = None,  # noqa: A002
    among: Among | None = None,
    count: int = 20,
    index: str = "auto",
    card: str | None = None,
) -> Found:
    """What `search` returns, with everything that is to be said about it. Raises as `search`."""
    asked = {"text": text, "image": image, "frame": frame, "object": object}
    kind = _one_of([name for name in KINDS if asked[name] is not None])
    _refuse(among, count, index)
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    chosen: Among = among or ("objects" if kind == "object" else "frames")
    per: Per = "object" if chosen == "objects" else "frame"
    vectors = vectors_of(opened, per)
    query = _query(opened, vectors, kind, asked[kind], card)
    hits = vectors.search(query.vector, count, own=query.row if kind == per else -1, kind=index)
    listed = opened.input.count(f"{per}s")
    return Found(opened, query, chosen, str(vectors.encoder["card"]), hits, listed, _table(opened, per, hits))


def _one_of(given: list[queries.Kind]) -> queries.Kind:
    if len(given) == 1:
        return given[0]
    what = "nothing to search for is given" if not given else f"{' and '.join(given)} are given"
    raise UsageError(f"search takes one question: {what}", hint="give one of text, image, frame, object")


def _refuse(among: str | None, count: int, index: str) -> None:
    if among not in (None, "frames", "objects"):
        raise UsageError(f"search among {clean(among)!r}: choose frames or objects")
    if not 1 <= count <= MOST:
        raise UsageError(f"count is {count}, it must be from 1 to {MOST:,}")
    if index not in ("auto", *INDEXES):
        raise UsageError(f"there is no index {clean(index)!r}", hint=f"choose one of auto, {', '.join(INDEXES)}")


def _query(store: Store, vectors: Vectors, kind: queries.Kind, value: Any, card: str | None) -> Query:
    if kind == "image":
        return queries.from_image(store, vectors, value, card)
    if not isinstance(value, str):
        raise UsageError(f"{kind} must be text, got {type(value).__name__}")
    if kind == "text":
        return queries.from_text(store, vectors, value, card)
    return queries.from_store(store, vectors, kind, value)


def _table(store: Store, per: Per, hits: Hits) -> "pd.DataFrame":
    """Ids of the rows found, in their order."""
    frames = store.table("frame", ["frame", "uri"])
    rows = list(hits.rows)
    if per == "frame":
        found = frames.iloc[rows].reset_index(drop=True)
        found.insert(1, "similarity", list(hits.similarity))
    else:
        objects = store.table("object", ["frame", "object", "class_id", "origin", "row"]).iloc[rows].reset_index(drop=True)
        found = objects[["frame", "object"]].copy()
        found["similarity"] = list(hits.similarity)
        found["class"] = [_name(store, "classes", number) for number in objects["class_id"]]
        found["origin"] = [_name(store, "origins", number) for number in objects["origin"]]
        found["uri"] = frames["uri"].to_numpy()[objects["row"].to_numpy()]
    found.insert(0, "rank", range(1, len(rows) + 1))
    return found


def _name(store: Store, what: str, number: int) -> str:
    names = store.identity.get(what) or ()
    return str(names[number]) if 0 <= number < len(names) else str(number)
