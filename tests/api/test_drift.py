"""`gq.drift` on stores: two runs, two splits, two conditions; groups, vectors, classes, frames, and what is told instead."""

import json
import shutil

import numpy as np
import pytest
from photos import write_photos
from PIL import Image, ImageEnhance
from scipy import stats

from gpu_quality import api
from gpu_quality.api import drift_domain, drift_vectors, results
from gpu_quality.api.drift import drift
from gpu_quality.api.drift_input import sides
from gpu_quality.api.drift_vectors import MOST_VECTORS, vectors
from gpu_quality.api.evaluate import evaluate
from gpu_quality.errors import EmptyInputError, NotAStoreError, UnknownNameError, UsageError
from gpu_quality.store.lock import writer_lock

METRICS = ["brightness", "contrast", "sharpness", "saturation", "width", "is_dark_issue", "random", "content_hash"]


def darkened(source, target, factor):
    target.mkdir(parents=True)
    for path in sorted(source.glob("*.png")):
        ImageEnhance.Brightness(Image.open(path)).enhance(factor).save(target / path.name)


def labels_of(folder, names, classes):
    """COCO labels: a box per class name given."""
    images = [{"id": i, "file_name": name, "width": 40, "height": 30} for i, name in enumerate(names)]
    known = sorted({*"abc"})
    boxes = [
        {"id": 1 + len(names) * k + i, "image_id": i, "category_id": known.index(of[i % len(of)]) + 1, "iscrowd": 0,
         "bbox": [2 + k, 3, 10 + k, 8 + i % 7], "area": 80}
        for k, of in enumerate(classes) for i in range(len(names))
    ]  # fmt: skip
    whole = {"images": images, "annotations": boxes, "categories": [{"id": i + 1, "name": n} for i, n in enumerate(known)]}
    folder.write_text(json.dumps(whole))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Sixty photos; sixty others; those others, dark."""
    folder = tmp_path_factory.mktemp("drift")
    for name, seed in (("train", 1), ("alike", 2)):
        names = write_photos(folder / f"{name}_in", 60, seed=seed)
        labels_of(folder / f"{name}.json", names, ["aab", "c"])
    darkened(folder / "alike_in", folder / "dark_in", 0.3)
    labels_of(folder / "dark.json", names, ["b", "bbc"])
    for name in ("train", "alike", "dark"):
        api.run(folder / f"{name}_in", out=folder / name, labels=folder / f"{name}.json", metrics=[*METRICS, "object_height"])
    return folder


def test_the_same_kind_of_frames_does_not_drift(runs):
    found = drift(runs / "train", runs / "alike")
    assert not found.measures["drifts"].any()
    assert found.facts["figures"]["drifting"] == found.facts["figures"]["ks"] == 0
    assert found.verdict[0].startswith("none of ")
    assert "a classifier cannot tell the two sets apart by measures" in found.verdict[2]
    assert "class balance of labels: no drift (divergence 0.00, p 1)" in found.verdict
    assert "the sets cannot be told apart: the frames that are listed are no finding" in found.notes


def test_darkness_is_found_named_and_shown(runs):
    found = drift(runs / "train", runs / "dark", count=7)
    table = found.table().set_index(["rows", "metric"])
    row = table.loc[("frames", "brightness")]
    stores = [api.open_store(runs / name) for name in ("train", "dark")]
    peer = stats.ks_2samp(*(store.column("brightness").to_numpy(float) for store in stores))
    assert row["ks"] == pytest.approx(peer.statistic)
    assert row["p"] == pytest.approx(peer.pvalue)
    assert row["shift"] < -0.9
    assert row["drifts"]
    assert not table.loc[("frames", "width"), "drifts"]
    assert {"random", "content_hash"}.isdisjoint(table.index.get_level_values(1)), "numbers that measure nothing"
    assert "frames drift; strongest: brightness (lower, KS 1.00" in found.verdict[0]
    assert len(found.frames) == 7
    first = found.facts["frames_unusual"][0]
    assert first["unusual"][0]["quantile"] == 0
    assert found.frames["above"].is_monotonic_decreasing
    assert found.facts["together"]["auc"] > 0.95
    assert found.facts["together"]["auc_p"] == 0.001


def test_class_balance(runs):
    found = drift(runs / "train", runs / "dark", rows=["labels"])
    table = found.classes.set_index("class")
    assert table.loc["a", ["n_reference", "n_current"]].tolist() == [40, 0]
    assert table["drifts"].all()
    assert found.facts["balance"]["labels"]["p"] < 0.01
    assert "class balance of labels drifts" in found.verdict[-1]
    assert set(found.measures["rows"]) == {"labels"}
    assert len(found.frames) == 0
    assert found.facts["vectors"] is None


def test_two_conditions_are_two_sets_of_one_store(runs):
    found = drift(runs / "train", where=["brightness < 0.5", "brightness >= 0.5"], rows=["frames"])
    row = found.measures.set_index("metric").loc["brightness"]
    store = api.open_store(runs / "train")
    low = int((store.column("brightness") < 0.5).sum())
    assert (row["n_reference"], row["n_current"], row["ks"]) == (low, 60 - low, 1)
    both = drift(runs / "train", where=["row < 40", "row >= 20"], rows=["frames"])
    assert "20 frames are in both sets, which makes them more alike" in both.notes
    parts = drift(runs / "train", runs / "dark", where=["row < 30"], rows=["frames"])
    assert (parts.facts["reference"]["frames"], parts.facts["current"]["frames"]) == (30, 30)


def test_splits(tmp_path):
    for split, seed in (("train", 1), ("test", 2), ("val", 3)):
        write_photos(tmp_path / "made" / split, 25, seed=seed)
        shutil.copytree(tmp_path / "made" / split, tmp_path / "in" / split / "cat")
    labels = {"path": str(tmp_path / "in"), "format": "imagefolder"}
    store = api.run(tmp_path / "in", out=tmp_path / "a", labels=labels, metrics=METRICS)
    found = drift(store, splits=["train", "test"], rows=["frames"])
    assert (found.facts["reference"]["name"], found.facts["current"]["frames"]) == ("train", 25)
    assert found.facts["made_from_other"] is None
    with pytest.raises(UnknownNameError, match="has no split 'tets'") as caught:
        drift(store, splits=["train", "tets"])
    assert "test" in caught.value.hint


def test_frames_of_a_sequence_are_exchanged_together(tmp_path):
    for place in range(12):
        write_photos(tmp_path / "in" / f"clip{place:02d}", 5, seed=place)
    source = {"images": str(tmp_path / "in"), "sequences": "folders"}
    store = api.run(settings={"source": source}, out=tmp_path / "a", metrics=METRICS)
    found = drift(store, where=["row < 30", "row >= 30"], rows=["frames"])
    assert any("row < 30: 30 frames in 6 sequences, which are exchanged as a whole" in note for note in found.notes)
    assert found.facts["together"]["message"] == "6 independent frames against 6; 10 on each side are needed"
    assert found.verdict[1] == "measures: not compared, 6 independent frames against 6; 10 on each side are needed"
    few = drift(store, where=["row < 5", "row >= 5"], rows=["frames"])
    assert any("1 independent frame, too few for small p-values" in note for note in few.notes)


def test_measures_that_cannot_be_compared_are_named(runs, tmp_path):
    write_photos(tmp_path / "in", 30, seed=9)
    metrics = ["brightness", "colorfulness", "odd_size_score", "is_dark_issue"]
    api.run(tmp_path / "in", out=tmp_path / "a", metrics=metrics)
    second = ["brightness", "blur", "odd_size_score", {"name": "is_dark_issue", "threshold": 0.4}]
    api.run(tmp_path / "in", out=tmp_path / "b", metrics=second)
    found = drift(tmp_path / "a", tmp_path / "b")
    notes = "\n".join(found.notes)
    assert "left out, for they compare rows with others of their own run: odd_size_score" in notes
    assert "left out, for the runs measured them in different ways: is_dark_issue" in notes
    assert f"measures of frames that only {tmp_path / 'a'} has: colorfulness" in notes
    assert f"measures of frames that only {tmp_path / 'b'} has: blur" in notes
    assert "brightness" in found.measures["metric"].tolist()
    assert "odd_size_score" not in found.measures["metric"].tolist()
    assert "labels are not compared: there are none in" in "\n".join(drift(runs / "train", tmp_path / "a").notes)
    with pytest.raises(UsageError, match="no labels to compare"):
        drift(runs / "train", tmp_path / "a", rows=["labels"])


def test_the_answer_is_kept_and_plain(runs, tmp_path):
    shutil.copytree(runs / "train", tmp_path / "a")
    store = api.open_store(tmp_path / "a")
    found = drift(store, runs / "dark")
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert len(told["measures"]) == len(found.measures)
    assert {"verdict", "figures", "histograms", "balance", "frames_unusual", "notes", "params"} <= set(told)
    assert results.kept(store, "drift") == found.facts
    assert results.is_current(store, found.facts)
    for name, table in (("measures", found.measures), ("classes", found.classes), ("frames", found.frames)):
        assert len(results.kept_table(store, "drift", name)) == len(table)
    assert store.query("select count(*) n from drift_measures where drifts")["n"][0] == found.measures["drifts"].sum()
    with writer_lock(store.path):
        assert "the answer is not kept in the store" in drift(store, runs / "dark").notes[-1]


def test_the_same_seed_gives_the_same_answer(runs):
    first, again, other = (drift(runs / "train", runs / "dark", seed=seed).to_dict() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_what_is_not_said_or_not_there(runs, tmp_path):
    with pytest.raises(UsageError, match="drift compares two sets of frames"):
        drift(runs / "train")
    with pytest.raises(UsageError, match="both say which frames"):
        drift(runs / "train", splits=["a", "b"], where=["row < 1", "row > 1"])
    with pytest.raises(UsageError, match="is the same store"):
        drift(runs / "train", runs / "train")
    with pytest.raises(UsageError, match="--where is given 3 times"):
        drift(runs / "train", runs / "dark", where=["row < 9"] * 3)
    with pytest.raises(EmptyInputError, match="no frame of"):
        drift(runs / "train", where=["row < 0", "row >= 0"])
    with pytest.raises(UsageError, match="nope"):
        drift(runs / "train", where=["nope < 0", "row >= 0"])
    with pytest.raises(UnknownNameError, match="no rows 'frame'"):
        drift(runs / "train", runs / "dark", rows=["frame"])
    with pytest.raises(UsageError, match="least must be from 0 to 1; got 2"):
        drift(runs / "train", runs / "dark", least=2)
    with pytest.raises(NotAStoreError):
        drift(runs / "train", tmp_path / "nowhere")


def test_frames_beyond_the_sample_are_scored_too(runs, monkeypatch):
    monkeypatch.setattr(drift_domain, "SAMPLED", 25)
    found = drift(runs / "train", runs / "dark", rows=["frames"], count=100)
    assert found.facts["together"]["compared_current"] == 25
    assert len(found.frames) == found.frames["frame"].nunique() == 60
    assert (found.frames["above"] > 0.9).mean() > 0.8


# Real photos.


@pytest.fixture(scope="module")
def real(test_data, tmp_path_factory):
    """Photos of COCO with labels and a detector's predictions, and photos of four animals; with vectors."""
    folder = tmp_path_factory.mktemp("real")
    metrics = ["brightness", "sharpness", "saturation", "width", "height", "singularity", "object_area_relative", "object_area"]
    coco = test_data / "coco_photos"
    api.run(
        coco / "images", out=folder / "coco", labels=coco / "instances.json", metrics=metrics,
        predictions={"centernet": coco / "centernet_predictions.json"},
    )  # fmt: skip
    api.run(test_data / "retrieval" / "four_classes_24", out=folder / "four", metrics=metrics[:6])
    return folder


