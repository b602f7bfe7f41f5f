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
    ("bad", "message"),
    [
        ({"bbox": [math.nan, 0, 1, 1]}, "not finite"),
        ({"bbox": [0, 0, math.inf, 1]}, "not finite"),
        ({"bbox": [0, 0, 10**400, 1]}, "not finite"),
        ({"bbox": [math.inf, 0, -math.inf, 0]}, "not finite"),
        ({"bbox": [0, 0, 1e300, 1e300]}, "beyond 1e+09"),
        ({"bbox": [0, 0, 0, 1]}, "no area"),
        ({"bbox": [0, 0, 3, -1]}, "no area"),
        ({"bbox": [0, 0, 3]}, "bbox must be"),
        ({"bbox": "0123"}, "bbox must be"),
        ({"bbox": {"x": 1}}, "bbox must be"),
        ({"bbox": [0, None, "1", 1]}, "not finite"),
        ({"bbox": None}, "neither a bbox nor a segmentation"),
        ({"bbox": []}, "neither a bbox nor a segmentation"),
        ({"image_id": 99}, "image_id 99 is not among the images"),
        ({"image_id": "frame\n7"}, r"image_id 'frame\n7' is not among"),
        ({"image_id": None}, "no image_id"),
        ({"image_id": [7]}, "image_id [7] is not among"),
        ({"category_id": 1}, "category_id 1 is not among the categories"),
        ({"category_id": None}, "no category_id"),
        ({"segmentation": [[0, 0, 1, 1]]}, "4 numbers"),
        ({"segmentation": [[0, 0, 1, 1, 2, 2, 3]]}, "7 numbers"),
        ({"segmentation": [[0, 0, math.nan, 1, 2, 2]]}, "not finite"),
        ({"segmentation": [0, 0, 1, 1, 2, 2]}, "list of rings"),
        ({"segmentation": [["a", 0, 1, 1, 2, 2]]}, "list of rings"),
        ({"segmentation": [[[0, 0], [1, 1], [2, 2]]]}, "list of rings"),
        ({"segmentation": "mask"}, "list of rings or an object"),
        ({"segmentation": {"size": [30, 40], "counts": [3, 4]}}, "sum to 7, its size 30 x 40 asks for 1200"),
        ({"segmentation": {"size": [30, 40], "counts": [1300, -100]}}, "negative"),
        ({"segmentation": {"size": [30, 40], "counts": [10**30]}}, "size [height, width] and counts"),
        ({"segmentation": {"size": [30, 40], "counts": [1200.0]}}, "size [height, width] and counts"),
        ({"segmentation": {"size": [30], "counts": [1200]}}, "size [height, width] and counts"),
        ({"segmentation": {"size": [30.5, 40], "counts": "x"}}, "size [height, width] and counts"),
        ({"segmentation": {"size": [30, 40]}}, "size [height, width] and counts"),
        ({"segmentation": {"counts": [1200]}}, "size [height, width] and counts"),
        ({"segmentation": {"size": [40, 30], "counts": [1200]}}, "not the frame's size 30 x 40"),
        ({"segmentation": {"size": [30, 40], "counts": "ÿÿ"}}, "not COCO-compressed"),
        ({"segmentation": {"size": [30, 40], "counts": ""}}, "not COCO-compressed"),
        (None, "no JSON object"),
        (17, "no JSON object"),
    ],
)
def test_a_bad_annotation_is_an_error_row(written, bad: Any, message: str) -> None:
    record = {**BOX, "id": 2, **bad} if isinstance(bad, dict) else bad
    made = load(written(instances(annotations=[BOX, record, {**BOX, "id": 3}])))
    assert made.objects.column("object").to_pylist() == ["labels/1", "labels/3"]
    (error,) = made.errors.to_pylist()
    assert message in error["detail"]
    assert (error["uri"], error["line"], error["stage"], error["reason"]) == ("labels.json", 1, "annotate", "bad_annotation")
    assert error["object"] == ("labels/2" if isinstance(bad, dict) else "labels/record-1")
    assert "\n" not in error["detail"]


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
    assert [r["box"] for r in rows] == [[10, 4, 13, 9], [10, 4, 13, 9], [1, 2, 5, 8.5]]
    assert [r["area"] for r in rows] == [15, 15, 13]
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
    assert [e["line"] for e in made.errors.to_pylist()] == [1, 2, 3, 4, 1, 2, 3]
    assert "image id 7 is there twice" in made.errors.to_pylist()[0]["detail"]
    assert "category id 4 is there twice" in made.errors.to_pylist()[4]["detail"]


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
    assert [e["line"] for e in errors] == [1, 2, 3, 4]
    assert [e["object"] for e in errors] == ["yolo/1", "yolo/2", "yolo/3", "yolo/4"]
    assert "image_id 99" in errors[0]["detail"]
    assert "category_id 1" in errors[1]["detail"]
    assert "score is not finite" in errors[2]["detail"]


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
    with pytest.raises(UsageError, match="holds an object at byte 0; predictions are a list") as error:
        load(written(instances()), yolo=written(instances(), "r.json"))
    assert "--labels" in error.value.hint
    with pytest.raises(UsageError, match="only a labels file explains") as error:
        read(written([], "r.json"), Builder(), "yolo")
    assert "--labels" in error.value.hint


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
    assert (made.frames.num_rows, made.objects.num_rows, made.errors.num_rows) == (85, 686 + 494, 0)
    assert made.frames.column("width").null_count == 85
