"""What people do wrong, or do twice: one clear refusal, nothing lost, the same exit code every time."""

import numpy as np
import pytest
from photos import data_files, write_photos
from PIL import Image

import gpu_quality as gq
from gpu_quality import errors, registry

PLUGIN = '''
import os
import gpu_quality as gq, torch
from gpu_quality.types import Masked


@gq.metric(unit="1", over="dataset")
def whole(brightness):
    """Fails always."""
    raise RuntimeError("no film")


@gq.metric(unit="1", over="dataset")
def sees_objects(objects):
    """Asks for what the table pass has not."""
    return None


@gq.metric(unit="1", over="dataset", per="object")
def per_object(brightness):
    """Is about objects, in the table pass."""
    return brightness


@gq.metric(unit="1", per="classification")
def answers(brightness):
    """Is about classifications."""
    return brightness


@gq.metric(unit="1")
def masked_shape(brightness):
    """Says of the wrong rows that they are undefined."""
    return Masked(brightness, torch.zeros(7, dtype=torch.bool), "too_small")


@gq.metric(unit="1")
def masked_reason(brightness):
    """Gives a reason that does not exist."""
    return Masked(brightness, torch.ones(len(brightness), dtype=torch.bool), "because")


@gq.metric(unit="1")
def masked_stack(gray):
    """Is undefined for wide frames, and runs by stacks."""
    wide = torch.full((len(gray),), gray.shape[2] > gray.shape[1])
    return Masked(gray.mean((-2, -1)), wide, "too_small")


@gq.metric(unit="1")
def flaky(sizes):
    """Fails as long as a file is there."""
    if os.path.exists(FLAG):
        raise RuntimeError("flaky")
    return sizes.width.double()
'''


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`gq.run` with the plugin, over six photos unless told otherwise."""
    registry.load_built_in()
    monkeypatch.setattr(registry, "_nodes", dict(registry._nodes))
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN.replace("FLAG", repr(str(tmp_path / "flag"))))
    write_photos(tmp_path / "in", 6)

    def go(metrics, *, out="out", images="in", settings=None, **more):
        engine = {"engine": {"kind": "inline"}, "max_errors": "50%", **(settings or {})}
        return gq.run(tmp_path / images, out=tmp_path / out, metrics=metrics, plugins=[plugin], settings=engine, **more)

    return go


@pytest.mark.parametrize("metric", ["sees_objects", "per_object", "answers"])
def test_what_nothing_runs_is_refused_before_a_file_is_opened(run, tmp_path, metric):
    with pytest.raises(errors.PlanError, match=metric):
        run([metric])
    assert not (tmp_path / "out" / "layers").exists()


@pytest.mark.parametrize(("metric", "said"), [("masked_shape", r"missing.*\(7,\)"), ("masked_reason", "'because'")])
def test_a_wrong_mask_costs_cells_not_the_run(run, metric, said):
    store = run(["brightness", metric], settings={"max_errors": "100%"})
    assert store.table("frame")["brightness"].notna().all()
    assert store.errors()["detail"].str.contains(said).all()
    assert len(store.errors()) == 6


def test_an_undefined_value_of_a_stacked_metric_is_no_error(run, tmp_path):
    write_photos(tmp_path / "tall", 1, size=(10, 20))
    (tmp_path / "tall" / "photo000.png").rename(tmp_path / "in" / "tall.png")
    store = run(["masked_stack"])
    assert len(store.errors()) == 0
    assert set(store.nulls()["reason"]) == {"too_small"}
    assert store.table("frame").set_index("frame")["masked_stack"].notna().to_dict()["tall.png"]
    assert store.table("frame")["masked_stack"].notna().sum() == 1


def test_a_failing_metric_ends_every_attempt_alike(run, tmp_path):
    (tmp_path / "flag").touch()
    for metric in ("flaky", "whole"):
        for _ in range(2):
            with pytest.raises(errors.ErrorBudgetError, match=f"{metric} failed on 6 of 6 frames"):
                run([metric], out=metric)


def test_a_cured_metric_is_tried_again(run, tmp_path):
    (tmp_path / "flag").touch()
    run(["flaky", "brightness"], settings={"max_errors": "100%"})
    (tmp_path / "flag").unlink()
    store = run(["flaky", "brightness"], retry_errors=True)
    assert store.table("frame")["flaky"].notna().all()
    assert len(store.errors()) == 0


def test_retrying_a_part_touches_no_other_columns(run, tmp_path):
    (tmp_path / "flag").touch()
    run(["flaky", "brightness"], settings={"max_errors": "100%"})
    before = data_files(tmp_path / "out")
    run(["brightness"], retry_errors=True)
    assert data_files(tmp_path / "out") == before


def test_frames_that_fail_again_for_another_metric_count_once(run, tmp_path):
    write_photos(tmp_path / "in", 6, broken=2)
    budget = {"max_errors": "40%"}  # 2 of 8 frames fail, in two layers
    run(["brightness"], settings=budget)
    assert run(["brightness", "contrast"], settings=budget).status()["errors"] == 2


def test_a_refused_run_leaves_the_store_untouched(run, tmp_path, monkeypatch):
    from gpu_quality.engine.worker import Worker

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(["brightness", "contrast"])
    before = data_files(tmp_path / "out")
    with pytest.raises(errors.IncompatibleError, match=r"unfinished columns.*contrast"):
        run(["brightness", "saturation"])
    assert data_files(tmp_path / "out") == before
    assert run(["brightness", "saturation"], replace=True).status()["complete"]


def test_another_folder_is_another_question(run, tmp_path):
    run(["brightness"])
    write_photos(tmp_path / "others", 1)
    (tmp_path / "others" / "photo000.png").rename(tmp_path / "others" / "new.png")
    with pytest.raises(errors.IncompatibleError, match="made from other images"):
        run(["brightness"], images="others")


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ([{"name": "contrast", "as": "brightness"}], "meaning of its own"),
        ([{"name": "contrast", "as": "pixels"}], "meaning of its own"),
        ([{"name": "contrast", "as": "uri"}], "cannot be stored as 'uri'"),
        ([{"name": "contrast", "as": "file_hash"}], "cannot be stored as 'file_hash'"),
        ([{"name": "is_dark_issue", "threshold": "high"}], "'threshold' is 'high'"),
        ([{"name": "is_dark_issue", "threshold": True}], "'threshold' is True"),
        ([], "nothing to compute"),
    ],
)
def test_wrong_metrics_are_refused(run, metrics, said):
    with pytest.raises(errors.UsageError, match=said):
        run(metrics)


def test_one_metric_needs_no_list(run):
    assert "brightness" in run("brightness").table("frame")
    assert gq.score([np.zeros((4, 4, 3), np.uint8)], metrics="brightness")["brightness"].tolist() == [0.0]


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_there(run, tmp_path, device):
    with pytest.raises(errors.UsageError, match="device"):
        run(["brightness"], settings={"engine": {"device": device}})
    assert not (tmp_path / "out").exists()


def test_a_list_of_paths_is_no_data_set(tmp_path):
    with pytest.raises(errors.UsageError, match="no list of paths"):
        gq.run(["a.jpg", "b.jpg"], out=tmp_path / "out")


@pytest.mark.parametrize("image", [np.zeros((8, 9, 3), np.uint8), Image.new("RGB", (3, 3)), "a.jpg"])
def test_one_image_is_no_list_of_images(image):
    with pytest.raises(errors.UsageError, match="list of images"):
        gq.score(image)


def test_no_images_and_a_generator_of_images():
    assert gq.score([], metrics=["brightness", "is_dark_issue"]).columns.tolist() == ["brightness", "is_dark_issue"]
    images = (np.full((2, 2, 3), value, np.uint8) for value in (0, 255))
    assert gq.score(images, metrics=["brightness"])["brightness"].tolist() == [0.0, 1.0]


def test_replacing_a_metric_retires_what_was_computed_from_it(tmp_path):
    write_photos(tmp_path / "in", 3)
    plugin = tmp_path / "versions.py"
    text = (
        "import gpu_quality as gq, torch\n@gq.metric(unit='1', version={v})\ndef base(sizes):\n    'A number.'\n"
        "    return torch.full((len(sizes.width),), {v}.0, dtype=torch.float64)\n"
        "@gq.metric(unit='1', over='dataset')\ndef twice(base):\n    'Twice the number.'\n    return base * 2\n"
    )
    from gpu_quality import registry

    for version, wanted in ((1, ["base", "twice"]), (2, ["base"]), (2, ["base", "twice"])):
        if plugin.exists() and f"version={version}" not in plugin.read_text():
            for name in ("base", "twice"):
                registry._nodes.pop(name)
        plugin.write_text(text.format(v=version))
        store = gq.run(
            tmp_path / "in",
            out=tmp_path / "out",
            metrics=wanted,
            plugins=[plugin],
            replace=True,
            settings={"engine": {"kind": "inline"}},
        )
        table = store.table("frame")
        assert table["base"].tolist() == [version] * 3
        assert ("twice" in table) == ("twice" in wanted)
    assert table["twice"].tolist() == [4.0] * 3
