"""Weak slices: parts of the data where the model surely fails more often, each with pictures of what fails in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from gpu_quality.api.slices import object_rows
from gpu_quality.api.subjects import Subjects
from gpu_quality.reports.shots import Shot, box_mark
from gpu_quality.store.store import Store

SLICES, EXAMPLES = 3, 6
"""Slices of predictions and of labels that are shown, and failures of each."""
NAME: Final = "weak_slices"
_FAILURE: Final = {"P": "false", "O": "missed"}


@dataclass(frozen=True, slots=True)
class Example:
    """A failure inside a slice."""

    frame: str
    label: str
    told: str
    shot: Shot


@dataclass(frozen=True, slots=True)
class Slice:
    """One weak slice."""

    rows: str
    """P: precision of predictions; O: recall of labels."""
    origin: int
    """Number of the origin: 0 labels, else that of the prediction set."""
    words: str
    where: str
    """The condition in SQL."""
    figure: str
    value: float
    low: float
    high: float
    rest: float
    """The figure of everything outside of it."""
    n: int
    failures: int
    excess: float
    """Failures beyond what is expected."""
    p: float
    """Corrected for all slices that were looked at."""
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Weak:
    """The weak slices that were found."""

    slices: tuple[Slice, ...] = ()
    found: int = 0
    """How many there are; the first of each kind are shown."""
    tested: int = 0
    messages: tuple[str, ...] = ()
    asked: bool = False
    """Whether somebody looked."""

    def shots(self) -> Iterator[Shot]:
        """Pictures this part shows."""
        for found in self.slices:
            yield from (example.shot for example in found.examples)


def weak_of(store: Store, given: Mapping[str, Subjects], kept: Mapping[str, Any] | None, *, look: bool) -> Weak:
    """What `slice find` answered; with `look`, where nobody asked, what it answers now."""
    if kept is None and not look:
        return Weak()
    facts = kept
    if facts is None:
        from gpu_quality.api.slices_weak import find_weak_slices

        first = next(iter(given.values()))
        facts = find_weak_slices(store, predictions=first.at["predictions"]).to_dict()
    parts = facts["rows"]
    shown = tuple(_slice(store, given[rows], one) for rows in given if rows in parts for one in parts[rows]["slices"][:SLICES])
    messages = tuple(dict.fromkeys(str(part["message"]) for part in parts.values() if part["message"]))
    found, tested = (sum(int(part[key]) for part in parts.values()) for key in ("found", "tested"))
    return Weak(shown, found, tested, messages, asked=True)


def _slice(store: Store, given: Subjects, one: Mapping[str, Any]) -> Slice:
    rows = given.rows
    sets = list(store.identity.get("origins") or ["labels"])
    origin = 0 if rows == "O" else sets.index(str(given.at["predictions"]))
    return Slice(
        rows, origin, str(one["words"]), str(one["condition"]), str(one["figure"]), float(one["rate"]), float(one["low"]),
        float(one["high"]), float(one["rest_rate"]), int(one["n"]), int(one["failures"]), float(one["excess"]),
        float(one["p_adjusted"]), _examples(store, given, str(one["condition"])),
    )  # fmt: skip


def _examples(store: Store, given: Subjects, condition: str) -> tuple[Example, ...]:
    """Failures inside a slice: of predictions the most confident ones, of labels the largest."""
    inside = object_rows(store, condition)[given.place] & (given.known_success() == 0)
    rows = np.flatnonzero(inside)
    if not len(rows):
        return ()
    table = store.table("object", ["box", "area", "score"]).iloc[given.place[rows]]
    size = table["score" if given.rows == "P" else "area"].to_numpy(np.float64, na_value=-np.inf)
    best = np.lexsort((rows, -size))[:EXAMPLES]
    told = _FAILURE[given.rows]
    return tuple(
        Example(
            str(given.table["frame"].iloc[rows[at]]), str(given.table["class"].iloc[rows[at]]), told,
            Shot(int(given.frame[rows[at]]), (box_mark(table["box"].iloc[at]),)),
        )
        for at in best.tolist()
    )  # fmt: skip
