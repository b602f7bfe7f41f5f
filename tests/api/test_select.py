"""`gq.select`: which frames are chosen, why, from which columns, classes, duplicates and vectors; what is kept and refused."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from selecting import fact, made_store

from gpu_quality import api
from gpu_quality.api.duplicates import duplicates
from gpu_quality.api.evaluate import evaluate
from gpu_quality.api.results import is_current, kept
from gpu_quality.api.select import select
from gpu_quality.api.select_files import listed, write_coco
from gpu_quality.api.select_result import saved
from gpu_quality.errors import CorruptError, EmptyInputError, NotAStoreError, UnknownNameError, UsageError
from gpu_quality.store.lock import writer_lock
from tests.reference import selection

N = 40
RNG = np.random.default_rng(5)
VECTORS = (RNG.standard_normal((4, 12))[np.arange(N) % 4] * 3 + RNG.standard_normal((N, 12))).astype(np.float16)
COLUMNS = {
    "sharpness": (fact(bad="low"), RNG.random(N)),
    "noise": (fact(bad="high"), RNG.random(N).round(1)),
    "singularity": (fact(unit="cosine distance", bad="low"), RNG.random(N)),
    "novelty": (fact(unit="cosine distance", bad="high"), RNG.random(N)),
    "width": (fact(unit="pixel"), RNG.integers(10, 20, N).astype(np.float64)),
    "entropy": (fact(unit="bit", bad="low"), RNG.random(N)),
    "reason": (fact(), RNG.random(N)),
    "gappy": (fact(bad="low"), np.where(np.arange(N) < 30, np.nan, RNG.random(N))),
    "empty": (fact(bad="low"), np.full(N, np.nan)),
    "acquisition_entropy": (fact(bad="high", metric="acquisition_entropy", set="net", judged=False), RNG.random(N)),
    "acquisition_margin": (fact(bad="low", metric="acquisition_margin", set="net", judged=False), RNG.random(N)),
    "hash": (fact(unit="64-bit hash"), np.arange(N)),
    "object_size": (fact(per="object"), np.zeros(0)),
}
PREDICTED = [(i, 1, i % 2 if i < 35 else 2, 0.9 if i % 5 else 0.1) for i in range(N)]
LABELED = [(i, 0, 0, None) for i in range(6)]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Forty frames on four directions, six of them labeled as cats, all predicted."""
    columns = {name: column for name, column in COLUMNS.items() if name != "object_size"}
    folder = tmp_path_factory.mktemp("select")
    made_store(folder / "a", N, vectors=VECTORS, labelled=set(range(6)), objects=LABELED + PREDICTED, columns=columns)
    return folder


@pytest.fixture
def store(home, tmp_path):
    shutil.copytree(home / "a", tmp_path / "a")
    return tmp_path / "a"


def rows(found):
    return found.table["place"].tolist()


def best(values, count, *, high=True, among=None):
    order = sorted(range(N) if among is None else among, key=lambda i: (-values[i] if high else values[i], i))
    return order[:count]


@pytest.mark.parametrize(
    ("by", "column", "high"),
    [
        ("sharpness", "sharpness", True),
        ("noise", "noise", False),
        ("singularity", "singularity", True),
        ("novelty", "novelty", True),
        ("width", "width", True),
        ("width:low", "width", False),
        ("acquisition_entropy", "acquisition_entropy", True),
        ("acquisition_margin", "acquisition_margin", False),
        ("margin", "acquisition_margin", False),
        ("entropy", "entropy", True),
        ("entropy:low=3", "entropy", False),
    ],
)
def test_each_column_has_an_interesting_end(store, by, column, high):
    found = select(store, count=7, by=by)
    assert rows(found) == best(COLUMNS[column][1], 7, high=high)
    (term,) = found.facts["by"]
    assert (term["column"], term["end"]) == (column, "high" if high else "low")
    assert found.facts["diverse"] == "none"
    assert column in " ".join(found.how())
    assert all(f"{column} in the top" in why for why in found.table["reason"])


