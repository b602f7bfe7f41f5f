"""SQL over a store: the answers, and what a query cannot do."""

from pathlib import Path

import pytest

from gpu_quality.errors import CorruptError, UsageError
from gpu_quality.store.layer import table_bytes
from gpu_quality.store.store import Store
from tests.store.small import LAYER, META, commit, create, digests, run


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return run(tmp_path_factory.mktemp("q") / "run")


def test_frames_hold_the_columns_of_all_layers_but_hidden_ones(store):
    found = store.query("SELECT * FROM frames ORDER BY row")
    assert found.columns.tolist() == ["row", "frame", "uri", "width", "brightness", "phash", "rank"]
    assert found["frame"].tolist() == store.table()["frame"].tolist()
    assert found["phash"][7] == 2**62 + 7
    assert found["phash"].isna().sum() == 1


def test_views_join(store):
    sql = "SELECT f.frame, count(*) AS n, sum(o.brightness) AS s FROM objects o JOIN frames f USING (row) GROUP BY 1 ORDER BY 1"
    found = store.query(sql)
    expected = store.table("object").groupby("frame")["brightness"].agg(["size", "sum"])
    assert found["n"].tolist() == expected["size"].tolist()
    assert found["s"].tolist() == pytest.approx(expected["sum"].tolist())
    assert store.query("SELECT reason FROM errors ORDER BY 1")["reason"].tolist() == ["bad_annotation", "truncated"]
    assert store.query("SELECT count(*) AS n FROM nulls")["n"].tolist() == [3]
    assert store.query("SELECT question FROM classifications")["question"].tolist() == ["day?"]
    assert store.query("SELECT name, content FROM results").values.tolist() == [["coco.json", '{"map": 0.5}']]


def test_parameters_are_values(store):
    text = "x' OR 1=1 --"
    assert store.query("SELECT frame FROM frames WHERE frame = ?", [text]).empty
    assert len(store.query("SELECT frame FROM frames WHERE row BETWEEN ? AND ?", [2, 4])) == 3


def test_uncommitted_shards_are_null(tmp_path):
    store = create(tmp_path)
    store.begin_layer(LAYER, META)
    commit(store, "00001")
    found = store.query("SELECT brightness FROM frames ORDER BY row")["brightness"]
    assert found.notna().tolist() == store.table()["brightness"].notna().tolist()


@pytest.mark.parametrize("name", ["a b", "it's", "[x]*?", "ü\u202e", '"'])
def test_any_folder_name_will_do(tmp_path, name):
    store = run(tmp_path / name)
    assert len(store.query("SELECT brightness FROM frames WHERE brightness >= 0")) == 10


def test_a_relative_path_will_do(store, monkeypatch):
    monkeypatch.chdir(store.path.parent)
    assert len(Store.open("run").query("SELECT rank FROM frames")) == 11


def test_mistakes_are_one_line_with_close_names(store):
    with pytest.raises(UsageError) as caught:
        store.query("SELECT brightnes FROM frames")
    assert "\n" not in str(caught.value)
    assert caught.value.hint == "did you mean brightness?"
    for wrong in ("SELEC 1", "SELECT 1 FROM nowhere", "", "SELECT 1; SELECT 2", "SELECT frame FROM frames WHERE row = ?"):
        with pytest.raises(UsageError):
            store.query(wrong)


REFUSED = [
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM read_blob('{store}/../secret')",
    "SELECT * FROM read_text('{store}2/secret')",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{store}/x.csv''')",
    "COPY (SELECT 1) TO '/tmp/gpu_quality_x.csv'",
    "COPY (SELECT 1) TO '{store}/x.csv'",
    "COPY frames TO '{store}/x.parquet' (FORMAT parquet)",
    "EXPORT DATABASE '{store}/x'",
    "IMPORT DATABASE '{store}/x'",
    "ATTACH '{store}/x.db'",
    "ATTACH ':memory:' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CREATE TABLE t AS SELECT 1",
    "CREATE SECRET (TYPE s3)",
    "DROP VIEW frames",
    "PRAGMA enable_profiling",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET allowed_directories",
    "CALL pragma_version()",
    "SELECT * FROM local_variable",
    "SELECT getenv('HOME')",
    "SELECT * FROM read_parquet('http://localhost/x.parquet')",
    "SELECT * FROM read_parquet('s3://x/y.parquet')",
    "SELECT * FROM duckdb_secrets()",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_a_query_only_reads_the_store(store, sql):
    local_variable = store.table()
    secret = store.path.parent / "run2"
    secret.mkdir(exist_ok=True)
    (secret / "secret").write_bytes(b"x")
    (store.path.parent / "secret").write_bytes(b"x")
    before = digests(store.path)
    with pytest.raises(UsageError):
        store.query(sql.format(store=store.path))
    assert digests(store.path) == before
    assert not Path("/tmp/gpu_quality_x.csv").exists()
    assert len(local_variable) == 11


def test_a_damaged_file_is_no_mistake_of_the_user(tmp_path):
    store = run(tmp_path)
    (tmp_path / "layers" / LAYER / "00002" / "frames.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorruptError):
        store.query("SELECT brightness FROM frames")


def test_a_table_among_the_results_is_a_view(tmp_path):
    store = run(tmp_path)
    store.save_result("health.parquet", table_bytes({"code": ["tiny_box", "zero_area"], "count": [3, 1]}))
    store.save_result("frames.parquet", table_bytes({"other": [1]}))
    assert store.query("SELECT code FROM health ORDER BY count DESC")["code"].tolist() == ["tiny_box", "zero_area"]
    assert len(store.query("SELECT brightness FROM frames")) == 11  # a result never hides a table of the store
