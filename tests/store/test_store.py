"""The store as its users see it: what is refused, what comes back, and what the same input always gives."""

import pickle
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gpu_quality.errors import CorruptError, IncompatibleError, NotAStoreError, UnknownNameError, UsageError
from gpu_quality.store.layout import seal
from gpu_quality.store.store import FORMAT_VERSION, Store
from tests.store.small import LAYER, META, TABLE_LAYER, TABLE_META, commit, create, digests, run, tables


@pytest.fixture
def begun(tmp_path):
    """One shard of three is committed."""
    store = create(tmp_path / "run")
    store.begin_layer(LAYER, META)
    commit(store, "00001")
    return store


def test_the_frozen_input_comes_back(tmp_path):
    store, given = create(tmp_path / "run"), tables(11)
    assert store.frames().equals(given["frames"])
    assert store.classifications().equals(given["classifications"])
    assert store.input_errors().select(["uri", "line"]).to_pylist() == [{"uri": "labels.json", "line": 7}]
    assert store.identity == {"shard_size": 4, "decode": {"max_pixels": 64}}
    assert [(shard.name, shard.rows) for shard in store.shards()] == [
        ("00000", range(4)),
        ("00001", range(4, 8)),
        ("00002", range(8, 11)),
    ]


def test_objects_of_a_range_of_frames(tmp_path, monkeypatch):
    monkeypatch.setattr("gpu_quality.store.layer.ROW_GROUP", 3)
    store, every = create(tmp_path / "run"), tables(11)["objects"]
    for first in range(12):
        for stop in range(first, 12):
            wanted = [row for row in every.to_pylist() if first <= row["row"] < stop]
            assert store.objects(first, stop).to_pylist() == wanted
            assert len(store.input.object_range(first, stop)) == len(wanted)
    assert store.objects().num_rows == len(every)


def test_a_store_may_have_frames_only(tmp_path):
    store = Store.create(tmp_path, {"shard_size": 2}, {"frames": {"frame": ["a", "b", "c"], "uri": ["a", "b", "c"]}})
    assert store.objects(0, 3).num_rows == 0
    assert store.input_errors().num_rows == 0
    assert store.table("object").empty
    store.begin_layer("aa", {"columns": {}})
    store.commit("aa", "00000", {"frames": {"x": np.zeros(2)}, "objects": {"y": np.zeros(0)}})
    assert store.table("object").columns.tolist()[-1] == "y"
    assert store.query("SELECT count(*) AS n FROM objects")["n"].tolist() == [0]


def test_the_same_question_opens_another_is_refused_by_key(tmp_path):
    create(tmp_path / "run")
    before = digests(tmp_path / "run")
    assert create(tmp_path / "run").input.count("frames") == 11
    other = {"shard_size": 5, "decode": {"max_pixels": 64, "backend": "x"}}
    with pytest.raises(
        IncompatibleError, match=r"decode.backend: stored nothing, asked \"x\"; shard_size: stored 4, asked 5"
    ) as caught:
        Store.create(tmp_path / "run", other, tables(11))
    assert caught.value.exit_code == 13
    with pytest.raises(IncompatibleError, match=r"input.frames.parquet.rows: stored 11, asked 12"):
        create(tmp_path / "run", frames=12)
    with pytest.raises(IncompatibleError, match="shard_size: stored 4"):
        Store.open(tmp_path / "run").refuse_other({**other, "decode": {"max_pixels": 64}})
    Store.open(tmp_path / "run").refuse_other({"decode": {"max_pixels": 64}, "shard_size": 4})
    assert digests(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("identity", "change"),
    [
        ({}, {}),
        ({"shard_size": 0}, {}),
        ({"shard_size": 1}, {"frames": None}),
        ({"shard_size": 1}, {"frames": {"uri": ["a"]}}),
        ({"shard_size": 1}, {"pixels": {"a": [1]}}),
        ({"shard_size": 1}, {"objects": {"object": ["a"]}}),
        ({"shard_size": 1}, {"objects": {"object": ["a", "b"], "row": pa.array([1, 0], pa.int32())}}),
        ({"shard_size": 1}, {"objects": {"object": ["a"], "row": pa.array([11], pa.int32())}}),
        ({"shard_size": 1}, {"errors": {"colour": ["a"]}}),
    ],
)
def test_a_malformed_question_writes_nothing(tmp_path, identity, change):
    given = {name: table for name, table in {**tables(11), **change}.items() if table is not None}
    with pytest.raises(UsageError):
        Store.create(tmp_path / "run", identity, given)
    assert not (tmp_path / "run").exists()


