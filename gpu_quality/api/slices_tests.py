"""Model test cases: what a person expects of a model on slices of the data, and whether it holds."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from gpu_quality.api.evaluation_json import plain
from gpu_quality.api.gates import ALIASES, CONDITION
from gpu_quality.api.slices import saved_slices
from gpu_quality.api.slices_figures import slice_figures
from gpu_quality.config import load_yaml
from gpu_quality.errors import ConfigError, GateError, UnknownNameError
from gpu_quality.store.store import Store
from gpu_quality.text import clean, close, counted, number

Outcome = Literal["passed", "failed", "undecided"]
MIN_COUNT: Final = 20
_EXAMPLE: Final = 'tests: [{slice: NAME, expect: ["recall >= 0.6"], min_count: 20}]'
_KEYS: Final = ("name", "slice", "where", "expect", "min_count")
_OF_PREDICTIONS: Final = frozenset({"precision", "mean_iou", "ece", "tp", "fp", "predictions"})
"""Figures whose rows are predictions; those of all others are labels."""
_SIZES: Final = frozenset({"labels", "predictions", "frames"})
"""How much there is: known also where there is little."""
_WITHOUT_RANGE: Final = frozenset({"precision", "recall", "tp", "fp", "found", "fn"}) | _SIZES
"""Figures that need no resamples: shares have Wilson's interval, counts are what they are."""


@dataclass(frozen=True, slots=True)
class Case:
    """Expectations about one slice."""

    name: str
    condition: str
    """A condition on columns or, where `saved`, the name of a slice that is."""
    expect: tuple[str, ...]
    min_count: int = MIN_COUNT
    saved: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """One expectation, and what became of it."""

    name: str
    condition: str
    expect: str
    figure: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    """Predictions, or labels, that the figure is about."""
    outcome: Outcome
    message: str = ""

    @property
    def text(self) -> str:
        """All in words."""
        value = "undefined" if self.value is None else number(self.value)
        told = "" if self.low is None or self.high is None else f" [{number(self.low)}, {number(self.high)}]"
        return f"{self.name}: {self.figure} is {value}{told}: {self.expect.strip()} {self.message or self.outcome}"


