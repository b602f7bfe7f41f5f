"""`gq.run` as a user calls it: results, resume, refusals, budgets, plugins, data sets."""

import json
from pathlib import Path

import numpy as np
import pytest
from photos import data_files, write_photos

import gpu_quality as gq
from gpu_quality import errors

INLINE = {"engine": {"kind": "inline"}, "max_errors": "50%"}
PLUGIN = """
import os
import gpu_quality as gq
from gpu_quality.types import Frame
import torch


@gq.metric(unit="1")
def trouble(frames: tuple[Frame, ...], sizes):
    \"\"\"Fails as it is told to.\"\"\"
    value = torch.ones(len(frames), dtype=torch.float64)
    for row, frame in enumerate(frames):
        if "photo003" in frame.id:
            {action}
    return value
"""


def run(photos, out, **more):
    more.setdefault("metrics", ["brightness", "sharpness", "is_dark_issue", "phash_distance"])
    return gq.run(photos, out=out, settings={**INLINE, **more.pop("settings", {})}, **more)


def test_every_frame_is_accounted_for(tmp_path):
    names = write_photos(tmp_path / "in", 10, broken=2)
    store = run(tmp_path / "in", tmp_path / "out")
    status = store.status()
    assert (status["listed"], status["scored"], status["errors"], status["complete"]) == (12, 10, 2, True)
    table = store.table("frame")
    assert table["frame"].tolist() == names
    assert table["brightness"].notna().tolist() == ["broken" not in name for name in names]
    failed = store.errors()
    assert failed["frame"].tolist() == ["zbroken0.png", "zbroken1.png"]
    assert set(failed["reason"]) == {"truncated"}


def test_values_do_not_depend_on_engine_threads_batches_or_shards(tmp_path):
    write_photos(tmp_path / "in", 9)
    base = run(tmp_path / "in", tmp_path / "a", metrics=None).table("frame")
    other_settings = {"engine": {"kind": "local", "shard": 4}, "decode": {"threads": 1, "batch": 2}}
    other = run(tmp_path / "in", tmp_path / "b", metrics=None, settings=other_settings).table("frame")
    assert base.equals(other)


def test_engines_write_the_same_bytes(tmp_path):
    write_photos(tmp_path / "in", 9, broken=1)
    for name, kind in (("a", "inline"), ("b", "local")):
        run(tmp_path / "in", tmp_path / name, metrics=None, settings={"engine": {"kind": kind, "shard": 4}})
    assert data_files(tmp_path / "a") == data_files(tmp_path / "b")


def test_a_finished_run_does_nothing_again(tmp_path):
    write_photos(tmp_path / "in", 5)
    run(tmp_path / "in", tmp_path / "out")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "layers").rglob("*")}
    run(tmp_path / "in", tmp_path / "out")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "layers").rglob("*")} == before


def test_a_new_metric_is_a_new_layer(tmp_path):
    write_photos(tmp_path / "in", 5)
    store = run(tmp_path / "in", tmp_path / "out", metrics=["brightness"])
    first = {layer.name for layer in store.layers()}
    store = run(tmp_path / "in", tmp_path / "out", metrics=["brightness", "contrast"])
    assert first < {layer.name for layer in store.layers()}
    assert {"brightness", "contrast"} <= set(store.table("frame").columns)


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    write_photos(tmp_path / "in", 10)
    shards = {"engine": {"kind": "inline", "shard": 4}}
    from gpu_quality.engine.worker import Worker

    real, calls = Worker.__call__, []

    def stop_at_second(self, shard, *args, **keywords):
        calls.append(shard.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, shard, *args, **keywords)

    monkeypatch.setattr(Worker, "__call__", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in", tmp_path / "out", settings=shards)
    assert gq.open_store(tmp_path / "out").status()["complete"] is False
    run(tmp_path / "in", tmp_path / "out", settings=shards)
    assert calls == ["00000", "00001", "00001", "00002"]
    run(tmp_path / "in", tmp_path / "whole", settings=shards)
    assert data_files(tmp_path / "out") == data_files(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "key"),
    [({"seed": 5}, "seed"), ({"decode": {"exif": False}}, "decode"), ({"regions": ["frames"]}, "regions")],
)
def test_a_changed_question_is_refused_by_key(tmp_path, change, key):
    write_photos(tmp_path / "in", 3)
    run(tmp_path / "in", tmp_path / "out")
    before = data_files(tmp_path / "out")
    with pytest.raises(errors.IncompatibleError, match=key) as caught:
        run(tmp_path / "in", tmp_path / "out", settings=change)
    assert caught.value.exit_code == 13
    assert data_files(tmp_path / "out") == before


def test_what_changes_no_number_is_accepted(tmp_path):
    write_photos(tmp_path / "in", 3)
    run(tmp_path / "in", tmp_path / "out")
    run(tmp_path / "in", tmp_path / "out", settings={"decode": {"threads": 1, "batch": 3}, "engine": {"kind": "local"}})


