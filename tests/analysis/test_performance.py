"""Bins of equal count: what is in them, their intervals, and where performance is worst."""

import numpy as np
import pytest
from reference import importance as obvious

from gpu_quality.analysis.performance import by_class, performance
from gpu_quality.errors import UsageError


@pytest.mark.parametrize("kind", ["smooth", "tied", "skewed"])
def test_every_row_is_in_the_bin_that_holds_its_value(kind: str) -> None:
    rng = np.random.default_rng(0)
    x = {
        "smooth": rng.normal(size=2500),
        "tied": np.round(rng.normal(size=2500), 1),
        "skewed": rng.exponential(size=2500) ** 4,
    }[kind]
    hit, gone = rng.random(2500) < 0.7, rng.random(2500) < 0.1
    x[gone] = np.nan
    found = performance(x, hit)
    last = len(found.bins) - 1
    for i, row in enumerate(found.bins.itertuples()):
        inside = (x >= row.low) & ((x < row.high) | ((i == last) & (x == row.high)))
        assert (row.n, row.successes) == (inside.sum(), hit[inside].sum())
        assert row.median == pytest.approx(np.median(x[inside]))
        assert (row.rate_low, row.rate_high) == pytest.approx(obvious.wilson(row.successes, row.n))
        assert row.marked == (not row.rate_low <= found.mean <= row.rate_high)
    assert found.bins.n.sum() + found.missing["n"] == 2500
    assert found.missing["successes"] == hit[gone].sum()
    assert found.mean == pytest.approx(hit[~gone].mean())
    if kind != "tied":
        assert len(found.bins) == 50
        assert found.bins.n.max() - found.bins.n.min() <= 1


def test_number_of_bins() -> None:
    rng = np.random.default_rng(1)
    for n, bins in ((0, 0), (1, 1), (39, 1), (40, 2), (500, 25), (3000, 50)):
        assert len(performance(rng.normal(size=n), np.ones(n)).bins) == bins
    assert len(performance(rng.normal(size=100), np.ones(100), bins=7).bins) == 7


def test_few_values_get_a_bin_each_and_ties_are_not_split() -> None:
    x = np.repeat([5.0, 1, 3], [10, 200, 90])
    found = performance(x, x > 1)
    assert found.bins[["low", "median", "n", "successes"]].to_numpy().tolist() == [
        [1, 1, 200, 0],
        [3, 3, 90, 90],
        [5, 5, 10, 10],
    ]
    assert performance(np.full(500, 2.0), np.ones(500)).bins.n.tolist() == [500]
    half = np.concatenate([np.zeros(1000), np.random.default_rng(0).random(1000)])  # half of the values tied
    found = performance(half, np.ones(2000))
    assert found.bins.n.sum() == 2000
    assert found.bins.n[0] >= 1000


def test_weak_stretches() -> None:
    x = np.arange(1000.0)
    hit = np.ones(1000)
    hit[200:300] = 0
    hit[700:740] = 0
    found = performance(x, hit, bins=50)
    assert found.weak[["n", "successes", "rate"]].to_numpy().tolist() == [[100, 0, 0], [40, 0, 0]]
    assert found.weak.excess.tolist() == pytest.approx([86, 34.4])
    assert found.weak.below.tolist() == pytest.approx([0.86, 0.86])
    assert [rows.tolist() for rows in found.rows] == [list(range(200, 300)), list(range(700, 740))]
    assert len(performance(x, np.ones(1000)).weak) == 0


def test_rows_are_named_in_the_order_given() -> None:
    rng = np.random.default_rng(2)
    x = rng.permutation(400).astype(float)
    x[5] = np.nan
    found = performance(x, x >= 100, bins=4)
    assert all((x[rows] < found.weak.high[i]).all() for i, rows in enumerate(found.rows))
    assert len(found.rows[0]) == found.weak.n[0]


def test_given_edges() -> None:
    found = performance([0, 1, 2, 3, 9], [1, 0, 1, 1, 0], edges=[0, 2, 3])
    assert found.bins.n.tolist() == [2, 2]
    assert (found.n, found.mean) == (4, 0.75)
    empty = performance([1.0], [1], edges=[5, 6]).bins
    assert empty.n.tolist() == [0]
    assert empty[["rate", "rate_low", "median"]].isna().all(axis=None)


def test_classes_share_edges_and_small_ones_are_listed() -> None:
    rng = np.random.default_rng(3)
    x, hit = rng.normal(size=1000), rng.random(1000) < 0.5
    class_id = np.repeat([7, 2, 4], [600, 381, 19])
    whole = performance(x, hit)
    found, few = by_class(x, hit, class_id, whole.edges)
    assert (set(found), few) == ({2, 7}, {4: 19})
    assert found[7].n == 600
    assert found[2].mean == pytest.approx(hit[600:981].mean())
    bad = np.where((class_id == 2) & (x < -0.5), 0, 1)
    rows = by_class(x, bad, class_id, [-10, -0.5, 10])[0][2].rows[0]
    assert rows.tolist() == np.flatnonzero(bad == 0).tolist()
    assert by_class([], [], [], [0, 1]) == ({}, {})


def test_nothing_known() -> None:
    found = performance([np.nan, None], [1, 0])
    assert (found.n, len(found.bins), found.missing["rate"]) == (0, 0, 0.5)
    assert np.isnan(found.mean)


def test_refusals() -> None:
    for call in (
        lambda: performance([1, 2], [1]),
        lambda: performance([1, 2], [1, 2]),
        lambda: performance([1, 2], [1, np.nan]),
        lambda: performance([1, 2], [1, 0], bins=0),
        lambda: performance([1, 2], [1, 0], edges=[1, 1, 2]),
        lambda: performance([1, 2], [1, 0], edges=[2, 1]),
        lambda: performance([1, 2], [1, 0], edges=[1]),
        lambda: by_class([1, 2], [1, 0], [1], [0, 1]),
    ):
        with pytest.raises(UsageError):
            call()
