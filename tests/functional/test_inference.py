"""Intervals of shares and p-values of many tests, against worked values, plain loops and SciPy."""

import numpy as np
import torch
from reference import importance as obvious
from scipy import stats

from gpu_quality.functional.inference import benjamini_hochberg, wilson


def test_worked_values_of_the_interval() -> None:
    low, high = wilson(torch.tensor([8, 0, 0]), torch.tensor([10, 20, 0]))
    np.testing.assert_allclose(
        np.round(torch.stack([low, high]).numpy(), 6), [[0.490157, 0, np.nan], [0.943319, 0.161130, np.nan]]
    )
    k, n = np.arange(50), np.full(50, 49)
    found = torch.stack(wilson(torch.from_numpy(k), torch.from_numpy(n))).numpy()
    np.testing.assert_allclose(found, obvious.wilson_all(k, n), atol=1e-12)


def test_adjusted_p_values() -> None:
    p = torch.tensor([0.01, 0.04, 0.03, np.nan, 0.8, 0.01], dtype=torch.float64)
    known = ~p.isnan().numpy()
    found = benjamini_hochberg(p).numpy()
    np.testing.assert_allclose(found[known], stats.false_discovery_control(p.numpy()[known]))
    np.testing.assert_allclose(found[known], obvious.adjusted(p.numpy()[known].tolist()))
    assert np.isnan(found[3])
