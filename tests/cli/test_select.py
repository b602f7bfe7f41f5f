"""The verb `select`: the story on the terminal, files, JSON, and what it refuses."""

import csv
import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from selecting import fact, made_store

N = 60
RNG = np.random.default_rng(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Sixty frames, ten of them labeled, with vectors and two columns."""
    folder = tmp_path_factory.mktemp("select")
    objects = [(i, 0, 0, None) for i in range(10)] + [(i, 1, i % 3, 0.9) for i in range(N)]
    columns = {
        "entropy": (fact(unit="bit", bad="low"), RNG.random(N)),
        "singularity": (fact(unit="cosine distance", bad="low"), RNG.random(N)),
    }
    vectors = RNG.standard_normal((N, 16))
    made_store(folder / "a", N, vectors=vectors, labelled=set(range(10)), objects=objects, columns=columns)
    return folder


@pytest.fixture
def store(home, tmp_path):
    shutil.copytree(home / "a", tmp_path / "a")
    return tmp_path / "a"


def test_the_command_of_the_issue(call, store):
    asked = ("--count", 25, "--by", "entropy,singularity", "--diverse", "--exclude", "labelled")
    code, out, err = call("select", store, *asked)
    assert code == 0
    assert "25 frames of 50 that could be chosen (60 in the run; 10 excluded)" in out
    assert "mean rank by entropy, high first (the other end is a defect)" in " ".join(out.split())
    assert "k-center greedy" in out
    assert "entropy in the top" in out
    assert "… and 5 more; --format list, csv or coco writes all" in out
    assert "the model's own is acquisition_entropy, which is not stored" in err
    again = call("select", store, *asked, "--quiet")
    assert again == (0, out, "")


@pytest.mark.parametrize("words", [("--diverse",), ("--diverse", "kcenter"), ("--diverse=kcenter",), ()])
def test_diverse_may_stand_alone(call, store, words):
    code, out, _ = call("select", store, "--count", 3, *words, "--json")
    assert code == 0
    assert json.loads(out)["diverse"] == "kcenter"


def test_diverse_takes_the_way_that_follows(call, store):
    _, out, _ = call("select", "--diverse", "kmeans", store, "--count", 3, "--json")
    assert json.loads(out)["diverse"] == "kmeans"


def test_one_object_with_everything(call, store):
    code, out, _ = call(
        "select",
        store,
        "-n",
        6,
        "--by",
        "entropy",
        "--quota",
        "class=dog:2",
        "--quota",
        "fox:1",
        "--balance",
        "--seed",
        4,
        "--json",
    )
    found = json.loads(out)
    assert code == 0
    assert [row["rank"] for row in found["frames"]] == list(range(1, 7))
    assert {row["class"]: row["quota"] for row in found["classes"]} == {"cat": None, "dog": 2, "fox": 1}
    assert found["params"]["seed"] == 4
    assert all(row["reason"] for row in found["frames"])


def test_files(call, store, tmp_path):
    asked = ("select", store, "--count", 5, "--by", "entropy")
    _, out, _ = call(*asked, "--format", "list")
    names = out.splitlines()
    assert len(names) == 5
    assert all(name.startswith("deep/f") for name in names)
    assert call(*asked, "--format", "list", "--out", tmp_path / "next.txt")[:2] == (0, "")
    assert (tmp_path / "next.txt").read_text() == out
    _, out, _ = call(*asked, "--format", "csv")
    assert [row["uri"] for row in csv.DictReader(io.StringIO(out))] == names
    _, out, _ = call(*asked, "--format", "json")
    assert [row["uri"] for row in json.loads(out)["rows"]] == names
    call(*asked, "--format", "parquet", "--out", tmp_path / "next.parquet")
    assert pd.read_parquet(tmp_path / "next.parquet")["uri"].tolist() == names
    code, out, err = call(*asked, "--format", "coco", "--out", tmp_path / "next.json")
    assert (code, out) == (0, "")
    assert "without labels" in err
    images = json.loads((tmp_path / "next.json").read_text())["images"]
    assert sorted(image["file_name"] for image in images) == sorted(name.removeprefix("deep/") for name in names)
    more = call("select", store, "--count", 5, "--by", "entropy", "--exclude", tmp_path / "next.txt", "--format", "list")[1]
    assert set(more.splitlines()).isdisjoint(names)


def test_a_coco_file_is_read_by_our_own_reader(call, store, tmp_path):
    call("select", store, "--count", 30, "--by", "entropy", "--format", "coco", "--out", tmp_path / "next.json")
    code, out, _ = call("convert", "--labels", tmp_path / "next.json", "--to", "coco", "--out", tmp_path / "b.json", "--json")
    assert code == 0
    given = json.loads((tmp_path / "next.json").read_text())
    assert json.loads(out)["frames"] == len(given["images"]) == 30
    assert json.loads(out)["objects"] == len(given["annotations"]) > 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--count", 5, "--by", "entrop"), 2, "did you mean 'entropy'"),
        (("--count", 0), 2, "must be 1 or more"),
        (("--count", 5, "--diverse", "farthest"), 2, "choose one of kcenter, kmeans, none"),
        (("--count", 5, "--format", "xml"), 2, "choose list, coco, csv, json, parquet"),
        (("--count", 5, "--format", "coco"), 2, "needs a file"),
        (("--count", 5, "--out", "x.csv"), 2, "--format, which is not given"),
        (("--count", 5, "--format", "list", "--json"), 2, "give one of them"),
        (("--count", 5, "--exclude", "labelled", "--where", "entropy > 2"), 2, "no frame is left to choose"),
        (("--by", "entropy"), 2, "--count"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(call, store, arguments, code, message):
    found, out, err = call("select", store, *arguments)
    assert found == code
    assert message in err
    assert "Traceback" not in err
    assert "--json" in arguments or out == ""


def test_help_shows_an_example(call):
    _, out, _ = call("select", "--help")
    assert "gpu-quality select runs/a --count 500 --by entropy,singularity" in out
