"""Custom metric rows: the limits of evaluation.md 13, what is written and what is read."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from gpu_quality.data.formats.labelbox_metrics import RESERVED, problem_of, read_rows, write_rows
from gpu_quality.errors import UsageError


def row(**changed: Any) -> dict[str, Any]:
    return {"uuid": "u", "dataRow": {"id": "r"}, "metricName": "m", "metricValue": 0.5, **changed}


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"dataRow": {"globalKey": "k"}, "uuid": None},
        {"metricValue": 0},
        {"metricValue": 1e8},
        {"metricValue": [1, 2, 0, 10**10]},
        {"metricValue": [1, 2, 0, 3], "aggregation": "CONFUSION_MATRIX"},
        {"metricValue": {"0.1": 1, "0.9": 2.5}, "aggregation": "SUM"},
        {"metricValue": {"0.1": [1, 2, 3, 4], "0.9": [0, 0, 0, 0]}},
        {"metricValue": {str(i / 20): i for i in range(15)}},
        {"featureName": "dog", "subclassName": "puppy", "aggregation": "GEOMETRIC_MEAN"},
    ],
)
def test_rows_that_are_fine_come_back(tmp_path: Path, good: dict[str, Any]) -> None:
    made = row(**good)
    assert problem_of(made) == ""
    assert write_rows([made, made], tmp_path / "m.ndjson") == 2
    kept = {key: value for key, value in made.items() if value is not None}
    first, second = read_rows(tmp_path / "m.ndjson")
    assert (first[0], second[0]) == (1, 2)
    assert isinstance(first[1], dict)
    assert kept.items() <= first[1].items()
    assert first[1]["uuid"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"dataRow": "r"}, "dataRow must be"),
        ({"dataRow": {"id": ""}}, "dataRow must be"),
        ({"metricName": None}, "metricName must be"),
        ({"metricValue": None}, "a scalar is"),
        ({"metricValue": True}, "a scalar is"),
        ({"metricValue": -1e-9}, "a scalar is"),
        ({"metricValue": 1.1e8}, "a scalar is"),
        ({"metricValue": math.nan}, "a scalar is"),
        ({"metricValue": [1, 2, 3]}, "four integers"),
        ({"metricValue": [1, 2, 3, 10**10 + 1]}, "four integers"),
        ({"metricValue": [1, 2, 3, 4.0]}, "four integers"),
        ({"metricValue": {"0.1": 1}}, "2 to 15 confidences, found 1"),
        ({"metricValue": {str(i / 20): i for i in range(16)}}, "found 16"),
        ({"metricValue": {"0.1": 1, "1.5": 1}}, "from 0 to 1"),
        ({"metricValue": {"0.1": 1, "high": 1}}, "from 0 to 1"),
        ({"metricValue": {"0.1": 1, "0.2": [1, 2, 3, 4]}}, "mixes"),
        ({"aggregation": "MEDIAN"}, "ARITHMETIC_MEAN or"),
        ({"aggregation": "CONFUSION_MATRIX"}, "ARITHMETIC_MEAN or"),
        ({"metricValue": [1, 2, 3, 4], "aggregation": "SUM"}, "CONFUSION_MATRIX"),
        ({"subclassName": "puppy"}, "needs featureName"),
        ({"featureName": 5}, "featureName must be a text"),
        ({"extra": 1}, "unknown key 'extra'"),
    ],
)
def test_rows_that_are_not(tmp_path: Path, bad: dict[str, Any], message: str) -> None:
    assert message in problem_of(row(**bad))
    with pytest.raises(UsageError, match="row 2 cannot be written") as error:
        write_rows([row(), row(**bad)], tmp_path / "m.ndjson")
    assert message in str(error.value)
    assert not (tmp_path / "m.ndjson").exists()


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_names_are_read_and_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"row 1 cannot be written: metricName '{name}' is reserved"):
        write_rows([row(metricName=name)], tmp_path / "m.ndjson")
    (tmp_path / "in.ndjson").write_text(json.dumps(row(metricName=name)))
    assert list(read_rows(tmp_path / "in.ndjson")) == [(1, row(metricName=name))]


def test_keys_without_value_are_left_out_and_bad_lines_are_told(tmp_path: Path) -> None:
    write_rows([row(featureName=None)], tmp_path / "m.ndjson")
    assert list(json.loads((tmp_path / "m.ndjson").read_text())) == ["uuid", "dataRow", "metricName", "metricValue"]
    (tmp_path / "in.ndjson").write_text("\n".join(["{", json.dumps(row(metricValue="x")), json.dumps(row())]))
    found = dict(read_rows(tmp_path / "in.ndjson"))
    assert "not JSON" in str(found[1])
    assert "a scalar is" in str(found[2])
    assert found[3] == row()


def test_custom_metrics_of_annotations(tmp_path: Path) -> None:
    box = {"uuid": "b", "dataRow": {"id": "r"}, "name": "dog", "bbox": {}, "customMetrics": [{"name": "m", "value": 2}, 5]}
    (tmp_path / "in.ndjson").write_text(json.dumps(box) + "\n" + json.dumps({"dataRow": {"id": "r"}, "answer": {}}))
    first, second = read_rows(tmp_path / "in.ndjson")
    expected = {"dataRow": {"id": "r"}, "metricName": "m", "metricValue": 2, "featureName": "dog", "object": "b"}
    assert first == (1, expected)
    assert "customMetrics are objects" in str(second[1])