def test_what_is_no_store_is_named(tmp_path):
    with pytest.raises(NotAStoreError, match="does not exist"):
        Store.open(tmp_path / "none")
    with pytest.raises(NotAStoreError, match=r"has no run\.json") as caught:
        Store.open(tmp_path)
    assert caught.value.exit_code == 10
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(NotAStoreError, match="not a folder"):
        Store.open(tmp_path / "a.jpg")
    with pytest.raises(NotAStoreError, match=r"holds 'a\.jpg'"):
        create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_a_newer_format_is_refused_with_a_hint(tmp_path):
    store = create(tmp_path)
    (tmp_path / "run.json").write_bytes(seal({**store.run, "format_version": FORMAT_VERSION + 1}, "run.json"))
    with pytest.raises(IncompatibleError, match="format version 2") as caught:
        Store.open(tmp_path)
    assert "upgrade" in caught.value.hint
    (tmp_path / "run.json").write_bytes(b'{"format_version": 99, "of a shape": "nobody knows yet"}')
    with pytest.raises(IncompatibleError):
        Store.open(tmp_path)


def test_columns_in_input_order_null_where_nothing_is_committed(begun):
    table = begun.table()
    assert table.columns.tolist() == ["frame", "uri", "width", "brightness", "phash"]
    assert table["frame"].tolist() == tables(11)["frames"]["frame"].to_pylist()
    assert table["brightness"].isna().tolist() == [True] * 4 + [False, True, False, False] + [True] * 3
    assert table["phash"].dtype == pd.Int64Dtype()
    assert table["phash"][7] == 2**62 + 7, "64 bits survive nulls"
    commit(begun, "00000")
    commit(begun, "00002")
    assert begun.column("brightness").tolist()[6:] == [i / 3 for i in range(6, 11)]
    objects = begun.table("object", ["row", "brightness"])
    counts = [sum(i % 3 for i in rows) for rows in (range(4), range(4, 8), range(8, 11))]
    assert objects["brightness"].tolist() == [k / 7 for count in counts for k in range(count)]


def test_hidden_columns_only_by_name_and_unknown_ones_with_close_names(begun):
    assert begun.table(names=["secret", "frame"]).columns.tolist() == ["secret", "frame"]
    with pytest.raises(UnknownNameError) as caught:
        begun.column("brightnes")
    assert caught.value.hint == "did you mean brightness?"
    with pytest.raises(UsageError, match="not per 'pixel'"):
        begun.table("pixel")


def test_declared_columns_exist_before_the_first_shard(tmp_path):
    store = create(tmp_path)
    store.begin_layer(LAYER, META)
    assert store.table()["brightness"].isna().all()
    assert store.query("SELECT brightness FROM frames")["brightness"].isna().all()
    assert store.status()["shards_done"] == 0


def test_errors_nulls_and_facts(begun):
    assert begun.errors()["reason"].tolist() == ["bad_annotation", "truncated"]
    assert begun.errors()["line"].tolist() == [7, pd.NA]
    assert begun.nulls().loc[0, ["frame", "metric", "reason"]].tolist() == ["cam0/0000.jpg", "noise", "too_small"]
    facts = begun.columns()["brightness"]
    assert (facts["bounds"], facts["layer"], facts["unit"]) == ([0.0, None], LAYER, "luma")


def test_arrays_are_mapped_in_order(begun):
    assert [rows for rows, _ in begun.array("embedding")] == [range(4, 8)]
    commit(begun, "00000")
    blocks = begun.array("embedding")
    assert [rows for rows, _ in blocks] == [range(4), range(4, 8)]
    assert isinstance(next(iter(blocks))[1], np.memmap)
    assert blocks.whole().tolist() == [[i, 2 * i] for i in range(8)]
    assert begun.array("embedding", "object").whole().shape == (7, 2)
    with pytest.raises(UnknownNameError):
        begun.array("embeding")


def test_status_counts_frames(tmp_path, begun):
    assert {key: begun.status()[key] for key in ("listed", "scored", "errors", "complete", "shards", "shards_done")} == {
        "listed": 11,
        "scored": 3,
        "errors": 1,
        "complete": False,
        "shards": 3,
        "shards_done": 1,
    }
    status = run(tmp_path / "run").status()
    assert (status["scored"], status["errors"], status["complete"], status["input_errors"]) == (10, 1, True, 1)
    assert [(layer["kind"], layer["shards"], layer["shards_done"]) for layer in status["layers"]] == [
        ("stream", 3, 3),
        ("table", 1, 1),
    ]
    assert Store.open(tmp_path / "run").table()["rank"].tolist() == list(range(10, -1, -1))


def test_two_layers_count_a_failed_frame_once(tmp_path):
    store = run(tmp_path / "run")
    store.begin_layer("aa", {"columns": {"x": {"per": "frame"}}})
    errors = {
        "frame": ["cam1/0005.jpg", "cam0/0006.jpg", "cam0/0004.jpg"],
        "metric": [None, None, "x"],
        "stage": ["decode"] * 3,
    }
    counts = [
        store.commit(
            "aa", shard.name, {"frames": {"x": np.zeros(len(shard.rows))}, "errors": errors if shard.name == "00001" else {}}
        )
        for shard in store.shards()
    ]
    assert counts[1] == {"listed": 4, "scored": 2, "errors": 2}
    assert (store.status()["errors"], store.status()["scored"]) == (2, 9)


