"""What somebody asked the store before, and the page repeats: drift against other data, and what to label next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gpu_quality.api import results
from gpu_quality.api.select_result import saved
from gpu_quality.errors import CorruptError, GpuQualityError
from gpu_quality.reports.shots import Shot
from gpu_quality.store.store import Store

MEASURES_SHOWN, FRAMES_SHOWN, CHOSEN_SHOWN = 10, 6, 12
LIMIT: Final = 0.05
"""p-value from which on two sets are not told apart."""
_OLD: Final = "What is stored has changed since: the command makes it anew."


@dataclass(frozen=True, slots=True)
class Moved:
    """A measure that differs between the two sets; None = not defined."""

    metric: str
    rows: str
    ks: float | None
    psi: float | None
    reference: float | None
    """Its median in the reference."""
    current: float | None
    p: float | None
    """Adjusted for all measures."""
    drifts: bool


@dataclass(frozen=True, slots=True)
class Unlike:
    """A frame of the second set that is least like the first."""

    frame: str
    unusual: str
    above: float
    """Share of the reference that is more usual, 0..1."""
    shot: Shot | None


@dataclass(frozen=True, slots=True)
class Drifted:
    """How a second set of frames differs from a reference."""

    reference: str
    current: str
    frames: tuple[int, int]
    verdict: tuple[str, ...]
    figures: Mapping[str, Any]
    measures: tuple[Moved, ...]
    unlike: tuple[Unlike, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def shots(self) -> Iterator[Shot]:
        """Pictures this part shows."""
        yield from (found.shot for found in self.unlike if found.shot is not None)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A frame to label next."""

    frame: str
    reason: str
    shot: Shot


@dataclass(frozen=True, slots=True)
class Selected:
    """The frames that were selected, the first choice first."""

    count: int
    candidates: int
    how: tuple[str, ...]
    frames: tuple[Chosen, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def shots(self) -> Iterator[Shot]:
        """Pictures this part shows."""
        yield from (found.shot for found in self.frames)


def drift_of(store: Store, ids: Sequence[str]) -> Drifted | None:
    """The kept answer of `drift`; None where nobody asked. `ids` are those of the frames."""
    try:
        facts = results.kept(store, "drift")
        if facts is None:
            return None
        table = results.kept_table(store, "drift", "measures")
        old = () if results.is_current(store, facts) else (_OLD,)
        if table is not None:  # those that drift first, then the largest: the kept table goes by kinds of rows
            table = table.sort_values(["drifts", "ks"], ascending=False, kind="stable")
        rows = [] if table is None else table.head(MEASURES_SHOWN).astype(object).where(table.notna(), None).to_dict("records")
        both = [facts[side] for side in ("reference", "current")]
        unusual = facts["frames_unusual"][:FRAMES_SHOWN] if _differ(facts) else []
        notes = tuple(note for note in facts["notes"] if unusual or "frames that are listed" not in note)
        own = {name: row for row, name in enumerate(ids)} if _same(both[1]["store"], store) else {}
        return Drifted(
            _name(both[0]), _name(both[1]), (int(both[0]["frames"]), int(both[1]["frames"])), tuple(facts["verdict"]),
            dict(facts["figures"]), tuple(_moved(row) for row in rows),
            tuple(_unlike(row, own) for row in unusual), notes, old,
        )  # fmt: skip
    except (CorruptError, KeyError, TypeError, ValueError):
        broken = "results/drift.json is not what was written, and is not shown: gpu-quality drift makes it anew."
        return Drifted("", "", (0, 0), (), {}, (), (), (), (broken,))


def _differ(facts: Mapping[str, Any]) -> bool:
    """Whether anything tells the two sets apart; where nothing does, no frame is unlike the others."""
    told = [facts.get(by) or {} for by in ("vectors", "together")]
    chance = [one["auc_p"] for one in told if one.get("auc_p") is not None]
    return bool(facts["figures"]["drifting"]) or not chance or min(chance) < LIMIT


def _same(path: object, store: Store) -> bool:
    return Path(str(path)).resolve() == store.path.resolve()


def _name(side: Mapping[str, Any]) -> str:
    """What a side is called: a split or condition, or the last part of a run's path."""
    name = str(side["name"])
    return Path(name).name if name == str(side["store"]) else name


def _moved(row: Mapping[str, Any]) -> Moved:
    of = {name: row[name] for name in ("ks", "psi", "p_adjusted", "median_reference", "median_current")}
    found = {name: None if value is None else float(value) for name, value in of.items()}
    return Moved(
        str(row["metric"]), str(row["rows"]), found["ks"], found["psi"], found["median_reference"], found["median_current"],
        found["p_adjusted"], bool(row["drifts"]),
    )  # fmt: skip


def _unlike(row: Mapping[str, Any], own: Mapping[str, int]) -> Unlike:
    from gpu_quality.api.drift_domain import in_words

    frame = str(row["frame"])
    told = "; ".join(in_words(measure) for measure in row["unusual"][:2])
    return Unlike(frame, told, float(row["above"]), Shot(own[frame]) if frame in own else None)


def selection_of(store: Store) -> Selected | None:
    """The kept answer of `select`; None where nobody asked."""
    try:
        found = saved(store)
        if found is None:
            return None
        rows = found.table.head(CHOSEN_SHOWN).to_dict("records")
        frames = tuple(Chosen(str(row["frame"]), str(row["reason"]), Shot(int(row["place"]))) for row in rows)
        old = () if results.is_current(store, found.facts) else (_OLD,)
        candidates = int(found.facts["counts"]["candidates"])
        return Selected(len(found.table), candidates, tuple(found.how()), frames, found.notes, old)
    except (GpuQualityError, KeyError, TypeError, ValueError):
        broken = "results/selection.json is not what was written, and is not shown: gpu-quality select makes it anew."
        return Selected(0, 0, (), (), (), (broken,))
