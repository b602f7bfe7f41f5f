"""Class balance: counts per origin, split and question, evenness and imbalance with their edge cases, real data."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import health as slow

import gpu_quality as gq
from gpu_quality.analysis.balance import COLUMNS, balance, class_evenness, imbalance_ratio
from gpu_quality.annotations import AnswerColumns, Builder, ObjectColumns

CLASSES = ["cat", "dog", "cow"]


def built(objects=(), answers=(), splits=(None, None, None)):
    """Objects are (origin, frame, class), answers (origin, frame, question, class)."""
    builder = Builder()
    rows = builder.add_frames(["a", "b", "c"], split=list(splits))
    builder.label_frames(rows, [9] * 3, [9] * 3)
    builder.add_classes(CLASSES, ["1", "2", "3"])
    for place, (origin, frame, class_id) in enumerate(objects):
        box = np.array([[0.0, 0, 5, 5]])
        one = ObjectColumns(np.array([frame]), np.array([class_id]), box, np.array([place]))
        builder.add_objects(origin, "f", one)
    for place, (origin, frame, question, class_id) in enumerate(answers):
        builder.add_answers(origin, "f", AnswerColumns(np.array([frame]), [question], np.array([class_id]), np.array([place])))
    return balance(builder.build())


def test_objects_and_images_per_class() -> None:
    found = built([("labels", 0, 0), ("labels", 0, 0), ("labels", 1, 0), ("labels", 1, 1), ("net", 2, 1)])
    assert tuple(found.columns) == COLUMNS
    labels = found[found["origin"] == "labels"]
    assert labels[["class", "class_count", "class_images"]].to_numpy().tolist() == [["cat", 3, 2], ["dog", 1, 1], ["cow", 0, 0]]
    assert labels["class_undersampled"].tolist() == [False, False, True]  # median 1
    assert labels["imbalance_ratio"].tolist() == [3.0] * 3
    assert labels["class_evenness"].tolist() == [pytest.approx(slow.evenness([3, 1, 0]))] * 3
    net = found[found["origin"] == "net"]
    assert net["class_count"].tolist() == [0, 1, 0]
    assert net["class_evenness"].tolist() == [0.0] * 3
    assert found["split"].isna().all()
    assert found["question"].isna().all()


def test_splits_are_counted_beside_the_whole() -> None:
    found = built([("labels", 0, 0), ("labels", 1, 0), ("labels", 2, 1)], splits=["train", "train", "val"])
    counts = {str(split): part["class_count"].tolist() for split, part in found.groupby("split", dropna=False)}
    assert counts == {"nan": [2, 1, 0], "train": [2, 0, 0], "val": [0, 1, 0]}


def test_answers_are_counted_by_question() -> None:
    answers = [("labels", 0, "kind", 0), ("labels", 1, "kind", 0), ("labels", 2, "kind", 1), ("net", 0, "kind", 1)]
    alone = built(answers=answers)
    assert alone[["origin", "question", "class", "class_count"]].to_numpy().tolist() == [
        ["labels", "kind", "cat", 2],
        ["labels", "kind", "dog", 1],
        ["labels", "kind", "cow", 0],  # nobody's class: of the only question
        ["net", "kind", "cat", 0],
        ["net", "kind", "dog", 1],
        ["net", "kind", "cow", 0],
    ]
    mixed = built([("labels", 0, 2)], [*answers, ("labels", 0, "mood", 1)])
    mixed = mixed[mixed["origin"] == "labels"]
    told = [(None if q != q else q, c, n) for q, c, n in mixed[["question", "class", "class_count"]].to_numpy().tolist()]
    assert told == [(None, "cow", 1), ("kind", "cat", 2), ("kind", "dog", 1), ("mood", "dog", 1)]


def test_edges() -> None:
    assert np.isnan(class_evenness(np.array([5])))
    assert np.isnan(class_evenness(np.array([0, 0])))
    assert np.isnan(class_evenness(np.array([], int)))
    assert class_evenness(np.array([4, 4, 4])) == 1
    assert class_evenness(np.array([4, 0])) == 0
    assert imbalance_ratio(np.array([6, 0, 3])) == 2
    assert np.isnan(imbalance_ratio(np.array([0, 0])))
    assert imbalance_ratio(np.array([7])) == 1
    nothing = built()
    assert nothing["class_count"].tolist() == [0, 0, 0]
    assert nothing["imbalance_ratio"].isna().all()
    assert balance(Builder().build()).empty


@given(st.lists(st.integers(0, 40), min_size=1, max_size=9))
def test_evenness_and_undersampling_are_the_slow_loops(counts) -> None:
    found, expected = class_evenness(np.array(counts)), slow.evenness(counts)
    assert np.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-12)
    assert 0 <= np.nan_to_num(found) <= 1
    assert (np.array(counts) <= np.median(counts) / 2).tolist() == slow.undersampled(counts)


def test_rooms(test_data) -> None:
    path = test_data / "detection" / "indoor85_coco" / "groundtruths_coco.json"
    truth = json.loads(path.read_text())
    found = balance(gq.open_dataset(labels=path)).set_index("class")
    names = {c["id"]: c["name"] for c in truth["categories"]}
    count = Counter(names[a["category_id"]] for a in truth["annotations"])
    images = Counter(name for _, name in {(a["image_id"], names[a["category_id"]]) for a in truth["annotations"]})
    assert found["class_count"].to_dict() == {name: count[name] for name in names.values()}
    assert found["class_images"].to_dict() == {name: images[name] for name in names.values()}
    assert found["class_undersampled"].tolist() == slow.undersampled(found["class_count"].tolist())
    assert found["class_evenness"].iloc[0] == pytest.approx(slow.evenness(found["class_count"].tolist()), abs=1e-12)
