"""Open Images against plain loops: groups, ancestors, classes nobody looked for, and FiftyOne's variant."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import openimages
from gpu_quality.evaluation.hierarchy import from_tree, hierarchy
from gpu_quality.evaluation.openimages import ImageLabels
from gpu_quality.evaluation.protocol import OPENIMAGES
from tests.evaluation.objects import CLASSES, given_as, labels, predictions
from tests.reference import other_protocols as slow
from tests.reference.other_protocols import Box

SQUARE = (0, 0, 10, 10)
ANCESTORS = {0: (), 1: (0,), 2: (0, 1)}
"""Class 2 is a kind of 1, which is one of 0."""
CHAIN = hierarchy([(1, 0), (2, 1)], CLASSES)


def figures(truth, found, protocol=OPENIMAGES, **options):
    return openimages.evaluate(given_as(truth), given_as(found), protocol, **options)


def said(*rows):
    columns = [torch.tensor([row[i] for row in rows], dtype=torch.int64) for i in range(2)]
    return ImageLabels(*columns, torch.tensor([row[2] for row in rows], dtype=torch.bool))


@st.composite
def image_labels(draw):
    row = st.tuples(st.integers(0, 2), st.integers(0, CLASSES - 1), st.booleans())
    return draw(st.none() | st.lists(row, max_size=4))


@settings(max_examples=60, deadline=None)
@given(labels(), predictions(), st.booleans(), image_labels(), st.sampled_from([0.0, 0.3, 1.0]))
def test_equals_plain_loops(truth, found, related, rows, weight):
    got = figures(
        truth,
        found,
        replace(OPENIMAGES, group_of_weight=weight),
        hierarchy=CHAIN if related else None,
        verified=None if rows is None else said(*rows),
        classes=CLASSES,
    )
    for k in range(CLASSES):
        ap, tp, fp, positives = slow.open_images(truth, found, k, ANCESTORS if related else None, rows, weight=weight)
        assert [got.tp[k].item(), got.positives[k].item()] == pytest.approx([tp, positives])
        assert got.fp[k] == fp
        assert got.ap[k].item() == pytest.approx(math.nan if ap is None else ap, nan_ok=True, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(labels(), predictions())
def test_equals_fiftyone_in_plain_loops(truth, found):
    got = figures(truth, found, compat="fiftyone", classes=CLASSES)
    for k in range(CLASSES):
        ap = slow.fiftyone_open_images(truth, found, k)
        assert got.ap[k].item() == pytest.approx(math.nan if ap is None else ap, nan_ok=True, abs=1e-12)


GROUP = Box(0, 0, (0, 0, 100, 100), special=True)
INSIDE = [Box(0, 0, (10 * i, 0, 10, 10), 0.9 - 0.1 * i) for i in range(3)]


def test_a_group_is_found_once():
    got = figures([GROUP], INSIDE)
    assert (got.tp.item(), got.fp.item(), got.fn.item()) == (1, 0, 0)
    assert got.ranked.prediction.tolist() == [0]
    missed = figures([GROUP], [Box(0, 0, (200, 0, 10, 10), 0.9)])
    assert (missed.tp.item(), missed.fp.item(), missed.fn.item()) == (0, 1, 1)
    assert got.ap.item() == 1
    assert missed.ap.item() == 0


def test_a_group_without_weight_is_no_label():
    nothing = replace(OPENIMAGES, group_of_weight=0.0)
    got = figures([GROUP], INSIDE, nothing)
    assert got.summary() == {"mAP": None, "TP": 0, "FP": 0, "FN": 0, "unscored": 0}
    assert figures([GROUP], [], nothing).fn.item() == 0


def test_a_taken_label_inside_a_group():
    truth = [GROUP, Box(0, 0, SQUARE)]
    found = [Box(0, 0, SQUARE, 0.9), Box(0, 0, SQUARE, 0.8), Box(0, 0, SQUARE, 0.7)]
    got = figures(truth, found)
    assert got.ranked.prediction.tolist() == [0, 1]  # the second finds the group, the third is ignored
    assert (got.tp.item(), got.fp.item(), got.fn.item()) == (2, 0, 0)


def test_a_label_counts_for_its_ancestors_and_a_prediction_on_request():
    truth, found = [Box(0, 2, SQUARE)], [Box(0, 2, SQUARE, 0.9)]
    got = figures(truth, found, hierarchy=CHAIN)
    assert got.positives.tolist() == [1, 1, 1]
    assert got.ap.tolist() == [0, 0, 1]
    both = figures(truth, found, hierarchy=CHAIN, expand_predictions=True)
    assert both.ap.tolist() == [1, 1, 1]
    assert both.ranked.prediction.tolist() == [0, 0, 0]
    general = figures(truth, [Box(0, 0, SQUARE, 0.9)], hierarchy=CHAIN)
    assert general.ap.tolist() == [1, 0, 0]


def test_classes_nobody_looked_for():
    truth = [Box(0, 0, SQUARE)]
    found = [Box(0, 0, SQUARE, 0.9), Box(0, 1, SQUARE, 0.9), Box(0, 2, SQUARE, 0.9), Box(1, 0, SQUARE, 0.95)]
    got = figures(truth, found, verified=said((0, 0, True), (0, 2, False)))
    assert got.unscored.tolist() == [1, 3]
    assert got.fp.tolist() == [0, 0, 1]
    assert got.ap[0] == 1
    assert figures(truth, found).fp.tolist() == [1, 1, 1]
    absent = figures(truth, found, verified=said((0, 1, False)), hierarchy=CHAIN)
    assert absent.unscored.tolist() == [3]  # no class 1 means no class 2; class 0 has a label
    present = figures(truth, found, verified=said((1, 2, True)), hierarchy=CHAIN)
    assert present.unscored.tolist() == [1, 2]  # class 2 there means class 0 there


def test_fiftyone_leaves_out_labels_nobody_verified():
    truth, found = [Box(0, 0, SQUARE), Box(0, 1, SQUARE)], [Box(0, 0, SQUARE, 0.9)]
    got = figures(truth, found, verified=said((0, 1, True)), compat="fiftyone")
    assert got.positives.tolist() == [0, 1]
    assert got.unscored.tolist() == [0]


def test_fiftyone_rounds_overlaps():
    high = 50000000001 / 100000000000  # .50000000001, which is .5 to ten decimals; the other way round it is below .5
    truth = [Box(0, 0, (0, 0, 1, 1))]
    found = [Box(0, 0, (0, 0, 1, 1 - high), 0.9)]
    assert figures(truth, found).tp.item() == 0
    assert figures(truth, found, compat="fiftyone").tp.item() == 1


def test_trees_of_names():
    tree = {
        "LabelName": "root",
        "Subcategory": [
            {"LabelName": "vehicle", "Subcategory": [{"LabelName": "car", "Part": [{"LabelName": "wheel"}]}]},
            {"LabelName": "toy", "Subcategory": [{"LabelName": "car"}]},
        ],
    }
    found = from_tree(tree, {"car": 0, "vehicle": 1, "toy": 2, "wheel": 3})
    rows, class_id = found.upward(torch.tensor([0, 3, 1]))
    assert rows.tolist() == [0, 0, 0, 1, 2]
    assert class_id.tolist() == [0, 1, 2, 3, 1]
    assert found.downward(torch.tensor([1]))[1].tolist() == [1, 0]
    skipped = from_tree(tree, {"car": 0})
    assert skipped.upward(torch.tensor([0]))[1].tolist() == [0]
    with pytest.raises(UsageError, match="no LabelName"):
        from_tree({"Subcategory": []}, {})


def test_hierarchies_that_cannot_be():
    with pytest.raises(UsageError, match="its own ancestor: "):
        hierarchy([(0, 1), (1, 0)], 2)
    with pytest.raises(UsageError, match="is no pair of classes; there are rows 0 to 1"):
        hierarchy([(0, 2)], 2)


def test_thresholds_and_empty_sides():
    truth, found = [Box(0, 0, SQUARE)], [Box(0, 0, (0, 0, 10, 5), 0.9)]
    assert figures(truth, found).tp.item() == 1
    assert figures(truth, found, replace(OPENIMAGES, compare="gt")).tp.item() == 0
    with pytest.raises(UsageError, match="has one threshold"):
        figures(truth, found, replace(OPENIMAGES, thresholds=(0.5, 0.75)))
    with pytest.raises(UsageError, match="has no score"):
        figures(truth, [Box(0, 0, SQUARE)])
    for compat in (None, "fiftyone"):
        assert figures([], [], compat=compat).summary()["mAP"] is None
        assert figures(truth, [], compat=compat, hierarchy=CHAIN).summary()["FN"] == 1
        assert figures([], found, compat=compat, verified=said()).unscored.tolist() == [0]