@dataclass(frozen=True, slots=True)
class Tested:
    """What became of all expectations."""

    verdicts: tuple[Verdict, ...]
    params: dict[str, Any]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as one object that JSON can hold."""
        names = ("name", "condition", "expect", "figure", "value", "low", "high", "n", "outcome", "message")
        rows = [{key: getattr(one, key) for key in names} for one in self.verdicts]
        counts = {
            outcome: sum(one.outcome == outcome for one in self.verdicts) for outcome in ("passed", "failed", "undecided")
        }
        return {"params": self.params, "counts": counts, "tests": plain(rows), "notes": list(self.notes)}

    def refuse(self) -> None:
        """Raise `GateError` naming every expectation that failed."""
        failed = [one.text for one in self.verdicts if one.outcome == "failed"]
        if failed:
            raise GateError("; ".join(failed))


def run_tests(
    store: Store | str | Path,
    cases: str | Path | Sequence[Case],
    *,
    predictions: str | None = None,
    iou: float | None = None,
    confidence: float | None = None,
    resamples: int = 1000,
    pessimistic: bool = False,
    seed: int = 0,
) -> Tested:
    """Whether the expectations of a YAML file (or of `read_tests`) hold in a store.

    An expectation holds, or fails, where the whole interval of its figure says so (Wilson's of precision and recall, bootstrap
    ranges of the rest, made only where they are needed); in between, with fewer than `min_count` rows and where the figure is
    not defined it is undecided; `pessimistic` makes that a failure. Without resamples figures count as they are. Raises
    `ConfigError` naming the place of what is malformed, `UnknownNameError`, `UsageError`.
    """
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    asked = read_tests(cases) if isinstance(cases, str | Path) else tuple(cases)
    asked = tuple(_resolved(opened, case) for case in asked)
    wanted = {_parsed(text, case.name)[0] for case in asked for text in case.expect}
    slices = {str(place): case.condition for place, case in enumerate(asked)}
    count = resamples if wanted - _WITHOUT_RANGE else 0
    found = slice_figures(
        opened, slices, predictions=predictions, iou=iou, confidence=confidence, resamples=count, seed=seed
    )  # fmt: skip
    verdicts = [
        _judged(case, text, found.figures(str(place)), pessimistic=pessimistic)
        for place, case in enumerate(asked)
        for text in case.expect
    ]
    numbered = {f"slice {place!r} holds no label" for place in slices}  # verdicts tell it under the name of the case
    notes = tuple(note for note in found.notes if not note.partition(":")[0].isdigit() and note not in numbered)
    return Tested(tuple(verdicts), {**found.params, "pessimistic": pessimistic}, notes)


def read_tests(path: str | Path) -> tuple[Case, ...]:
    """The test cases of a YAML file. Raises `ConfigError` that names the place of what is malformed."""
    values = load_yaml(Path(path))
    where = clean(path)
    unknown = [key for key in values if key != "tests"]
    if unknown or not isinstance(values.get("tests"), list) or not values["tests"]:
        what = f"unknown key {clean(unknown[0])!r}" if unknown else "no list of tests"
        raise ConfigError(f"{where}: {what}", hint=_EXAMPLE)
    return tuple(_case(one, f"{where}: tests[{place}]") for place, one in enumerate(values["tests"]))


def _case(given: Any, where: str) -> Case:
    """One entry of the file, checked."""
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{where} is no mapping but {clean(given, 60)!r}", hint='write {slice: NAME, expect: ["recall >= 0.6"]}'
        )
    unknown = [str(key) for key in given if key not in _KEYS]
    if unknown:
        hint = close(unknown[0], _KEYS) or f"there are {', '.join(_KEYS)}"
        raise ConfigError(f"{where} has the unknown key {clean(unknown[0])!r}", hint=hint)
    named = [key for key in ("slice", "where") if key in given]
    if len(named) != 1 or not isinstance(given[named[0]], str) or not given[named[0]].strip():
        raise ConfigError(f"{where} needs either slice: NAME or where: CONDITION, one of them and as text")
    expect = [given["expect"]] if isinstance(given.get("expect"), str) else given.get("expect")
    if not isinstance(expect, list) or not expect or not all(isinstance(text, str) for text in expect):
        raise ConfigError(f"{where} needs expect: a list of conditions", hint='expect: ["recall >= 0.6", "AP > 0.3"]')
    for text in expect:
        _parsed(text, where)
    least = given.get("min_count", MIN_COUNT)
    if isinstance(least, bool) or not isinstance(least, int) or least < 0:
        raise ConfigError(f"{where}: min_count is {clean(least, 40)!r}, not a whole number from 0")
    condition = given[named[0]]
    name = given.get("name", condition)
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"{where}: name is {clean(name, 40)!r}, not a text")
    return Case(name, condition, tuple(expect), least, saved=named[0] == "slice")


def _resolved(store: Store, case: Case) -> Case:
    """The case with the condition of the saved slice that it names. Raises `UnknownNameError`."""
    if not case.saved:
        return case
    saved, name = saved_slices(store), case.condition
    if name not in saved:
        known = (
            f"there are {', '.join(saved)}"
            if saved
            else f"gpu-quality slice add {shlex.quote(str(store.path))} {shlex.quote(name)} CONDITION"
        )
        raise UnknownNameError(f"there is no slice {clean(name)!r}", hint=close(name, saved) or known)
    return replace(case, condition=saved[name], saved=False)


def _parsed(text: str, where: str) -> tuple[str, str, float]:
    """Figure, as the table of figures spells it where it can be told, sign and limit. Raises `ConfigError`."""
    match = CONDITION.match(text)
    if match is None or any(sign in match.group(1) for sign in "<>="):
        raise ConfigError(
            f"{where}: {clean(text, 80)!r} is no condition", hint='a figure, a sign and a number: "recall >= 0.6"'
        )
    return ALIASES.get(match.group(1).lower(), match.group(1)).lower(), match.group(2), float(match.group(3))


def _judged(case: Case, text: str, figures: Mapping[str, Any], *, pessimistic: bool) -> Verdict:
    """What became of an expectation."""
    wanted, sign, limit = _parsed(text, case.name)
    known = {key.lower(): key for key in figures if key not in ("slice", "condition") and not key.endswith(("_low", "_high"))}
    if wanted not in known:
        hint = close(wanted, known.values()) or f"there are {', '.join(known.values())}"
        raise UnknownNameError(f"{clean(case.name)}: {clean(text, 80)!r} names no figure of a slice", hint=hint)
    name = known[wanted]
    value = figures[name]
    low, high = (figures.get(f"{name}_{end}") for end in ("low", "high"))
    of = ("tp", "fp") if wanted in _OF_PREDICTIONS else ("found", "fn")
    n = int(sum(figures[key] for key in of))
    outcome, message = _outcome(value, low, high, sign, limit)
    if n < case.min_count and wanted not in _SIZES:
        noun = "prediction" if of[0] == "tp" else "label"
        outcome, message = "undecided", f"undecided: {counted(n, noun)}, {case.min_count} needed"
    if pessimistic and outcome == "undecided":
        outcome, message = "failed", f"failed: {message.removeprefix('undecided: ')}"
    return Verdict(case.name, case.condition, text, name, value, low, high, n, outcome, message)


def _outcome(value: float | None, low: float | None, high: float | None, sign: str, limit: float) -> tuple[Outcome, str]:
    """Whether a condition holds at the value and at both ends of its interval."""
    if value is None:
        return "undecided", "undecided: the figure is not defined"
    ends = [value] if low is None or high is None else [low, high]
    holds = [{">=": end >= limit, "<=": end <= limit, ">": end > limit, "<": end < limit}[sign] for end in ends]
    if all(holds):
        return "passed", ""
    return ("undecided", "undecided: the interval holds the limit") if any(holds) else ("failed", "")
