"""YOLO: every kind of line, layouts of folders, mistakes, and round trips with our writer and a foreign one."""

import math
from pathlib import Path

import numpy as np
import pytest
import supervision
from label_reading import errors, frames, load, objects, put

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.data.formats import yolo as yolo_module
from gpu_quality.data.formats import yolo_write
from gpu_quality.data.formats.folder import list_images
from gpu_quality.data.formats.yolo import looks_like_yolo, read, write
from gpu_quality.errors import UsageError
from gpu_quality.types import KINDS

YAML = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"


def data_set(folder: Path, **labels: str) -> Path:
    """Images of 40 x 20 in train and val, and label files: `t_a` stands for labels/train/a.txt."""
    images = {f"images/{split}/{name}.png": (40, 20) for split in ("train", "val") for name in ("a", "b")}
    texts = {f"labels/{'train' if key[0] == 't' else 'val'}/{key[2:]}.txt": text for key, text in labels.items()}
    return put(folder, {**images, "data.yaml": YAML, **texts})


def test_boxes_with_splits_empty_and_missing_label_files(tmp_path: Path) -> None:
    root = data_set(tmp_path, t_a="0 0.5 0.5 0.25 0.5\n1 0.125 0.25 0.25 0.5\n", t_b="", v_a="1.0 0.5 0.5 1 1\n\n")
    made = load(read, root / "data.yaml")
    assert made.classes == ("cat", "dog")
    assert made.class_sources == ("0", "1")
    assert frames(made, "frame", "split", "labelled") == [
        ("images/train/a.png", "train", True),
        ("images/train/b.png", "train", True),
        ("images/val/a.png", "val", True),
        ("images/val/b.png", "val", False),
    ]
    assert frames(made, "width", "height")[0] == (40, 20)
    assert objects(made, "frame", "class_id", "box", "file", "record") == [
        ("images/train/a.png", 0, [15.0, 5.0, 25.0, 15.0], "labels/train/a.txt", 1),
        ("images/train/a.png", 1, [0.0, 0.0, 10.0, 10.0], "labels/train/a.txt", 2),
        ("images/val/a.png", 1, [0.0, 0.0, 40.0, 20.0], "labels/val/a.txt", 1),
    ]
    assert objects(made, "object")[0] == "labels/labels/train/a.txt:1"
    assert errors(made) == []
    assert load(read, root).objects.equals(made.objects)


def test_the_same_labels_for_images_listed_before(tmp_path: Path) -> None:
    root = data_set(tmp_path, t_a="0 .5 .5 .5 .5\n", v_a="1 .5 .5 .5 .5\n")
    for images, ids in ((root / "images", ["train/a.png", "val/a.png"]), (root, ["images/train/a.png", "images/val/a.png"])):
        made = load(read, root / "data.yaml", images)
        assert objects(made, "frame") == ids
        assert frames(made, "split") == ["train", "train", "val", "val"]
    made = load(read, root / "data.yaml", root / "images" / "train")
    assert frames(made, "frame") == ["a.png", "b.png"]


def test_one_split_of_several_when_only_its_images_are_listed(tmp_path: Path) -> None:
    root = put(tmp_path, {"images/train/x.png": (8, 8), "images/val/y.png": (8, 8), "data.yaml": YAML})
    put(root, {"labels/train/x.txt": "0 .5 .5 1 1\n", "labels/val/y.txt": "0 .5 .5 1 1\n"})
    made = load(read, root / "data.yaml", root / "images" / "train")
    assert frames(made, "frame") == ["x.png"]
    assert any("1 label file in" in note and "passed over" in note for note in made.notes)


