"""VOC against plain loops, worked values, and the figures its tools publish."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import voc
from gpu_quality.evaluation.protocol import VOC07, VOC12
from tests.evaluation.objects import CLASSES, given_as, labels, predictions
from tests.reference import other_protocols as slow
from tests.reference.other_protocols import Box

CONTINUOUS = replace(VOC12, inclusive=False)


def figures(truth, found, protocol=CONTINUOUS, **options):
    return voc.evaluate(given_as(truth), given_as(found), protocol, **options)


@settings(max_examples=60, deadline=None)
@given(labels(), predictions(), st.booleans(), st.booleans(), st.booleans(), st.sampled_from([0.25, 0.5, 1.0]))
def test_equals_plain_loops(truth, found, eleven, inclusive, strict, t):
    protocol = replace(VOC07 if eleven else VOC12, inclusive=inclusive, compare="gt" if strict else "ge", thresholds=(t, 0.7))
    got = figures(truth, found, protocol, classes=CLASSES)
    for k in range(CLASSES):
        ap, ranked = slow.voc(truth, found, k, t, eleven, inclusive, strict)
        assert got.ap[0, k].item() == pytest.approx(float("nan") if ap is None else ap, nan_ok=True, abs=1e-12)
        own = got.ranked[0].of(k)
        assert list(zip(own.prediction.tolist(), (own.true > 0).tolist(), strict=True)) == ranked
        assert got.tp[0, k] == sum(true for _, true in ranked)
        assert got.fp[0, k] == sum(not true for _, true in ranked)
        assert got.fn[0, k] == sum(b.kind == k and not b.special for b in truth) - got.tp[0, k]
        want = slow.voc(truth, found, k, 0.7, eleven, inclusive, strict)[0]
        assert got.ap[1, k].item() == pytest.approx(float("nan") if want is None else want, nan_ok=True, abs=1e-12)


SQUARE = (0, 0, 10, 10)


def test_worked_values():
    truth = [Box(0, 0, SQUARE), Box(0, 0, (50, 0, 10, 10))]
    found = [Box(0, 0, SQUARE, 0.9), Box(0, 0, (90, 0, 5, 5), 0.8), Box(0, 0, (50, 0, 10, 10), 0.7)]
    assert figures(truth, found, replace(VOC07, inclusive=False)).ap.item() == pytest.approx(0.848485, abs=1e-6)
    got = figures(truth, found)
    assert got.ap.item() == pytest.approx(5 / 6)
    assert got.ranked[0].precision.tolist() == pytest.approx([1, 0.5, 2 / 3])
    assert got.ranked[0].recall.tolist() == [0.5, 0.5, 1]
    summary = got.summary()
    assert summary == {"mAP": got.ap.item(), "TP": 2, "FP": 1, "FN": 0, "precision": 2 / 3, "recall": 1}


def test_no_second_choice():
    truth = [Box(0, 0, SQUARE), Box(0, 0, (0, 3, 10, 10))]
    found = [Box(0, 0, SQUARE, 0.9), Box(0, 0, (0, 1, 10, 10), 0.8)]
    got = figures(truth, found)
    assert (got.tp.item(), got.fp.item(), got.fn.item()) == (1, 1, 1)


def test_the_first_of_two_equal_labels_is_found():
    truth = [Box(0, 0, SQUARE, special=True), Box(0, 0, SQUARE)]
    found = [Box(0, 0, SQUARE, 0.9)]
    assert figures(truth, found).tp.item() == 0  # the difficult one is first: ignored
    assert figures(truth[::-1], found).tp.item() == 1


def test_an_overlap_equal_to_the_threshold():
    truth, found = [Box(0, 0, SQUARE)], [Box(0, 0, (0, 0, 10, 5), 0.9)]
    assert figures(truth, found).tp.item() == 1
    assert figures(truth, found, replace(CONTINUOUS, compare="gt")).tp.item() == 0
    exact = [Box(0, 0, SQUARE, 0.9)]
    assert figures(truth, exact, replace(CONTINUOUS, thresholds=(1.0,))).tp.item() == 1
    assert figures(truth, exact, replace(CONTINUOUS, thresholds=(1.0,), compare="gt")).tp.item() == 0


def test_recall_three_tenths_is_below_the_fourth_point():
    truth = [Box(i, 0, SQUARE) for i in range(10)]
    found = [Box(i, 0, SQUARE, 0.9) for i in range(3)]
    assert figures(truth, found, replace(VOC07, inclusive=False)).ap.item() == pytest.approx(3 / 11)


def test_inclusive_pixels_count_one_more():
    truth, found = [Box(0, 0, (0, 0, 9, 9))], [Box(0, 0, (0, 0, 9, 4), 0.9)]
    assert figures(truth, found, VOC12).tp.item() == 1  # 50 of 100 pixels
    assert figures(truth, found).tp.item() == 0


def test_scores_zero_missing_and_empty_sides():
    truth = [Box(0, 0, SQUARE)]
    assert figures(truth, [Box(0, 0, SQUARE, 0.0)]).ap.item() == 1
    with pytest.raises(UsageError, match="prediction 0 has no score"):
        figures(truth, [Box(0, 0, SQUARE)])
    assert figures(truth, []).summary()["mAP"] == 0
    empty = figures([], [])
    assert empty.ap.shape == (1, 0)
    assert empty.summary() == {"mAP": None, "TP": 0, "FP": 0, "FN": 0, "precision": None, "recall": None}
    only_false = figures(truth, [Box(0, 1, SQUARE, 0.5), Box(1, 0, SQUARE, 0.9), Box(0, 0, SQUARE, 0.5)])
    assert only_false.summary()["mAP"] == 0.5  # class 1 has no label; frame 1 has none but counts
    assert only_false.fp.tolist() == [[1, 1]]


def test_equal_scores_keep_the_order_of_frames_whatever_the_order_of_rows():
    truth = [Box(0, 0, SQUARE), Box(1, 0, SQUARE)]
    found = [Box(1, 0, (90, 0, 5, 5), 0.5), Box(0, 0, SQUARE, 0.5)]
    got = figures(truth, found)
    assert got.ranked[0].prediction.tolist() == [1, 0]
    assert torch.equal(figures(truth, found[::-1]).ap, got.ap)


def corners(x1, y1, x2, y2):
    return x1, y1, x2 - x1, y2 - y1


def case_1(folder):
    truth, found = [], []
    for frame, path in enumerate(sorted((folder / "gts").glob("*.txt"))):
        rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
        truth += [Box(frame, 0, tuple(map(float, row[1:]))) for row in rows]
        rows = [line.split() for line in (folder / "dets" / path.name).read_text().splitlines() if line.strip()]
        found += [Box(frame, 0, tuple(map(float, row[2:])), float(row[1])) for row in rows]
    return truth, found


def toy(folder):
    names, truth, found = (folder / "voc.names").read_text().split(), [], []
    for frame, path in enumerate(sorted((folder / "gts_vocpascal_format").glob("*.xml"))):
        for node in ET.parse(path).getroot().iter("object"):
            box = corners(*(float(node.find(f"bndbox/{side}").text) for side in ("xmin", "ymin", "xmax", "ymax")))
            truth.append(Box(frame, names.index(node.find("name").text), box))
        for line in (folder / "dets_classid_abs_xyx2y2" / f"{path.stem}.txt").read_text().splitlines():
            kind, score, *box = line.split()
            found.append(Box(frame, int(kind), corners(*map(float, box)), float(score)))
    return truth, found


PUBLISHED = [
    ("voc_case1", case_1, "voc_case1 (published; +1-pixel convention)"),
    ("voc_toy", toy, "voc_toy (published)"),
]


@pytest.mark.parametrize(("name", "read", "entry"), PUBLISHED)
def test_published_figures(test_data, name, read, entry):
    truth, found = read(test_data / "detection" / name)
    expected = json.loads((test_data / "expected_figures.json").read_text())[entry]
    for protocol, points in ((VOC07, "11pt"), (VOC12, "every")):
        for t, want in expected[points].items():
            got = figures(truth, found, replace(protocol, thresholds=(float(t),))).summary()["mAP"]
            assert got == pytest.approx(want, abs=1e-10)


def test_published_figures_per_class(test_data):
    folder = test_data / "detection" / "indoor85_coco"
    truth, found, expected = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("groundtruths_coco", "detections_coco", "expected0_5")
    )
    frames = {image["id"]: row for row, image in enumerate(truth["images"])}
    kinds = {category["id"]: row for row, category in enumerate(truth["categories"])}
    sides = [
        [Box(frames[a["image_id"]], kinds[a["category_id"]], tuple(a["bbox"]), a.get("score")) for a in side]
        for side in (truth["annotations"], found)
    ]
    got = figures(*sides, VOC12, classes=len(kinds))
    assert got.summary()["mAP"] == pytest.approx(expected.pop("mAP"), abs=1e-15)
    assert len(expected) == len(kinds) == 38
    for category in truth["categories"]:
        k, want = kinds[category["id"]], expected[category["name"]]
        own = got.ranked[0].of(k)
        assert got.ap[0, k].item() == pytest.approx(want["ap"], abs=1e-15, nan_ok=True)
        counts = (got.positives[k], got.tp[0, k], got.fp[0, k])
        assert counts == (want["num_groundtruth"], want["tp"], want["fp"])
        assert own.precision.tolist() == pytest.approx(want["precision"], abs=1e-15)
        if want["num_groundtruth"]:
            assert own.recall.tolist() == pytest.approx(want["recall"], abs=1e-15)
