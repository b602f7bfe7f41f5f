"""TIDE: the kind of every error and its price, against plain loops, worked values and published runs of the original."""

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.instances import instances
from gpu_quality.evaluation.protocol import TIDE
from gpu_quality.evaluation.tide import ERRORS, tide
from tests.evaluation.detections import of_labels, of_predictions, some_labels, some_predictions
from tests.reference import detection_rules as slow
from tests.reference.detection_rules import Label, Prediction

FRAMES, CLASSES = 3, 3
EXACT = (0.0, 0.0, 10.0, 10.0)


def found(labels, predictions, classes=CLASSES, **options):
    return tide(of_labels(labels), of_predictions(predictions), classes=classes, **options)


def named(codes):
    return [None if code < 0 else ERRORS[code] for code in codes.tolist()]


@given(
    some_labels(FRAMES, CLASSES),
    some_predictions(FRAMES, CLASSES),
    st.sampled_from([(0.5, 0.1), (0.25, 0.25), (1 / 3, 1 / 9)]),
    st.sampled_from(["closed", "half_open"]),
    st.sampled_from([100, 4]),
)
@settings(max_examples=60, deadline=None)
def test_errors_and_prices_are_those_of_the_loops(labels, predictions, edges, bounds, most):
    protocol = replace(TIDE, thresholds=edges[:1], background=edges[1], bounds=bounds, max_detections=(most,))
    got = found(labels, predictions, protocol=protocol)
    error, missed, ap, gains, special = slow.tide(
        labels, predictions, CLASSES, pos=edges[0], bg=edges[1], most=most, bounds=bounds
    )
    assert {j: name for j, name in enumerate(named(got.error)) if name} == error
    assert [i for i, lost in enumerate(got.missed.tolist()) if lost] == missed
    expected = [*(sum(name == kind for name in error.values()) for kind in ERRORS[:-1]), len(missed)]
    assert got.count.tolist() == expected
    assert got.ap == pytest.approx(ap, nan_ok=True)
    if not math.isnan(ap):
        want = [0.0 if math.isnan(gains[kind]) else gains[kind] for kind in ERRORS]
        assert got.dap.tolist() == pytest.approx(want, abs=1e-9)
        assert got.false_positive == pytest.approx(special[0], abs=1e-9)
        assert got.false_negative == pytest.approx(special[1], abs=1e-9, nan_ok=True)


def worked():
    labels = [Label(f, 1, EXACT) for f in (1, 2, 3, 4, 6)] + [Label(7, 2, EXACT)]
    predictions = [
        Prediction(1, 1, EXACT, 0.9),
        Prediction(1, 1, (0, 0, 10, 9), 0.8),
        Prediction(2, 1, (0, 0, 10, 4), 0.7),
        Prediction(3, 2, EXACT, 0.6),
        Prediction(5, 1, EXACT, 0.5),
        Prediction(6, 2, (0, 0, 10, 3), 0.4),
        Prediction(7, 2, EXACT, 0.95),
    ]
    return labels, predictions


def test_worked_value():
    got = found(*worked())
    assert got.ap == pytest.approx(60.39604, abs=1e-5)
    assert got.count.tolist() == [1, 1, 1, 1, 1, 2]
    assert got.dap.tolist() == pytest.approx([4.95050, 6.60066, 0, 0, 0, 6.43564], abs=1e-5)
    assert got.false_positive == pytest.approx(0)
    assert got.false_negative == pytest.approx(39.60396, abs=1e-5)
    assert named(got.error) == [None, "Dupe", "Loc", "Cls", "Bkg", "Both", None]
    assert got.label.tolist() == [-1, 0, 1, 2, -1, -1, -1]
    assert got.missed.tolist() == [False, False, False, True, True, False]


