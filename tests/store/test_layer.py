"""Tables and arrays as bytes: what goes in comes out, damage is told, nothing is unpickled."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import CorruptError, UsageError
from gpu_quality.store.layer import array_parts, fixed_table, read_array, read_table, spread, table_bytes, to_pandas


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    return pa.table(
        {
            "id": [f"frame{i}" for i in range(1000)],
            "split": [("train", "val")[i % 2] for i in range(1000)],
            "value": random.standard_normal(1000),
            "count": pa.array([None, *range(999)], pa.int64()),
            "flag": pa.array([None, *([True, False] * 500)][:1000]),
            "vector": pa.array(list(random.standard_normal((1000, 3))), pa.list_(pa.float64())),
        }
    )


def test_encoding_is_as_promised(table):
    meta = pq.ParquetFile(io.BytesIO(table_bytes(table))).metadata
    assert meta.num_row_groups == 1
    columns = {column.path_in_schema: column for column in (meta.row_group(0).column(i) for i in range(meta.num_columns))}
    has_dictionary = {name for name, column in columns.items() if column.has_dictionary_page}
    assert has_dictionary == {"split"}
    vector = next(name for name in columns if name.startswith("vector"))
    assert not columns[vector].is_stats_set
    assert columns["count"].statistics.max == 998


def test_the_same_table_is_the_same_bytes(table):
    chunked = pa.concat_tables([table.slice(0, 10), table.slice(10)])
    assert table_bytes(table) == table_bytes(table) == table_bytes(chunked.combine_chunks())


def test_round_trip_and_columns(tmp_path, table):
    (tmp_path / "t").write_bytes(table_bytes(table))
    assert read_table(tmp_path / "t").equals(table)
    assert read_table(tmp_path / "t", ["flag", "id"]).column_names == ["flag", "id"]


def test_a_flipped_byte_in_a_page_is_told(tmp_path, table):
    data = bytearray(table_bytes(table))
    told = 0
    for at in range(4, 9000, 450):
        wrong = bytearray(data)
        wrong[at] ^= 1
        (tmp_path / "t").write_bytes(wrong)
        try:
            found = read_table(tmp_path / "t")
        except CorruptError:
            told += 1
        else:
            assert found.equals(table), "damage was read as data"
    assert told >= 18


@pytest.mark.parametrize("wrong", [b"", b"PAR1", b"PAR1PAR1", b"\x00" * 100])
def test_what_is_no_parquet_is_corrupt(tmp_path, wrong):
    (tmp_path / "t").write_bytes(wrong)
    with pytest.raises(CorruptError, match="cannot read"):
        read_table(tmp_path / "t")
    with pytest.raises(CorruptError, match="it is missing"):
        read_table(tmp_path / "none")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "bool"])
@pytest.mark.parametrize("shape", [(0,), (0, 512), (5,), (3, 4), (2, 3, 4)])
def test_arrays_round_trip_mapped(tmp_path, dtype, shape):
    array = (np.arange(np.prod(shape)) % 5).reshape(shape).astype(dtype)
    (tmp_path / "a.npy").write_bytes(b"".join(array_parts(array)))
    found = read_array(tmp_path / "a.npy")
    assert found.dtype == array.dtype
    assert found.shape == shape
    assert np.array_equal(found, array)
    assert np.array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), array)
    turned = b"".join(array_parts(np.asfortranarray(array)))
    assert turned == b"".join(array_parts(array))


def test_arrays_of_objects_are_never_stored_nor_loaded(tmp_path):
    with pytest.raises(UsageError):
        array_parts(np.array([{}]))
    np.save(tmp_path / "o.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(CorruptError):
        read_array(tmp_path / "o.npy")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '<f8', 'fortran_order': True, 'shape': (2,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 2}",
        "{'descr': 'no type', 'fortran_order': False, 'shape': (2,)}",
        "{'shape': (2,)}",
        "[" * 900,
        "print('run')",
        "",
    ],
)
def test_a_lying_header_is_refused_before_mapping(tmp_path, header):
    text = header.encode()
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(16))
    with pytest.raises(CorruptError):
        read_array(tmp_path / "a.npy")


def test_whole_numbers_and_flags_keep_their_type_beside_nulls():
    kinds = {"int8": "Int8", "uint8": "UInt8", "int32": "Int32", "int64": "Int64", "uint64": "UInt64", "bool": "boolean"}
    frame = to_pandas(pa.table({name: pa.array([1 if name != "bool" else True, None]).cast(name) for name in kinds}))
    assert {name: str(frame[name].dtype) for name in kinds} == kinds
    assert str(to_pandas(pa.table({"a": pa.array([1, 2])}))["a"].dtype) == "int64"


def test_fixed_tables_have_all_their_columns():
    assert fixed_table("nulls", {"metric": ["noise"]}).to_pylist() == [
        {"frame": None, "object": None, "metric": "noise", "reason": None}
    ]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.data())
def test_spread_puts_rows_where_they_belong(total, data):
    rows = sorted(data.draw(st.sets(st.integers(0, total - 1), min_size=1)))
    cut = data.draw(st.integers(0, len(rows)))
    parts = [
        pa.table({"row": pa.array(part, pa.int32()), "x": pa.array([i * 10 for i in part], pa.int64())})
        for part in (rows[:cut], rows[cut:])
    ]
    expected = [i * 10 if i in rows else None for i in range(total)]
    assert spread(parts, "row", total).column("x").to_pylist() == expected