def test_the_score_is_the_weighted_mean_of_rank_fractions(store):
    found = select(store, count=N, by="entropy,noise=2,gappy:low")
    parts = [selection.fraction(COLUMNS[n][1].tolist(), high) for n, high in (("entropy", True), ("noise", False))]
    parts.append(selection.fraction(COLUMNS["gappy"][1].tolist(), False))
    expected = (np.array(parts[0]) + 2 * np.array(parts[1]) + np.array(parts[2])) / 4
    table = found.table.sort_values("place")
    np.testing.assert_allclose(table["score"], expected)
    assert found.table["score"].is_monotonic_decreasing
    np.testing.assert_array_equal(table["gappy"], COLUMNS["gappy"][1])
    assert table["top_gappy"].isna().sum() == 30
    assert "gappy has no value" in table["reason"].iloc[0]
    assert [term["missing"] for term in found.facts["by"]] == [0, 0, 30]
    assert "30 frames without a value last" in " ".join(found.how())


def test_what_the_issue_asks_for_works_and_its_meaning_is_told(store):
    found = select(store, count=12, by="entropy,singularity", diverse="kcenter", exclude="labelled")
    assert len(found.frames) == 12
    assert set(rows(found)).isdisjoint(range(6))
    assert "entropy is that of the picture; the model's own is acquisition_entropy" in found.notes
    assert any("far (" in why and "chosen or excluded" in why for why in found.table["reason"])


def test_diverse_frames_are_the_farthest_of_the_best_from_all_that_is_known(store):
    found = select(store, count=5, by="sharpness", diverse="kcenter", exclude="labelled", pool_factor=3)
    pool = best(COLUMNS["sharpness"][1], 15, among=range(6, N))
    near = [min(selection.distance(VECTORS[i], VECTORS[j]) for j in range(6)) for i in pool]
    expected = selection.farthest_first(VECTORS[pool], near, 5)
    assert rows(found) == [pool[i] for i, _ in expected]
    np.testing.assert_allclose(found.table["distance"], [d for _, d in expected], atol=1e-6)
    assert found.facts["counts"] == {
        "frames": 40, "excluded": 6, "unreadable": 0, "outside": 0, "copies_of_excluded": 0, "without_vector": 0,
        "copies": 0, "candidates": 34, "pool": 15, "chosen": 5,
    }  # fmt: skip
    chosen = VECTORS[[*range(6), *rows(found)]]
    reach = [min(selection.distance(VECTORS[i], other) for other in chosen) for i in pool]
    assert found.facts["radius"] == pytest.approx(max(reach), abs=1e-6)


def test_without_columns_the_choice_is_diverse_and_begins_by_seed(store):
    found = [select(store, count=4, seed=seed) for seed in (0, 0, 1, 2, 3)]
    assert found[0].table.equals(found[1].table)
    assert found[0].facts["diverse"] == "kcenter"
    assert len({tuple(rows(one)) for one in found}) > 1
    for one in found:
        assert sorted(row % 4 for row in rows(one)) == [0, 1, 2, 3], "one of every direction"
        assert np.isnan(one.table["distance"][0])
        assert one.table["score"].isna().all()
        assert one.table["reason"][0] == "where the choice begins"


@pytest.mark.parametrize("by", ["", "sharpness"])
def test_clusters_give_one_frame_each(store, by):
    found = select(store, count=4, by=by, diverse="kmeans", seed=3)
    assert sorted(row % 4 for row in rows(found)) == [0, 1, 2, 3]
    assert found.facts["clusters"] == 4
    assert sorted(found.table["cluster"]) == [1, 2, 3, 4]
    if by:
        expected = {best(COLUMNS["sharpness"][1], 1, among=range(first, N, 4))[0] for first in range(4)}
        assert set(rows(found)) == expected
    assert select(store, count=4, by=by, diverse="kmeans", seed=3).table.equals(found.table)


def test_a_condition_or_a_slice_chooses_among(store):
    found = select(store, count=99, by="width", where="split = 'train' and sharpness > 0.5")
    assert sorted(rows(found)) == [i for i in range(1, N, 2) if COLUMNS["sharpness"][1][i] > 0.5]
    assert any("99 frames are wanted" in note and "all of them are taken" in note for note in found.notes)
    assert "not meant by --where" in found.how()[0]


