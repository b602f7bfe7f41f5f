"""`gq.outliers` on real stores: measures, classes, vectors, what is kept, what is refused, what there is too little of."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from labeled import labeled_store
from photos import write_photos

from gpu_quality import api
from gpu_quality.analysis.outliers import outliers as plain
from gpu_quality.api import outliers_vectors, results
from gpu_quality.api.outliers import outliers
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.store.lock import writer_lock

COLUMNS = ["subject", "frame", "class", "metric", "value", "low", "high", "severity", "distance", "excess", "quantile"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return labeled_store(tmp_path_factory.mktemp("outliers"))


@pytest.fixture
def store(home, tmp_path):
    shutil.copytree(home, tmp_path / "a")
    return tmp_path / "a"


def test_one_metric_is_what_the_plain_function_says(store):
    found = outliers(store, rows="labels", metrics=["object_area"])
    opened = api.open_store(store)
    labels = opened.query("select object, frame, object_area from objects where origin = 0 order by object_row")
    expected = plain(labels["object_area"])
    table = found.table()
    assert list(table) == COLUMNS
    assert table["subject"].tolist() == labels["object"][expected["row"]].tolist()
    assert table["value"].tolist() == expected["value"].tolist()
    assert table["subject"][0] == "labels/1"
    assert table["severity"][0] == "severe"
    assert found.facts["counts"] == {"judged": 72, "outliers": len(expected), "severe": 1, "listed": len(expected)}
    row = found.summary.iloc[0]
    assert (row["metric"], row["unit"], row["values"], row["nulls"]) == ("object_area", "pixel²", 72, 0)
    assert (row["low"], row["high"]) == (expected["low"][0], expected["high"][0])


def test_all_measures_and_how_many_each_row_is_out_in(store):
    found = outliers(store, rows="labels")
    measures = found.facts["measures"]
    assert {"object_area", "object_aspect_ratio", "object_brightness"} <= set(measures)
    assert all(name.startswith("object_") and name != "object_random" for name in measures)
    table = found.table()
    assert table["excess"].is_monotonic_decreasing
    count = table.groupby("subject").size()
    assert found.subjects.set_index("subject")["metrics"].to_dict() == count.to_dict()
    assert found.subjects["metrics"].is_monotonic_decreasing
    assert found.subjects.set_index("subject").loc["labels/1", "farthest"] == "object_area"
    assert "random" not in outliers(store).facts["measures"]
    assert not {"is_dark_issue", "phash", "object_area"} & set(outliers(store).facts["measures"])


def test_inside_each_class(store):
    found = outliers(store, rows="labels", metrics=["object_area"], by="class")
    opened = api.open_store(store)
    labels = opened.query("select object, class_id, object_area from objects where origin = 0")
    expected = set()
    for _, own in labels.groupby("class_id"):
        expected |= set(own["object"].iloc[plain(own["object_area"])["row"]])
    assert set(found.table()["subject"]) == expected
    assert len(found.summary) == 3
    assert found.summary["values"].sum() == 72
    few = found.summary.set_index("class")["values"].loc[found.table()["class"]].to_numpy() < 10
    assert (np.diff(few.astype(int)) >= 0).all(), "outliers among few values come last"


def test_predictions_conditions_and_severity(store):
    found = outliers(store, rows="predictions", metrics=["object_area"])
    assert found.facts["at"]["confidence"] is None, "nothing was evaluated, and need not be"
    assert (
        found.facts["counts"]["judged"] == api.open_store(store).query("select count(*) n from objects where origin = 1").n[0]
    )
    train = outliers(store, metrics=["brightness"], where="frame like 'train%'")
    assert train.facts["counts"]["judged"] == 6
    severe = outliers(store, rows="labels", severity="severe")
    assert set(severe.table()["severity"]) == {"severe"}
    assert severe.facts["counts"]["listed"] == len(severe.table()) == severe.facts["counts"]["severe"]
    assert severe.facts["counts"]["outliers"] >= severe.facts["counts"]["severe"]
    other = outliers(store, rows="labels", metrics=["object_area"], rule="modified_z")
    assert other.facts["counts"]["severe"] is None
    assert set(other.table()["severity"]) == {"outlier"}
    assert other.subjects["severe"].isna().all()
    assert other.summary["moderate"].isna().all()


def test_constant_and_empty_measures_say_why_they_have_no_bounds(store):
    row = outliers(store, metrics=["bit_depth"]).summary.iloc[0]
    assert (row["outliers"], row["message"]) == (0, "all values are equal")
    assert np.isnan(row["low"])
    nothing = outliers(store, where="brightness > 2")
    assert nothing.table().empty
    assert nothing.facts["counts"]["judged"] == 0
    assert any("no frames to look at" in note for note in nothing.notes)
    json.dumps(nothing.to_dict(), allow_nan=False)


def test_the_answer_is_kept_and_verifies(store):
    found = outliers(store, rows="labels")
    opened = api.open_store(store)
    kept = results.kept(opened, "outliers")
    assert kept["counts"] == found.facts["counts"]
    assert results.is_current(opened, kept)
    told = opened.query("select subject, metric, excess from outliers")
    assert told["subject"].tolist() == found.table()["subject"].tolist()
    assert opened.query("select count(*) as n from outliers_subjects")["n"][0] == len(found.subjects)
    assert opened.verify(read_data=True).findings == ()
    json.dumps(found.to_dict(), allow_nan=False)
    assert len(found.to_dict(1)["outliers"]) == 1
    with writer_lock(store):
        assert "not kept" in outliers(store).notes[-1]


def test_one_frame(tmp_path):
    write_photos(tmp_path / "in", 1)
    store = api.run(tmp_path / "in", out=tmp_path / "a", metrics=["brightness", "sharpness"])
    found = outliers(store)
    assert found.table().empty
    assert set(found.summary["message"]) == {"one value only"}
    labels = outliers(store, rows="labels")
    assert any("no labels to look at" in note for note in labels.notes)


def test_refusals(store):
    for arguments, text in (
        ({"rows": "label"}, "did you mean 'labels'"),
        ({"rule": "iqrs"}, "did you mean 'iqr'"),
        ({"by": "split"}, "choose class"),
        ({"by": "class"}, "labels, predictions or answers"),
        ({"severity": "mild"}, "choose severe"),
        ({"severity": "severe", "rule": "adaptive"}, "choose the rule iqr"),
        ({"metrics": ["is_dark_issue"]}, "name the score"),
        ({"metrics": ["object_area"]}, "choose the rows labels or predictions"),
        ({"metrics": ["brightness"], "rows": "labels"}, "choose the rows frames"),
        ({"metrics": ["phash"]}, "brightness"),
        ({"metrics": ["random"]}, "brightness"),
        ({"embedding": True}, "--metrics singularity"),
    ):
        with pytest.raises(UsageError) as caught:
            outliers(store, **arguments)
        assert text in caught.value.hint
    with pytest.raises(UnknownNameError, match="brightnes"):
        outliers(store, metrics=["brightnes"])


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    return labeled_store(tmp_path_factory.mktemp("embedded"), ["singularity", "object_class_outlier"])


def test_the_stored_column_finds_what_distances_find(embedded, monkeypatch):
    stored = {rule: outliers(embedded, rows="labels", by="class", embedding=True, rule=rule) for rule in ("iqr", "adaptive")}
    assert stored["iqr"].facts["measures"] == ["object_class_outlier"]
    monkeypatch.setattr(outliers_vectors, "STORED", "nothing")
    for rule, found in stored.items():
        computed = outliers(embedded, rows="labels", by="class", embedding=True, rule=rule)
        assert computed.facts["measures"] == ["neighbor_distance"]
        pd.testing.assert_frame_equal(computed.table()[["subject", "class"]], found.table()[["subject", "class"]])
        np.testing.assert_allclose(computed.table()["excess"], found.table()["excess"], rtol=1e-3)
        assert computed.summary["outliers"].sum() == found.summary["outliers"].sum()


def test_frames_by_embedding_are_far_ones_only(embedded):
    found = outliers(embedded, embedding=True, rule="modified_z")
    assert found.facts["measures"] == ["neighbor_distance"]
    assert (found.table()["value"] > found.table()["high"]).all()
    assert found.table()["low"].isna().all()
    some = outliers(embedded, embedding=True, where="frame like 'train%'")
    assert some.facts["counts"]["judged"] == 6
