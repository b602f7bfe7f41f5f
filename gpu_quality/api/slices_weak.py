"""The verb `slice find`: parts of the data in which a model fails more often, described in words and as conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.analysis.weak_codes import Term
from gpu_quality.analysis.weak_slices import LEAST, LEVEL, Search, Weak, weak_slices
from gpu_quality.api.evaluation_json import plain
from gpu_quality.api.results import is_current, keep, kept, made_from
from gpu_quality.api.slices import condition_of, save_slice, saved_slices, sql_text
from gpu_quality.api.slices_weak_rows import failed_of, features_of
from gpu_quality.api.subjects import Subjects, subjects
from gpu_quality.errors import UsageError
from gpu_quality.functional.inference import wilson
from gpu_quality.store.store import Store
from gpu_quality.text import clean, counted

if TYPE_CHECKING:
    import pandas as pd

NAME: Final = "weak_slices"
FIGURES: Final[Mapping[str, tuple[str, str, str]]] = {
    "P": ("precision", "prediction", "false prediction"),
    "O": ("recall", "label", "missed label"),
}
"""What success is called, what rows are, and what failures are."""


@dataclass(frozen=True, slots=True)
class WeakSlices:
    """Slices that fail more often than the rest, for predictions (P: precision) and labels (O: recall)."""

    rows: dict[str, dict[str, Any]]
    """By P and O: `n`, `failures`, `rate`, `figure`, `tested`, `message`, `failed` (the condition of failures, as
    stored columns have it), and `slices`, worst first: `words`, `text` (the
    whole sentence), `condition`, `terms`, `n`, `failures`, `rate` with `low`, `high` (Wilson, 95 %), `rest_n`, `rest_rate`,
    `expected` and `excess` failures, `z`, `p`, `p_adjusted`, `frames`, `checked_n` and `checked_rate` (of the half of the data
    that had no part in the choice), `also` (slices of mostly the same rows)."""
    params: dict[str, Any]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as one object that JSON can hold."""
        return {"params": self.params, "rows": self.rows, "notes": list(self.notes)}

    def slices(self) -> list[dict[str, Any]]:
        """All slices, precision before recall."""
        return [{"rows": rows, **one} for rows, found in self.rows.items() for one in found["slices"]]

    def table(self) -> "pd.DataFrame":
        """One row per slice."""
        import pandas as pd

        names = ["rows", "figure", "words", "condition", "n", "failures", "rate", "low", "high", "rest_n", "rest_rate",
                 "expected", "excess", "z", "p", "p_adjusted", "frames", "checked_n", "checked_rate"]  # fmt: skip
        return pd.DataFrame([{name: one[name] for name in names} for one in self.slices()], columns=names)


def find_weak_slices(
    store: Store | str | Path,
    rows: str | None = None,
    *,
    measures: Sequence[str] = (),
    without: Sequence[str] = (),
    predictions: str | None = None,
    classes: Sequence[str] = (),
    iou: float | None = None,
    confidence: float | None = None,
    where: str = "",
    least: int = LEAST,
    count: int = 10,
    seed: int = 0,
    write: bool = True,
) -> WeakSlices:
    """Parts of the data, by one or two measures, in which precision (`rows` P) or recall (O) is worse than elsewhere.

    `measures` keeps some and `without` drops some of the stored measures; classes are looked at too, and what the model says of
    itself (its confidence) only where it is named. The rest are filters as `subjects` has them. At least `least` rows, at most
    `count` slices of each kind. Slices are chosen on one half of the images and tested on the other; the p-values of all tests
    are corrected, so that at most one in twenty is chance. The answer is kept in ``results/weak_slices.json`` unless `write` is
    False. Raises `UsageError`, `UnknownNameError`.
    """
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    if rows is not None and rows not in FIGURES:
        raise UsageError(f"no rows {clean(rows, 40)!r} to find slices of", hint="choose P (predictions) or O (labels)")
    if least < 2 or count < 1:
        raise UsageError(f"slices of at least {least} rows, {count} of them: give at least 2 and 1")
    params = {
        "measures": list(measures),
        "without": list(without),
        "least": least,
        "count": count,
        "level": LEVEL,
        "seed": seed,
    }
    parts, notes = {}, list[str]()
    sides = [
        subjects(opened, kind, predictions=predictions, classes=classes, iou=iou, confidence=confidence, where=where)
        for kind in ([rows] if rows else FIGURES)
    ]
    for name in (*measures, *without):
        if name != "class" and not any(name in given.measures for given in sides):
            sides[0].values(name)  # raises
    for given in sides:
        success = given.known_success()
        features, told = features_of(given, measures, without)
        known = np.flatnonzero(~np.isnan(success))
        features = [replace(one, code=np.ascontiguousarray(one.code[known])) for one in features]
        failed = success[known] == 0
        found = weak_slices(features, failed, _units(given)[known], least=least, seed=seed)
        of_failures, more = failed_of(given)
        parts[given.rows] = {
            **_of(found, given.rows, failed, given.frame[known], _prefix(opened, given.at), count),
            "failed": of_failures,
        }
        params |= given.at
        notes += [*given.notes, *told, *more, *([found.message] if found.message else [])]
    answer = WeakSlices(plain(parts), plain(params), tuple(dict.fromkeys(notes)))
    return _kept(opened, answer) if write else answer


