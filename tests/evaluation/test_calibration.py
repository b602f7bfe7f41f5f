"""Calibration against plain loops, scikit-learn, its worked value and its resamples."""

import math

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.calibration import equal_width_edges, reliability, resampled_calibration
from gpu_quality.evaluation.resampling import resample
from gpu_quality.functional.inference import wilson
from tests.reference import figures as slow


def of(confidence, correct, **options):
    return reliability(torch.tensor(confidence, dtype=torch.float64), torch.tensor(correct, dtype=torch.bool), **options)


def test_worked_value():
    got = of([0.9, 0.9, 0.6, 0.6], [1, 0, 1, 1])
    assert got.ece == pytest.approx(0.4)
    assert got.mce == pytest.approx(0.4)
    assert got.gap == pytest.approx(0.0)
    assert got.brier == pytest.approx((0.01 + 0.81 + 0.16 + 0.16) / 4)
    assert got.count.tolist() == [0, 0, 0, 0, 0, 0, 2, 0, 0, 2]
    assert got.accuracy.isnan().sum() == 8  # empty bins are there, and not 0
    assert got.accuracy[[6, 9]].tolist() == [1.0, 0.5]
    low, high = wilson(torch.tensor([2, 1]), torch.tensor([2, 2]))
    assert torch.equal(got.low[[6, 9]], low)
    assert torch.equal(got.high[[6, 9]], high)


@pytest.mark.parametrize("bins", [1, 7, 10, 15])
def test_equals_plain_loops_on_edges_and_between(bins):
    rng = np.random.default_rng(bins)
    confidence = np.concatenate([rng.random(200), np.arange(bins + 1) / bins, np.arange(101) / 100])
    correct = rng.random(len(confidence)) < confidence
    got = of(confidence, correct, bins=bins)
    ece, mce = slow.calibration(confidence.tolist(), correct.tolist(), bins)
    assert (got.ece, got.mce) == (pytest.approx(ece, abs=1e-12), pytest.approx(mce, abs=1e-12))
    assert int(got.count.sum()) == len(confidence)


@pytest.mark.parametrize("equal_count", [False, True])
def test_curve_and_brier_equal_scikit_learn(equal_count):
    rng = np.random.default_rng(9)
    confidence = rng.random(500)  # no value on an edge: scikit-learn closes bins on the right
    correct = rng.random(500) < confidence**2
    got = of(confidence, correct, equal_count=equal_count)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=10, strategy="quantile" if equal_count else "uniform")
    np.testing.assert_allclose(got.accuracy, accuracy, atol=0.02 if equal_count else 1e-12)
    np.testing.assert_allclose(got.confidence, mean, atol=0.02 if equal_count else 1e-12)
    assert got.brier == pytest.approx(brier_score_loss(correct, confidence))
    assert got.gap == pytest.approx((confidence - correct).mean())


def test_equal_count_bins_do_not_split_equal_values():
    got = of([0.5] * 60 + [0.1, 0.2, 0.3, 0.9], [True] * 64, equal_count=True)
    assert int(got.count.sum()) == 64
    assert int(got.count.max()) >= 60
    alone = of([0.7] * 5, [True] * 5, equal_count=True)
    assert alone.count.tolist() == [5]
    assert alone.ece == pytest.approx(0.3)


def test_nothing_is_undefined():
    for equal_count in (False, True):
        got = of([], [], equal_count=equal_count)
        assert (got.n, got.ece, got.mce, got.gap, got.brier) == (0, None, None, None, None)
        assert got.confidence.isnan().all()
    assert len(of([], []).count) == 10


def test_confidence_beyond_the_range_is_in_the_outer_bins():
    assert of([-0.5, 1.5], [False, True]).count.tolist() == [1] + [0] * 8 + [1]


def test_missing_confidence_is_refused():
    with pytest.raises(UsageError, match="1 of 2 have none, the first is in row 1"):
        of([0.5, math.nan], [True, True])
    with pytest.raises(UsageError, match="at least one bin; got 0"):
        of([0.5], [True], bins=0)


def test_edges_are_the_nearest_doubles():
    assert equal_width_edges(10).tolist() == [i / 10 for i in range(11)]


def test_resamples_equal_repeated_images():
    rng = np.random.default_rng(1)
    units, n = 15, 80
    unit = torch.from_numpy(rng.integers(0, units, n))
    confidence, correct = torch.from_numpy(rng.integers(0, 17, n) / 16), torch.from_numpy(rng.random(n) < 0.5)
    weights = torch.cat([resample(units, 0, 20), torch.zeros((1, units), dtype=torch.int32)])
    got = resampled_calibration(confidence, correct, unit, units)(weights)
    for weight, row in zip(weights[:-1], got, strict=False):
        rows = torch.repeat_interleave(torch.arange(n), weight[unit].long())
        want = reliability(confidence[rows], correct[rows])
        assert row.tolist() == pytest.approx([want.ece, want.mce, want.gap, want.brier], abs=1e-12)
    assert got[-1].isnan().all()
