"""Outliers by each rule, against the definitions on random and on awkward values."""

import numpy as np
import pytest
from reference import importance as obvious

from gpu_quality.analysis.outliers import COLUMNS, NONE, outliers
from gpu_quality.errors import UnknownNameError, UsageError


def heavy(seed: int, n: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(2, n)


def test_quartiles() -> None:
    x = heavy(0)
    q1, q3 = np.percentile(x, [25, 75])
    found = outliers(x)
    outside = (x < q1 - 1.5 * (q3 - q1)) | (x > q3 + 1.5 * (q3 - q1))
    assert sorted(found.row) == np.flatnonzero(outside).tolist()
    far = (x < q1 - 2.5 * (q3 - q1)) | (x > q3 + 2.5 * (q3 - q1))
    assert sorted(found.row[found.severity == "severe"]) == np.flatnonzero(far).tolist()
    np.testing.assert_allclose(found.distance, np.maximum(q1 - found.value, found.value - q3))
    assert found.distance.is_monotonic_decreasing
    assert far.any()
    assert (found.severity == "moderate").any()


def test_values_on_a_bound_are_none() -> None:
    x = np.array([0.0, 1, 2, 3, 4, -2, 6])  # quartiles 0.5 and 3.5, bounds -4 and 8
    assert outliers(x).empty
    assert outliers(np.append(x[:-2], [-3.0, 7.0])).empty
    assert outliers([0.0] * 50 + [1.0]).empty  # range 0
    assert outliers([-4.0, 0, 1, 2, 3, 4, 4, 0]).empty


def test_modified_z() -> None:
    x = heavy(1)
    score = 0.6745 * np.abs(x - np.median(x)) / np.median(np.abs(x - np.median(x)))
    found = outliers(x, rule="modified_z")
    assert sorted(found.row) == np.flatnonzero(score > 3.5).tolist()
    tied = np.array([5.0] * 60 + [5.1, 9.0])
    score = 0.6745 * np.abs(tied - 5) / np.abs(tied - 5).mean()
    assert sorted(outliers(tied, rule="modified_z").row) == np.flatnonzero(score > 3.5).tolist() == [61]
    assert outliers([3.0] * 9, rule="modified_z").empty
    assert set(found.severity) == {"outlier"}


MODE = [0.0] * 60
CASES = {
    "symmetric": heavy(2),
    "skewed": np.exp(heavy(3, 200).clip(-5, 5)),
    "one side flat": np.concatenate([np.zeros(51), np.linspace(1, 5, 20), [80.0]]),
    "lower side flat": np.concatenate([np.zeros(30), np.linspace(0, 9, 29), [60.0]]),
    "mode, ten others": np.array(MODE + list(np.linspace(0.1, 30, 10))),
    "mode, many others": np.array(MODE + list(np.geomspace(0.01, 30, 25))),
    "mode, others on both sides": np.array(MODE + list(np.linspace(-3, 3, 12)) + [90.0]),
    "mode, others far away": np.array(MODE + [50.0] * 12),
    "three": np.array([1.0, 2, 900]),
}


@pytest.mark.parametrize("case", CASES)
def test_adaptive(case: str) -> None:
    x = CASES[case]
    low, high = obvious.adaptive_bounds(x)
    found = outliers(x, rule="adaptive")
    assert sorted(found.row) == np.flatnonzero((x < low) | (x > high)).tolist()
    if len(found):
        assert (found.low[0], found.high[0]) == pytest.approx((low, high))
    assert bool(len(found)) is (case in FINDS)


FINDS = {"symmetric", "skewed", "one side flat", "lower side flat", "mode, many others", "mode, others on both sides",
         "mode, ten others", "mode, others far away"}  # fmt: skip


def test_two_values_have_no_adaptive_outliers() -> None:
    assert outliers([1.0, 900.0], rule="adaptive").empty
    assert outliers([7.0] * 40, rule="adaptive").empty


@pytest.mark.parametrize("rule", ["iqr", "modified_z", "adaptive"])
def test_groups_are_judged_alone(rule: str) -> None:
    x, group = np.concatenate([heavy(4), 100 + heavy(5)]), np.repeat(["b", "a"], 400)
    mixed = np.random.default_rng(0).permutation(800)
    found = outliers(x[mixed], rule=rule, groups=group[mixed])
    expected = {
        int(mixed.argsort()[400 * part + row]) for part in (0, 1) for row in outliers(x[400 * part :][:400], rule=rule).row
    }
    assert set(found.row) == expected
    assert found.attrs["groups"] == ["a", "b"]
    assert [found.attrs["groups"][g] for g in found.group] == group[mixed][found.row].tolist()
    assert found.distance.is_monotonic_decreasing


def test_nulls_are_counted_and_equal_distances_are_ordered_by_row() -> None:
    x = np.array([0.0, 1, 2, 3, np.nan, 40, -37, np.inf, 40])
    found = outliers(np.concatenate([x, np.arange(4) / 1.0]))
    assert found.attrs["missing"] == 2
    assert found.row.tolist() == [6, 5, 8]
    assert outliers([None, np.nan]).empty
    assert outliers([]).columns.tolist() == list(COLUMNS)


def test_refusals() -> None:
    with pytest.raises(UnknownNameError, match="iqr, modified_z, adaptive"):
        outliers([1.0], rule="z")
    with pytest.raises(UsageError, match="groups has 2 rows"):
        outliers([1.0], groups=[1, 2])
    with pytest.raises(UsageError, match="not numeric"):
        outliers(["a"])


def test_excess_quantile_and_what_was_judged() -> None:
    x, group = np.concatenate([heavy(6), heavy(7), [4.0] * 5]), np.repeat(["b", "a", "c"], [400, 400, 5])
    found = outliers(x, groups=group)
    assert (found.excess > 1).all()
    assert ((found.excess > 2.5 / 1.5) == (found.severity == "severe")).all()
    for row in found.head(20).itertuples():
        own = x[group == group[row.row]]
        assert row.quantile == (own <= row.value).mean()
        q1, q3 = np.percentile(own, [25, 75])
        assert row.excess == pytest.approx(row.distance / (1.5 * (q3 - q1)))
    judged = found.attrs["judged"]
    assert [(of.known, of.why_none) for of in judged] == [(400, ""), (400, ""), (5, "all values are equal")]
    assert [of.outside for of in judged] == np.bincount(found.group, minlength=3).tolist()
    assert judged[2].bounds == NONE
    whys = [outliers(v, rule=r).attrs["judged"][0].why_none for v, r in WHY]
    assert whys == ["no values", "one value only", "the interquartile range is 0", "fewer than three values", ""]


WHY = [([], "iqr"), ([1.0], "iqr"), ([0.0] * 50 + [1.0], "iqr"), ([1.0, 2.0], "adaptive"), ([0.0] * 50 + [1.0], "adaptive")]
