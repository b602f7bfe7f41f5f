"""The rows that analyses are about: outcomes as SQL tells them, thresholds without a new evaluation, measures."""

import numpy as np
import pytest

import gpu_quality as gq
from gpu_quality.api.results import is_current, keep, kept, kept_table, made_from
from gpu_quality.api.subjects import subjects
from gpu_quality.errors import CorruptError, UnknownNameError, UsageError
from gpu_quality.store.lock import writer_lock
from tests.api.test_evaluate import boxes
from tests.api.test_evaluate_store import store_of


@pytest.fixture
def store(tmp_path):
    """A run on labels and one clumsy prediction set, evaluated."""
    labels, results = boxes(0)
    made = store_of(tmp_path, labels, yolo=results)
    gq.evaluate(made, confidence=0.3)
    return made


def test_success_is_the_stored_outcome_at_the_confidence(store):
    given = subjects(store, "P")
    told = store.query("select object, outcome from objects where origin = 1 and confidence >= 0.3")
    expected = dict(zip(told.object, told.outcome.map({"tp": 1.0, "fp": 0.0}), strict=True))
    assert dict(zip(given.table.object, given.success, strict=True)) == pytest.approx(expected, nan_ok=True)
    assert given.at["confidence"] == 0.3
    assert np.isnan(given.iou[given.success == 0]).all()
    assert (given.iou[given.success == 1] >= 0.5).all()


def test_a_label_whose_match_is_unsure_is_missed(store):
    given = subjects(store, "O", confidence=0.8)
    told = store.query(
        "select l.object, case when l.outcome = 'ignored' then null else (l.outcome = 'matched' and p.confidence >= .8)::double"
        " end as hit from objects l left join objects p on p.object = l.matched_object where l.origin = 0"
        " order by l.row, l.object"
    )
    expected = dict(zip(told.object, told.hit, strict=True))
    assert dict(zip(given.table.object, given.success, strict=True)) == pytest.approx(expected, nan_ok=True)
    every = subjects(store, "O", confidence=0.0)
    assert np.nansum(every.success) > np.nansum(given.success) > 0


@pytest.mark.parametrize("iou", [0.5, 0.75, 0.9])
def test_another_overlap_is_what_another_evaluation_says(store, iou):
    before = {rows: subjects(store, rows, iou=iou, confidence=0.3) for rows in "PO"}
    gq.evaluate(store, iou=iou, confidence=0.3)
    for rows, given in before.items():
        after = subjects(store, rows)
        assert after.at["iou"] == iou
        np.testing.assert_array_equal(given.success, after.success)
        np.testing.assert_array_equal(given.iou, after.iou)
        assert given.table.object.tolist() == after.table.object.tolist()


def test_frames_have_their_f1_for_the_stored_overlap_only(store):
    given = subjects(store, "F")
    told = store.query("select frame, frame_f1 from frames order by row")
    assert given.table.frame.tolist() == told.frame.tolist()
    np.testing.assert_array_equal(given.success, told.frame_f1)
    with pytest.raises(UsageError, match="one IoU"):
        subjects(store, "F", iou=0.75)


def test_measures_are_of_the_rows_and_of_their_frames_and_never_of_the_outcome(store):
    given = subjects(store, "P")
    assert {"confidence": "P", "object_count": "F", "mean_object_confidence": "F"}.items() <= {
        name: measure.level for name, measure in given.measures.items()
    }.items()
    forbidden = {"outcome", "iou_with_label", "calibration_residual", "frame_f1", "frame_tp", "label_quality", "mistakenness"}
    assert not forbidden & set(given.measures)
    count = store.table("frame", ["object_count"])["object_count"].to_numpy()
    np.testing.assert_array_equal(given.values("object_count"), count[given.frame])
    with pytest.raises(UnknownNameError, match="confidnce") as told:
        given.values("confidnce")
    assert "confidence" in str(told.value.hint)


def test_sets_keep_to_their_own_columns(tmp_path):
    labels, results = boxes(0)
    made = store_of(tmp_path, labels, yolo=results, detr=results[::2])
    with pytest.raises(UsageError, match="2 prediction sets"):
        subjects(made, "P")
    given = subjects(made, "P", predictions="detr")
    assert "made one now" in given.notes[0]
    assert "confidence_detr" in given.measures
    subjects(made, "P", predictions="yolo")
    again = subjects(made, "P", predictions="detr")
    assert not {"confidence_yolo", "mean_object_confidence_yolo"} & set(again.measures)
    assert again.notes == given.notes[1:]
    assert len(again) == len([row for row in results[::2] if row["score"] >= 0.25])


def test_classes_and_conditions_keep_some(store):
    cats = subjects(store, "O", classes=["cat"])
    assert set(cats.table["class"]) == {"cat"}
    with pytest.raises(UnknownNameError, match="no class 'cta'"):
        subjects(store, "O", classes=["cta"])
    assert len(subjects(store, "O", where="class = 'cat'")) == len(cats)
    some = subjects(store, "F", where="object_count > 2")
    assert (some.values("object_count") > 2).all()
    with pytest.raises(UsageError, match="no rows"):
        subjects(store, "X")


def test_without_predictions_nothing_went_well_or_ill(tmp_path):
    made = store_of(tmp_path, boxes(0)[0])
    given = subjects(made, "O")
    assert given.success is None
    with pytest.raises(UsageError, match="holds no predictions"):
        given.known_success()
    with pytest.raises(UsageError, match="holds no predictions"):
        subjects(made, "P")


def test_answers_are_kept_with_what_they_were_made_from(store):
    table = subjects(store, "F").table
    facts = {"params": {}, "made_from": made_from(store)}
    assert keep(store, "importance", facts, {"": table, "more": table.head(1)}) == ""
    assert kept(store, "importance") == facts
    assert is_current(store, facts)
    assert len(kept_table(store, "importance")) == len(table)
    assert len(kept_table(store, "importance", "more")) == 1
    assert store.verify().ok
    assert kept(store, "drift") is None
    assert kept_table(store, "drift") is None
    gq.evaluate(store, iou=0.9)
    assert not is_current(store, facts)
    with writer_lock(store.path):
        assert "not kept in the store" in keep(store, "importance", {})
    path = store.path / "results" / "importance.json"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptError, match=r"importance\.json is not what was written"):
        kept(store, "importance")
    path.unlink()
    with pytest.raises(CorruptError):
        kept(store, "importance")


def test_answers_are_neither_evaluated_as_boxes_nor_cut_by_confidence(tmp_path):
    for name in ("labels", "said"):
        (tmp_path / f"{name}.csv").write_text("image,class\n" + "".join(f"{i}.jpg,{'ab'[i % 2]}\n" for i in range(8)))
    made = gq.run(labels=str(tmp_path / "labels.csv"), predictions={"m": str(tmp_path / "said.csv")}, out=tmp_path / "out")
    for rows in "POF":
        with pytest.raises(UsageError, match="answers about whole images and no objects") as told:
            subjects(made, rows)
        assert "--rows answers" in told.value.hint
    assert "outcome" not in made.columns()
    assert len(subjects(made, "F", judge=False)) == 8
    assert subjects(made, "C").success.tolist() == [1.0] * 8
    with pytest.raises(UsageError, match="answers have no iou"):
        subjects(made, "C", iou=0.5)
    with pytest.raises(UsageError, match="answers have no confidence"):
        subjects(made, "C", confidence=0.5)
