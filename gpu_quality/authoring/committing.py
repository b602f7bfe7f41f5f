"""What a finished class-form metric becomes: a layer of the store, a CSV, and the metric's facts beside it."""

import hashlib
import inspect
import json
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_quality.authoring.iterator import Iterator
from gpu_quality.authoring.metric import Metric, MetricMetadata, SimpleMetric
from gpu_quality.authoring.names import column_name, reserved_columns
from gpu_quality.authoring.place import Place
from gpu_quality.authoring.writer import LEVELS, CSVMetricWriter
from gpu_quality.errors import IncompatibleError
from gpu_quality.store.commit import commit_bytes
from gpu_quality.store.layout import PER, WHOLE
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Layer, Store

DOOR = "authored"
_PREFIX = {"frame": "", "object": "object_", "classification": "answer_"}


@dataclass(frozen=True, slots=True)
class Done:
    """A metric that is stored: its columns, its CSV, how many rows have a score, how many cells failed."""

    title: str
    columns: tuple[str, ...]
    csv: Path
    rows: int
    errors: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides the numbers of a metric, and the names its results go by."""

    layer: str
    column: str
    """Column of scores; `object_` or `answer_` in front where one metric scores frames and labels."""
    stem: str
    """Name of its files without the ending."""
    module: str
    source: str
    """SHA-256 of the file that defines it."""
    options: Mapping[str, Any]

    @classmethod
    def of(cls, metric: Metric | SimpleMetric, store: Store, origin: str, subset_size: int | None) -> "Identity":
        """The identity of a metric as it is now: its title, the file it is written in, and its plain attributes."""
        source, module = _source(metric)
        facts = {name: value for name, value in vars(metric).items() if name != "metadata"}
        options = {name: value for name, value in sorted(facts.items()) if _plain(value)}
        if subset_size is not None:
            options["subset_size"] = subset_size
        said = [DOOR, metric.metadata.title, source, type(metric).__name__, origin, options]
        layer = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
        column = column_name(metric.metadata.title, reserved_columns(store))
        if origin:
            column = f"{column}_{origin}"
        return cls(layer, column, metric.metadata.get_unique_name(origin), module, source, options)

    def names(self) -> frozenset[str]:
        """Every column the metric may ever have."""
        scores = {f"{prefix}{self.column}" for prefix in _PREFIX.values()}
        return frozenset(scores | {f"{name}_description" for name in scores})


def _source(metric: Metric | SimpleMetric) -> tuple[str, str]:
    """SHA-256 of the file a metric is written in, of its compiled code where there is no file, and the file's name."""
    kind = type(metric)
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    if file is not None and Path(file).is_file():
        return hashlib.sha256(Path(file).read_bytes()).hexdigest(), Path(file).stem
    code = inspect.unwrap(kind.execute).__code__
    return hashlib.sha256(code.co_code + repr(code.co_consts).encode()).hexdigest(), kind.__module__


def _plain(value: object) -> bool:
    """Whether an attribute is a setting that JSON can hold."""
    if isinstance(value, list | tuple):
        return all(_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(item) for key, item in value.items())
    return value is None or isinstance(value, str | int | float | bool)


def already(place: Place, identity: Identity) -> Done | None:
    """The stored results of the very same metric, if they are whole."""
    csv = place.files / f"{identity.stem}.csv"
    for layer in place.store.layers():
        if layer.name == identity.layer and layer.complete and csv.is_file():
            return Done(layer.meta["title"], tuple(layer.columns), csv, layer.meta["rows"], layer.meta["errors"], fresh=False)
    return None


def refuse_other(place: Place, identity: Identity, *, replace: bool) -> list[Layer]:
    """Layers that hold a column of this metric and have to go; raises `IncompatibleError` where that is not wanted."""
    rivals = [layer for layer in place.store.layers() if identity.names() & set(layer.columns) or layer.name == identity.layer]
    for layer in rivals:
        own = layer.meta.get("door") == DOOR
        if layer.name != identity.layer and not (own and replace):
            held = sorted(identity.names() & set(layer.columns))[0]
            hint = "run it again with --replace (replace=True), or give the metric another title"
            raise IncompatibleError(
                f"{place.store.path} holds {held!r} of {'another version of this code' if own else 'another metric'}",
                hint=hint if own else "give the metric another title",
            )
    return rivals


