"""What `evaluate` writes into a store: the columns say what the figures say, whatever was evaluated before."""

import json
import math

import numpy as np
import pytest

import gpu_quality as gq
from gpu_quality.errors import UsageError
from tests.api.test_evaluate import boxes


def store_of(tmp_path, labels, **predictions):
    """A run on labels and named predictions alone."""
    for name, value in {"labels": labels, **predictions}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    sets = {name: str(tmp_path / f"{name}.json") for name in predictions}
    return gq.run(labels=str(tmp_path / "labels.json"), predictions=sets, out=tmp_path / "out", metrics=["object_count"])


@pytest.fixture
def store(tmp_path):
    """One clumsy prediction set."""
    return store_of(tmp_path, boxes(0)[0], yolo=boxes(0)[1])


def test_partners_name_each_other_and_frames_add_up(store):
    found = gq.evaluate(store, confidence=0.3)
    table = store.table("object", ["object", "origin", "outcome", "matched_object", "crowd"])
    partner = table.set_index("object")["matched_object"].dropna()
    assert len(partner) == 2 * (table.outcome == "tp").sum() >= 10
    assert all(partner[partner[name]] == name for name in partner.index)
    crowds = table[table.crowd & (table.origin == 0)]
    assert len(crowds) >= 1
    assert set(crowds.outcome) == {"ignored"}
    assert crowds.matched_object.isna().all()
    counts, matrix = found.counts().sum(), found.confusion().matrix
    frames = store.table("frame", ["frame_tp", "frame_fp", "frame_fn"]).sum()
    assert frames.tolist() == [counts.tp, counts.fp, counts.fn]
    named = matrix[:-1, :-1]
    assert int(named.diagonal().sum()) == counts.tp
    assert int(matrix[:, :-1].sum()) == counts.tp + counts.fp
    assert int(matrix[:-1].sum()) == counts.tp + counts.fn


def test_another_kind_takes_the_place_of_the_columns(store):
    gq.evaluate(store)
    assert "label_quality" in store.columns()
    gq.evaluate(store, kind="polygon")
    assert "label_quality" not in store.columns()
    assert store.columns()["outcome"]["options"]["kind"] == "polygon"
    gq.evaluate(store)
    assert "label_quality" in store.columns()
    assert len([layer for layer in store.layers() if layer.meta.get("door") == "evaluate"]) == 1
    assert store.verify().ok


def test_each_prediction_set_has_columns_of_its_own(tmp_path):
    labels, results = boxes(0)
    store = store_of(tmp_path, labels, yolo=results, detr=results[::2])
    for name in ("yolo", "detr", "yolo"):
        gq.evaluate(store, predictions=name)
    told = store.query("select origin, count(outcome_yolo) a, count(outcome_detr) b from objects group by 1 order by 1")
    assert told.a.tolist() == [len(labels["annotations"]), len(results), 0]
    assert told.b.tolist() == [len(labels["annotations"]), 0, len(results[::2])]
    assert store.query("select count(*) n from evaluation_confusion_detr").n[0] > 0


def test_chosen_classes_fold_the_others_in_the_matrix(store):
    whole, some = gq.evaluate(store, write=False).confusion(), gq.evaluate(store, classes=["cat"])
    matrix = some.confusion()
    assert matrix.folded
    assert matrix.matrix.shape == (3, 3)
    assert int(matrix.matrix.sum()) == int(whole.matrix.sum())
    assert int(matrix.matrix[0, 0]) == int(whole.matrix[0, 0])
    cells = store.query("select label_class, predicted_class, label, prediction from evaluation_confusion")
    assert set(cells.label_class) | set(cells.predicted_class) == {"cat", "(other)", "None"}
    objects = store.table("object", ["object", "class_id"]).set_index("object").class_id
    assert set(objects[cells.label[cells.label_class == "cat"]]) == {0}


def test_slices_that_hold_nothing_are_told(store):
    found = gq.evaluate(store, slices=["area < 0"], write=False)
    assert found.by_slice.AP.isna().all()
    assert "slice 'area < 0' holds no label" in found.compared.warnings


def test_label_quality_is_that_of_objectlab(tmp_path):
    """One label, one sure prediction of another class at the same place: every score by hand."""
    labels = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in (1, 2)],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    results = [{"image_id": 1, "category_id": 2, "bbox": [0, 0, 10, 8], "score": 0.99}]
    store = store_of(tmp_path, labels, yolo=results)
    gq.evaluate(store)
    similarity = 0.9 * 0.8 + 0.1 * math.exp(-0.1 * 1)
    objects = store.table("object", ["origin", "swap_score", "badloc_score", "overlooked_score"])
    assert objects.swap_score[0] == pytest.approx(max(1 - similarity, similarity))
    assert objects.badloc_score[0] == 1
    assert np.isnan(objects.overlooked_score[1])
    quality = store.table("frame", ["label_quality"]).label_quality
    assert quality.tolist() == pytest.approx([max(1 - similarity, similarity) ** (1 / 3), 1])


