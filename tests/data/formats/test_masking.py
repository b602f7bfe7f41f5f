"""Masks from pictures and from runs along rows, against pycocotools."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from gpu_quality.data import pngs
from gpu_quality.data.formats.masking import counts_of, from_rows, picture, placed


def peer(bits: np.ndarray) -> bytes:
    return bytes(coco_mask.encode(np.asfortranarray(bits.astype(np.uint8)))["counts"])


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**20))
def test_masks_are_those_of_pycocotools(rows: int, columns: int, left: int, top: int, more: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    crop = generator.random((rows, columns)) < generator.choice([0, 0.3, 0.9, 1])
    frame = np.zeros((top + rows + more, left + columns + more), bool)
    frame[top : top + rows, left : left + columns] = crop
    assert placed(crop, left, top, *frame.shape) == peer(frame)
    flat = crop.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [len(flat)]]))
    counts = np.concatenate([[0], counts]) if flat[0] else counts
    assert from_rows(counts, left, top, rows, columns, *frame.shape) == peer(frame)


def test_runs_that_touch_are_one() -> None:
    assert counts_of(np.array([2, 4]), np.array([4, 6]), 9) == counts_of(np.array([2]), np.array([6]), 9)
    assert counts_of(np.zeros(0, np.int64), np.zeros(0, np.int64), 6) == peer(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([4], 0, 0, 2, 2, 0, 2), "in a frame of 0 x 2"),
        (([4], 0, 0, 1 << 14, 1 << 14, 1 << 14, 1 << 14), "mask of 16384 x 16384 pixels"),
        (([4], 1, 0, 2, 2, 2, 2), "leads out of the frame"),
        (([4], -1, 0, 2, 2, 9, 9), "leads out of the frame"),
        (([4], 0, 8, 2, 2, 9, 9), "leads out of the frame"),
        (([3], 0, 0, 2, 2, 2, 2), "do not sum to 2 x 2"),
        (([5, -1], 0, 0, 2, 2, 2, 2), "do not sum"),
        (([2**62, 2**62, 4], 0, 0, 2, 2, 2, 2), "do not sum"),
        (([], 0, 0, 2, 2, 2, 2), "do not sum"),
    ],
)
def test_runs_that_are_no_mask(arguments: tuple[list[int], int, int, int, int, int, int], message: str) -> None:
    found = from_rows(np.array(arguments[0], np.int64), *arguments[1:])
    assert isinstance(found, str)
    assert message in found


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_of_all_modes() -> None:
    bits = np.array([[0, 1, 1], [0, 0, 1]], bool)
    for mode, value in (("1", 1), ("L", 7), ("I;16", 300), ("P", 2)):
        image = Image.fromarray(bits) if mode == "1" else Image.new(mode, (3, 2))
        if mode != "1":
            image.frombytes((bits * value).astype("<u2" if mode == "I;16" else np.uint8).tobytes())
        found = picture(png(image), None)
        assert isinstance(found, np.ndarray)
        assert (found == bits).all()
    rgb = np.zeros((2, 3, 3), np.uint8)
    rgb[bits] = (0, 0, 9)
    rgb[0, 0] = (9, 0, 0)
    found = picture(png(Image.fromarray(rgb)), (0, 0, 9))
    assert isinstance(found, np.ndarray)
    assert (found == bits).all()


def test_pictures_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = png(Image.effect_noise((64, 64), 50))
    jpeg = io.BytesIO()
    Image.new("L", (8, 8)).save(jpeg, "JPEG")
    for data in (b"", b"text", whole[: len(whole) // 2], jpeg.getvalue()):
        assert "no readable PNG" in str(picture(data, None))
    monkeypatch.setattr(pngs, "MOST_PIXELS", 100)
    assert "64 x 64 pixels is too large" in str(picture(whole, None))