def test_halves_of_one_data_set_are_alike_and_another_one_is_not(real):
    halves = drift(real / "coco", where=["row % 2 = 0", "row % 2 = 1"])
    assert halves.facts["figures"]["drifting"] == 0
    assert halves.facts["vectors"]["auc_p"] > 0.05
    assert halves.facts["vectors"]["mmd2_p"] > 0.05
    assert {*halves.measures["rows"]} == {"frames", "labels", "predictions"}
    assert any(note.startswith("predictions of every confidence") for note in halves.notes)
    assert halves.facts["balance"]["predictions"]["p"] > 0.05
    other = drift(real / "coco", real / "four")
    assert other.facts["vectors"]["auc"] > 0.95
    assert other.facts["vectors"]["mmd2_p"] == other.facts["vectors"]["auc_p"] == 0.001
    assert {"width"} <= {*other.measures.loc[other.measures["drifts"], "metric"]}
    assert any(note.startswith("left out, for they compare rows") and "singularity" in note for note in other.notes)
    assert other.frames["by"].eq("vectors").all()
    assert other.frames["similarity"].between(-1, 1).all()
    named = set(api.open_store(real / "coco").table("frame", ["frame"])["frame"])
    assert set(other.frames["nearest"]) <= named


def test_confidence_holds_in_both_sets(real):
    where = ["row % 2 = 0", "row % 2 = 1"]
    counts = [
        drift(real / "coco", where=where, rows=["predictions"], confidence=least).classes[["n_reference", "n_current"]].sum()
        for least in (0.3, 0.6)
    ]
    store = api.open_store(real / "coco")
    for least, count in zip((0.3, 0.6), counts, strict=True):
        objects = store.table("object", ["row", "origin", "score"])
        kept = objects[(objects["origin"] == 1) & (objects["score"] >= least)]
        assert count.tolist() == [(kept["row"] % 2 == 0).sum(), (kept["row"] % 2 == 1).sum()]


