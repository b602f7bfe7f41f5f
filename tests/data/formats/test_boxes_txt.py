"""Plain text boxes: three readings of four numbers against published samples of the same detections."""

from pathlib import Path

import numpy as np
import pytest
from label_reading import errors, load, objects, put

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.data.formats import coco
from gpu_quality.data.formats.boxes_txt import never, read_cxcywh, read_xywh, read_xyxy
from gpu_quality.errors import UsageError

READERS = {"abs_xyx2y2": read_xyxy, "abs_xywh": read_xywh, "rel_xcycwh": read_cxcywh}


def toy(folder: Path, reading: str, words: str) -> Dataset:
    builder = Builder()
    coco.read(folder / "gts_coco_format" / "toy_example_coco.JSON", builder, "labels")
    READERS[reading](folder / f"dets_{words}_{reading}", builder, "p")
    return builder.build()


@pytest.mark.parametrize("words", ["classname", "classid"])
def test_three_readings_of_the_same_detections(test_data: Path, words: str) -> None:
    folder = test_data / "detection" / "voc_toy"
    boxes = {}
    for reading in READERS:
        made = toy(folder, reading, words)
        rows = [row for row in made.objects.to_pylist() if row["origin"]]
        assert errors(made) == []
        assert len(rows) == 12
        assert len(made.frames) == 10
        assert sorted(row["score"] for row in rows)[-1] == 0.99
        boxes[reading] = np.array([row["box"] for row in rows])
    np.testing.assert_array_equal(boxes["abs_xyx2y2"], boxes["abs_xywh"])
    np.testing.assert_allclose(boxes["rel_xcycwh"], boxes["abs_xywh"], atol=2)


def test_labels_and_predictions_by_name(test_data: Path) -> None:
    folder = test_data / "detection" / "voc_case1"
    made = load(read_xywh, folder / "gts", p=folder / "dets")
    first = [row for row in made.objects.to_pylist() if row["frame"] == "00001"]
    assert [row["box"] for row in first][:3] == [[25, 16, 63, 72], [129, 123, 170, 185], [5, 67, 36, 115]]
    assert [row["score"] for row in first] == [None, None, 0.88, 0.7, 0.8]
    assert made.classes == ("object",)


def test_wrong_lines(tmp_path: Path) -> None:
    folder = put(tmp_path / "l", {"a.txt": "cat 1 2 3 4\ncat 1 2 3\ncat 1 2 x 4\ncat nan 2 3 4\n\ncat 5 5 5 9\n"})
    made = load(read_xyxy, folder)
    assert errors(made) == [
        ("a.txt", 2, "bad_annotation"),
        ("a.txt", 3, "bad_annotation"),
        ("a.txt", 4, "non_finite_geometry"),
        ("a.txt", 6, "degenerate_bbox"),
    ]
    assert objects(made, "record") == [1, 6]
    with pytest.raises(UsageError, match="none is known"):
        load(read_cxcywh, folder)
    with pytest.raises(UsageError, match="is no folder"):
        load(read_xyxy, folder / "a.txt")
    assert not never(folder)
