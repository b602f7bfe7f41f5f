"""Guesses do not steal each other's files: every sample is recognized by its own reader alone."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from label_reading import put

from gpu_quality.annotations import Builder
from gpu_quality.data.formats import boxes_txt, dota, kitti, mot, openimages, yolo
from gpu_quality.data.formats.boxes_txt import never
from gpu_quality.data.formats.coco import looks_like_coco
from gpu_quality.data.formats.dota import looks_like_dota
from gpu_quality.data.formats.imagefolder import looks_like_imagefolder
from gpu_quality.data.formats.kitti import looks_like_kitti
from gpu_quality.data.formats.mot import looks_like_mot
from gpu_quality.data.formats.openimages import looks_like_openimages
from gpu_quality.data.formats.yolo import looks_like_yolo
from gpu_quality.errors import UsageError

GUESSES: dict[str, Callable[[Path], bool]] = {
    "coco": looks_like_coco,
    "yolo": looks_like_yolo,
    "kitti": looks_like_kitti,
    "mot": looks_like_mot,
    "dota": looks_like_dota,
    "openimages": looks_like_openimages,
    "imagefolder": looks_like_imagefolder,
    "boxes": never,
}
KITTI = "Pedestrian 0.00 0 -0.20 712.40 143.00 810.73 307.92 1.89 0.48 1.20 1.84 1.47 8.41 0.01\n"
CORNERS = "20 0 30 10 20 20 10 10"
BOXES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
SAMPLES: dict[str, tuple[str | None, dict[str, str | tuple[int, int]], str]] = {
    "instances": ("coco", {"a.json": json.dumps({"images": []})}, "a.json"),
    "results": ("coco", {"a.json": "[]"}, "a.json"),
    "data.yaml": ("yolo", {"data.yaml": "train: images\nnames: [a]\n"}, "data.yaml"),
    "folder with data.yaml": ("yolo", {"data.yaml": "train: images\nnames: [a]\n", "images/a.png": (4, 4)}, "."),
    "images and labels": ("yolo", {"images/a.png": (4, 4), "labels/a.txt": "0 .5 .5 .5 .5\n"}, "."),
    "images and labels of splits": ("yolo", {"images/t/a.png": (4, 4), "labels/t/a.txt": "0 .5 .5 .5 .5\n"}, "."),
    "predictions": ("yolo", {"a.txt": "0 .5 .5 .5 .5 .75\n"}, "."),
    "outlines": ("yolo", {"a.txt": "0 .1 .1 .9 .1 .9 .9\n", "b.txt": ""}, "."),
    "turned boxes": ("yolo", {"a.txt": "0 .1 .1 .9 .1 .9 .9 .1 .9\n"}, "."),
    "kitti file": ("kitti", {"a.txt": KITTI}, "a.txt"),
    "kitti folder": ("kitti", {"a.txt": KITTI, "b.txt": ""}, "."),
    "kitti root": ("kitti", {"training/label_2/a.txt": KITTI, "training/image_2/a.png": (4, 4)}, "."),
    "kitti tracking": ("kitti", {"0000.txt": f"0 -1 {KITTI}"}, "."),
    "gt.txt": ("mot", {"S/gt.txt": "1,1,399,182,121,229,1,-1,-1,-1\n"}, "S/gt.txt"),
    "results.txt": ("mot", {"S.txt": "1, 3, 113.84, 274.5, 57.307, 130.05, -1, -1, -1, -1\n"}, "S.txt"),
    "sequences": ("mot", {"S/gt/gt.txt": "1,1,1,1,1,1,1,1,1\n", "S/img1/000001.png": (4, 4)}, "."),
    "one sequence": ("mot", {"gt/gt.txt": "1,1,1,1,1,1,1,1,1\n", "img1/000001.png": (4, 4)}, "."),
    "result files": ("mot", {"A.txt": "1,1,1,1,1,1,1\n", "B.txt": "1,1,1,1,1,1,1\n"}, "."),
    "labelTxt": ("dota", {"labelTxt/a.txt": f"imagesource:x\ngsd:1\n{CORNERS} plane 0\n"}, "labelTxt"),
    "dota root": ("dota", {"train/labelTxt/a.txt": f"{CORNERS} plane 0\n", "train/images/a.png": (4, 4)}, "."),
    "dota results": ("dota", {"Task1_plane.txt": f"P0001 0.5 {CORNERS}\n"}, "."),
    "open images boxes": ("openimages", {"a.csv": BOXES}, "a.csv"),
    "open images labels": ("openimages", {"a.csv": "ImageID,Source,LabelName,Confidence\n"}, "a.csv"),
    "classes": ("imagefolder", {"cat/a.png": (4, 4), "dog/a.png": (4, 4)}, "."),
    "classes in splits": ("imagefolder", {"train/cat/a.png": (4, 4), "val/dog/a.png": (4, 4)}, "."),
    "boxes by name": (None, {"a.txt": "cat 0.94 12 44 332 437\n"}, "."),
    "boxes by number": (None, {"a.txt": "7 0.94 12 44 332 437\n"}, "."),
    "photos": (None, {"a.png": (4, 4), "sub/b.png": (4, 4)}, "."),
    "voc": (None, {"Annotations/a.xml": "<annotation/>", "JPEGImages/a.png": (4, 4)}, "."),
    "prose": (None, {"a.txt": "some words about the data set\n", "b.csv": "a,b\n1,2\n"}, "."),
    "table": (None, {"b.csv": "a,b\n1,2\n"}, "b.csv"),
    "empty folder": (None, {"x/y.bin": "\0"}, "x"),
    "nothing": (None, {}, "gone"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_recognized_by_its_own_reader_alone(tmp_path: Path, name: str) -> None:
    format_name, files, path = SAMPLES[name]
    found = [guess for guess, looks_like in GUESSES.items() if looks_like(put(tmp_path, files) / path)]
    assert found == ([format_name] if format_name else [])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tracks", ["mot"]),
        ("tracks/TUD-Campus", ["mot"]),
        ("tracks/TUD-Campus/test.txt", ["mot"]),
        ("detection/voc_toy/dets_classid_abs_xywh", []),
        ("detection/voc_toy/dets_classid_rel_xcycwh", []),
        ("detection/voc_toy/dets_classname_rel_xcycwh", []),
        ("detection/voc_case1/dets", []),
        ("detection/voc_toy/dets_coco_format/coco_dets.json", ["coco"]),
        ("coco_photos", []),
        ("coco_photos/images", []),
    ],
)
def test_real_files(test_data: Path, path: str, expected: list[str]) -> None:
    assert [guess for guess, looks_like in GUESSES.items() if looks_like(test_data / path)] == expected


READERS = {
    "yolo": (yolo.read, "a.txt", "."),
    "kitti": (kitti.read, "a.txt", "."),
    "mot": (mot.read, "S/gt.txt", "S/gt.txt"),
    "dota": (dota.read, "labelTxt/a.txt", "labelTxt"),
    "dota results": (dota.read, "Task1_plane.txt", "."),
    "openimages": (openimages.read, "a.csv", "a.csv"),
    "boxes": (boxes_txt.read_cxcywh, "a.txt", "."),
}
WORDS = [
    "0",
    "1",
    "-1",
    ".5",
    "1e999",
    "nan",
    "-inf",
    "1e308",
    "1_0",
    "x",
    "Car",
    "a",
    "\0",
    "\ud7ff",
    "9" * 400,
    '"',
    ",",
    ",,",
    "\t",
    "#",
]


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("seed", range(6))
def test_no_line_of_words_breaks_a_reader(tmp_path: Path, name: str, seed: int) -> None:
    read, file, path = READERS[name]
    rng = random.Random(seed)
    sign = "," if name in ("mot", "openimages") else " "
    texts = [sign.join(rng.choices(WORDS[: rng.randint(4, len(WORDS))], k=rng.randint(1, 18))) for _ in range(200)]
    head = BOXES if name == "openimages" else ""
    put(tmp_path, {file: head + "\n".join(texts) + "\n", "a.png": (8, 4)})
    for origin in ("labels", "p"):
        builder = Builder()
        rows = builder.add_frames(["a.png"])
        builder.label_frames(rows, [8], [4])
        try:
            read(tmp_path / path, builder, origin)
        except UsageError:
            continue
        made = builder.build()
        used = {*made.objects.column("record").to_pylist(), *made.errors.column("line").to_pylist()}
        lines = (tmp_path / file).read_text().split("\n")
        blank = {i for i, line in enumerate(lines, 1) if not line.strip() or (head and i == 1)}
        assert used | blank == set(range(1, len(lines) + 1))  # every line is an object or an error row
