"""Acquisition functions per frame: means, and what empty frames get."""

import math

import pytest
import torch

from gpu_quality.errors import UnknownNameError
from gpu_quality.evaluation.uncertainty import MEASURES, acquisition, calibration_residual, of_empty
from gpu_quality.functional.probabilities import entropy, least_confidence, margin, variance


def test_means_over_the_predictions_of_a_frame():
    value = torch.tensor([1.0, 0.5, math.nan, math.nan, 2.0], dtype=torch.float64)
    frame = torch.tensor([2, 0, 0, 3, 2])
    got = acquisition(value, frame, 5, empty=-1.0)
    assert got[:3].tolist() == [0.5, -1.0, 1.5]
    assert math.isnan(got[3])  # it has predictions, none with probabilities
    assert got[4] == -1.0
    assert math.isnan(acquisition(value, frame, 5)[1])


def test_frames_without_predictions():
    assert [of_empty(m, 4) for m in MEASURES] == [0, 0, 1, 3 / 16, 0]
    assert [of_empty(m, 4, "uncertain") for m in MEASURES] == [2, 0.75, 0, 0, 0]
    assert all(math.isnan(of_empty(m, 4, "null")) for m in MEASURES)


def test_empty_values_are_those_of_a_sure_and_an_even_model():
    for name, measure in (
        ("entropy", entropy),
        ("least_confidence", least_confidence),
        ("margin", margin),
    ):
        certain, even = torch.eye(6, dtype=torch.float64)[:1], torch.full((1, 6), 1 / 6, dtype=torch.float64)
        assert of_empty(name, 6) == pytest.approx(measure(certain).item())
        assert of_empty(name, 6, "uncertain") == pytest.approx(measure(even).item())
    assert of_empty("variance", 6) == pytest.approx(variance(torch.eye(6, dtype=torch.float64)[:1]).item())


def test_unknown_names_are_listed():
    with pytest.raises(UnknownNameError, match="entropy, least_confidence, margin"):
        of_empty("surprise", 3)
    with pytest.raises(UnknownNameError, match="certain, uncertain, null"):
        of_empty("margin", 3, "zero")


def test_residual():
    got = calibration_residual(
        torch.tensor([True, False, True]),
        torch.tensor([0.75, 0.75, 0.5], dtype=torch.float64),
        torch.tensor([False, False, True]),
    )
    assert got[:2].tolist() == [0.25, -0.75]
    assert got[2].isnan()
