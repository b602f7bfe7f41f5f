"""What an evaluation left in a store, read whole: figures, tables, and what every object came to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from gpu_quality.api.evaluation_store import RESULT
from gpu_quality.errors import GpuQualityError
from gpu_quality.store.layout import RESULTS, digest
from gpu_quality.store.results import read_sums
from gpu_quality.store.store import Store
from gpu_quality.text import number

TABLES: Final = ("classes", "curves", "confusion", "grid")
"""Tables beside ``evaluation.json``; each is a view of `query`."""
OUTCOMES: Final = {
    "outcome": "outcome", "partner": "matched_object", "iou": "iou_with_label", "reason": "reason", "error": "tide_error",
    "confidence": "confidence",
}  # fmt: skip
"""Name here → column of the store (before the suffix of its set)."""
_INPUT: Final = ("object", "frame", "row", "origin", "class_id", "area")
_NEEDED: Final = frozenset({"protocol", "kind", "params", "counts", "metrics", "per_class"})
_AGAIN: Final = "`gpu-quality evaluate` makes it anew."


@dataclass(frozen=True, slots=True)
class Stored:
    """One evaluated prediction set, as it was stored."""

    name: str
    suffix: str
    """What columns and results are called after their name: empty where the store has one set."""
    facts: Mapping[str, Any]
    """``results/evaluation<suffix>.json``."""
    tables: Mapping[str, pd.DataFrame]
    """By name of `TABLES`."""
    objects: pd.DataFrame
    """Labels and the predictions of the set: object, frame, row, origin, class_id, area, and the keys of `OUTCOMES`; empty
    where the columns of outcomes are not there."""
    notes: tuple[str, ...]

    @property
    def params(self) -> Mapping[str, Any]:
        """How it was evaluated."""
        params: Mapping[str, Any] = self.facts["params"]
        return params

    def source(self, table: str = "") -> str:
        """What a table is called in a query; without one, the file of the figures."""
        return f"{RESULT}_{table}{self.suffix}" if table else f"{RESULT}{self.suffix}.json"


def read_stored(store: Store, number_of: int, name: str, suffix: str) -> Stored | str | None:
    """The evaluation of a prediction set; None where there is none, a sentence where it cannot be read."""
    path = store.path / RESULTS / f"{RESULT}{suffix}.json"
    if not path.is_file():
        return None
    try:
        changed = _changed(store, [path.name, *(f"{RESULT}_{table}{suffix}.parquet" for table in TABLES)])
        if changed:
            return f"{changed} is not what was written: {_AGAIN}"
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or not set(facts) >= _NEEDED:
            return f"{path.name} is not what an evaluation writes: {_AGAIN}"
        tables = {table: store.query(f'select * from "{RESULT}_{table}{_quoted(suffix)}"') for table in TABLES}  # noqa: S608
    except (OSError, ValueError) as error:
        return f"the evaluation cannot be read ({type(error).__name__}): {_AGAIN}"
    except GpuQualityError as error:
        return f"the evaluation cannot be read ({error.code}): {_AGAIN}"
    objects, notes = _objects(store, number_of, suffix, facts["params"])
    return Stored(name, suffix, facts, tables, objects, notes)


def _changed(store: Store, names: Sequence[str]) -> str:
    """The first of some results whose bytes are not those that were written; empty where all are."""
    sums = read_sums(store.path)
    return next((name for name in names if digest((store.path / RESULTS / name).read_bytes()) not in sums.get(name, [])), "")


def _quoted(name: str) -> str:
    return name.replace('"', '""')


def _objects(store: Store, number_of: int, suffix: str, params: Mapping[str, Any]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Labels and predictions of a set with what they came to, and what a reader should know about it."""
    known = store.columns()
    wanted = {f"{column}{suffix}": name for name, column in OUTCOMES.items()}
    missing = [column for column in wanted if column not in known]
    if missing:
        gone = f"The store has no column {', '.join(missing)}: nothing to show of single objects. {_AGAIN}"
        return pd.DataFrame(columns=[*_INPUT, *OUTCOMES]), (gone,)
    table = store.table("object", [*_INPUT, *wanted]).rename(columns=wanted)
    table = table[np.isin(table["origin"].to_numpy(), (0, number_of))].reset_index(drop=True)
    options = known[f"outcome{suffix}"].get("options", {})
    differing = [key for key in ("iou", "confidence") if key in options and options[key] != params.get(key)]
    if differing:
        told = ", ".join(f"{key} {number(options[key])} and {number(params.get(key))}" for key in differing)
        return table, (f"Columns and figures come from two evaluations ({told}): {_AGAIN}",)
    return table, ()
