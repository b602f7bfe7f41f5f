"""Reading values computed elsewhere: NDJSON rows, CSV with a row per value, CSV with a column per metric."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gpu_quality.analysis.custom import CONFUSION
from gpu_quality.authoring.checks import Value, aggregation_of, checked_number, checked_value
from gpu_quality.authoring.finding import Ids
from gpu_quality.data.formats.labelbox_metrics import custom_rows
from gpu_quality.data.formats.text_lines import lines
from gpu_quality.errors import UsageError
from gpu_quality.text import close

KEYS: Final = ("uuid", "dataRow", "globalKey", "frame", "object", "metricName", "metricValue", "featureName", "subclassName")
_ANNOTATION: Final = frozenset({"name", "schemaId", "customMetrics"})
"""Keys of rows that are annotations, with values among their other facts or without."""
_ID_COLUMNS: Final = ("object", "frame", "dataRow", "globalKey")
Key = tuple[str, int, str | None, str | None]
"""Level (frame or object), row of its table, class, nested class."""
Row = tuple[int, Mapping[str, Any], bool]
"""Line, content in the shape of NDJSON, and whether it is a plain cell, which may be any finite number."""


class BadLine(Exception):  # noqa: N818 - no failure of ours: a finding about a line
    """A line that holds no usable value, and why."""

    def __init__(self, line: int, reason: str, metric: str | None = None) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line, self.reason, self.metric = line, reason, metric


@dataclass(slots=True)
class Given:
    """All values of one metric, of one kind."""

    name: str
    how: str
    by_confidence: bool
    first_line: int
    entries: dict[Key, Value] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """``scalar`` or ``confusion_matrix``."""
        return "confusion_matrix" if self.how == CONFUSION else "scalar"


@dataclass(slots=True)
class Values:
    """What a file holds: metrics by name, and the lines that hold nothing usable."""

    metrics: dict[str, Given] = field(default_factory=dict)
    bad: list[BadLine] = field(default_factory=list)
    lines: int = 0


def read_values(path: Path, ids: Ids) -> Values:
    """Every usable value of a file, by metric. Raises `UsageError` for a file that is neither CSV nor NDJSON."""
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".ndjson", ".jsonl"):
        raise UsageError(f"{path} is neither .csv nor .ndjson", hint="one value a line; see `gpu-quality metric import --help`")
    found = Values()
    rows = _csv_rows(path, found) if suffix == ".csv" else _json_rows(path, found)
    for line, row, plain in rows:
        found.lines += 1
        try:
            _add(found, line, row, ids, plain=plain)
        except BadLine as bad:
            if not (found.bad and (found.bad[-1].line, found.bad[-1].reason) == (bad.line, bad.reason)):
                found.bad.append(bad)  # an unknown frame is told once, not for each of its columns
    return found


def _json_rows(path: Path, found: Values) -> Iterator[Row]:
    import orjson

    for number, text in lines(path):
        if not text.strip():
            continue
        try:
            row = orjson.loads(text)
        except ValueError as error:
            found.lines += 1
            found.bad.append(BadLine(number, f"not JSON: {str(error)[:120]}"))
            continue
        if isinstance(row, dict) and "metricName" not in row and _ANNOTATION & row.keys():
            yield from _annotation_rows(number, row, found)
        elif isinstance(row, dict):
            yield number, {key: value for key, value in row.items() if value is not None}, False
        else:
            found.lines += 1
            found.bad.append(BadLine(number, f"a JSON {type(row).__name__}, expected an object"))


def _annotation_rows(number: int, record: Mapping[str, Any], found: Values) -> Iterator[Row]:
    """The `customMetrics` of an annotation in Labelbox's form: values of its object, which knows its class."""
    for row in custom_rows(record):
        if isinstance(row, str):
            found.lines += 1
            found.bad.append(BadLine(number, row))
        else:
            yield number, {key: row[key] for key in row if "object" not in row or key != "featureName"}, False


