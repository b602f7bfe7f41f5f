"""The verbs of `slice`: find, add, list, test and remove, as a person and as a program calls them."""

import json
import shlex
import shutil

import pandas as pd
import pytest

from tests.api.sliced import sliced_store
from tests.photos import write_photos


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return sliced_store(tmp_path_factory.mktemp("cli_slices")).path


@pytest.fixture
def store(made, tmp_path):
    return shutil.copytree(made, tmp_path / "runs")


def test_from_finding_to_testing(store, call, tmp_path):
    """The story of a weak slice: found, saved, looked at, listed, tested, forgotten."""
    code, out, err = call("slice", "find", store, "--rows", "labels", "--save")
    assert code == 0
    assert "recall of 480 labels" in out
    assert "missed labels more than expected" in out
    assert "saved: weak recall 1" in err
    assert "next: gpu-quality show" in err
    assert " --where " in err
    code, out, _ = call("slice", "list", store, "--json")
    told = json.loads(out)
    assert [row["slice"] for row in told["slices"]][:2] == ["(all)", "weak recall 1"]
    assert told["slices"][1]["recall"] < told["slices"][0]["recall"]
    (tmp_path / "t.yaml").write_text("tests: [{slice: weak recall 1, expect: [recall >= 0.6]}]")
    code, out, err = call("slice", "test", store, tmp_path / "t.yaml")
    assert code == 5
    assert "failed" in out
    assert "error [GATE]: weak recall 1: recall is" in err
    assert call("slice", "remove", store, "weak recall 1")[0] == 0
    assert call("slice", "test", store, tmp_path / "t.yaml")[0] == 2


def test_slices_are_added_and_listed(store, call):
    code, out, _ = call("slice", "add", store, "kites", "class = 'kite'")
    assert (code, out.startswith("kites: ")) == (0, True)
    code, out, _ = call("slice", "add", store, "little", "object_area < 900", "--json")
    assert json.loads(out)["objects"] > 0
    code, out, err = call("slice", "list", store)
    assert code == 0
    assert "(all)" in out
    assert "little: object_area < 900" in out
    code, _, err = call("slice", "list", store, "--fail-on", "recall/little>=0.9", "--fail-on", "fp/kites<0")
    assert code == 5
    assert "recall/little is 0." in err
    code, out, _ = call("slice", "list", store, "--fail-on", "recall/little>=0.9", "--json")
    assert code == 5
    assert json.loads(out)["error"]["code"] == "GATE"
    assert json.loads(out)["gates"][0]["passed"] is False
    assert call("slice", "list", store, "--fail-on", "recall/little>=0.01", "-q")[0] == 0
    code, _, err = call("slice", "list", store, "--fail-on", "recall/litle>=0.01")
    assert code == 2
    assert "little" in err


def test_tables_go_to_files(store, call, tmp_path):
    call("slice", "add", store, "kites", "class = 'kite'")
    assert call("slice", "list", store, "--format", "csv", "--out", tmp_path / "l.csv")[0] == 0
    assert pd.read_csv(tmp_path / "l.csv")["slice"].tolist() == ["(all)", "kites"]
    assert call("slice", "find", store, "--format", "parquet", "--out", tmp_path / "f.parquet", "-q")[:2] == (0, "")
    assert {"words", "condition", "excess", "p_adjusted"} <= set(pd.read_parquet(tmp_path / "f.parquet"))
    assert call("slice", "find", store, "--format", "xml")[0] == 2


def test_json_is_one_object(store, call, tmp_path):
    code, out, err = call("slice", "find", store, "--json", "--count", "1", "--metrics", "object_area,class")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert len(told["rows"]["O"]["slices"]) == 1
    assert told["saved"] == {}
    (tmp_path / "t.yaml").write_text("tests: [{where: 'true', expect: [recall > 0.1, recall > 0.99]}]")
    code, out, err = call("slice", "test", store, tmp_path / "t.yaml", "--json")
    told = json.loads(out)
    assert code == told["error"]["exit_code"] == 5
    assert told["counts"] == {"passed": 1, "failed": 1, "undecided": 0}
    assert "GATE" in err


def test_undecided_is_failed_for_pessimists(store, call, tmp_path):
    (tmp_path / "t.yaml").write_text("tests: [{where: \"frame < '002.jpg'\", expect: recall > 0.5, min_count: 500}]")
    code, out, _ = call("slice", "test", store, tmp_path / "t.yaml")
    assert (code, "0 passed, 0 failed, 1 undecided" in out) == (0, True)
    assert "labels, 500 needed" in out
    assert call("slice", "test", store, tmp_path / "t.yaml", "--pessimistic")[0] == 5