def test_predictions_with_confidence_by_name_and_by_number(tmp_path: Path) -> None:
    root = data_set(tmp_path, t_a="0 .5 .5 .5 .5\n")
    put(root, {"runs/a.txt": "1 .5 .5 .5 .5 .75\n0 .25 .5 .5 1\n", "named/labels/a.txt": "0 .5 .5 .5 .5 .25\n"})
    put(root, {"named/data.yaml": "path: .\nnames: [dog, bird]\n"})
    put(root, {"images/train/a.png": (40, 20)})
    (root / "images/val/a.png").unlink()
    made = load(read, root / "data.yaml", a=root / "runs", b=root / "named")
    rows = [row for row in made.objects.to_pylist() if row["origin"]]
    assert [(row["origin"], made.classes[row["class_id"]], row["score"]) for row in rows] == [
        (1, "dog", 0.75),
        (1, "cat", None),
        (2, "dog", 0.25),
    ]
    assert {row["frame"] for row in rows} == {"images/train/a.png"}
    assert frames(made, "labelled").count(True) == 1


def test_outlines_with_and_without_confidence(tmp_path: Path) -> None:
    triangle, five = "0 0 0 .5 0 .5 1", "1 0 0 .5 0 .5 .5 .25 .75 0 .5"
    root = data_set(tmp_path, t_a=f"{triangle}\n{five}\n0 .5 .5 .5 .5\n")
    put(root, {"runs/a.txt": f"{triangle} .5\n{five}\n", "images/train/a.png": (40, 20)})
    (root / "images/val/a.png").unlink()
    made = load(read, root / "data.yaml", p=root / "runs")
    rows = made.objects.to_pylist()
    assert [KINDS[row["kind"]] for row in rows] == ["polygon", "polygon", "box", "polygon", "polygon"]
    assert rows[0]["polygon"] == [[0, 0, 20, 0, 20, 20]]
    assert rows[0]["box"] == [0, 0, 20, 20]
    assert rows[0]["area"] == 200
    assert [row["score"] for row in rows] == [None, None, None, 0.5, None]


@pytest.mark.parametrize(
    ("task", "kinds"), [("", "rotated_box"), ("task: obb\n", "rotated_box"), ("task: segment\n", "polygon")]
)
def test_four_corners_are_turned_boxes_unless_the_data_set_says_otherwise(tmp_path: Path, task: str, kinds: str) -> None:
    # A square of side 10 * sqrt(2) around (20, 10), turned by 45 degrees, first corner on top.
    square = "0 .5 0 .75 .5 .5 1 .25 .5"
    root = data_set(tmp_path, t_a=f"{square}\n")
    (root / "data.yaml").write_text(YAML + task)
    made = load(read, root / "data.yaml")
    (row,) = made.objects.to_pylist()
    assert KINDS[row["kind"]] == kinds
    assert row["polygon"] == [[20, 0, 30, 10, 20, 20, 10, 10]]
    assert row["area"] == pytest.approx(200)
    assert row["angle"] == (pytest.approx(math.pi / 4) if kinds == "rotated_box" else None)
    assert any("four points" in note for note in made.notes) == (task == "")


def test_four_points_among_other_outlines_are_polygons(tmp_path: Path) -> None:
    root = data_set(tmp_path, t_a="0 .5 0 .75 .5 .5 1 .25 .5\n0 0 0 1 0 1 1\n")
    assert {KINDS[kind] for kind in objects(load(read, root / "data.yaml"), "kind")} == {"polygon"}


def test_crooked_corners_are_polygons_even_where_the_task_is_obb(tmp_path: Path) -> None:
    root = data_set(tmp_path, t_a="0 0 0 1 0 1 1 .5 1\n0 0 0 1 0 1 1 0 1 .5\n")
    (root / "data.yaml").write_text(YAML + "task: obb\n")
    assert [KINDS[kind] for kind in objects(load(read, root / "data.yaml"), "kind")] == ["polygon", "rotated_box"]


