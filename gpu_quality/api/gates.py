"""Gates: conditions on the figures of an evaluation that stop a pipeline."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gpu_quality.api.evaluation import Evaluation
from gpu_quality.errors import GateError, UnknownNameError, UsageError
from gpu_quality.text import close

CONDITION: Final = re.compile(r"^\s*(\S.*?)\s*(>=|<=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*$", re.DOTALL)
_LOW_IS_GOOD: Final = frozenset(
    {"olrp", "ece", "mce", "fp", "fn", "brier", "log_loss", "ks", "psi", "wasserstein", "drifting", "drifting_share",
     "class_divergence", "domain_auc", "mmd2"}
)  # fmt: skip
ALIASES: Final = {"map": "AP", "map_50": "AP50", "map_75": "AP75", "map_small": "APs", "map_medium": "APm", "map_large": "APl",
                   "mar_1": "AR1", "mar_10": "AR10", "mar_100": "AR100"}  # fmt: skip
"""Other names of figures, in lower case."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition, and what became of it."""

    condition: str
    figure: str
    value: float | None
    passed: bool

    @property
    def text(self) -> str:
        """Both in words."""
        value = "undefined" if self.value is None else f"{self.value:.4f}"
        return f"{self.figure} is {value}: {self.condition.strip()} {'passed' if self.passed else 'not passed'}"


Figures = Mapping[str, Any]
"""Figures by name; those of a class have a mapping of their own, by the name of the class."""


def look_at_gates(found: Evaluation | Figures, gates: Sequence[str]) -> list[Gate]:
    """What became of each gate.

    A gate that asks for good figures must hold ("map>=0.4", "ECE<=0.05"); one that names bad figures must not ("AP<0.4",
    "oLRP>0.8"). "recall/person" is the figure of a class. A figure that is not defined passes no gate. Raises `UsageError` for
    what is no condition, `UnknownNameError` for a figure or class nobody knows.
    """
    if not gates:
        return []
    whole, classes = _figures(found) if isinstance(found, Evaluation) else _split(found)
    return [_look(gate, whole, classes) for gate in gates]


def check_gates(found: Evaluation | Figures, gates: Sequence[str]) -> list[str]:
    """What each gate found, in words. Raises `GateError` naming every gate that stops, and as `look_at_gates`."""
    return refuse(look_at_gates(found, gates))


def refuse(gates: Sequence[Gate]) -> list[str]:
    """What each gate found, in words. Raises `GateError` naming every one that stops."""
    failed = [gate.text for gate in gates if not gate.passed]
    if failed:
        raise GateError("; ".join(failed))
    return [gate.text for gate in gates]


def _look(gate: str, whole: Figures, classes: Mapping[str, Figures]) -> Gate:
    match = CONDITION.match(gate)
    if match is None:
        raise UsageError(f"--fail-on {gate!r} is no condition", hint='write a figure, a sign and a number: "map>=0.4"')
    name, sign, limit = match.group(1), match.group(2), float(match.group(3))
    value = value_of(name, whole, classes)
    low_is_good = name.partition("/")[0].lower() in _LOW_IS_GOOD or name.lower().startswith("dap")
    wished = sign.startswith("<") == low_is_good
    true = value is not None and {">=": value >= limit, "<=": value <= limit, ">": value > limit, "<": value < limit}[sign]
    return Gate(gate, name, value, value is not None and true == wished)


def value_of(name: str, whole: Figures, classes: Mapping[str, Figures]) -> float | None:
    """A figure by its name, of one class with /CLASS; case does not matter."""
    head, sign, own = name.partition("/")
    if sign and own not in classes:
        known = ", ".join(list(classes)[:20])
        raise UnknownNameError(f"there is no class or measure {own!r}", hint=close(own, tuple(classes)) or f"there are {known}")
    figures = classes[own] if sign else whole
    named = {key.lower(): value for key, value in figures.items()}
    wanted = head.lower() if head.lower() in named else ALIASES.get(head.lower(), head).lower()
    if wanted not in named:
        what = "there is no figure" if not sign else "classes have no figure"
        raise UnknownNameError(f"{what} {head!r}", hint=close(head, tuple(figures)) or f"there are {', '.join(figures)}")
    value = named[wanted]
    return None if value is None or value != value else float(value)


def _figures(found: Evaluation) -> tuple[dict[str, Any], dict[str, Figures]]:
    """The figures of an evaluation, and those of its classes. What the protocol counts is what it shows."""
    totals = found.grid((found.confidence,), (found.iou,), average="micro").iloc[0]
    counted: dict[str, Any] = {key: float(totals[key]) for key in ("precision", "recall", "f1", "tp", "fp", "fn")}
    counted |= {"ECE": found.calibration.ece, "MCE": found.calibration.mce, "oLRP": found.mean_olrp}
    shown = {key.lower() for key in found.summary}
    whole = {**found.summary, **{key: value for key, value in counted.items() if key.lower() not in shown}}
    return whole, {str(name): row.to_dict() for name, row in found.per_class.iterrows()}


def _split(figures: Figures) -> tuple[dict[str, Any], dict[str, Figures]]:
    whole = {name: value for name, value in figures.items() if not isinstance(value, Mapping)}
    return whole, {name: value for name, value in figures.items() if isinstance(value, Mapping)}