def _csv_rows(path: Path, found: Values) -> Iterator[Row]:
    """Rows of either form of CSV as those of NDJSON; a row of the wide form gives one for each metric column."""
    reader = csv.reader(text + "\n" for _, text in lines(path))
    header = [name.strip() for name in next(reader, [])]
    long = "metricName" in header
    key = next((name for name in _ID_COLUMNS if name in header), None)
    twice = sorted({name for name in header if header.count(name) > 1})
    if key is None or twice or not all(header):
        what = (
            f"the column {twice[0]!r} twice"
            if twice
            else "a column without a name"
            if not all(header) and key
            else "no column of ids"
        )
        raise UsageError(f"{path} has {what}", hint=f"the first line names the columns, one of them {', '.join(_ID_COLUMNS)}")
    metrics = [name for name in header if name not in _ID_COLUMNS and name != "uuid"]
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            found.lines += 1
            found.bad.append(BadLine(reader.line_num, f"not CSV: {error}"))
            continue
        if cells is None:
            return
        if not cells:
            continue
        if len(cells) != len(header):
            found.lines += 1
            found.bad.append(BadLine(reader.line_num, f"{len(cells)} cells under {len(header)} columns"))
            continue
        row = {name: cell for name, cell in zip(header, cells, strict=True) if cell != ""}
        if long:
            yield reader.line_num, _long_row(row), False
        else:
            own: dict[str, Any] = {name: row[name] for name in _ID_COLUMNS if name in row}
            for name in metrics:
                if name in row:
                    yield reader.line_num, {**own, "metricName": name, "metricValue": row[name]}, True


def _long_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the long form: lists and dictionaries are JSON, anything else is a number."""
    import orjson

    text = str(row.get("metricValue", "")).strip()
    try:
        return {**row, "metricValue": orjson.loads(text)} if text else row
    except ValueError:
        return row


def _add(found: Values, line: int, row: Mapping[str, Any], ids: Ids, *, plain: bool) -> None:
    """Check one row and keep its value. Raises `BadLine`."""
    name = row.get("metricName")
    if not isinstance(name, str) or not name.strip() or len(name) > 200:
        raise BadLine(line, f"metricName is {name!r:.80}, expected a name of at most 200 characters")
    name = name.strip()

    def bad(reason: str) -> BadLine:
        return BadLine(line, reason, name)

    if unknown := [key for key in row if key not in (*KEYS, "aggregation")]:
        raise bad(f"unknown key {unknown[0]!r:.80}; {close(unknown[0], KEYS) or 'known: ' + ', '.join(KEYS)}")
    feature, subclass = (_text(row.get(key)) for key in ("featureName", "subclassName"))
    if subclass is not None and feature is None:
        raise bad(f"subclassName {subclass!r:.80} without featureName")
    try:
        given_value = row.get("metricValue")
        value = checked_number(given_value, -math.inf, math.inf) if plain else checked_value(given_value)
        how = aggregation_of(row.get("aggregation"), value)
        level, at = _target(row, ids)
    except ValueError as error:
        raise bad(str(error)) from None
    if level == "object" and feature is not None:
        raise bad("a value of an object has its class already: leave featureName out")
    given = found.metrics.get(name)
    if given is None:
        given = found.metrics[name] = Given(name, how, isinstance(value, dict), line)
    elif (given.how, given.by_confidence) != (how, isinstance(value, dict)):
        told = f"{given.how}{' per confidence' if given.by_confidence else ''}"
        raise bad(f"{name!r} is {told} since line {given.first_line}, and {how} here")
    key = level, at, feature, subclass
    if key in given.entries:
        raise bad("a second value for the same place; the first one counts")
    given.entries[key] = value


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _target(row: Mapping[str, Any], ids: Ids) -> tuple[str, int]:
    """Level and row that a value belongs to. Raises `ValueError`."""
    if "object" in row:
        return "object", ids.object(str(row["object"]))
    data_row = row.get("dataRow")
    if isinstance(data_row, dict):
        data_row = data_row.get("id", data_row.get("globalKey"))
    name = next((found for found in (data_row, row.get("globalKey"), row.get("frame")) if found is not None), None)
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise ValueError("it names no frame: dataRow {id} or {globalKey}, or frame, or object")  # noqa: TRY004 - as all others
    return "frame", ids.frame(str(name))
