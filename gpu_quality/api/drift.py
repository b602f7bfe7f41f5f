"""The verb `drift`: how production differs from training, or one split from another."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from gpu_quality.analysis.drift import LEAST, LIMIT, histograms
from gpu_quality.analysis.drift import drift as measured
from gpu_quality.analysis.drift_classes import as_facts, balance
from gpu_quality.api import results
from gpu_quality.api.drift_domain import farthest, frames_table, of_measures, of_vectors, sentence
from gpu_quality.api.drift_input import Side, Tables, sides, tables
from gpu_quality.api.drift_result import Drift, about_classes, about_measures, totals
from gpu_quality.api.evaluation_json import plain
from gpu_quality.api.subjects import ROWS, check_seed
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.store.store import Store
from gpu_quality.text import clean, close, counted

if TYPE_CHECKING:
    from gpu_quality.api.drift_domain import Cloud

RESULT: Final = "drift"
FEW_GROUPS: Final = 5


def drift(
    store: str | Path | Store,
    other: str | Path | Store | None = None,
    *,
    splits: Sequence[str] = (),
    where: Sequence[str] = (),
    rows: Sequence[str] = (),
    predictions: str | None = None,
    confidence: float | None = None,
    least: float = LEAST,
    count: int = 20,
    seed: int = 0,
) -> Drift:
    """How a second set of frames differs from a reference: measure by measure, by vectors, by classes, and which frames most.

    The reference is `store`, and `other` what is compared with it; or both are parts of `store`: two names of `splits`, or two
    conditions `where` (SQL on frames, or saved slices). With two stores, parts may be named too: one of both, or one of each.
    `rows` are some of frames, labels, predictions; by default all that both have. `predictions` names a set where there are
    several, and `confidence` the least that counts (that of the stored evaluations). A measure drifts where its p-value,
    adjusted for all measures, is below .05 and its Kolmogorov-Smirnov statistic at least `least`. `count` frames are listed.

    The answer is kept in `store` as ``results/drift*``. Raises `UsageError` where it is not said what to compare, and what
    opening stores raises.
    """
    if not 0 <= least <= 1:
        raise UsageError(f"least must be from 0 to 1; got {least:g}", hint="least 0.1 is a tenth of the rows")
    if count < 0:
        raise UsageError(f"count must not be negative; got {count}", hint="0 lists no frames")
    check_seed(seed)
    first = _open(store)
    pair = sides(first, None if other is None else _open(other), splits, where)
    notes = _about(pair)
    found = _tables(pair, _levels(rows), predictions, confidence, notes)
    options = {"rows": [ROWS[one.rows] for one in found], "splits": list(splits), "where": list(where),
               "predictions": predictions, "confidence": confidence, "least": least, "count": count, "seed": seed}  # fmt: skip
    measures = pd.concat([_measures(one, least, seed) for one in found], ignore_index=True)
    classes, shifts = _classes(found, seed)
    frames, clouds = _frames(pair, found, count, seed, notes)
    verdict = [about_measures(measures, one.rows) for one in found]
    verdict += [sentence(cloud, what) for cloud, what in clouds]
    verdict += [about_classes(classes, level, shifts[ROWS[level]]) for level in ("O", "P") if ROWS[level] in shifts]
    named = {what: cloud.facts for cloud, what in clouds}
    facts = {
        "reference": _told(pair[0]), "current": _told(pair[1]), "params": options, "verdict": verdict,
        "figures": totals(measures, shifts, named.get("vectors")), "vectors": named.get("vectors"),
        "together": named.get("measures"), "balance": shifts, "histograms": _histograms(found), "frames_unusual": frames,
        "made_from": results.made_from(first), "made_from_other": None if other is None else results.made_from(pair[1].store),
        "notes": list(dict.fromkeys(notes)),
    }  # fmt: skip
    return _kept(first, Drift(measures, classes, frames_table(frames), plain(facts)))


def _open(given: str | Path | Store) -> Store:
    return given if isinstance(given, Store) else Store.open(Path(given))


def _levels(rows: Sequence[str]) -> tuple[str, ...]:
    """Codes of the rows that are asked for; none where all are. Raises `UnknownNameError`."""
    codes = {ROWS[code]: code for code in "FOP"}
    for name in rows:
        if name not in codes:
            raise UnknownNameError(f"there are no rows {clean(name)!r}", hint=close(name, codes) or ", ".join(codes))
    return tuple(code for code in ("F", "O", "P") if ROWS[code] in rows)


def _about(pair: tuple[Side, Side]) -> list[str]:
    """What is to be minded about the two sets."""
    notes = []
    first, second = pair
    if first.store is second.store:
        both = len(np.intersect1d(first.frames, second.frames))
        if both:
            notes.append(f"{counted(both, 'frame')} {'is' if both == 1 else 'are'} in both sets, which makes them more alike")
    for side in pair:
        groups = len(np.unique(side.group[side.frames]))
        kind = "sequence" if side.grouped == "sequence" else "group of duplicates or single frame"
        if side.grouped and groups < len(side.frames):
            many = f"{kind}s" if side.grouped == "sequence" else "groups of duplicates or single frames"
            told = f"{counted(len(side.frames), 'frame')} in {counted(groups, kind, many)}"
            notes.append(f"{clean(side.name)}: {told}, which are exchanged as a whole for p-values")
        if groups < FEW_GROUPS:
            notes.append(f"{clean(side.name)}: {counted(groups, 'independent frame')}, too few for small p-values")
    return notes


def _tables(
    pair: tuple[Side, Side], levels: Sequence[str], predictions: str | None, confidence: float | None, notes: list[str]
) -> list[Tables]:
    """Rows that are asked for, or all that both sides have."""
    wanted = levels or ("F", "O", "P")
    found = []
    for level in wanted:
        has = [_has(side.store, level) for side in pair]
        if not all(has):
            lacking = [clean(side.store.path) for side, there in zip(pair, has, strict=True) if not there]
            lack = " and ".join(dict.fromkeys(lacking))
            if levels:
                raise UsageError(
                    f"{lack}: no {ROWS[level]} to compare", hint="run with --labels or --predictions, or leave --rows out"
                )
            if any(has):
                notes.append(f"{ROWS[level]} are not compared: there are none in {lack}")
            continue
        found.append(tables(pair, level, predictions, confidence))
        notes += found[-1].notes
    return found


def _has(store: Store, level: str) -> bool:
    """Whether a store has rows of a level."""
    if level == "F":
        return True
    given = store.identity.get("labels") if level == "O" else len(store.identity.get("origins") or ()) > 1
    return bool(given) and bool(store.input.count("objects"))


def _measures(given: Tables, least: float, seed: int) -> pd.DataFrame:
    """Figures of every measure of one kind of rows."""
    flags = [name for name, one in given.measures.items() if one.flag]
    grouped = any(len(np.unique(part)) < len(part) for part in given.groups)
    groups = given.groups if grouped else None
    table = measured(given.reference, given.current, flags=flags, groups=groups, least=least, seed=seed)
    table.insert(0, "rows", pd.Series([ROWS[given.rows]] * len(table), dtype=object))
    table.insert(2, "unit", pd.Series([given.measures[name].unit for name in table["metric"]], dtype=object))
    return table


def _classes(found: Sequence[Tables], seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Class balance of labels and of predictions: a table of both, and the figures of the whole."""
    parts, facts = [], {}
    for one in found:
        if one.classes is None:
            continue
        made = balance(*one.classes, groups=one.groups, seed=seed)
        facts[ROWS[one.rows]] = as_facts(made)
        made.classes.insert(0, "rows", pd.Series([ROWS[one.rows]] * len(made.classes), dtype=object))
        parts.append(made.classes)
    columns = ["rows", "class", "n_reference", "n_current", "share_reference", "share_current", "difference", "p"]
    empty = pd.DataFrame({name: [] for name in (*columns, "p_adjusted", "drifts")})
    return pd.concat(parts, ignore_index=True) if parts else empty, facts


