"""The verb `duplicates`: table, JSON, files, and what it refuses."""

import csv
import io
import json

import pandas as pd
import pytest
import typer
from photos import write_photos
from PIL import Image

from gpu_quality import api
from gpu_quality.cli import main

METRICS = ["content_hash", "phash", "dhash", "phash_d4", "dhash_d4", "near_duplicate_group", "width", "height"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Twelve pairs: a photo and its half; one of them with a name that steers terminals and spreadsheets."""
    folder = tmp_path_factory.mktemp("cli_duplicates")
    write_photos(folder / "in", 12, size=(96, 64))
    for place in range(12):
        name = "=cmd\x1b[31m[bold].png" if place == 3 else f"half{place:03d}.png"
        Image.open(folder / "in" / f"photo{place:03d}.png").resize((48, 32)).save(folder / "in" / name)
    api.run(folder / "in", out=folder / "a", metrics=METRICS)
    return folder / "a"


def test_the_table_names_the_largest_groups_and_says_how(call, store):
    code, out, err = call("duplicates", store)
    assert code == 0
    assert "12 groups with 24 of 24 frames; 12 frames could go" in out
    assert "keep: most pixels (96 x 64)" in out
    assert "… and 2 groups more" in out
    assert "hashes under all flips and turns (>= 0.875)" in out
    assert "nothing chains" in out
    assert "\x1b[31m" not in out
    assert "not compared by embedding" in err
    assert call("duplicates", store, "--quiet")[2] == ""


def test_json_is_one_object(call, store):
    code, out, _ = call("duplicates", store, "--json", "--kind", "hash", "--at-least", "0.8")
    found = json.loads(out)
    assert code == 0
    assert len(found["groups"]) == 12
    for group in found["groups"]:
        assert {"members", "keep", "reason", "drifts", "least_hash"} <= set(group)
        assert all(set(member) >= {"frame", "kind", "similarity"} for member in group["members"])
        assert group["keep"] in [member["frame"] for member in group["members"]]
    assert found["thresholds"]["hash"] == 0.8


def test_files(call, store, tmp_path):
    code, out, _ = call("duplicates", store, "--format", "csv", "-q")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert len(rows) == 24
    assert [row["group"] for row in rows[:4]] == ["1", "1", "2", "2"]
    assert any(row["frame"].startswith("'=cmd") for row in rows)
    for form in ("csv", "json", "parquet"):
        code, out, _ = call("duplicates", store, "-q", "--format", form, "--out", tmp_path / f"table.{form}")
        assert (code, out) == (0, "")
    assert (tmp_path / "table.csv").read_text() == call("duplicates", store, "-q", "--format", "csv")[1]
    assert len(json.loads((tmp_path / "table.json").read_text())["rows"]) == 24
    table = pd.read_parquet(tmp_path / "table.parquet")
    assert table["keep"].sum() == 12
    assert table.columns[:3].tolist() == ["group", "frame", "run"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--kind", "hsh"), "there is no such kind"),
        (("--at-least", "1.2"), "at most 1"),
        (("--format", "xml"), "choose csv, json or parquet"),
        (("--out", "x.csv"), "--format, which is not given"),
        (("--format", "parquet"), "needs a file"),
        (("--json", "--format", "csv"), "give one of them"),
        (("--kind", "embedding"), "nothing to compare by embedding is stored"),
        (("--against", "/nowhere"), "/nowhere"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(call, store, arguments, message):
    code, out, err = call("duplicates", store, *arguments)
    assert code in (2, 10)
    assert message in err
    assert "Traceback" not in err
    assert "--json" in arguments or out == ""


def test_leaks_between_runs_are_shown(call, store, tmp_path):
    write_photos(tmp_path / "in", 8, size=(96, 64))
    api.run(tmp_path / "in", out=tmp_path / "b", metrics=METRICS)
    code, out, _ = call("duplicates", tmp_path / "b", "--against", store, "--quiet")
    assert code == 0
    assert "8 frames of /" in out
    assert "are duplicates of each other" in out
    assert "pairs more; --json lists all" in out


def test_help_shows_an_example(call):
    _, out, _ = call("duplicates", "--help")
    assert "gpu-quality duplicates runs/a" in out
    assert isinstance(main.app, typer.Typer)
