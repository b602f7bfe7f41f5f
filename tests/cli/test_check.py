"""The verb `check` and `api.check`: tables, JSON, files, gates, what is kept in a store, hostile names."""

import csv
import io
import json

import pandas as pd
import pytest
from photos import write_photos

from gpu_quality import api
from gpu_quality.analysis.health import Limits
from gpu_quality.api.check import check
from gpu_quality.errors import UsageError
from gpu_quality.store.lock import writer_lock


def labels_of(folder, annotations, *, name="cat", images=4):
    """A labels file over photos of 40 x 30 pixels, the first of which it calls larger."""
    listed = [{"id": i, "file_name": f"photo{i:03d}.png", "width": 40, "height": 30} for i in range(images)]
    listed[0]["width"] = 50
    content = {"images": listed, "annotations": annotations, "categories": [{"id": 1, "name": name}]}
    (folder / "labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


def boxes(count: int) -> list[dict]:
    place = ((i % 4, i // 4) for i in range(count))
    return [
        {"id": 10 + k, "image_id": i, "category_id": 1, "bbox": [5 * j, 5, 4, 4], "area": 16} for k, (i, j) in enumerate(place)
    ]


@pytest.fixture
def files(tmp_path):
    write_photos(tmp_path / "in", 4)
    wrong = [
        {"id": 90, "image_id": 2, "category_id": 1, "bbox": [30, 5, 24, 4], "area": 96},
        {"id": 91, "image_id": 1, "category_id": 1, "bbox": [5, 15, 0, 4], "area": 1},
    ]
    return tmp_path / "in", labels_of(tmp_path, [*boxes(12), *wrong])


EXPECTED = {"degenerate_bbox": 1, "zero_area": 1, "bbox_out_of_bounds": 1, "area_mismatch": 1, "size_mismatch": 1}


def test_the_table_names_every_code_once_gravest_first(call, files):
    images, labels = files
    code, out, err = call("check", "--labels", labels, "--images", images)
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if line.split(" ")[0] in EXPECTED]
    assert [line.split()[:2] for line in lines] == [[name, str(n)] for name, n in EXPECTED.items()]
    assert "a box reaches out of its image" in out
    assert "box reaches 14.0 px out of the frame on the right" in out
    assert "1 error, 4 warnings" in out
    assert "--code degenerate_bbox" in out


def test_one_code_is_listed_with_its_place_in_the_file(call, files):
    images, labels = files
    _, out, _ = call("check", "--labels", labels, "--images", images, "--code", "size_mismatch")
    assert "photo000.png" in out
    assert "declared 50 x 30 px, the image is 40 x 30 px" in out
    _, out, _ = call("check", "--labels", labels, "--code", "bbox_out_of_bounds")
    assert all(text in out for text in ("labels.json", "12", "photo002.png", "labels/90", "14.0 px"))
    assert "found nowhere" in call("check", "--labels", labels, "--code", "missing_file")[1]


def test_json_is_one_object(call, files):
    images, labels = files
    code, out, err = call("check", "--labels", labels, "--images", images, "--json", "--fail-on", "error")
    told = json.loads(out)
    assert code == 5
    assert "error [GATE]: --fail-on error: 1 error" in err
    assert {row["code"]: row["count"] for row in told["summary"]} == EXPECTED
    assert "findings" not in told
    told = json.loads(call("check", "--labels", labels, "--json", "--code", "zero_area", "--balance")[1])
    assert [row["object"] for row in told["findings"]] == ["labels/91"]
    assert told["findings"][0]["record"] == 13
    assert told["balance"][0]["class_count"] == 14


def test_gates(call, files, tmp_path):
    _, labels = files
    assert call("check", "--labels", labels, "--fail-on", "warning")[0] == 5
    good = labels_of(tmp_path, boxes(12))
    assert call("check", "--labels", good, "--fail-on", "error")[0] == 0
    assert call("check", "--labels", good, "--fail-on", "warning")[:2] == (0, "nothing is wrong, nothing is odd\n")


def test_tables_are_written_to_files(call, files, tmp_path):
    _, labels = files
    code, out, _ = call("check", "--labels", labels, "--format", "csv", "--to", tmp_path / "found.csv")
    assert (code, out) == (0, "")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "found.csv").read_text())))
    assert [row["code"] for row in rows] == ["degenerate_bbox", "zero_area", "bbox_out_of_bounds", "area_mismatch"]
    assert rows[0]["other"] == ""
    rows = json.loads(call("check", "--labels", labels, "--code", "zero_area", "--format", "json")[1])["rows"]
    assert [row["record"] for row in rows] == [13]
    text = call("check", "--labels", labels, "--balance", "--format", "csv")[1]
    assert next(csv.DictReader(io.StringIO(text)))["class"] == "cat"


