"""Duplicates as the verb `duplicates` left them in a store, gathered for the page: groups, leaks, and what is out of date."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gpu_quality.api.duplicates_result import AGAINST, COMPARED, OWN, Duplicates, made_from, saved
from gpu_quality.errors import CorruptError, GpuQualityError
from gpu_quality.reports.columns import Sheet
from gpu_quality.reports.figures import Groups
from gpu_quality.reports.shots import Shot
from gpu_quality.store.store import Store
from gpu_quality.text import counted, number

GROUPS_SHOWN, MEMBERS_SHOWN, PAIRS_SHOWN = 12, 6, 12
_OLD: Final = "What is stored has changed since these groups were made: the command below makes them anew."
_DAMAGED: Final = "is not what was written, and is not shown: the command below makes it anew."


@dataclass(frozen=True, slots=True)
class Copy:
    """A frame of a group, or an end of a leak; `shot` None: it is no frame of the run."""

    shot: Shot | None
    frame: str
    place: str
    """Its split or run, empty without."""
    sign: str = ""
    """Kind and similarity to the frame that leads its group; empty for that one."""
    keep: bool = False
    leads: bool = False
    """The others of its group are compared with it, which is not the one to keep."""


@dataclass(frozen=True, slots=True)
class Group:
    """Frames that show the same, the one to keep first."""

    copies: tuple[Copy, ...]
    count: int
    reason: str
    drift: str
    """How far it reaches beyond the thresholds, empty where it does not."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A frame and its duplicate on the other side."""

    ends: tuple[Copy, Copy]
    sign: str