def test_keypoints_of_three_and_of_two_numbers(tmp_path: Path) -> None:
    three = "0 .5 .5 .5 .5 .25 .5 2 0 0 0\n1 .5 .5 .5 .5 0 0 0 0 0 0\n0 .5 .5 1 1\n0 .5 .5 .5 .5 .1 .2\n"
    root = data_set(tmp_path, t_a=three)
    (root / "data.yaml").write_text(YAML + "kpt_shape: [2, 3]\n")
    made = load(read, root / "data.yaml")
    assert objects(made, "keypoints") == [[10, 10, 2, 0, 0, 0], None, None]
    assert {KINDS[kind] for kind in objects(made, "kind")} == {"box"}
    assert objects(made, "box")[0] == [10, 5, 30, 15]
    assert errors(made) == [("labels/train/a.txt", 4, "bad_annotation")]
    (root / "data.yaml").write_text(YAML + "kpt_shape: [2, 2]\n")
    put(root, {"labels/train/a.txt": "0 .5 .5 .5 .5 .25 .5 0 0\n"})
    assert objects(load(read, root / "data.yaml"), "keypoints") == [[10, 10, 2, 0, 0, 0]]
    put(root, {"runs/val/a.txt": "0 .5 .5 .5 .5 .25 .5 -1 .5 .875\n"})
    made = load(read, root / "data.yaml", p=root / "runs")
    assert made.objects.to_pylist()[-1]["keypoints"] == [10, 10, 2, -40, 10, 0]
    assert made.objects.to_pylist()[-1]["score"] == 0.875


def test_every_wrong_line_is_an_error_row_and_the_others_stay(tmp_path: Path) -> None:
    wrong = {
        "x .5 .5 .5 .5": "class number",
        "-1 .5 .5 .5 .5": "class number",
        "0.5 .5 .5 .5 .5": "class number",
        "7 .5 .5 .5 .5": "among the 2 classes",
        "0 .5 .5 .5": "3 numbers follow",
        "0": "0 numbers follow",
        "0 .5 .5 five .5": "'five' is no number",
        "0 .5 .5 1_0 .5": "'1_0' is no number",
        "0 nan .5 .5 .5": "not finite",
        "0 .5 .5 inf .5": "not finite",
        "0 320 200 50 60": "no coordinate relative",
        "0 .5 .5 0 .5": "no area",
        "\x00\xff\xfe": "class number",
        "1" * 40 + " .5 .5 .5 .5": "class number",
    }
    root = data_set(tmp_path, t_a="0 .5 .5 .5 .5\n" + "\n".join(wrong) + "\n1 .5 .5 .5 .5\n")
    made = load(read, root / "data.yaml")
    assert objects(made, "record") == [1, 13, 16]
    details = made.errors.to_pylist()
    assert [row["line"] for row in details] == list(range(2, 2 + len(wrong)))
    assert {row["uri"] for row in details} == {"labels/train/a.txt"}
    assert {row["frame"] for row in details} == {"images/train/a.png"}
    for row, text in zip(details, wrong.values(), strict=True):
        assert text in row["detail"]
    assert details[3]["reason"] == "orphan_category_id"


def test_a_label_file_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_quality.data.formats import text_lines

    monkeypatch.setattr(text_lines, "LONGEST", 100)
    root = data_set(tmp_path, t_a="0 .5 .5 .5 .5\n" + "1" * 200, t_b="0 .5 .5 .5 .5\n")
    made = load(read, root / "data.yaml")
    assert len(made.objects) == 2
    (row,) = made.errors.to_pylist()
    assert row["uri"] == "labels/train/a.txt"
    assert "line 2 is longer than 100 bytes" in row["detail"]


def test_a_label_file_without_image_is_a_missing_frame(tmp_path: Path) -> None:
    root = data_set(tmp_path, t_gone="0 .5 .5 .5 .5\n")
    made = load(read, root / "data.yaml")
    assert ("images/train/gone", -1, True) in frames(made, "frame", "size_bytes", "labelled")
    assert "size of its image is not known" in made.errors.to_pylist()[0]["detail"]


def test_sizes_must_be_known(tmp_path: Path) -> None:
    root = put(tmp_path, {"a.txt": "0 .5 .5 .5 .5\n"})
    with pytest.raises(UsageError, match="none is known") as caught:
        load(read, root)
    assert "--labels" in caught.value.hint


