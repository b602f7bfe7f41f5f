"""One metric of values computed elsewhere, on its way into a store: columns, aggregates, and the values as they were given."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np

from gpu_quality.analysis.custom import RESERVED, Counts, Levels, add_counts, aggregate, over, rates, roll_up
from gpu_quality.authoring.checks import Single
from gpu_quality.authoring.names import column_name, slug
from gpu_quality.authoring.values import BadLine, Given
from gpu_quality.errors import IncompatibleError
from gpu_quality.store.layout import WHOLE
from gpu_quality.store.store import Layer, Store

DOOR: Final = "imported"
_HOW: Final = {
    "ARITHMETIC_MEAN": "arithmetic mean",
    "GEOMETRIC_MEAN": "geometric mean",
    "HARMONIC_MEAN": "harmonic mean",
    "SUM": "sum",
    "CONFUSION_MATRIX": "counts added up",
}


@dataclass(frozen=True, slots=True)
class ImportedMetric:
    """One metric of a file as it is stored; `overall` is its aggregate over all frames (or objects)."""

    name: str
    kind: str
    aggregation: str
    values: int
    columns: tuple[str, ...]
    result: str
    overall: Any
    fresh: bool


class Parcel:
    """One metric on its way into a store."""

    def __init__(self, store: Store, given: Given, reserved: frozenset[str], file: str) -> None:
        self.store, self.given, self.file = store, given, file
        said = json.dumps([DOOR, given.name, given.how, sorted(map(repr, given.entries.items()))])
        self.layer = hashlib.sha256(said.encode()).hexdigest()[:16]
        self.result = f"custom.{slug(given.name)}.{hashlib.sha256(given.name.encode()).hexdigest()[:8]}.json"
        self.column = column_name(given.name, reserved | RESERVED)
        found = {level for level, *_ in given.entries}
        self.columns: dict[str, str] = {}
        """Column → level: only single numbers are columns."""
        if given.kind == "scalar" and not given.by_confidence:
            self.columns = {
                f"object_{self.column}" if level == "object" and "frame" in found else self.column: level
                for level in sorted(found)
            }

    def rivals(self, *, replacing: bool) -> list[Layer]:
        """Layers that have to go. Raises `IncompatibleError` where they hold other values and nobody is `replacing` them."""
        found = []
        for layer in self.store.layers():
            same_name = layer.meta.get("result") == self.result
            if layer.name == self.layer:
                found += [] if layer.complete else [layer]
            elif same_name or set(self.columns) & set(layer.columns):
                if not (same_name and replacing):
                    raise IncompatibleError(
                        f"{self.store.path} holds {'other values of ' if same_name else ''}{self.given.name!r} already",
                        hint="import it with --replace" if same_name else "rename the metric in the file",
                    )
                found.append(layer)
        return found

    def commit(self, bad: Sequence[BadLine]) -> ImportedMetric:
        """Write the aggregates, then the layer, which counts; nothing where the same is there."""
        given = self.given
        summary, columns = self._computed()
        facts = ImportedMetric(
            given.name, given.kind, given.how, len(given.entries), tuple(columns), self.result, summary["all"], fresh=True
        )
        if any(layer.name == self.layer for layer in self.store.layers()):
            return replace(facts, fresh=False)
        about = {"name": f"custom/{given.name}", "kind": given.kind, "aggregation": given.how, "file": self.file}
        self.store.save_result(self.result.replace(".json", ".ndjson"), self._rows())
        self.store.save_result(self.result, json.dumps({**about, "columns": list(columns), **summary}).encode())
        wanted = {name: {"metric": name, "options": {}, "fingerprint": self.layer} for name in columns}
        columns_told = {name: self._facts(name) for name in columns}
        meta = {"kind": "table", "door": DOOR, "result": self.result, "wanted": wanted, "columns": columns_told, "plugins": []}
        self.store.begin_layer(self.layer, meta)
        tables: dict[str, Any] = {"errors": self._errors(bad)} if bad else {}
        for name, column in columns.items():
            tables.setdefault(f"{self.columns[name]}s", {})[name] = column
        self.store.types.clear()
        self.store.commit(self.layer, WHOLE, tables)
        self.store.finish(self.layer)
        return facts

    def _errors(self, bad: Sequence[BadLine]) -> dict[str, list[Any]]:
        """Error rows of the lines that could not be used."""
        count = len(bad)
        return {
            "uri": [self.file] * count,
            "stage": ["annotate"] * count,
            "reason": ["bad_annotation"] * count,
            "detail": [line.reason[:500] for line in bad],
            "line": [line.line for line in bad],
            "shard": [WHOLE] * count,
        }

    def _computed(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Aggregates for the result file, and the columns."""
        given = self.given
        if given.by_confidence:
            steps = sorted({step for value in given.entries.values() if isinstance(value, dict) for step in value})
            each = {f"{step:g}": _summary(_levels(given, step), given) for step in steps}
            return {"all": {step: summary["all"] for step, summary in each.items()}, "confidences": each}, {}
        levels = _levels(given, None)
        objects: dict[int, Any] = {key[1]: value for key, value in given.entries.items() if key[0] == "object"}
        summary = _summary(levels, given)
        if objects:
            summary["objects"] = _told(over(objects, _combine(given)))
            summary["all"] = summary["all"] if levels.rows else summary["objects"]
        columns = {
            name: _column(levels.rows if level == "frame" else objects, self.store.input.count(f"{level}s"))
            for name, level in self.columns.items()
        }
        return summary, columns

    def _rows(self) -> bytes:
        """Every value as given, one JSON object a line, in the shape it can be imported from again."""
        frames = self.store.frames(["frame"]).column("frame")
        objects = self.store.input.table("objects", ["object"]).column("object")
        rows = []
        for (level, row, feature, subclass), value in sorted(self.given.entries.items(), key=repr):
            ids = {"object": objects[row].as_py()} if level == "object" else {"dataRow": {"globalKey": frames[row].as_py()}}
            given = {f"{step:g}": part for step, part in value.items()} if isinstance(value, dict) else value
            names = {"featureName": feature, "subclassName": subclass}
            rest = {key: name for key, name in names.items() if name is not None}
            line = {**ids, "metricName": self.given.name, "metricValue": given, **rest, "aggregation": self.given.how}
            rows.append(json.dumps(line, ensure_ascii=False))
        return "\n".join([*rows, ""]).encode("utf-8", "surrogatepass")

    def _facts(self, name: str) -> dict[str, Any]:
        return {
            "per": self.columns[name],
            "metric": name,
            "hidden": False,
            "unit": "value",
            "bounds": None,
            "bad": "neither",
            "version": 1,
            "options": {},
            "fingerprint": self.layer,
            "summary": f"{self.given.name}, imported from {self.file} ({_HOW[self.given.how]}).",
            "module": "imported",
            "title": self.given.name,
        }


