"""What a selection is made from: frames that may be chosen, frames known already, their classes, and duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.api import duplicates_result
from gpu_quality.api.results import kept_table
from gpu_quality.api.slices import frame_rows
from gpu_quality.errors import UsageError
from gpu_quality.functional.association import components
from gpu_quality.store.store import Store
from gpu_quality.text import clean, counted

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
LABELED: Final = ("labelled", "labeled")
SELECTED: Final = "selected"
_UNREAD: Final = frozenset({"list", "open", "read", "sniff", "decode"})
"""Stages at which a frame has no picture yet."""
_GROUPS: Final = ("exact_duplicate_group", "embedding_duplicate_group", "near_duplicate_group", "near_duplicate_group_d4")


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of a store, and which of them may be chosen."""

    frame: list[str]
    uri: list[str]
    free: Mask
    known: Mask
    """Excluded ones: what is chosen is to be far from them, and no copy of them."""
    selected: Mask
    """Those of them that earlier selections chose."""
    labeled: Mask
    counts: dict[str, int]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copies:
    """Groups of frames of which one is enough."""

    group: Ints
    """-1 for frames of none."""
    keep: Mask
    """Frames that `duplicates` says to keep."""
    source: str
    notes: tuple[str, ...] = ()


def frames_of(store: Store, exclude: Sequence[str], where: str) -> Frames:
    """Frames that can be read, meet the condition and are not excluded. Raises `UsageError`."""
    table = store.table("frame", ["frame", "uri", "labelled"])
    frame = table["frame"].astype(str).tolist()
    notes: list[str] = []
    labeled, selected = table["labelled"].to_numpy(bool), np.zeros(len(frame), bool)
    known = np.zeros(len(frame), bool)
    for what in exclude:
        if what == SELECTED:
            selected = np.isin(frame, _chosen_before(store, notes))
        elif what not in LABELED:
            known |= _listed(what, frame, table["uri"].astype(str).tolist(), notes)
    known |= selected
    if set(LABELED) & set(exclude):
        known |= labeled
    failed = np.isin(frame, _unreadable(store)) & ~known
    inside = frame_rows(store, where) if where else np.ones(len(frame), bool)
    free = inside & ~known & ~failed
    counts = {
        "frames": len(frame), "excluded": int(known.sum()), "unreadable": int(failed.sum()),
        "outside": int((~inside & ~known & ~failed).sum()),
    }  # fmt: skip
    return Frames(frame, table["uri"].astype(str).tolist(), free, known, selected, labeled, counts, tuple(notes))


def _unreadable(store: Store) -> list[str]:
    """Frames that gave no picture."""
    errors = store.errors()
    lost = errors["stage"].isin(_UNREAD) & errors["metric"].isna() & errors["frame"].notna()
    return [str(name) for name in errors["frame"][lost]]


def _chosen_before(store: Store, notes: list[str]) -> list[str]:
    """Frames of the last selection, and of those before that it excluded in turn. Raises `CorruptError`."""
    last, before = (kept_table(store, "selection", table) for table in ("", "before"))
    if last is None:
        notes.append("nothing was selected before")
    return [str(name) for table in (last, before) if table is not None for name in table["frame"]]


def _listed(what: str, frame: list[str], uri: list[str], notes: list[str]) -> Mask:
    """Frames that a file lists, one id or uri a line. Raises `UsageError`."""
    try:
        text = Path(what).read_text("utf-8-sig", "surrogateescape")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"--exclude {clean(what)}: {why}", hint="it is labelled, selected, or a file with one frame a line"
        ) from None
    names = {line.strip() for line in text.splitlines()} - {""}
    found = np.isin(frame, list(names)) | np.isin(uri, list(names))
    strangers = len(names - set(frame) - set(uri))
    if strangers and strangers == len(names):
        raise UsageError(
            f"--exclude {clean(what)}: none of its {counted(strangers, 'line')} names a frame of the run",
            hint=f"one frame a line, as --format list writes them, such as {clean(uri[0], 80) if uri else 'a.jpg'}",
        )
    if strangers:
        notes.append(f"{clean(what)}: {counted(strangers, 'line')} of {len(names):,} name no frame of the run")
    return found


