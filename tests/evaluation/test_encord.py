"""Encord's figures, reasons and columns against plain loops, worked values, and the peer's slips that ours does not have."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import encord
from gpu_quality.evaluation.encord import REASONS
from gpu_quality.evaluation.protocol import ENCORD, ENCORD_DB
from tests.evaluation.objects import CLASSES, SCORES, given_as, labels, predictions
from tests.reference import other_protocols as slow
from tests.reference.other_protocols import Box

SKIPPING = replace(ENCORD, empty_class="skip")
SQUARE = (0, 0, 10, 10)


def figures(truth, found, protocol=SKIPPING, **options):
    return encord.evaluate(given_as(truth), given_as(found), protocol, **options)


def reasons(got):
    return [REASONS[code] for code in got.reason.tolist()]


@settings(max_examples=60, deadline=None)
@given(labels(special=False), predictions([*SCORES, None]), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans())
def test_equals_plain_loops(truth, found, t, database):
    protocol = replace(ENCORD_DB if database else ENCORD, thresholds=(t,), empty_class="skip")
    got = figures(truth, found, protocol, classes=CLASSES)
    said, attached, iou, winner = slow.encord_objects(truth, found, t)
    assert reasons(got) == said
    assert got.attached.tolist() == attached
    assert got.iou.tolist() == iou
    assert got.prediction_of.tolist() == [winner.get(j, -1) for j in range(len(truth))]
    for k in range(CLASSES):
        ap, ar, *counts = slow.encord(truth, found, k, t, database)
        assert [got.tp[k], got.fp[k], got.fn[k]] == counts
        for mine, want in ((got.ap[k], ap), (got.ar[k], ar)):
            assert mine.item() == pytest.approx(float("nan") if want is None else want, nan_ok=True, abs=1e-12)


def test_second_prediction_of_a_label_is_already_matched():
    truth = [Box(0, 0, SQUARE), Box(0, 0, (0, 3, 10, 10))]
    found = [Box(0, 0, SQUARE, 0.9), Box(0, 0, (0, 1, 10, 10), 0.8)]
    got = figures(truth, found)
    assert reasons(got) == ["", "already_matched"]
    assert got.attached.tolist() == [0, 0]
    assert got.prediction_of.tolist() == [0, -1]
    assert encord.texts(got.reason, torch.zeros(2, dtype=torch.int64), ["cat"]) == [
        "",
        "Prediction with higher confidence already matched label.",
    ]


def test_reasons_before_and_after_the_true_prediction():
    truth = [Box(0, 0, SQUARE)]
    found = [
        Box(0, 0, (0, 0, 10, 4), 0.95),
        Box(0, 0, SQUARE, 0.9),
        Box(0, 0, (0, 0, 10, 4), 0.8),
        Box(0, 1, SQUARE, 0.7),
    ]
    got = figures(truth, found)
    assert reasons(got) == ["iou_too_low", "", "already_matched", "no_overlap"]
    texts = encord.texts(got.reason, torch.tensor([0, 0, 0, 1]), ["cat", "dog"])
    assert texts[0] == "IOU too low."
    assert texts[3] == "No overlapping label of class `dog`."
    alone = figures(truth, found[:1])
    assert reasons(alone) == ["iou_too_low"]
    assert alone.fn.item() == 1


def test_the_better_of_two_comes_later():
    """The first one that reaches the threshold is true, whatever its own overlap."""
    truth = [Box(0, 0, SQUARE)]
    found = [Box(0, 0, (0, 0, 10, 6), 0.9), Box(0, 0, SQUARE, 0.8)]
    assert reasons(figures(truth, found)) == ["", "already_matched"]


def test_equal_labels_and_thresholds_at_their_ends():
    truth, found = [Box(0, 0, SQUARE), Box(0, 0, SQUARE)], [Box(0, 0, (0, 0, 10, 5), 0.9)]
    assert figures(truth, found).attached.tolist() == [0]
    assert reasons(figures(truth, found)) == [""]  # .5 is enough
    assert reasons(figures(truth, found, replace(SKIPPING, compare="gt"))) == ["iou_too_low"]
    low = [Box(0, 0, (0, 0, 10, 1), 0.9), Box(0, 0, (50, 0, 10, 1), 0.8)]
    assert reasons(figures(truth, low, replace(SKIPPING, thresholds=(0.0,)))) == ["", "no_overlap"]  # 0 is not read as .5
    assert reasons(figures(truth, found, replace(SKIPPING, thresholds=(1.0,)))) == ["iou_too_low"]


def test_f1_is_the_harmonic_mean():
    truth = [Box(i, 0, SQUARE) for i in range(5)]
    found = [Box(i, 0, SQUARE if i < 2 else (50, 50, 5, 5), 0.9) for i in range(5)]
    for protocol in (SKIPPING, ENCORD_DB):
        got = figures(truth, found, protocol)
        assert got.precision.item() == got.recall.item() == got.f1.item() == pytest.approx(0.4)
        assert got.summary()["mF1"] == pytest.approx(0.4)


def test_many_frames_share_nothing():
    truth = [Box(i, 0, SQUARE) for i in range(5000)]
    got = figures(truth, [Box(i, 0, SQUARE, 0.5) for i in range(5000)])
    assert got.prediction_of.tolist() == list(range(5000))
    assert got.ap.item() == 1


def test_headline_follows_the_classes():
    truth = [Box(0, 0, SQUARE), Box(0, 1, SQUARE)]
    found = [Box(0, 0, SQUARE, 0.9), Box(0, 2, SQUARE, 0.9)]
    got = figures(truth, found)
    assert got.summary() == {"mAP": 0.5, "mAR": 0.5, "mP": 0.5, "mR": 0.5, "mF1": 0.5, "TP": 1, "FP": 1, "FN": 1}
    assert got.summary([0]) == {"mAP": 1, "mAR": 1, "mP": 1, "mR": 1, "mF1": 1, "TP": 1, "FP": 0, "FN": 0}
    assert got.summary([2])["mAP"] is None
    counted = figures(truth, found, replace(ENCORD, empty_class="zero"), classes=4)
    assert counted.summary()["mAP"] == pytest.approx(1 / 3)
    assert counted.ap.isnan().tolist() == [False, False, False, True]


def test_missing_scores_are_one_and_several_thresholds_are_refused():
    truth = [Box(0, 0, SQUARE)]
    got = figures(truth, [Box(0, 0, (0, 0, 10, 8), 0.9), Box(0, 0, SQUARE)])
    assert reasons(got) == ["already_matched", ""]
    assert got.ranked.score.tolist() == [1.0, 0.9]
    with pytest.raises(UsageError, match="has one threshold"):
        figures(truth, [], replace(ENCORD, thresholds=(0.5, 0.75)))


def test_empty_sides():
    got = figures([Box(0, 0, SQUARE)], [])
    assert got.prediction_of.tolist() == [-1]
    assert got.summary() == {"mAP": 0, "mAR": 0, "mP": 0, "mR": 0, "mF1": 0, "TP": 0, "FP": 0, "FN": 1}
    assert figures([], []).summary()["mAP"] is None
    assert reasons(figures([], [Box(0, 0, SQUARE, 0.5)])) == ["no_overlap"]


def test_database_figures_by_hand():
    """Two labels; true, false, true by score: precision 1/2 with one found, 2/3 with two; recall halves at IoU .7 and above."""
    truth = [Box(0, 0, SQUARE), Box(1, 0, SQUARE)]
    found = [Box(0, 0, SQUARE, 0.9), Box(0, 0, (50, 0, 5, 5), 0.8), Box(1, 0, (0, 0, 10, 6), 0.7)]
    got = figures(truth, found, ENCORD_DB)
    assert got.ap.item() == pytest.approx(2 / 3)
    assert got.ar.item() == pytest.approx(2 * (0.1 * 1 + 0.1 * 0.75 + 0.3 * 0.5))
