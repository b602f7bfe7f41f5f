"""Custom metric values as Labelbox rows: what is written for an upload, and what is read from such a file."""

import math
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from gpu_quality.data.formats.json_lines import json_lines
from gpu_quality.errors import UsageError

SCALAR: Final = ("ARITHMETIC_MEAN", "GEOMETRIC_MEAN", "HARMONIC_MEAN", "SUM")
"""How scalars may be aggregated; the first is the default."""
CONFUSION: Final = "CONFUSION_MATRIX"
"""How counts [TP, FP, TN, FN] are aggregated, always."""
RESERVED: Final = frozenset(
    {
        *("true_positive_count", "false_positive_count", "true_negative_count", "false_negative_count"),
        *("precision", "recall", "f1", "iou"),
    }
)
"""Names that an upload must not use."""
MOST_SCALAR: Final = 1e8
MOST_COUNT: Final = 10_000_000_000
CONFIDENCES: Final = range(2, 16)
"""How many confidences a value by confidence may have."""
_KEYS: Final = ("uuid", "dataRow", "metricName", "metricValue", "featureName", "subclassName", "aggregation")


def problem_of(row: Mapping[str, Any]) -> str:
    """What is wrong with a metric row (evaluation.md 13), "" where nothing is; reserved names are no problem here."""
    unknown = [key for key in row if key not in _KEYS]
    if unknown:
        return f"unknown key {unknown[0]!r}; a row has {', '.join(_KEYS)}"
    place = row.get("dataRow")
    if not isinstance(place, Mapping) or not any(_is_text(place.get(key)) for key in ("id", "globalKey")):
        return "dataRow must be an object with id or globalKey"
    if not _is_text(row.get("metricName")):
        return "metricName must be a text"
    for key in ("uuid", "featureName", "subclassName"):
        if row.get(key) is not None and not _is_text(row[key]):
            return f"{key} must be a text"
    if row.get("subclassName") is not None and row.get("featureName") is None:
        return "subclassName needs featureName, the class it is nested in"
    return _value_problem(row.get("metricValue"), row.get("aggregation"))


def _value_problem(value: Any, aggregation: Any) -> str:
    values = list(value.values()) if isinstance(value, Mapping) else [value]
    if isinstance(value, Mapping):
        if len(value) not in CONFIDENCES:
            return f"a value by confidence has 2 to 15 confidences, found {len(value)}"
        if not all(_is_confidence(key) for key in value):
            return f"confidences are texts of numbers from 0 to 1, found {', '.join(map(repr, value))[:80]}"
    counts = [isinstance(part, list | tuple) for part in values]
    if any(counts) != all(counts):
        return "metricValue mixes numbers and [TP, FP, TN, FN]"
    allowed = (CONFUSION,) if all(counts) else SCALAR
    if aggregation is not None and aggregation not in allowed:
        return f"aggregation of such a value is {' or '.join(allowed)}, found {aggregation!r}"
    return next((text for part in values if (text := _counts(part) if all(counts) else _scalar(part))), "")


def _counts(part: Any) -> str:
    whole = len(part) == 4 and all(type(n) is int and 0 <= n <= MOST_COUNT for n in part)
    return "" if whole else f"[TP, FP, TN, FN] are four integers from 0 to 1e10, found {repr(part)[:80]}"


def _scalar(part: Any) -> str:
    good = type(part) in (int, float) and math.isfinite(part) and 0 <= part <= MOST_SCALAR
    return "" if good else f"a scalar is a number from 0 to 1e8, found {repr(part)[:80]}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_confidence(key: Any) -> bool:
    try:
        return isinstance(key, str) and 0 <= float(key) <= 1
    except ValueError:
        return False


def write_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write metric rows as NDJSON for an upload, a uuid made from row and place given to those without; returns how many.

    Keys without value are left out. Raises `UsageError` that names the row, counted from 1, where a limit is passed or a name
    is reserved; then nothing is written.
    """
    lines = []
    for number, row in enumerate(rows, 1):
        text = problem_of(row)
        if not text and row["metricName"] in RESERVED:
            text = f"metricName {row['metricName']!r} is reserved"
        if text:
            raise UsageError(f"row {number} cannot be written: {text}", hint="no row was written; rename or repair it")
        kept = {key: row[key] for key in _KEYS if row.get(key) is not None}
        own = uuid.uuid5(uuid.NAMESPACE_OID, f"{number}:{orjson.dumps(kept).decode()}")
        lines.append(orjson.dumps({"uuid": str(own)} | kept))
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return len(lines)


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line, counted from 1, and metric row of a file; a text saying what is wrong where it is none.

    Rows of annotations give one metric row for each of their `customMetrics`, with `object` (the annotation's uuid) and
    `featureName` (its class) beside the usual keys. Raises `UsageError` where the file cannot be read.
    """
    for line, record in json_lines(path):
        if isinstance(record, str):
            yield line, record
        elif "metricName" in record:
            kept = {key: value for key, value in record.items() if value is not None}
            yield line, problem_of(kept) or kept
        else:
            for found in custom_rows(record):
                yield line, found


def custom_rows(record: Mapping[str, Any]) -> Iterator[dict[str, Any] | str]:
    """The metric rows of one annotation, as `read_rows` gives them; those of an answer name no object but its class alone."""
    metrics = record.get("customMetrics")
    if metrics is not None and not isinstance(metrics, list):
        yield f"customMetrics is a list of objects with name and value, found {repr(metrics)[:80]}"
        return
    drawn = record.get("answer") is None and record.get("answers") is None
    for metric in metrics or []:
        if not isinstance(metric, dict):
            yield f"customMetrics are objects with name and value, found {repr(metric)[:80]}"
            continue
        row = {"dataRow": record.get("dataRow"), "metricName": metric.get("name"), "metricValue": metric.get("value")}
        row |= {"featureName": record["name"]} if record.get("name") is not None else {}
        yield problem_of(row) or row | ({"object": record["uuid"]} if drawn and record.get("uuid") is not None else {})