def _frames(
    pair: tuple[Side, Side], found: Sequence[Tables], count: int, seed: int, notes: list[str]
) -> "tuple[list[dict[str, Any]], list[tuple[Cloud, str]]]":
    """The frames least like the reference, and both ways of comparing all of them."""
    if not any(one.rows == "F" for one in found):
        return [], []
    given = next(one for one in found if one.rows == "F")
    clouds = [(of_measures(pair, given, seed), "measures")]
    by_vectors = of_vectors(pair, seed, notes)
    if by_vectors is not None:
        clouds.insert(0, (by_vectors, "vectors"))
    known = [(cloud, what) for cloud, what in clouds if cloud.facts["auc"] is not None]
    if not known:
        return [], clouds
    surest = [(cloud, what) for cloud, what in known if cloud.facts["auc_p"] < LIMIT]
    if not surest:
        notes.append("the sets cannot be told apart: the frames that are listed are no finding")
    cloud, what = max(surest, key=lambda one: one[0].facts["auc"]) if surest else known[0]
    return farthest(pair, given, cloud, count, by=what), clouds


def _histograms(found: Sequence[Tables]) -> dict[str, Any]:
    """Rows, then measure: counts of both sides in the same bins."""
    return {
        ROWS[one.rows]: {
            name: histograms(one.reference[name].to_numpy(), one.current[name].to_numpy())
            for name in one.reference
            if name in one.current
        }
        for one in found
    }


def _told(side: Side) -> dict[str, Any]:
    return {"name": side.name, "store": str(side.store.path), "frames": len(side.frames), "grouped": side.grouped or None}


def _kept(store: Store, answer: Drift) -> Drift:
    """Keep the answer in the store; why it is not kept becomes a note."""
    told = results.keep(
        store, RESULT, answer.facts, {"measures": answer.measures, "classes": answer.classes, "frames": answer.frames}
    )
    if told:
        answer.facts["notes"].append(told)
    return answer
