"""Distances of two samples against loops and scipy, p-values that hold under no drift, and values that are no numbers."""

import warnings

import numpy as np
import pandas as pd
import pytest
from reference import drift as obvious
from scipy import stats

from gpu_quality.analysis.drift import LIMIT, distances, drift, histograms, stability
from gpu_quality.analysis.drift_units import proportions_p, units
from gpu_quality.errors import UsageError


def samples(kind: str, n: int, m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "smooth": (rng.normal(size=n), rng.normal(0.3, 1.2, size=m)),
        "tied": (rng.integers(0, 4, n).astype(float), rng.integers(1, 5, m).astype(float)),
        "mass": (np.where(rng.random(n) < 0.7, 0.0, rng.random(n)), np.where(rng.random(m) < 0.3, 0.0, rng.random(m) - 0.2)),
        "constant": (np.full(n, 2.0), np.full(m, 2.0)),
        "two constants": (np.full(n, 2.0), np.full(m, 1.0)),
        "huge": (rng.normal(size=n) * 1e150, rng.normal(size=m) * 1e150),
    }[kind]


def one(a: np.ndarray, b: np.ndarray, **options) -> pd.Series:
    return drift(pd.DataFrame({"x": a}), pd.DataFrame({"x": b}), **options).iloc[0]


@pytest.mark.parametrize("kind", ["smooth", "tied", "mass", "constant", "two constants", "huge"])
@pytest.mark.parametrize(("n", "m"), [(45, 61), (20, 210), (5, 5)])
def test_distances_are_those_of_loops_and_of_scipy(kind, n, m):
    a, b = samples(kind, n, m)
    found = distances(np.sort(a), np.sort(b))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of p = 1 + rounding, which scipy calls a failure
        peer = stats.ks_2samp(a, b, method="exact")
    assert found["ks"] == pytest.approx(obvious.ks(a, b))
    assert found["ks"] == pytest.approx(peer.statistic)
    assert found["shift"] == pytest.approx(obvious.shift(a, b))
    assert found["wasserstein"] == pytest.approx(obvious.wasserstein(a, b))
    assert found["wasserstein"] == pytest.approx(stats.wasserstein_distance(a, b))
    spread = max(stats.iqr(a), a.std())
    if spread:
        assert found["wasserstein_scaled"] == pytest.approx(found["wasserstein"] / spread)
    else:
        assert (found["wasserstein_scaled"] == 0) == (found["wasserstein"] == 0)
    assert one(a, b).p == pytest.approx(peer.pvalue)
    if min(n, m) >= 20:
        assert stability(np.sort(a), np.sort(b))[0] == pytest.approx(obvious.psi(a, b))


def test_large_samples_agree_with_the_asymptotic_p_of_scipy():
    rng = np.random.default_rng(3)
    for move in (0.0, 0.01, 0.03):
        a, b = rng.normal(size=30_000), rng.normal(move, 1, size=40_000)
        assert one(a, b).p == pytest.approx(stats.ks_2samp(a, b, method="asymp").pvalue, rel=0.02)


def test_no_drift_gives_uniform_p_and_few_findings():
    rng = np.random.default_rng(0)
    table = drift(pd.DataFrame(rng.normal(size=(300, 400))), pd.DataFrame(rng.normal(size=(200, 400))))
    assert stats.kstest(table["p"], "uniform").pvalue > 0.001
    assert table["drifts"].sum() == 0
    assert (table["band"] == "none").mean() > 0.9
    assert 0.02 < (table["psi"] > table["psi_chance"]).mean() < 0.09, "the bound on PSI leaves out 95 % of chance"


def test_planted_shifts_are_found_and_nothing_else():
    rng = np.random.default_rng(1)
    first, second = (pd.DataFrame(rng.normal(size=(500, 30))).add_prefix("m") for _ in range(2))
    second["m3"] += 0.5
    second["m7"] *= 2
    second["m11"] -= 2
    table = drift(first, second)
    assert set(table.loc[table["drifts"], "metric"]) == {"m3", "m7", "m11"}
    assert table["metric"][0] == "m11"
    found = table.set_index("metric")
    assert found.loc["m3", "shift"] > 0.2
    assert found.loc["m11", "shift"] < -0.8
    assert abs(found.loc["m7", "shift"]) < 0.1
    assert found.loc["m11", "band"] == "large"
    assert found["p_adjusted"].ge(found["p"]).all()


def test_a_tiny_shift_of_many_rows_is_significant_but_no_drift():
    rng = np.random.default_rng(2)
    found = one(rng.normal(size=50_000), rng.normal(0.05, 1, size=50_000))
    assert found.p_adjusted < 1e-6
    assert not found.drifts
    assert one(rng.normal(size=50_000), rng.normal(0.05, 1, size=50_000), least=0.01).drifts


def test_flags_are_shares():
    first, second = pd.DataFrame({"f": [1] * 30 + [0] * 70}), pd.DataFrame({"f": [1] * 60 + [0] * 40})
    found = drift(first, second, flags=["f"]).iloc[0]
    assert (found.kind, found.median_reference, found.median_current) == ("flag", 0.3, 0.6)
    assert found.ks == pytest.approx(0.3)
    pooled = np.sqrt(0.45 * 0.55 * 2 / 100)
    assert found.p == pytest.approx(2 * stats.norm.sf(0.3 / pooled))
    rare = drift(pd.DataFrame({"f": [1, 0] + [0] * 98}), pd.DataFrame({"f": [1] * 7 + [0] * 93}), flags=["f"]).iloc[0]
    assert rare.p == pytest.approx(stats.fisher_exact([[1, 7], [99, 93]]).pvalue)
    some = pd.DataFrame({"f": [1.0] * 20 + [0] * 20 + [np.nan] * 10})
    assert drift(some, second, flags=["f"]).iloc[0].p == pytest.approx(proportions_p((0.5, 0.6), (40.0, 100.0)))


