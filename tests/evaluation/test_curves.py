"""Curves, best thresholds and grids are those of an evaluation made afresh for every point."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import curves
from gpu_quality.evaluation.coco import evaluate
from gpu_quality.evaluation.coco_files import CocoSets, read_coco
from gpu_quality.evaluation.curves import Curve
from gpu_quality.evaluation.matching import match
from gpu_quality.evaluation.protocol import COCO
from tests.evaluation.coco_sets import made


def some(seed: int) -> CocoSets:
    return read_coco(*made(seed))


def counted(sets: CocoSets, class_row: int, iou: float, confidence: float) -> tuple[int, int, int]:
    """Right, wrong and missed of a class: a matching of its own without the predictions below the confidence."""
    kept = sets.predictions.select((sets.predictions.score >= confidence).nonzero().flatten())
    matches = match(sets.labels, kept, replace(COCO, thresholds=(iou,), areas=()))
    own = kept.class_id[matches.segments.prediction] == class_row
    right = matches.label_of[0, 0] >= 0
    counts = own & ~matches.prediction_ignored[0, 0]
    labels = (sets.labels.class_id[matches.segments.label] == class_row) & ~matches.label_ignored[0]
    tp = int((right & counts).sum())
    return tp, int((~right & counts).sum()), int(labels.sum()) - tp


@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.75]))
@settings(max_examples=20, deadline=None)
def test_points_of_a_curve(seed: int, iou: float) -> None:
    sets = some(seed)
    figures = evaluate(sets.labels, sets.predictions, classes=3)
    for k in range(3):
        points = curves.curve(figures, k, iou=iou)
        assert points.threshold.tolist() == sorted(set(points.threshold.tolist()), reverse=True)
        for place, score in enumerate(points.threshold.tolist()):
            expected = counted(sets, k, iou, score)
            assert (int(points.tp[place]), int(points.fp[place]), int(points.fn[place])) == expected


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_every_point_of_a_grid(seed: int) -> None:
    sets = some(seed)
    ious, confidences = (0.5, 0.52, 0.8, 1.0), (0.4, 0.0, 1.0, 0.41)
    grid = curves.grid(sets.labels, sets.predictions, ious, confidences, classes=3)
    for k in range(3):
        for t, iou in enumerate(ious):
            for c, confidence in enumerate(confidences):
                found = tuple(int(side[k, t, c]) for side in (grid.tp, grid.fp, grid.fn))
                assert found == counted(sets, k, iou, confidence)


def test_grids_of_sizes_and_fewer_detections() -> None:
    sets = some(9)
    figures = evaluate(sets.labels, sets.predictions, classes=3)
    one = curves.counts(figures, (0.0,), max_detections=1)
    assert (one.tp + one.fp).sum() < (curves.counts(figures, (0.0,)).tp + curves.counts(figures, (0.0,)).fp).sum()
    small = curves.counts(figures, (0.0,), area="small")
    assert torch.equal((small.tp + small.fn)[:, 0, 0], figures.positives[:, 1])


def a_curve(threshold: list[float], tp: list[int], fp: list[int], positives: int) -> Curve:
    right, wrong = (torch.tensor(counts, dtype=torch.int64) for counts in (tp, fp))
    return Curve(torch.tensor(threshold, dtype=torch.float64), right, wrong, positives)


def test_best_is_the_higher_of_equal_thresholds() -> None:
    points = a_curve([0.9, 0.8, 0.7, 0.6], [1, 2, 2, 3], [0, 0, 1, 2], 4)
    found = curves.best(points)
    assert found is not None
    assert found.threshold == 0.8
    assert found.value == pytest.approx(2 * 2 / (2 * 2 + 2 + 0))
    assert (found.precision, found.recall) == (1.0, 0.5)
    recall_counts = curves.best(points, beta=3)
    assert recall_counts is not None
    assert recall_counts.threshold == 0.6
    equals = a_curve([0.9, 0.8], [1, 2], [0, 2], 2)  # F1 2/3 at both
    assert curves.best(equals) == pytest.approx((0.9, 2 / 3, 1.0, 0.5))


def test_equal_precision_and_recall_is_their_f1() -> None:
    found = curves.best(a_curve([0.5], [2], [3], 5))
    assert found is not None
    assert found.value == pytest.approx(0.4)


def test_no_best_without_labels_or_predictions() -> None:
    assert curves.best(a_curve([0.5], [0], [1], 0)) is None
    assert curves.best(a_curve([], [], [], 3)) is None
    assert curves.best_common([a_curve([0.5], [0], [1], 0)]) is None
    assert curves.best_common([]) is None
    assert a_curve([0.5], [0], [1], 0).recall.isnan().all()


def test_best_common_threshold() -> None:
    one, other = a_curve([0.9, 0.5], [1, 2], [0, 0], 2), a_curve([0.7, 0.4], [2, 2], [0, 4], 2)
    unlabeled, silent = a_curve([0.6], [0], [3], 0), a_curve([], [], [], 5)
    found = curves.best_common([one, other, unlabeled])
    assert found == pytest.approx((0.5, 1.0, 1.0, 1.0))
    with_silent = curves.best_common([one, other, silent])
    assert with_silent == pytest.approx((0.5, 2 / 3, 1.0, 2 / 3))


def test_thresholds_for_a_target() -> None:
    points = a_curve([0.9, 0.8, 0.7], [1, 1, 2], [0, 1, 1], 4)
    for target, threshold in (
        ({"precision": 0.6}, 0.7),
        ({"precision": 0.9}, 0.9),
        ({"recall": 0.25}, 0.9),
        ({"recall": 0.5}, 0.7),
    ):
        found = curves.threshold_for(points, **target)
        assert found is not None
        assert found.threshold == threshold
    assert curves.threshold_for(points, recall=0.8) is None
    with pytest.raises(UsageError, match="one number"):
        curves.threshold_for(points)


def test_interpolated_curve_is_the_one_averaged() -> None:
    sets = some(2)
    figures = evaluate(sets.labels, sets.predictions, classes=3)
    found = curves.interpolated(figures, 0)
    assert len(found.recall) == 101
    assert torch.equal(found.precision, figures.precision[0, :, 0, 0, -1])


def test_recall_by_threshold_averages_to_the_average_recall() -> None:
    sets = some(2)
    figures = evaluate(sets.labels, sets.predictions, classes=3)
    by_threshold = curves.recall_by_threshold(figures, max_detections=10)
    table = figures.recall[:, :, 0, 1]
    assert by_threshold.mean() == pytest.approx(float(table[table > -1].mean()))


def test_what_was_not_evaluated() -> None:
    sets = some(2)
    figures = evaluate(sets.labels, sets.predictions, classes=3)
    with pytest.raises(UsageError, match=r"threshold 0\.42 was not evaluated; there are 0\.5, 0\.55"):
        curves.curve(figures, 0, iou=0.42)
    with pytest.raises(UsageError, match="size range 'tiny' was not evaluated; there are all, small"):
        curves.curve(figures, 0, area="tiny")
    with pytest.raises(UsageError, match="max_detections 7 was not evaluated; there are 1, 10, 100"):
        curves.counts(figures, (0.5,), max_detections=7)
