"""Importance on data with known answers, against its definition, and against scikit-learn and scipy."""

import numpy as np
import pandas as pd
import pytest
import torch
from reference import importance as obvious
from scipy import stats

from gpu_quality.analysis.correlation import redundant
from gpu_quality.analysis.importance import importance
from gpu_quality.analysis.importance_rows import iou_levels, levels
from gpu_quality.functional.inference import benjamini_hochberg
from gpu_quality.kernels.ranks.coding import hashed

FAST = {"permutations": 99, "half_samples": 20}
N = 2000


def logistic(seed: int, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return x, (rng.random(n) < 1 / (1 + np.exp(-2 * x))).astype(int)


def one(x: np.ndarray, y: np.ndarray, **options: object) -> pd.Series:
    return importance(pd.DataFrame({"m": x}), y, **(FAST | options)).iloc[0]


def positions(x: np.ndarray, seed: int = 0) -> np.ndarray:
    hashes = hashed(np.arange(len(x)), seed)
    order = np.lexsort((hashes, x))
    out = np.empty(len(x), np.int64)
    out[order] = (np.arange(len(x)) << 20) + (hashes[order] & np.uint64((1 << 20) - 1)).astype(np.int64)
    return out


@pytest.mark.parametrize("distinct", [0, 4])
@pytest.mark.parametrize("outcomes", [2, 5])
def test_the_definition(distinct: int, outcomes: int) -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, distinct, 300).astype(float) if distinct else rng.normal(size=300)
    y = np.clip(np.round(x + rng.normal(size=300)), 0, outcomes - 1)
    found = one(x, y)
    mutual, share = obvious.importance(positions(x), y)
    assert found.mi_nats == pytest.approx(mutual, abs=1e-9)
    assert found.importance == pytest.approx(share, abs=1e-9)


def test_checked_values() -> None:
    x, y = logistic(0)
    rng = np.random.default_rng(1)
    values = [one(*logistic(seed), half_samples=1, permutations=1).importance for seed in range(20)]
    assert np.mean(values) == pytest.approx(0.34, abs=0.02)
    raw = [one(rng.normal(size=N), y, half_samples=1, permutations=1).mi_nats for _ in range(20)]
    assert abs(np.mean(raw)) < 0.005
    assert np.std(raw) < 0.014
    assert one(x, x > 0).importance == pytest.approx(0.999, abs=0.001)
    assert one(x, np.abs(x) < np.median(np.abs(x))).importance == pytest.approx(0.998, abs=0.001)


def test_a_copy_of_the_outcome_and_noise() -> None:
    _, y = logistic(4)
    noise = np.random.default_rng(5).normal(size=N)
    table = importance(pd.DataFrame({"noise": noise, "copy": y, "bool": y > 0}), y, **FAST).set_index("metric")
    assert (table.loc[["copy", "bool"], "importance"] > 0.99).all()
    assert table.importance["noise"] < 0.03
    assert table.p["noise"] > 0.05
    assert table.p["copy"] == 0.01


def test_correlation_misses_what_importance_sees() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=N)
    found = one(x, np.abs(x) < 0.7)
    assert abs(found.spearman) < 0.1
    assert found.importance > 0.98
    assert found.p == 0.01
    monotone = one(x, x > 0.3)
    assert monotone.spearman > 0.8
    assert monotone.importance > 0.98


@pytest.mark.parametrize("level", ["P", "F"])
def test_p_of_independent_metrics_is_uniform(level: str) -> None:
    rng = np.random.default_rng(6)
    frame = rng.integers(0, 100, 400)
    rate = rng.random(100)
    y = rng.random(400) < rate[frame]  # outcomes of a frame resemble each other
    values = rng.normal(size=(100, 60))[frame] if level == "F" else rng.normal(size=(400, 60))
    values[:, ::2] = np.round(values[:, ::2])  # heavy ties
    found = importance(pd.DataFrame(values), y, frames=frame, level=level, permutations=199, half_samples=2)
    for p in (found.p, benjamini_hochberg(torch.tensor(found.p.to_numpy()))):
        assert p.min() > 0.0005
    assert stats.kstest(found.p, "uniform").pvalue > 0.01
    assert 0.35 < found.p.mean() < 0.65
    assert 0 <= (found.p <= 0.1).mean() < 0.25


def test_frames_move_together() -> None:
    rng = np.random.default_rng(8)
    frame = np.repeat(np.arange(20), 100)
    bright = rng.normal(size=20)[frame]
    y = rng.random(2000) < rng.random(20)[frame]  # differs by frame, not by brightness
    naive = importance(pd.DataFrame({"m": bright}), y, level="P", frames=frame, **FAST).iloc[0]
    right = importance(pd.DataFrame({"m": bright}), y, level="F", frames=frame, **FAST).iloc[0]
    assert naive.p == 0.01
    assert right.p > 0.05
    assert naive.importance == right.importance


def test_interval_covers_and_shrinks() -> None:
    truth = 0.333
    wide = []
    for n in (300, 3000):
        found = [one(*logistic(seed, n), permutations=1, half_samples=100) for seed in range(12)]
        assert sum(f.low <= truth <= f.high for f in found) >= 9
        assert all(f.low <= f.importance <= f.high for f in found)
        wide.append(np.mean([f.high - f.low for f in found]))
    assert wide[1] < wide[0] / 2


