"""Weak slices of a store: what is planted is told in words and numbers that SQL confirms."""

import json

import numpy as np
import pytest

import gpu_quality as gq
from gpu_quality.api.results import kept, kept_table
from gpu_quality.api.slices import ALL, object_rows, save_slice, saved_slices
from gpu_quality.api.slices_figures import slice_figures
from gpu_quality.api.slices_weak import find_weak_slices, save_weak_slices
from gpu_quality.errors import UnknownNameError, UsageError
from tests.api.sliced import METRICS, coco, sliced_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return sliced_store(tmp_path_factory.mktemp("weak"))


@pytest.fixture(scope="module")
def found(store):
    return find_weak_slices(store)


def test_small_labels_are_found_in_words(found):
    recall = found.rows["O"]
    first = recall["slices"][0]
    assert recall["figure"] == "recall"
    assert any(term["measure"].startswith("object_area") for term in first["terms"])
    assert " below " in first["words"]
    assert first["rate"] < 0.35 < 0.6 < first["rest_rate"]
    told = f"recall {first['rate']:.2f} [{first['low']:.2f}, {first['high']:.2f}] against {first['rest_rate']:.2f} elsewhere"
    assert first["text"].startswith(f"{first['words']}: {told}, {first['n']} labels, {round(first['excess'])} missed labels")
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_every_number_is_that_of_the_condition(store, found):
    for one in found.slices():
        rows = slice_figures(store, {"x": one["condition"]}).figures("x")
        good, bad = ("tp", "fp") if one["figure"] == "precision" else ("found", "fn")
        assert one["n"] == rows[good] + rows[bad]
        assert one["failures"] == rows[bad]
        assert one["rate"] == pytest.approx(rows[one["figure"]])
        assert (one["low"], one["high"]) == pytest.approx((rows[f"{one['figure']}_low"], rows[f"{one['figure']}_high"]))
        assert one["excess"] == pytest.approx(one["failures"] - one["n"] * (1 - one["rest_rate"]))
        for other in one["also"]:
            assert object_rows(store, other["condition"]).any()
    assert len(found.slices()) == len(found.table()) >= 2


def test_the_answer_is_kept_for_both_kinds_of_rows(store, found):
    before = kept(store, "weak_slices")
    assert before["rows"] == json.loads(json.dumps(found.to_dict()["rows"]))
    assert len(kept_table(store, "weak_slices")) == len(found.table())
    again = find_weak_slices(store, "P", seed=4)
    assert list(again.rows) == ["P"]
    after = kept(store, "weak_slices")
    assert after["rows"]["O"] == before["rows"]["O"]
    assert after["params"]["seed"] == 4
    find_weak_slices(store, "O", seed=9, write=False)
    assert kept(store, "weak_slices") == after


def test_measures_can_be_chosen_and_left_out(store):
    one = find_weak_slices(store, "O", measures=["object_aspect_ratio", "class"], write=False)
    assert {term["measure"] for some in one.slices() for term in some["terms"]} <= {"object_aspect_ratio", "class"}
    assert one.slices() == []
    two = find_weak_slices(store, "O", without=["object_area"], write=False)
    assert two.slices()[0]["terms"][0]["measure"] == "object_area_relative"
    with pytest.raises(UnknownNameError, match="objct_area"):
        find_weak_slices(store, measures=["objct_area"], write=False)
    assert find_weak_slices(store, without=["confidence"], write=False).rows["O"]["slices"]


def test_filters_are_part_of_the_condition(store):
    found = find_weak_slices(store, "O", where="object_center_x > 120", classes=["person"], write=False)
    first = found.slices()[0]
    assert first["condition"].startswith("(object_center_x > 120) and class in ('person') and ")
    origin = store.table("object", ["origin"])["origin"].to_numpy()
    assert first["n"] == np.count_nonzero(object_rows(store, first["condition"]) & (origin == 0))