def test_lines_points_and_areas_are_compared_with_their_like(tmp_path):
    def row(name, **shape):
        return {"uuid": name, "dataRow": {"globalKey": "a.jpg"}, "name": name, **shape}

    shapes = [
        row("box", bbox={"left": 10, "top": 10, "width": 20, "height": 20}),
        row("line", line=[{"x": 1, "y": 1}, {"x": 90, "y": 50}]),
        row("dot", point={"x": 5, "y": 5}),
        row("blob", polygon=[{"x": 1, "y": 1}, {"x": 50, "y": 1}, {"x": 50, "y": 50}]),
    ]
    for name, more in (("labels", {}), ("predictions", {"confidence": 0.9})):
        (tmp_path / f"{name}.ndjson").write_text("\n".join(json.dumps({**one, **more}) for one in shapes))
    given = {side: tmp_path / f"{side}.ndjson" for side in ("labels", "predictions")}
    for kind, count in (("box", 2), ("polygon", 2), ("line", 1), ("point", 1)):
        found = gq.evaluate(**given, kind=kind, protocol="labelbox")
        assert found.summary["tp"] == count, kind
        assert f"{4 - count} labels and {4 - count} predictions of other shapes" in " ".join(found.compared.warnings)
    with pytest.raises(UsageError, match="none of the 4 labels can be compared by --kind keypoints"):
        gq.evaluate(**given, kind="keypoints")


@pytest.mark.parametrize(("inclusive", "iou"), [(False, 0.9183333333333333), (True, 1)])
def test_xml_says_what_its_numbers_are_and_text_does_not(tmp_path, inclusive, iou):
    (tmp_path / "gt").mkdir()
    (tmp_path / "dt").mkdir()
    place = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>20</xmax><ymax>30</ymax></bndbox>"
    size = "<size><width>200</width><height>100</height><depth>3</depth></size>"
    (tmp_path / "gt" / "a.xml").write_text(
        f"<annotation><filename>a.jpg</filename>{size}<object><name>cat</name>{place}</object></annotation>"
    )
    (tmp_path / "dt" / "a.txt").write_text("cat .9 1 1 20 30")
    found = gq.evaluate(
        labels=tmp_path / "gt", predictions={"path": tmp_path / "dt", "format": "boxes_xyxy"}, protocol="voc12",
        inclusive=inclusive, iou=0.95,
    )  # fmt: skip
    assert found.summary["TP"] == float(inclusive)
    assert found.per_class.tp["cat"] == inclusive
    if not inclusive:
        assert found.outcomes.iou.tolist() == pytest.approx([iou])


@pytest.mark.parametrize("protocol", ["voc07", "openimages", "encord", "encord-db", "fiftyone", "labelbox", "confusion"])
def test_classes_add_up_to_the_figures_of_the_protocol(tmp_path, protocol):
    labels, results = boxes(2)
    found = gq.evaluate(labels=labels, predictions=results, protocol=protocol)
    total = {key.lower(): value for key, value in found.summary.items()}
    rows = found.per_class
    assert [rows.tp.sum(), rows.fp.sum(), rows.fn.sum()] == [total["tp"], total["fp"], total["fn"]]
    if "map" in total:
        assert rows.AP.mean() == pytest.approx(total["map"])


def test_an_overlap_of_one_leaves_the_lrp_undefined(tmp_path):
    found = gq.evaluate(labels=boxes(2)[0], predictions=boxes(2)[1], iou=1.0)
    assert found.per_class.oLRP.isna().all()
    assert found.to_dict()["per_class"][0]["oLRP"] is None


def test_frames_tell_what_their_objects_come_to(store):
    gq.evaluate(store)
    told = store.query(
        "select f.frame, any_value(f.frame_mistakenness) m, max(o.mistakenness) expected_m,"
        " any_value(f.frame_possible_missing) missing, coalesce(sum(o.possible_missing), 0) expected_missing,"
        " any_value(f.frame_possible_spurious) spurious, coalesce(sum(o.possible_spurious), 0) expected_spurious"
        " from frames f left join objects o on o.frame = f.frame group by 1"
    )
    assert told.expected_m.notna().any()
    assert told.expected_spurious.sum() > 0
    np.testing.assert_array_equal(told.m, told.expected_m)
    np.testing.assert_array_equal(told.missing, told.expected_missing)
    np.testing.assert_array_equal(told.spurious, told.expected_spurious)