def test_sizes_that_labels_of_another_format_claim_are_enough(test_data: Path, tmp_path: Path) -> None:
    from gpu_quality.data.formats.coco import read as read_coco

    toy = test_data / "detection" / "voc_toy"
    builder = Builder()
    read_coco(toy / "gts_coco_format" / "toy_example_coco.JSON", builder, "labels")
    for file in (toy / "dets_classid_rel_xcycwh").iterdir():  # confidence comes second there, last in YOLO
        words = [[w[0], *w[2:], w[1]] for line in file.read_text().splitlines() if (w := line.split())]
        put(tmp_path, {file.name: "".join(f"{' '.join(w)}\n" for w in words).replace("7 ", "0 ", 1)})
    read(tmp_path, builder, "p")
    made = builder.build()
    rows = [row for row in made.objects.to_pylist() if row["origin"] == 1]
    first = next(row for row in rows if row["frame"] == "2007_000549.jpg")
    assert first["box"] == pytest.approx([12, 44, 344, 481], abs=0.5)  # the same detection in dets_classid_abs_xyx2y2
    assert first["score"] == 0.94


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("names: [a]\n", "names no images"),
        ("train: 5\nnames: [a]\n", "train must be a folder"),
        ("train: images\nnames: a\n", "names must be a list"),
        ("train: images\nnames: {a: 1}\n", "class numbers"),
        ("train: images\nnames: [a]\nkpt_shape: [17]\n", "kpt_shape"),
        ("train: [images\n", "YAML"),
        ("- a\n", "list"),
    ],
)
def test_an_unusable_yaml_is_one_clear_error(tmp_path: Path, yaml: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(read, put(tmp_path, {"data.yaml": yaml}) / "data.yaml")


def test_no_label_files_and_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no label file"):
        load(read, data_set(tmp_path) / "data.yaml")
    with pytest.raises(UsageError, match="neither a YAML file nor a folder"):
        load(read, tmp_path / "gone")


def test_other_layouts(tmp_path: Path) -> None:
    line = "0 .5 .5 .5 .5\n"
    roboflow = put(tmp_path / "r", {"train/images/a.png": (8, 8), "train/labels/a.txt": line, "valid/images/b.png": (8, 8)})
    put(roboflow, {"data.yaml": "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\nnames: ['x']\n"})
    made = load(read, roboflow / "data.yaml")
    assert frames(made, "frame", "split", "labelled") == [
        ("train/images/a.png", "train", True),
        ("valid/images/b.png", "val", False),
    ]
    assert any("no images at" in note for note in made.notes)

    lists = put(
        tmp_path / "l", {"images/a.png": (8, 8), "images/b.png": (8, 8), "labels/a.txt": line, "t.txt": "./images/a.png\n"}
    )
    put(lists, {"v.txt": "images/b.png\n", "data.yaml": "train: t.txt\nval: [v.txt]\nnames: {3: x, 0: y}\n"})
    made = load(read, lists / "data.yaml")
    assert frames(made, "frame", "split", "labelled") == [("images/a.png", "train", True), ("images/b.png", "val", False)]
    assert made.classes == ("y", "x")

    beside = put(tmp_path / "b", {"a.png": (8, 8), "a.txt": line, "classes.txt": "cat\n"})
    made = load(read, beside)
    assert (frames(made, "frame"), made.classes, len(made.objects)) == (["a.png"], ("cat",), 1)

    plain = put(tmp_path / "p", {"images/s/a.png": (8, 8), "labels/s/a.txt": "12 .5 .5 .5 .5\n3 .5 .5 1 1\n"})
    for path in (plain, plain / "labels", plain / "labels" / "s"):
        made = load(read, path)
        assert (len(made.frames), made.classes, len(made.objects)) == (1, ("3", "12"), 2)
        assert made.notes == ()
    put(plain, {"data.yaml": "train: images\nnames: {3: y, 12: x}\n"})
    made = load(read, plain / "labels" / "s")
    assert made.classes == ("y", "x")
    assert "named by" in made.notes[0]


def test_many_files_in_small_pieces_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"labels/{i:02d}.txt": f"{i % 3} .5 .5 .25 .{i:02d}1\n0 .5 .5 1 1\n" for i in range(20)}
    root = put(tmp_path, {**files, **{f"images/{i:02d}.png": (16, 8) for i in range(20)}})
    whole = load(read, root)
    monkeypatch.setattr(yolo_module, "FILES", 3)
    made = load(read, root)
    assert made.objects.equals(whole.objects)
    assert len(made.objects) == 40


