"""Writing COCO: read, written and read again is the same, and pycocotools reads it."""

import contextlib
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from gpu_quality.annotations import AnswerColumns, Builder, Dataset, ObjectColumns
from gpu_quality.data.formats.coco import read, write
from gpu_quality.data.formats.coco_numbers import boxes, degrees, image_ids, integers, sides
from gpu_quality.errors import UsageError
from gpu_quality.types import KINDS


def load(labels: Path, **predictions: Path) -> Dataset:
    builder = Builder()
    read(labels, builder, "labels")
    for name, path in predictions.items():
        read(path, builder, name)
    return builder.build()


def again(made: Dataset, folder: Path) -> tuple[Dataset, list[str]]:
    """The data set written and read, and what was said to be lost."""
    lost = [text for origin in made.origins for text in write(made, origin, folder / f"{origin}.json")]
    names = {origin: folder / f"{origin}.json" for origin in made.origins[1:]}
    return load(folder / "labels.json", **names), lost


def differences(a: Dataset, b: Dataset, but: tuple[str, ...] = ()) -> list[str]:
    """Columns that are not the same; where an object was read is not asked."""
    names = [n for n in a.objects.column_names if n not in ("file", "record", *but)]
    found = [n for n in names if not a.objects.column(n).equals(b.objects.column(n))]
    found += [n for n in a.frames.column_names if not a.frames.column(n).equals(b.frames.column(n))]
    names = [n for n in a.classifications.column_names if n != "object" or "object" not in but]
    found += [n for n in names if not a.classifications.column(n).equals(b.classifications.column(n))]
    return found + [n for n in ("classes", "class_sources", "origins") if getattr(a, n) != getattr(b, n)]


@pytest.mark.parametrize(
    ("labels", "results", "renamed"),
    [
        (
            "coco_val2014_fake100/instances_val2014_100.json",
            "coco_val2014_fake100/instances_val2014_fakebbox100_results.json",
            (),
        ),
        (
            "coco_val2014_fake100/instances_val2014_100.json",
            "coco_val2014_fake100/instances_val2014_fakesegm100_results.json",
            (),
        ),
        ("indoor85_coco/groundtruths_coco.json", "indoor85_coco/detections_coco.json", ()),
        # The results' records are called by their places, and here the file is not in the order of its images.
        ("small_and_ignore/gt_dataset.json", "small_and_ignore/dt_dataset.json", ("object", "source_id")),
        ("small_and_ignore/gt_ignore_test.json", "small_and_ignore/dt_ignore_test.json", ()),
        ("voc_toy/gts_coco_format/toy_example_coco.JSON", "voc_toy/dets_coco_format/coco_dets.json", ()),
    ],
)
def test_real_files_come_back_to_the_last_bit(
    test_data: Path, tmp_path: Path, labels: str, results: str, renamed: tuple[str, ...]
) -> None:
    made = load(test_data / "detection" / labels, net=test_data / "detection" / results)
    back, lost = again(made, tmp_path)
    assert (lost, differences(made, back, renamed), back.errors.num_rows) == ([], [], 0)
    assert back.objects.num_rows >= 18