def test_another_option_needs_another_name_or_replace(tmp_path):
    write_photos(tmp_path / "in", 3)
    run(tmp_path / "in", tmp_path / "out", metrics=["is_dark_issue"])
    other = [{"name": "is_dark_issue", "threshold": 0.9}]
    with pytest.raises(errors.IncompatibleError, match=r"threshold: 0\.32 there, 0\.9 asked"):
        run(tmp_path / "in", tmp_path / "out", metrics=other)
    store = run(tmp_path / "in", tmp_path / "out", metrics=other, replace=True)
    assert store.columns()["is_dark_issue"]["options"] == {"threshold": 0.9}
    named = [{"name": "is_dark_issue", "as": "is_dim", "threshold": 0.5}]
    assert "is_dim" in run(tmp_path / "in", tmp_path / "out", metrics=[*other, *named]).table("frame")


@pytest.mark.parametrize(("broken", "budget", "code"), [(0, "5%", 0), (1, "25%", 0), (3, "25%", 4), (6, "100%", 4)])
def test_errors_are_budgeted(tmp_path, broken, budget, code):
    write_photos(tmp_path / "in", 6 - broken if broken == 6 else 6, broken=broken)
    if code:
        with pytest.raises(errors.ErrorBudgetError) as caught:
            run(tmp_path / "in", tmp_path / "out", settings={"max_errors": budget})
        assert caught.value.exit_code == code
        assert len(gq.open_store(tmp_path / "out").errors()) == broken
    else:
        assert run(tmp_path / "in", tmp_path / "out", settings={"max_errors": budget}).status()["complete"]


def test_a_raised_budget_goes_on(tmp_path):
    write_photos(tmp_path / "in", 3, broken=3)
    with pytest.raises(errors.ErrorBudgetError):
        run(tmp_path / "in", tmp_path / "out", settings={"max_errors": "5%"})
    assert run(tmp_path / "in", tmp_path / "out", settings={"max_errors": "60%"}).status()["complete"]


@pytest.mark.parametrize(
    ("action", "reason", "said"),
    [
        ("raise RuntimeError('no film in the camera')", "internal", "no film in the camera"),
        ("value[row] = float('nan')", "non_finite", "trouble is nan"),
        ("value[row] = float('inf')", "non_finite", "trouble is inf"),
        ("return value[:-1]", "internal", "one value per frame"),
        ("return 3", "internal", "expected a tensor"),
        ("return value.to(torch.complex64)", "internal", "expected float64"),
    ],
)
def test_a_failing_metric_costs_only_its_own_cells(tmp_path, action, reason, said):
    write_photos(tmp_path / "in", 6)
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN.replace("{action}", action))
    store = run(tmp_path / "in", tmp_path / "out", metrics=["trouble", "brightness"], plugins=[plugin])
    table = store.table("frame").set_index("frame")
    assert table["brightness"].notna().all()
    failed = store.errors()
    assert (failed["metric"] == "trouble").all()
    assert failed[["frame", "reason"]].values.tolist() == [["photo003.png", reason]]
    assert said in failed["detail"].item()
    assert table["trouble"].notna().sum() == 5
    assert store.status()["scored"] == 6


def test_a_metric_that_always_fails_ends_the_run_by_its_name(tmp_path):
    write_photos(tmp_path / "in", 6)
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN.replace("{action}", "pass").replace("value = torch.ones", "value = nothing = torch.nope"))
    with pytest.raises(errors.ErrorBudgetError, match="metric trouble failed on 6 of 6 frames"):
        run(tmp_path / "in", tmp_path / "out", metrics=["trouble"], plugins=[plugin])


@pytest.mark.faults
@pytest.mark.parametrize(
    ("action", "reason", "said"),
    [
        ("os._exit(7)", "worker_died", "code 7"),
        ("os.kill(os.getpid(), 9)", "worker_died", "SIGKILL"),
        ("os.kill(os.getpid(), 11)", "worker_died", "SIGSEGV"),
        ("import time; time.sleep(60)", "timeout", "within 2 s"),
    ],
)
def test_a_frame_that_kills_its_worker_becomes_an_error_row(tmp_path, action, reason, said):
    write_photos(tmp_path / "in", 7)
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN.replace("{action}", action))
    engine = {"kind": "local", "shard": 4, "stall_s": 3, "frame_timeout_s": 2}
    store = run(
        tmp_path / "in", tmp_path / "out", metrics=["trouble", "brightness"], plugins=[plugin], settings={"engine": engine}
    )
    failed = store.errors()
    assert failed[["frame", "reason"]].values.tolist() == [["photo003.png", reason]]
    assert said in failed["detail"].item()
    assert store.table("frame")["brightness"].notna().sum() == 6