def commit(
    iterator: Iterator, metric: Metric | SimpleMetric, identity: Identity, writer: CSVMetricWriter, *, replace: bool
) -> Done:
    """Write the files, then the layer, which counts. Raises `LockedError`, `DiskFullError`, `IncompatibleError`."""
    place, store, facts = iterator.place, iterator.place.store, metric.metadata
    tables, columns = _tables(store, facts, identity, writer)
    errors = _errors(iterator, identity, writer)
    rows = sum(len(writer.scores[level]) for level in LEVELS)
    csv = place.files / f"{identity.stem}.csv"
    about = {**facts.as_json(), "stats": writer.stats(), "columns": list(columns), "source_sha256": identity.source}
    with writer_lock(store.path):
        for layer in refuse_other(place, identity, replace=replace):
            store.retire(layer.name)
        commit_bytes(csv, writer.csv())
        commit_bytes(csv.with_suffix(".meta.json"), json.dumps(about, indent=1, ensure_ascii=False).encode() + b"\n")
        store.begin_layer(
            identity.layer,
            {
                "kind": "table",
                "door": DOOR,
                "title": facts.title,
                "rows": rows,
                "errors": len(errors),
                "wanted": {
                    identity.column: {"metric": identity.column, "options": identity.options, "fingerprint": identity.layer}
                },
                "columns": columns,
                "plugins": [identity.module],
                "source_sha256": identity.source,
            },
        )
        if errors:
            tables["errors"] = {key: [error[key] for error in errors] for key in errors[0]}
        store.types.clear()
        store.commit(identity.layer, WHOLE, tables)
        store.finish(identity.layer)
    return Done(facts.title, tuple(columns), csv, rows, len(errors), fresh=True)


def _tables(
    store: Store, facts: MetricMetadata, identity: Identity, writer: CSVMetricWriter
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The tables of the layer, and the facts of its columns: scores of each level, and descriptions where there are any."""
    levels = [level for level in LEVELS if writer.scores[level] or any(at == level for at, _ in writer.faulty)]
    levels = levels or ["object" if facts.annotation_type and store.input.count("objects") else "frame"]
    tables: dict[str, Any] = {}
    columns: dict[str, dict[str, Any]] = {}
    for level in levels:
        name = identity.column if len(levels) == 1 else f"{_PREFIX[level]}{identity.column}"
        count = store.input.count(PER[level])
        value, missing = np.zeros(count), np.ones(count, bool)
        texts: list[str | None] = [None] * count
        for row, (score, description) in writer.scores[level].items():
            value[row], missing[row], texts[row] = score, False, description or None
        table = tables.setdefault(PER[level], {})
        table[name] = np.ma.masked_array(value, mask=missing)
        columns[name] = _facts(facts, identity, level)
        if any(texts):
            table[f"{name}_description"] = texts
            columns[f"{name}_description"] = {**_facts(facts, identity, level), "unit": "text"}
    return tables, columns


def _facts(facts: MetricMetadata, identity: Identity, level: str) -> dict[str, Any]:
    said = facts.as_json()
    return {
        "per": level,
        "metric": identity.column,
        "hidden": False,
        "unit": "score",
        "bounds": None,
        "bad": "neither",
        "version": 1,
        "options": identity.options,
        "fingerprint": identity.layer,
        "summary": facts.short_description or facts.title,
        "module": identity.module,
        **{key: said[key] for key in ("title", "long_description", "doc_url")},
    }


def _errors(iterator: Iterator, identity: Identity, writer: CSVMetricWriter) -> list[dict[str, Any]]:
    """Error rows: scores that are no finite numbers, and frames without score whose image cannot be read."""
    images, store = iterator.images, iterator.place.store
    found = []
    objects = store.input.table("objects", ["object"]).column("object") if writer.faulty else []
    for (level, place), (row, given) in sorted(writer.faulty.items()):
        detail = f"{identity.column} is {given}; write a finite number, or nothing where there is no value"
        found.append(_error(iterator, row, "score", "non_finite", detail, identity.column))
        found[-1]["object"] = objects[place].as_py() if level == "object" else None
    walked = set(iterator.rows)
    for row, error in sorted(images.broken.items()):
        if row in walked and row not in writer.scores["frame"]:
            detail = f"the image cannot be read, so the metric got None: {error}"
            found.append(_error(iterator, row, error.stage, error.reason, detail, identity.column))
    return found


def _error(iterator: Iterator, row: int, stage: str, reason: str, detail: str, metric: str) -> dict[str, Any]:
    return {
        "frame": iterator.images.ids[row],
        "object": None,
        "uri": iterator.images.uris[row],
        "stage": stage,
        "reason": reason,
        "detail": detail[:500],
        "metric": metric,
        "shard": WHOLE,
    }


def told(error: BaseException) -> str:
    """An error with its traceback, for the log."""
    return "".join(traceback.format_exception(error)) + "\n"