def test_written_files_give_the_published_average_precision(test_data: Path, tmp_path: Path) -> None:
    folder = test_data / "coco_photos"
    again(load(folder / "instances.json", net=folder / "centernet_predictions.json"), tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        labels = COCO(str(tmp_path / "labels.json"))
        evaluation = COCOeval(labels, labels.loadRes(str(tmp_path / "net.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[:2] == pytest.approx([0.315229, 0.481768], abs=1e-6)
    assert {i["id"] for i in labels.imgs.values()} == {i["id"] for i in COCO_images(folder)}


def COCO_images(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "instances.json").read_text())["images"])


def everything(tmp_path: Path) -> Path:
    """A labels file with one of everything COCO can hold."""
    mask = coco_mask.encode(np.asfortranarray(np.eye(30, 40, dtype=np.uint8)))
    box = {"image_id": 7, "category_id": 4, "bbox": [0.1, 0.2, 0.7, 30.3], "iscrowd": 0, "area": 1 / 3}
    data = {
        "images": [
            {"id": 7, "file_name": "d/x.jpg", "width": 40, "height": 30, "video_id": 2, "frame_id": 11},
            {"id": 8, "file_name": "d/y.jpg"},
        ],
        "videos": [{"id": 2, "name": "drive"}],
        "categories": [{"id": 4, "name": "cat"}, {"id": 9, "name": "dog"}, {"id": 11, "name": "never used"}],
        "annotations": [
            {**box, "id": 0, "track_id": 5},
            {**box, "id": 12, "segmentation": [[1, 2, 3.5, 2, 3, 4], [5, 5, 6, 5, 6, 6]], "annotator": "ann"},
            {**box, "id": 3, "segmentation": {"size": [30, 40], "counts": mask["counts"].decode()}, "iscrowd": 1},
            {**box, "id": 4, "keypoints": [1, 2, 2, 0.1, 0, 0], "ignore": 1},
            {"id": 5, "image_id": 8, "category_id": 9, "keypoints": [1, 2, 2, 7, 8, 1]},
            {**box, "id": 6, "rotation": 33.3, "attributes": {"color": "red", "cat": "yes"}},
            {**box, "id": 6, "bbox": [3, 3, 0, -1]},
            {**box, "id": -7, "bbox": [-1e5, 0.1, 100000.3, 1e-9]},
        ],
    }
    path = tmp_path / "given.json"
    path.write_text(json.dumps(data))
    return path


def test_everything_a_file_can_hold_comes_back(tmp_path: Path) -> None:
    made = load(everything(tmp_path))
    assert {KINDS[k] for k in made.objects.column("kind").to_pylist()} == {"box", "polygon", "mask", "rotated_box", "keypoints"}
    back, lost = again(made, tmp_path)
    assert (lost, differences(made, back)) == ([], [])
    assert back.errors.column("reason").to_pylist() == ["degenerate_bbox"]


def test_the_written_text(tmp_path: Path) -> None:
    write(load(everything(tmp_path)), "labels", tmp_path / "out.json")
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["images"][0] == {"id": 1, "file_name": "d/x.jpg", "width": 40, "height": 30, "video_id": 1, "frame_id": 11}
    assert data["images"][1] == {"id": 2, "file_name": "d/y.jpg"}
    assert data["categories"] == [{"id": i, "name": n} for i, n in ((4, "cat"), (9, "dog"), (11, "never used"))]
    by_id = {a["id"]: a for a in data["annotations"]}
    assert by_id[0] == {
        "id": 0,
        "image_id": 1,
        "category_id": 4,
        "bbox": [0.1, 0.2, 0.7, 30.3],
        "area": 1 / 3,
        "iscrowd": 0,
        "track_id": 5,
    }
    assert (by_id[4]["num_keypoints"], by_id[4]["ignore"]) == (1, 1)
    assert "bbox" not in by_id[5]
    assert by_id[12]["annotator"] == "ann"


def test_results_keep_their_own_areas_and_have_no_score_where_none_was(tmp_path: Path) -> None:
    mask = {"size": [30, 40], "counts": [0, 31, 1169]}
    results = [
        {"image_id": 7, "category_id": 4, "segmentation": mask, "score": 0.25},
        {"image_id": 7, "category_id": 4, "segmentation": mask, "bbox": [0, 0, 3, 3]},
        {"image_id": 8, "category_id": 9, "keypoints": [1, 2, 2, 7, 8, 1], "score": 1, "track_id": 3},
    ]
    (tmp_path / "r.json").write_text(json.dumps(results))
    made = load(everything(tmp_path), net=tmp_path / "r.json")
    back, lost = again(made, tmp_path)
    assert (lost, differences(made, back)) == ([], [])
    assert [r["area"] for r in back.objects.to_pylist() if r["origin"]] == [31.0, 9.0, 36.0]
    written = json.loads((tmp_path / "net.json").read_text())
    assert [("bbox" in r, r.get("score")) for r in written] == [(False, 0.25), (True, None), (False, 1.0)]


def test_what_coco_cannot_hold_is_counted(tmp_path: Path) -> None:
    builder = Builder()
    rows = builder.add_frames(["a.jpg", "b.jpg", "c.jpg"], seconds=[0.5, None, None], split=["train", None, None])
    builder.label_frames(rows[:2], [None] * 2, [None] * 2)
    classes = builder.name_classes(["cat", "day", "red"])
    from gpu_quality.geometry.polygons import Outlines

    outlines = Outlines(np.array([0, 1, 2, 2]), np.array([0, 4, 6]), np.array([0.0, 0, 5, 5, 3, 3]))
    columns = ObjectColumns(
        rows[[0, 0, 1]],
        classes[[0, 0, 0]],
        np.array([[0.0, 0, 5, 5], [3, 3, 3, 3], [-1e9, 0, 0.1, 1]]),
        np.arange(3),
        source_id=["l", "p", "b"],
        outlines=outlines,
        kind=np.array([KINDS.index("polyline"), KINDS.index("point"), -1], np.int8),
        annotation_seconds=np.array([math.nan, math.nan, 3.0]),
    )
    builder.add_objects("labels", "f", columns)
    answers = AnswerColumns(rows[[0, 1, 1]], ["time", "color", "color"], classes[[1, 2, 2]], np.arange(3), [None, "b", "b"])
    builder.add_answers("labels", "f", answers)
    made = builder.build()
    back, lost = again(made, tmp_path)
    assert sorted(lost) == [
        "1 answers about whole frames are left out",
        "1 boxes are not exact: their corners are no sum of x and width in float64",
        "1 frames lose their split",
        "1 frames lose their time",
        "1 frames that the labels do not know are left out",
        "1 further answers to the same question are left out",
        "1 objects are left out: COCO knows no point",
        "1 objects are left out: COCO knows no polyline",
        "3 annotations are numbered from 1, as not every id was an integer",
    ]
    assert back.objects.column("source_id").to_pylist() == ["3"]
    assert back.objects.column("annotation_seconds").to_pylist() == [3.0]
    assert json.loads((tmp_path / "labels.json").read_text())["categories"] == [{"id": 1, "name": "cat"}]


def test_an_origin_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no prediction set 'net'"):
        write(load(everything(tmp_path)), "net", tmp_path / "x.json")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 2, *[st.floats(0, 1e6)] * 2), min_size=1, max_size=20))