def test_vectors_of_another_encoder_are_not_compared(real, tmp_path, monkeypatch):
    first, second = (api.open_store(real / name) for name in ("coco", "four"))
    pair, notes = sides(first, second, (), ()), []
    found = vectors(pair, 0, notes)
    assert found is not None
    assert [len(part) for part in found[0]] == [56, 24]
    true = drift_vectors.vectors_of

    def changed(store, per):
        made = true(store, per)
        return made if store is first else type(made)(made.store, per, made.layer, {**made.encoder, "meaning": {}}, made.blocks)

    monkeypatch.setattr(drift_vectors, "vectors_of", changed)
    assert vectors(pair, 0, notes) is None
    assert notes == ["vectors are not compared: they are of different encoders (default and default)"]
    monkeypatch.setattr(drift_vectors, "vectors_of", true)
    monkeypatch.setattr(drift_vectors, "MOST_VECTORS", 30)
    found = vectors(pair, 0, notes)
    assert len(found[0][0]) == 30
    assert np.all(np.diff(found[0][0]) > 0)
    assert "vectors of 30 of 56 frames" in notes[-1]
    assert MOST_VECTORS > 30


def predicted(folder, *, high, evaluate_at=None):
    """A run on boxes of a detector, whose confidence is up to `high`."""
    folder.mkdir()
    images = [{"id": i, "file_name": f"{i}.png", "width": 90, "height": 90} for i in range(40)]
    labels = [{"id": i, "image_id": i, "category_id": 1, "bbox": [9, 9, 20, 20], "area": 400, "iscrowd": 0} for i in range(40)]
    whole = {"images": images, "annotations": labels, "categories": [{"id": 1, "name": "a"}]}
    found = [{"image_id": i, "category_id": 1, "bbox": [9, 9, 20, 20], "score": high * (0.5 + i / 80)} for i in range(40)]
    (folder / "labels.json").write_text(json.dumps(whole))
    (folder / "found.json").write_text(json.dumps(found))
    sets = {"m": str(folder / "found.json")}
    store = api.run(labels=str(folder / "labels.json"), predictions=sets, out=folder / "out", metrics=["object_area"])
    if evaluate_at is not None:
        evaluate(store, confidence=0.0, iou=evaluate_at)
    return store