@pytest.mark.faults
def test_retry_errors_tries_again_what_may_be_cured(tmp_path):
    write_photos(tmp_path / "in", 4)
    plugin, flag = tmp_path / "plugin.py", tmp_path / "broken"
    flag.touch()
    plugin.write_text(PLUGIN.replace("{action}", f"os.path.exists({str(flag)!r}) and os._exit(1)"))
    settings = {"engine": {"kind": "local"}}
    arguments = {"metrics": ["trouble"], "plugins": [plugin], "settings": settings}
    assert run(tmp_path / "in", tmp_path / "out", **arguments).status()["errors"] == 1
    flag.unlink()
    assert run(tmp_path / "in", tmp_path / "out", **arguments).status()["errors"] == 1
    assert run(tmp_path / "in", tmp_path / "out", retry_errors=True, **arguments).status()["errors"] == 0


def test_files_that_changed_are_noticed(tmp_path):
    write_photos(tmp_path / "in", 4)
    said: list[str] = []

    class Told:
        def say(self, text):
            said.append(text)

        begin = advance = end = lambda self, *a: None

    run(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / "photo000.png").unlink()
    write_photos(tmp_path / "more", 1, seed=9)
    (tmp_path / "more" / "photo000.png").rename(tmp_path / "in" / "photo001.png")
    (tmp_path / "in" / "photo009.png").write_bytes((tmp_path / "in" / "photo002.png").read_bytes())
    run(tmp_path / "in", tmp_path / "out", progress=Told())
    text = " ".join(said)
    for part in ("1 files are new", "1 files are gone", "1 files are changed"):
        assert part in text


def test_a_file_that_changes_before_it_is_scored_is_an_error(tmp_path, monkeypatch):
    write_photos(tmp_path / "in", 4)
    from gpu_quality.engine.worker import Worker

    real = Worker.__init__

    def swap(self, job):
        real(self, job)
        path = tmp_path / "in" / "photo001.png"
        path.write_bytes(path.read_bytes() + b"more")

    monkeypatch.setattr(Worker, "__init__", swap)
    store = run(tmp_path / "in", tmp_path / "out")
    assert store.errors()[["frame", "reason"]].values.tolist() == [["photo001.png", "changed_since_listing"]]


def test_a_torch_data_set_is_a_source(tmp_path):
    class Images:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            if i > 2:
                raise IndexError
            return np.full((4, 5, 3), 100 * i, np.uint8), "label"

    store = run(Images(), tmp_path / "out", metrics=["brightness", "width"], settings={"engine": {"shard": 2}})
    table = store.table("frame")
    assert table["frame"].tolist() == ["00000000", "00000001", "00000002"]
    assert table["brightness"].tolist() == pytest.approx([0, 100 / 255, 200 / 255])
    assert table["width"].tolist() == [5, 5, 5]
    with pytest.raises(errors.UsageError, match="__len__"):
        run(object(), tmp_path / "other")


def test_empty_and_missing_input(tmp_path):
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(errors.UsageError):
            run(source, tmp_path / "out")
    assert not (tmp_path / "out" / "run.json").exists()


def test_labels_and_predictions_are_scored(tmp_path):
    names = write_photos(tmp_path / "in", 3)
    images = [{"id": i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate(names)]
    boxes = [[2, 3, 10, 10], [2, 3, 10, 9], [0, 0, 40, 30], [20, 10, 100, 100]]
    annotations = [
        {"id": i, "image_id": i // 2, "category_id": 7, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for i, box in enumerate(boxes)
    ]
    labels = {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "cat"}]}
    (tmp_path / "gt.json").write_text(json.dumps(labels))
    results = [{"image_id": 0, "category_id": 7, "bbox": [2, 3, 10, 10], "score": 0.9}]
    (tmp_path / "dt.json").write_text(json.dumps(results))
    store = run(
        tmp_path / "in",
        tmp_path / "out",
        labels=tmp_path / "gt.json",
        predictions={"yolo": tmp_path / "dt.json"},
        metrics=["brightness", "object_count", "object_area_relative", "annotation_duplicate"],
    )
    frames, objects = store.table("frame"), store.table("object")
    assert frames["object_count"].tolist() == [2, 2, 0]
    assert frames["object_count_yolo"].tolist() == [1, 0, 0]
    label_rows = objects[objects["origin"] == 0]
    assert label_rows["object_area_relative"].tolist()[:3] == pytest.approx([100 / 1200, 90 / 1200, 1.0])
    assert label_rows["annotation_duplicate"].tolist()[:2] == pytest.approx([0.9, 0.9])
    yolo = objects[objects["origin"] == 1]
    assert yolo["annotation_duplicate"].tolist() == [0.0]
    alone = gq.score([Path(tmp_path / "in" / names[0])], metrics=["brightness"])["brightness"].item()
    assert frames["brightness"].iloc[0] == alone
    assert yolo["object_brightness"].iloc[0] == label_rows["object_brightness"].iloc[0]


def test_native_decoders_do_not_chat_on_the_terminal(tmp_path, capfd, test_data):
    gq.run(test_data / "hostile", out=tmp_path / "out", metrics=["brightness"], settings={"max_errors": "95%"})
    assert "TIFF" in (tmp_path / "out" / "logs" / "native.log").read_text()
    assert "TIFF" not in "".join(capfd.readouterr())