def test_mistakes_are_one_message(store, call, tmp_path):
    for arguments in (
        ("add", store, "x", "objct_area < 3"),
        ("add", store, "", "true"),
        ("remove", store, "x"),
        ("find", store, "--rows", "frames"),
        ("find", store, "--metrics", "nothing"),
        ("test", store, tmp_path / "none.yaml"),
    ):
        code, out, err = call("slice", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("gpu-quality: error [")
        assert "Traceback" not in err


def test_show_lists_a_slice_and_writes_its_pictures(store, call, tmp_path):
    code, out, err = call("show", store, "--where", "object_area < 150", "--html", tmp_path / "s.html")
    assert code == 0
    assert " of " in out
    assert "pictures: " in err
    assert (tmp_path / "s.html").read_text().startswith("<!")
    code, out, _ = call("show", store, "--where", "frame < '003.jpg'", "--json")
    told = json.loads(out)
    assert (told["per"], told["count"], [row["frame"] for row in told["rows"]]) == (
        "frame", 3, ["000.jpg", "001.jpg", "002.jpg"],
    )  # fmt: skip
    code, out, _ = call("show", store, "--where", "frame < '003.jpg'", "--per", "object", "--json")
    assert json.loads(out)["rows"][0].keys() == {"row", "frame", "object"}
    code, out, _ = call("show", store, "--where", "object_area < 150", "--sort", "object_area", "--worst", "2", "--json")
    assert len(json.loads(out)["extremes"]) >= 1
    assert call("show", store, "--html", tmp_path / "t.html")[0] == 2
    assert call("show", store, "--where", "nothing < 3")[0] == 2


def test_evaluate_takes_saved_names(store, call):
    call("slice", "add", store, "kites", "class = 'kite'")
    code, out, _ = call("evaluate", store, "--slices", "kites", "--json")
    assert code == 0
    assert [row["slice"] for row in json.loads(out)["slices"]] == ["kites"]


def test_what_is_to_be_typed_can_be_pasted(made, call, tmp_path):
    """Names with spaces, quotes and dollars; every line is one command that a shell splits into the words meant."""
    store = shutil.copytree(made, tmp_path / "it's $my runs")
    _, out, err = call("slice", "find", store, "--rows", "labels", "--where", "class = 'kite' or class = 'person'")
    assert "(IoU 0.5, confidence 0.3)" in out
    command = next(line.removeprefix("next: ") for line in err.splitlines() if line.startswith("next: "))
    words = shlex.split(command)
    assert words[:4] == ["gpu-quality", "show", str(store), "--where"]
    assert words[4].endswith("outcome = 'fn'")
    assert words[5:] == ["--html", "weak.html"]
    code, out, _ = call(*words[1:5])
    assert code == 0
    assert "'fn': " in out
    for verb in (["importance", store, "--no-joint"], ["evaluate", store], ["performance", store, "object_area"]):
        code, _, err = call(*verb)
        assert code == 0
        for line in (line for line in err.splitlines() if line.startswith("next: ")):
            words = shlex.split(line.removeprefix("next: "))
            assert words[2] == str(store)
            if words[1] != "select":  # which tells frames apart by their vectors: labels alone have none
                assert call(*words[1:])[0] == 0, words


def test_the_table_says_where_it_was_read(store, call):
    _, out, _ = call("slice", "list", store, "--confidence", "0.6")
    assert "IoU 0.5, confidence 0.6" in out
    assert "unmatched predictions outside are left out" in out


def test_answers_about_whole_images_have_no_slices(call, tmp_path):
    """One message, and no table of figures of nothing."""
    write_photos(tmp_path / "photos", 4)
    for name in ("labels", "answers"):
        rows = [f"{path.name},cat,0.9" for path in sorted((tmp_path / "photos").iterdir())]
        (tmp_path / f"{name}.csv").write_text("\n".join(["image,class,score", *rows]))
    code, _, err = call(
        "run", tmp_path / "photos", "--labels", tmp_path / "labels.csv", "--predictions", f"m={tmp_path / 'answers.csv'}",
        "--out", tmp_path / "o", "--metrics", "brightness", "--engine", "inline",
    )  # fmt: skip
    assert code == 0, err
    for verb in (["slice", "find"], ["slice", "list"], ["evaluate"]):
        code, out, err = call(*verb, tmp_path / "o")
        assert (code, out) == (2, "")
        assert "answers about whole images and no objects" in err
