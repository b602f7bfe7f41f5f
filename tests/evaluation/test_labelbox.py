"""Labelbox's figures: the documented behavior by default, every ambiguity an option, what is left out reported."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.counts import counts
from gpu_quality.evaluation.labelbox import labelbox
from gpu_quality.evaluation.protocol import COCO, LABELBOX
from tests.evaluation.detections import of_labels, of_predictions, some_labels, some_predictions
from tests.reference import detection_rules as slow
from tests.reference.detection_rules import Label, Prediction

FRAMES, CLASSES = 4, 3
CAT, DOG = 0, 1
STOLEN = (
    [Label(0, CAT, (0, 0, 100, 100))],
    [Prediction(0, CAT, (0, 0, 100, 92), 0.9), Prediction(0, DOG, (0, 0, 100, 98), 0.4)],
)
_OPTIONS = st.fixed_dictionaries(
    {
        "classes": st.sampled_from(["any", "same", "same_first"]),
        "compare": st.sampled_from(["gt", "ge"]),
        "tie": st.sampled_from(["stable", "listed"]),
        "rows": st.sampled_from(["both", "all"]),
        "cross_fn": st.booleans(),
        "iou_mean": st.sampled_from(["all", "matched"]),
    }
)


def found(labels, predictions, classes=CLASSES, frames=FRAMES, protocol=LABELBOX, **options):
    return labelbox(
        of_labels(labels), of_predictions(predictions), classes=classes, frames=frames, protocol=protocol, **options
    )


def near(value):
    return pytest.approx(value, nan_ok=True)


@given(
    some_labels(FRAMES, CLASSES, crowds=False),
    some_predictions(FRAMES, CLASSES),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    st.sampled_from([0.0, 0.3, 0.5]),
    _OPTIONS,
)
@settings(max_examples=70, deadline=None)
def test_figures_are_those_of_the_loops(labels, predictions, threshold, confidence, options):
    got = found(labels, predictions, protocol=replace(LABELBOX, **options), threshold=threshold, confidence=confidence)
    cells, counted, stolen = slow.labelbox(labels, predictions, threshold, confidence, FRAMES, **options)
    table = got.cells
    keys = list(zip(table.frame.tolist(), table.class_id.tolist(), strict=True))
    assert keys == sorted(cells)
    for k, key in enumerate(keys):
        tp, fp, fn, iou = cells[key]
        assert (table.tp[k], table.fp[k], table.tn[k], table.fn[k]) == (tp, fp, 0, fn)
        assert table.iou[k].item() == near(iou)
        assert table.precision[k].item() == near(slow.share(tp, tp + fp))
        assert table.recall[k].item() == near(slow.share(tp, tp + fn))
        assert table.f1[k].item() == near(slow.share(2 * tp, 2 * tp + fp + fn))
    assert got.frames.frame.tolist() == sorted(counted)
    for k, frame in enumerate(sorted(counted)):
        own = [cell for (f, _), cell in cells.items() if f == frame]
        assert (got.frames.tp[k], got.frames.fp[k], got.frames.fn[k]) == tuple(sum(cell[i] for cell in own) for i in range(3))
        if options["iou_mean"] == "all":
            assert got.frames.iou[k].item() == near(slow.mean([cell[3] for cell in own]))
    assert {i for i, lost in enumerate(got.stolen.tolist()) if lost} == stolen
    if options["classes"] != "any":
        assert not got.stolen.any()
    lost = {x.frame for x in [*labels, *predictions]} - counted
    assert got.rows_dropped.frames == len(lost)
    assert got.rows_dropped.labels == sum(x.frame in lost for x in labels)
    assert got.rows_dropped.predictions == sum(x.frame in lost for x in predictions)


@given(some_labels(FRAMES, CLASSES, crowds=False), some_predictions(FRAMES, CLASSES), st.sampled_from(["all", "matched"]))
@settings(max_examples=20, deadline=None)
def test_averages_over_rows_and_pooled(labels, predictions, iou_mean):
    pooled = found(labels, predictions, protocol=replace(LABELBOX, iou_mean=iou_mean))
    rows = found(labels, predictions, protocol=replace(LABELBOX, average="rows", iou_mean=iou_mean))
    cells = pooled.cells
    for k in range(CLASSES):
        own = cells.class_id == k
        tp, fp, fn = (int(part[own].sum()) for part in (cells.tp, cells.fp, cells.fn))
        assert pooled.classes.precision[k].item() == near(slow.share(tp, tp + fp))
        assert pooled.classes.recall[k].item() == near(slow.share(tp, tp + fn))
        assert rows.classes.precision[k].item() == near(slow.mean(cells.precision[own].tolist()))
        assert rows.classes.f1[k].item() == near(slow.mean(cells.f1[own].tolist()))
        assert rows.classes.iou[k].item() == near(slow.mean(cells.iou[own].tolist()))
        assert (rows.classes.tp[k], rows.classes.fp[k], rows.classes.fn[k]) == (tp, fp, fn)
    tp, fp = int(cells.tp.sum()), int(cells.fp.sum())
    assert pooled.total.precision.item() == near(slow.share(tp, tp + fp))
    assert rows.total.precision.item() == near(slow.mean(rows.frames.precision.tolist()))
    assert rows.total.iou.item() == near(slow.mean(rows.frames.iou.tolist()))
    if iou_mean == "all":
        assert pooled.total.iou.item() == near(slow.mean(pooled.frames.iou.tolist()))


def test_worked_value_of_stealing():
    """Defect 10."""
    got = found(*STOLEN, threshold=0.5, confidence=0.0).total
    assert (got.tp.item(), got.fp.item(), got.fn.item()) == (0, 2, 1)
    assert found(*STOLEN, confidence=0.0).stolen.tolist() == [True]
    for classes in ("same", "same_first"):
        got = found(*STOLEN, confidence=0.0, protocol=replace(LABELBOX, classes=classes))
        assert (got.total.tp.item(), got.total.fp.item(), got.total.fn.item()) == (1, 1, 0)
        assert not got.stolen.any()


def test_cross_class_pair_counts_once_for_each_side():
    pair = [Label(0, CAT, (0, 0, 9, 9))], [Prediction(0, DOG, (0, 0, 9, 9), 0.9)]
    got = found(*pair).classes
    assert (got.fp.tolist(), got.fn.tolist()) == ([0, 1, 0], [1, 0, 0])
    got = found(*pair, protocol=replace(LABELBOX, cross_fn=False)).classes
    assert (got.fp.tolist(), got.fn.tolist()) == ([0, 1, 0], [0, 0, 0])


def test_threshold_edges():
    """Defect 9: above is above; 0 is any overlap, 1 none."""
    half = [Label(0, 0, (0, 0, 10, 10))], [Prediction(0, 0, (0, 0, 10, 5), 0.9)]
    assert found(*half, threshold=0.5).total.tp == 0
    assert found(*half, threshold=0.5, protocol=replace(LABELBOX, compare="ge")).total.tp == 1
    assert found(*half, threshold=0.0).total.tp == 1
    same = [half[0][0]], [Prediction(0, 0, (0, 0, 10, 10), 0.9)]
    assert found(*same, threshold=1.0).total.tp == 0
    assert found(*same, threshold=1.0, protocol=replace(LABELBOX, compare="ge")).total.tp == 1


def test_rows_with_only_one_side_are_dropped_and_reported():
    """Defect 32; whether a row has a prediction is asked before the confidence cut."""
    labels = [Label(0, 0, (0, 0, 9, 9)), Label(1, 0, (0, 0, 9, 9)), Label(2, 0, (0, 0, 9, 9))]
    predictions = [
        Prediction(0, 0, (0, 0, 9, 9), 0.9),
        Prediction(2, 0, (0, 0, 9, 9), 0.1),
        Prediction(3, 0, (0, 0, 9, 9), 0.9),
    ]
    got = found(labels, predictions, confidence=0.5)
    assert got.rows_dropped == (2, 1, 1)
    assert got.frames.frame.tolist() == [0, 2]
    assert (got.total.tp.item(), got.total.fp.item(), got.total.fn.item()) == (1, 0, 1)
    got = found(labels, predictions, confidence=0.5, protocol=replace(LABELBOX, rows="all"))
    assert got.rows_dropped == (0, 0, 0)
    assert got.frames.fn.tolist() == [0, 1, 1, 0]
    assert got.total.fp == 1


def test_confidence_at_the_edge_is_kept_and_missing_is_one():
    sides = [Label(0, 0, (0, 0, 9, 9))], [Prediction(0, 0, (0, 0, 9, 9), 0.5)]
    assert found(*sides, confidence=0.5).total.tp == 1
    assert found(sides[0], [sides[1][0]._replace(score=math.nan)], confidence=1.0).total.tp == 1


def test_iou_of_one_empty_side_is_zero_and_of_none_unknown():
    labels = [Label(0, 0, (0, 0, 10, 10)), Label(0, 1, (50, 50, 9, 9))]
    got = found(labels, [Prediction(0, 0, (0, 0, 10, 4), 0.9)], threshold=0.9)
    assert got.cells.iou.tolist() == [0.4, 0]
    assert got.classes.iou[:2].tolist() == [0.4, 0]
    assert got.classes.iou[2].isnan()
    assert got.frames.iou.tolist() == [0.2]
    assert found([], []).total.iou.isnan()


def test_nested_answers_as_a_condition_or_blended_in():
    labels, predictions = [Label(0, 0, (0, 0, 10, 10))] * 2, [Prediction(0, 0, (0, 0, 10, 8), 0.9)] * 2
    red, blue = {7: frozenset({1})}, {7: frozenset({2})}
    nested = ([red, {}], [{**red, 8: frozenset({1, 2})}, {}])
    assert found(labels, predictions, nested=nested).total.tp == 2
    strict = replace(LABELBOX, subclasses="require")
    got = found(labels, predictions, protocol=strict, nested=nested)
    assert (got.total.tp.item(), got.total.fp.item(), got.total.fn.item()) == (1, 1, 1)
    assert got.total.iou.item() == pytest.approx(0.4)
    assert found(labels, predictions, protocol=strict, nested=([red, blue], [blue, red])).total.tp == 2
    blend = replace(LABELBOX, subclasses="blend")
    got = found(labels, predictions, protocol=blend, nested=nested)
    assert got.total.iou.item() == pytest.approx(((0.8 + (1 + 0) / 2) / 2 + 0.8) / 2)
    with pytest.raises(UsageError, match="subclasses=require needs the nested answers"):
        found(labels, predictions, protocol=strict)
    with pytest.raises(UsageError, match="nested answers of 1 labels and 2 predictions do not fit 2 labels and 2 predictions"):
        found(labels, predictions, protocol=strict, nested=([red], [red, red]))


def test_other_orders_are_refused():
    with pytest.raises(UsageError, match="matches by falling overlap"):
        found(*STOLEN, protocol=COCO)


@given(some_labels(FRAMES, CLASSES, crowds=False), some_predictions(FRAMES, CLASSES))
@settings(max_examples=20, deadline=None)
def test_grids_agree_with_the_figures(labels, predictions):
    sides = of_labels(labels), of_predictions(predictions)
    grid = counts(*sides, classes=CLASSES, frames=FRAMES, protocol=LABELBOX)
    assert grid.tp.shape == (CLASSES, 11, 11)
    got = labelbox(*sides, classes=CLASSES, frames=FRAMES, threshold=0.3, confidence=0.7)
    for name in ("tp", "fp", "fn"):
        assert torch.equal(getattr(grid, name)[:, 3, 7], getattr(got.classes, name))
