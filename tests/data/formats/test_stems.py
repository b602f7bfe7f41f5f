"""Names without extension, lines of numbers and relative numbers: the small parts that readers of text files share."""

import math
import os
from array import array
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_reading import put

from gpu_quality.annotations import Builder
from gpu_quality.annotations.columns import Ragged
from gpu_quality.data.formats.finding import Finder
from gpu_quality.data.formats.label_files import Place, adopt_images, glance, text_files
from gpu_quality.data.formats.number_lines import Lines, heads, lasts, pieces, table
from gpu_quality.data.formats.relative_numbers import shares, spans
from gpu_quality.data.formats.stems import Stems, stem_of


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("images/val/a", "images/val/a.png"),  # the whole path
        ("val/a", "images/val/a.png"),  # its last two parts
        ("elsewhere/val/a", "images/val/a.png"),
        ("only", "images/train/only.jpg"),  # its last part
        ("x/only.jpg", "images/train/only.jpg"),
        ("a", "a"),  # of two images: neither
        ("drive.mp4#000123", "drive.mp4#000123"),
        ("v1.5", "v1.5.png"),  # a dot within the name
        ("new", "new"),
    ],
)
def test_frames_by_names_without_extension(name: str, frame: str) -> None:
    builder = Builder()
    known = ["images/train/a.png", "images/val/a.png", "images/train/only.jpg", "drive.mp4#000123", "v1.5.png"]
    builder.add_frames(known)
    assert Stems(builder).frame(name) == frame
    assert Stems(builder).rows([name]).tolist() == [known.index(frame) if frame in known else len(known)]


def test_only_extensions_of_images_are_cut() -> None:
    assert [stem_of(n) for n in ("a/b.JPG", "a.b/c", ".jpg", "a/.png", "v.1")] == ["a/b", "a.b/c", ".jpg", "a/.png", "v.1"]