def test_what_was_found_is_saved_under_free_names(tmp_path):
    store = sliced_store(tmp_path)
    save_slice(store, "weak recall 1", "true")
    found = find_weak_slices(store, "O")
    new = save_weak_slices(store, found)
    assert next(iter(new)) == "weak recall 2"
    assert list(new.values()) == [one["condition"] for one in found.slices()]
    assert {**saved_slices(store)} == {"weak recall 1": "true", **new}
    assert save_weak_slices(store, found) == {}


def test_few_rows_give_a_sentence(tmp_path):
    found = find_weak_slices(sliced_store(tmp_path, frames=3))
    assert found.slices() == []
    assert any("24 rows, 50 needed" in note for note in found.notes)
    assert found.rows["O"]["message"] in found.notes
    assert found.table().empty


@pytest.mark.parametrize(("rows", "more"), [("F", {}), ("X", {}), (None, {"least": 1}), (None, {"count": 0})])
def test_what_makes_no_sense_is_refused(store, rows, more):
    with pytest.raises(UsageError):
        find_weak_slices(store, rows, **more)


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory):
    """Labels, some of them crowds, and two sets of predictions."""
    folder = tmp_path_factory.mktemp("two")
    labels, results = coco()
    for one in labels["annotations"][::17]:
        one["iscrowd"] = 1
    other = [{**one, "score": 0.9 * one["score"]} for row, one in enumerate(results) if row % 5]
    for name, content in (("labels", labels), ("first", results), ("second", other)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    sets = {name: str(folder / f"{name}.json") for name in ("first", "second")}
    return gq.run(labels=str(folder / "labels.json"), predictions=sets, out=folder / "out", metrics=METRICS)


@pytest.mark.parametrize(
    "asked",
    [
        {"confidence": 0.6}, {"protocol": "labelbox", "iou": 0.6}, {"protocol": "voc12"}, {"classes": ["kite"]},
        {"missing_score": 0.5}, {"inclusive": True, "iou": 0.9},
    ],
    ids=str,
)  # fmt: skip
def test_find_and_list_count_the_same(two_sets, asked):
    """By the rules, and of the classes, of the stored evaluation."""
    gq.evaluate(two_sets, predictions="second", **asked)
    found = find_weak_slices(two_sets, predictions="second", least=10, write=False)
    assert found.rows["O"]["slices"]
    conditions = {str(place): one["condition"] for place, one in enumerate(found.slices())}
    listed = slice_figures(two_sets, conditions, predictions="second")
    for name, rows, n, failures in [
        *((ALL, rows, told["n"], told["failures"]) for rows, told in found.rows.items()),
        *((str(place), one["rows"], one["n"], one["failures"]) for place, one in enumerate(found.slices())),
    ]:
        row = listed.figures(name)
        good, bad = ("tp", "fp") if rows == "P" else ("found", "fn")
        assert (row[good] + row[bad], row[bad]) == (n, failures)
    whole = listed.figures(ALL)
    left_out = whole["labels"] - whole["found"] - whole["fn"]
    assert left_out > 0
    assert any(note.startswith(f"{left_out} label") for note in listed.notes)


def test_failures_have_a_condition(two_sets):
    """The rows that it holds are those counted; labels that only unsure predictions find are told."""
    gq.evaluate(two_sets, predictions="second", confidence=0.5)
    found = find_weak_slices(two_sets, predictions="second", least=10, write=False)
    told = found.rows["P"]
    assert object_rows(two_sets, told["failed"]).sum() == told["failures"] > 0
    told = found.rows["O"]
    unsure = told["failures"] - int(object_rows(two_sets, told["failed"]).sum())
    assert unsure > 0
    assert [note for note in found.notes if note.startswith(f"{unsure} labels missed here")]
    other = find_weak_slices(two_sets, "O", predictions="second", iou=0.7, write=False)
    assert other.rows["O"]["failed"] == ""