def test_quotas_are_filled_by_what_frames_are_predicted_or_labeled_to_show(store):
    foxes = [i for i in range(35, N) if i % 5]
    found = select(store, count=10, by="sharpness", quotas=["class=fox:3", "dog:4"], exclude="labelled", confidence=0.5)
    (fox, dog) = (next(row for row in found.facts["classes"] if row["class"] == name) for name in ("fox", "dog"))
    assert len(set(rows(found)) & set(foxes)) == fox["chosen"] >= 3
    assert dog["chosen"] >= 4
    assert rows(found)[:3] == best(COLUMNS["sharpness"][1], 3, among=foxes)
    assert found.table["class"][:3].tolist() == ["fox"] * 3
    assert "for the quota of fox" in found.table["reason"][0]
    short = select(store, count=10, by="sharpness", quotas={"fox": 9}, confidence=0.5)
    assert any("quota of fox: 4 of 9 (no more of the frames" in note for note in short.notes)
    every = select(store, count=10, by="sharpness", quotas={"fox": 9}, confidence=0.0)
    assert next(row for row in every.facts["classes"] if row["class"] == "fox")["chosen"] == 5


def test_balance_counts_what_is_labeled_already(store):
    found = select(store, count=8, by="sharpness", balance=True, exclude="labelled", confidence=0.5)
    by_class = {row["class"]: row for row in found.facts["classes"]}
    assert by_class["cat"]["known"] == 6
    assert by_class["cat"]["chosen"] == 0, "six cats are known"
    assert by_class["fox"]["chosen"] == 4, "all there are"
    assert by_class["dog"]["chosen"] == 4
    free = select(store, count=8, by="sharpness", balance=True, confidence=0.5)
    assert {row["class"]: row["known"] for row in free.facts["classes"]} == {"cat": 0, "dog": 0, "fox": 0}


def test_a_file_of_frames_and_the_last_selection_are_excluded(store, tmp_path):
    first = select(store, count=5, by="sharpness")
    (tmp_path / "known.txt").write_text("f0003.jpg\ndeep/f0004.jpg\n\nnobody.jpg\n")
    second = select(store, count=5, by="sharpness", exclude=f"selected,{tmp_path / 'known.txt'}")
    left = [i for i in range(N) if i not in {*rows(first), 3, 4}]
    assert rows(second) == best(COLUMNS["sharpness"][1], 5, among=left)
    assert any("1 line of 3 name no frame" in note for note in second.notes)


def test_what_was_selected_stays_excluded_week_after_week(store):
    first = select(store, count=5, by="sharpness", exclude="selected")
    assert "nothing was selected before" in first.notes
    weeks = [first, *(select(store, count=5, by="sharpness", exclude="selected") for _ in range(3))]
    assert [row for week in weeks for row in rows(week)] == best(COLUMNS["sharpness"][1], 20)
    assert weeks[3].facts["counts"]["excluded"] == 15
    assert rows(select(store, count=5, by="sharpness")) == rows(first), "a selection that excludes none begins anew"
    second = select(store, count=5, by="sharpness", exclude="selected")
    assert rows(second) == rows(weeks[1])


def test_a_list_that_names_no_frame_is_refused_and_one_of_another_editor_is_read(store, tmp_path):
    (tmp_path / "other.txt").write_text("x.jpg\ny.jpg\n")
    with pytest.raises(UsageError, match="none of its 2 lines names a frame") as caught:
        select(store, count=1, by="width", exclude=str(tmp_path / "other.txt"))
    assert "such as deep/f0000.jpg" in caught.value.hint
    (tmp_path / "known.txt").write_bytes(b"\xef\xbb\xbff0003.jpg\r\ndeep/f0004.jpg\r\n")
    found = select(store, count=1, by="width", exclude=str(tmp_path / "known.txt"))
    assert found.facts["counts"]["excluded"] == 2
    (tmp_path / "none.txt").write_text("")
    assert select(store, count=1, by="width", exclude=str(tmp_path / "none.txt")).facts["counts"]["excluded"] == 0


