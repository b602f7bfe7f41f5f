"""Weighted aggregates of custom metrics: the worked values, repeated frames, and the unweighted aggregates as peer."""

import math

import pytest
import torch

from gpu_quality.analysis import custom
from gpu_quality.evaluation import custom_figures as figures
from gpu_quality.evaluation.resampling import resample


def test_worked_values():
    value, weight = torch.tensor([4.0, 3.0, math.nan], dtype=torch.float64), torch.ones((1, 3), dtype=torch.int32)
    got = [figures.aggregate(value, weight, how).item() for how in custom.AGGREGATIONS]
    assert got == pytest.approx([3.5, 3.464102, 3.428571, 7], abs=1e-6)


@pytest.mark.parametrize("how", custom.AGGREGATIONS)
def test_weights_equal_repeated_frames(how):
    value = torch.tensor([0.0, 1.5, 2.25, math.nan, 4.0, 0.5, 0.75], dtype=torch.float64)
    weight = torch.cat(
        [resample(7, 0, 12), torch.tensor([[0] * 7, [0, 0, 0, 7, 0, 0, 0], [0, 3, 0, 4, 0, 0, 0]], dtype=torch.int32)]
    )
    got = figures.aggregate(value, weight, how)
    for row, times in zip(got.tolist(), weight, strict=True):
        drawn = [x for x, n in zip(value.tolist(), times.tolist(), strict=True) for _ in range(n) if not math.isnan(x)]
        want = custom.aggregate(drawn, how)
        assert math.isnan(row) if want is None else row == pytest.approx(want)


def test_confusion_rates():
    counts = torch.tensor([[6, 2, 0, 4], [0, 0, 5, 0], [1, 0, 0, 0]])
    got = figures.confusion_rates(counts, torch.tensor([[1, 1, 0], [0, 1, 0], [1, 0, 2]]))
    assert got[0].tolist() == list(custom.rates((6, 2, 0, 4)).values())
    assert got[1].isnan().all()
    assert got[2].tolist() == list(custom.rates((8, 2, 0, 4)).values())