def _combine(given: Given) -> Callable[[Sequence[Any]], Any]:
    return add_counts if given.kind == "confusion_matrix" else partial(aggregate, how=given.how)


def _levels(given: Given, step: float | None) -> Levels[Any]:
    """Values of frames by level, of one confidence where they are given per confidence."""
    picked = []
    for (level, row, feature, subclass), value in given.entries.items():
        one: Single | None = value.get(step) if isinstance(value, dict) and step is not None else value  # type: ignore[assignment]
        if level == "frame" and one is not None:
            picked.append((row, feature, subclass, one))
    return roll_up(picked, _combine(given))


def _summary(levels: Levels[Any], given: Given) -> dict[str, Any]:
    """Aggregates over all frames: of the frames' values, of each class, of each nested class."""
    combine = _combine(given)
    nested: dict[str, dict[str, Any]] = {}
    for (feature, subclass), values in sorted(levels.subclasses.items()):
        nested.setdefault(feature, {})[subclass] = _told(over(values, combine))
    return {
        "all": _told(over(levels.rows, combine)),
        "frames": len(levels.rows),
        "classes": {name: _told(over(values, combine)) for name, values in sorted(levels.classes.items())},
        "subclasses": nested,
    }


def _told(value: float | Counts | None) -> Any:
    """A value as JSON: counts come with their rates."""
    return {"counts": list(value), **rates(value)} if isinstance(value, tuple) else value


def _column(values: Mapping[int, float], count: int) -> Any:
    column, missing = np.zeros(count), np.ones(count, bool)
    for row, value in values.items():
        column[row], missing[row] = value, False
    return np.ma.masked_array(column, mask=missing)
