"""Which columns say what is worth labeling, and which of their ends does; quotas of classes as they are asked for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.api.outcomes_facts import FACTS
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.store.store import Store
from gpu_quality.text import clean, close

_BY: Final = re.compile(r"(?P<name>.+?)(?::(?P<end>high|low))?(?:=(?P<weight>[^=]*))?")
_NO_ORDER: Final = frozenset({"row", "coordinate", "category"})
"""Units of numbers that point somewhere or name something: no end of them is worth more."""
_ASKED: Final = "acquisition_"
"""What columns are called that say how unsure the model was of a frame."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A column to choose frames by."""

    column: str
    asked: str
    """As it was asked for."""
    high: bool
    weight: float
    unit: str
    summary: str
    why: str
    """Why this end is the interesting one."""

    def told(self) -> dict[str, Any]:
        """The same as plain values."""
        names = ("column", "asked", "weight", "unit", "summary", "why")
        return {name: getattr(self, name) for name in names} | {"end": "high" if self.high else "low"}

    def values(self, store: Store) -> NDArray[np.float64]:
        """One value per frame, NaN where there is none. Raises `UsageError` for text."""
        try:
            return np.asarray(store.column(self.column).to_numpy(np.float64, na_value=np.nan))
        except (TypeError, ValueError):
            raise UsageError(f"--by {clean(self.column)}: that column holds no numbers", hint="name a measure") from None


def wanted(store: Store, by: str | Sequence[str], predictions: str | None) -> tuple[list[Wanted], list[str]]:
    """The columns that `by` names, each ``NAME[:high|:low][=WEIGHT]``, and sentences about their meaning.

    A name is that of a column of frames; where there is none, ``entropy`` may stand for ``acquisition_entropy``. Without
    ``:high`` or ``:low`` the interesting end is, of what an evaluation says, the bad one, where the model was unsure or wrong;
    of distances the far one; of all else the one that is no defect, for pictures with defects are not worth a label, and the
    high one where neither is. Raises `UnknownNameError`, `UsageError`.
    """
    items = by.split(",") if isinstance(by, str) else list(by)
    known = {name: facts for name, facts in store.columns().items() if not facts.get("hidden") and not facts.get("vector")}
    found: list[Wanted] = []
    notes: list[str] = []
    for item in (item.strip() for item in items):
        if not item:
            continue
        name, end, weight = _parsed(item)
        column, note = _resolved(name, known, predictions)
        if column in {other.column for other in found}:
            raise UsageError(f"--by names {clean(column)} twice", hint="give it a weight instead: NAME=2")
        notes += [note] if note else []
        facts = known[column]
        unit = str(facts.get("unit", ""))
        if unit in _NO_ORDER or "hash" in unit or unit.startswith("SHA-"):
            raise UsageError(f"--by {clean(column)}: that column identifies, it does not measure", hint="name a measure")
        high, why = _end(facts) if end is None else (end == "high", "asked for")
        found.append(Wanted(column, item, high, weight, unit, str(facts.get("summary", "")), why))
    return found, notes


def _parsed(item: str) -> tuple[str, str | None, float]:
    match = _BY.fullmatch(item)
    weight = (match["weight"] if match else None) or "1"
    try:
        value = float(weight)
    except ValueError:
        value = 0.0
    if match is None or not 0 < value < np.inf:
        raise UsageError(f"--by {clean(item)}: a weight is a number above 0", hint="NAME, NAME:low or NAME:high=2")
    return match["name"], match["end"], value


def _resolved(name: str, known: Mapping[str, Mapping[str, Any]], predictions: str | None) -> tuple[str, str]:
    """The column that is meant, and what to know about that. Raises `UnknownNameError`, `UsageError`."""
    of_frames = {column: facts for column, facts in known.items() if facts.get("per") != "object"}
    asked = [
        column for column, facts in of_frames.items()
        if facts.get("metric", column) in (name, f"{_ASKED}{name}") and column != name
        and (predictions is None or facts.get("set", predictions) == predictions)
    ]  # fmt: skip
    if name in of_frames:
        if f"{_ASKED}{name}" not in FACTS:
            return name, ""
        other = asked[0] if asked else f"{_ASKED}{name}, which is not stored"
        return name, f"{name} is that of the picture; the model's own is {other}"
    if len(asked) == 1:
        return asked[0], f"{clean(name)} is taken for {asked[0]}"
    if name in known:
        twin = name.removeprefix("object_")
        hint = f"of frames there is {twin}" if twin in of_frames else "name a column of frames"
        raise UsageError(f"--by {clean(name)}: that is a column of objects, and frames are chosen", hint=hint)
    if asked:
        raise UnknownNameError(f"--by {clean(name)} may be one of several columns", hint=f"choose one of {', '.join(asked)}")
    raise UnknownNameError(f"--by {clean(name)}: frames have no such column", hint=_instead(name, of_frames))


def _instead(name: str, of_frames: Mapping[str, Mapping[str, Any]]) -> str:
    """What to name instead of a column that is not there."""
    model = [column for column, facts in of_frames.items() if "set" in facts and not facts.get("judged")]
    if f"{_ASKED}{name.removeprefix(_ASKED)}" in FACTS and model:
        return f"it needs predictions with class probabilities; the model's other ones are {', '.join(model)}"
    if {name, f"{_ASKED}{name}"} & FACTS.keys():
        return "gpu-quality evaluate stores what a model says about frames, if the run has labels and predictions"
    return close(name, of_frames) or f"there are {', '.join(sorted(of_frames))[:400]}"


def _end(facts: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether high values are interesting, and why."""
    bad = facts.get("bad", "neither")
    if bad == "neither" and "set" not in facts:
        return True, "no end of it is bad"
    if "set" in facts:
        return bad != "low", "there the model was unsure or wrong"
    if "distance" in str(facts.get("unit", "")):
        return True, "far from the others"
    return bad == "low", "the other end is a defect"


def quotas_of(quotas: Mapping[str, int] | Sequence[str], classes: Sequence[str], count: int) -> dict[int, int]:
    """Wanted frames by class; texts are ``CLASS:COUNT`` or ``class=CLASS:COUNT``. Raises `UnknownNameError`, `UsageError`."""
    pairs = list(quotas.items()) if isinstance(quotas, Mapping) else [_quota(text) for text in quotas]
    found: dict[int, int] = {}
    for name, wanted_ in pairs:
        if name not in classes:
            known = close(name, classes) or (f"there are {', '.join(classes[:20])}" if classes else "the run has no classes")
            raise UnknownNameError(f"--quota {clean(name)}: there is no such class", hint=known)
        if isinstance(wanted_, bool) or not isinstance(wanted_, int) or not 1 <= wanted_ <= count:
            raise UsageError(f"--quota {clean(name)}:{wanted_}: it must be from 1 to --count, {count:,}")
        if list(classes).index(name) in found:
            raise UsageError(f"--quota names {clean(name)} twice")
        found[list(classes).index(name)] = wanted_
    return found


def _quota(text: str) -> tuple[str, int]:
    name, _, number = text.removeprefix("class=").rpartition(":")
    if not name or not number.isdecimal():
        raise UsageError(f"--quota {clean(text)}: it is CLASS:COUNT", hint="--quota class=person:100")
    return name, int(number)
