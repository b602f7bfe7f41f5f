"""Measures as codes: cut near the quantiles, at short numbers that mean the same in Python, in SQL and in words."""

import duckdb
import numpy as np
import pandas as pd
import pytest

from gpu_quality.analysis.weak_codes import MOST_VALUES, Term, category, numeric

CASES = {
    "uniform": np.random.default_rng(0).random(800),
    "signed": np.random.default_rng(1).normal(size=800),
    "tiny": np.random.default_rng(2).normal(size=500) * 1e-7,
    "huge": np.random.default_rng(3).lognormal(20, 3, 500),
    "close": 1e9 + np.random.default_rng(4).random(200),
    "counts": np.random.default_rng(5).poisson(2, 500).astype(float),
    "two": np.repeat([0.492500243765368051, 0.1], 50),
    "nearly constant": np.append(np.zeros(999), 5.0),
    "next doubles": np.repeat([1.0, np.nextafter(1.0, 2)], 40),
    "ids": np.arange(2**52, 2**52 + 300, dtype=float),
    "missing": np.where(np.arange(400) % 3 == 0, np.nan, np.arange(400.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_conditions_hold_the_rows_of_their_codes(name):
    values = CASES[name]
    found = numeric("x", values, unit="pixel")
    assert found is not None
    table = pd.DataFrame({"x": np.ma.masked_invalid(values)})
    connection = duckdb.connect()
    connection.register("data", table.assign(row=np.arange(len(values)), x=table["x"].astype("Float64")))
    parts = found.parts if len(found.parts) < 40 else found.parts[:: len(found.parts) // 40]
    for part in parts:
        rows = np.flatnonzero((found.code >= part.first) & (found.code <= part.last))
        told = connection.sql(f"select row from data where {part.term.condition} order by row").fetchnumpy()["row"]
        assert told.tolist() == rows.tolist(), part.term.condition
        assert len(rows)


def test_words_and_conditions_say_the_same_number():
    found = numeric("object_area", np.arange(4000.0), column="area", unit="pixel²")
    below = found.parts[5].term
    assert below.condition.startswith("area < ")
    edge = below.condition.removeprefix("area < ")
    assert below.words == f"object_area below {int(edge):,} pixel²"
    assert {one.term.name for one in found.parts} == {"object_area"}
    between = next(part for part in found.parts if not part.simple).term
    assert between.condition.count("area") == 2
    assert " from " in between.words


def test_bins_are_of_about_equal_count_and_numbers_are_short():
    found = numeric("x", np.random.default_rng(0).random(20_000))
    share = np.bincount(found.code) / 20_000
    assert len(share) == 22
    assert share.max() < 0.11
    assert max(len(part.term.condition) for part in found.parts if part.simple) <= len("x >= 0.125")


def test_constants_have_no_parts_and_missing_values_one():
    assert numeric("x", np.ones(50)) is None
    assert numeric("x", np.full(50, np.nan)) is None
    assert numeric("x", np.zeros(0)) is None
    found = numeric("x", np.array([1.0] * 30 + [np.nan] * 20))
    assert [part.term.condition for part in found.parts] == ["x is null"]
    assert (found.code == found.parts[0].first).sum() == 20


def test_categories_keep_the_frequent_values():
    codes = np.repeat(np.arange(100), np.arange(1, 101))
    found = category("class", codes, [Term("class", f"class = '{i}'", f"class {i}") for i in range(100)])
    assert len(found.parts) == MOST_VALUES
    for part in found.parts:
        rows = np.flatnonzero(found.code == part.first)
        assert {f"class = '{code}'" for code in codes[rows]} == {part.term.condition}
    assert category("class", np.zeros(9, np.int64), [Term("class", "a", "a")]) is None
    assert category("class", np.full(9, -1), [Term("class", "a", "a")]) is None
