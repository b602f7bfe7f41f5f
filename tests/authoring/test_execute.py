"""Class-form metrics: stored like any other, whole or not at all, whatever their code does."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from photos import data_files, write_photos

import gpu_quality as gq
from gpu_quality.authoring.execute import execute_metrics
from gpu_quality.authoring.iterator import DatasetIterator, PredictionIterator
from gpu_quality.authoring.metric import DataType, Metric, MetricType, SimpleMetric
from gpu_quality.errors import IncompatibleError, MetricError, UsageError
from gpu_quality.store.store import Store
from tests.authoring.labelled import BOXES, HEIGHT, WIDTH, gray_store, labelled_store, sequence_store
from tests.authoring.ported import BlueShare, RelativeArea, Speed

EXAMPLE = Path(__file__).parents[2] / "configs" / "examples" / "box_height.py"
FIELDS = "identifier,score,description,object_class,annotator,frame,url"


def metric_of(execute, title="Mine", **attributes):
    """A metric whose `execute` is the given function of iterator and writer."""

    class Mine(Metric):
        def __init__(self):
            super().__init__(title, "Short.", "Long.", MetricType.HEURISTIC, DataType.IMAGE)
            vars(self).update(attributes)

        def execute(self, iterator, writer):
            execute(iterator, writer)

    return Mine()


def every_frame(score):
    """`execute` that writes ``score(iterator, data_unit, image)`` for each frame."""

    def execute(iterator, writer):
        for data_unit, image in iterator.iterate():
            writer.write(score(iterator, data_unit, image))

    return execute


def rows_of(done):
    return list(csv.DictReader(done.csv.read_text().splitlines()))


@pytest.fixture
def store(tmp_path):
    return labelled_store(tmp_path)


def test_a_ported_frame_metric_sees_blue_green_red(tmp_path):
    from PIL import Image

    (tmp_path / "in").mkdir()
    for i, color in enumerate([(0, 0, 255), (255, 0, 0), (90, 90, 90)]):
        Image.new("RGB", (5, 4), color).save(tmp_path / "in" / f"{i}.png")
    execute_metrics([BlueShare()], data_dir=tmp_path / "in")
    found = Store.open(tmp_path / "in" / ".gpu-quality")
    assert found.column("blue_share").tolist() == [1.0, 0.0, pytest.approx(1 / 3)]


def test_a_ported_object_metric_is_stored_shown_queried_and_reported(store, tmp_path, capsys):
    (done,) = execute_metrics([RelativeArea()], data_dir=store)
    expected = [w * h / WIDTH / HEIGHT for _, _, (_, _, w, h) in BOXES]
    found = gq.open_store(store)
    objects = found.table("object", ["origin", "relative_area", "relative_area_description"])
    labels = objects[objects["origin"] == 0]
    assert labels["relative_area"].tolist() == pytest.approx(expected)
    assert labels["relative_area_description"].tolist() == ["a cat", "a guide_dog", "a cat", "a guide_dog"]
    assert objects.loc[objects["origin"] == 1, "relative_area"].isna().all()
    rows = rows_of(done)
    assert done.csv.read_text().splitlines()[0] == FIELDS
    assert [float(row["score"]) for row in rows] == pytest.approx(expected)
    assert [row["object_class"] for row in rows] == ["cat", "guide dog", "cat", "guide dog"]
    assert len({row["identifier"] for row in rows}) == 4
    meta = json.loads(done.csv.with_suffix(".meta.json").read_text())
    assert meta["title"] == "Relative Area"
    assert meta["doc_url"] == "https://example.org/relative-area"
    assert meta["stats"]["max_value"] == pytest.approx(max(expected))
    assert done.csv.parent == store / "metrics"
    assert found.query("select count(relative_area) as n from objects")["n"].item() == 4
    assert found.verify(read_data=True).ok
    gq.report(found, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "relative_area" in page
    assert "Your own metrics" in page


def test_a_ported_metric_with_memory_follows_tracks_in_order_of_position(tmp_path):
    # Frame ids count against the order of the video; track 8 pauses, track 9 appears late.
    path = sequence_store(tmp_path, [2, 1, 0], [[(7, 12.0), (8, 0.0), (9, 1.0)], [(7, 4.0)], [(7, 0.0), (8, 0.0)]])
    execute_metrics([Speed()], data_dir=path)
    found = Store.open(path).table("object", ["object", "speed"]).set_index("object")["speed"]
    assert found["labels/0-0"] == pytest.approx(8 / WIDTH)
    assert found["labels/1-0"] == pytest.approx(4 / WIDTH)
    assert found.drop(["labels/0-0", "labels/1-0"]).isna().all()


def test_predictions_are_scored_by_their_own_iterator(store):
    execute_metrics([RelativeArea()], data_dir=store)
    execute_metrics([RelativeArea()], data_dir=store, iterator_cls=PredictionIterator)
    found = Store.open(store).table("object", ["origin", "relative_area", "relative_area_yolo"])
    own = found[found["origin"] == 1]
    assert own["relative_area_yolo"].tolist() == pytest.approx([10 * 3 * (i + 1) / WIDTH / HEIGHT for i in range(3)])
    assert found.loc[found["origin"] == 0, "relative_area_yolo"].isna().all()
    assert len(list((store / "metrics").glob("*.csv"))) == 2


def test_scalars_of_all_kinds(store):
    given = {0: 3, 1: np.float32(0.5), 2: torch.tensor([0.25])}
    (done,) = execute_metrics([metric_of(every_frame(lambda it, *_: given[it.row]))], data_dir=store)
    assert Store.open(store).column("mine").tolist() == [3.0, 0.5, 0.25]
    assert [row["score"] for row in rows_of(done)] == ["3", "0.5", "0.25"]


@pytest.mark.parametrize("score", ["0.5", None, np.zeros(2), torch.zeros(0), [1.0]])
def test_what_is_no_number_is_told_with_metric_frame_and_remedy(store, score):
    before = data_files(store)
    with pytest.raises(MetricError, match=r"'Mine'.*photo000\.png") as caught:
        execute_metrics([metric_of(every_frame(lambda *_: score))], data_dir=store)
    assert "writer.write(float(x))" in caught.value.hint
    assert data_files(store) == before


def test_not_finite_is_a_null_and_an_error_row(store):
    given = [1.0, float("nan"), float("inf")]
    (done,) = execute_metrics([metric_of(every_frame(lambda it, *_: given[it.row]))], data_dir=store)
    found = Store.open(store)
    assert found.column("mine").isna().tolist() == [False, True, True]
    errors = found.errors()
    assert errors["reason"].tolist() == ["non_finite"] * 2
    assert errors["frame"].tolist() == ["photo001.png", "photo002.png"]
    assert set(errors["metric"]) == {"mine"}
    assert errors["detail"].str.contains("write a finite number").all()
    assert [row["score"] for row in rows_of(done)] == ["1.0", "", ""]
    assert done.errors == 2


def test_a_metric_that_raises_leaves_nothing_and_the_others_everything(store):
    def fails(iterator, writer):
        for _ in iterator.iterate():
            writer.write(1)
            if iterator.row == 1:
                raise KeyError("h")

    with pytest.raises(MetricError, match=r"'Bad' raised KeyError at frame 'photo001\.png'") as caught:
        execute_metrics([metric_of(fails, "Bad"), RelativeArea()], data_dir=store)
    assert isinstance(caught.value.__cause__, KeyError)
    found = Store.open(store)
    assert "bad" not in found.columns()
    assert "relative_area" in found.columns()
    assert [path.name.partition("_")[2] for path in (store / "metrics").glob("*.csv")] == ["relative_area.csv"]
    assert "KeyError" in (store / "logs" / "errors.log").read_text()


def test_a_simple_metric_that_raises_costs_only_itself(store):
    class Fails(SimpleMetric):
        def __init__(self):
            super().__init__("Fails", "", "", MetricType.HEURISTIC, DataType.IMAGE)

        def execute(self, image):
            image[:] = 0  # its own copy
            raise ZeroDivisionError("0")

    with pytest.raises(MetricError, match="'Fails' raised ZeroDivisionError"):
        execute_metrics([Fails(), BlueShare()], data_dir=store)
    found = Store.open(store)
    assert "fails" not in found.columns()
    assert (found.column("blue_share") > 0).all()


def test_a_simple_metric_may_have_no_value_for_an_image(store):
    class Sometimes(SimpleMetric):
        def __init__(self):
            super().__init__("Sometimes", "", "", MetricType.HEURISTIC, DataType.IMAGE)
            self.seen = 0

        def execute(self, image):
            vars(self)["seen"] += 1
            return None if self.seen == 2 else image.mean()

    (done,) = execute_metrics([Sometimes()], data_dir=store)
    assert (done.rows, done.errors) == (2, 0)
    assert Store.open(store).column("sometimes").isna().tolist() == [False, True, False]


def test_a_metric_that_ends_the_program_does_not_end_it(store):
    class Exits(SimpleMetric):
        def __init__(self):
            super().__init__("Exits", "", "", MetricType.HEURISTIC, DataType.IMAGE)

        def execute(self, image):
            sys.exit(3)

    def leaves(iterator, writer):
        for _ in iterator.iterate():
            sys.exit(3)

    for bad in (metric_of(leaves, "Leaves"), Exits()):
        with pytest.raises(MetricError, match=r"raised SystemExit at frame 'photo000\.png'"):
            execute_metrics([bad, BlueShare(), RelativeArea()], data_dir=store)
    assert {"blue_share", "relative_area"} <= Store.open(store).columns().keys()


def test_every_metric_that_fails_is_told_and_what_is_stored(store, capsys):
    def fails(iterator, writer):
        raise KeyError("h")

    with pytest.raises(MetricError, match="'First'"):
        execute_metrics([metric_of(fails, "First"), RelativeArea(), metric_of(fails, "Second")], data_dir=store)
    told = capsys.readouterr().err
    assert "Relative Area: stored as relative_area" in told
    assert "and metric 'Second' raised KeyError" in told


def test_images_that_were_in_memory_are_told_to_be_gone(tmp_path, capsys):
    photos = [np.full((6, 8, 3), level, np.uint8) for level in (10, 200)]
    gq.run(photos, out=tmp_path / "out", metrics=["brightness"], settings={"engine": {"kind": "inline"}})
    (done,) = execute_metrics([BlueShare()], data_dir=tmp_path / "out")
    assert done.rows == 0
    assert "2 of 2 frames have no image at hand" in capsys.readouterr().err


def test_a_broken_image_is_none_and_an_error_row(tmp_path):
    write_photos(tmp_path / "in", 2, broken=2)

    def execute(iterator, writer):
        for _, image in iterator.iterate():
            if image is not None:
                writer.write(np.asarray(image).mean())

    execute_metrics([metric_of(execute)], data_dir=tmp_path / "in")
    found = Store.open(tmp_path / "in" / ".gpu-quality")
    assert found.column("mine").notna().tolist() == [True, True, False, False]
    assert found.errors()["frame"].tolist() == ["zbroken0.png", "zbroken1.png"]
    assert found.errors()["reason"].tolist() == ["truncated"] * 2


def test_a_metric_surprised_by_a_broken_image_starts_over(tmp_path):
    write_photos(tmp_path / "in", 2, broken=1)
    starts = []

    def execute(iterator, writer):
        starts.append(0)
        for _, image in iterator.iterate():
            if image is not None and "broken" in iterator.get_data_url():  # the first image it ever touches
                image.load()
            writer.write(image is not None)

    execute_metrics([metric_of(execute)], data_dir=tmp_path / "in")
    assert len(starts) == 2
    found = Store.open(tmp_path / "in" / ".gpu-quality")
    assert found.column("mine").tolist() == [1.0, 1.0, 0.0]


def test_images_that_nobody_touches_are_not_decoded(store, monkeypatch):
    from gpu_quality.authoring import images

    decoded = []
    real = images.pixels_of
    monkeypatch.setattr(images, "pixels_of", lambda *a: decoded.append(1) or real(*a))
    execute_metrics([RelativeArea()], data_dir=store)
    assert decoded == []
    execute_metrics([metric_of(every_frame(lambda _, unit, image: image.width / unit["width"]))], data_dir=store)
    assert len(decoded) == 3
    assert (Store.open(store).column("mine") == 1).all()


def test_pixels_are_those_of_the_run(store):
    execute_metrics([metric_of(every_frame(lambda _, __, image: np.asarray(image).mean() / 255))], data_dir=store)
    found = Store.open(store)
    assert found.column("mine").tolist() == pytest.approx(found.column("brightness").tolist())


def test_the_same_again_does_nothing_other_code_needs_replace(store):
    (first,) = execute_metrics([RelativeArea()], data_dir=store)
    before = data_files(store)
    (again,) = execute_metrics([RelativeArea()], data_dir=store)
    assert first.fresh
    assert not again.fresh
    assert (again.columns, again.rows, again.csv) == (first.columns, first.rows, first.csv)
    assert data_files(store) == before
    changed = metric_of(every_frame(lambda *_: 2), "Relative Area")
    with pytest.raises(IncompatibleError, match="another version of this code"):
        execute_metrics([changed], data_dir=store)
    assert data_files(store) == before
    execute_metrics([changed], data_dir=store, replace=True)
    assert Store.open(store).column("relative_area").tolist() == [2.0, 2.0, 2.0]
    assert Store.open(store).verify(read_data=True).ok


def test_replacing_by_code_that_fails_keeps_the_old_values(store):
    execute_metrics([RelativeArea()], data_dir=store)
    before = data_files(store)

    def fails(iterator, writer):
        raise RuntimeError("no film")

    with pytest.raises(MetricError, match="before its first frame"):
        execute_metrics([metric_of(fails, "Relative Area")], data_dir=store, replace=True)
    assert data_files(store) == before


def test_attributes_are_settings(store):
    score = every_frame(lambda *_: 1)
    execute_metrics([metric_of(score, threshold=0.5)], data_dir=store)
    with pytest.raises(IncompatibleError):
        execute_metrics([metric_of(score, threshold=0.6)], data_dir=store)
    assert Store.open(store).columns()["mine"]["options"] == {"threshold": 0.5}


def test_frames_and_objects_of_one_metric_are_two_columns(store):
    def execute(iterator, writer):
        for data_unit, _ in iterator.iterate():
            writer.write(len(data_unit["labels"]["objects"]))
            writer.write(9, labels=data_unit["labels"]["objects"], description="=1+1")

    (done,) = execute_metrics([metric_of(execute)], data_dir=store)
    found = Store.open(store)
    assert found.column("mine").tolist() == [2, 1, 1]
    assert found.column("object_mine", "object").dropna().tolist() == [9.0] * 4
    assert {row["description"] for row in rows_of(done)} == {"", "'=1+1"}


def test_the_last_score_of_a_frame_counts_and_the_csv_keeps_all(store):
    def execute(iterator, writer):
        for _ in iterator.iterate():
            writer.write(1)
            writer.write(2)

    (done,) = execute_metrics([metric_of(execute)], data_dir=store)
    assert Store.open(store).column("mine").tolist() == [2, 2, 2]
    assert [row["score"] for row in rows_of(done)] == ["1", "2"] * 3


def test_labels_of_other_frames_and_unknown_labels(store):
    def execute(iterator, writer):
        seen = [dict(o) for unit, _ in iterator.iterate() for o in unit["labels"]["objects"]]
        for k, obj in enumerate(seen):  # the pass is over: every label still knows its place
            writer.write(k, labels=obj)

    (done,) = execute_metrics([metric_of(execute)], data_dir=store)
    assert Store.open(store).column("mine", "object").dropna().tolist() == [0, 1, 2, 3]
    assert [row["url"] for row in rows_of(done)] == ["photo000.png", "photo000.png", "photo001.png", "photo002.png"]

    def stranger(iterator, writer):
        for _ in iterator.iterate():
            writer.write(1, labels={"objectHash": "nobody", "name": "x", "featureHash": "y"})

    with pytest.raises(MetricError, match=r"'Other'.*photo000\.png.*'nobody'"):
        execute_metrics([metric_of(stranger, "Other")], data_dir=store)


def test_a_title_of_a_built_in_metric_keeps_both(store):
    execute_metrics([metric_of(every_frame(lambda *_: 7), "Brightness")], data_dir=store)
    found = Store.open(store)
    assert found.column("custom_brightness").tolist() == [7, 7, 7]
    assert (found.column("brightness") < 1).all()


def test_a_metric_that_writes_nothing_is_a_column_of_nulls(store):
    (done,) = execute_metrics([metric_of(lambda iterator, writer: None)], data_dir=store)
    assert Store.open(store).column("mine").isna().all()
    assert done.csv.read_text() == FIELDS + "\n"


def test_a_folder_of_images_gets_a_store_that_a_run_goes_on_with(tmp_path):
    folder = gray_store(tmp_path, [10, 20])
    (done,) = execute_metrics([metric_of(every_frame(lambda _, __, i: np.asarray(i).mean()))], data_dir=folder)
    assert done.csv.parent == folder / "metrics"
    store = gq.run(folder, out=folder / ".gpu-quality", metrics=["brightness"], settings={"engine": {"kind": "inline"}})
    assert store.table("frame")[["mine", "brightness"]].to_numpy().tolist() == [[10, 10 / 255], [20, 20 / 255]]


def test_a_store_is_known_to_a_later_run_and_survives_it(store):
    execute_metrics([RelativeArea()], data_dir=store)
    settings = {"engine": {"kind": "inline"}, "max_errors": "60%"}
    predictions = {"yolo": str(store.parent / "yolo.json")}
    labels = str(store.parent / "labels.json")
    found = gq.run(
        store.parent / "in", out=store, labels=labels, predictions=predictions, metrics=["contrast"], settings=settings
    )
    assert found.column("relative_area", "object").notna().sum() == 4
    assert found.status()["complete"]


def test_the_example_runs_by_itself(store):
    subprocess.run([sys.executable, EXAMPLE, store], check=True, capture_output=True)
    found = Store.open(store).table("object", ["origin", "box_height"])
    assert found.loc[found["origin"] == 0, "box_height"].tolist() == pytest.approx([h / HEIGHT for *_, (_, _, _, h) in BOXES])


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda store: execute_metrics([RelativeArea], data_dir=store), UsageError, "instances"),
        (lambda store: execute_metrics([RelativeArea()], data_dir=store / "none"), UsageError, "folder of images"),
        (lambda store: execute_metrics([RelativeArea()], store, PredictionIterator, origin="yolO"), UsageError, "'yolo'"),
        (
            lambda store: execute_metrics([RelativeArea()], store, DatasetIterator, origin="yolo"),
            UsageError,
            "PredictionIterator",
        ),
    ],
)
def test_wrong_calls_are_told(store, call, error, said):
    with pytest.raises(error) as caught:
        call(store)
    assert said in f"{caught.value} {caught.value.hint}"
