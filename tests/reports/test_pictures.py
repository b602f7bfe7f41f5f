"""Thumbnails: sizes, boxes of objects, what is drawn where, and the budget."""

import io

import numpy as np
import pytest
from PIL import Image

from gpu_quality.data.thumbnail import shrink, thumbnail
from gpu_quality.reports.pictures import _crop


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


@pytest.mark.parametrize("box", [(10, 10, 30, 20), (-50, -50, 500, 500), (39, 29, 40, 30), (100, 100, 120, 120), (0, 0, 0, 0)])
def test_crops_of_any_box_hold_the_box(box: tuple[float, float, float, float]) -> None:
    rgb = np.full((30, 40, 3), 10, np.uint8)
    crop = _crop(rgb, box)
    assert max(crop.shape[:2]) <= 256
    assert (crop[..., 0] == 255).any()


def test_the_box_is_drawn_around_the_object() -> None:
    rgb = np.zeros((100, 100, 3), np.uint8)
    rgb[40:60, 40:60] = (0, 255, 0)
    crop = _crop(rgb, (40, 40, 60, 60))
    red = np.argwhere((crop == (255, 64, 96)).all(-1))
    green = np.argwhere((crop == (0, 255, 0)).all(-1))
    assert (red.min(0) <= green.min(0)).all()
    assert (red.max(0) >= green.max(0)).all()
    assert (red.min(0) > 0).all()