def save_weak_slices(store: Store, found: WeakSlices) -> dict[str, str]:
    """Save the slices that were found as ``weak recall 1`` and so on, under free names; returns their conditions by name."""
    saved, new = saved_slices(store), dict[str, str]()
    for one in found.slices():
        if one["condition"] in {**saved, **new}.values():
            continue
        place = 1
        while f"weak {one['figure']} {place}" in {**saved, **new}:
            place += 1
        new[f"weak {one['figure']} {place}"] = one["condition"]
    for name, condition in new.items():
        save_slice(store, name, condition)
    return new


def _kept(store: Store, answer: WeakSlices) -> WeakSlices:
    """The answer, kept in the store beside what is known of the other kind of rows."""
    before = kept(store, NAME) or {}
    old = before.get("rows", {}) if is_current(store, before) and len(answer.rows) < len(FIGURES) else {}
    both = {kind: answer.rows.get(kind, old.get(kind)) for kind in FIGURES if kind in {**old, **answer.rows}}
    refused = keep(store, NAME, {**answer.to_dict(), "rows": both, "made_from": made_from(store)}, {"": answer.table()})
    return replace(answer, notes=(*answer.notes, refused)) if refused else answer


def _units(given: Subjects) -> NDArray[np.int64]:
    """The sequence of each row, or its frame where it has none: rows of a unit resemble each other."""
    frames = given.store.input
    unit = np.arange(frames.count("frames"), dtype=np.int64)
    if "sequence" in frames.columns("frames"):
        names = np.array([name or "" for name in frames.table("frames", ["sequence"])["sequence"].to_pylist()], dtype=object)
        _, first, own = np.unique(names.astype(str), return_index=True, return_inverse=True)
        unit = np.where(names != "", first[own], unit)
    return unit[given.frame]


def _prefix(store: Store, at: Mapping[str, Any]) -> str:
    """The condition of the filters that a search was made with, so that its slices mean the same without them."""
    parts = [f"({condition_of(store, at['where'])})"] if at["where"] else []
    if at["classes"]:
        parts.append(f"class in ({', '.join(map(sql_text, at['classes']))})")
    return "".join(f"{part} and " for part in parts)


def _of(
    found: Search, kind: str, failed: NDArray[np.bool_], frame: NDArray[np.int64], prefix: str, count: int
) -> dict[str, Any]:  # fmt: skip
    """What a search found, in numbers and words."""
    n, bad = len(failed), int(failed.sum())
    told = [_told(one, kind, prefix, len(np.unique(frame[one.rows]))) for one in found.slices[:count]]
    return {
        "n": n, "failures": bad, "rate": 1 - bad / n if n else None, "figure": FIGURES[kind][0], "tested": found.tested,
        "message": found.message, "found": len(found.slices), "slices": told,
    }  # fmt: skip


def _told(one: Weak, kind: str, prefix: str, frames: int) -> dict[str, Any]:
    """A slice in numbers and words."""
    figure, noun, failure = FIGURES[kind]
    n, good = len(one.rows), len(one.rows) - one.failures
    low, high = (float(end) for end in wilson(torch.tensor(good), torch.tensor(n)))
    rate, rest = good / n, 1 - one.rest_failures / one.rest
    words = _joined(one.terms)
    more = counted(round(one.excess), failure)
    text = (
        f"{words}: {figure} {rate:.2f} [{low:.2f}, {high:.2f}] against {rest:.2f} elsewhere, {counted(n, noun)}, {more} "
        "more than expected"
    )
    checked, failures = one.checked
    return {
        "figure": figure, "words": words, "text": text, "condition": prefix + _condition(one.terms),
        "terms": [{"measure": term.name, "words": term.words, "condition": term.condition} for term in one.terms],
        "n": n, "failures": one.failures, "rate": rate, "low": low, "high": high, "rest_n": one.rest, "rest_rate": rest,
        "expected": one.expected, "excess": one.excess, "z": one.z, "p": one.p, "p_adjusted": one.p_adjusted, "frames": frames,
        "checked_n": checked, "checked_rate": 1 - failures / checked if checked else None,
        "also": [{"words": _joined(terms), "condition": prefix + _condition(terms)} for terms in one.also],
    }  # fmt: skip


def _joined(terms: Sequence[Term]) -> str:
    return " and ".join(term.words for term in terms)


def _condition(terms: Sequence[Term]) -> str:
    return " and ".join(term.condition for term in terms)