def test_missing_values_are_left_out_counted_and_told_where_their_share_changed():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=1000), rng.normal(size=1000)
    b[:990] = np.nan
    found = one(a, b)
    assert (found.n_current, found.missing_current, found.missing_reference) == (10, 990, 0)
    assert found.p == pytest.approx(stats.ks_2samp(a, b[990:]).pvalue)
    assert np.isnan(found.psi)
    assert found.message == "fewer than 20 values on a side: no PSI; 99.0% have no value, 0.0% in the reference"
    a[:5], b = np.inf, rng.normal(size=1000)
    assert one(a, b).missing_reference == 5


def test_few_values_are_told_not_raised():
    found = one(np.array([1.0]), np.arange(50.0))
    assert found.message == "1 value in reference: too few to compare"
    assert np.isnan(found.ks)
    assert not found.drifts
    assert one(np.zeros(0), np.zeros(0)).message == "0 values in reference and 0 values in current: too few to compare"
    empty = drift(pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]}))
    assert len(empty) == 0
    assert (empty.attrs["only_reference"], empty.attrs["only_current"]) == (["a"], ["b"])


def test_rows_of_one_video_are_no_evidence_of_their_own():
    """Fifty frames of each of a few videos: frames alone would find drift in nearly everything."""
    rng = np.random.default_rng(0)
    video = np.repeat(np.arange(10), 50)

    def table():
        return pd.DataFrame(rng.normal(size=(10, 40))[video] + 0.1 * rng.normal(size=(500, 40)))

    first, second = table(), table()
    assert (drift(first, second)["p"] < 0.05).mean() > 0.9
    grouped = drift(first, second, groups=(video, video))
    assert 0 < (grouped["p"] < 0.05).mean() < 0.15
    assert not grouped["drifts"].any()
    assert drift(first, second + 4, groups=(video, video))["drifts"].all()
    assert grouped.attrs["permutations"] == 2 * 40 / LIMIT


def test_permutations_come_near_every_exchange():
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(9), [1, 4, 2, 3, 5, 1, 2, 2, 4])
    values = rng.normal(size=9)[group] + rng.normal(size=24)
    second = group >= 4
    all_of_them = [obvious.ks(values[~s[group]], values[s[group]]) for s in obvious.every_exchange((4, 5))]
    exact = np.mean(np.array(all_of_them) >= obvious.ks(values[~second], values[second]) - 1e-9)
    found = one(values[~second], values[second], groups=(group[~second], group[second]), permutations=4000)
    assert found.p == pytest.approx(exact, abs=0.03)


def test_very_many_groups_count_as_fewer_rows():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(2100), 3)
    table = [pd.DataFrame(rng.normal(size=(2100, 40))[group]) for _ in range(2)]
    found = drift(*table, groups=(group, group))
    assert found.attrs["permutations"] == 0
    assert stats.kstest(found["p"], "uniform").pvalue > 0.001
    assert stats.kstest(drift(*table)["p"], "uniform").pvalue < 0.001
    of = units(group, group, permutations=1, seed=0)
    assert of.count(np.ones(len(of.of), bool), side=True) == 2100


def test_what_makes_no_sense_is_refused():
    table = pd.DataFrame({"a": [1.0, 2]})
    with pytest.raises(UsageError, match="groups of current have 1 rows and its table 2"):
        drift(table, table, groups=([1, 2], [1]))
    with pytest.raises(UsageError, match="-1 permutations"):
        drift(table, table, permutations=-1)
    with pytest.raises(UsageError, match="a is not numeric"):
        drift(table, pd.DataFrame({"a": ["x", "y"]}))


def test_values_below_a_common_largest_one_are_seen():
    first, second = np.array([255.0] * 40 + [250.0] * 10), np.linspace(100, 240, 50)
    assert stability(np.sort(first), second)[0] > 1
    assert stability(np.full(50, 3.0), np.full(50, 2.0))[0] > 1
    assert stability(np.full(50, 3.0), np.full(50, 4.0))[0] > 1
    assert stability(np.full(50, 3.0), np.full(50, 3.0))[0] == 0


def test_histograms_share_their_bins():
    found = histograms(np.array([0.0, 1, np.nan]), np.array([1.0, 1, 2]))
    assert found is not None
    assert (sum(found["reference"]), sum(found["current"])) == (2, 3)
    assert found["current"][-1] == 1
    assert histograms(np.array([np.nan]), np.zeros(0)) is None
    assert sum(histograms(np.full(3, 5.0), np.full(4, 5.0))["current"]) == 4


def test_the_largest_numbers_there_are_warn_of_nothing():
    values = np.resize([1e308, -1e308, 3.0, 1e-300], 40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = drift(pd.DataFrame({"x": values}), pd.DataFrame({"x": -values}))
        told = histograms(values, -values)
    assert table["ks"][0] == pytest.approx(stats.ks_2samp(values, -values).statistic)
    assert sum(told["reference"]) == sum(told["current"]) == 40
    assert told["reference"][0] == told["reference"][-1] == 10
