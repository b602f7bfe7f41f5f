"""Counts on grids: every point equals an evaluation made afresh without the predictions below its confidence."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.counts import TENTHS, Counts, counts, counts_of, steps
from gpu_quality.evaluation.matching import match
from gpu_quality.evaluation.protocol import COCO, CONFUSION, ENCORD, FIFTYONE, LABELBOX, VOC12
from tests.evaluation.detections import of_labels, of_predictions, some_labels, some_predictions
from tests.reference import detection_rules as slow
from tests.reference.detection_rules import Label, Prediction

FRAMES, CLASSES = 3, 3
PROTOCOLS = {
    "coco": COCO,
    "best three": replace(COCO, max_detections=(3,)),
    "voc": VOC12,
    "encord": ENCORD,
    "fiftyone": FIFTYONE,
    "matrix": CONFUSION,
    "any": replace(CONFUSION, classes="any"),
    "same": replace(CONFUSION, classes="same"),
    "above": replace(CONFUSION, compare="gt"),
    "one-sided": replace(LABELBOX, cross_fn=False),
}
KEYS = {"class": lambda x: x.class_id, "frame": lambda x: x.frame, "cell": lambda x: (x.frame, x.class_id)}


def found(labels, predictions, classes=CLASSES, frames=FRAMES, **options) -> Counts:
    return counts(of_labels(labels), of_predictions(predictions), classes=classes, frames=frames, **options)


@given(some_labels(FRAMES, CLASSES), some_predictions(FRAMES, CLASSES), st.sampled_from(list(PROTOCOLS)), st.data())
@settings(max_examples=25, deadline=None)
def test_every_point_is_that_of_a_fresh_evaluation(labels, predictions, name, data):
    protocol, by = PROTOCOLS[name], data.draw(st.sampled_from(["class", "frame", "cell"]))
    got = found(labels, predictions, protocol=protocol, by=by, thresholds=(0.0, 0.25, 0.5, 1.0), confidences=(0.0, 0.3, 1.0))
    if name == "one-sided":  # frames with labels and predictions are chosen before the cut
        both = {x.frame for x in labels} & {x.frame for x in predictions}
        labels, predictions = ([x for x in side if x.frame in both] for side in (labels, predictions))
    for t, threshold in enumerate([0.0, 0.25, 0.5, 1.0]):
        for c, confidence in enumerate([0.0, 0.3, 1.0]):
            # fiftyone takes scores of 0 for missing, -1
            kept = [x for x in predictions if (x.score or (-1 if name == "fiftyone" else 0)) >= confidence]
            rules = replace(protocol, thresholds=(threshold,), areas=(), rows="all")
            fresh = counts(of_labels(labels), of_predictions(kept), classes=CLASSES, frames=FRAMES, protocol=rules, by=by,
                           thresholds=(threshold,), confidences=(-9.0,))  # fmt: skip
            places = {pair: k for k, pair in enumerate(zip(got.frame.tolist(), got.class_id.tolist(), strict=True))}
            for k, pair in enumerate(zip(fresh.frame.tolist(), fresh.class_id.tolist(), strict=True)):
                at = places[pair]
                for name_, exact in (("tp", True), ("fp", True), ("fn", True), ("iou_sum", False)):
                    one, other = getattr(got, name_)[at, t, c].item(), getattr(fresh, name_)[k, 0, 0].item()
                    assert one == other if exact else one == pytest.approx(other, abs=1e-12)
            for part in ("tp", "fp", "fn"):
                assert getattr(got, part)[:, t, c].sum() == getattr(fresh, part).sum()


@given(
    some_labels(FRAMES, CLASSES),
    some_predictions(FRAMES, CLASSES),
    st.sampled_from(["same", "any", "same_first"]),
    st.sampled_from(["class", "frame", "cell"]),
)
@settings(max_examples=25, deadline=None)
def test_counts_by_overlap_are_those_of_the_loops(labels, predictions, classes, by):
    got = found(
        labels, predictions, protocol=replace(CONFUSION, classes=classes), by=by, thresholds=(0.25, 0.5), confidences=(0.3,)
    )
    kept = [x for x in predictions if x.score >= 0.3]
    for t, threshold in enumerate((0.25, 0.5)):
        partner, ignored = slow.by_overlap(labels, kept, threshold, classes=classes)
        expected = slow.counts(labels, kept, partner, ignored, KEYS[by])
        for k, (frame, class_id) in enumerate(zip(got.frame.tolist(), got.class_id.tolist(), strict=True)):
            key = {"class": class_id, "frame": frame, "cell": (frame, class_id)}[by]
            tp, fp, fn, iou = expected.get(key, [0, 0, 0, 0.0])
            assert (got.tp[k, t, 0], got.fp[k, t, 0], got.fn[k, t, 0]) == (tp, fp, fn)
            assert got.iou_sum[k, t, 0].item() == pytest.approx(iou)


@given(some_labels(FRAMES, CLASSES), some_predictions(FRAMES, CLASSES))
@settings(max_examples=20, deadline=None)
def test_counts_by_score_agree_with_the_matches(labels, predictions):
    sides = of_labels(labels), of_predictions(predictions)
    matches = match(*sides, replace(COCO, thresholds=(0.5, 0.75)))
    for area in range(4):
        got = counts_of(matches, *sides, classes=CLASSES, frames=FRAMES, confidences=(0.0,), area=area)
        for t in range(2):
            hit = (matches.label_of[area, t] >= 0) & ~matches.prediction_ignored[area, t]
            own = sides[1].class_id[matches.segments.prediction]
            assert got.tp[:, t, 0].tolist() == torch.bincount(own[hit], minlength=CLASSES).tolist()
            wrong = ~hit & ~matches.prediction_ignored[area, t]
            assert got.fp[:, t, 0].tolist() == torch.bincount(own[wrong], minlength=CLASSES).tolist()
            missed = (matches.prediction_of[area, t] < 0) & ~matches.label_ignored[area]
            rows = sides[0].class_id[matches.segments.label[missed]]
            assert got.fn[:, t, 0].tolist() == torch.bincount(rows, minlength=CLASSES).tolist()


def test_matches_at_different_thresholds_are_independent():
    """Two labels and a prediction between: at .7 it takes the better label, which another prediction needs at .5 only."""
    labels = [Label(0, 0, (0, 0, 10, 10)), Label(0, 0, (0, 3, 10, 10))]
    predictions = [Prediction(0, 0, (0, 0, 10, 10), 0.9), Prediction(0, 0, (0, 1, 10, 10), 0.8)]
    got = found(labels, predictions, classes=1, frames=1, protocol=COCO, thresholds=(0.5, 0.7), confidences=(0.0, 0.85))
    assert got.tp[0].tolist() == [[2, 1], [1, 1]]
    assert got.fp[0].tolist() == [[0, 0], [1, 0]]
    assert got.fn[0].tolist() == [[0, 1], [1, 1]]


def test_default_grid_is_tenths_and_hundredths_are_as_easy():
    assert TENTHS == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert steps(0.5, 0.6, 0.01) == (0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56, 0.57, 0.58, 0.59, 0.6)
    label, prediction = Label(0, 0, (0, 0, 100, 100)), Prediction(0, 0, (0, 0, 100, 55), 0.55)
    got = found([label], [prediction], classes=1, frames=1)
    assert got.tp.shape == (1, 11, 11)
    assert got.tp.sum() == 36  # thresholds and confidences 0 .. .5
    fine = steps(0.5, 0.6, 0.01)
    got = found([label], [prediction], classes=1, frames=1, thresholds=fine, confidences=fine)
    assert got.tp.sum() == 36  # .50 .. .55 of both


def test_f1_of_equal_precision_and_recall():
    """Defect 16: precision and recall .4 make F1 .4."""
    labels = [Label(i, 0, (0, 0, 9, 9)) for i in range(5)]
    predictions = [Prediction(i, 0, (0, 0, 9, 9) if i < 2 else (50, 50, 9, 9), 0.9) for i in range(5)]
    got = found(labels, predictions, classes=1, frames=5, thresholds=(0.5,), confidences=(0.5,)).rates()
    assert (got.precision.item(), got.recall.item(), got.f1.item()) == (0.4, 0.4, 0.4)


def test_averages():
    box = (0, 0, 10, 10)
    labels = [Label(0, 0, box), Label(1, 0, box), Label(2, 0, box), Label(0, 1, (50, 50, 10, 10))]
    predictions = [
        Prediction(0, 0, box, 0.9),
        Prediction(1, 0, (0, 0, 10, 8), 0.9),
        Prediction(2, 2, (90, 90, 5, 5), 0.9),
    ]
    got = found(labels, predictions, thresholds=(0.5,), confidences=(0.5,))
    assert got.rates().precision[:, 0, 0].nan_to_num(nan=-1).tolist() == [1, -1, 0]
    assert got.rates().recall[:, 0, 0].nan_to_num(nan=-1).tolist() == [pytest.approx(2 / 3), 0, -1]
    assert got.micro().precision.item() == pytest.approx(2 / 3)
    assert got.micro().recall.item() == pytest.approx(2 / 4)
    assert got.micro().f1.item() == pytest.approx(4 / 7)
    assert got.micro().iou.item() == pytest.approx(0.9)
    assert got.macro().precision.item() == pytest.approx(0.5)
    assert got.macro().recall.item() == pytest.approx(1 / 3)
    assert got.macro().f1.item() == pytest.approx(0.8 / 3)
    assert got.weighted().recall.item() == pytest.approx(0.5)
    assert got.macro(zero_division=0.0).precision.item() == pytest.approx(1 / 3)
    assert got.tn.sum() == 0
    assert got.labels.tolist() == [3, 1, 0]
    assert got.lrp()[:, 0, 0].nan_to_num(nan=-1).tolist() == pytest.approx([(0.2 / 0.5 + 1) / 3, 1, 1])


def test_frames_without_labels_or_predictions_count():
    """Defect 6, under both orders."""
    for protocol in (COCO, CONFUSION):
        got = found([Label(0, 0, (0, 0, 9, 9))], [Prediction(1, 0, (0, 0, 9, 9), 0.9)], frames=3, by="frame", protocol=protocol,
                    thresholds=(0.5,), confidences=(0.0,))  # fmt: skip
        assert got.fn.flatten().tolist() == [1, 0, 0]
        assert got.fp.flatten().tolist() == [0, 1, 0]


def test_two_hundred_classes_and_five_thousand_frames():
    """Defect 17: frames never share matches; and no limit of classes."""
    labels = [Label(f, f % 200, (0, 0, 9, 9)) for f in range(5000)]
    predictions = [Prediction((f + f % 2) % 5000, f % 200, (0, 0, 9, 9), 0.9) for f in range(5000)]
    for protocol in (COCO, CONFUSION):
        got = found(labels, predictions, classes=200, frames=5000, protocol=protocol, thresholds=(0.5,), confidences=(0.5,))
        assert got.tp.flatten().tolist() == [25 * (1 - k % 2) for k in range(200)]
        assert (got.tp + got.fn).flatten().tolist() == [25] * 200
        assert (got.tp + got.fp).flatten().tolist() == [25] * 200


def test_missing_scores_count_as_the_protocol_says():
    sides = [Label(0, 0, (0, 0, 9, 9))], [Prediction(0, 0, (0, 0, 9, 9), math.nan)]
    assert found(*sides, classes=1, frames=1, thresholds=(0.5,)).tp.sum() == 11
    assert found(*sides, classes=1, frames=1, thresholds=(0.5,), protocol=FIFTYONE).tp.sum() == 0
    with pytest.raises(UsageError, match="prediction 0 has no score"):
        found(*sides, classes=1, frames=1, protocol=COCO)


def test_wrong_arguments_are_refused():
    sides = of_labels([Label(0, 0, (0, 0, 9, 9))]), of_predictions([])
    with pytest.raises(UsageError, match="confidences must rise"):
        counts(*sides, classes=1, frames=1, confidences=(0.5, 0.5))
    with pytest.raises(UsageError, match="label 0 is of frame 0, but there are 0"):
        counts(*sides, classes=1, frames=0)
    with pytest.raises(UsageError, match="hold for one confidence only"):
        counts_of(match(*sides, CONFUSION), *sides, classes=1, frames=1)
