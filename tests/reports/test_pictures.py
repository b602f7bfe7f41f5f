"""Thumbnails: sizes, boxes of objects, what is drawn where, and the budget."""

import io

import numpy as np
import pytest
from PIL import Image

from gpu_quality.data.thumbnail import OUTSIDE, cut_out, shrink, thumbnail
from gpu_quality.reports.shots import MOST_POINTS, OTHER, OWN, Mark, Shot, box_mark, object_marks
from gpu_quality.types import KINDS


@pytest.mark.parametrize(
    ("shape", "longest", "size"), [((40, 80), 20, (20, 10)), ((5, 3), 20, (3, 5)), ((1, 500), 50, (50, 1))]
)
def test_thumbnails_shrink_and_never_grow(shape: tuple[int, int], longest: int, size: tuple[int, int]) -> None:
    rgb = np.full((*shape, 3), 128, np.uint8)
    image = Image.open(io.BytesIO(thumbnail(rgb, longest)))
    assert image.size == size
    assert image.format == "JPEG"
    assert not image.getexif()


def test_thumbnails_look_like_the_frame_and_repeat() -> None:
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[:, 32:] = (200, 100, 50)
    small = shrink(rgb, 16)
    assert small[8, 2].tolist() == [0, 0, 0]
    assert small[8, 13].tolist() == [200, 100, 50]
    assert thumbnail(rgb, 16) == thumbnail(rgb, 16)


def shown(rgb: np.ndarray, shot: Shot) -> np.ndarray:
    return cut_out(rgb, shot.window(rgb.shape[1], rgb.shape[0]), shot.marks, 256)


def colored(rgb: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere((rgb == color).all(-1))


BOXES = [
    (10, 10, 30, 20), (-50, -50, 500, 500), (39, 29, 40, 30), (100, 100, 120, 120), (0, 0, 0, 0), (-90, -90, -80, -80),
    (-1e12, 5, 1e12, 6), (5, 5, 5, 25),
]  # fmt: skip


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("whole", [False, True])
def test_pictures_of_any_box_hold_the_box(box: tuple[float, float, float, float], whole: bool) -> None:
    rgb = np.full((30, 40, 3), 10, np.uint8)
    picture = shown(rgb, Shot(0, (box_mark(box),), whole=whole))
    assert max(picture.shape[:2]) <= 256
    assert len(colored(picture, OWN))


def test_the_box_is_drawn_around_the_object() -> None:
    rgb = np.zeros((100, 100, 3), np.uint8)
    rgb[40:60, 40:60] = (0, 255, 0)
    picture = shown(rgb, Shot(0, (box_mark((40, 40, 60, 60)),)))
    line, green = colored(picture, OWN), colored(picture, (0, 255, 0))
    assert (line.min(0) <= green.min(0)).all()
    assert (line.max(0) >= green.max(0)).all()
    assert (line.min(0) > 0).all()


def test_what_a_box_has_outside_of_the_frame_is_shown_as_outside() -> None:
    rgb = np.full((100, 100, 3), 200, np.uint8)
    assert not len(colored(shown(rgb, Shot(0, (box_mark((60, 20, 99, 50)),))), OUTSIDE))
    gray = colored(shown(rgb, Shot(0, (box_mark((60, 20, 115, 50)),))), OUTSIDE)
    line = colored(shown(rgb, Shot(0, (box_mark((60, 20, 115, 50)),))), OWN)
    assert len(gray)
    assert line[:, 1].max() > gray[:, 1].min(), "the box ends beyond the edge"


def test_a_partner_on_the_very_same_place_is_seen_too() -> None:
    rgb = np.zeros((100, 100, 3), np.uint8)
    marks = (box_mark((30, 30, 70, 70)), box_mark((30, 30, 70, 70), OTHER, dashed=True))
    picture = shown(rgb, Shot(0, marks))
    assert len(colored(picture, OWN)) > 50
    assert len(colored(picture, OTHER)) > 50


def test_outlines_are_drawn_as_they_are_and_thinned_where_they_are_too_fine() -> None:
    triangle = {"box": [10, 10, 50, 50], "polygon": [[10.0, 10, 50, 10, 10, 50]], "kind": KINDS.index("polygon")}
    (mark,) = object_marks(triangle)
    assert mark.points == (10, 10, 50, 10, 10, 50)
    assert mark.closed
    rgb = np.zeros((60, 60, 3), np.uint8)
    line = colored(shown(rgb, Shot(0, (mark,), whole=True)), OWN)
    assert not ((line > 110) & (line < 190)).all(1).any() or (line.sum(1).max() < 300), "no line at the far corner"
    assert not object_marks({**triangle, "kind": KINDS.index("polyline")})[0].closed
    assert len(object_marks({**triangle, "polygon": [[float(i) for i in range(20_000)]]})[0].points) <= 2 * MOST_POINTS
    assert object_marks({**triangle, "polygon": None})[0] == box_mark([10, 10, 50, 50])


def test_a_single_point_becomes_a_dot() -> None:
    rgb = np.zeros((60, 60, 3), np.uint8)
    for dashed in (False, True):
        picture = shown(rgb, Shot(0, (Mark((30.0, 30.0), OWN, closed=False, dashed=dashed),)))
        assert len(colored(picture, OWN)) > 4
