"""Slices: what a condition holds, what it cannot do, and how it is saved."""

import json

import numpy as np
import pyarrow as pa
import pytest

import gpu_quality as gq
from gpu_quality.api.slices import (
    condition_of,
    frame_rows,
    level_of,
    object_rows,
    quoted,
    remove_slice,
    save_slice,
    saved_slices,
)
from gpu_quality.errors import CorruptError, LockedError, UnknownNameError, UsageError
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store
from tests.api.sliced import CLASSES, sliced_store
from tests.photos import write_photos
from tests.store.small import tables


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return sliced_store(tmp_path_factory.mktemp("slices"), frames=20)


@pytest.fixture
def own(tmp_path):
    """A store that may be changed."""
    return sliced_store(tmp_path, frames=12)


def test_a_condition_mixes_columns_of_objects_and_frames(store):
    objects, frames = store.table("object"), store.table("frame")
    busy = frames["object_count"].to_numpy(float)[objects["row"]]
    kind = np.array(CLASSES)[objects["class_id"]]
    expected = (objects["object_area"] < 900) & (busy >= 8) & (kind == "person") & (objects["frame"] > "005.jpg")
    found = object_rows(store, "object_area < 900 and object_count >= 8 and class = 'person' and frame > '005.jpg'")
    assert found.dtype == bool
    assert 0 < found.sum() < len(found)
    assert found.tolist() == expected.tolist()


def test_frames_by_their_own_columns_or_by_having_an_object(store):
    assert frame_rows(store, "frame < '003.jpg'").tolist() == [True] * 3 + [False] * 17
    rows = store.table("object", ["row"])["row"].to_numpy()[object_rows(store, "object_area < 150")]
    assert np.flatnonzero(frame_rows(store, "object_area < 150")).tolist() == sorted(set(rows.tolist()))
    assert frame_rows(store, "true").all()
    assert not frame_rows(store, "false").any()
    assert level_of(store, "object_count > 3") == "frame"
    assert level_of(store, "object_count > 3 and class = 'kite'") == "object"


def test_one_name_has_one_meaning(tmp_path):
    """`area` is a column of objects; frames have a metric of that name too."""
    labels = {"images": [{"id": i, "file_name": f"{i}.jpg", "width": 10, "height": 10} for i in range(3)], "categories":
              [{"id": 1, "name": "a"}], "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2],
              "area": 4, "iscrowd": 0}]}  # fmt: skip
    (tmp_path / "l.json").write_text(json.dumps(labels))
    store = gq.run(labels=str(tmp_path / "l.json"), out=tmp_path / "out", metrics=["area"])
    assert store.table("frame")["area"].tolist() == [100, 100, 100]
    assert object_rows(store, "area = 4 and frame_area = 100").tolist() == [True]
    assert frame_rows(store, "area < 5").tolist() == [False, True, False]
    assert frame_rows(store, "frame_area = 100").all()


def test_what_is_null_is_outside(store):
    missing = store.table("object")["confidence"].isna().to_numpy()
    assert 0 < missing.sum() < len(missing)
    assert not object_rows(store, "confidence < 0.5")[missing].any()
    assert not object_rows(store, "not confidence < 0.5")[missing].any()
    assert object_rows(store, "confidence is null").tolist() == missing.tolist()


def test_ids_that_occur_twice_do_not_matter(tmp_path):
    given = tables(6)
    twins = pa.array(["twin"] * given["objects"].num_rows)
    given["objects"] = given["objects"].set_column(0, "object", twins)
    store = Store.create(tmp_path / "run", {"shard_size": 4}, given)
    rows = given["objects"]["row"].to_pylist()
    assert object_rows(store, "frame like 'cam1%'").tolist() == [row % 2 == 1 for row in rows]
    assert object_rows(store, "object_row = 3").tolist() == [place == 3 for place in range(len(rows))]


def test_views_of_the_store_may_be_asked(store):
    found = object_rows(store, "row in (select row from frames where frame in ('001.jpg', '002.jpg'))")
    assert set(store.table("object", ["row"])["row"][found]) == {1, 2}
    assert object_rows(store, "(select true)").all()
    assert object_rows(store, "class = 'it''s; -- (' or frame = \"frame\"").all()


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        ("true) or (true", "never opened"),
        ("(true", "not closed"),
        ("true -- and more", "a comment"),
        ("true /* and", "a comment"),
        ("true; select 1", "a semicolon"),
        ("frame = 'a", "a quote that is not closed"),
        ("object_area < $1", "a dollar sign"),
        ("object_area < ?", "parameter"),
        ("", "empty"),
        ("  ", "empty"),
        ("x" * 20_000, "20,000 characters"),
        ("frame = '\x00'", "cannot be seen"),
        ("frame = '\udcff'", "cannot be seen"),
        ("sum(object_area) > 1", "aggregates"),
        ("object_area <", "Parser Error"),
        ("(1, 2)", "Conversion Error"),
        ("object_area < 'abc'", "abc"),
        ("row in (select row from read_csv('/etc/passwd'))", "refused"),
        ("true) union all (select 99999999", "never opened"),
    ],
)
def test_what_is_no_condition_is_one_clear_error(store, condition, what):
    for look in (object_rows, frame_rows):
        with pytest.raises(UsageError, match="slice") as caught:
            look(store, condition)
        assert what in str(caught.value)
        assert caught.value.hint
        assert len(str(caught.value)) < 700


