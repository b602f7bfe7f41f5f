"""The verb `performance`: bars, classes, JSON, files, what to type next, and what it refuses."""

import csv
import io
import json
import shlex

import pandas as pd
import pytest

from gpu_quality.api.evaluate import evaluate
from gpu_quality.cli import performance as verb
from tests.api.test_performance import small_ones_are_missed


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A run on labels and predictions where small labels are missed."""
    folder = tmp_path_factory.mktemp("cli_performance")
    found = small_ones_are_missed(folder, frames=30)
    evaluate(found)
    return folder / "out"


@pytest.fixture
def call(call, monkeypatch):
    """The verb on a terminal of 100 columns; returns exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "100")
    return lambda *arguments: call("performance", *arguments)


def test_bars_with_intervals_and_what_to_type_next(call, store):
    code, out, err = call(store, "object_area")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("precision by object_area (P, pixel²): 0.")
    labels = next(place for place, line in enumerate(lines) if line.startswith("recall by object_area (O, pixel²): 0."))
    assert "FNR 0." in lines[labels]
    assert "299 labels, IoU 0.5, confidence 0.25" in lines[labels]
    bars = [line for line in lines[labels:] if "●" in line]
    assert len(bars) == 14
    assert max(map(len, bars)) <= 100
    assert all("─" in line for line in bars)
    assert "worse" in bars[0]
    assert "worse" not in bars[-1]
    assert any(line.startswith("below object_area 4") and "recall 0." in line for line in lines[labels:])
    assert "Cohen's h" in out
    assert "p <= 0.001" in out
    assert "weakest stretch: object_area < " in out
    assert "next: gpu-quality show" in err
    assert "and outcome = 'fn'\"" in err
    assert "next: gpu-quality select" not in err, "there are no vectors to find unlike ones by"
    assert call(store, "object_area", "--quiet")[2] == ""


def test_classes_and_ap(call, store):
    _, out, _ = call(store, "object_area", "--rows", "labels", "--by-class", "--ap", "--bins", 4, "-q")
    assert "precision" not in out
    assert out.count("●") == 4
    assert "AP of all bins: 0." in out
    row = next(line for line in out.splitlines() if line.startswith("dog's"))
    assert len(row.split()[-1]) == 4
    assert set(row.split()[-1]) <= set("▁▂▃▄▅▆▇█·")
    _, out, _ = call(store, "object_area", "--by-class", "--where", "object_area < 130", "-q")
    assert "classes with fewer than 20 labels: cat, dog's" in out


def test_json_is_one_object(call, store):
    code, out, err = call(store, "object_area", "--json", "--edges", "0,400,2000")
    found = json.loads(out)
    assert code == 0
    assert "next:" not in err
    assert found["metric"] == "object_area"
    assert [side["figure"] for side in found["sides"]] == ["precision", "recall"]
    recall = found["sides"][1]
    assert [row["low"] for row in recall["bins"]] == [0, 400]
    assert recall["split"]["where"] == recall["worst"]
    assert len(recall["weak"][0]["ids"]) == recall["weak"][0]["n"]
    assert found["params"]["edges"] == [0, 400, 2000]
    assert found["params"]["seed"] == 0


def test_files(call, store, tmp_path):
    _, out, _ = call(store, "object_area", "--format", "csv", "--bins", 3, "-q")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["rows"], row["bin"]) for row in rows] == [(kind, str(place)) for kind in "PO" for place in (1, 2, 3)]
    assert float(rows[3]["rate"]) + float(rows[3]["fnr"]) == pytest.approx(1)
    assert rows[0]["fnr"] == ""
    code, out, _ = call(store, "object_area", "-q", "--format", "parquet", "--out", tmp_path / "bins.parquet", "--bins", 3)
    assert (code, out) == (0, "")
    table = pd.read_parquet(tmp_path / "bins.parquet")
    assert table["n"].tolist() == [int(row["n"]) for row in rows]
    assert table["class"].isna().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("object_aera",), "have no measure 'object_aera'"),
        (("object_area", "--rows", "frames"), "frames have no success that is 0 or 1"),
        (("object_area", "--rows", "boxes"), "--rows boxes"),
        (("object_area", "--edges", "0,x"), "--edges 0,x: give numbers that rise"),
        (("object_area", "--edges", "3,1"), "finite numbers that rise"),
        (("object_area", "--bins", "-1"), "bins must be at least 1"),
        (("object_area", "--format", "xml"), "choose csv, json or parquet"),
        (("object_area", "--json", "--format", "csv"), "give one of them"),
        (("object_area", "--where", "object_area <"), "object_area <"),
        (("object_area", "--classes", "bird"), "no class 'bird'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(call, store, arguments, message):
    code, out, err = call(store, *arguments)
    assert code == 2
    assert json.loads(out)["error"]["exit_code"] == 2 if "--json" in arguments else out == ""
    assert message in err
    assert "Traceback" not in err


def test_the_chart_of_a_bin():
    line = verb.chart(0.25, 0.5, 1.0, 0.75)
    assert len(line) == verb.WIDTH
    assert (line.index("─"), line.index("●"), line.index("┼")) == (10, 20, 30)
    assert line[-1] == "─"
    assert verb.chart(None, None, None, float("nan")).strip() == ""
    assert verb.chart(0.0, 0.0, 0.1, 1.0)[::40] == "●┆"


def test_names_that_steer_are_quoted_for_the_shell(call, tmp_path):
    small_ones_are_missed(tmp_path, frames=30, sets=("a", "B1"))
    code, _, err = call(tmp_path / "out", "object_area", "--predictions", "B1")
    assert code == 0
    line = next(line for line in err.splitlines() if line.startswith("next: gpu-quality show"))
    condition = shlex.split(line.removeprefix("next: "))[-1]
    assert condition.endswith(" and \"outcome_B1\" = 'fn'")
    assert "--where '" in line
