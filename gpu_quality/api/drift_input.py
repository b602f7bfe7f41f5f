"""What `drift` compares: two sets of frames of one store or two, their measures, groups and vectors; and what is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.api.compared import prediction_set
from gpu_quality.api.slices import frame_rows
from gpu_quality.api.subjects import ROWS, Measure, Subjects, subjects
from gpu_quality.errors import EmptyInputError, UnknownNameError, UsageError
from gpu_quality.store.store import Store
from gpu_quality.text import clean, close, number

if TYPE_CHECKING:
    import pandas as pd

Ints = NDArray[np.int64]
_DUPLICATES: Final = ("near_duplicate_group_embedding", "near_duplicate_group", "embedding_duplicate_group")
_NAMED: Final = 8
CONFIDENCE: Final = Measure("confidence", "P", "fraction", "low", "How sure the model was.", flag=False)


@dataclass(frozen=True, slots=True)
class Side:
    """A set of frames of a store."""

    store: Store
    name: str
    """What to call it: a split, a condition, or the folder of the store."""
    frames: Ints
    """Its rows, rising."""
    group: Ints
    """Of every frame of the store: those of one sequence, or duplicates, have the same number."""
    grouped: str
    """What the groups are: sequence, duplicates, or "" where every frame stands alone."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Rows of one kind of both sides."""

    rows: str
    reference: "pd.DataFrame"
    current: "pd.DataFrame"
    measures: dict[str, Measure]
    groups: tuple[Ints, Ints]
    classes: tuple[NDArray[Any], NDArray[Any]] | None
    notes: list[str]


def sides(store: Store, other: Store | None, splits: Sequence[str], where: Sequence[str]) -> tuple[Side, Side]:
    """The two sets that are asked for. Raises `UsageError` where that is not said, or one of them is empty."""
    if splits and where:
        raise UsageError("--split and --where both say which frames to compare", hint="a condition may be \"split = 'test'\"")
    asked, flag = (splits, "--split") if splits else (where, "--where")
    if other is None and len(asked) != 2:
        raise UsageError(
            "drift compares two sets of frames",
            hint="name another store, or give --split twice (train, then test), or --where twice",
        )
    if other is not None and other.path.resolve() == store.path.resolve():
        raise UsageError(f"{other.path} is the same store", hint="name another one, or two splits of it")
    if not all(one.strip() for one in asked):
        raise UsageError(f"{flag} is empty", hint="--split train --split test" if splits else '--where "brightness < 0.3"')
    if len(asked) > 2:
        raise UsageError(f"{flag} is given {len(asked)} times", hint="drift compares two sets: the reference, then the other")
    wanted = [*asked, *asked][:2] if asked else ["", ""]
    stores = (store, other or store)
    made = [_side(one, by, flag, alone=other is None) for one, by in zip(stores, wanted, strict=True)]
    return made[0], made[1]


def _side(store: Store, by: str, flag: str, *, alone: bool) -> Side:
    count = store.input.count("frames")
    frames = np.arange(count)
    if by and flag == "--split":
        split = store.frames(["split"]).column("split").to_pylist()
        frames = np.flatnonzero([name == by for name in split])
        known = sorted({name for name in split if name})
        if not len(frames) and by not in known:
            hint = close(by, known) or (f"there are {', '.join(known[:20])}" if known else "no frame has a split; try --where")
            raise UnknownNameError(f"{store.path} has no split {clean(by)!r}", hint=hint)
    elif by:
        frames = np.flatnonzero(frame_rows(store, by))
    if not len(frames):
        raise EmptyInputError(f"no frame of {store.path} is in {clean(by) or 'it'}", hint="compare sets that have frames")
    group, grouped = _groups(store, count)
    shown = by if alone and by else f"{store.path}: {by}" if by else str(store.path)
    return Side(store, shown, frames, group, grouped)


def _groups(store: Store, count: int) -> tuple[Ints, str]:
    """Which frames belong together, and by what."""
    import pandas as pd

    sequence = pd.Series([name or None for name in store.frames(["sequence"]).column("sequence").to_pylist()], dtype=object)
    keys, what = sequence, "sequence"
    known = store.columns()
    if sequence.isna().all():
        names = [name for name in _DUPLICATES if name in known]
        keys = store.column(names[0]) if names else sequence
        what = "duplicates"
    code = pd.factorize(keys)[0].astype(np.int64)
    null = code < 0
    code[null] = code.max(initial=-1) + 1 + np.arange(int(null.sum()))
    return code, what if len(np.unique(code)) < count else ""


