"""Our COCOeval beside pycocotools': the same arrays bit for bit, the same lines, over any object that looks like COCO."""

import contextlib
import copy
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.cocoeval import COCOeval
from tests.evaluation.coco_sets import made, pycocotools

ARRAYS = ("precision", "recall", "scores")


class Plain:
    """A COCO object that has nothing but the parsed file."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset


class Methods:
    """A COCO object that has nothing but methods."""

    def __init__(self, dataset: dict[str, Any]) -> None:
        self.hidden = dataset

    def getImgIds(self) -> list[int]:
        return [image["id"] for image in self.hidden["images"]]

    def getCatIds(self) -> list[int]:
        return [one["id"] for one in self.hidden["categories"]]

    def getAnnIds(self, imgIds: list[int]) -> list[int]:
        return [i for i, record in enumerate(self.hidden["annotations"]) if record["image_id"] in imgIds]

    def loadAnns(self, ids: list[int]) -> list[dict[str, Any]]:
        return [self.hidden["annotations"][i] for i in ids]


def run(labels: Any, results: Any, kind: str = "bbox", **params: Any) -> tuple[COCOeval, str]:
    evaluation = COCOeval(labels, results, kind)
    for name, value in params.items():
        setattr(evaluation.params, name, value)
    evaluation.evaluate()
    evaluation.accumulate()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        evaluation.summarize()
    return evaluation, printed.getvalue().rstrip("\n")


def assert_same(found: COCOeval, expected: dict[str, Any]) -> None:
    assert found.eval["counts"] == list(expected["counts"])
    for name in ARRAYS:
        assert np.array_equal(found.eval[name], expected[name]), name


@given(st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_arrays_lines_and_stats_are_those_of_pycocotools(seed: int) -> None:
    labels, results = made(seed)
    if not results:
        return
    arrays, table, stats = pycocotools(labels, results)
    found, printed = run(Plain(labels), Plain({"annotations": results}))
    assert_same(found, arrays)
    assert printed == table == str(found)
    assert found.stats.tolist() == stats


@pytest.mark.parametrize(
    "params",
    [
        {"useCats": 0},
        {"iouThrs": np.array([0.5, 0.8])},
        {"recThrs": np.linspace(0, 1, 11)},
        {"maxDets": [2, 5, 1]},
        {"areaRng": [[0, 1e10], [0, 500.0]], "areaRngLbl": ["all", "tiny"]},
    ],
)
def test_parameters_are_obeyed(params: dict[str, Any]) -> None:
    labels, results = made(12)
    arrays, _, _ = pycocotools(labels, results, **params)
    found, _ = run(Plain(labels), results, **params)
    assert_same(found, arrays)


def test_some_images_and_classes_alone() -> None:
    labels, results = made(13)
    images = [image["id"] for image in labels["images"]][:4]
    classes = [labels["categories"][0]["id"], 999]
    arrays, _, _ = pycocotools(labels, results, imgIds=images, catIds=classes)
    found, _ = run(Plain(labels), results, imgIds=images, catIds=classes)
    assert_same(found, arrays)
    assert not found.problems


def test_objects_with_methods_alone_will_do() -> None:
    labels, results = made(14)
    arrays, table, _ = pycocotools(labels, results)
    found, printed = run(Methods(labels), Methods({"images": [], "categories": [], "annotations": results}))
    assert_same(found, arrays)
    assert printed == table


def test_pycocotools_objects_will_do() -> None:
    coco = pytest.importorskip("pycocotools.coco")
    labels, results = made(15)
    arrays, _, _ = pycocotools(labels, results)
    theirs = coco.COCO()
    theirs.dataset = copy.deepcopy(labels)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs.createIndex()
        loaded = theirs.loadRes(copy.deepcopy(results))
    assert_same(run(theirs, loaded)[0], arrays)


def test_masks_and_keypoints() -> None:
    labels, results = made(16)
    ring = [10.0, 10.0, 60.0, 12.0, 55.0, 70.0, 12.0, 50.0]
    for k, record in enumerate(labels["annotations"]):
        x, y, w, h = record["bbox"]
        record["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]] if k % 3 else [ring]
        record["iscrowd"] = 0
        record["keypoints"] = [number for i in range(17) for number in (x + i * w / 17, y + i * h / 20, 2 * (k % 4 > 0))]
        record["num_keypoints"] = 17 * (k % 4 > 0)
    arrays, table, _ = pycocotools(labels, results, "segm")
    boxes = copy.deepcopy(results)
    for record in boxes:
        x, y, w, h = record["bbox"]
        record["segmentation"] = [[x, y, x, y + h, x + w, y + h, x + w, y]]
        record["area"] = w * h
    found, printed = run(Plain(labels), boxes, "segm")
    assert_same(found, arrays)
    assert printed == table
    for record in results:
        x, y, w, h = record.pop("bbox")
        record["keypoints"] = [number for i in range(17) for number in (x + i * w / 16, y + i * h / 19, 1.0)]
    arrays, table, _ = pycocotools(labels, results, "keypoints")
    found, printed = run(Plain(labels), results, "keypoints")
    assert_same(found, arrays)
    assert printed == table


def test_what_pycocotools_gets_wrong() -> None:
    box = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]}
    labels = {
        "images": [{"id": 1}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [box | {"id": 0, "area": 100, "iscrowd": 0}, box | {"id": 1, "bbox": [20, 0, 10, 10], "area": 100}],
    }
    results = [box | {"score": 0.9}, box | {"bbox": [20, 0, 10, 10], "score": 0.8}]
    assert run(Plain(labels), results)[0].stats[0] == 1
    assert run(Plain(labels), [])[0].stats[0] == 0
    found, printed = run(Plain(labels), results, maxDets=[1, 10, 300])
    assert found.stats[0] == 1
    assert printed.startswith(" Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=300 ] = 1.000")


def test_misuse_is_told() -> None:
    labels, results = made(17)
    with pytest.raises(UsageError, match="iouType 'boxes'"):
        COCOeval(Plain(labels), results, "boxes")
    fresh = COCOeval(Plain(labels), results, "bbox")
    with pytest.raises(UsageError, match="call evaluate first"):
        fresh.accumulate()
    with pytest.raises(UsageError, match="call accumulate before"):
        fresh.summarize()
    with pytest.raises(AttributeError, match=r"no 'evalImgs'; matching\.match"):
        _ = fresh.evalImgs
    assert not hasattr(fresh, "ious")
    with pytest.raises(UsageError, match="needs a dataset with images"):
        COCOeval(object(), results, "bbox")
    with pytest.raises(UsageError, match="needs labels"):
        COCOeval(iouType="bbox").evaluate()
    fresh.params.areaRngLbl = ["all"]
    with pytest.raises(UsageError, match="areaRng has 4 ranges"):
        fresh.evaluate()


def test_refused_records_are_told() -> None:
    labels, results = made(18)
    results[0]["score"] = float("nan")
    found, _ = run(Plain(labels), results)
    assert [(p.origin, p.row, p.reason) for p in found.problems] == [("predictions", 0, "dt_score_out_of_range")]