def copies_of(store: Store, frames: Frames) -> Copies:
    """Groups of the saved answer of `duplicates`; without one, of the stored columns of duplicates. Raises `CorruptError`."""
    group, keep = np.full(len(frames.frame), -1, np.int64), np.zeros(len(frames.frame), bool)
    answer, notes = duplicates_result.saved(store), list[str]()
    if answer is not None and answer.facts.get("made_from") != duplicates_result.made_from(store):
        notes.append(f"the saved answer of duplicates is outdated; gpu-quality duplicates {clean(store.path)} makes it anew")
        answer = None
    if answer is not None:
        row = {name: place for place, name in enumerate(frames.frame)}
        for number, found in enumerate(answer.groups):
            group[[row[member["frame"]] for member in found["members"]]] = number
            keep[row[found["keep"]]] = True
        return Copies(group, keep, "the saved answer of duplicates")
    known = store.columns()
    names = [name for name in _GROUPS if name in known]
    if not names:
        missing = "duplicates are not known and may be chosen together; gpu-quality duplicates finds them"
        return Copies(group, keep, "nothing", (*notes, missing))
    lowest = torch.arange(len(group))
    for name in names:
        first = store.column(name).to_numpy(np.float64, na_value=np.nan)
        member = np.flatnonzero(~np.isnan(first))
        pairs = np.stack([first[member].astype(np.int64), member], 1)
        lowest = components(torch.from_numpy(pairs), lowest)
    return Copies(_several(lowest.numpy()), keep, ", ".join(names), tuple(notes))


def _several(first: Ints) -> Ints:
    """Groups by their first member; -1 where it is alone."""
    return np.where(np.bincount(first, minlength=len(first))[first] > 1, first, -1) if len(first) else first


def classes_of(store: Store, predictions: str | None, confidence: float) -> tuple[Ints, Ints]:
    """Pairs of frames and the classes they show, each once: as labeled, and where nothing is labeled as predicted."""
    labeled = store.table("frame", ["labelled"])["labelled"].to_numpy(bool)
    origins = list(store.identity["origins"])
    parts = []
    for row, class_id, origin, score in (_objects(store), _answers(store)):
        sure = ~(score < confidence)
        chosen = origins.index(predictions) if predictions is not None else -1
        there = np.where(labeled[row], origin == 0, (origin == chosen) & sure) & (class_id >= 0)
        parts.append(np.stack([row[there], class_id[there]], 1))
    pairs = np.unique(np.concatenate(parts), axis=0)
    return pairs[:, 0], pairs[:, 1]


Shown = tuple[Ints, Ints, Ints, NDArray[np.float64]]


def _objects(store: Store) -> Shown:
    """Frame, class, origin and score of every object."""
    return _columns(store.table("object", ["row", "class_id", "origin", "score"]) if store.input.count("objects") else None)


def _answers(store: Store) -> Shown:
    """The same of every answer about a whole frame."""
    if not store.input.count("classifications"):
        return _columns(None)
    table = store.table("classification", ["frame", "object", "class_id", "origin", "score"])
    table = table[table["object"].isna()]
    row = {name: place for place, name in enumerate(store.table("frame", ["frame"])["frame"])}
    return _columns(table.assign(row=[row[name] for name in table["frame"]]))


def _columns(table: object) -> Shown:
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        none = np.zeros(0, np.int64)
        return none, none, none, np.zeros(0)
    row, class_id, origin = (table[name].to_numpy(np.int64) for name in ("row", "class_id", "origin"))
    return row, class_id, origin, table["score"].to_numpy(np.float64, na_value=np.nan)
