"""Figures of slices: of all data those of `evaluate`, of a slice those that SQL and a smaller data set give."""

import json

import numpy as np
import pytest
import torch

import gpu_quality as gq
from gpu_quality.api.slices import object_rows, save_slice
from gpu_quality.api.slices_figures import ALL, _by_frame, slice_figures
from gpu_quality.errors import UsageError
from tests.api.sliced import METRICS, coco, sliced_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return sliced_store(tmp_path_factory.mktemp("figures"), frames=30)


SLICES = {"little": "object_area < 900", "kites": "class = 'kite'", "early": "frame < '012.jpg'", "none": "false"}


@pytest.fixture(scope="module")
def found(store):
    return slice_figures(store, SLICES)


def test_all_data_have_the_figures_of_the_evaluation(store, found):
    whole, row = gq.evaluate(store, confidence=0.3, write=False), found.figures(ALL)
    assert found.params["confidence"] == 0.3
    assert {key: row[key] for key in whole.summary} == pytest.approx(whole.summary, nan_ok=True)
    counts = whole.counts().sum()
    assert [row["tp"], row["fp"], row["fn"]] == [counts.tp, counts.fp, counts.fn]
    assert row["found"] == row["tp"]
    assert row["ECE"] == pytest.approx(whole.calibration.ece)
    assert row["frames"] == 30
    assert row["mean_iou"] == pytest.approx(1)


@pytest.mark.parametrize("name", ["little", "kites", "early"])
def test_rates_of_a_slice_are_those_of_sql(store, found, name):
    table = store.table("object")[object_rows(store, SLICES[name])]
    sure = table[(table.origin == 1) & (table.score >= 0.3)]
    labels = table[table.origin == 0]
    score = store.table("object", ["object", "score"]).set_index("object").score
    met = (labels.outcome == "matched") & (labels.matched_object.map(score) >= 0.3)
    row = found.figures(name)
    assert row["tp"] == (sure.outcome == "tp").sum() > 0
    assert row["fp"] == (sure.outcome == "fp").sum()
    assert row["found"] == met.sum()
    assert row["fn"] == (~met).sum() > 0
    assert row["precision"] == pytest.approx(row["tp"] / (row["tp"] + row["fp"]))
    assert row["recall"] == pytest.approx(met.mean())
    assert row["f1"] == pytest.approx(2 * row["precision"] * row["recall"] / (row["precision"] + row["recall"]))
    assert row["recall_low"] < row["recall"] < row["recall_high"]
    assert row["labels"] == len(labels)


def test_some_frames_have_the_figures_of_a_data_set_of_them_alone(tmp_path, found):
    labels, results = coco(30)
    labels["images"] = labels["images"][:12]
    labels["annotations"] = [one for one in labels["annotations"] if one["image_id"] < 12]
    for name, value in {"labels": labels, "net": [one for one in results if one["image_id"] < 12]}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    alone = gq.evaluate(labels=str(tmp_path / "labels.json"), predictions=str(tmp_path / "net.json"), confidence=0.3)
    row = found.figures("early")
    assert {key: row[key] for key in alone.summary} == pytest.approx(alone.summary, nan_ok=True)
    assert row["ECE"] == pytest.approx(alone.calibration.ece)
    assert METRICS[0] == "object_area"


def test_an_empty_slice_has_no_figures(found):
    row = found.figures("none")
    assert [row[key] for key in ("frames", "labels", "tp", "fp", "found", "fn")] == [0] * 6
    assert [row[key] for key in ("precision", "recall", "f1", "mean_iou", "ECE", "AP", "APs")] == [None] * 7
    assert json.dumps(found.to_dict())
    assert any("'none' holds no label" in note for note in found.notes)


def test_ranges_hold_their_figures_and_repeat(store):
    one, two = (slice_figures(store, {"little": "object_area < 900"}, resamples=60, seed=1) for _ in range(2))
    assert one.to_dict() == two.to_dict()
    row = one.figures("little")
    for key in ("f1", "AP", "AP50", "AR100", "recall"):
        assert row[f"{key}_low"] < row[key] < row[f"{key}_high"]
    plain = slice_figures(store, {"little": "object_area < 900"}).figures("little")
    assert {key: row[key] for key in plain} == pytest.approx(plain, nan_ok=True)


def test_saved_slices_are_all_there_are_and_their_names_do(tmp_path):
    store = sliced_store(tmp_path, frames=12)
    save_slice(store, "kites", "class = 'kite'")
    save_slice(store, "small", "object_area < 900")
    found = slice_figures(store)
    assert found.table["slice"].tolist() == [ALL, "kites", "small"]
    assert found.table["condition"].tolist() == ["", "class = 'kite'", "object_area < 900"]
    by_name = slice_figures(store, {"k": "kites"})
    assert by_name.figures("k")["AP"] == found.figures("kites")["AP"]
    assert by_name.table["condition"].tolist() == ["", "class = 'kite'"]
    with pytest.raises(UsageError, match="all data"):
        slice_figures(store, {ALL: "true"})


def test_thresholds_can_be_others(store):
    low, high = (slice_figures(store, {}, confidence=confidence).figures(ALL) for confidence in (0.0, 0.9))
    assert low["tp"] > high["tp"]
    assert low["recall"] > high["recall"]
    assert np.isclose(low["AP"], high["AP"])


def test_no_predictions_at_all_have_sums_like_any():
    """PyTorch counts no rows in whole numbers, whatever their weights."""
    empty = torch.zeros(0, dtype=torch.int64)
    assert _by_frame(empty, torch.zeros(0), 3).dtype == torch.float64