def test_labeled_frames_among_the_chosen_are_told(store):
    found = select(store, count=N, by="width")
    assert "6 of 40 chosen frames labeled already; --exclude labelled leaves such out" in found.notes
    assert not any("labeled already" in note for note in select(store, count=N, by="width", exclude="labelled").notes)


def test_nothing_left_is_one_message(home, store):
    with pytest.raises(EmptyInputError, match="no frame is left to choose: of 40 frames 6 are excluded, 34 are not meant"):
        select(store, count=3, by="width", exclude="labelled", where="width < 0")
    assert saved(api.open_store(home / "a")) is None


@pytest.mark.parametrize("sign", ["saved", "columns", "vectors"])
def test_of_duplicates_one_is_chosen_and_none_of_a_labeled_one(tmp_path, sign):
    vectors = np.random.default_rng(0).standard_normal((12, 8))
    group = np.full(12, np.nan)
    for members in ((0, 5), (2, 3, 4), (8, 9)):
        vectors[list(members)] = vectors[members[0]]
        group[list(members)] = members[0]
    score = np.arange(12.0)[::-1]
    score[[3, 4]] = [20.0, 19.0]
    columns = {"score": (fact(), score)}
    columns |= {"exact_duplicate_group": (fact(unit="row"), group)} if sign == "columns" else {}
    columns |= {"content_hash": (fact(unit="64-bit hash"), np.where(np.isnan(group), 50 + np.arange(12), group))}
    store = made_store(tmp_path / "a", 12, vectors=vectors, labelled={0}, objects=[(0, 0, 0, None)], columns=columns)
    if sign == "saved":
        duplicates(store, kind="exact")
    given = {"duplicates": 0.99} if sign == "vectors" else {}
    found = select(store, count=12, by="score", exclude="labelled", **given)
    assert rows(found) == [3, 1, 6, 7, 8, 10, 11]
    assert found.table["left_out"].tolist() == [2, 0, 0, 0, 1, 0, 0]
    assert "2 of 3 duplicates left out" in found.table["reason"][0]
    assert found.facts["counts"]["copies_of_excluded"] == 1
    assert found.facts["counts"]["copies"] == 3
    plain = select(store, count=12, by="score", duplicates="off")
    assert len(plain.frames) == 12
    far = select(store, count=12, diverse="kcenter", duplicates="off")
    assert far.table["distance"][1:].gt(0).sum() == 7
    assert "by its vector a copy of one chosen" in far.table["reason"].iloc[-1]


