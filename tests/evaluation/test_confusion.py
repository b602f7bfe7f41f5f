"""The confusion matrix: nothing is dropped, nothing counts twice, and every cell knows its members."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.confusion import confusion
from gpu_quality.evaluation.protocol import COCO, CONFUSION
from tests.evaluation.detections import of_labels, of_predictions, some_labels, some_predictions
from tests.reference import detection_rules as slow
from tests.reference.detection_rules import Label, Prediction

FRAMES, CLASSES = 3, 3
CAT, DOG = 0, 1
STOLEN = (
    [Label(0, CAT, (0, 0, 100, 100))],
    [Prediction(0, CAT, (0, 0, 100, 92), 0.9), Prediction(0, DOG, (0, 0, 100, 98), 0.4)],
)


def found(labels, predictions, classes=CLASSES, **options):
    return confusion(of_labels(labels), of_predictions(predictions), classes=classes, **options)


def listed(members):
    rows = zip(*(part.tolist() for part in members), strict=True)
    return [(f, i, j, None if math.isnan(v) else v) for f, i, j, v in rows]


@given(
    some_labels(FRAMES, CLASSES),
    some_predictions(FRAMES, CLASSES),
    st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0]),
    st.sampled_from([0.0, 0.25, 0.3, 0.31]),
    st.sampled_from(["same", "any", "same_first"]),
    st.sampled_from(["ge", "gt"]),
    st.sampled_from(["stable", "listed"]),
)
@settings(max_examples=60, deadline=None)
def test_matrix_and_members_are_those_of_the_loops(labels, predictions, threshold, confidence, classes, compare, tie):
    protocol = replace(CONFUSION, classes=classes, compare=compare, tie=tie)
    got = found(labels, predictions, threshold=threshold, confidence=confidence, protocol=protocol)
    rules = {"classes": classes, "compare": compare, "tie": tie}
    matrix, cells = slow.matrix(labels, predictions, CLASSES, threshold, confidence, **rules)
    assert got.matrix.tolist() == matrix
    for row in range(CLASSES + 1):
        for column in range(CLASSES + 1):
            expected = [(f, i, j, None if math.isnan(v) else v) for f, i, j, v in cells.get((row, column), [])]
            assert sorted(listed(got.cell(row, column)), key=lambda m: m[:3]) == expected


@given(some_labels(FRAMES, CLASSES), some_predictions(FRAMES, CLASSES), st.sampled_from(["iou", "any", "coco"]))
@settings(max_examples=60, deadline=None)
def test_sums_are_the_labels_and_the_kept_predictions(labels, predictions, which):
    protocol = {"iou": CONFUSION, "any": replace(COCO, classes="any"), "coco": COCO}[which]
    got = found(labels, predictions, protocol=protocol, confidence=0.0)
    out = set(got.ignored_predictions.tolist())
    of_class = [sum(x.class_id == k and not x.crowd for x in labels) for k in range(CLASSES)]
    kept = [sum(x.class_id == k and j not in out for j, x in enumerate(predictions)) for k in range(CLASSES)]
    assert got.matrix.sum(1)[:-1].tolist() == of_class
    assert got.matrix.sum(0)[:-1].tolist() == kept
    assert got.matrix[-1, -1] == 0
    assert sorted(got.ignored_labels.tolist()) == [i for i, x in enumerate(labels) if x.crowd]
    per_class = got.per_class()
    assert (per_class.tp + per_class.fn).tolist() == of_class
    assert (per_class.tp + per_class.fp).tolist() == kept


def test_worked_value_of_stealing():
    assert found(*STOLEN, classes=2).matrix.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    any_class = found(*STOLEN, classes=2, protocol=replace(CONFUSION, classes="any"))
    assert any_class.matrix.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert listed(any_class.cell(CAT, DOG)) == [(0, 0, 1, pytest.approx(0.98))]
    assert listed(any_class.cell(-1, CAT)) == [(0, -1, 0, None)]


def test_overlap_exactly_at_the_threshold_and_at_the_ends():
    labels, predictions = [Label(0, 0, (0, 0, 10, 10))], [Prediction(0, 0, (0, 0, 10, 5), 0.9)]
    more = replace(CONFUSION, compare="gt")
    assert found(labels, predictions, classes=1).matrix.tolist() == [[1, 0], [0, 0]]
    assert found(labels, predictions, classes=1, protocol=more).matrix.tolist() == [[0, 1], [1, 0]]
    same = [Prediction(0, 0, (0, 0, 10, 10), 0.9)]
    assert found(labels, same, classes=1, threshold=1.0).matrix[0, 0] == 1
    assert found(labels, same, classes=1, threshold=1.0, protocol=more).matrix[0, 0] == 0
    away = [Prediction(0, 0, (50, 50, 5, 5), 0.9)]
    assert found(labels, away, classes=1, threshold=0.0).matrix[0, 0] == 1
    assert found(labels, away, classes=1, threshold=0.0, protocol=more).matrix[0, 0] == 0


def test_frames_with_only_labels_or_only_predictions_count():
    got = found([Label(0, 0, (0, 0, 9, 9))], [Prediction(1, 0, (0, 0, 9, 9), 1.0)], classes=1)
    assert got.matrix.tolist() == [[0, 1], [1, 0]]
    assert found([], [], classes=1).matrix.tolist() == [[0, 0], [0, 0]]
    assert found([], [Prediction(1, 0, (0, 0, 9, 9), 1.0)], classes=1).matrix.tolist() == [[0, 0], [1, 0]]


def test_crowds_and_what_lies_in_them_are_apart():
    labels = [Label(0, 0, (0, 0, 100, 100), crowd=True), Label(0, 0, (10, 10, 10, 10))]
    predictions = [Prediction(0, 0, (10, 10, 10, 10), 0.9), *[Prediction(0, 0, (50, 50, 10 + i, 10), 0.8) for i in range(4)]]
    got = found(labels, predictions, classes=1)
    assert got.matrix.tolist() == [[1, 0], [0, 0]]
    assert got.ignored_labels.tolist() == [0]
    assert sorted(got.ignored_predictions.tolist()) == [1, 2, 3, 4]


def test_missing_confidence_is_one():
    predictions = of_predictions([Prediction(0, 0, (0, 0, 9, 9), math.nan)])
    got = confusion(of_labels([Label(0, 0, (0, 0, 9, 9))]), predictions, classes=1, confidence=1.0)
    assert got.matrix.tolist() == [[1, 0], [0, 0]]


def test_shares_of_rows_columns_and_everything():
    got = found(*STOLEN, classes=3)
    assert got.normalized("none").tolist() == got.matrix.double().tolist()
    assert got.normalized("all").sum() == 1
    rows, columns = got.normalized("row"), got.normalized("column")
    assert rows[0].tolist() == [1, 0, 0, 0]
    assert rows[1].isnan().all()
    assert columns[:, 1].tolist() == [0, 0, 0, 1]
    assert columns[:, 2].isnan().all()
    assert got.per_class().precision.isnan().tolist() == [False, False, True]
    assert got.per_class(zero_division=0.0).recall.tolist() == [1, 0, 0]
    with pytest.raises(UsageError, match="normalization 'rows' is none of none, row, column, all"):
        got.normalized("rows")


@given(
    some_labels(FRAMES, CLASSES), some_predictions(FRAMES, CLASSES), st.permutations(range(CLASSES)), st.integers(0, CLASSES)
)
@settings(max_examples=40, deadline=None)
def test_a_filter_folds_other_classes(labels, predictions, order, count):
    whole, only = found(labels, predictions, confidence=0.0), order[:count]
    got = found(labels, predictions, confidence=0.0, only=only)
    group = {class_id: at for at, class_id in enumerate(only)} | {CLASSES: count + 1}
    expected = torch.zeros(count + 2, count + 2, dtype=torch.int64)
    for row in range(CLASSES + 1):
        for column in range(CLASSES + 1):
            expected[group.get(row, count), group.get(column, count)] += whole.matrix[row, column]
    assert torch.equal(got.matrix, expected)
    assert got.classes.tolist() == list(only)
    assert sum(len(got.cell(r, c).frame) for r in range(count + 2) for c in range(count + 2)) == whole.matrix.sum()
    chosen = got.cell(count, count + 1)
    assert all(labels[i].class_id not in only for i in chosen.label.tolist())
    assert got.per_class().tp.tolist() == [whole.matrix[k, k] for k in only]


def test_wrong_classes_are_refused():
    with pytest.raises(UsageError, match="label 0 is of class 2, but there are 2"):
        found([Label(0, 2, (0, 0, 1, 1))], [], classes=2)
    with pytest.raises(UsageError, match="classes must be different rows"):
        found(*STOLEN, classes=2, only=[0, 0])
    with pytest.raises(UsageError, match="classes must be different rows"):
        found(*STOLEN, classes=2, only=[5])


def test_rows_may_have_any_order():
    labels, predictions = STOLEN
    more = [Label(f, f % 2, (0, 0, 9, 9 + f % 3)) for f in range(50)]
    boxes = [Prediction(f, (f // 2) % 2, (0, 0, 9, 10), 0.3 + f / 100) for f in range(50)]
    first = found(more + labels, boxes + predictions, classes=2).matrix
    second = found((more + labels)[::-1], (boxes + predictions)[::-1], classes=2).matrix
    assert torch.equal(first, second)
