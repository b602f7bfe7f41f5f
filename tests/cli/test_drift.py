"""The verb `drift`: verdict, table, JSON, files, gates, and what it refuses."""

import csv
import io
import json

import pandas as pd
import pytest
from photos import write_photos
from PIL import Image, ImageEnhance

from gpu_quality import api

METRICS = ["brightness", "contrast", "sharpness", "width", "saturation"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Forty photos, and forty darker ones, one with a name that steers terminals and spreadsheets."""
    folder = tmp_path_factory.mktemp("cli_drift")
    write_photos(folder / "in", 40)
    write_photos(folder / "made", 40, seed=1)
    (folder / "dark").mkdir()
    for place, path in enumerate(sorted((folder / "made").iterdir())):
        name = "=cmd\x1b[31m[bold].png" if place == 3 else path.name
        ImageEnhance.Brightness(Image.open(path)).enhance(0.2 if place == 3 else 0.4).save(folder / "dark" / name)
    for source, name in (("in", "a"), ("dark", "b")):
        api.run(folder / source, out=folder / name, metrics=METRICS)
    return folder


def test_verdict_table_and_frames(call, runs):
    code, out, err = call("drift", runs / "a", runs / "b")
    assert code == 0
    assert out.splitlines()[0] == f"reference  {runs / 'a'}: 40 frames"
    assert "drift; strongest: brightness (lower, KS 1.00, PSI" in out
    assert "a classifier tells the two sets apart by measures: AUC" in out
    lines = out.splitlines()
    row = next(line for line in lines if line.startswith("brightness"))
    assert row.split()[3] == "1.00"
    assert "█" in row
    assert "frames least like the reference" in out
    assert "brightness" in out[out.index("least like") :]
    assert "\x1b[31m" not in out
    assert "=cmd\\x1b[31m[bold].png" in out
    assert "vectors are not compared" in err
    assert call("drift", runs / "a", runs / "b", "--quiet")[2] == ""


def test_json_is_one_object(call, runs):
    code, out, err = call(
        "drift", runs / "a", "--where", "row < 20", "--where", "row >= 20", "--json", "-n", "3", "--seed", "5"
    )
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert len(found["frames"]) == len(found["frames_unusual"]) == 3
    assert {row["metric"] for row in found["measures"]} == set(METRICS)
    assert found["params"]["seed"] == 5
    assert found["current"] == {"name": "row >= 20", "store": str(runs / "a"), "frames": 20, "grouped": None}
    assert found["vectors"] is None
    assert "gates" not in found


def test_files(call, runs, tmp_path):
    code, out, _ = call("drift", runs / "a", runs / "b", "--format", "csv", "-q")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert rows[0]["metric"] == "brightness"
    assert rows[0]["drifts"] == "True"
    for form in ("csv", "json", "parquet"):
        assert call("drift", runs / "a", runs / "b", "-q", "--format", form, "--out", tmp_path / f"t.{form}")[:2] == (0, "")
    assert len(pd.read_parquet(tmp_path / "t.parquet")) == len(rows) == len(METRICS)


@pytest.mark.parametrize(
    ("gates", "code", "told"),
    [
        (("psi>0.25",), 5, "psi>0.25 not passed"),
        (("ks/width>0.1", "domain_auc<=1"), 5, "domain_auc is undefined"),
        (("ks/width>0.1", "psi/width<0.1"), 0, "ks/width is 0.0000: ks/width>0.1 passed"),
        (("drifting>2", "ks/brightness<0.9"), 5, "ks/brightness<0.9 not passed"),
        (("sharpnes>1",), 2, "there is no figure 'sharpnes'"),
    ],
)
def test_gates_stop_a_pipeline(call, runs, gates, code, told):
    flags = [part for gate in gates for part in ("--fail-on", gate)]
    got, out, err = call("drift", runs / "a", runs / "b", *flags)
    assert got == code
    assert told in err
    assert "Traceback" not in err
    if code == 5:
        got, out, _ = call("drift", runs / "a", runs / "b", *flags, "--json")
        found = json.loads(out)
        assert got == 5
        assert found["error"]["code"] == "GATE"
        assert len(found["gates"]) == len(gates)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "drift compares two sets of frames"),
        (("--split", "train", "--split", "test"), "has no split 'train'"),
        (("--split", "x", "--where", "row < 3"), "both say which frames"),
        (("--where", "row <", "--where", "row > 3"), "slice"),
        (("/nowhere",), "/nowhere"),
        (("--where", "row < 3", "--where", "row > 3", "--rows", "labels"), "no labels to compare"),
        (("--json", "--format", "csv"), "give one of them"),
        (("--format", "xml"), "choose csv, json or parquet"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(call, runs, arguments, message):
    code, out, err = call("drift", runs / "a", *arguments)
    assert code in (2, 10)
    assert message in err
    assert "Traceback" not in err
    assert "--json" in arguments or out == ""


def test_help_shows_an_example(call):
    assert "gpu-quality drift runs/train runs/production" in call("drift", "--help")[1]