def test_the_keeper_is_chosen_where_nothing_else_says(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((6, 8))
    codes = np.array([1.0, 1, 1, 4, 5, 6])
    columns = {"content_hash": (fact(unit="64-bit hash"), codes), "sharpness": (fact(), np.array([1.0, 9, 2, 1, 1, 1])),
               "even": (fact(), np.ones(6))}  # fmt: skip
    store = made_store(tmp_path / "a", 6, vectors=vectors, columns=columns)
    assert duplicates(store, kind="exact").groups[0]["keep"] == "f0001.jpg"
    for given in ({"by": "even"}, {}):
        assert {0, 1, 2} & set(rows(select(store, count=6, **given))) == {1}


def test_frames_without_a_picture_or_a_vector_are_left_out_and_told(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((8, 6))
    vectors[2], vectors[3] = np.nan, 0
    columns = {"width": (fact(), np.where(np.arange(8) == 2, np.nan, 5.0))}
    store = made_store(tmp_path / "a", 8, vectors=vectors, columns=columns, broken={2})
    found = select(store, count=8, by="width", diverse="kcenter")
    assert sorted(rows(found)) == [0, 1, 4, 5, 6, 7]
    assert (found.facts["counts"]["unreadable"], found.facts["counts"]["without_vector"]) == (1, 1)
    assert any("1 frame without a vector" in note for note in found.notes)
    assert sorted(rows(select(store, count=8, by="width"))) == [0, 1, 3, 4, 5, 6, 7]


def test_a_store_without_vectors_or_predictions_goes_by_columns(tmp_path):
    store = made_store(tmp_path / "a", 9, columns={"width": (fact(), np.arange(9.0))}, origins=("labels",))
    assert rows(select(store, count=3, by="width")) == [8, 7, 6]
    for given in ({}, {"by": "width", "diverse": "kmeans"}, {"by": "width", "duplicates": 0.9}):
        with pytest.raises(UsageError, match="holds no vectors") as caught:
            select(store, count=3, **given)
        assert "--diverse none" in caught.value.hint
        assert "--encoder default" in caught.value.hint


@pytest.mark.parametrize(
    ("given", "kind", "message", "hint"),
    [
        ({"count": 0}, UsageError, "--count 0", ""),
        ({"by": "width", "diverse": "kcentre"}, UsageError, "no such way", "kcenter"),
        ({"diverse": "none"}, UsageError, "nothing says which frames to prefer", "--by"),
        ({"by": "widht"}, UnknownNameError, "frames have no such column", "width"),
        ({"by": "variance"}, UnknownNameError, "frames have no such column", "acquisition_entropy, acquisition_margin"),
        ({"by": "width,width:low"}, UsageError, "names width twice", "weight"),
        ({"by": "width=0"}, UsageError, "a weight is a number above 0", "NAME"),
        ({"by": "width=x"}, UsageError, "a weight is a number above 0", "NAME"),
        ({"by": "width", "quotas": ["cta:1"]}, UnknownNameError, "no such class", "cat"),
        ({"by": "width", "quotas": ["cat"]}, UsageError, "it is CLASS:COUNT", "class=person:100"),
        ({"by": "width", "quotas": {"cat": 9}}, UsageError, "from 1 to --count, 5", ""),
        ({"by": "width", "quotas": ["cat:1", "cat:2"]}, UsageError, "names cat twice", ""),
        ({"by": "width", "exclude": "labeld"}, UsageError, "--exclude labeld: No such file", "labelled, selected"),
        ({"by": "width", "where": "nothing > 3"}, UsageError, "nothing", ""),
        ({"by": "width", "duplicates": "2"}, UsageError, "a cosine above 0", ""),
        ({"by": "width", "duplicates": "many"}, UsageError, "a cosine above 0", ""),
        ({"by": "width", "pool_factor": 0}, UsageError, "--pool 0", ""),
        ({"by": "width", "predictions": "nte"}, UsageError, "nte", ""),
        ({"seed": -1}, UsageError, "seed -1", "--seed 0"),
        ({"seed": 2**32}, UsageError, "is not from 0 to", ""),
        ({"by": "width", "confidence": float("nan"), "balance": True}, UsageError, "--confidence nan", ""),
        ({"by": "width", "confidence": 1.5}, UsageError, "from 0 to 1", ""),
        ({"by": "hash"}, UsageError, "it does not measure", "name a measure"),
        ({"by": "width", "where": "width < 0"}, EmptyInputError, "40 are not meant by --where", "loosen --where"),
    ],
)
def test_what_makes_no_sense_is_one_message(home, given, kind, message, hint):
    with pytest.raises(kind, match=message) as caught:
        select(home / "a", **{"count": 5, **given})
    assert hint in caught.value.hint


def test_columns_of_objects_are_not_of_frames(tmp_path):
    columns = {"width": (fact(), np.arange(3.0))}
    store = made_store(tmp_path / "a", 3, columns=columns, objects=[(0, 1, 0, 0.5)])
    with writer_lock(store.path):
        store.begin_layer("1111111100000000", {"kind": "table", "columns": {"object_width": fact(per="object")}})
        store.commit("1111111100000000", "all", {"objects": {"object_width": np.array([3.0])}})
        store.finish("1111111100000000")
    with pytest.raises(UsageError, match="a column of objects") as caught:
        select(store, count=1, by="object_width")
    assert caught.value.hint == "of frames there is width"


def test_a_column_without_values_decides_nothing_and_that_is_told(store):
    found = select(store, count=3, by="empty,sharpness")
    assert rows(found) == best(COLUMNS["sharpness"][1], 3)
    assert any("empty has no value for any frame" in note for note in found.notes)
    alone = select(store, count=3, by="empty")
    assert rows(alone) == [0, 1, 2]
    assert any("the order is that of the input" in note for note in alone.notes)
    same = select(store, count=3, by="width,sharpness", where="width = 12")
    assert any("width is the same for every frame" in note for note in same.notes)


def test_of_several_prediction_sets_one_is_named(tmp_path):
    def of(name):
        return fact(bad="high", metric="acquisition_entropy", set=name, judged=False)

    columns = {"acquisition_entropy_a": (of("a"), np.arange(4.0)), "acquisition_entropy_b": (of("b"), -np.arange(4.0))}
    objects = [(0, 1, 0, 0.9), (1, 1, 1, 0.9), (2, 2, 0, 0.9), (3, 2, 1, 0.9)]
    store = made_store(tmp_path / "a", 4, columns=columns, objects=objects, origins=("labels", "a", "b"))
    with pytest.raises(UnknownNameError, match="one of several") as caught:
        select(store, count=1, by="entropy")
    assert "acquisition_entropy_a, acquisition_entropy_b" in caught.value.hint
    for name, first in (("a", 3), ("b", 0)):
        assert rows(select(store, count=1, by="acquisition_entropy", predictions=name)) == [first]
    assert rows(select(store, count=1, by="acquisition_entropy_b")) == [0]
    quotas = {"dog": 1}
    with pytest.raises(UsageError, match="2 prediction sets: a, b"):
        select(store, count=1, by="acquisition_entropy_a", quotas=quotas)
    assert rows(select(store, count=1, by="acquisition_entropy_a", quotas=quotas, predictions="a")) == [1]


def test_text_and_endless_values(tmp_path):
    endless = np.ma.masked_array(np.array([1.0, np.inf, 2.0]), mask=False)
    store = made_store(tmp_path / "a", 3, columns={"width": (fact(), np.arange(3.0))})
    with writer_lock(store.path):
        facts = {"word": fact(unit="text"), "endless": fact()}
        store.begin_layer("1111111100000000", {"kind": "table", "columns": facts})
        store.commit("1111111100000000", "all", {"frames": {"word": ["a", "b", "c"], "endless": endless}})
        store.finish("1111111100000000")
    with pytest.raises(UsageError, match="holds no numbers"):
        select(store, count=1, by="word")
    found = select(store, count=2, by="endless")
    assert rows(found) == [1, 2]
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_column_called_like_one_of_ours_keeps_both(store):
    table = select(store, count=3, by="reason").table
    assert table["reason_value"].tolist() == COLUMNS["reason"][1][table["place"]].tolist()
    assert table["reason"].str.contains("in the top").all()


def test_the_answer_is_kept_and_knows_what_it_is_about(store):
    found = select(store, count=5, by="entropy", diverse="kcenter", exclude="labelled", quotas={"dog": 1})
    opened = api.open_store(store)
    facts = kept(opened, "selection")
    assert is_current(opened, facts)
    assert facts["params"]["quotas"] == {"dog": 1}
    told = opened.query('select frame, score, reason, typeof("group") t from selection order by rank')
    assert set(told["t"]) == {"DOUBLE"}
    assert told["frame"].tolist() == found.frames
    assert told["reason"].tolist() == found.table["reason"].tolist()
    assert saved(opened).frames == found.frames
    assert saved(opened).how() == found.how()
    assert opened.verify(read_data=True).findings == ()
    whole = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [row["frame"] for row in whole["frames"]] == found.frames
    (store / "results" / "selection.json").write_text("{}")
    with pytest.raises(CorruptError, match="is not what was written") as caught:
        saved(opened)
    assert caught.value.hint.startswith("gpu-quality select ")


def test_a_store_that_somebody_writes_to_still_answers(store):
    with writer_lock(store):
        found = select(store, count=2, by="width")
    assert len(found.frames) == 2
    assert "not kept in the store" in found.notes[-1]


def test_a_folder_that_is_no_store(tmp_path):
    with pytest.raises(NotAStoreError):
        select(tmp_path, count=1, by="width")


def test_files_are_read_back(store, tmp_path):
    found = select(store, count=9, by="sharpness", where="row < 12")
    assert listed(found).splitlines() == found.table["uri"].tolist()
    notes = write_coco(found, tmp_path / "next.json")
    data = json.loads((tmp_path / "next.json").read_text())
    assert [image["file_name"] for image in data["images"]] == sorted(found.frames)
    assert {(image["width"], image["height"]) for image in data["images"]} == {(64, 48)}
    name = {image["id"]: image["file_name"] for image in data["images"]}
    labeled = [place for place in rows(found) if place < 6]
    assert sorted(name[a["image_id"]] for a in data["annotations"]) == sorted(f"f{place:04d}.jpg" for place in labeled)
    assert [category["name"] for category in data["categories"]] == ["cat", "dog", "fox"]
    assert any(f"{9 - len(labeled)} frames of 9 without labels" in note for note in notes)
    odd = pd.DataFrame({"uri": ["a\nb.jpg"]})
    with pytest.raises(UsageError, match="line of its own"):
        listed(type(found)(found.store, odd))


# Real photos.


@pytest.fixture(scope="module")
def coco(test_data, tmp_path_factory):
    """Photos with official labels and a real detector, evaluated; no vectors."""
    folder = tmp_path_factory.mktemp("coco")
    photos = test_data / "coco_photos"
    store = api.run(
        photos / "images", out=folder / "a", metrics=["entropy", "width"], labels=photos / "instances.json",
        predictions={"centernet": photos / "centernet_predictions.json"},
    )  # fmt: skip
    evaluate(store)
    return store


def test_frames_the_model_is_unsure_of(coco, test_data, tmp_path):
    found = select(coco, count=10, by="mean_object_confidence,frame_fn")
    told = coco.query("select frame, mean_object_confidence c, frame_fn f from frames order by row")
    score = np.array(selection.fraction(told.c.tolist(), False)) + selection.fraction(told.f.tolist(), True)
    assert found.frames == told.frame[np.argsort(-score, kind="stable")[:10]].tolist()
    write_coco(found, tmp_path / "next.json")
    official = json.loads((test_data / "coco_photos" / "instances.json").read_text())
    name = {image["id"]: image["file_name"] for image in official["images"]}
    expected = sorted(a["id"] for a in official["annotations"] if name[a["image_id"]] in found.frames)
    data = json.loads((tmp_path / "next.json").read_text())
    assert sorted(a["id"] for a in data["annotations"]) == expected
    assert sorted(image["file_name"] for image in data["images"]) == sorted(found.frames)
    with pytest.raises(EmptyInputError, match="of 56 frames 56 are excluded"):
        select(coco, count=500, by="entropy", exclude="labelled")
    with pytest.raises(UnknownNameError) as caught:
        select(coco, count=5, by="acquisition_entropy")
    assert "class probabilities" in caught.value.hint
    assert "mean_object_confidence" in caught.value.hint


def test_diverse_frames_show_every_class_sooner_than_chance(test_data, tmp_path):
    photos = test_data / "retrieval" / "four_classes_24"
    labels = {"path": str(photos), "format": "imagefolder"}
    store = api.run(photos, out=tmp_path / "a", metrics=["singularity"], labels=labels)
    kinds = np.array([name.split("/")[0] for name in store.table("frame", ["frame"])["frame"]])
    rng = np.random.default_rng(0)
    chance = np.mean([len(set(kinds[rng.permutation(24)[:4]])) for _ in range(2000)])
    for way in ("kcenter", "kmeans"):
        shown = [len(set(kinds[rows(select(store, count=4, diverse=way, seed=seed))])) for seed in range(6)]
        assert np.mean(shown) > chance + 0.3, (way, shown, chance)
    asked = select(store, count=8, quotas={"monkey": 3, "cat": 2})
    shown = kinds[rows(asked)]
    assert ((shown == "monkey").sum() >= 3, (shown == "cat").sum() >= 2) == (True, True)
    told = {row["class"]: row["chosen"] for row in asked.facts["classes"]}
    assert told == {name: int((shown == name).sum()) for name in ("bird", "cat", "dog", "monkey")}
    even = kinds[rows(select(store, count=8, balance=True))]
    assert sorted(even) == sorted(["bird", "cat", "dog", "monkey"] * 2)