@dataclass(frozen=True, slots=True)
class Leaks:
    """Duplicates across splits or runs: sentences with counts, and the first pairs."""

    between: str
    counts: tuple[str, ...]
    pairs: tuple[Leak, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Copies:
    """Everything a report says about duplicates."""

    groups: tuple[Group, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """frames, groups, members, surplus."""
    how: str = ""
    leaks: tuple[Leaks, ...] = ()
    notes: tuple[str, ...] = ()
    inside: frozenset[frozenset[int]] = frozenset()
    """Rows of every group."""
    other: tuple[Store, Sheet] | None = None
    """The run that this one was compared with and its frames, where it still is."""
    asked: bool = False
    """The verb was run on this store alone."""
    ask: bool = False
    """It should be run, or run again: something to compare is stored."""

    def shots(self) -> Iterator[Shot]:
        """Pictures this part shows."""
        for leaks in self.leaks:
            yield from (end.shot for pair in leaks.pairs for end in pair.ends if end.shot is not None)
        for group in self.groups:
            yield from (copy.shot for copy in group.copies if copy.shot is not None)

    def without(self, found: Sequence[Groups]) -> tuple[list[Groups], list[str]]:
        """Groups of columns that no group here holds, and a sentence per column about those that one does."""
        home = {row: place for place, rows in enumerate(self.inside) for row in rows}
        rest, told = [], []
        for entry in found:
            new = tuple(m for m in entry.members if home.get(m[0]) is None or len({home.get(row) for row in m}) > 1)
            rest.append(Groups(entry.column, new))
            if held := len(entry.members) - len(new):
                told.append(f"{entry.column.name} holds {counted(held, 'group')} that {'is' if held == 1 else 'are'} here too")
        return rest, told


def copies_of(store: Store, frames: Sheet) -> Copies:
    """What the store keeps of `duplicates`; whether to run it (again) where something to compare is stored."""
    row_of = {name: row for row, name in enumerate(frames.ids())}
    now = made_from(store)
    comparable = bool(set(now) & set(COMPARED) - {"thumbnail_range"})
    own, notes = _read(store, OWN)
    against, more = _read(store, AGAINST)
    notes += more
    other = None
    leaks: list[Leaks] = []
    try:
        if against is not None:
            path = str(against.facts["against"])
            other = _other(path)
            rows = {} if other is None else {name: row for row, name in enumerate(other[1].ids())}
            leaks.append(_leaks(against, _Told(row_of, rows, path)))
        if own is None:
            return Copies(leaks=tuple(leaks), notes=tuple(notes), other=other, ask=comparable)
        if (old := own.facts.get("made_from") != now) and comparable:
            notes.append(_OLD)
        told = _Told(row_of, {}, least=own.facts["thresholds"]["embedding"])
        if own.leaks["pairs"]:
            leaks.insert(0, _leaks(own, told))
        groups = tuple(told.group(group) for group in own.groups[:GROUPS_SHOWN])
        inside = frozenset(frozenset(row_of.get(m["frame"], -1) for m in group["members"]) - {-1} for group in own.groups)
        counts = {key: int(own.facts["counts"][key]) for key in ("frames", "groups", "members", "surplus")}
        notes += own.notes
        return Copies(groups, counts, own.how(), tuple(leaks), tuple(notes), inside, other, asked=True, ask=old and comparable)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return Copies(notes=(f"results/{OWN}.json {_DAMAGED}",), ask=comparable)


def _read(store: Store, name: str) -> tuple[Duplicates | None, list[str]]:
    try:
        return saved(store, name), []
    except CorruptError:
        return None, [f"results/{name}.json {_DAMAGED}"]


def _other(path: str) -> tuple[Store, Sheet] | None:
    """The store that a run was compared with, and its frames; None where it is gone."""
    try:
        store = Store.open(Path(path))
        return store, Sheet.read(store, "frame")
    except (GpuQualityError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class _Told:
    """Turns what a result file holds into what a page shows."""

    own: Mapping[str, int]
    theirs: Mapping[str, int]
    other: str = ""
    """Path of the other run."""
    least: float | None = None
    """From which similarity on vectors alone make a pair."""

    def copy(self, frame: str, run: str | None, split: str | None, **more: Any) -> Copy:
        is_other = run is not None and run == self.other
        gone = -1 if is_other and not self.theirs else None  # the album says that the run is not there
        row = (self.theirs if is_other else self.own).get(frame, gone)
        shot = None if row is None else Shot(row, other=is_other)
        return Copy(shot, frame, split or (Path(run).name if run else ""), **more)

    def sign(self, member: Mapping[str, Any]) -> str:
        """What speaks for a member; of a vector that is not enough alone also the hash that agrees with it."""
        sign = _sign(member["kind"], member["similarity"])
        weak = member["kind"] == "embedding" and member["similarity"] < (self.least or 0) and member["hash"] is not None
        return f"{sign}, hash {number(member['hash'])}" if weak else sign

    def group(self, found: Mapping[str, Any]) -> Group:
        copies = []
        for place, member in enumerate(found["members"][:MEMBERS_SHOWN]):
            leads = place > 0 and member["frame"] == found["leader"]
            sign = self.sign(member) if member["frame"] != found["leader"] else ""
            copies.append(self.copy(member["frame"], member["run"], member["split"], sign=sign, keep=place == 0, leads=leads))
        return Group(tuple(copies), len(found["members"]), str(found["reason"]), _drift(found))


def _sign(kind: str, similarity: float | None) -> str:
    return "equal pixels" if kind == "exact" else f"{kind} {number(similarity)}"


def _drift(found: Mapping[str, Any]) -> str:
    """How far two members of a group may be apart, where some meet no threshold."""
    if not found["drifts"]:
        return ""
    least = [f"{name} {number(found[key])}" for name, key in (("hash", "least_hash"), ("embedding", "least_embedding"))
             if found[key] is not None]  # fmt: skip
    pairs = int(found["pairs_below"])
    are = "is" if pairs == 1 else "are"
    return f"{counted(pairs, 'pair')} of this group {are} below the thresholds; least {', '.join(least)}."


def _leaks(found: Duplicates, told: _Told) -> Leaks:
    between = str(found.leaks["between"])
    name = between.removesuffix("s")
    counts = []
    for row in found.leaks["counts"]:
        (a, b), (here, there) = (_short(place, name) for place in row[between]), map(int, row["frames"])
        pairs = counted(int(row["pairs"]), "pair")
        counts.append(f"{counted(here, 'frame')} of {a} and {there:,} of {b} are duplicates of each other ({pairs})")
    return Leaks(between, tuple(counts), tuple(_pairs(found.leaks["pairs"], name, told)), len(found.leaks["pairs"]))


def _short(place: str, name: str) -> str:
    """A split, or the last part of a run's path: the rest of it is nobody's business."""
    return Path(place).name if name == "run" else place


def _varied(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """First the pairs of frames that no pair before showed, then the rest."""
    seen: set[tuple[str, str]] = set()
    new: list[Mapping[str, Any]] = []
    rest: list[Mapping[str, Any]] = []
    for pair in found:
        ends = {("frame", pair["frame"]), ("other", pair["other"])}
        (rest if ends & seen else new).append(pair)
        seen |= ends
    return [*new, *rest]


def _pairs(found: Sequence[Mapping[str, Any]], name: str, told: _Told) -> Iterator[Leak]:
    for pair in _varied(found)[:PAIRS_SHOWN]:
        ends = []
        for key, place in (("frame", name), ("other", f"other_{name}")):
            run, split = (pair[place], None) if name == "run" else (None, pair[place])
            ends.append(told.copy(pair[key], run, split))
        yield Leak((ends[0], ends[1]), _sign(pair["kind"], pair["similarity"]))
