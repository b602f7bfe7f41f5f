"""The objects of single frames, and what lies before and after a frame of a video: read when a picture needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from gpu_quality.reports.columns import name_of
from gpu_quality.reports.shots import OTHER, OWN, Shot, box_mark, object_marks
from gpu_quality.store.store import Store

_COLUMNS: Final = ("object", "frame", "row", "origin", "class_id", "box", "track", "kind", "polygon")
ALIVE: Final = 0.25
"""Overlap from which an object of another frame may be the same thing, as in the metric track_continuity."""
Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Still:
    """One picture of a filmstrip, and what is to be seen on it."""

    shot: Shot
    note: str


@dataclass(frozen=True, slots=True)
class Film:
    """The frames before, at and after something odd; None where the video begins or ends."""

    reason: str
    stills: tuple[Still | None, Still | None, Still | None]


class Scenes:
    """Objects by frame, each frame read once."""

    def __init__(self, store: Store, ids: Sequence[str]) -> None:
        self._store = store
        self.row_of = {name: row for row, name in enumerate(ids)}
        self._read: dict[int, dict[str, Found]] = {}
        self._before, self._after = _neighbors(store)

    def objects(self, row: int) -> dict[str, Found]:
        """The objects of a frame by id, without their masks."""
        if row not in self._read:
            table = self._store.objects(row, row + 1).select(list(_COLUMNS))
            self._read[row] = {found["object"]: found for found in table.to_pylist()}
        return self._read[row]

    def find(self, frame: object, name: object) -> Found | None:
        """An object by the ids of its frame and its own."""
        row = self.row_of.get(str(frame))
        return None if row is None else self.objects(row).get(str(name))

    def told(self, found: Found) -> str:
        """The class of an object, and its track where it has one."""
        name = name_of(self._store.identity.get("classes"), int(found["class_id"]))
        return name if found["track"] is None else f"{name} · track {found['track']}"

    def before(self, row: int) -> int | None:
        """The frame before a frame of a video."""
        return self._before.get(row)

    def film(self, found: Found, reason: str) -> Film:
        """The frame of an object between its neighbors, which show the same thing as far as it is there."""
        row = int(found["row"])
        middle = Still(Shot(row, object_marks(found), whole=True), self.told(found))
        before, after = (self._beside(found, side.get(row)) for side in (self._before, self._after))
        return Film(reason, (before, middle, after))

    def gap(self, found: Found, reason: str) -> Film:
        """The frame that lacks an object between the one that has it and the one that has it again."""
        row = int(found["row"])
        first = Still(Shot(row, object_marks(found), whole=True), self.told(found))
        hole = self._after.get(row)
        if hole is None:
            return Film(reason, (first, None, None))
        last = self._after.get(hole)
        again = None if last is None else self.same(found, last)
        if last is None or again is None:
            return Film(
                reason, (first, Still(Shot(hole), "missing here"), None if last is None else Still(Shot(last), "nothing there"))
            )
        end = Still(Shot(last, object_marks(again), whole=True), self.told(again))
        if (other := self._tracked(found, hole)) is not None:  # there all the while, but as something else
            between = Still(Shot(hole, object_marks(other, OTHER, dashed=True), whole=True), f"here {self.told(other)}")
            return Film("there, something else, there again", (first, between, end))
        middle = [(a + b) / 2 for a, b in zip(found["box"], again["box"], strict=True)]
        missing = Still(Shot(hole, (box_mark(middle, OTHER, dashed=True),), whole=True), "missing here")
        return Film(reason, (first, missing, end))

    def same(self, found: Found, row: int) -> Found | None:
        """What is the same thing in another frame: of the same track, else what overlaps it most."""
        tracked = self._tracked(found, row)
        if tracked is not None:
            return tracked
        members = [other for other in self.objects(row).values() if other["origin"] == found["origin"]]
        near = max(members, key=lambda other: overlap(found["box"], other["box"]), default=None)
        return near if near is not None and overlap(found["box"], near["box"]) >= ALIVE else None

    def _tracked(self, found: Found, row: int) -> Found | None:
        """What has the track of an object in another frame."""
        own = found["origin"], found["track"]
        members = self.objects(row).values() if found["track"] is not None else ()
        return next((other for other in members if (other["origin"], other["track"]) == own), None)

    def _beside(self, found: Found, row: int | None) -> Still | None:
        if row is None:
            return None
        other = self.same(found, row)
        if other is None:
            return Still(Shot(row), "nothing there")
        changed = (other["class_id"], other["track"]) != (found["class_id"], found["track"])
        marks = object_marks(other, OTHER if changed else OWN, dashed=changed)
        return Still(Shot(row, marks, whole=True), self.told(other))


def overlap(one: Sequence[float], two: Sequence[float]) -> float:
    """Intersection over union of two boxes; 0 where neither has an area."""
    w = min(one[2], two[2]) - max(one[0], two[0])
    h = min(one[3], two[3]) - max(one[1], two[1])
    both = max(w, 0.0) * max(h, 0.0)
    union = (one[2] - one[0]) * (one[3] - one[1]) + (two[2] - two[0]) * (two[3] - two[1]) - both
    return both / union if union > 0 else 0.0


def _neighbors(store: Store) -> tuple[dict[int, int], dict[int, int]]:
    """The row of the frame before and after every frame of a video."""
    table = store.frames(["sequence", "position"])
    names, places = table.column("sequence").to_pylist(), table.column("position").to_pylist()
    rows = sorted((name, place, row) for row, (name, place) in enumerate(zip(names, places, strict=True)) if name)
    pairs = [(one[2], two[2]) for one, two in pairwise(rows) if one[0] == two[0]]
    return {two: one for one, two in pairs}, dict(pairs)
