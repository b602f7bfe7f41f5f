"""DOTA: labels with heads, turned boxes and crooked ones, results per class, and wrong lines."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_reading import errors, frames, load, objects, put

from gpu_quality.data.formats.dota import looks_like_dota, read
from gpu_quality.data.formats.quads import angles
from gpu_quality.errors import UsageError
from gpu_quality.types import KINDS

HEAD = "imagesource:GoogleEarth\ngsd:0.146343590398\n"
TURNED = "20 0 30 10 20 20 10 10"
CROOKED = "0 0 40 0 40 20 20 20"


def test_labels(tmp_path: Path) -> None:
    lines = f"{HEAD}{TURNED} plane 1\n{CROOKED} small-vehicle 0\n0 0 8 0 8 4 0 4 plane\n"
    made = load(read, put(tmp_path / "labelTxt", {"P0001.txt": lines, "P0002.txt": HEAD}))
    assert frames(made, "frame", "labelled") == [("P0001", True), ("P0002", True)]
    assert made.classes == ("plane", "small-vehicle")
    rows = made.objects.to_pylist()
    assert [KINDS[row["kind"]] for row in rows] == ["rotated_box", "polygon", "rotated_box"]
    assert [row["difficult"] for row in rows] == [True, False, False]
    assert [row["record"] for row in rows] == [3, 4, 5]
    assert rows[0]["angle"] == pytest.approx(math.pi / 4)
    assert [row["angle"] for row in rows[1:]] == [None, 0.0]
    assert rows[0]["box"] == [10, 0, 30, 20]
    assert rows[0]["polygon"] == [[20, 0, 30, 10, 20, 20, 10, 10]]
    assert [row["area"] for row in rows] == pytest.approx([200, 600, 32])


def test_images_and_splits_of_the_usual_layout(tmp_path: Path) -> None:
    for split in ("train", "val"):
        put(
            tmp_path,
            {f"{split}/images/{split}1.png": (8, 8), f"{split}/labelTxt-v1.0/labelTxt/{split}1.txt": f"{TURNED} ship 0"},
        )
    made = load(read, tmp_path)
    assert looks_like_dota(tmp_path)
    ids = ["train/images/train1.png", "val/images/val1.png"]
    assert frames(made, "frame", "split") == list(zip(ids, ("train", "val"), strict=True))
    assert objects(made, "frame") == ids


def test_results_are_a_file_per_class(tmp_path: Path) -> None:
    put(tmp_path, {"labelTxt/P1.txt": f"{TURNED} plane 0\n", "r/Task1_plane.txt": f"P1 0.75 {TURNED}\nP1 0.5 {CROOKED}\n"})
    put(tmp_path, {"r/Task1_large-vehicle.txt": f"P9 0.125 {TURNED}\n", "h/Task2_plane.txt": "P1 0.25 1 2 3 4\n"})
    made = load(read, tmp_path / "labelTxt", p=tmp_path / "r", h=tmp_path / "h" / "Task2_plane.txt")
    rows = [row for row in made.objects.to_pylist() if row["origin"]]
    assert [(row["frame"], made.classes[row["class_id"]], KINDS[row["kind"]], row["score"]) for row in rows] == [
        ("P1", "plane", "rotated_box", 0.75),
        ("P1", "plane", "polygon", 0.5),
        ("P1", "plane", "box", 0.25),
        ("P9", "large-vehicle", "rotated_box", 0.125),
    ]
    assert rows[2]["box"] == [1, 2, 3, 4]
    assert rows[2]["polygon"] is None
    assert looks_like_dota(tmp_path / "r")
    assert looks_like_dota(tmp_path / "r" / "Task1_plane.txt")


def test_wrong_lines(tmp_path: Path) -> None:
    wrong = ["1 2 3 plane 0", f"{TURNED.replace('30', 'x')} plane 0", f"{TURNED.replace('30', 'nan')} plane 0"]
    wrong += [f"{TURNED} plane hard", "1 1 1 1 1 1 1 1 plane 0"]
    made = load(read, put(tmp_path / "labelTxt", {"a.txt": "\n".join([*wrong, f"{TURNED} plane 0"])}))
    assert [line for _, line, _ in errors(made)] == [1, 2, 3, 4, 5]
    assert errors(made)[2][2] == "non_finite_geometry"
    assert objects(made, "record") == [5, 6]  # a box without area is kept
    made = load(read, tmp_path / "labelTxt", p=put(tmp_path / "r", {"Task1_plane.txt": f"a x {TURNED}\na 1\na nan {TURNED}\n"}))
    assert [(file, line) for file, line, _ in errors(made)][5:] == [
        ("Task1_plane.txt", 1),
        ("Task1_plane.txt", 2),
        ("Task1_plane.txt", 3),
    ]
    with pytest.raises(UsageError, match="does not exist"):
        load(read, tmp_path / "gone")


def test_what_is_guessed(tmp_path: Path) -> None:
    assert looks_like_dota(put(tmp_path / "a", {"x.txt": f"{HEAD}{TURNED} plane 0\n"}))
    assert not looks_like_dota(put(tmp_path / "b", {"x.txt": HEAD}))
    assert not looks_like_dota(put(tmp_path / "c", {"x.txt": f"0 {TURNED} 1\n"}))
    assert not looks_like_dota(tmp_path / "gone")


@given(
    st.floats(-1000, 1000),
    st.floats(-1000, 1000),
    st.floats(5, 500),
    st.floats(5, 500),
    st.floats(-1.57, 1.57),
    st.integers(0, 3),
)
def test_any_rectangle_has_its_angle_even_when_rounded(x, y, w, h, theta, start) -> None:
    c, s = math.cos(theta), math.sin(theta)
    corners = [
        (x + a * w / 2 * c - b * h / 2 * s, y + a * w / 2 * s + b * h / 2 * c) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    turned = np.roll(np.array(corners), start, axis=0)[None]
    found = float(angles(turned)[0])
    expected = theta + (math.pi / 2 if start % 2 else 0)
    assert math.isclose(math.sin(2 * (found - expected)), 0, abs_tol=1e-9)
    assert -math.pi / 2 <= found < math.pi / 2
    if min(w, h) > 40:
        assert math.isfinite(float(angles(turned.round())[0]))
