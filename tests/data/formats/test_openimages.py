"""Open Images CSV: boxes, image-level labels, names of classes, predictions, and wrong lines."""

from pathlib import Path

import pytest
from label_reading import errors, frames, load, objects, put

from gpu_quality.data.formats import csv_records
from gpu_quality.data.formats.openimages import looks_like_openimages, read
from gpu_quality.errors import UsageError

HEAD = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
CAT, DOG = "/m/01yrx", "/m/0bt9lr"


def images(folder: Path) -> Path:
    return put(folder / "images", {"0001eeaf4aed83f9.jpg": (40, 20), "x/0002.png": (10, 10), "0003.png": (4, 4)})


def boxes(folder: Path, text: str) -> Path:
    put(folder, {"train-boxes.csv": HEAD + text, "class-descriptions-boxable.csv": f'{CAT},Cat\n{DOG},"Dog, domestic"\n'})
    return folder / "train-boxes.csv"


def test_boxes(tmp_path: Path) -> None:
    text = f"0001eeaf4aed83f9,xclick,{DOG},1,0.25,0.5,0.1,0.6,0,1,0,0,0\n0002,xclick,{CAT},1,0,1,0,1,0,0,1,0,0\n"
    made = load(read, boxes(tmp_path, text), images(tmp_path))
    assert made.classes == ("Cat", "Dog, domestic")
    assert made.class_sources == (CAT, DOG)
    assert frames(made, "frame", "labelled") == [("0001eeaf4aed83f9.jpg", True), ("0003.png", False), ("x/0002.png", True)]
    rows = made.objects.to_pylist()
    assert [row["box"] for row in rows] == [[10, 2, 20, 12], [0, 0, 10, 10]]
    assert [made.classes[row["class_id"]] for row in rows] == ["Dog, domestic", "Cat"]
    assert [row["crowd"] for row in rows] == [False, True]
    assert [row["record"] for row in rows] == [2, 3]
    assert {row["score"] for row in rows} == {None}


def test_predictions(tmp_path: Path) -> None:
    labels = boxes(tmp_path, f"0002,xclick,{CAT},1,0,1,0,1,0,0,0,0,0\n")
    put(
        tmp_path, {"p/a.csv": f"ImageID,LabelName,Score,XMin,XMax,YMin,YMax\n0002,{CAT},0.5,0,0.5,0,1\n0002,Cat,0.25,0,1,0,1\n"}
    )
    made = load(read, labels, images(tmp_path), p=tmp_path / "p" / "a.csv")
    assert objects(made, "origin", "class_id", "score", "box")[1:] == [(1, 0, 0.5, [0, 0, 5, 10]), (1, 0, 0.25, [0, 0, 10, 10])]
    assert made.classes == ("Cat",)


def test_image_level_labels(tmp_path: Path) -> None:
    text = (
        f"ImageID,Source,LabelName,Confidence\n0002,verification,{CAT},1\n0002,verification,{DOG},0\n0003,machine,{DOG},0.75\n"
    )
    put(tmp_path, {"labels.csv": text, "p.csv": f"ImageID,LabelName,Confidence\n0003,{DOG},0\n"})
    made = load(read, tmp_path / "labels.csv", p=tmp_path / "p.csv")
    answers = made.classifications.to_pylist()
    assert [(a["frame"], a["origin"], a["question"], made.classes[a["class_id"]], a["score"]) for a in answers] == [
        ("0002", 0, "label", CAT, None),
        ("0002", 0, "absent", DOG, None),
        ("0003", 0, "label", DOG, None),
        ("0003", 1, "label", DOG, 0.0),
    ]
    assert any("2 classes without a name" in note for note in made.notes)


def test_wrong_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = f"0002,x,{CAT},1,0,1,0,1,0,0,0,0,0\n"
    wrong = [good.replace(",0,1,0,1,", ",zero,1,0,1,"), "0002,x\n", good.replace(",0,1,0,1,", ",nan,1,0,1,")]
    wrong += [good.replace("0002", "gone"), good.replace(",0,1,0,1,", ",1,1,0,1,"), f'"{good}']
    path = boxes(tmp_path, good + "".join(wrong) + "\n" + good)
    made = load(read, path, images(tmp_path))
    assert sorted(line for _, line, _ in errors(made)) == [3, 4, 5, 6, 7, 8]
    assert {uri for uri, _, _ in errors(made)} == {"train-boxes.csv"}
    assert sorted(objects(made, "record")) == [2, 7, 10]
    monkeypatch.setattr(csv_records, "ENOUGH", 2)
    again = load(read, path, images(tmp_path))
    assert again.objects.equals(made.objects)
    assert sorted(errors(again)) == sorted(errors(made))


def test_unusable_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none is known"):
        load(read, boxes(tmp_path, f"0002,x,{CAT},1,0,1,0,1,0,0,0,0,0\n"))
    with pytest.raises(UsageError, match="names no ImageID"):
        load(read, put(tmp_path, {"b.csv": "a,LabelName\n1,2\n"}) / "b.csv")
    with pytest.raises(UsageError, match="is empty"):
        load(read, put(tmp_path, {"e.csv": "\n"}) / "e.csv")
    with pytest.raises(UsageError, match="is no file"):
        load(read, tmp_path)


def test_what_is_guessed(tmp_path: Path) -> None:
    assert looks_like_openimages(boxes(tmp_path, ""))
    assert looks_like_openimages(put(tmp_path, {"l.csv": "ImageID,Source,LabelName,Confidence\n"}) / "l.csv")
    assert not looks_like_openimages(tmp_path / "class-descriptions-boxable.csv")
    assert not looks_like_openimages(tmp_path)
