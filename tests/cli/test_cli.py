"""The command line as a user meets it: verbs, JSON shapes, exit codes, errors in one clear message."""

import json

import pytest
from photos import write_photos

METRICS = "brightness,sharpness,is_dark_issue"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A finished run over nine photos and a broken one."""
    folder = tmp_path_factory.mktemp("cli")
    write_photos(folder / "in", 9, broken=1)
    from gpu_quality import api

    settings = {"engine": {"kind": "inline"}, "max_errors": "20%"}
    api.run(folder / "in", out=folder / "out", metrics=METRICS.split(","), settings=settings)
    return folder / "out"


def test_run_says_what_became_of_every_frame(call, tmp_path):
    write_photos(tmp_path / "in", 3)
    code, out, err = call("run", tmp_path / "in", "--out", tmp_path / "out", "--metrics", METRICS, "--engine", "inline")
    assert (code, out) == (0, "")
    assert "3 scored + 0 errors = 3 listed" in err
    assert "next: gpu-quality show" in err
    code, out, err = call(
        "run", tmp_path / "in", "--out", tmp_path / "out", "--metrics", METRICS, "--json", "--engine", "inline"
    )
    status = json.loads(out)
    assert (status["listed"], status["scored"], status["errors"], status["complete"]) == (3, 3, 0, True)
    assert err == ""


def test_exit_codes_of_errors(call, tmp_path):
    write_photos(tmp_path / "in", 9, broken=1)
    base = ("run", tmp_path / "in", "--metrics", "brightness", "--engine", "inline", "--out")
    assert call(*base, tmp_path / "a", "--max-errors", "20%")[0] == 3
    assert call(*base, tmp_path / "b", "--max-errors", "20%", "--errors-ok")[0] == 0
    code, _, err = call(*base, tmp_path / "c")
    assert code == 4
    assert "error [TOO_MANY_ERRORS]: 1 of 10 frames failed, more than --max-errors 5%" in err


def test_status_query_errors_export_as_json(call, store):
    status = json.loads(call("status", store, "--json")[1])
    assert {"listed": 10, "scored": 9, "errors": 1, "complete": True, "reasons": {"truncated": 1}}.items() <= status.items()
    rows = json.loads(call("query", store, "select frame, sharpness from frames order by 2 limit 5", "--json")[1])["rows"]
    assert len(rows) == 5
    assert list(rows[0]) == ["frame", "sharpness"]
    assert rows[0]["sharpness"] <= rows[1]["sharpness"]
    failed = json.loads(call("errors", store, "--json")[1])["rows"]
    assert [row["frame"] for row in failed] == ["zbroken0.png"]
    exported = json.loads(call("export", store, "--format", "json")[1])["rows"]
    assert exported[-1]["frame"] == "zbroken0.png"
    assert exported[-1]["brightness"] is None


def test_csv_has_no_formulas(call, tmp_path):
    from gpu_quality import api

    write_photos(tmp_path / "in", 1)
    (tmp_path / "in" / "photo000.png").rename(tmp_path / "in" / "=cmd.png")
    api.run(tmp_path / "in", out=tmp_path / "out", metrics=["brightness"], settings={"engine": {"kind": "inline"}})
    code, out, _ = call("export", tmp_path / "out", "--format", "csv")
    assert code == 0
    header, row = out.splitlines()
    assert header.startswith("frame,")
    assert row.startswith("'=cmd.png,")
    call("export", tmp_path / "out", "--to", tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == out


def test_tables_for_people(call, store):
    for command in (("show",), ("show", "--sort", "sharpness", "--worst", "3"), ("show", "--issues"), ("errors",), ("status",)):
        code, out, _ = call(command[0], store, *command[1:])
        assert code == 0
        assert out.strip(), command
    assert "photo00" in call("show", store, "--sort", "sharpness", "--worst", "3")[1]
    assert "zbroken0.png" in call("errors", store)[1]


def test_verify_and_repair(call, store, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    assert call("verify", copy)[0] == 0
    victim = next(copy.glob("layers/*/00000/frames.parquet"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    code, out, err = call("verify", copy, "--json")
    assert code == 12
    assert json.loads(out.splitlines()[0])["findings"][0]["file"].endswith("frames.parquet")
    assert "repair" in err
    code, out, _ = call("repair", copy)
    assert (code, out.strip()) == (0, "1 damaged pieces removed; run the same command again")
    source = str(store.parent / "in")
    arguments = ("run", source, "--out", copy, "--metrics", METRICS, "--engine", "inline", "--max-errors", "20%")
    assert call(*arguments)[0] == 3
    assert victim.read_bytes() == next(store.glob("layers/*/00000/frames.parquet")).read_bytes()
    assert call("verify", copy)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run",), 2, "nothing to score"),
        (("run", "no/such/folder", "--out", "{tmp}/o"), 2, "no/such/folder"),
        (("run", "{in}"), 2, "--out"),
        (("run", "{in}", "--out", "{tmp}/o", "--metrics", "brigthness"), 2, "'brightness'"),
        (("run", "{in}", "--out", "{tmp}/o", "--labels", "{tmp}/none.json"), 2, "does not exist"),
        (("run", "{in}", "--out", "{tmp}/o", "--labels", "{in}/photo000.png"), 2, "photo000.png"),
        (("run", "{in}", "--out", "{in}"), 10, "not a store"),
        (("run", "{in}", "--out", "{tmp}/o", "--max-errors", "many"), 2, "5%"),
        (("run", "{in}", "--out", "{tmp}/o", "--plugin", "none.py"), 2, "none.py"),
        (("run", "none.yaml", "--out", "{tmp}/o"), 2, "none.yaml"),
        (("run", "{in}", "--frobnicate"), 2, "frobnicate"),
        (("frobnicate",), 2, "frobnicate"),
        (("show", "{tmp}"), 10, "not a store"),
        (("show", "{store}", "--sort", "sharpnes"), 2, "sharpness"),
        (("query", "{store}", "select sharpnes from frames"), 2, "sharpness"),
        (("query", "{store}", "drop table frames"), 2, ""),
        (("metric", "show", "brigthness"), 2, "'brightness'"),
        (("export", "{store}", "--format", "xml"), 2, "csv or json"),
    ],
)
def test_mistakes_get_one_clear_message(call, store, tmp_path, arguments, code, said):
    places = {"{tmp}": str(tmp_path), "{in}": str(store.parent / "in"), "{store}": str(store)}
    for place, path in places.items():
        arguments = tuple(argument.replace(place, path) for argument in arguments)
    found, _, err = call(*arguments)
    assert found == code, err
    assert said in err
    assert err.startswith("gpu-quality: error [")
    assert "Traceback" not in err


def test_errors_are_json_too(call, tmp_path):
    code, out, _ = call("status", tmp_path, "--json")
    assert code == 10
    assert json.loads(out)["error"]["code"] == "NOT_A_STORE"


def test_explain_and_metrics(call):
    assert "pixel_statistics" in call("explain", "configs/full.yaml")[1]
    listed = json.loads(call("metric", "list", "--json")[1])["metrics"]
    assert {"brightness", "is_near_duplicates_issue", "object_count"} <= {row["name"] for row in listed}
    text = call("metric", "show", "sharpness")[1]
    for part in ("low", "1 040 400", "nabla", "Encord Active"):
        assert part in text


def test_every_command_has_help_with_an_example(call):
    from gpu_quality.cli.main import app

    for command in app.registered_commands:
        code, out, _ = call(command.callback.__name__, "--help")
        assert code == 0
        assert "Example: gpu-quality" in out, command.callback.__name__


def test_a_wrong_flag_is_told_as_json_too(call):
    code, out, err = call("run", "photos", "--threads", "none", "--json")
    assert code == 2
    assert json.loads(out)["error"]["code"] == "USAGE"
    assert "Traceback" not in err


def test_a_config_of_any_name_is_read_as_a_config(call, tmp_path):
    write_photos(tmp_path / "in", 2)
    (tmp_path / "run.conf").write_text("engine: {kind: inline, shard: 0}\n")
    code, _, err = call("run", tmp_path / "in", "-c", tmp_path / "run.conf", "--out", tmp_path / "out")
    assert code == 2
    assert "engine.shard" in err


def test_records_hold_arrays_and_no_infinity():
    import numpy as np
    import pandas as pd

    from gpu_quality.cli.common import records

    cells = [[np.array([1.0, np.inf])], {"counts": np.float64("nan")}, np.float64("inf"), np.int64(3), None]
    frame = pd.DataFrame({"cell": pd.Series(cells, dtype=object)})
    assert [row["cell"] for row in records(frame)] == [[[1.0, None]], {"counts": None}, None, 3, None]


def test_query_on_a_default_store(call, tmp_path):
    """Columns that both the input and a layer have, and columns asked for twice."""
    write_photos(tmp_path / "in", 3)
    assert call("run", tmp_path / "in", "--out", tmp_path / "out", "--engine", "inline")[0] == 0
    code, out, _ = call("query", tmp_path / "out", "select frame, width, sharpness, frame from frames order by 1", "--json")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert rows[0]["width"] == 40
    assert rows[0]["frame"] == rows[0]["frame_1"] == "photo000.png"
    assert call("metric", "show", "object_brightness")[0] == 0