def test_commits_of_the_wrong_shape_are_refused(begun):
    good = {"brightness": np.zeros(4), "phash": np.zeros(4, np.int64), "secret": np.zeros(4, np.int64)}
    for tables_, arrays, what in [
        ({"frames": {"brightness": np.zeros(3)}}, {}, "has 3 rows, its input 4"),
        ({"objects": {"brightness": np.zeros(1)}}, {}, "objects of shard 00000"),
        ({}, {"embedding": np.zeros((3, 2))}, "embedding of shard"),
        ({}, {"objects.embedding": np.zeros((4, 2))}, r"objects\.embedding of shard"),
        ({"frames": {**good, "phash": np.zeros(4)}}, {}, "'phash' of layer .* is double here and int64 in other shards"),
        ({"frames": {"brightness": np.zeros(4)}}, {}, "'phash' .* is absent here"),
    ]:
        with pytest.raises(CorruptError, match=what):
            begun.commit(LAYER, "00000", tables_, arrays)
    for tables_, shard in [
        ({"frames": {**good, "x": [None] * 4}}, "00000"),
        ({"frames": {**good, "row": np.zeros(4)}}, "00000"),
        ({"pixels": {}}, "00000"),
        ({"classifications": {"x": np.zeros(1)}}, "00000"),
        ({"frames": good}, "00003"),
        ({"frames": good}, "../x"),
        ({"errors": {"colour": ["red"]}}, "00000"),
    ]:
        with pytest.raises(UsageError):
            begun.commit(LAYER, shard, tables_)
    with pytest.raises(UsageError):
        begun.commit(LAYER, "00000", {}, {"../x": np.zeros(4)})
    with pytest.raises(UsageError, match="Python objects"):
        begun.commit(LAYER, "00000", {}, {"x": np.array([None] * 4)})
    assert begun.done(LAYER) == {"00001"}


def test_the_same_shard_again_is_nothing_and_another_is_refused(begun):
    before = digests(begun.path)
    commit(begun, "00001")
    assert digests(begun.path) == before
    with pytest.raises(CorruptError, match="another result"):
        begun.commit(LAYER, "00001", {}, {}, {"encoder_batch": 4})
    begun.drop_shards(LAYER, ["00001"])
    assert begun.done(LAYER) == frozenset()
    commit(begun, "00001")
    assert digests(begun.path) == before


def test_a_layer_is_complete_only_if_it_adds_up(begun):
    with pytest.raises(CorruptError, match="lacks 2 of 3 shards, first 00000"):
        begun.finish(LAYER)
    commit(begun, "00000")
    commit(begun, "00002")
    with pytest.raises(CorruptError, match="does not add up"):
        begun.finish(LAYER, {"listed": 11, "scored": 11, "errors": 0})
    assert not begun.status()["complete"]
    assert begun.finish(LAYER, {"listed": 11, "scored": 10, "errors": 1}) == {"listed": 11, "scored": 10, "errors": 1}
    assert begun.status()["complete"]
    begun.drop_shards(LAYER, ["00002"])
    assert not begun.status()["complete"]
    begun.retire(LAYER)
    assert begun.layers() == []


def test_a_layer_has_one_meaning_and_a_column_one_layer(begun):
    begun.begin_layer(LAYER, META)
    with pytest.raises(CorruptError):
        begun.begin_layer(LAYER, {**META, "card": "x"})
    with pytest.raises(IncompatibleError, match="'brightness' of layer 0123456789abcdef, this run asks layer bb") as caught:
        begun.begin_layer("bb", {"columns": {"brightness": {"per": "frame"}}})
    assert "--replace" in caught.value.hint
    begun.begin_layer(TABLE_LAYER, TABLE_META)
    begun.begin_layer("cc", {"columns": {"secret": {"per": "frame", "hidden": True}}})
    for name, meta in [("../x", META), ("", META), ("dd", {"kind": "lace"}), ("dd", {"seal": 1})]:
        with pytest.raises(UsageError):
            begun.begin_layer(name, meta)


def test_the_same_input_gives_the_same_bytes(tmp_path):
    first, second = digests(run(tmp_path / "a").path), digests(run(tmp_path / "somewhere else" / "b").path)
    assert first == second
    assert run(tmp_path / "a").verify().ok
    assert digests(tmp_path / "a") == first, "a second run changes nothing"
    names = re.compile(r"|".join([str(tmp_path), "20[0-9]{2}-[0-9]{2}"]).encode())
    assert not [path for path in (tmp_path / "a").rglob("*.*") if path.is_file() and names.search(path.read_bytes())]


def test_a_store_travels_as_its_path(begun):
    assert pickle.loads(pickle.dumps(begun)).table().equals(begun.table())


def test_logs_are_kept_apart(tmp_path):
    store = run(tmp_path)
    before = digests(tmp_path)
    store.log("run.log", "1 s\n")
    store.log("run.log", "2 s\n")
    assert (tmp_path / "logs" / "run.log").read_text() == "1 s\n2 s\n"
    assert digests(tmp_path) == before
    assert store.verify().ok