def tables(pair: tuple[Side, Side], rows: str, predictions: str | None, confidence: float | None) -> Tables:
    """Measures of frames, labels or predictions of both sides. Raises as `subjects`."""
    first, second = pair
    if predictions is not None and not any(predictions in one.store.identity["origins"][1:] for one in pair):
        prediction_set(first.store, predictions)  # raises, with the names there are
    found = [_subjects(first.store, rows, predictions, confidence)]
    same = first.store is second.store
    found.append(found[0] if same else _subjects(second.store, rows, predictions, confidence))
    notes = [*dict.fromkeys(note for one in found for note in one.notes)]
    kept = [np.flatnonzero(np.isin(one.frame, side.frames)) for one, side in zip(found, pair, strict=True)]
    if rows == "P":
        kept = _confident(found, kept, confidence, notes)
    measures, left = _measures(found, rows)
    notes += left
    parts = [one.table.iloc[inside].reset_index(drop=True) for one, inside in zip(found, kept, strict=True)]
    frames = [one.frame[inside] for one, inside in zip(found, kept, strict=True)]
    groups = [side.group[frame] for side, frame in zip(pair, frames, strict=True)]
    classes = None if rows == "F" else (parts[0]["class"].to_numpy(object), parts[1]["class"].to_numpy(object))
    names = [[name for name in one if name in part] for one, part in zip(measures, parts, strict=True)]
    reference, current = (_numbers(part[own]) for part, own in zip(parts, names, strict=True))
    return Tables(rows, reference, current, measures[0], (groups[0], groups[1]), classes, notes)


def _numbers(table: "pd.DataFrame") -> "pd.DataFrame":
    """Columns as float64, NaN where null."""
    import pandas as pd

    return pd.DataFrame({name: table[name].to_numpy(np.float64, na_value=np.nan) for name in table}, index=table.index)


def _subjects(store: Store, rows: str, predictions: str | None, confidence: float | None) -> Subjects:
    """Rows of a store; of two stores only one need have the named prediction set where the other has but one."""
    sets = list(store.identity.get("origins") or ())[1:]
    name = None if len(sets) == 1 and predictions not in sets else predictions
    found = subjects(store, rows, predictions=name if sets else None, confidence=confidence, judge=False)
    return _with_confidence(found) if rows == "P" else found


def _with_confidence(given: Subjects) -> Subjects:
    """Predictions with the confidence that was given, by one name: what nobody labeled is never evaluated."""
    columns = given.store.columns()
    kept = {name: one for name, one in given.measures.items() if columns[name].get("metric") != CONFIDENCE.name}
    score = given.store.column("score", "object").iloc[given.place].to_numpy(np.float64, na_value=np.nan)
    if np.isnan(score).all():
        return replace(given, measures=kept)
    return replace(given, measures={CONFIDENCE.name: CONFIDENCE, **kept}, table=given.table.assign(**{CONFIDENCE.name: score}))


def _confident(found: Sequence[Subjects], kept: Sequence[Ints], confidence: float | None, notes: list[str]) -> list[Ints]:
    """Predictions from the same confidence on in both sides; the higher one where the stores were evaluated at two."""
    stored = [one.at["confidence"] for one in found]  # noqa: PD008 - no indexer of pandas
    least = confidence if confidence is not None else max((value for value in stored if value is not None), default=None)
    if least is None:
        notes.append("predictions of every confidence, for nothing is evaluated; --confidence 0.25 keeps those that count")
        return list(kept)
    notes.append(f"predictions from confidence {number(least)} on")
    out = []
    for one, inside in zip(found, kept, strict=True):
        score = one.store.column("score", "object").to_numpy(np.float64, na_value=np.nan)[one.place[inside]]
        out.append(inside[~(score < least)])
    return out


def _measures(found: Sequence[Subjects], rows: str) -> tuple[list[dict[str, Measure]], list[str]]:
    """Measures of either side that both can be compared by, and sentences about the others."""
    own = [{name: one for name, one in side.measures.items() if one.level == rows} for side in found]
    if found[0].store is found[1].store:
        return own, []
    facts = [side.store.columns() for side in found]
    context = [_of_the_run(side.store) for side in found]
    shared = [name for name in own[0] if name in own[1]]
    inside = [name for name in shared if name in context[0] or name in context[1]]
    differ = [
        name for name in shared if name not in inside and own[0][name] is not CONFIDENCE
        and any(facts[0][name].get(key) != facts[1][name].get(key) for key in _meaning(facts[0][name]))
    ]  # fmt: skip
    notes = []
    if inside:
        notes.append(f"left out, for they compare rows with others of their own run: {_listed(inside)}")
    if differ:
        notes.append(f"left out, for the runs measured them in different ways: {_listed(differ)}")
    gone = {*inside, *differ}
    kept = [{name: one for name, one in side.items() if name not in gone} for side in own]
    for side, names, others in ((0, kept[0], kept[1]), (1, kept[1], kept[0])):
        alone = [name for name in names if name not in others]
        if alone:
            notes.append(f"measures of {ROWS[rows]} that only {clean(found[side].store.path)} has: {_listed(alone)}")
    return kept, notes


def _meaning(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What has to be the same; at which overlap outcomes were found is nothing to a column that no outcome is in."""
    return ("version", "unit") if facts.get("judged") is False else ("version", "unit", "options")


def _of_the_run(store: Store) -> set[str]:
    """Columns that depend on all frames of the run, such as how singular a frame is; flags are by fixed thresholds."""
    return {
        name
        for part in store.layers()
        if part.kind == "table" and not part.meta.get("door")
        for name, facts in part.columns.items()
        if facts.get("unit") != "flag"
    }


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
