"""`balance` and `scatter` of the api: counts against SQL, annotators, groups, correlation against scipy."""

import json

import numpy as np
import pytest
from labeled import labeled_store, split_store, write_labels
from photos import write_photos
from scipy.stats import spearmanr
from selecting import fact, made_store

from gpu_quality import api
from gpu_quality.api.outliers import outliers
from gpu_quality.api.scatter import scatter
from gpu_quality.api.scatter_groups import frequent, quarters
from gpu_quality.api.views import balance
from gpu_quality.errors import UnknownNameError, UsageError


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return labeled_store(tmp_path_factory.mktemp("views"))


def test_counts_agree_with_sql(store):
    found, opened = balance(store), api.open_store(store)
    sql = "select class_id, count(*) n from objects where origin = 0 group by all"
    counts = {row.class_id: row.n for row in opened.query(sql).itertuples()}
    own = found.classes[found.classes["origin"] == "labels"]
    assert {row.class_id: row.class_count for row in own.itertuples()} == counts
    matrix = found.matrix()
    pairs = opened.query(
        "select a.class_id x, b.class_id y, count(distinct a.row) n from objects a join objects b using (row) "
        "where a.origin = 0 and b.origin = 0 group by all"
    )
    for row in pairs.itertuples():
        assert matrix.iloc[row.x, row.y] == row.n
    crowded = found.crowding[found.crowding["origin"] == "labels"]
    assert crowded["frames"].sum() == 12
    assert (crowded["objects"] * crowded["frames"]).sum() == 72
    json.dumps(found.to_dict(), allow_nan=False)


def test_splits_and_answers(tmp_path):
    store = split_store(tmp_path)
    found = balance(store, by="split")
    own = found.classes[found.classes["split"].notna()]
    counts = {(row.split, row["class"]): row.class_count for _, row in own.iterrows()}
    assert counts == {("train", "cat"): 3, ("train", "dog"): 2, ("val", "cat"): 2, ("val", "dog"): 1}
    assert found.together.empty
    assert found.crowding[["objects", "frames"]].to_numpy().tolist() == [[1, 8]]
    points = scatter(store, "brightness", "contrast", color="split")
    assert {group["group"]: group["n"] for group in points.facts["groups"]} == {"train": 5, "val": 3}
    answers = scatter(store, "brightness", "contrast", color="class", rows="answers")
    assert {group["group"]: group["n"] for group in answers.facts["groups"]} == {"cat": 5, "dog": 3}
    odd = outliers(store, rows="answers", by="class", metrics=["brightness"])
    assert odd.summary.set_index("class")["values"].to_dict() == {"cat": 5, "dog": 3}


def test_annotators(store):
    people = balance(store, by="annotator").annotators.set_index("annotator")
    opened = api.open_store(store)
    sql = (
        "select annotator, count(*) n, avg(object_area) area, avg(annotation_seconds) s, count(distinct row) f "
        "from objects where origin = 0 group by all"
    )
    for row in opened.query(sql).itertuples():
        own = people.loc[row.annotator] if isinstance(row.annotator, str) else people[people.index.isna()].iloc[0]
        assert (own["labels"], own["frames"]) == (row.n, row.f)
        assert own["mean_object_area"] == pytest.approx(row.area)
        if isinstance(row.annotator, str):
            assert own["mean_annotation_seconds"] == pytest.approx(row.s)
        assert 0 <= own["findings_share"] <= 1
    assert people["labels"].sum() == 72


def test_what_is_not_there_is_said(tmp_path):
    write_photos(tmp_path / "in", 12)
    bare = api.run(tmp_path / "in", out=tmp_path / "bare", metrics=["brightness"])
    with pytest.raises(UsageError, match="no labels"):
        balance(bare)
    coco = write_labels(tmp_path)
    for image in coco["images"]:
        image["file_name"] = image["file_name"].split("/")[1]
    for row in coco["annotations"]:
        row.pop("annotator", None)
    (tmp_path / "labels.json").write_text(json.dumps(coco))
    one = api.run(tmp_path / "in", labels=tmp_path / "labels.json", out=tmp_path / "a", metrics=["brightness"])
    assert balance(one).annotators.empty
    for by, text in (("split", "no frame is in a split"), ("annotator", "names its annotator"), ("class", "no such view")):
        with pytest.raises(UsageError, match=text):
            balance(one, by=by)


