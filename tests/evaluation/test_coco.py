"""COCO's arrays are those of pycocotools bit for bit, its table to the byte, and the published figures are met."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.evaluation import coco, coco_table
from gpu_quality.evaluation.coco import CocoFigures, evaluate
from gpu_quality.evaluation.coco_files import CocoSets, read_coco
from gpu_quality.evaluation.instances import Instances, instances
from gpu_quality.evaluation.matching import match
from gpu_quality.evaluation.protocol import COCO, COCO_KEYPOINTS, AreaRange, EvaluationProtocol
from gpu_quality.types import moved
from tests.evaluation.coco_sets import made, pycocotools

ARRAYS = ("precision", "recall", "scores")


def figures_of(sets: CocoSets, protocol: EvaluationProtocol = COCO, **options: Any) -> CocoFigures:
    return evaluate(sets.labels, sets.predictions, protocol, classes=len(sets.class_ids), **options)


def assert_same(figures: CocoFigures, expected: dict[str, np.ndarray]) -> None:
    for name in ARRAYS:
        assert np.array_equal(getattr(figures, name).numpy(), expected[name]), name


@given(st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_arrays_and_table_are_those_of_pycocotools(seed: int) -> None:
    labels, results = made(seed)
    if not results:
        return
    expected, table, stats = pycocotools(labels, results)
    sets = read_coco(labels, results)
    assert not [p for p in sets.problems if p.refused]
    figures = figures_of(sets)
    assert_same(figures, expected)
    assert coco_table.summary(figures) == table
    assert coco_table.stats(figures) == stats
    matches = match(sets.labels, sets.predictions, COCO)
    assert_same(coco.from_matches(matches, sets.predictions.score, classes=len(sets.class_ids)), expected)


@given(
    st.integers(0, 10**9),
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.55, 0.6, 0.75, 0.9, 0.99, 1.0]), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True),
    st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_thresholds_sizes_and_numbers_of_ones_own(seed: int, ious: list[float], most: list[int], classes: bool) -> None:
    labels, results = made(seed, predictions=12)
    if not results:
        return
    ranges = [[0, 1e10], [0, 512], [1024, 1024], [600.0, 9216]]
    recalls = np.linspace(0, 1, 11)
    expected, *_ = pycocotools(
        labels, results, iouThrs=np.array(ious), maxDets=most, areaRng=ranges, areaRngLbl=list("abcd"), recThrs=recalls,
        useCats=int(classes),
    )  # fmt: skip
    protocol = replace(
        COCO,
        thresholds=tuple(ious),
        max_detections=tuple(most),
        areas=tuple(AreaRange(name, low, high) for name, (low, high) in zip("abcd", ranges, strict=True)),
        recalls=tuple(recalls.tolist()),
        use_classes=classes,
    )
    assert_same(figures_of(read_coco(labels, results), protocol), expected)


def test_many_thresholds() -> None:
    labels, results = made(3, images=20)
    ious = np.linspace(0.01, 1, 130)
    expected, *_ = pycocotools(labels, results, iouThrs=ious)
    assert_same(figures_of(read_coco(labels, results), replace(COCO, thresholds=tuple(ious.tolist()))), expected)


def with_masks(seed: int) -> tuple[dict, list[dict]]:
    """The set with polygons, plain and compressed run lengths for boxes."""
    from pycocotools import mask

    labels, results = made(seed, images=4)
    for row, record in enumerate([*labels["annotations"], *results]):
        x, y, w, h = record["bbox"]
        ring = [x, y, x + w, y, x + w * 0.9, y + h, x + w / 3, y + h * 0.8]
        kept = ring if row % 3 else [*ring, x, y + h]
        encoded = mask.frPyObjects([kept], 96, 128)[0]
        encoded["counts"] = encoded["counts"].decode()
        labelled = row < len(labels["annotations"])
        record["segmentation"] = [kept] if labelled and row % 2 else encoded
        if not labelled:
            del record["bbox"]
    return labels, results


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_masks(seed: int) -> None:
    labels, results = with_masks(seed)
    if not results:
        return
    expected, table, _ = pycocotools(labels, results, "segm")
    figures = figures_of(read_coco(labels, results, kind="mask"), kind="mask")
    assert_same(figures, expected)
    assert coco_table.summary(figures) == table


def with_keypoints(seed: int) -> tuple[dict, list[dict]]:
    """The set with 17 keypoints an object, some objects without a visible one."""
    rng = np.random.default_rng(seed)
    labels, results = made(seed, images=5, classes=2)
    drawn: dict[tuple[int, int], np.ndarray] = {}
    for record in labels["annotations"]:
        x, y, w, h = record["bbox"]
        points = np.stack([rng.uniform(x, x + w, 17), rng.uniform(y, y + h, 17), rng.integers(0, 3, 17)], 1).round(1)
        if rng.random() < 0.2:
            points[:] = 0
        drawn[record["image_id"], record["category_id"]] = points
        record |= {"keypoints": points.ravel().tolist(), "num_keypoints": int((points[:, 2] > 0).sum())}
    for record in results:
        points = drawn.get((record["image_id"], record["category_id"]), rng.uniform(0, 90, (17, 3))).copy()
        points[:, :2] += rng.normal(0, 2, (17, 2)).round(1)
        record["keypoints"] = points.ravel().tolist()
        del record["bbox"]
    return labels, results


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_keypoints(seed: int) -> None:
    labels, results = with_keypoints(seed)
    if not results:
        return
    expected, table, stats = pycocotools(labels, results, "keypoints")
    sets = read_coco(labels, results, kind="keypoints")
    figures = figures_of(sets, COCO_KEYPOINTS, kind="keypoints")
    assert_same(figures, expected)
    assert coco_table.summary(figures) == table
    assert coco_table.stats(figures) == stats
    assert list(coco_table.keys(figures)) == ["AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"]


REAL = {
    "coco_val2014_fake100 bbox": ("detection/coco_val2014_fake100/instances_val2014_100.json",
                                  "detection/coco_val2014_fake100/instances_val2014_fakebbox100_results.json", "box", 0.0),
    "coco_val2014_fake100 segm": ("detection/coco_val2014_fake100/instances_val2014_100.json",
                                  "detection/coco_val2014_fake100/instances_val2014_fakesegm100_results.json", "mask", 0.0),
    "coco_photos": ("coco_photos/instances.json", "coco_photos/centernet_predictions.json", "box", 0.0),
    "indoor85_coco": ("detection/indoor85_coco/groundtruths_coco.json",
                      "detection/indoor85_coco/detections_coco.json", "box", 0.0),
    "small_and_ignore": ("detection/small_and_ignore/gt_ignore_test.json",
                         "detection/small_and_ignore/dt_ignore_test.json", "box", 0.1),
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_published_figures(name: str, test_data: Path) -> None:
    labels, results, kind, least = REAL[name]
    known = json.loads((test_data / "expected_figures.json").read_text())
    published = next(figures for title, figures in known.items() if title.startswith(name))
    given = [r for r in json.loads((test_data / results).read_text()) if r["score"] >= least]
    sets = read_coco(json.loads((test_data / labels).read_text()), given, kind=kind)
    assert not sets.problems
    keys = coco_table.keys(figures_of(sets, kind=kind))
    assert {key: keys[key] for key in published} == pytest.approx(published, abs=1e-15)


def boxes(*rows: tuple[int, int, float, list[float]]) -> Instances:
    """Frame, class, score, box."""
    column = list(zip(*rows, strict=True)) or [(), (), (), ()]
    kinds = (torch.int64, torch.int64, torch.float64, torch.float64)
    frame, class_id, score, box = (torch.tensor(values, dtype=kind) for values, kind in zip(column, kinds, strict=True))
    return instances(frame, class_id, box.reshape(-1, 4), score=score)


SQUARE = [0.0, 0.0, 10.0, 10.0]


def labelled(count: int) -> Instances:
    """Squares far from each other, one frame each."""
    return boxes(*((f, 0, np.nan, SQUARE) for f in range(count)))


def keys_of(labels: Instances, predictions: Instances, protocol: EvaluationProtocol = COCO) -> dict[str, float | None]:
    return coco_table.keys(evaluate(labels, predictions, protocol))


def test_an_overlap_of_exactly_half() -> None:
    keys = keys_of(labelled(1), boxes((0, 0, 0.9, [0.0, 0.0, 10.0, 5.0])))
    assert (keys["AP50"], keys["AP"], keys["AP75"]) == (0.9999999999999999, 0.09999999999999999, 0.0)


def test_right_wrong_right() -> None:
    away = [500.0, 0.0, 10.0, 10.0]
    keys = keys_of(labelled(2), boxes((0, 0, 0.9, SQUARE), (0, 0, 0.8, away), (1, 0, 0.7, SQUARE)))
    assert keys["AP50"] == pytest.approx(0.834983498349835, abs=1e-15)


def test_seven_of_ten_do_not_reach_recall_point_70() -> None:
    keys = keys_of(labelled(10), boxes(*((f, 0, 0.9, SQUARE) for f in range(7))))
    assert keys["AP50"] == pytest.approx(70 / 101, abs=1e-15)


def test_the_second_prediction_is_right() -> None:
    keys = keys_of(labelled(1), boxes((0, 0, 0.9, [500.0, 0.0, 5.0, 5.0]), (0, 0, 0.8, SQUARE)))
    assert keys["AP50"] == pytest.approx(0.5, abs=1e-15)


def test_annotation_id_0_is_an_id_like_any_other() -> None:
    labels = {
        "images": [{"id": 0}, {"id": 1}],
        "categories": [{"id": 0, "name": "cat"}],
        "annotations": [{"id": i, "image_id": i, "category_id": 0, "bbox": SQUARE, "area": 100, "iscrowd": 0} for i in (0, 1)],
    }
    results = [{"image_id": i, "category_id": 0, "bbox": SQUARE, "score": 0.9} for i in (0, 1)]
    sets = read_coco(labels, results)
    assert coco_table.keys(figures_of(sets))["AP"] == 1.0
    assert any("id 0" in warning for warning in sets.warnings)
    assert pycocotools(labels, results)[2][0] < 0.3


def test_max_detections_of_300_are_summarized() -> None:
    figures = evaluate(labelled(1), boxes((0, 0, 0.9, SQUARE)), replace(COCO, max_detections=(1, 10, 300)))
    first = coco_table.summary(figures).splitlines()[0]
    assert first == " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=300 ] = 1.000"
    assert list(coco_table.keys(figures)) == [
        "AP",
        "AP50",
        "AP75",
        "APs",
        "APm",
        "APl",
        "AR1",
        "AR10",
        "AR300",
        "ARs",
        "ARm",
        "ARl",
    ]


def test_a_class_that_is_only_predicted_costs_nothing_unless_asked() -> None:
    predictions = boxes((0, 0, 0.9, SQUARE), (0, 1, 0.9, SQUARE))
    assert keys_of(labelled(1), predictions)["AP50"] == 0.9999999999999999
    zero = keys_of(labelled(1), predictions, replace(COCO, empty_class="zero"))
    assert zero["AP50"] == pytest.approx(0.5, abs=1e-15)


def test_nothing_predicted_is_zero_and_nothing_labeled_is_undefined() -> None:
    nothing = boxes()
    figures = evaluate(labelled(2), nothing)
    assert coco_table.stats(figures) == [0, 0, 0, 0, -1, -1, 0, 0, 0, 0, -1, -1]
    figures = evaluate(nothing, boxes((0, 0, 0.5, SQUARE)))
    assert set(coco_table.stats(figures)) == {-1.0}
    assert set(coco_table.keys(figures).values()) == {None}
    minus = evaluate(nothing, nothing, replace(COCO, minus_one=True), classes=2)
    assert set(coco_table.keys(minus).values()) == {-1.0}


def test_thresholds_without_a_half_have_no_ap50() -> None:
    keys = keys_of(labelled(1), boxes((0, 0, 0.9, SQUARE)), replace(COCO, thresholds=(0.6, 0.75 + 1e-12)))
    assert keys["AP50"] is None
    assert keys["AP75"] == pytest.approx(1)


def test_sizes_per_class() -> None:
    areas = (AreaRange("all", 0, 1e10), AreaRange("low", 0.0, (50.0, 200.0)))
    labels = boxes((0, 0, np.nan, SQUARE), (0, 1, np.nan, SQUARE))
    figures = evaluate(labels, boxes((0, 0, 0.9, SQUARE)), replace(COCO, areas=areas))
    assert figures.positives.tolist() == [[1, 0], [1, 1]]
    assert list(coco_table.keys(figures))[3] == "AP_low"


def test_figures_per_class_and_torchmetrics_names() -> None:
    labels, results = made(12)
    sets = read_coco(labels, results)
    figures = figures_of(sets)
    rows = coco_table.per_class(figures)
    names = coco_table.torchmetrics_keys(figures, list(sets.class_ids))
    known = [row["AP"] for row in rows if row["AP"] is not None]
    assert coco_table.keys(figures)["AP"] == pytest.approx(np.mean(known))
    assert names["map"] == coco_table.keys(figures)["AP"]
    assert [None if v < 0 else v for v in names["map_per_class"]] == [row["AP"] for row in rows]
    assert {"map_50", "map_75", "map_small", "mar_1", "mar_100", "mar_large", "mar_100_per_class", "classes"} <= set(names)
    assert names["classes"] == sorted(c["id"] for c in labels["categories"])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_tensors_give_the_same_bits() -> None:
    sets = read_coco(*made(21, images=60))
    on = [moved(side, "cuda") for side in (sets.labels, sets.predictions)]
    figures, expected = evaluate(*on, classes=3), figures_of(sets)
    for name in ARRAYS:
        assert torch.equal(getattr(figures, name).cpu(), getattr(expected, name))


def test_unordered_files_give_the_same_figures() -> None:
    labels, results = made(4)
    turned = {**labels, "images": labels["images"][::-1], "categories": labels["categories"][::-1]}
    one, other = (figures_of(read_coco(given, results)) for given in (labels, turned))
    for name in ARRAYS:
        assert torch.equal(getattr(one, name), getattr(other, name))