def test_lines_keep_their_places() -> None:
    found = Lines()
    found.add("f", 1, 5, "b", ["1", "2"])
    found.refuse("f", 2, 5, "why")
    found.add("f", 3, 6, "a", ["1", "x"])
    found.add("g", 1, 7, "a", ["3", "4", "5"])
    numbers = found.numbers()
    assert numbers.count.tolist() == [2, 0, 0, 3]
    assert found.problems == {1: "why", 2: "'x' is no number"}
    assert found.classes(lambda names: range(10, 10 + len(names))).tolist() == [11, -1, -1, 10]
    assert found.sources() == ["f:1", "f:2", "f:3", "g:1"]
    np.testing.assert_array_equal(table(numbers, 3), [[1, 2, math.nan], [math.nan] * 3, [math.nan] * 3, [3, 4, 5]])
    assert heads(numbers, np.array([1, 0, 0, 2])).values.tolist() == [1, 3, 4]
    np.testing.assert_array_equal(lasts(numbers, np.array([False, False, False, True])), [math.nan, math.nan, math.nan, 5])
    assert list(pieces(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert table(Ragged(np.zeros(1, np.int64), np.array(array("d"))), 2).shape == (0, 2)


def test_links_and_hidden_files_among_labels(tmp_path: Path) -> None:
    put(tmp_path, {"in/b/2.txt": "", "in/1.txt": "", "in/.3.txt": "", "in/.h/4.txt": "", "in/5.csv": "", "out.txt": ""})
    (tmp_path / "in" / "6.txt").symlink_to(tmp_path / "out.txt")
    (tmp_path / "in" / "7.txt").symlink_to(tmp_path / "in" / "1.txt")
    os.mkfifo(tmp_path / "in" / "8.txt")
    builder = Builder()
    assert [name for name, _ in text_files(tmp_path / "in", builder)] == ["1", "7", "b/2"]
    rows = builder.build().errors.to_pylist()
    assert [(row["uri"], row["reason"]) for row in rows] == [("6.txt", "outside_root"), ("8.txt", "bad_annotation")]
    assert glance(tmp_path / "in" / "8.txt") == []


def test_images_of_several_places_are_frames_of_one_root(tmp_path: Path) -> None:
    put(tmp_path, {"a/x.png": (4, 4), "b/c/y.png": (4, 4), "d/z.png": (4, 4), "b/list.txt": "c/y.png\n../d/z.png\n"})
    builder = Builder()
    adopt_images(builder, tmp_path, [Place(tmp_path / "a", "train"), Place(tmp_path / "b/list.txt", "val")])
    adopt_images(builder, tmp_path, [Place(tmp_path / "d")])  # once is enough
    rows = builder.build().frames.to_pylist()
    assert [(row["frame"], row["split"]) for row in rows] == [("a/x.png", "train"), ("b/c/y.png", "val"), ("d/z.png", "val")]
    assert builder.root == tmp_path
    other = Builder()
    adopt_images(other, tmp_path / "a", [Place(tmp_path / "d"), Place(tmp_path / "b"), Place(tmp_path / "gone")])
    assert sorted(other.frame_rows) == ["b/c/y.png", "d/z.png"]
    assert any("no images at" in note for note in other.notes)


@given(st.lists(st.floats(-1, 2), min_size=1, max_size=50), st.integers(1, 30_000))
def test_any_relative_number_survives_bit_by_bit(values: list[float], size: int) -> None:
    sizes = np.full(len(values), float(size))
    pixels = np.array(values) * sizes
    np.testing.assert_array_equal(shares(pixels, sizes) * sizes, pixels)


_SHARES = st.floats(-1, 2).map(lambda value: value if abs(value) > 1e-200 else 0.0)  # below, float64 loses bits


@given(st.lists(st.tuples(_SHARES, _SHARES), min_size=1, max_size=50), st.integers(1, 30_000))
def test_any_relative_center_and_length_survive_bit_by_bit(values: list[tuple[float, float]], size: int) -> None:
    center, length = np.array(values).T
    sizes = np.full(len(values), float(size))
    low, high = (center - length / 2) * sizes, (center + length / 2) * sizes
    c, n = spans(low, high, sizes)
    np.testing.assert_array_equal((c - n / 2) * sizes, low)
    np.testing.assert_array_equal((c + n / 2) * sizes, high)


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("images/a/1.jpg", "a/1.jpg"),  # the folder above the listed one is named
        ("/home/me/b/1.jpg", "b/1.jpg"),
        ("C:\\data\\b\\1.jpg", "b/1.jpg"),
        ("seq/2.jpg", "train/seq/2.jpg"),  # the listed one lies above
        ("any/seq/2.jpg", "train/seq/2.jpg"),
        ("other/2.jpg", "other/2.jpg"),  # no folder in common with either
        ("elsewhere/3.jpg", "3.jpg"),
        ("e\u0301.jpg", "\u00e9.jpg"),  # one letter, or a letter and its accent
    ],
)
def test_names_from_other_folders_find_the_longest_common_end(name: str, frame: str) -> None:
    builder = Builder()
    builder.add_frames(["a/1.jpg", "b/1.jpg", "train/seq/2.jpg", "val/2.jpg", "3.jpg", "x/3.jpg", "\u00e9.jpg"])
    builder.images_listed = True
    assert Finder(builder).frame(name) == frame


def test_one_image_is_not_taken_for_two() -> None:
    builder = Builder()
    builder.add_frames(["train/1.jpg", "2.jpg"])
    builder.images_listed = True
    finder = Finder(builder)
    assert [finder.frame(name) for name in ("a/2.jpg", "b/2.jpg", "a/2.jpg")] == ["2.jpg", "b/2.jpg", "2.jpg"]
    assert finder.rows(["val/1.jpg", "train/1.jpg"]).tolist() == [2, 0]  # whichever comes first


def test_an_image_called_like_two(tmp_path: Path) -> None:
    builder = Builder()
    builder.add_frames(["a/foo.png.jpg", "a/foo.jpg"])
    assert [Stems(builder).frame(name) for name in ("a/foo.png", "foo", "x/foo.jpg")] == ["a/foo.png.jpg", *["a/foo.jpg"] * 2]
    put(tmp_path, {"A.TXT": "0 .5 .5 .1 .1"})
    assert [name for name, _ in text_files(tmp_path, builder)] == ["A"]
    assert glance(tmp_path) == [["0", ".5", ".5", ".1", ".1"]]