def test_confounded_pair_is_redundant_and_both_matter() -> None:
    rng = np.random.default_rng(9)
    x, y = logistic(9)
    pair = pd.DataFrame({"cause": x, "shadow": -x + 0.1 * rng.normal(size=N), "noise": rng.normal(size=N)})
    found = importance(pair, y, **FAST)
    assert set(found.metric[:2]) == {"cause", "shadow"}
    close = redundant(pair)
    assert close[["first", "second"]].to_numpy().tolist() == [["cause", "shadow"]]
    assert close.spearman[0] == pytest.approx(pair.corr("spearman").loc["cause", "shadow"], abs=1e-12)


def test_99_percent_missing() -> None:
    x, y = logistic(12, 20_000)
    found = one(np.where(np.arange(20_000) % 100 == 0, x, np.nan), y)
    assert (found.n_used, found.message) == (200, "99 % of the values are missing")
    assert found.low < 0.34 < found.high


def test_heavy_ties_and_integers() -> None:
    rng = np.random.default_rng(13)
    for values in (2, 3, 10):
        x = rng.integers(0, values, 4000)
        y = rng.random(4000) < 0.2 + 0.6 * (x == 0)
        truth = np.array([[(y & (x == v)).mean(), (~y & (x == v)).mean()] for v in range(values)])
        expected = (truth * np.log(truth / truth.sum(0) / truth.sum(1, keepdims=True))).sum()
        assert one(x, y).mi_nats == pytest.approx(expected, abs=0.02)


@pytest.mark.slow
def test_ties_of_many_rows_are_not_biased() -> None:
    rng = np.random.default_rng(14)  # fine positions repeat here: ties must not be ordered by them
    found = one(rng.integers(0, 2, 400_000), rng.random(400_000) < 0.3, permutations=5, half_samples=2)
    assert abs(found.mi_nats) < 0.003


def test_scikit_learn_finds_the_same_without_ties() -> None:
    from sklearn.feature_selection import mutual_info_classif

    for seed, outcomes in ((0, 2), (1, 4)):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=800)
        y = np.clip(np.round(x + 0.5 * rng.normal(size=800)), 0, outcomes - 1)
        peer = mutual_info_classif(positions(x)[:, None].astype(float), y, discrete_features=False, n_neighbors=3)
        assert one(x, y).mi_nats == pytest.approx(peer[0], abs=1e-3)  # the peer adds a little noise


@pytest.mark.parametrize("fine", [True, False])
def test_scipy_finds_the_same_correlations(fine: bool) -> None:
    x, y = logistic(15, 500)
    target = x + np.random.default_rng(0).normal(size=500) if fine else y
    tied = np.round(x, 1)
    found = one(tied, target)
    assert found.pearson == pytest.approx(stats.pearsonr(tied, target).statistic, abs=1e-12)
    assert found.spearman == pytest.approx(stats.spearmanr(tied, target).statistic, abs=1e-12)
    weak = one(np.random.default_rng(1).normal(size=500) + 0.05 * target, target, permutations=1999)
    x = np.random.default_rng(1).normal(size=500) + 0.05 * target
    assert weak.spearman_p_adjusted == pytest.approx(stats.spearmanr(x, target).pvalue, abs=0.04)


def test_same_seed_same_bytes_and_another_order_of_columns() -> None:
    x, y = logistic(16, 500)
    frame = np.arange(500) // 5
    metrics = pd.DataFrame({"a": x, "b": np.round(x), "c": x[5 * frame]})
    options = {"frames": frame, "level": {"c": "F"}, **FAST}
    first, second = importance(metrics, y, **options), importance(metrics[["c", "b", "a"]], y, **options)
    pd.testing.assert_frame_equal(first, second.set_index("metric").loc[first.metric].reset_index()[first.columns])
    assert not first.equals(importance(metrics, y, seed=1, **options))


def test_outcomes_in_tenths() -> None:
    assert np.bincount(levels(np.random.default_rng(0).random(1000))).tolist() == [100] * 10
    assert levels(np.array([3.0, -1, 3])).tolist() == [1, 0, 1]
    iou = np.concatenate([np.zeros(50), 0.5 + np.arange(100) / 200])
    assert np.bincount(iou_levels(iou, iou > 0)).tolist() == [50] + [10] * 10
    assert iou_levels(np.zeros(3), np.zeros(3)).tolist() == [0, 0, 0]


def test_permutations_of_frames_end_early_where_nothing_is_to_be_found():
    """Significant values are those of all permutations; the others are known to a seventh."""
    rng = np.random.default_rng(5)
    frames = np.repeat(np.arange(300), 2)
    y = (rng.random(600) < 0.1 + 0.8 * (frames < 150)).astype(float)
    metrics = pd.DataFrame({"place": frames.astype(float), **{f"chance_{i}": rng.random(300)[frames] for i in range(8)}})
    steps: list[int] = []
    early = importance(metrics, y, level="F", frames=frames, done=steps.append).set_index("metric")
    assert sum(steps) == 2 * metrics.shape[1]
    drawn = importance(metrics, y, level="F", frames=frames, permutations=1999).set_index("metric")
    assert early.loc["place", "p"] == drawn.loc["place", "p"] == 1 / 2000
    chance = [name for name in metrics if name != "place"]
    ratio = early.loc[chance, "p"] / drawn.loc[chance, "p"]
    assert ratio.between(0.6, 1.7).all()
    assert (ratio != 1).any()
    pd.testing.assert_frame_equal(
        early.drop(columns=["p", "p_adjusted", "spearman_p_adjusted"]).sort_index(),
        drawn.drop(columns=["p", "p_adjusted", "spearman_p_adjusted"]).sort_index(),
    )