def test_the_table_of_classes(call, files):
    out = call("check", "--labels", files[1], "--balance")[1]
    assert "largest : smallest" in out
    assert "cat" in out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "neither a store nor labels are given"),
        (("store", "--labels", "x.json"), "both a store and files are given"),
        (("--labels", "x.json", "--code", "tiny_bx"), "did you mean 'tiny_box'?"),
        (("--labels", "x.json", "--format", "xml"), "choose csv or json"),
        (("--labels", "x.json", "--to", "a.csv"), "add --format csv"),
        (("--labels", "x.json", "--fail-on", "info"), "choose error or warning"),
        (("--labels", "x.json", "--json", "--format", "csv"), "give one of them"),
        (("--labels", "x.json", "--predictions", "p.json"), "write NAME=PATH"),
        (("--labels", "x.json", "--predictions", "a=1", "--predictions", "a=2"), "given twice"),
        (("--labels-format", "coco"), "--labels-format is given without --labels"),
        (("--labels", "x.json"), "does not exist"),
    ],
)
def test_wrong_flags_are_told_in_one_message(call, flags, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = call("check", *flags)
    assert code == 2
    assert told in err
    assert (json.loads(out)["error"]["code"] if "--json" in flags else out) in ("USAGE", "")
    assert "Traceback" not in err


def test_hostile_names_do_not_reach_the_terminal(call, tmp_path):
    labels = labels_of(tmp_path, boxes(3), name="=cmd\x1b[2J\u202e\n[red]x", images=4)
    for flags in ((), ("--balance",), ("--code", "low_instance_category"), ("--code", "unlabeled_image")):
        out = call("check", "--labels", labels, *flags)[1]
        assert not {"\x1b", "\u202e"} & set(out)
    assert "[red]x" in call("check", "--labels", labels, "--balance")[1]


@pytest.fixture
def store(files, tmp_path):
    images, labels = files
    settings = {"engine": {"kind": "inline"}}
    return api.run(images, out=tmp_path / "out", labels=labels, metrics=["brightness", "width", "height"], settings=settings)


def test_a_store_is_checked_once(call, store, monkeypatch):
    first = check(store)
    assert first.findings["code"].value_counts()[list(EXPECTED)].to_dict() == EXPECTED  # sizes as the run measured them
    assert first.notes == ()
    assert store.verify().ok
    monkeypatch.setattr("gpu_quality.api.check._checked", None)  # a second look reads
    again = check(store.path)
    for name in ("findings", "summary", "balance"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(first, name))
    assert json.loads(call("check", store.path, "--json")[1])["summary"][0]["code"] == "degenerate_bbox"
    assert store.query("select count(*) as n from health")["n"].tolist() == [len(first.findings)]
    assert call("check", store.path)[1].endswith(f"next: gpu-quality check {store.path} --code degenerate_bbox\n")


def test_other_limits_a_longer_run_or_damage_are_looked_at_again(store, files):
    first = check(store)
    assert "tiny_box" in set(check(store, limits=Limits(tiny_side=9)).findings["code"])
    assert "tiny_box" not in set(check(store).findings["code"])
    path = store.path / "results" / "health.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    pd.testing.assert_frame_equal(check(store).findings, first.findings)
    assert path.read_bytes() == data
    (store.path / "results" / "health.json").write_text("[]")
    pd.testing.assert_frame_equal(check(store).findings, first.findings)
    assert store.verify().ok


def test_a_store_that_another_process_writes_is_read_all_the_same(store):
    with writer_lock(store.path):
        found = check(store)
    assert found.findings["code"].value_counts()[list(EXPECTED)].to_dict() == EXPECTED
    assert "not kept" in found.notes[0]
    assert not (store.path / "results" / "health.parquet").exists()


def test_missing_and_broken_images_of_a_run(tmp_path):
    images = tmp_path / "in"
    write_photos(images, 4, broken=1)
    labels = labels_of(tmp_path, boxes(20), images=5)  # photo004.png does not exist
    settings = {"engine": {"kind": "inline"}, "max_errors": "90%"}
    made = api.run(images, out=tmp_path / "out", labels=labels, metrics=["brightness"], settings=settings)
    found = check(made).findings
    assert found[found["code"] == "missing_file"]["frame"].tolist() == ["photo004.png"]
    assert "size_mismatch" not in set(found["code"])  # the run measured no sizes


def test_a_store_without_annotations_has_nothing_to_tell(tmp_path):
    write_photos(tmp_path / "in", 2)
    made = api.run(tmp_path / "in", out=tmp_path / "out", metrics=["brightness"], settings={"engine": {"kind": "inline"}})
    found = check(made)
    assert found.findings.empty
    assert found.balance.empty
    assert check(made).findings.empty


def test_what_is_checked_must_be_one_thing():
    with pytest.raises(UsageError, match="neither a store nor labels"):
        check()
