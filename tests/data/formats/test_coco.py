"""COCO files: real ones against pycocotools, small ones with every mistake a file can hold."""

import contextlib
import io
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.data.formats import json_records, load_formats
from gpu_quality.data.formats.coco import looks_like_coco, read
from gpu_quality.data.formats.folder import list_images
from gpu_quality.errors import UsageError
from gpu_quality.registry import find_reader
from gpu_quality.types import KINDS


def load(labels: Path, images: Path | None = None, **predictions: Path) -> Dataset:
    builder = Builder()
    if images is not None:
        list_images(images, builder)
    read(labels, builder, "labels")
    for name, path in predictions.items():
        read(path, builder, name)
    return builder.build()


def instances(**changed: Any) -> dict[str, Any]:
    """Three images (one without labels), two classes with gapped ids, three boxes; annotation id 0 is one of them."""
    return {
        "info": {"year": 2026, "list": [1, {"a": "]"}]},
        "images": [{"id": i, "file_name": f"d/{i}.jpg", "width": 40, "height": 30, "license": 1} for i in (7, 0, 3)],
        "categories": [{"id": 9, "name": "dog"}, {"id": 4, "name": "cat"}],
        "annotations": [
            {"id": 0, "image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4], "area": 11.5, "iscrowd": 0},
            {
                "id": 5,
                "image_id": 0,
                "category_id": 4,
                "bbox": [0.5, 0, 10, 10.25],
                "iscrowd": 1,
                "extra": [{"a": 1}, {"b": 2}],
            },
            {"id": 3, "image_id": 7, "category_id": 4, "bbox": [2, 2, 2, 2], "segmentation": [[2, 2, 4, 2, 4, 4]]},
        ],
        **changed,
    }


@pytest.fixture
def written(tmp_path: Path):
    def write(data: Any, name: str = "labels.json") -> Path:
        path = tmp_path / name
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path

    return write


def test_labels_without_images(written) -> None:
    made = load(written(instances()))
    assert made.frames.column("frame").to_pylist() == ["d/0.jpg", "d/3.jpg", "d/7.jpg"]
    assert made.frames.column("width").to_pylist() == [40] * 3
    assert made.frames.column("size_bytes").to_pylist() == [-1] * 3
    assert made.frames.column("labelled").to_pylist() == [True] * 3
    assert (made.classes, made.class_sources) == (("cat", "dog"), ("4", "9"))
    rows = made.objects.to_pylist()
    assert [r["object"] for r in rows] == ["labels/5", "labels/0", "labels/3"]
    assert [r["class_id"] for r in rows] == [0, 1, 0]
    assert [r["box"] for r in rows] == [[0.5, 0, 10.5, 10.25], [1, 2, 4, 6], [2, 2, 4, 4]]
    assert [r["area"] for r in rows] == [102.5, 11.5, 2.0]
    assert [r["crowd"] for r in rows] == [True, False, False]
    assert [KINDS[r["kind"]] for r in rows] == ["box", "box", "polygon"]
    assert made.errors.num_rows == 0


@pytest.mark.parametrize("size", [64, 300, 1 << 20])
def test_the_order_of_keys_and_the_size_of_pieces_do_not_matter(written, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    whole = load(written(instances()))
    monkeypatch.setattr(json_records, "PIECE", size)
    for order in (["annotations", "categories", "images"], ["categories", "annotations", "images", "info"]):
        for indent in (None, 2):
            data = instances()
            made = load(written(json.dumps({key: data[key] for key in order}, indent=indent)))
            assert made.objects.equals(whole.objects)
            assert made.frames.equals(whole.frames)


def test_images_are_found_by_name_then_by_last_part_else_missing(tmp_path: Path, written) -> None:
    photos = tmp_path / "photos"
    for name in ("d/7.jpg", "e/0.jpg", "f/twin.jpg", "g/twin.jpg", "unknown.jpg"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(b"x")
    names = {7: "d/7.jpg", 0: "somewhere/else/0.jpg", 3: "gone.jpg", 4: "twin.jpg", 5: "other/0.jpg", 6: "/abs/d/7.jpg"}
    images = [{"id": i, "file_name": name} for i, name in names.items()]
    boxes = [{"id": i, "image_id": i, "category_id": 4, "bbox": [0, 0, 1, 1]} for i in names]
    made = load(written(instances(images=images, annotations=boxes)), photos)
    by_label = {r["source_id"]: r["frame"] for r in made.objects.to_pylist()}
    assert by_label == {
        "7": "d/7.jpg",
        "0": "e/0.jpg",
        "3": "gone.jpg",
        "4": "twin.jpg",
        "5": "other/0.jpg",
        "6": "/abs/d/7.jpg",
    }
    frames = {f["frame"]: (f["size_bytes"], f["labelled"]) for f in made.frames.to_pylist()}
    assert frames["d/7.jpg"] == frames["e/0.jpg"] == (1, True)
    assert frames["gone.jpg"] == frames["twin.jpg"] == (-1, True)
    assert frames["unknown.jpg"] == frames["f/twin.jpg"] == (1, False)
    assert made.errors.num_rows == 0


def test_two_images_of_one_name(tmp_path: Path, written) -> None:
    images = [{"id": 7, "file_name": "a.jpg"}, {"id": 0, "file_name": "a.jpg"}, {"id": 3}]
    made = load(written(instances(images=images)))
    assert made.frames.column("frame").to_pylist() == ["3", "a.jpg", "a.jpg#0"]
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.jpg").write_bytes(b"x")
    made = load(written(instances(images=images[:2])), tmp_path / "p")
    assert made.frames.column("frame").to_pylist() == ["a.jpg"]
    assert made.objects.num_rows == 3


BOX = {"id": 1, "image_id": 7, "category_id": 4, "bbox": [0, 0, 2, 2]}


@pytest.mark.parametrize(
    ("bad", "message", "reason"),
    [
        ({"bbox": [math.nan, 0, 1, 1]}, "not finite", "non_finite_geometry"),
        ({"bbox": [0, 0, math.inf, 1]}, "not finite", "non_finite_geometry"),
        ({"bbox": [0, 0, 10**400, 1]}, "not finite", "non_finite_geometry"),
        ({"bbox": [math.inf, 0, -math.inf, 0]}, "not finite", "non_finite_geometry"),
        ({"bbox": [0, 0, 1e300, 1e300]}, "beyond 1e+09", "non_finite_geometry"),
        ({"bbox": [0, 0, 3]}, "bbox must be", "missing_geometry"),
        ({"bbox": "0123"}, "bbox must be", "missing_geometry"),
        ({"bbox": {"x": 1}}, "bbox must be", "missing_geometry"),
        ({"bbox": [0, None, "1", 1]}, "not finite", "non_finite_geometry"),
        ({"bbox": None}, "neither a bbox nor a segmentation", "missing_geometry"),
        ({"bbox": []}, "neither a bbox nor a segmentation", "missing_geometry"),
        ({"image_id": 99}, "image_id 99 is not among the images", "orphan_image_id"),
        ({"image_id": "frame\n7"}, r"image_id 'frame\n7' is not among", "orphan_image_id"),
        ({"image_id": None}, "no image_id", "orphan_image_id"),
        ({"image_id": [7]}, "image_id [7] is not among", "orphan_image_id"),
        ({"category_id": 1}, "category_id 1 is not among the categories", "orphan_category_id"),
        ({"category_id": None}, "no category_id", "orphan_category_id"),
        ({"segmentation": [[0, 0, 1, 1]]}, "4 numbers", "missing_geometry"),
        ({"segmentation": [[0, 0, 1, 1, 2, 2, 3]]}, "7 numbers", "missing_geometry"),
        ({"segmentation": [[0, 0, math.nan, 1, 2, 2]]}, "not finite", "non_finite_geometry"),
        ({"segmentation": [0, 0, 1, 1, 2, 2]}, "list of rings", "missing_geometry"),
        ({"segmentation": [["a", 0, 1, 1, 2, 2]]}, "list of rings", "missing_geometry"),
        ({"segmentation": [[[0, 0], [1, 1], [2, 2]]]}, "list of rings", "missing_geometry"),
        ({"segmentation": "mask"}, "list of rings or an object", "missing_geometry"),
        ({"segmentation": {"size": [30, 40], "counts": [3, 4]}}, "sum to 7, its size 30 x 40 asks for 1200", "invalid_rle"),
        ({"segmentation": {"size": [30, 40], "counts": [1300, -100]}}, "negative", "invalid_rle"),
        ({"segmentation": {"size": [30, 40], "counts": [10**30]}}, "size [height, width] and counts", "invalid_rle"),
        ({"segmentation": {"size": [30, 40], "counts": [1200.0]}}, "size [height, width] and counts", "invalid_rle"),
        ({"segmentation": {"size": [30], "counts": [1200]}}, "size [height, width] and counts", "invalid_rle"),
        ({"segmentation": {"size": [30.5, 40], "counts": "x"}}, "size [height, width] and counts", "invalid_rle"),
        ({"segmentation": {"size": [30, 40]}}, "size [height, width] and counts", "invalid_rle"),
        ({"segmentation": {"counts": [1200]}}, "size [height, width] and counts", "invalid_rle"),
        ({"segmentation": {"size": [40, 30], "counts": [1200]}}, "not the frame's size 30 x 40", "invalid_rle"),
        ({"segmentation": {"size": [30, 40], "counts": "ÿÿ"}}, "not COCO-compressed", "invalid_rle"),
        ({"segmentation": {"size": [30, 40], "counts": ""}}, "not COCO-compressed", "invalid_rle"),
        (None, "no JSON object", "bad_annotation"),
        (17, "no JSON object", "bad_annotation"),
    ],
)
def test_a_bad_annotation_is_an_error_row(written, bad: Any, message: str, reason: str) -> None:
    record = {**BOX, "id": 2, **bad} if isinstance(bad, dict) else bad
    made = load(written(instances(annotations=[BOX, record, {**BOX, "id": 3}])))
    assert made.objects.column("object").to_pylist() == ["labels/1", "labels/3"]
    (error,) = made.errors.to_pylist()
    assert message in error["detail"]
    assert (error["uri"], error["line"], error["stage"], error["reason"]) == ("labels.json", 1, "annotate", reason)
    assert error["object"] == ("labels/2" if isinstance(bad, dict) else "labels/record-1")
    assert "\n" not in error["detail"]


def test_a_box_without_area_is_kept_and_told(written) -> None:
    flat = [{**BOX, "id": 2, "bbox": [0, 0, 0, 1]}, {**BOX, "id": 3, "bbox": [0, 0, 3, -1]}]
    made = load(written(instances(annotations=[BOX, *flat])))
    assert made.objects.column("object").to_pylist() == ["labels/1", "labels/2", "labels/3"]
    assert made.objects.column("box").to_pylist()[2] == [0, 0, 3, -1]
    errors = made.errors.to_pylist()
    assert [(e["line"], e["reason"], e["object"]) for e in errors] == [
        (1, "degenerate_bbox", "labels/2"),
        (2, "degenerate_bbox", "labels/3"),
    ]


def test_400_random_masks_never_crash(written) -> None:
    numbers = random.Random(4)
    counts: list[Any] = [
        [numbers.randrange(-50, 1300) for _ in range(numbers.randrange(6))]
        if i % 3
        else "".join(chr(numbers.randrange(1, 160)) for _ in range(numbers.randrange(30)))
        for i in range(400)
    ]
    records = [{**BOX, "id": i, "segmentation": {"size": [30, 40], "counts": c}} for i, c in enumerate(counts)]
    made = load(written(instances(annotations=records)))
    good = [i for i, c in enumerate(counts) if isinstance(c, list) and c and min(c) >= 0 and sum(c) == 1200]
    assert made.objects.column("source_id").to_pylist() == [str(i) for i in good]
    assert made.errors.column("line").to_pylist() == [i for i in range(400) if i not in good]


def test_masks_of_both_forms_and_boxes_from_shapes(written) -> None:
    mask = np.zeros((30, 40), np.uint8, order="F")
    mask[4:9, 10:13] = 1
    text = coco_mask.encode(mask)["counts"].decode()
    plain = [10 * 30 + 4, 5, 25, 5, 25, 5, 1200 - 12 * 30 - 9]
    shapes: list[Any] = [{"size": [30, 40], "counts": text}, {"size": [30, 40], "counts": plain}, [[1, 2, 5, 2, 5, 8.5]]]
    empty = {"size": [30, 40], "counts": [1200]}
    records = [{"id": i, "image_id": 7, "category_id": 4, "segmentation": s} for i, s in enumerate([*shapes, empty, []])]
    made = load(written(instances(annotations=records)))
    rows = made.objects.to_pylist()
    assert [r["box"] for r in rows] == [[10, 4, 13, 9], [10, 4, 13, 9], [1, 2, 5, 8.5], [0, 0, 0, 0]]
    assert [r["area"] for r in rows] == [15, 15, 13, 0]
    assert rows[0]["rle"] == rows[1]["rle"] == {"height": 30, "width": 40, "counts": text.encode()}
    assert [e["detail"][:15] for e in made.errors.to_pylist()] == ["box has no area", "it has neither "]


def test_bad_images_and_categories_are_error_rows(written) -> None:
    images = [
        {"id": 7, "file_name": "a"},
        {"id": 7, "file_name": "b"},
        {"file_name": "c"},
        5,
        {"id": [1]},
        {"id": 8, "width": 0},
    ]
    categories = [{"id": 4, "name": "cat"}, {"id": 4, "name": "dog"}, {"name": "x"}, None, {"id": 5}]
    made = load(written(instances(images=images, categories=categories, annotations=[BOX])))
    assert made.frames.column("frame").to_pylist() == ["8", "a"]
    assert made.frames.column("width").to_pylist() == [None, None]
    assert made.classes == ("cat", "5")
    assert made.objects.column("frame").to_pylist() == ["a"]
    errors = [(e["line"], e["reason"]) for e in made.errors.to_pylist()]
    bad = "bad_annotation"
    assert errors == [
        *((1, "duplicate_image_id"), (2, bad), (3, bad), (4, bad), (5, "zero_dimensions")),
        *((1, "duplicate_category_id"), (2, bad), (3, bad)),
    ]
    assert "image id 7 is there twice" in made.errors.to_pylist()[0]["detail"]
    assert "category id 4 is there twice" in made.errors.to_pylist()[5]["detail"]


def test_results(written) -> None:
    results = [
        {"image_id": 7, "category_id": 9, "bbox": [1, 1, 2, 2], "score": 0.5, "area": 999, "iscrowd": 1},
        {"image_id": 99, "category_id": 9, "bbox": [1, 1, 2, 2], "score": 0.5},
        {"image_id": 0, "category_id": 1, "bbox": [1, 1, 2, 2], "score": 0.5},
        {"image_id": 0, "category_id": 4, "bbox": [1, 1, 2, 2], "score": math.nan},
        {"image_id": 0, "category_id": 4, "bbox": [1, 1, 2, 2], "score": "high"},
        {"image_id": "0", "category_id": 4, "bbox": [1, 1, 2, 2]},
        {"image_id": 0, "category_id": 4, "segmentation": {"size": [30, 40], "counts": [0, 30, 1170]}, "score": 0},
    ]
    made = load(written(instances()), yolo=written(results, "r.json"), none=written([], "n.json"))
    assert made.origins == ("labels", "yolo", "none")
    rows = [r for r in made.objects.to_pylist() if r["origin"] == 1]
    assert [(r["object"], r["frame"], r["score"], r["area"], r["crowd"]) for r in rows] == [
        ("yolo/5", "d/0.jpg", None, 4.0, False),
        ("yolo/6", "d/0.jpg", 0.0, 30.0, False),
        ("yolo/0", "d/7.jpg", 0.5, 4.0, False),
    ]
    errors = made.errors.to_pylist()
    assert [(e["line"], e["reason"]) for e in errors] == [
        (1, "dt_orphan_image_id"),
        (2, "dt_orphan_category_id"),
        (3, "dt_score_out_of_range"),
        (4, "dt_score_out_of_range"),
    ]
    assert [e["object"] for e in errors] == ["yolo/1", "yolo/2", "yolo/3", "yolo/4"]
    assert "image_id 99" in errors[0]["detail"]
    assert "category_id 1" in errors[1]["detail"]
    assert "score is not finite" in errors[2]["detail"]


def test_predictions_with_images_and_categories_of_their_own(written) -> None:
    """Images are found by name, classes by name: ids of the two files have nothing to do with each other."""
    other = instances(
        images=[{"id": 1, "file_name": "d/7.jpg"}, {"id": 7, "file_name": "new.jpg", "width": 9}],
        categories=[{"id": 4, "name": "dog"}, {"id": 5, "name": "bird"}],
        annotations=[
            {"image_id": 1, "category_id": 4, "bbox": [0, 0, 2, 2], "score": 0.5},
            {"image_id": 7, "category_id": 5, "bbox": [0, 0, 2, 2]},
            {"image_id": 0, "category_id": 5, "bbox": [0, 0, 2, 2]},
        ],
    )
    made = load(written(instances()), net=written(other, "r.json"))
    rows = [(r["frame"], made.classes[r["class_id"]], r["score"]) for r in made.objects.to_pylist() if r["origin"]]
    assert rows == [("d/7.jpg", "dog", 0.5), ("new.jpg", "bird", None)]
    assert (made.classes, made.class_sources) == (("cat", "dog", "bird"), ("4", "9", "bird"))
    assert [(f["frame"], f["labelled"], f["width"]) for f in made.frames.to_pylist()][3] == ("new.jpg", False, None)
    assert made.errors.column("reason").to_pylist() == ["dt_orphan_image_id"]
    builder = Builder()
    read(written(other, "r.json"), builder, "net")
    assert builder.build().objects.num_rows == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "byte 0"),
        ("not json", "byte 0"),
        ('{"images": [], "annotations": [{"id": 1}, {"i', "byte 4"),
        ("[]", "holds a list at byte 0; labels are an object"),
        ('{"images": [], "annotations": []}', "has no 'categories': found 'annotations', 'images'"),
        ("{}", "has no 'images' and no 'annotations' and no 'categories': it is empty"),
        ('{"images": {}, "annotations": [], "categories": []}', "'images' is no list"),
        ('{"images": [], "annotations": null, "categories": []}', "'annotations' is no list"),
    ],
)
def test_a_file_that_is_no_labels_file(written, text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        load(written(text))
    assert message in str(error.value)
    assert "labels.json" in str(error.value)


def test_files_in_the_wrong_place(written, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load(tmp_path / "absent.json")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load(tmp_path)
    with pytest.raises(UsageError, match="has no 'images' and no 'categories'"):
        load(written(instances()), yolo=written({"annotations": []}, "r.json"))
    with pytest.raises(UsageError, match="only a labels file explains") as error:
        read(written([], "r.json"), Builder(), "yolo")
    assert "--labels" in error.value.hint


def test_other_json_is_not_taken_for_coco(written) -> None:
    assert not looks_like_coco(written({"annotations": [{"image_id": 1, "segments_info": [{"bbox": [0, 0, 1, 1]}]}]}))
    assert not looks_like_coco(written('{"data_row": {"id": "a"}}\n{"data_row": {"id": "b"}}\n'))
    assert not looks_like_coco(written('{"uuid": "u", "bbox": {"top": 1}, "dataRow": {"id": "b"}}'))
    assert not looks_like_coco(written([{"label_hash": "h", "data_units": {}}]))
    assert not looks_like_coco(written('{"image": "a.jpg"}\n{"image": "b.jpg"}\n'))
    assert looks_like_coco(written(json.dumps(instances(), indent=1)))
    images = [{"id": i, "file_name": "x" * 1000} for i in range(2000)]
    assert looks_like_coco(written({"images": images, "annotations": [{"segmentation": []}]}))
    assert not looks_like_coco(written({"images": images, "annotations": [{"segments_info": []}]}))


POSE = {"id": 4, "name": "cat", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}


def test_keypoints_with_and_without_a_box(written) -> None:
    records = [
        {**BOX, "id": 1, "keypoints": [1, 2, 2, 0, 0, 0], "num_keypoints": 1},
        {"id": 2, "image_id": 7, "category_id": 4, "keypoints": [1, 2, 2, 9, 7.5, 1]},
        {**BOX, "id": 3, "keypoints": [1, 2, 2]},
        {**BOX, "id": 4, "keypoints": [1, 2, 2, 4]},
        {**BOX, "id": 5, "keypoints": [1, 2, 2, math.nan, 0, 0]},
        {**BOX, "id": 6, "keypoints": "none"},
        {**BOX, "id": 7, "keypoints": [0, 0, 0, 0, 0, 0], "num_keypoints": 2},
        {**BOX, "id": 8, "keypoints": []},
    ]
    made = load(written(instances(categories=[POSE], annotations=records)))
    rows = {r["source_id"]: r for r in made.objects.to_pylist()}
    assert {k: (KINDS[r["kind"]], r["box"], r["keypoints"]) for k, r in rows.items()} == {
        "1": ("box", [0, 0, 2, 2], [1, 2, 2, 0, 0, 0]),
        "2": ("keypoints", [1, 2, 9, 7.5], [1, 2, 2, 9, 7.5, 1]),
        "7": ("box", [0, 0, 2, 2], [0, 0, 0, 0, 0, 0]),
        "8": ("box", [0, 0, 2, 2], None),
    }
    assert [(e["line"], e["reason"]) for e in made.errors.to_pylist()] == [
        (2, "keypoint_length"),
        (3, "keypoint_length"),
        (4, "non_finite_geometry"),
        (5, "keypoint_length"),
    ]
    assert "3 keypoint numbers; its category has 2 keypoints" in made.errors.to_pylist()[0]["detail"]
    assert any("names and skeletons" in note for note in made.notes)
    assert any(note.endswith("which counts instead: 1 annotations") for note in made.notes)


def test_keypoint_results_have_the_area_of_pycocotools(written) -> None:
    labels = written(instances(categories=[POSE]))
    results = written([{"image_id": 7, "category_id": 4, "keypoints": [1, 2, 0, 9, 7.5, 1], "score": 0.5}], "r.json")
    (row,) = (r for r in load(labels, a=results).objects.to_pylist() if r["origin"] == 1)
    assert row["area"] == peer(labels, results).anns[1]["area"] == 8 * 5.5
    assert row["box"] == [9, 7.5, 9, 7.5]  # around the visible one alone
    assert (KINDS[row["kind"]], row["score"]) == ("keypoints", 0.5)


def test_videos_and_tracks(written) -> None:
    images = [
        {"id": 1, "file_name": "v/b.jpg", "video_id": 5, "frame_id": 8},
        {"id": 2, "file_name": "v/a.jpg", "video_id": 5, "frame_id": 3},
        {"id": 3, "file_name": "w/a.jpg", "video_id": 6},
        {"id": 4, "file_name": "w/b.jpg", "video_id": 6},
        {"id": 5, "file_name": "alone.jpg"},
    ]
    tracks: list[dict[str, Any]] = [
        {"track_id": 7},
        {"instance_id": 0},
        {"attributes": {"track_id": 9}},
        {"track_id": "12"},
        {"track_id": "car"},
        {"track_id": "bus"},
        {"track_id": "car"},
        {"track_id": -1},
        {},
    ]
    records = [{**BOX, "image_id": 1, "id": i, **t} for i, t in enumerate(tracks)]
    data = instances(images=images, annotations=records, videos=[{"id": 5, "name": "drive"}, {"id": None}])
    made = load(written(data))
    places = {f["frame"]: (f["sequence"], f["position"]) for f in made.frames.to_pylist()}
    assert places == {
        "v/b.jpg": ("drive", 8),
        "v/a.jpg": ("drive", 3),
        "w/a.jpg": ("6", 0),
        "w/b.jpg": ("6", 1),
        "alone.jpg": ("", 0),
    }
    named = 1 << 40
    assert made.objects.column("track").to_pylist() == [7, 0, 9, 12, named, named + 1, named, None, None]
    assert [e["detail"][:24] for e in made.errors.to_pylist()] == ["video has no usable id: "]


def test_one_record_a_track(written) -> None:
    """The layout of video instance segmentation: lists of boxes and masks, one entry a frame, null where nothing is seen."""
    mask = {"size": [30, 40], "counts": [0, 30, 1170]}
    data = {
        "videos": [{"id": 1, "file_names": ["v/0.jpg", "v/1.jpg", "v/2.jpg"], "width": 40, "height": 30, "length": 3}],
        "categories": [{"id": 4, "name": "cat"}],
        "annotations": [
            {
                "id": 6,
                "video_id": 1,
                "category_id": 4,
                "bboxes": [None, [0, 0, 1, 30], [1, 1, 2, 2]],
                "segmentations": [None, mask, None],
                "areas": [None, 30, 4],
            },
            {"id": 7, "video_id": 2, "category_id": 4, "bboxes": [[0, 0, 1, 1]]},
            {"id": 8, "video_id": 1, "category_id": 4},
        ],
    }
    results = [{"video_id": 1, "category_id": 4, "score": 0.5, "segmentations": [mask, None, mask]}]
    made = load(written(data), net=written(results, "r.json"))
    rows = [(r["object"], r["frame"], r["track"], KINDS[r["kind"]], r["area"], r["record"]) for r in made.objects.to_pylist()]
    assert sorted(rows) == [
        ("labels/6/1", "v/1.jpg", 6, "mask", 30.0, 0),
        ("labels/6/2", "v/2.jpg", 6, "box", 4.0, 0),
        ("net/0", "v/0.jpg", None, "mask", 30.0, 0),
        ("net/0#2", "v/2.jpg", None, "mask", 30.0, 0),
    ]
    assert [(f["sequence"], f["position"], f["width"]) for f in made.frames.to_pylist()] == [("1", i, 40) for i in range(3)]
    assert [(e["line"], e["reason"]) for e in made.errors.to_pylist()] == [(1, "orphan_image_id"), (2, "missing_geometry")]


def test_turned_boxes(written) -> None:
    corners = [5.0, 1.0, 9.0, 5.0, 5.0, 9.0, 1.0, 5.0]
    records = [
        {**BOX, "id": 1, "bbox": [2, 3, 6, 2], "rotation": 90},
        {**BOX, "id": 2, "bbox": [2, 3, 6, 2], "segmentation": [], "attributes": {"rotation": 180.0}},
        {**BOX, "id": 3, "bbox": [1, 1, 8, 8], "segmentation": [corners], "rotation": 45},
        {**BOX, "id": 4, "bbox": [1, 1, 8, 8], "segmentation": [corners]},
        {**BOX, "id": 5, "rotation": 0},
    ]
    rows = load(written(instances(annotations=records))).objects.to_pylist()
    assert [KINDS[r["kind"]] for r in rows] == ["rotated_box", "rotated_box", "rotated_box", "polygon", "box"]
    assert np.allclose(rows[0]["polygon"], [[6, 1, 6, 7, 4, 7, 4, 1]])
    assert np.allclose(rows[0]["box"], [4, 1, 6, 7])
    assert np.allclose(rows[1]["polygon"], [[8, 5, 2, 5, 2, 3, 8, 3]])
    assert rows[2]["polygon"] == [corners]
    assert [r["angle"] for r in rows] == [math.pi / 2, math.pi, math.pi / 4, None, None]


def test_ignored_objects_annotators_and_attributes(written) -> None:
    more = {"ignore": 1, "annotator": "ann", "attributes": {"color": "red", "occluded": False, "speed": 3.5, "note": "x" * 200}}
    made = load(written(instances(annotations=[{**BOX, **more}, {**BOX, "id": 2, "annotator": 5}])))
    assert made.objects.column("difficult").to_pylist() == [True, False]
    assert made.objects.column("annotator").to_pylist() == ["ann", None]
    answers = made.classifications.to_pylist()
    assert [(a["object"], a["question"], made.classes[a["class_id"]]) for a in answers] == [
        ("labels/1", "color", "red"),
        ("labels/1", "occluded", "false"),
    ]
    assert sorted(made.notes) == [f"labels.json: attribute {name} is not kept: 1 annotations" for name in ("'note'", "'speed'")]


def test_the_format_is_recognised(written, tmp_path: Path) -> None:
    load_formats()
    assert find_reader("coco").function is read
    assert looks_like_coco(written(" \n {}"))
    assert looks_like_coco(written("[]"))
    assert not looks_like_coco(written("a b c", "yolo.txt"))
    assert not looks_like_coco(tmp_path)


def peer(path: Path, results: Path | None = None) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        labels = COCO(str(path))
        return labels if results is None else labels.loadRes(str(results))


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_real_labels_and_results_are_those_of_pycocotools(test_data: Path, kind: str) -> None:
    folder = test_data / "detection" / "coco_val2014_fake100"
    labels, results = folder / "instances_val2014_100.json", folder / f"instances_val2014_fake{kind}100_results.json"
    made = load(labels, fake=results)
    assert made.errors.num_rows == 0
    rows = made.objects.to_pylist()
    names = {i["id"]: i["file_name"] for i in peer(labels).imgs.values()}
    for origin, expected in ((0, peer(labels).anns), (1, peer(labels, results).anns)):
        found = [r for r in rows if r["origin"] == origin]
        assert len(found) == len(expected)
        for row in found:
            record = expected[int(row["source_id"]) + origin]  # pycocotools counts results from 1
            x, y, w, h = record["bbox"]
            assert row["box"] == [x, y, x + w, y + h]
            assert row["frame"] == names[record["image_id"]]
            assert made.class_sources[row["class_id"]] == str(record["category_id"])
            assert row["area"] == record["area"]
            assert row["crowd"] == bool(record["iscrowd"])
            assert row["score"] == record.get("score")
            if row["rle"]:
                rle = {"size": [row["rle"]["height"], row["rle"]["width"]], "counts": row["rle"]["counts"]}
                assert (
                    rle == coco_mask.frPyObjects(record["segmentation"], *rle["size"])
                    if origin == 0
                    else record["segmentation"]
                )
    assert sum(r["crowd"] for r in rows) == 9


def test_real_photos_with_their_labels(test_data: Path) -> None:
    folder = test_data / "coco_photos"
    made = load(folder / "instances.json", folder / "images", net=folder / "centernet_predictions.json")
    assert (made.frames.num_rows, made.objects.num_rows, made.errors.num_rows) == (56, 393 + 4076, 0)
    assert len(made.classes) == 80
    assert all(made.frames.column("labelled").to_pylist())
    assert min(made.frames.column("size_bytes").to_pylist()) > 0


def test_real_files_with_text_ids_gaps_and_no_sizes(test_data: Path) -> None:
    folder = test_data / "detection"
    small = folder / "small_and_ignore"
    made = load(small / "gt_ignore_test.json", dt=small / "dt_ignore_test.json")
    assert (made.objects.num_rows, made.errors.num_rows) == (14 + 63, 0)
    made = load(small / "gt_dataset.json", dt=small / "dt_dataset.json")
    assert (made.objects.num_rows, made.errors.num_rows) == (18, 0)
    indoor = folder / "indoor85_coco"
    made = load(indoor / "groundtruths_coco.json", dt=indoor / "detections_coco.json")
    assert (made.frames.num_rows, made.objects.num_rows) == (85, 686 + 494)
    assert made.frames.column("width").null_count == 85
    assert made.errors.column("reason").to_pylist() == ["zero_dimensions"] * 85  # every image says 0 x 0


def test_the_time_spent_on_an_object_is_a_number_or_a_log_of_numbers(written) -> None:
    times = [12.5, [1, 2.5, 3], [], "soon", -1, [4, None], None]
    records = [{**BOX, "id": i, "annotation_seconds": time} for i, time in enumerate(times)]
    made = load(written(instances(annotations=records)))
    assert made.objects.column("annotation_seconds").to_pylist() == [12.5, 6.5, None, None, None, None, None]


def test_tracks_keep_apart_whatever_their_ids_are(written) -> None:
    ids = [7, "7", -5, -1, None, 1 << 40, "car", 1 << 70, "car", -5]
    records = [{**BOX, "id": i, "track_id": track} for i, track in enumerate(ids)]
    track = load(written(instances(annotations=records))).objects.column("track").to_pylist()
    assert track[:2] == [7, 7]
    assert track[3] is None
    assert track[4] is None
    assert track[6] == track[8]
    assert track[2] == track[9]
    assert len({track[i] for i in (0, 2, 5, 6, 7)}) == 5