def test_what_is_guessed(tmp_path: Path) -> None:
    line = "0 .5 .5 .5 .5\n"
    for name, files in {
        "y": {"data.yaml": YAML},
        "f": {"a.txt": line},
        "l": {"labels/t/a.txt": line, "images/t/a.png": (4, 4)},
    }.items():
        assert looks_like_yolo(put(tmp_path / name, files))
    assert looks_like_yolo(tmp_path / "y" / "data.yaml")
    put(tmp_path / "n", {"a.txt": "0 12 44 300 400\n", "b.yaml": "source:\n  images: x\n", "c.txt": "word\n"})
    assert not looks_like_yolo(tmp_path / "n")
    assert not looks_like_yolo(tmp_path / "n" / "b.yaml")
    assert not looks_like_yolo(tmp_path / "gone")


def again(made: Dataset, root: Path, out: Path, origin: str = "labels") -> Dataset:
    """The tables after writing them as YOLO and reading that with the same images."""
    write(made, origin, out)
    builder = Builder()
    builder.root = list_images(root / "images", builder)
    if origin != "labels":
        read(root / "data.yaml", builder, "labels")
    read(out / "data.yaml", builder, origin)
    return builder.build()


HELD = ("frame", "class_id", "box", "score", "area", "kind", "polygon", "angle", "keypoints", "origin")


@pytest.mark.parametrize(
    ("lines", "more"),
    [
        ("0 .123456 .654321 .1 .0333\n1 .5 .5 1 1\n", ""),
        ("0 .1 .2 .3 .4 .77 .6\n1 .123 .456 .789 .321 .111 .999 .5 .5\n", ""),
        ("0 .5 0 .75 .5 .5 1 .25 .5\n1 0 0 1 0 1 1 .5 1\n", "task: obb\n"),
        ("0 .5 .5 .3 .3 .1 .2 2 .3 .7 1\n1 .5 .5 .1 .1 0 0 0 0 0 0\n", "kpt_shape: [2, 3]\n"),
    ],
)
def test_round_trip_of_every_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, more: str) -> None:
    root = data_set(tmp_path / "in", t_a=lines, t_b="", v_b=lines)
    (root / "data.yaml").write_text(YAML + more)
    made = load(read, root / "data.yaml", root / "images")
    back = again(made, root, tmp_path / "out")
    assert objects(back, *HELD) == objects(made, *HELD)
    assert back.frames.equals(made.frames)
    assert (back.classes, back.class_sources) == (made.classes, made.class_sources)
    monkeypatch.setattr(yolo_write, "_PIECE", 1)
    once_more = again(back, root, tmp_path / "third")
    assert once_more.frames.equals(made.frames)
    texts = [{p.name: p.read_text() for p in (tmp_path / name).rglob("*.txt")} for name in ("out", "third")]
    assert texts[0] == texts[1]


def test_round_trip_of_predictions(tmp_path: Path) -> None:
    root = data_set(tmp_path / "in", t_a="0 .5 .5 .5 .5\n")
    put(root, {"runs/val/b.txt": "0 .3 .3 .1 .1 .123456789\n1 .5 .5 .2 .2\n"})
    builder = Builder()
    builder.root = list_images(root / "images", builder)
    read(root / "data.yaml", builder, "labels")
    read(root / "runs", builder, "p")
    made = builder.build()
    back = again(made, root, tmp_path / "out", "p")
    assert objects(back, *HELD) == objects(made, *HELD)


