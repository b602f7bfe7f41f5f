"""Parsed COCO files: ids and bits are kept, and every row that is not used is told with its reason."""

import copy
import json
from typing import Any

import pytest
import torch

from gpu_quality.errors import REASONS, UsageError
from gpu_quality.evaluation.coco_files import CocoSets, read_coco
from gpu_quality.kernels.results import results
from tests.evaluation.coco_sets import made


def small() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    labels = {
        "images": [{"id": 7, "height": 20, "width": 30}, {"id": 3, "height": 20, "width": 30}],
        "categories": [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 2, "bbox": [0.1, 0.2, 0.30000000000000004, 4], "area": 5, "iscrowd": 1},
            {"id": 2, "image_id": 3, "category_id": 9, "bbox": [1, 2, 3, 4]},
        ],
    }
    return labels, [{"image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4.5], "score": 0.25}]


def reasons(sets: CocoSets) -> list[tuple[str, int, str, bool]]:
    assert {p.reason for p in sets.problems} <= set(REASONS)
    return [(p.origin, p.row, p.reason, p.refused) for p in sets.problems]


def test_rows_are_those_of_rising_ids_and_numbers_stay_as_they_are() -> None:
    sets = read_coco(*small())
    assert (sets.frame_ids, sets.class_ids, sets.class_names, sets.label_ids) == ((3, 7), (2, 9), ("cat", "dog"), (1, 2))
    assert sets.labels.frame.tolist() == [1, 0]
    assert sets.labels.class_id.tolist() == [0, 1]
    assert sets.labels.box.tolist() == [[0.1, 0.2, 0.30000000000000004, 4.0], [1.0, 2.0, 3.0, 4.0]]
    assert sets.labels.area.tolist() == [5.0, 12.0]  # of the box where none is given
    assert sets.labels.crowd.tolist() == [True, False]
    assert sets.predictions.score.tolist() == [0.25]
    assert sets.predictions.area.tolist() == [13.5]
    assert not sets.problems
    assert not sets.warnings


WRONG_RESULTS = {
    "dt_orphan_image_id": [{"image_id": 8}, {"image_id": None}, {"image_id": [7]}, {"image_id": True}],
    "dt_orphan_category_id": [{"category_id": 1}, {"category_id": "dog"}, {"category_id": 2**70}],
    "dt_missing_score": [{"score": None}],
    "dt_score_out_of_range": [{"score": float("nan")}, {"score": "high"}, {"score": float("inf")}, {"score": 10**400}],
    "missing_geometry": [{"bbox": [1, 2, 3]}, {"bbox": None}, {"bbox": "1234"}, {"bbox": []}, {"bbox": {"x": 1}}],
    "non_finite_geometry": [{"bbox": [1, 2, float("nan"), 4]}, {"bbox": [1, 2, None, 4]}, {"bbox": [10**400, 2, 1, 4]}],
}


@pytest.mark.parametrize(("reason", "change"), [(r, c) for r, changes in WRONG_RESULTS.items() for c in changes])
def test_a_wrong_result_is_a_row_and_the_others_are_used(reason: str, change: dict[str, Any]) -> None:
    labels, (good,) = small()
    sets = read_coco(labels, [good, {**good, **change}, good])
    assert reasons(sets) == [("predictions", 1, reason, True)]
    assert sets.prediction_rows.tolist() == [0, 2]
    assert len(sets.predictions) == 2


def test_fields_that_are_not_there() -> None:
    labels, (good,) = small()
    results = [{k: v for k, v in good.items() if k != name} for name in good] + [17, None, good]
    sets = read_coco(labels, results)
    expected = ["dt_orphan_image_id", "dt_orphan_category_id", "missing_geometry", "dt_missing_score"]
    assert [p.reason for p in sorted(sets.problems, key=lambda p: p.row)] == [*expected, *["dt_orphan_image_id"] * 2]
    assert sets.prediction_rows.tolist() == [6]
    kept = read_coco(labels, results, missing_scores=True)
    assert kept.prediction_rows.tolist() == [3, 6]
    assert kept.predictions.score.isnan().tolist() == [True, False]


def test_wrong_labels() -> None:
    labels, results = small()
    bad = [{"image_id": 1}, {"category_id": 1}, {"bbox": None}, {"bbox": [0, 0, float("inf"), 1]}]
    first = labels["annotations"][0]
    labels["annotations"] += [{**first, **change, "id": 10 + i} for i, change in enumerate(bad)]
    sets = read_coco(labels, results)
    codes = ["orphan_image_id", "orphan_category_id", "missing_geometry", "non_finite_geometry"]
    assert reasons(sets) == [("labels", 2 + i, code, True) for i, code in enumerate(codes)]
    assert [p.id for p in sets.problems] == [10, 11, 12, 13]
    assert sets.label_rows.tolist() == [0, 1]


def test_what_is_odd_but_used() -> None:
    labels, (good,) = small()
    labels["images"].append({"id": 7})
    labels["images"].append({"name": "no id"})
    labels["annotations"][1]["id"] = 1
    sets = read_coco(labels, [{**good, "score": 1.5}, {**good, "bbox": [1, 2, 0, 4]}])
    assert reasons(sets) == [
        ("images", 2, "duplicate_image_id", True),
        ("images", 3, "bad_annotation", True),
        ("predictions", 1, "degenerate_bbox", False),
        ("predictions", 0, "dt_score_out_of_range", False),
    ]
    assert len(sets.predictions) == 2
    assert sets.warnings == ("annotation ids are not unique (1 more rows than ids); all rows are used",)


def test_ids_that_are_numbers_here_and_texts_there() -> None:
    labels, results = small()
    for record in (*labels["images"], *labels["annotations"]):
        name = "image_id" if "image_id" in record else "id"
        record[name] = str(record[name])
    sets = read_coco(labels, results)
    assert not sets.problems
    assert sets.frame_ids == ("3", "7")
    assert sets.predictions.frame.tolist() == [1]
    assert sets.warnings == ("image ids are numbers in one place and texts in another; they are compared as texts",)


def test_gapped_and_far_ids() -> None:
    labels, results = made(5, images=20)
    plain = read_coco(labels, results)
    far = copy.deepcopy(labels)
    moved = [{**r, "image_id": r["image_id"] * 10**15} for r in results]
    for record in far["images"]:
        record["id"] *= 10**15
    for record in far["annotations"]:
        record["image_id"] *= 10**15
    other = read_coco(far, moved)
    assert plain.labels.frame.tolist() == other.labels.frame.tolist()
    assert plain.predictions.frame.tolist() == other.predictions.frame.tolist()


RLE = {"size": [20, 30], "counts": [21, 3, 576]}
WRONG_MASKS = {
    "missing_geometry": [None, [], 5, [[0, 0, 1, 1]], [[0, 0, 1, 1, 2]], [5]],
    "non_finite_geometry": [[[0, 0, 5, 0, 5, float("nan")]]],
    "invalid_rle": [
        {**RLE, "size": [30, 20]},
        {**RLE, "counts": [21, 3, 575]},
        {**RLE, "counts": [21, -3, 582]},
        {**RLE, "counts": "zz~"},
        {**RLE, "counts": None},
        {"counts": [600]},
    ],
}


@pytest.mark.parametrize(("reason", "value"), [(r, v) for r, values in WRONG_MASKS.items() for v in values])
def test_wrong_masks(reason: str, value: object) -> None:
    labels, (good,) = small()
    for record in labels["annotations"]:
        record["segmentation"] = [[1, 1, 9, 1, 9, 9]]
    sets = read_coco(labels, [{**good, "segmentation": RLE}, {**good, "segmentation": value}], kind="mask")
    assert reasons(sets) == [("predictions", 1, reason, True)]
    assert sets.predictions.area.tolist() == [3.0]


def test_masks_need_sizes_of_images() -> None:
    labels, _ = small()
    for record in labels["annotations"]:
        record["segmentation"] = [[1, 1, 9, 1, 9, 9]]
    del labels["images"][0]["height"]
    labels["images"][1]["width"] = 0
    sets = read_coco(labels, [], kind="mask")
    assert reasons(sets) == [("labels", 0, "zero_dimensions", True), ("labels", 1, "zero_dimensions", True)]


def test_keypoints() -> None:
    labels, (good,) = small()
    labels["categories"][0]["keypoints"] = ["nose", "tail"]
    points = [1, 2, 2, 4, 6, 1]
    for record, visible in zip(labels["annotations"], (2, 0), strict=True):
        record |= {"keypoints": points, "num_keypoints": visible}
    results = [{**good, "keypoints": value} for value in (points, points[:3], [*points[:5], None], None)]
    sets = read_coco(labels, [{k: v for k, v in r.items() if k != "bbox"} for r in results], kind="keypoints")
    codes = ["keypoint_length", "non_finite_geometry", "missing_geometry"]
    assert reasons(sets) == [("predictions", 1 + i, code, True) for i, code in enumerate(codes)]
    assert sets.labels.ignored.tolist() == [False, True]
    assert sets.predictions.area.tolist() == [12.0]
    assert sets.predictions.box.tolist() == [[1.0, 2.0, 3.0, 4.0]]


@pytest.mark.parametrize(
    ("labels", "predictions", "text"),
    [
        ([], [], "COCO labels must be an object with lists of images, annotations and categories; found a list"),
        ({"images": []}, [], '"annotations" is missing'),
        ({"images": [], "annotations": [], "categories": []}, [], "the labels list no images"),
        ({"images": [{"id": 1}], "annotations": [], "categories": []}, 5, "predictions must be a list of results"),
        ({"images": [{"id": 1}], "annotations": [], "categories": []}, {"a": 1}, '"annotations" is missing'),
    ],
)
def test_files_that_are_none(labels: object, predictions: object, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        read_coco(labels, predictions)


def test_other_kinds_are_not_in_coco_files() -> None:
    with pytest.raises(UsageError, match="by box, mask, keypoints, not by 'line'"):
        read_coco(*small(), kind="line")


def test_an_empty_list_of_results_is_fine() -> None:
    labels, _ = small()
    assert len(read_coco(labels, []).predictions) == 0
    assert len(read_coco(labels, {"annotations": []}).predictions) == 0


def test_columns_of_a_text_are_read_as_its_objects_are() -> None:
    labels, given = made(6, images=30)
    given[3]["image_id"] = 5
    given[4]["score"] = 1.5
    columns = results(json.dumps(given).encode())
    assert columns is not None
    one, other = read_coco(labels, given), read_coco(labels, columns)
    for name in ("frame", "class_id", "box", "score", "area", "crowd", "ignored"):
        assert torch.equal(getattr(one.predictions, name), getattr(other.predictions, name))
    assert one.problems == other.problems
    assert len(one.problems) == 2
    with pytest.raises(UsageError, match="columns of results hold boxes alone"):
        read_coco(labels, columns, kind="mask")


def test_columns_with_ids_that_are_texts_in_the_labels() -> None:
    labels, given = small()
    for image in labels["images"]:
        image["id"] = str(image["id"])
    columns = results(json.dumps(given).encode())
    assert columns is not None
    sets = read_coco(labels, columns)
    assert sets.predictions.frame.tolist() == [1]
    assert any("compared as texts" in warning for warning in sets.warnings)