def test_corners_come_back_for_every_box_that_a_file_can_spell(numbers: list[tuple[float, float, float, float]]) -> None:
    x, y, w, h = np.array(numbers).T
    box = np.column_stack([x, y, x + w, y + h])
    made, exact, fits = boxes(box, w * h)
    assert np.array_equal(np.column_stack([made[:, :2], made[:, :2] + made[:, 2:]])[exact], box[exact])
    assert np.array_equal((made[:, 2] * made[:, 3])[fits], (w * h)[fits])
    small = (np.abs(x) < 2 * w) & (np.abs(y) < 2 * h)
    assert exact[~small | (x >= 0) & (y >= 0)].all()


def test_sides_are_short_decimals() -> None:
    side, found = sides(np.array([258.15, 0.1, 10.0]), np.array([258.15 + 348.26, 0.1 + 0.2, 10.0]))
    assert (side.tolist(), found.all()) == ([348.26, 0.2, 0.0], True)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-360, 360, allow_subnormal=False), min_size=1, max_size=20))
def test_angles_come_back(values: list[float]) -> None:
    angle = np.radians(values)
    assert np.radians(degrees(angle)) == pytest.approx(angle, rel=1e-15, abs=0)


def test_degrees_are_short_decimals() -> None:
    assert degrees(np.radians([33.3, -90.0, 0.0, math.nan])).tolist()[:3] == [33.3, -90.0, 0.0]


def test_ids() -> None:
    assert integers(["0", "-7", "123456789012345678"]) == [0, -7, 123456789012345678]
    for text in ("", "007", "1.0", "a", "1 ", "²", "1234567890123456789"):
        assert integers(["1", text]) is None
    assert image_ids(["a/000012.jpg", "b/7.png"]) == [12, 7]
    assert image_ids(["a/12.jpg", "b/12.jpg"]) == [1, 2]
    assert image_ids(["a/12.jpg", "b/x.jpg"]) == [1, 2]
    assert image_ids([]) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {"id": st.integers(-5, 2**53), "bbox": st.tuples(*[st.floats(0, 5000)] * 2, *[st.floats(0.01, 5000)] * 2)},
            optional={
                "area": st.floats(0, 1e9),
                "iscrowd": st.integers(0, 1),
                "ignore": st.integers(0, 1),
                "track_id": st.integers(0, 2**40 - 1),  # larger ones get numbers of their own, in the order of the file
                "keypoints": st.lists(st.integers(0, 2), min_size=3, max_size=3).map(lambda v: [*v, 0, 0, 0]),
                "segmentation": st.lists(
                    st.lists(st.floats(0, 5000, width=32, allow_subnormal=False), min_size=6, max_size=6),
                    min_size=1,
                    max_size=2,
                ),
            },
        ),
        max_size=8,
    )
)
def test_any_labels_come_back(tmp_path: Path, annotations: list[dict[str, Any]]) -> None:
    for i, annotation in enumerate(annotations):
        annotation |= {"image_id": i % 2, "category_id": 3}
    images = [{"id": 0, "file_name": "p.jpg"}, {"id": 1, "file_name": "q.jpg", "width": 9, "height": 8}]
    data = {"images": images, "categories": [{"id": 3, "name": "c"}], "annotations": annotations}
    (tmp_path / "any.json").write_text(json.dumps(data))
    made = load(tmp_path / "any.json")
    back, lost = again(made, tmp_path)
    assert (lost, differences(made, back, ("object",))) == ([], [])
