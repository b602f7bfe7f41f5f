"""Correlations with intervals: resamples against rows repeated as often as they were drawn."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gpu_quality.analysis.correlation import correlations, redundant
from gpu_quality.kernels import correlations as kernel
from gpu_quality.kernels.ranks.reference import draws


@pytest.mark.parametrize("fine", [True, False])
def test_resamples_are_repeated_rows(fine: bool) -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 20, 150).astype(np.int32)
    x = np.sort(np.round(rng.normal(size=150), 1))
    y = x + rng.normal(size=150) if fine else (x + rng.normal(size=150) > 0) * 1.0
    group = np.unique(y, return_inverse=True)[1].astype(np.int32)
    found = kernel.resampled(x, y, group, frame, frames=20, resamples=8, seed=3)
    for r in range(8):
        weight = np.bincount(draws(3, r, np.full(20, 20)), minlength=20)[frame]
        a, b = np.repeat(x, weight), np.repeat(y, weight)
        assert found[r, 0] == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-10)
        assert found[r, 1] == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-10)


def test_more_frames_than_one_block_of_random_numbers() -> None:
    rng = np.random.default_rng(4)
    x, frame = np.sort(rng.normal(size=1500)), rng.permutation(1500).astype(np.int32)
    y = x + rng.normal(size=1500) > 0
    found = kernel.resampled(x, y * 1.0, y.astype(np.int32), frame, frames=1500, resamples=3, seed=5)
    for r in range(3):
        weight = np.bincount(draws(5, r, np.full(1500, 1500)), minlength=1500)[frame]
        a, b = np.repeat(x, weight), np.repeat(y, weight)
        assert found[r].tolist() == pytest.approx([stats.pearsonr(a, b).statistic, stats.spearmanr(a, b).statistic], abs=1e-10)


def test_intervals_cover_and_know_of_frames() -> None:
    hits, wide = 0, []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=400)
        y = 0.5 * x + np.sqrt(0.75) * rng.normal(size=400)
        table = correlations(pd.DataFrame({"m": x}), y, seed=seed, resamples=200)
        hits += table.pearson_low[0] <= 0.5 <= table.pearson_high[0]
        wide.append(table.pearson_high[0] - table.pearson_low[0])
    assert 24 <= hits <= 30
    assert np.mean(wide) == pytest.approx(2 * 1.96 * 0.75 / 20, rel=0.15)
    twice = correlations(pd.DataFrame({"m": np.tile(x, 4)}), np.tile(y, 4), frames=np.tile(np.arange(400), 4), resamples=200)
    assert twice.pearson_high[0] - twice.pearson_low[0] == pytest.approx(wide[-1], rel=0.25)


def test_values_and_messages() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=200), np.arange(200) % 2
    table = correlations(
        pd.DataFrame({"x": x, "constant": 1.0, "none": np.nan, "few": np.where(np.arange(200) < 6, x, np.nan)}), y, resamples=50
    ).set_index("metric")
    assert table.pearson["x"] == pytest.approx(stats.pointbiserialr(y, x).statistic)
    assert table.spearman["x"] == pytest.approx(stats.spearmanr(x, y).statistic)
    assert table.spearman_low["x"] < table.spearman["x"] < table.spearman_high["x"]
    assert table.message.to_dict() == {
        "x": "", "constant": "constant", "none": "no rows", "few": "interval not computed: 6 frames, 10 needed",
    }  # fmt: skip
    rare = correlations(pd.DataFrame({"m": x}), np.isin(np.arange(200), (3, 4)), resamples=200)
    assert rare.message[0].startswith("interval not computed: undefined in ")
    assert rare.pearson_low.isna()[0]


def test_negative_pairs_are_redundant_too() -> None:
    x = np.random.default_rng(2).normal(size=100)
    found = redundant(pd.DataFrame({"a": x, "b": -(x**3), "c": x**2, "d": 2.0}))
    assert found[["first", "second", "spearman"]].to_numpy().tolist() == [["a", "b", pytest.approx(-1)]]
    assert redundant(pd.DataFrame({"a": [1.0, 2], "b": [1.0, 2]})).empty


def test_redundant_pairs_that_know_the_same_rows_and_others() -> None:
    rng = np.random.default_rng(3)
    x, gone = rng.normal(size=300), rng.random(300) < 0.3
    metrics = pd.DataFrame({"a": x, "b": x + 0.1 * rng.normal(size=300), "c": np.where(gone, np.nan, x)})
    metrics["d"] = metrics.c + 0.1 * rng.normal(size=300)
    found = redundant(metrics).set_index(["first", "second"])
    assert len(found) == 6
    for first, second in found.index:
        both = metrics[[first, second]].dropna()
        assert found.n[first, second] == len(both)
        expected = stats.spearmanr(both[first], both[second]).statistic
        assert found.spearman[first, second] == pytest.approx(expected, abs=1e-12)


def test_numbers_too_large_for_sums_of_squares_have_no_pearson_and_warn_of_nothing():
    values = np.resize([1e308, -1e308, 3.0, 1e308], 80)
    table = correlations(pd.DataFrame({"x": values}), np.arange(80) % 2, frames=np.arange(80))
    assert np.isnan(table["pearson"][0])
    assert table["spearman"][0] == pytest.approx(stats.spearmanr(values, np.arange(80) % 2).statistic)
