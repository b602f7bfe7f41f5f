"""`importance` on stores: what determines the outcome is found, whichever rows, targets and filters are asked for."""

import json

import numpy as np
import pandas as pd
import pytest

import gpu_quality as gq
from gpu_quality.analysis.importance import COLUMNS
from gpu_quality.analysis.importance import importance as plain_importance
from gpu_quality.api.importance import importance
from gpu_quality.api.results import is_current, kept, kept_table
from gpu_quality.api.subjects import subjects
from gpu_quality.errors import UnknownNameError, UsageError

FRAMES = 120


def planted(folder, *, predict=True):
    """Two labels in every frame: large ones are found, small ones are not; a false prediction in every fourth frame."""
    rng = np.random.default_rng(0)
    images = [{"id": i, "file_name": f"{i}.png", "width": 200, "height": 200} for i in range(FRAMES)]
    labels, results = [], []
    for i in range(FRAMES):
        for k, side in enumerate((rng.uniform(5, 20), rng.uniform(30, 60))):
            box = [float(rng.uniform(0, 60)) + 70 * k, float(rng.uniform(0, 130)), float(side), float(side)]
            labels.append({"id": len(labels) + 1, "image_id": i, "category_id": 1 + i % 2, "bbox": box, "area": side**2,
                           "iscrowd": 0})  # fmt: skip
            if side > 25:
                results.append({"image_id": i, "category_id": 1 + i % 2, "bbox": box, "score": float(rng.uniform(0.3, 1))})
        if i % 4 == 0:
            results.append({"image_id": i, "category_id": 1, "bbox": [150.0, 150.0, 8.0, 8.0], "score": 0.9})
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    (folder / "labels.json").write_text(json.dumps({"images": images, "annotations": labels, "categories": categories}))
    (folder / "model.json").write_text(json.dumps(results))
    sets = {"model": str(folder / "model.json")} if predict else {}
    metrics = ["object_area", "object_width", "object_count", "border_closeness", "object_aspect_ratio"]
    return gq.run(labels=str(folder / "labels.json"), predictions=sets, out=folder / "out", metrics=metrics)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The planted run, evaluated."""
    made = planted(tmp_path_factory.mktemp("planted"))
    gq.evaluate(made)
    return made


def test_the_property_that_decides_is_found(store):
    found = importance(store, permutations=199)
    assert list(found.table)[: len(COLUMNS)] == list(COLUMNS)
    for rows, size in (("O", 2 * FRAMES), ("P", FRAMES + FRAMES // 4)):
        own = found.table[found.table["rows"] == rows].set_index("metric")
        assert found.sizes[rows] == size
        assert own.loc["object_area", "importance"] > 0.9
        assert own.loc["object_area", "p_adjusted"] < 0.05
        assert own.loc["object_count", "message"] == "constant"
        assert found.joint[rows]["explained"] > 0.8
    pairs = {(row.first, row.second) for row in found.redundant.itertuples()}
    assert {("object_area", "object_width")} <= pairs or {("object_width", "object_area")} <= pairs
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["params"]["target"] == "outcome"


def test_the_numbers_are_those_of_the_plain_function_on_the_stored_columns(store):
    told = store.query(
        "select o.object_area, o.border_closeness, (o.outcome = 'matched')::int as hit, o.row from objects o where o.origin = 0"
    )
    expected = plain_importance(
        told[["object_area", "border_closeness"]], told["hit"], rows="O", frames=told["row"], permutations=199, seed=3
    )
    found = importance(
        store, rows="O", metrics=["object_area", "border_closeness"], permutations=199, seed=3, joint=False, write=False
    )
    pd.testing.assert_frame_equal(found.table[list(COLUMNS)], expected, check_exact=True)


def test_the_answer_is_kept_until_the_store_changes(store):
    found = importance(store, rows="P", permutations=99, joint=False)
    facts = kept(store, "importance")
    assert facts["metrics"] == json.loads(json.dumps(found.to_dict()["metrics"]))
    assert is_current(store, facts)
    assert kept_table(store, "importance")["metric"].tolist() == found.table["metric"].tolist()
    assert store.query("select count(*) n from importance where rows = 'P'").n[0] == len(found.table)
    gq.evaluate(store, iou=0.6)
    assert not is_current(store, facts)
    gq.evaluate(store)


def test_kinds_of_rows_asked_one_after_the_other_are_kept_together(store):
    both = importance(store, permutations=99)
    assert kept(store, "importance")["rows"] == both.sizes
    importance(store, rows="P", permutations=99)
    labels = importance(store, rows="O", permutations=99)
    assert labels.sizes == {"O": 2 * FRAMES}
    facts = kept(store, "importance")
    assert facts["rows"] == both.sizes
    assert set(facts["joint"]) == {"P", "O"}
    known = pd.DataFrame(facts["metrics"]).set_index(["rows", "metric"])["importance"].sort_index()
    pd.testing.assert_series_equal(
        known, both.table.set_index(["rows", "metric"])["importance"].sort_index(), check_dtype=False
    )
    importance(store, rows="P", permutations=99, confidence=0.5)
    assert set(kept(store, "importance")["rows"]) == {"P"}, "another question"


def test_other_targets(store):
    area = importance(store, target="object_width", rows="O", permutations=99, joint=False, write=False)
    assert area.table.iloc[0]["metric"] == "object_area"
    assert "object_width" not in set(area.table["metric"])
    frames = importance(store, target="frame_f1", permutations=99, joint=False, write=False)
    assert set(frames.table["rows"]) == {"F"}
    overlap = importance(store, target="iou", permutations=99, joint=False, write=False)
    assert set(overlap.table["rows"]) == {"P"}
    with pytest.raises(UnknownNameError, match="no column 'frame_f2'"):
        importance(store, target="frame_f2")
    with pytest.raises(UsageError, match="not a number"):
        importance(store, target="reason", rows="P")
    with pytest.raises(UsageError, match="no column of predictions"):
        importance(store, target="frame_f1", rows="P")


def test_few_rows_give_a_sentence_and_no_value(store):
    found = importance(store, where="object_area > 3000", rows="O", permutations=99, write=False)
    assert found.table["importance"].isna().all()
    assert all(message for message in found.table["message"])
    assert found.joint["O"]["explained"] is None
    assert found.joint["O"]["message"]


def test_without_predictions_a_column_must_be_named(tmp_path):
    made = planted(tmp_path, predict=False)
    with pytest.raises(UsageError, match="holds no predictions"):
        importance(made)
    found = importance(made, target="object_area", permutations=99, joint=False)
    assert found.table.iloc[0]["metric"] == "object_width"


def test_answers_right_and_wrong(tmp_path):
    rows = [(f"{i}.jpg", "cat" if i % 2 else "dog", i) for i in range(200)]
    (tmp_path / "labels.csv").write_text("image,class\n" + "".join(f"{name},{label}\n" for name, label, _ in rows))
    wrong = {"cat": "dog", "dog": "cat"}
    said = [(name, wrong[label] if i < 50 else label) for name, label, i in rows if i != 199]
    (tmp_path / "said.csv").write_text("image,class,score\n" + "".join(f"{name},{label},0.9\n" for name, label in said))
    made = gq.run(
        labels=str(tmp_path / "labels.csv"), predictions={"m": str(tmp_path / "said.csv")}, out=tmp_path / "out",
        metrics=["frame_number", "object_count"],
    )  # fmt: skip
    given = subjects(made, "C")
    assert len(given) == 200
    assert given.success.sum() == 149
    assert given.table.loc[given.success == 0, "frame"].tolist() == sorted(f"{i}.jpg" for i in [*range(50), 199])
    assert importance(made, permutations=99, joint=False).sizes == {"C": 200}


def test_the_story_of_real_photos_is_true(test_data, tmp_path):
    folder = test_data / "coco_photos"
    made = gq.run(
        folder / "images", labels=str(folder / "instances.json"), metrics=["object_area_relative", "brightness"],
        predictions={"centernet": str(folder / "centernet_predictions.json")}, out=tmp_path / "out",
    )  # fmt: skip
    gq.evaluate(made)
    found = importance(made, rows="O", permutations=1999, joint=False)
    sure = found.table[found.table["p_adjusted"] <= 0.05].set_index("metric")
    assert list(sure.index) == ["object_area_relative"]
    assert sure.loc["object_area_relative", "spearman"] > 0.2
    recall = made.query(
        "with l as (select o.object_area_relative a, (o.outcome = 'matched' and p.confidence >= .25)::int hit from objects o"
        " left join objects p on p.object = o.matched_object where o.origin = 0 and o.outcome <> 'ignored')"
        " select avg(hit) filter (a < m) low, avg(hit) filter (a >= m) high from l, (select median(a) m from l)"
    )
    assert recall.low[0] < 0.6 * recall.high[0]


def test_a_metric_that_one_kind_of_rows_has_is_looked_at_there(store):
    found = importance(store, metrics=["confidence", "object_area"], permutations=99, joint=False, write=False)
    own = {rows: set(part["metric"]) for rows, part in found.table.groupby("rows")}
    assert own == {"P": {"confidence", "object_area"}, "O": {"object_area"}}
    with pytest.raises(UnknownNameError, match="predictions and labels have no measure 'confidenc'") as told:
        importance(store, metrics=["confidenc"])
    assert "confidence" in str(told.value.hint)


def test_a_column_is_explained_without_an_evaluation(tmp_path):
    made = planted(tmp_path)
    found = importance(made, target="object_area", permutations=99, joint=False)
    assert found.sizes == {"P": FRAMES + FRAMES // 4, "O": 2 * FRAMES}
    assert not any("evaluation" in note for note in found.notes)
    assert "outcome" not in made.columns()
    gq.evaluate(made)
    assert importance(made, target="confidence", permutations=99, joint=False).sizes == {"P": FRAMES + FRAMES // 4}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed -1 is not from 0"),
        ({"seed": 2**32}, "seed 4294967296 is not"),
        ({"confidence": 7.0}, "confidence must be from 0 to 1; got 7"),
        ({"confidence": float("nan")}, "got nan"),
        ({"iou": -0.5}, "iou must be from 0 to 1"),
        ({"rows": "C"}, "holds no answers about whole images"),
        ({"target": "nope"}, "no column 'nope' to explain"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_way_on(store, options, message):
    with pytest.raises(UsageError, match=message) as told:
        importance(store, **options)
    assert told.value.hint
