"""Outcomes and plain reasons, under protocols by score and exactly as Encord gives them."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import encord
from gpu_quality.evaluation.matching import match
from gpu_quality.evaluation.protocol import COCO, CONFUSION, ENCORD, VOC12
from gpu_quality.evaluation.reasons import LABEL_OUTCOMES, PREDICTION_OUTCOMES, REASONS, explain, outcomes
from tests.evaluation.detections import of_labels, of_predictions, some_labels, some_predictions
from tests.reference import detection_rules as slow
from tests.reference.detection_rules import Label, Prediction

FRAMES, CLASSES = 3, 2
A, B = Label(0, 0, (0, 0, 10, 10)), Label(0, 0, (0, 3, 10, 10))
SECOND_CHOICE = ([A, B], [Prediction(0, 0, A.box, 0.9), Prediction(0, 0, (0, 1, 10, 10), 0.8)])


def words(codes, names):
    return [None if code < 0 else names[code] for code in codes.tolist()]


def of_encord(labels, predictions, threshold=0.5):
    found = encord.evaluate(of_labels(labels), of_predictions(predictions), replace(ENCORD, thresholds=(threshold,)))
    return [encord.REASONS[code] for code in found.reason.tolist()]


def explained(labels, predictions, protocol=COCO, threshold=0.5):
    sides = of_labels(labels), of_predictions(predictions)
    return outcomes(match(*sides, replace(protocol, thresholds=(threshold,))), *sides)


@given(
    some_labels(FRAMES, CLASSES),
    some_predictions(FRAMES, CLASSES),
    st.sampled_from([0.25, 0.5, 1.0]),
    st.sampled_from(["coco", "voc", "above", "any", "overlap"]),
)
@settings(max_examples=50, deadline=None)
def test_reasons_of_false_positives_are_those_of_the_loops(labels, predictions, threshold, which):
    protocol = {
        "coco": COCO,
        "voc": VOC12,
        "above": replace(COCO, compare="gt", compare_ignored="gt"),
        "any": replace(COCO, classes="any"),
        "overlap": CONFUSION,
    }[which]
    protocol = replace(protocol, thresholds=(threshold,), areas=(), ignore="crowd", inclusive=False)
    sides = of_labels(labels), of_predictions(predictions)
    matches = match(*sides, protocol)
    got = outcomes(matches, *sides)
    place = {row: at for at, row in enumerate(matches.segments.prediction.tolist())}
    for j, prediction in enumerate(predictions):
        partner = int(matches.label_of[0, 0, place[j]])
        assert got.label[j] == partner
        why, best = slow.reason(labels, prediction, threshold, protocol.compare)
        hit = partner >= 0 and labels[partner].class_id == prediction.class_id
        if partner >= 0:
            best = slow.overlap(labels[partner], prediction)
        assert got.iou[j].item() == pytest.approx(best)
        ignored = bool(matches.prediction_ignored[0, 0, place[j]])
        assert PREDICTION_OUTCOMES[got.outcome[j]] == ("ignored" if ignored else "tp" if hit else "fp")
        assert got.reason[j] == (-1 if ignored or hit else REASONS.index(why))
    hits = {int(got.label[j]) for j in range(len(predictions)) if got.outcome[j] == 0}
    for i, label in enumerate(labels):
        expected = "ignored" if label.crowd else "matched" if i in hits else "fn"
        assert LABEL_OUTCOMES[got.label_outcome[i]] == expected
        if i in hits:
            assert got.label_iou[i].item() == pytest.approx(slow.overlap(label, predictions[int(got.prediction[i])]))


def test_worked_value_of_second_choice():
    """Defect 15."""
    got = explained(*SECOND_CHOICE)
    assert (words(got.outcome, PREDICTION_OUTCOMES), got.label.tolist()) == (["tp", "tp"], [0, 1])
    got = explained(*SECOND_CHOICE, protocol=replace(VOC12, inclusive=False))
    assert words(got.outcome, PREDICTION_OUTCOMES) == ["tp", "fp"]
    assert words(got.reason, REASONS) == [None, "already_matched"]


def test_encord_calls_a_poor_overlap_late_after_the_hit():
    """Where others say that the IoU is too low."""
    poor = Prediction(0, 0, (0, 0, 10, 3), 0.5)
    first, last = [poor._replace(score=0.95), SECOND_CHOICE[1][0]], [poor, SECOND_CHOICE[1][0]]
    assert of_encord([A], first) == ["iou_too_low", ""]
    assert of_encord([A], last) == ["already_matched", ""]
    assert words(explained([A], last).reason, REASONS) == ["iou_too_low", None]


def test_better_prediction_that_comes_second_is_late():
    """Defect 15: the higher confidence keeps the label."""
    predictions = [Prediction(0, 0, (0, 0, 10, 8), 0.9), Prediction(0, 0, (0, 0, 10, 10), 0.6)]
    got = explained([A], predictions)
    assert words(got.outcome, PREDICTION_OUTCOMES) == ["tp", "fp"]
    assert words(got.reason, REASONS) == [None, "already_matched"]
    assert of_encord([A], predictions) == ["", "already_matched"]


def test_threshold_zero_is_not_the_default():
    """Defect of section 6: t = 0 read as .5."""
    prediction = [Prediction(0, 0, (9, 9, 10, 10), 0.9)]
    assert of_encord([A], prediction, threshold=0.0) == [""]
    assert of_encord([A], prediction) == ["iou_too_low"]
    assert of_encord([A], [Prediction(0, 0, (90, 90, 10, 10), 0.9)], threshold=0.0) == ["no_overlap"]


def test_what_takes_no_part_has_no_outcome():
    predictions = [Prediction(0, 0, A.box, 0.9), Prediction(0, 0, A.box, 0.8)]
    got = explained([A], predictions, protocol=replace(COCO, max_detections=(1,)))
    assert words(got.outcome, PREDICTION_OUTCOMES) == ["tp", None]
    assert got.iou.isnan().tolist() == [False, True]


def test_sizes_outside_the_range_are_ignored():
    sides = of_labels([A]), of_predictions([Prediction(0, 0, A.box, 0.9), Prediction(0, 0, (50, 50, 5, 5), 0.8)])
    matches = match(*sides, replace(COCO, thresholds=(0.5,)))
    large = outcomes(matches, *sides, area=matches.areas.index("large"))
    assert words(large.outcome, PREDICTION_OUTCOMES) == ["ignored", "ignored"]
    assert words(large.label_outcome, LABEL_OUTCOMES) == ["ignored"]
    small = outcomes(matches, *sides, area=matches.areas.index("small"))
    assert words(small.reason, REASONS) == [None, "no_overlap"]


def test_missing_confidence_is_the_highest_for_encord():
    predictions = [Prediction(0, 0, A.box, 0.9), Prediction(0, 0, A.box, float("nan"))]
    assert of_encord([A], predictions) == ["already_matched", ""]
    assert ENCORD.missing_score == 1


def test_texts():
    assert explain("no_overlap", "dog") == "No overlapping label of class `dog`."
    assert explain("iou_too_low", "dog") == "IOU too low."
    assert explain("already_matched", "dog") == "Prediction with higher confidence already matched label."
    with pytest.raises(UsageError, match="reason 'why' is none of no_overlap, iou_too_low, already_matched"):
        explain("why", "dog")