def test_progressive_repairs_stay():
    """Figures of tidecv 1.0.1."""
    got = found(*worked(), progressive=True)
    expected = [4.950495049504944, 9.900990099009903, 0.0, 4.950495049504951, 0.0, 19.801980198019805]
    assert got.dap.tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("folder", "labels", "predictions", "ap", "count", "dap", "progressive", "special"),
    [
        (
            "coco_photos",
            "instances.json",
            "centernet_predictions.json",
            35.98482729276316,
            [746, 461, 615, 268, 1717, 51],
            [
                6.426486554744443,
                7.838005604598067,
                0.9475232059695529,
                0.1969311660118933,
                3.453772234004795,
                3.0279780731853236,
            ],
            [6.426486554744443, 8.27601615115563, 3.383203779974025, 1.096676142168434, 32.44816178585651, 12.384628293337798],
            [12.617754484401907, 9.367328100769562],
        ),
        (
            "detection/coco_val2014_fake100",
            "instances_val2014_100.json",
            "instances_val2014_fakebbox100_results.json",
            64.20498881733425,
            [83, 1, 0, 1, 0, 97],
            [22.2460397441685, 0.22789102370710168, 0, 0.018972971237019465, 0, 8.523573787723365],
            [22.2460397441685, 0.35832154644036507, 0.0, 0.022333060373696867, 0.0, 13.168316831683185],
            [6.821587524510463, 17.684978535217198],
        ),
        (
            "detection/indoor85_coco",
            "groundtruths_coco.json",
            "detections_coco.json",
            24.62788294178307,
            [37, 83, 37, 21, 50, 351],
            [4.239525247343803, 5.392098352274001, 2.472952507423301, 0.3049326506515939, 2.267356831373469, 22.81604053421011],
            [4.239525247343803, 5.607221159292255, 3.532941591401837, 0.5368618693329523, 6.703091943321333, 54.75247524752475],
            [3.8504912114217262, 36.253108544959645],
        ),
    ],
)
def test_real_sets_have_the_figures_of_the_original(
    test_data, folder, labels, predictions, ap, count, dap, progressive, special
):
    """Figures of tidecv 1.0.1."""
    given_, results = (json.loads((test_data / folder / name).read_text()) for name in (labels, predictions))
    frames = {frame: i for i, frame in enumerate(sorted(image["id"] for image in given_["images"]))}
    classes = {category["id"]: i for i, category in enumerate(given_["categories"])}

    def columns(rows):
        return (
            torch.tensor([frames[row["image_id"]] for row in rows]),
            torch.tensor([classes[row["category_id"]] for row in rows]),
            torch.tensor([row["bbox"] for row in rows], dtype=torch.float64),
        )

    crowd = torch.tensor([bool(row.get("iscrowd", 0)) for row in given_["annotations"]])
    score = torch.tensor([row["score"] for row in results], dtype=torch.float64)
    sides = instances(*columns(given_["annotations"]), crowd=crowd), instances(*columns(results), score=score)
    got = tide(*sides, classes=len(classes))
    assert got.ap == pytest.approx(ap, abs=1e-9)
    assert got.count.tolist() == count
    assert got.dap.tolist() == pytest.approx(dap, abs=1e-9)
    assert [got.false_positive, got.false_negative] == pytest.approx(special, abs=1e-9)
    assert tide(*sides, classes=len(classes), progressive=True).dap.tolist() == pytest.approx(progressive, abs=1e-9)


def test_first_of_two_equal_labels_is_matched():
    """Defect 3."""
    labels = [Label(0, 0, EXACT), Label(0, 0, EXACT)]
    assert found(labels, [Prediction(0, 0, EXACT, 0.9)]).missed.tolist() == [False, True]


def test_class_with_predictions_only_counts_zero():
    """Defect 4."""
    labels, right = [Label(0, 0, EXACT)], Prediction(0, 0, EXACT, 0.9)
    assert found(labels, [right]).ap == pytest.approx(100)
    got = found(labels, [right, Prediction(1, 2, EXACT, 0.9)])
    assert got.ap == pytest.approx(50)
    assert got.dap[ERRORS.index("Bkg")] == pytest.approx(50)


def test_what_lies_in_a_region_is_no_part_of_the_precision():
    labels = [Label(0, 0, (0, 0, 100, 100), crowd=True), Label(0, 1, (50, 50, 10, 10))]
    inside = [Prediction(0, 0, (0, 0, 10, 10), 0.9), Prediction(0, 0, (50, 50, 10, 10), 0.8)]
    got = found(labels, inside)
    assert got.ignored.tolist() == [True, True]
    assert named(got.error) == ["Bkg", "Cls"]
    assert got.ap == 0
    assert not got.missed.any()
    assert got.dap[ERRORS.index("Cls")] == pytest.approx(100)


def test_empty_sets():
    assert math.isnan(found([], []).ap)
    only = found([Label(0, 0, EXACT)], [])
    assert (only.ap, only.count.tolist()) == (0, [0, 0, 0, 0, 0, 1])
    false = found([], [Prediction(0, 0, EXACT, 0.9)])
    assert (false.ap, named(false.error)) == (0, ["Bkg"])


def test_scores_and_classes_must_be_there():
    with pytest.raises(UsageError, match="prediction 0 has no score"):
        found([Label(0, 0, EXACT)], [Prediction(0, 0, EXACT, math.nan)])
    with pytest.raises(UsageError, match="prediction 0 is of class 3, but there are 3"):
        found([], [Prediction(0, 3, EXACT, 0.5)])