def test_confidence_is_compared_whether_and_however_the_runs_were_evaluated(tmp_path):
    first = predicted(tmp_path / "a", high=1.0, evaluate_at=0.5)
    for name, iou in (("b", None), ("c", 0.7)):
        found = drift(first, predicted(tmp_path / name, high=0.6, evaluate_at=iou), rows=["predictions"])
        row = found.table().set_index("metric").loc["confidence"]
        assert row["drifts"]
        assert row["shift"] < -0.5
        assert (row["n_reference"], row["n_current"]) == (40, 40)
        assert not any("in different ways" in note for note in found.notes)


def test_flags_that_would_be_passed_over_are_refused(runs, tmp_path):
    store = predicted(tmp_path / "a", high=1.0)
    halves = ["row < 20", "row >= 20"]
    with pytest.raises(UnknownNameError, match="no rows 'answers'"):
        drift(store, where=halves, rows=["answers"])
    with pytest.raises(UsageError, match="no prediction set 'q'"):
        drift(store, where=halves, predictions="q")
    with pytest.raises(UsageError, match="--where is empty"):
        drift(store, where=["", " "])
    with pytest.raises(UsageError, match="--split is empty"):
        drift(store, splits=["", ""])
    for options, message in (({"seed": -1}, "seed -1"), ({"count": -1}, "count must not"), ({"confidence": 2.0}, "got 2")):
        with pytest.raises(UsageError, match=message):
            drift(store, where=halves, **options)