def test_what_the_format_cannot_hold_is_told(tmp_path: Path) -> None:
    import json

    from gpu_quality.data.formats.coco import read as read_coco

    square, hole = [0, 0, 8, 0, 8, 8, 0, 8], [2, 2, 4, 2, 4, 4, 2, 4]
    base = {"category_id": 1, "image_id": 1, "bbox": [0, 0, 8, 8]}
    data = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 16, "height": 8},
            {"id": 2, "file_name": "a.png", "width": 4, "height": 4},
            {"id": 3, "file_name": "../../up.jpg", "width": 4, "height": 4},
            {"id": 4, "file_name": "b.jpg"},
        ],
        "categories": [{"id": 1, "name": 'a "quoted": name'}],
        "annotations": [
            {"id": 1, **base, "segmentation": [square, hole]},
            {"id": 2, **base},
            {"id": 3, **base, "iscrowd": 1},
            {"id": 4, **base, "segmentation": {"size": [8, 16], "counts": [0, 64, 64]}},
            {"id": 5, **base, "image_id": 2},
            {"id": 6, **base, "image_id": 3},
            {"id": 7, **base, "image_id": 4},
        ],
    }
    made = load(read_coco, put(tmp_path, {"labels.json": json.dumps(data)}) / "labels.json")
    told = write(made, "labels", tmp_path / "out")
    assert (tmp_path / "out" / "labels" / "a.txt").read_text() == "0 0.0 0.0 0.5 0.0 0.5 1.0 0.0 1.0\n" * 2
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.txt")) == ["a.txt", "images.txt"]  # b lost its object
    for part in ("largest ring", "four corners", "crowd", "no mask", "same label file", "lead out", "size of their image"):
        assert any(part in sentence for sentence in told), part
    assert load(read, tmp_path / "out" / "data.yaml").classes == ('a "quoted": name',)
    with pytest.raises(UsageError, match="already holds labels"):
        write(made, "labels", tmp_path / "out")
    with pytest.raises(UsageError, match="no origin"):
        write(made, "other", tmp_path / "new")


def test_files_written_by_supervision(tmp_path: Path) -> None:
    names = put(tmp_path, {"in/a.png": (64, 48), "in/b.png": (32, 32)}) / "in"
    mask = np.zeros((1, 48, 64), bool)
    mask[0, 8:40, 16:48] = True
    boxes = np.array([[3.0, 5.0, 20.0, 30.0], [10.5, 1.25, 60.0, 47.0]])
    a, b = str(names / "a.png"), str(names / "b.png")
    plain = {a: supervision.Detections(xyxy=boxes, class_id=np.array([1, 0])), b: supervision.Detections.empty()}
    masked = {a: supervision.Detections(xyxy=np.array([[16.0, 8, 48, 40]]), mask=mask, class_id=np.array([1])), b: plain[b]}
    for kind, found in (("box", plain), ("polygon", masked)):
        out = tmp_path / kind
        data = supervision.DetectionDataset(classes=["cat", "dog"], images=[a, b], annotations=found)
        data.as_yolo(str(out / "images"), str(out / "labels"), str(out / "data.yaml"))
        made = load(read, out)
        assert looks_like_yolo(out)
        assert made.classes == ("cat", "dog")
        assert frames(made, "frame", "labelled") == [("images/a.png", True), ("images/b.png", True)]
        assert errors(made) == []
        expected = found[a]
        np.testing.assert_allclose(objects(made, "box"), expected.xyxy, atol=1.01 if kind == "polygon" else 1e-3)
        assert objects(made, "class_id") == expected.class_id.tolist()
        if kind == "polygon":
            assert objects(made, "area")[0] == pytest.approx(mask.sum(), rel=0.07)  # its outline runs through pixel centers
