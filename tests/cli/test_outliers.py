"""The verbs `outliers`, `balance` and `scatter`: tables, JSON, files, and what they refuse."""

import csv
import io
import json

import pandas as pd
import pytest
from labeled import labeled_store, split_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return labeled_store(tmp_path_factory.mktemp("cli_outliers"))


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    """Pictures of two classes in two splits: three cats and two dogs, two cats and a dog."""
    return split_store(tmp_path_factory.mktemp("splits"))


def test_outliers_in_words(call, store):
    code, out, _ = call("outliers", store, "--rows", "labels")
    assert code == 0
    assert "of 72 labels with" in out
    assert "metrics by the rule iqr" in out
    assert "labels that are outliers in most metrics" in out
    assert "labels/1" in out
    assert "next: gpu-quality outliers" in out
    single = call("outliers", store, "--rows", "labels", "-m", "object_area", "-n", "1")[1]
    assert "object_area (pixel²): outliers are below" in single
    assert "no bounds, all values are equal" in call("outliers", store, "-m", "bit_depth")[1]
    assert call("outliers", store, "-q", "-m", "bit_depth")[2] == ""


def test_outliers_for_programs(call, store, tmp_path):
    found = json.loads(call("outliers", store, "--rows", "labels", "--by", "class", "--json", "-n", "2")[1])
    assert {"params", "counts", "summary", "subjects", "outliers", "notes", "made_from"} <= set(found)
    assert len(found["outliers"]) <= 2
    assert {row["class"] for row in found["summary"]} == {"cat", "=dog", "<b>cow</b>"}
    code, out, _ = call("outliers", store, "--rows", "labels", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert len(rows) == json.loads(call("outliers", store, "--rows", "labels", "--json")[1])["counts"]["outliers"]
    assert all(not row["class"].startswith("=") for row in rows)
    assert call("outliers", store, "--rows", "labels", "--format", "parquet", "--out", tmp_path / "o.parquet")[0] == 0
    assert len(pd.read_parquet(tmp_path / "o.parquet")) == len(rows)


def test_balance(call, store, splits, tmp_path):
    out = call("balance", store)[1]
    assert "labels: 72 objects of 3 classes" in out
    assert "labels: frames per number of objects" in out
    assert "classes seen together" in out
    assert "3 annotators" in out
    by_split = call("balance", splits, "--by", "split")[1]
    assert "train share" in by_split
    assert "val: largest : smallest 2, evenness 0.9183" in by_split
    people = call("balance", store, "--by", "annotator")[1]
    assert "\x1b[31m" not in people
    assert "bob\\x1b[31m" in people
    found = json.loads(call("balance", store, "--json")[1])
    assert {"classes", "crowding", "together", "annotators", "undersampled", "notes"} <= set(found)
    code = call("balance", store, "--by", "annotator", "--format", "csv", "--out", tmp_path / "p.csv")[0]
    assert code == 0
    assert "mean_object_area" in (tmp_path / "p.csv").read_text()
    assert call("balance", store, "--by", "class")[0] == 2


def test_scatter(call, store, tmp_path):
    code, out, _ = call("scatter", store, "object_area", "object_brightness", "--color", "class")
    assert code == 0
    assert "Spearman's correlation" in out
    assert "object_area (pixel², log scale)" in out
    assert "<b>cow</b>" in out
    for name in ("a.html", "a.svg"):
        code, out, _ = call("scatter", store, "brightness", "contrast", "--out", tmp_path / name)
        assert code == 0
        assert (tmp_path / name).stat().st_size > 2000
    found = json.loads(call("scatter", store, "brightness", "contrast", "--json")[1])
    assert {"n", "missing", "spearman", "groups", "params", "notes"} <= set(found)
    code, _, err = call("scatter", "nowhere", "brightness", "contrast", "--out", tmp_path / "a.png")
    assert code == 2
    assert ".html or .svg" in err
    assert call("scatter", store, "brightness", "contrast", "--where", "brightness > 2")[0] == 0
