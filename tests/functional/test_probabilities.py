"""Uncertainty of class probabilities: worked values, the edges of the input check, scipy as peer."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from gpu_quality.functional import probabilities
from gpu_quality.functional.probabilities import (
    entropy,
    from_score,
    hardness,
    least_confidence,
    margin,
    mask_entropy,
    usable,
    variance,
)


def rows(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_worked_values():
    p = rows((0.5, 0.25, 0.25))
    assert entropy(p).item() == 1.5
    assert least_confidence(p).item() == 0.5
    assert margin(p).item() == 0.25
    assert variance(p).item() == pytest.approx(0.0138889, abs=1e-7)
    assert hardness(p).item() == pytest.approx(1.5 * math.log(2))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_ends_of_each_range(k):
    certain = torch.eye(k, dtype=torch.float64)[:1]
    even = torch.full((1, k), 1 / k, dtype=torch.float64)
    assert entropy(certain).item() == 0
    assert not torch.signbit(entropy(certain)).any()
    assert entropy(even).item() == pytest.approx(math.log2(k))
    assert least_confidence(certain).item() == 0
    assert least_confidence(even).item() == pytest.approx(1 - 1 / k)
    assert margin(certain).item() == 1
    assert margin(even).item() == (1 if k == 1 else 0)
    assert variance(certain).item() == pytest.approx((k - 1) / k**2)
    assert variance(even).item() == pytest.approx(0)


def test_entropy_and_variance_equal_scipy_and_numpy():
    p = np.random.default_rng(0).dirichlet([0.3] * 7, 200)
    given = torch.from_numpy(p)
    np.testing.assert_allclose(entropy(given), stats.entropy(p, base=2, axis=1), rtol=1e-12)
    np.testing.assert_allclose(hardness(given), stats.entropy(p, axis=1), rtol=1e-12)
    np.testing.assert_allclose(variance(given), p.var(1), rtol=1e-12)


def test_rows_that_are_no_probabilities_are_nan():
    nan, inf = math.nan, math.inf
    p = probabilities.probabilities(
        rows((0.5, 0.5), (0.5, 0.5009), (0.5, 0.502), (-0.1, 1.1), (nan, 1.0), (inf, 0.0), (0.0, 0.0))
    )
    assert usable(p).tolist() == [True, True, False, False, False, False, False]
    assert p[1].sum().item() == pytest.approx(1, abs=1e-15)
    assert p[1, 0].item() == 0.5 / (0.5 + 0.5009)
    for measure in (
        entropy,
        hardness,
        least_confidence,
        margin,
        variance,
    ):
        assert measure(p).isnan().tolist() == [False, False, True, True, True, True, True]


def test_logits_are_soft_maxed():
    p = probabilities.probabilities(rows((1000.0, 1000.0), (0.0, math.log(3)), (math.inf, 0.0)), logits=True)
    assert p[0].tolist() == [0.5, 0.5]
    assert p[1].tolist() == pytest.approx([0.25, 0.75])
    assert p[2].isnan().all()


def test_a_lone_score_is_two_probabilities():
    p = from_score(torch.tensor([0.75, 1.0, -0.1, 1.1, math.nan]))
    assert p[:2].tolist() == [[0.75, 0.25], [1.0, 0.0]]
    assert p[2:].isnan().all()


def test_no_rows():
    empty = torch.zeros((0, 3))
    assert entropy(probabilities.probabilities(empty)).shape == (0,)
    assert from_score(torch.zeros(0)).shape == (0, 2)


def test_entropy_of_a_picture(monkeypatch):
    p = torch.from_numpy(np.random.default_rng(1).dirichlet([1.0] * 3, (5, 7))).permute(2, 0, 1)
    want = entropy(p.reshape(3, -1).T).mean()
    assert mask_entropy(p).item() == pytest.approx(want.item())
    monkeypatch.setattr(probabilities, "_BLOCK", 12)  # four pixels at a time
    assert mask_entropy(p).item() == pytest.approx(want.item())
    p[0, 2, 2] = 7
    assert mask_entropy(p).isnan()