@pytest.mark.parametrize(("condition", "close"), [("objct_area < 3", "object_area"), ("clas = 'kite'", "class")])
def test_an_unknown_column_has_close_ones(store, condition, close):
    with pytest.raises(UsageError, match="not found") as caught:
        object_rows(store, condition)
    assert close in caught.value.hint


def test_slices_are_saved_used_and_removed(own):
    assert saved_slices(own) == {}
    counts = save_slice(own, " tiny ones ", " object_area < 200 ")
    save_slice(own, "kites", "class = 'kite'")
    assert counts == {"frames": int(frame_rows(own, "object_area < 200").sum()),
                      "objects": int(object_rows(own, "object_area < 200").sum())}  # fmt: skip
    assert list(saved_slices(own).items()) == [("tiny ones", "object_area < 200"), ("kites", "class = 'kite'")]
    assert object_rows(own, "tiny ones").tolist() == object_rows(own, "object_area < 200").tolist()
    assert condition_of(own, "kites") == "class = 'kite'"
    found = gq.evaluate(own, slices=["tiny ones", "object_area >= 200"], write=False).by_slice
    assert found.labels.sum() == len(gq.evaluate(own, write=False).compared.labels)
    save_slice(own, "kites", "class <> 'kite'")
    assert saved_slices(own)["kites"] == "class <> 'kite'"
    remove_slice(own, "tiny ones")
    assert list(saved_slices(Store.open(own.path))) == ["kites"]
    assert own.verify().ok


def test_names_and_conditions_that_cannot_be_saved(own):
    for name in ("", " ", "a\nb", "x" * 100):
        with pytest.raises(UsageError, match="cannot be called"):
            save_slice(own, name, "true")
    for name in ("true", "object_area", '"object_count"'):  # would mean something else from then on
        with pytest.raises(UsageError, match="a condition itself"):
            save_slice(own, name, "object_area < 900")
    with pytest.raises(UsageError, match="cannot be called"):
        save_slice(own, "(all)", "true")
    with pytest.raises(UsageError, match="not found"):
        save_slice(own, "a", "nothing < 3")
    save_slice(own, "a", "true")
    with pytest.raises(UsageError, match="is the name of a saved slice"):
        save_slice(own, "b", "a")
    with pytest.raises(UnknownNameError, match="no slice 'aa'") as caught:
        remove_slice(own, "aa")
    assert "'a'" in caught.value.hint
    assert list(saved_slices(own)) == ["a"]
    with writer_lock(own.path), pytest.raises(LockedError):
        save_slice(own, "c", "true")


def test_a_mistyped_name_is_told(own):
    save_slice(own, "night (dark)", "true")
    with pytest.raises(UsageError, match="not closed") as caught:
        object_rows(own, "night (dark")
    assert "night (dark)" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"slices": 3}', b"\xff"])
def test_a_damaged_file_is_told(own, content):
    save_slice(own, "a", "true")
    (own.path / "results" / "slices.json").write_bytes(content)
    with pytest.raises(CorruptError, match=r"slices\.json"):
        saved_slices(own)


@pytest.mark.parametrize(
    ("name", "sql"), [("area_1", "area_1"), ("order", '"order"'), ("A", '"A"'), ('a "b"', '"a ""b"""'), ("1st", '"1st"')]
)
def test_names_of_columns_are_quoted_where_they_must_be(name, sql):
    assert quoted(name) == sql


def test_every_reserved_word_is_quoted(store):
    words = store.query("select keyword_name from duckdb_keywords() where keyword_category = 'reserved'").iloc[:, 0]
    assert len(words) > 50
    assert [word for word in words if quoted(word) == word] == []


def test_quotes_with_escapes_end_where_duckdb_ends_them(store):
    assert object_rows(store, r"e'\'' = '''' and e'a\\' = 'a\'").all()
    with pytest.raises(UsageError, match="never opened"):
        object_rows(store, r"e'\\') or (true")


def test_a_store_without_objects(tmp_path):
    write_photos(tmp_path / "images", 3)
    store = gq.run(str(tmp_path / "images"), out=tmp_path / "out", metrics=["brightness", "area"])
    assert object_rows(store, "brightness >= 0").tolist() == []
    assert frame_rows(store, "brightness >= 0 and area = 1200").all()
    assert save_slice(store, "all", "brightness >= 0") == {"frames": 3, "objects": 0}
    with pytest.raises(UsageError, match="not found"):
        frame_rows(store, "object_area < 3")
