"""ImageFolder: classes from folders, splits above them, alone and beside listed images."""

from pathlib import Path

import pytest
from label_reading import frames, load, put

from gpu_quality.annotations import Dataset
from gpu_quality.data.formats.imagefolder import looks_like_imagefolder, read
from gpu_quality.errors import UsageError


def answers(made: Dataset) -> list[tuple[str, int, str, str]]:
    rows = made.classifications.to_pylist()
    return [(row["frame"], row["origin"], row["question"], made.classes[row["class_id"]]) for row in rows]


def photos(folder: Path, *names: str) -> Path:
    return put(folder, dict.fromkeys(names, (4, 4)))


def test_classes_alone_and_with_the_same_images_listed(tmp_path: Path) -> None:
    root = photos(tmp_path, "dog/1.png", "cat/1.png", "cat/deep/2.png", "loose.png")
    for made in (load(read, root), load(read, root, root)):
        assert made.classes == ("cat", "dog")
        assert answers(made) == [
            ("cat/1.png", 0, "class", "cat"),
            ("cat/deep/2.png", 0, "class", "cat"),
            ("dog/1.png", 0, "class", "dog"),
        ]
        assert frames(made, "frame", "labelled")[3] == ("loose.png", False)
        assert any("1 image of" in note for note in made.notes)
        assert min(frames(made, "size_bytes")) > 0


def test_splits_above_classes(tmp_path: Path) -> None:
    root = photos(tmp_path, "train/cat/1.png", "val/cat/1.png", "val/dog/2.png", "test/3.png")
    made = load(read, root)
    assert answers(made)[1:] == [("val/cat/1.png", 0, "class", "cat"), ("val/dog/2.png", 0, "class", "dog")]
    assert frames(made, "frame", "split") == [
        ("test/3.png", "test"),
        ("train/cat/1.png", "train"),
        ("val/cat/1.png", "val"),
        ("val/dog/2.png", "val"),
    ]
    part = load(read, root, root / "val")
    assert answers(part) == [("cat/1.png", 0, "class", "cat"), ("dog/2.png", 0, "class", "dog")]
    assert frames(part, "split") == ["val", "val"]
    inner = load(read, root / "val", root)
    assert answers(inner) == answers(made)[1:]


def test_folders_called_like_splits_are_classes_where_others_are_not(tmp_path: Path) -> None:
    made = load(read, photos(tmp_path, "train/1.png", "bus/2.png"))
    assert [answer[3] for answer in answers(made)] == ["bus", "train"]


def test_predictions_sorted_into_folders_elsewhere(tmp_path: Path) -> None:
    root, sorted_ = photos(tmp_path / "a", "cat/1.png", "dog/2.png"), photos(tmp_path / "b", "dog/1.png", "bird/2.png")
    made = load(read, root, root, p=sorted_)
    assert [answer for answer in answers(made) if answer[1]] == [
        ("cat/1.png", 1, "class", "dog"),
        ("dog/2.png", 1, "class", "bird"),
    ]
    assert made.classes == ("cat", "dog", "bird")


def test_real_photos(test_data: Path) -> None:
    folder = test_data / "retrieval" / "four_classes_24"
    assert looks_like_imagefolder(folder)
    made = load(read, folder)
    assert made.classes == ("bird", "cat", "dog", "monkey")
    assert len(answers(made)) == len(made.frames) == 24


def test_no_classes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no image lies in a folder"):
        load(read, photos(tmp_path, "1.png"))
    with pytest.raises(UsageError, match="is no folder"):
        load(read, tmp_path / "1.png")


def test_what_is_guessed(tmp_path: Path) -> None:
    assert looks_like_imagefolder(photos(tmp_path / "a", "cat/1.png", "dog/1.png"))
    assert looks_like_imagefolder(photos(tmp_path / "b", "train/cat/1.png", "val/dog/1.png"))
    assert not looks_like_imagefolder(photos(tmp_path / "c", "cat/1.png", "loose.png"))
    assert not looks_like_imagefolder(put(tmp_path / "d", {"cat/1.png": (4, 4), "notes/a.txt": "x"}))
    assert not looks_like_imagefolder(photos(tmp_path / "e", "images/1.png"))
    assert not looks_like_imagefolder(photos(tmp_path / "f", "train/1.png", "val/1.png"))
    assert not looks_like_imagefolder(tmp_path / "gone")
