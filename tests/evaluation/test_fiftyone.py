"""FiftyOne's figures and columns against plain loops, crowds, ties and scores that are not there."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.evaluation import fiftyone
from gpu_quality.evaluation.protocol import FIFTYONE
from tests.evaluation.objects import CLASSES, SCORES, given_as, labels, predictions
from tests.reference import other_protocols as slow
from tests.reference.other_protocols import Box

SQUARE = (0, 0, 10, 10)
ACROSS = replace(FIFTYONE, classes="any")


def figures(truth, found, protocol=FIFTYONE, **options):
    return fiftyone.evaluate(given_as(truth, "crowd"), given_as(found), protocol, **options)


@settings(max_examples=60, deadline=None)
@given(labels(), predictions([*SCORES, None]), st.booleans(), st.sampled_from([0.25, 0.5]), st.sampled_from([1, 100]))
def test_equals_plain_loops(truth, found, across, t, most):
    protocol = replace(ACROSS if across else FIFTYONE, thresholds=(0.5, 0.75), max_detections=(most,))
    got = figures(truth, found, protocol, iou=t, classes=CLASSES, frames=3)
    for k in range(CLASSES):
        for place, at in enumerate(protocol.thresholds):
            want = slow.fiftyone(truth, found, k, at, most, across) or (math.nan, math.nan)
            assert got.ap[place, k].item() == pytest.approx(want[0], nan_ok=True, abs=1e-12)
            assert got.ar[place, k].item() == pytest.approx(want[1], nan_ok=True, abs=1e-12)
    columns_are(got, truth, found, *slow.fiftyone_scan(truth, found, t, None, across)[:2])


def columns_are(got, truth, found, matched, taken):
    kinds = [[box.kind for box in side] for side in (truth, found)]
    true = [i in matched and kinds[0][matched[i][0]] == kinds[1][i] for i in range(len(found))]
    assert got.predictions.id.tolist() == [matched.get(i, (-1,))[0] for i in range(len(found))]
    assert got.predictions.iou.tolist() == pytest.approx(
        [matched.get(i, (-1, math.nan))[1] for i in range(len(found))], nan_ok=True
    )
    assert got.predictions.true.tolist() == true
    assert got.labels.id.tolist() == [taken.get(j, -1) for j in range(len(truth))]
    known = [j in taken and true[taken[j]] for j in range(len(truth))]
    assert got.labels.true.tolist() == known
    assert got.labels.iou.tolist() == pytest.approx(
        [matched[taken[j]][1] if j in taken else math.nan for j in range(len(truth))], nan_ok=True
    )
    for frame in range(3):
        assert got.frames.tp[frame] == sum(v for v, box in zip(true, found, strict=True) if box.frame == frame)
        assert got.frames.fp[frame] == sum(not v for v, box in zip(true, found, strict=True) if box.frame == frame)
        assert got.frames.fn[frame] == sum(not v for v, box in zip(known, truth, strict=True) if box.frame == frame)


def test_crowds_are_true_in_counts_and_absent_from_averages():
    truth = [Box(0, 0, SQUARE), Box(0, 0, (20, 0, 40, 40), special=True)]
    found = [Box(0, 0, SQUARE, 0.5), Box(0, 0, (22, 2, 5, 5), 0.9), Box(0, 0, (30, 2, 5, 5), 0.8)]
    got = figures(truth, found)
    assert got.predictions.true.tolist() == [True, True, True]
    assert got.labels.id.tolist() == [0, 1]
    assert got.summary() == {
        "TP": 3, "FP": 0, "FN": 0, "mAP": 1, "mAR": 1, "precision": 1, "recall": 1, "fscore": 1
    }  # fmt: skip
    assert got.positives.tolist() == [1]
    assert [one.prediction.tolist() for one in got.ranked] == [[0]] * 10


def test_true_predictions_come_first_among_equal_scores():
    truth, found = [Box(1, 0, SQUARE)], [Box(0, 0, SQUARE, 0.5), Box(1, 0, SQUARE, 0.5)]
    assert figures(truth, found).summary()["mAP"] == 1
    assert figures(truth, [found[0]._replace(score=0.6), found[1]]).summary()["mAP"] == 0.5


def test_no_score_and_zero_come_last():
    truth = [Box(0, 0, SQUARE)]
    for score in (0.0, None):
        got = figures(truth, [Box(0, 0, SQUARE, score), Box(0, 0, SQUARE, 0.1)])
        assert got.predictions.true.tolist() == [False, True]
    both = figures(truth, [Box(0, 0, SQUARE, None), Box(0, 0, SQUARE, 0.0)])
    assert both.predictions.true.tolist() == [True, False]  # 0.0 sorts as if it were missing


def test_averages_do_not_depend_on_iou():
    truth, found = [Box(0, 0, SQUARE)], [Box(0, 0, (0, 0, 10, 8), 0.5)]
    low, high = (figures(truth, found, iou=iou) for iou in (0.5, 0.9))
    assert (low.summary()["TP"], high.summary()["TP"]) == (1, 0)
    assert low.summary()["mAP"] == high.summary()["mAP"] == pytest.approx(0.7)


def test_second_choice_and_the_last_of_equal_labels():
    truth = [Box(0, 0, SQUARE), Box(0, 0, (0, 3, 10, 10))]
    got = figures(truth, [Box(0, 0, SQUARE, 0.9), Box(0, 0, (0, 1, 10, 10), 0.8)])
    assert got.predictions.id.tolist() == [0, 1]
    assert figures([truth[0]] * 2, [Box(0, 0, SQUARE, 0.9)]).predictions.id.tolist() == [1]


def test_across_classes_a_wrong_one_takes_the_label():
    truth = [Box(0, 0, SQUARE), Box(0, 0, (50, 0, 10, 10), special=True)]
    found = [Box(0, 1, SQUARE, 0.9), Box(0, 0, SQUARE, 0.8), Box(0, 1, (52, 0, 5, 5), 0.7)]
    got = figures(truth, found, ACROSS)
    assert got.predictions.id.tolist() == [0, -1, -1]  # the crowd takes only its own class
    assert got.labels.true.tolist() == [False, False]
    assert (got.frames.tp.item(), got.frames.fp.item(), got.frames.fn.item()) == (0, 3, 2)
    assert figures(truth, found).predictions.true.tolist() == [False, True, False]


def test_relative_boxes():
    truth, found = [Box(0, 0, (3, 3, 30, 60))], [Box(0, 0, (3, 3, 30, 30), 0.5)]
    sizes = torch.tensor([[480, 640]])
    got = figures(truth, found, sizes=sizes)
    box, other = ([v / s for v, s in zip(b.box, (640, 480, 640, 480), strict=True)] for b in (found[0], truth[0]))
    assert got.predictions.iou.tolist() == [slow.overlap(box, other)] or got.predictions.iou.isnan().all()


def test_only_a_hundred_predictions_per_class_and_frame_are_averaged():
    truth = [Box(0, 0, SQUARE)]
    found = [Box(0, 0, (50, 50, 5, 5), 0.9)] * 100 + [Box(0, 0, SQUARE, 0.1)]
    got = figures(truth, found)
    assert got.summary()["TP"] == 1
    assert got.summary()["mAP"] == 0


def test_empty_sides():
    got = figures([Box(0, 0, SQUARE), Box(3, 2, SQUARE)], [Box(1, 1, SQUARE, 0.5)])
    assert got.summary()["mAP"] == 0
    assert got.ap[0].isnan().tolist() == [False, True, False]
    assert got.frames.fn.tolist() == [1, 0, 0, 1]
    assert figures([], []).summary()["mAP"] is None
