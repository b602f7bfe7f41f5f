"""LRP against plain loops, its worked value, its ties and its resamples."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.lrp import lrp_curve, optimal_lrp, resampled_olrp
from gpu_quality.evaluation.resampling import resample
from tests.reference import figures as slow


def curve(score, correct, iou, labels, **options):
    return lrp_curve(
        torch.tensor(score, dtype=torch.float64),
        torch.tensor(correct, dtype=torch.bool),
        torch.tensor(iou, dtype=torch.float64),
        labels,
        **options,
    )


def best(found, labels):
    return optimal_lrp([found], torch.tensor([labels]))


def test_worked_value():
    got = curve([0.9, 0.9, 0.9], [True, True, False], [0.75, 0.9, 0.0], 3)
    assert got.lrp.item() == pytest.approx(0.675)
    assert got.localization.item() == pytest.approx(0.175)
    assert got.false_positive.item() == pytest.approx(1 / 3)
    assert got.false_negative.item() == pytest.approx(1 / 3)


def cases():
    row = st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.305, 0.5, 0.9, 1.0]), st.booleans(), st.floats(0.5, 1))
    return st.tuples(st.lists(row, max_size=12), st.integers(0, 4))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_equals_plain_loops(case):
    rows, missed = case
    score, correct, iou = ([row[i] for row in rows] for i in range(3))
    labels = sum(correct) + missed
    for grid in (False, True):
        got = curve(score, correct, iou, labels, grid=grid)
        assert got.score.tolist() == ([i / 100 for i in range(100, -1, -1)] if grid else sorted(set(score), reverse=True))
        for i, at in enumerate(got.score.tolist()):
            mine = [part[i].item() for part in (got.lrp, got.localization, got.false_positive, got.false_negative)]
            assert mine == pytest.approx(list(slow.lrp(score, correct, iou, labels, at)), nan_ok=True, abs=1e-12)
    found = best(curve(score, correct, iou, labels), labels)
    want, at = slow.optimal_lrp(score, correct, iou, labels)
    assert found.olrp.item() == pytest.approx(want, nan_ok=True, abs=1e-12)
    assert math.isnan(found.threshold.item()) == math.isnan(at)
    if not math.isnan(at):  # minima that differ in the last digit alone may change places
        assert slow.lrp(score, correct, iou, labels, found.threshold.item())[0] == pytest.approx(want, abs=1e-12)


def test_the_parts_make_the_whole():
    rng = np.random.default_rng(3)
    got = curve(rng.random(40), rng.random(40) < 0.6, rng.uniform(0.5, 1, 40), 60)
    tp, fp, fn = got.tp.double(), got.fp.double(), got.fn.double()
    whole = tp * got.localization.nan_to_num() / 0.5 + (tp + fp) * got.false_positive + (tp + fn) * got.false_negative
    torch.testing.assert_close(got.lrp, whole / (tp + fp + fn), rtol=1e-12, atol=1e-12)


def test_equal_minima_take_the_highest_threshold():
    # one hit at .8 with IoU .75: (.5 + 1) / 2 = .75; at .6 a second such hit and two false finds: (1 + 2) / 4 = .75
    score, correct, iou = [0.8, 0.6, 0.6, 0.6], [True, True, False, False], [0.75, 0.75, 0, 0]
    got = best(curve(score, correct, iou, 2), 2)
    assert got.olrp.item() == 0.75
    assert got.threshold.item() == 0.8


def test_classes_without_labels_or_predictions():
    nothing, false_finds = curve([], [], [], 5), curve([0.4], [False], [0.0], 0)
    hit = curve([0.4], [True], [1.0], 1)
    got = optimal_lrp([nothing, false_finds, hit], torch.tensor([5, 0, 1]))
    assert got.olrp.tolist()[::2] == [1.0, 0.0]
    assert got.olrp[1].isnan()
    assert got.mean.item() == 0.5  # the class without labels is left out
    assert got.localization[0].isnan()
    assert got.threshold[0].isnan()
    assert optimal_lrp([], torch.zeros(0, dtype=torch.int64)).mean.isnan()
    unmatched = curve([0.4], [False], [0.0], 3)
    assert unmatched.lrp.item() == 1
    assert unmatched.localization.isnan()


def test_tau_of_one_and_missing_scores_are_refused():
    with pytest.raises(UsageError, match="below 1; got 1"):
        curve([0.5], [True], [1.0], 1, tau=1.0)
    with pytest.raises(UsageError, match="1 of 2 have none"):
        curve([0.5, math.nan], [True, False], [1.0, 0.0], 1)


def test_resamples_equal_repeated_images():
    rng = np.random.default_rng(5)
    units, p = 12, 60
    unit = torch.from_numpy(rng.integers(0, units, p))
    score, correct = torch.from_numpy(rng.integers(0, 8, p) / 8), torch.from_numpy(rng.random(p) < 0.5)
    iou = torch.from_numpy(rng.integers(8, 17, p) / 16)  # sixteenths: their sums are exact, whatever the order
    labels = torch.from_numpy(rng.integers(0, 3, units)) + torch.bincount(unit[correct], minlength=units)
    weights = resample(units, 0, 30)
    weights = torch.cat([weights, torch.zeros((1, units), dtype=torch.int32)])
    got = resampled_olrp(score, correct, iou, unit, labels)(weights)[:, 0]
    for row, weight in enumerate(weights):
        rows = torch.repeat_interleave(torch.arange(p), weight[unit].long())
        count = int((weight * labels).sum())
        want = optimal_lrp([lrp_curve(score[rows], correct[rows], iou[rows], count)], torch.tensor([count])).olrp[0]
        assert torch.equal(got[row], want) or (got[row].isnan() and want.isnan())
    empty = resampled_olrp(score[:0], correct[:0], iou[:0], unit[:0], labels)(weights)
    assert empty[:-1].eq(1).all()
