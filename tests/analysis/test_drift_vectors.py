"""Vectors of two sets: discrepancy and classifier against loops, p-values under no drift, groups, and the frames found."""

import numpy as np
import pandas as pd
import pytest
import torch
from reference import drift as obvious
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from gpu_quality.analysis.drift_frames import nearest, others, ranked, unusual
from gpu_quality.analysis.drift_units import exchanged, units
from gpu_quality.analysis.drift_vectors import _folds, discrepancy, domain


def cloud(a: np.ndarray, b: np.ndarray, permutations: int = 199, groups=None, seed: int = 0):
    of = units(*(groups or (np.arange(len(a)), np.arange(len(b)))), permutations=1, seed=seed)
    return torch.from_numpy(np.concatenate([a, b])), of, exchanged(of.current, permutations, seed)


def test_discrepancy_is_that_of_loops():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(13, 4)), rng.normal(0.7, 1, size=(17, 4))
    found = discrepancy(*cloud(a, b))
    assert found.mmd2 == pytest.approx(obvious.mmd2(a, b))
    assert found.p < 0.05


@pytest.mark.parametrize("d", [3, 60])
def test_classifier_is_that_of_loops(d):
    rng = np.random.default_rng(d)
    a, b = rng.normal(size=(21, d)), rng.normal(0.4, 1, size=(26, d))
    points, of, drawn = cloud(a, b)
    found = domain(points, of, drawn, seed=4)
    side, fold = np.arange(47) >= 21, _folds(47, 4)
    scores = obvious.ridge_scores(points.numpy(), side.astype(float), fold)
    assert np.allclose(found.scores, scores, atol=1e-5)
    assert found.auc == pytest.approx(obvious.area(scores, side, fold))
    assert found.low < found.auc < found.high


def test_classifier_is_as_good_as_logistic_regression():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 20)), rng.normal(size=(200, 20))
    b[:, :3] += 0.6
    points, of, drawn = cloud(a, b, 19)
    side = np.arange(400) >= 200
    peer = cross_val_predict(
        LogisticRegression(), points.numpy(), side, cv=StratifiedKFold(5, shuffle=True, random_state=0), method="predict_proba"
    )
    assert domain(points, of, drawn).auc == pytest.approx(roc_auc_score(side, peer[:, 1]), abs=0.03)


def test_interval_is_that_of_delong():
    """The variance behind the interval is the sum of the variances of placements, which a bootstrap of the scores meets."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    b[:, 0] += 1
    points, of, drawn = cloud(a, b, 1)
    found, side = domain(points, of, drawn), np.arange(600) >= 300
    spread = np.std([roc_auc_score(side[i], found.scores[i]) for i in (rng.integers(0, 600, 600) for _ in range(300))])
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(spread, rel=0.25)


def test_no_drift_gives_uniform_p():
    rng = np.random.default_rng(0)
    found = []
    for seed in range(80):
        points, of, drawn = cloud(rng.normal(size=(24, 10)), rng.normal(size=(18, 10)), 99, seed=seed)
        found.append((discrepancy(points, of, drawn).p, domain(points, of, drawn, seed=seed).p))
    for p in zip(*found, strict=True):
        assert stats.kstest(np.array(p) - rng.random(80) / 100, "uniform").pvalue > 0.001


def test_copies_do_not_make_sets_look_different():
    """Ten copies of each of twelve pictures: apart they would be recognized, by groups they are not."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(12), 10)
    a, b = (rng.normal(size=(12, 30))[group] + 0.01 * rng.normal(size=(120, 30)) for _ in range(2))
    leaking = domain(*cloud(a, b))
    honest = cloud(a, b, groups=(group, group))
    assert leaking.auc > 0.95
    assert abs(domain(*honest).auc - 0.5) < 0.35
    assert domain(*honest).p > 0.02
    assert discrepancy(*cloud(a, b)).p < 0.02
    assert discrepancy(*honest).p > 0.02


def test_equal_vectors_and_sets_that_are_apart():
    same = cloud(np.ones((12, 3)), np.ones((15, 3)))
    assert discrepancy(*same).mmd2 == pytest.approx(0, abs=1e-12)
    assert discrepancy(*same).p == 1
    assert (domain(*same).auc, domain(*same).p) == (0.5, 1)
    rng = np.random.default_rng(0)
    apart = domain(*cloud(rng.normal(size=(12, 3)), rng.normal(20, 1, size=(12, 3))))
    assert apart.auc == apart.high == 1
    assert 0.8 < apart.low < 1, "24 frames prove nothing to be perfect"


def test_ranks_and_missing_values_as_points():
    table = pd.DataFrame({"a": [1.0, 2, 2, 9], "b": [5.0] * 4, "c": [np.nan, 1, 2, 3]})
    found = ranked(table, table).numpy()
    assert found[:, 0].tolist() == [-0.375, 0, 0, 0.375]
    assert found.shape == (4, 3), "a, c, and whether c is missing; b is constant"
    assert found[0, 1] == 0
    assert found[:, 2].tolist() == [0.75, -0.25, -0.25, -0.25]
    assert ranked(table, pd.DataFrame({"a": [100.0], "b": [0.0], "c": [0.0]})).tolist() == [[0.5, -0.5, -0.25]]
    assert ranked(table[["b"]], table[["b"]]).shape == (4, 0)


def test_rows_that_were_not_compared_are_scored_alike():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(np.concatenate([rng.normal(size=(50, 5)), rng.normal(1, 1, size=(50, 5))]))
    side = (torch.arange(100) >= 50).float()
    new = torch.from_numpy(np.concatenate([rng.normal(size=(200, 5)), rng.normal(1, 1, size=(200, 5))]))
    scores = others(x, side, new)
    assert roc_auc_score(np.arange(400) >= 200, scores.numpy()) > 0.8


def test_unusual_measures_are_in_the_tails_of_the_reference():
    reference = pd.DataFrame({"a": np.arange(100.0), "b": np.arange(100.0), "flat": np.zeros(100), "none": np.nan})
    rows = pd.DataFrame({"a": [50.0, -200, 97], "b": [50.0, 120, np.nan], "flat": [0.0, 3, 0], "none": [1.0, 1, 1]})
    found = unusual(reference, rows)
    assert found[0] == []
    assert [one["measure"] for one in found[1]] == ["a", "b", "flat"]
    assert [one["quantile"] for one in found[1]] == [0, 1, 1]
    assert found[1][0]["distance"] == pytest.approx((24.75 + 200) / 49.5)
    assert found[1][2]["distance"] is None
    assert [(one["measure"], one["quantile"]) for one in found[2]] == [("a", 0.975)]


def test_the_nearest_vector():
    row, cosine = nearest(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    assert row.tolist() == [1]
    assert cosine[0] == pytest.approx(0.5**0.5)