def test_points_and_correlation(store):
    found = scatter(store, "object_area", "object_brightness", color="class")
    assert found.rows == "labels"
    rho = spearmanr(found.x.numbers, found.y.numbers)[0]
    assert found.facts["spearman"] == pytest.approx(rho)
    assert found.facts["spearman_low"] < rho < found.facts["spearman_high"]
    assert sum(group["n"] for group in found.facts["groups"]) == found.facts["n"] == 72
    assert found.x.log, "one box is far larger than all others"
    table = found.table()
    assert table.set_index("subject").loc["labels/1", "object_area"] == found.x.numbers.max()
    assert (table["color"] == table["class"]).all()
    assert found.distance[table.index[table["subject"] == "labels/1"][0]] > 1


def test_long_tails_with_zeros_and_on_both_sides_go_by_powers(tmp_path):
    tail = 10.0 ** np.arange(20)
    columns = {
        "zeros": np.r_[tail, 0, 0],
        "sides": np.r_[tail, -tail[:2]],
        "plain": np.arange(22.0) - 7,
        "flag": np.r_[[0.0] * 21, 1],
    }
    out = tmp_path / "a"
    made_store(out, 22, columns={name: (fact(), values) for name, values in columns.items()})
    found = scatter(out, "zeros", "sides")
    assert (found.x.log, found.y.log) == (True, True)
    assert (found.x.near, found.y.near) == (10.0, 10.0)
    assert not found.distance.any(), "by powers, nothing is far out"
    assert [scatter(out, "plain", "flag").x.log, scatter(out, "plain", "flag").y.log] == [False, False]


def test_rows_follow_the_columns(store):
    assert scatter(store, "brightness", "contrast").rows == "frames"
    assert scatter(store, "object_area", "brightness").rows == "labels"
    outcome = scatter(store, "object_area", "confidence", color="outcome")
    assert outcome.rows == "predictions"
    opened = api.open_store(store)
    right = opened.query("select count(*) n from objects where origin = 1 and outcome = 'tp'")["n"][0]
    assert outcome.facts["groups"][0] == {**outcome.facts["groups"][0], "group": "true positive"}
    assert outcome.facts["groups"][0]["n"] <= right


def test_awkward_data(store):
    constant = scatter(store, "brightness", "bit_depth")
    assert constant.facts["spearman"] is None
    nothing = scatter(store, "brightness", "contrast", where="brightness > 2")
    assert nothing.facts["n"] == 0
    assert "no frames have a value" in nothing.notes[-1]
    json.dumps(nothing.to_dict(), allow_nan=False)


def test_refusals(store):
    for arguments, text in (
        (("brightness", "phash"), "identifies a frame"),
        (("brightness", "uri"), "holds texts"),
        (("brightness", "object_area", None, "frames"), "measured on objects"),
        (("brightness", "contrast", "class", "frames"), "frames have no class"),
        (("brightness", "contrast", None, "frame"), "there is no such"),
    ):
        with pytest.raises(UsageError, match=text):
            scatter(store, *arguments[:2], **dict(zip(("color", "rows"), arguments[2:], strict=False)))
    with pytest.raises(UnknownNameError) as caught:
        scatter(store, "brightnes", "contrast")
    assert "'brightness'" in caught.value.hint


def test_groups():
    group, names = quarters(np.array([1.0, 2, 3, 4, np.nan]), "m")
    assert group.tolist() == [0, 1, 2, 3, 4]
    assert names[0] == "m 1 to 1.75"
    assert names[-1] == "no m"
    assert quarters(np.array([5.0, 5.0]), "m")[0].tolist() == [0, 0]
    assert quarters(np.array([np.nan]), "m") == (pytest.approx([0]), ("no m",))
    group, names = frequent(np.array(["b", "a", "b", None, *"cdefg"], dtype=object))
    assert names == ("b", "a", "c", "d", "e", "other")
    assert group.tolist() == [0, 1, 0, 5, 2, 3, 4, 5, 5]
