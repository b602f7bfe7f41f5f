"""The answer of `performance`: curves, weak stretches and the separating value of one metric, and how a store keeps them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from gpu_quality.analysis.performance import Performance
from gpu_quality.analysis.performance_split import SURE, Split
from gpu_quality.api.evaluation_json import plain
from gpu_quality.api.results import is_current, keep, kept, kept_table, made_from
from gpu_quality.api.subjects import ROWS, Measure
from gpu_quality.errors import CorruptError
from gpu_quality.functional.inference import wilson
from gpu_quality.store.store import Store

RESULT: Final = "performance"
FIGURES: Final[Mapping[str, str]] = {"P": "precision", "O": "recall", "C": "accuracy"}
"""What the share of successes is called."""
_COLUMNS: Final = ("metric", "rows", "class", "bin", "low", "high", "median", "n", "successes", "rate", "rate_low",
                   "rate_high", "fnr", "marked", "AP", "AP50")  # fmt: skip
_OF_BIN: Final = ("low", "high", "median", "n", "successes", "rate", "rate_low", "rate_high", "marked")


@dataclass(frozen=True, slots=True)
class Side:
    """Success of predictions, of labels, or of answers along a metric."""

    rows: str
    """P predictions (the rate is precision) O labels (recall; FNR is what it lacks to 1), C answers (accuracy)."""
    measure: Measure
    curve: Performance
    ids: NDArray[Any]
    """Names of the objects that the rows of the curve are; of answers their frames."""
    split: Split | None
    split_where: str
    """SQL condition that holds the worse side; empty without a split, and for measures that conditions do not know."""
    weak_where: tuple[str, ...]
    """SQL condition of each weak stretch."""
    failed: str
    """SQL condition of what went wrong: false predictions, missed labels; empty for answers, and where the stored outcomes
    are of another IoU or confidence."""
    ignored: int
    """Rows that took no part in the evaluation, and are in no number here."""
    of_class: Mapping[str, Performance]
    few: Mapping[str, int]
    """Classes with fewer than 20 rows: how many."""
    ap: pd.DataFrame | None
    """Per bin of the curve, and in a last row of all bins together: labels, predictions, AP, AP50."""

    @property
    def figure(self) -> str:
        """What the rate is called."""
        return FIGURES[self.rows]

    @property
    def noun(self) -> str:
        """Predictions, labels or answers."""
        return ROWS[self.rows]

    @property
    def worst(self) -> str:
        """SQL condition of the values that fare worst: that of the split where it is sure, else of a stretch, else empty."""
        if self.split is not None and self.split.p <= SURE:
            return self.split_where
        return self.weak_where[0] if self.weak_where else ""

    def weak_ids(self, place: int) -> list[str]:
        """Names of the objects (of answers: the frames) of a weak stretch."""
        return [str(name) for name in self.ids[self.curve.rows[place]]]

    def sentence(self) -> str:
        """Where performance is worst, in words; what stands in the way where nothing can be said."""
        if self.split is not None:
            return self.split.sentence(self.measure.name, self.figure, self.noun)
        if not len(self.ids):
            return f"there are no {self.noun} to judge: none is left by what was asked, or none took part in the evaluation"
        if not self.curve.n:
            return f"{self.measure.name} has no value for {self.noun} that were judged"
        if self.curve.mean in (0.0, 1.0):
            word = {"P": ("false", "true"), "O": ("missed", "found"), "C": ("wrong", "right")}[self.rows][int(self.curve.mean)]
            return f"all {self.curve.n:,} {self.noun} are {word}"
        return f"no value of {self.measure.name} leaves 20 {self.noun} and 5 % of them on both sides"

    def to_dict(self, *, ids: bool = True) -> dict[str, Any]:
        """Everything as plain values; `ids` tells whether the objects of weak stretches are named."""
        weak = [
            {**row, "where": where, **({"ids": self.weak_ids(place)} if ids else {})}
            for place, (row, where) in enumerate(zip(self.curve.weak.to_dict("records"), self.weak_where, strict=True))
        ]
        split = None if self.split is None else {**asdict(self.split), "where": self.split_where}
        ap = None if self.ap is None else self.ap.to_dict("records")
        found = {
            "rows": self.rows, "figure": self.figure, "level": self.measure.level, "ignored": self.ignored,
            **_curve(self.curve, labels=self.rows == "O"), "weak": weak, "split": split, "sentence": self.sentence(),
            "classes": {name: _curve(one, labels=self.rows == "O") for name, one in self.of_class.items()},
            "few": dict(self.few), "ap": None if ap is None else ap[:-1], "ap_all": None if ap is None else ap[-1],
            "failed": self.failed, "worst": self.worst,
        }  # fmt: skip
        return dict(plain(found))

    def table(self) -> pd.DataFrame:
        """One row per bin, first of all classes (`class` null), then of each; bin 0 holds the rows without a value."""
        parts = []
        for name, curve in [(None, self.curve), *self.of_class.items()]:
            bins = curve.bins[list(_OF_BIN)].assign(bin=np.arange(1, len(curve.bins) + 1))
            if name is None and self.ap is not None:
                bins = bins.assign(AP=self.ap["AP"].to_numpy()[:-1], AP50=self.ap["AP50"].to_numpy()[:-1])
            if curve.missing["n"]:
                bins = pd.concat([bins, pd.DataFrame([{**curve.missing, "bin": 0}])], ignore_index=True)
            parts.append(bins.assign(**{"class": name}))
        whole = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
        fnr = 1 - whole["rate"] if self.rows == "O" else np.nan
        whole = whole.assign(metric=self.measure.name, rows=self.rows, fnr=fnr).reindex(columns=list(_COLUMNS))
        kinds = dict.fromkeys(("bin", "n", "successes"), "int64") | {"marked": "bool", "class": "object"}
        return whole.astype(kinds | dict.fromkeys((*_OF_BIN[:3], "rate", "rate_low", "rate_high", "AP", "AP50"), "float64"))


@dataclass(frozen=True, slots=True)
class MetricPerformance:
    """How performance depends on one metric: precision of predictions, recall of labels, or both."""

    metric: str
    sides: tuple[Side, ...]
    params: Mapping[str, Any]
    """What was asked: bins, edges, where, predictions, classes, iou, confidence, seed; `condition` is SQL of both filters."""
    notes: tuple[str, ...] = ()
    """Sentences about what limits the answer."""

    def to_dict(self, *, ids: bool = True) -> dict[str, Any]:
        """Everything as one object that JSON can hold."""
        first = self.sides[0].measure
        about = {"metric": self.metric, "unit": first.unit, "bad": first.bad, "summary": first.summary}
        sides = [side.to_dict(ids=ids) for side in self.sides]
        return {**about, "sides": sides, "params": dict(self.params), "notes": list(self.notes)}

    def table(self) -> pd.DataFrame:
        """One row per bin: metric, rows, class, bin (0 = no value), low … rate_high, fnr (labels), marked, AP, AP50."""
        return pd.concat([side.table() for side in self.sides], ignore_index=True)

    def weak(self) -> pd.DataFrame:
        """One row per object of a weak stretch: metric, rows, stretch (1 = worst), object."""
        parts = [
            pd.DataFrame({"rows": side.rows, "stretch": place + 1, "object": side.weak_ids(place)})
            for side in self.sides
            for place in range(len(side.curve.rows))
        ]
        empty = pd.DataFrame(
            {"rows": pd.Series(dtype=str), "stretch": pd.Series(dtype="int64"), "object": pd.Series(dtype=str)}
        )
        whole = pd.concat(parts, ignore_index=True) if parts else empty
        return whole.assign(metric=self.metric)[["metric", "rows", "stretch", "object"]]


def save(store: Store, answer: MetricPerformance) -> MetricPerformance:
    """Keep an answer beside those about other metrics, as far as they are about what the store holds now.

    Facts: `metrics` by name (as `to_dict`, without names of objects), `params` and `notes` of the last, `made_from`. Tables:
    ``performance`` (all bins) and ``performance_weak`` (objects of weak stretches).
    """
    old, tables = _kept(store)
    metrics = {
        **{name: facts for name, facts in old.items() if name != answer.metric},
        answer.metric: answer.to_dict(ids=False),
    }
    facts = {"metrics": metrics, "params": dict(answer.params), "notes": list(answer.notes), "made_from": made_from(store)}
    own = {"": answer.table(), "weak": answer.weak()}
    whole = {}
    for name, table in own.items():
        others = tables.get(name, table[:0])
        parts = [part for part in (others[others["metric"] != answer.metric], table) if len(part)]
        whole[name] = pd.concat(parts, ignore_index=True) if parts else table
    told = keep(store, RESULT, facts, whole)
    return replace(answer, notes=(*answer.notes, told)) if told else answer


def _kept(store: Store) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """What was asked before about what the store holds now; nothing where it is damaged, since it is written anew."""
    try:
        facts = kept(store, RESULT)
        if facts is None or not is_current(store, facts):
            return {}, {}
        tables = {name: kept_table(store, RESULT, name) for name in ("", "weak")}
        found = {name: table for name, table in tables.items() if table is not None and "metric" in table}
        return dict(facts.get("metrics") or {}), found
    except CorruptError:
        return {}, {}


def _curve(curve: Performance, *, labels: bool) -> dict[str, Any]:
    """Bins, the mean with its interval, and the rows without a value."""
    successes = int(curve.bins["successes"].sum())
    low, high = (float(end) for end in wilson(torch.tensor(successes), torch.tensor(curve.n)))
    bins = curve.bins[list(_OF_BIN)]
    told = (bins.assign(fnr=1 - bins["rate"]) if labels else bins).to_dict("records")
    mean = {"mean": curve.mean, "mean_low": low, "mean_high": high}
    return {"n": curve.n, **mean, "bins": told, "missing": dict(curve.missing)}
