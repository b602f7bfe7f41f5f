"""KITTI: object and tracking labels, results, DontCare, difficulty, and wrong lines."""

from pathlib import Path

import pytest
from label_reading import errors, frames, load, objects, put

from gpu_quality.data.formats.kitti import looks_like_kitti, read
from gpu_quality.errors import UsageError

# A line of the benchmark's first image: one pedestrian, fully visible.
WALKER = "Pedestrian 0.00 0 -0.20 712.40 143.00 810.73 307.92 1.89 0.48 1.20 1.84 1.47 8.41 0.01"
IGNORED = "DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10"


def car(truncated: float, occluded: int) -> str:
    return f"Car {truncated} {occluded} 1.5 10 20 30 40 1 1 1 1 1 1 1"


def test_object_labels(tmp_path: Path) -> None:
    made = load(read, put(tmp_path / "label_2", {"000000.txt": f"{WALKER}\n{IGNORED}\n\n", "000001.txt": ""}))
    assert frames(made, "frame", "labelled", "sequence") == [("000000", True, ""), ("000001", True, "")]
    assert made.classes == ("DontCare", "Pedestrian")
    assert objects(made, "class_id", "box", "crowd", "difficult", "score", "track", "file", "record") == [
        (1, [712.40, 143.0, 810.73, 307.92], False, False, None, None, "000000.txt", 1),
        (0, [503.89, 169.71, 590.61, 190.13], True, True, None, None, "000000.txt", 2),
    ]
    assert errors(made) == []


@pytest.mark.parametrize(
    ("truncated", "occluded", "difficult"), [(0, 0, False), (0.5, 2, False), (0.51, 0, True), (0, 3, True)]
)
def test_beyond_the_hardest_level_is_difficult(tmp_path: Path, truncated: float, occluded: int, difficult: bool) -> None:
    made = load(read, put(tmp_path, {"000000.txt": car(truncated, occluded)}))
    assert objects(made, "difficult", "crowd") == [(difficult, False)]


def test_results_land_on_the_images_of_the_labels(tmp_path: Path) -> None:
    root = put(tmp_path, {"training/image_2/000007.png": (8, 8), "training/label_2/000007.txt": car(0, 0)})
    put(root, {"results/data/000007.txt": f"{car(-1, -1)} 0.75\n{car(-1, -1)}\n"})
    made = load(read, root, p=root / "results" / "data")
    assert frames(made, "frame", "split", "size_bytes")[0][:2] == ("training/image_2/000007.png", "train")
    assert objects(made, "origin", "score") == [(0, None), (1, 0.75), (1, None)]
    listed = load(read, root / "training" / "label_2", root / "training" / "image_2", p=root / "results" / "data")
    assert frames(listed, "frame") == ["000007.png"]


def test_tracking_labels(tmp_path: Path) -> None:
    lines = f"0 3 {car(0, 0)}\n0 -1 {IGNORED}\n3 3 {car(1, 0)}\n"
    made = load(read, put(tmp_path, {"0001.txt": lines}))
    assert frames(made, "frame", "sequence", "position", "labelled") == [(f"0001/{i:06d}", "0001", i, True) for i in range(4)]
    assert objects(made, "frame", "track", "difficult", "crowd") == [
        ("0001/000000", 3, False, False),
        ("0001/000000", None, True, True),
        ("0001/000003", 3, True, False),
    ]
    put(tmp_path / "r", {"0001.txt": f"2 9 {car(0, 0)} 0.5\n"})
    both = load(read, tmp_path / "0001.txt", p=tmp_path / "r")
    assert len(both.frames) == 4
    assert objects(both, "frame", "track", "score")[2] == ("0001/000002", 9, 0.5)


def test_tracking_labels_with_images(tmp_path: Path) -> None:
    root = put(tmp_path / "t", {f"image_02/0001/{i:06d}.png": (8, 8) for i in range(3)})
    put(root, {"label_02/0001.txt": f"1 5 {car(0, 0)}\n"})
    for made in (load(read, root), load(read, root / "label_02", root)):
        assert frames(made, "frame", "sequence", "position", "labelled")[2] == ("image_02/0001/000002.png", "0001", 2, True)
        assert objects(made, "frame") == ["image_02/0001/000001.png"]


def test_wrong_lines(tmp_path: Path) -> None:
    wrong = ["Car 0 0", car(0, 0).replace("30", "x"), car(0, 0).replace("30", "inf"), car(0, 0).replace("30", "5")]
    made = load(read, put(tmp_path, {"a/000000.txt": "\n".join([*wrong, WALKER])}) / "a")
    assert errors(made) == [
        ("000000.txt", 1, "bad_annotation"),
        ("000000.txt", 2, "bad_annotation"),
        ("000000.txt", 3, "non_finite_geometry"),
        ("000000.txt", 4, "degenerate_bbox"),
    ]
    assert objects(made, "record") == [4, 5]
    tracks = [f"-2 1 {WALKER}", f"1.5 1 {WALKER}", f"99999999999 1 {WALKER}", f"nan 1 {WALKER}", f"1 1 {WALKER}"]
    made = load(read, put(tmp_path, {"b/0000.txt": "\n".join(tracks)}) / "b")
    assert [line for _, line, _ in errors(made)] == [1, 2, 3, 4]
    assert len(made.frames) == 2
    with pytest.raises(UsageError, match="does not exist"):
        load(read, tmp_path / "gone")


def test_what_is_guessed(tmp_path: Path) -> None:
    for name, line in {"o": WALKER, "s": f"{WALKER} .5", "t": f"0 1 {WALKER}"}.items():
        put(tmp_path / name, {"0.txt": line})
        assert looks_like_kitti(tmp_path / name)
        assert looks_like_kitti(tmp_path / name / "0.txt")
    assert looks_like_kitti(put(tmp_path / "r", {"training/label_2/0.txt": WALKER}))
    assert not looks_like_kitti(put(tmp_path / "x", {"0.txt": "Car 1 2 3 4"}))
    assert not looks_like_kitti(tmp_path / "gone")
