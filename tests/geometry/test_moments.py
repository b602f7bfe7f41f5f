"""Central moments against OpenCV, plain loops and rasters."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from gpu_quality.functional.moments import hu_invariants
from gpu_quality.geometry.moments import central_moments, mask_moments, polygon_moments
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.geometry.rle import encode_counts
from gpu_quality.types import Sizes
from tests.metrics.test_objects import shaped
from tests.reference.geometry import polygon_pixels
from tests.reference.shapes import hu, pixel_moments

ORDERS = ("m00", "mu20", "mu11", "mu02", "mu30", "mu21", "mu12", "mu03")
SQUARE = [(10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0)]
HOLE = [(14.0, 12.0), (26.0, 12.0), (26.0, 20.0), (14.0, 20.0)]
STAR = [(20.0, 2.0), (30.0, 36.0), (3.0, 14.0), (37.0, 13.0), (9.0, 36.0)]  # crosses itself five times, its middle is outside
ELL = [(2.0, 3.0), (9.0, 3.0), (9.0, 25.0), (33.0, 25.0), (33.0, 31.0), (2.0, 31.0)]


def outlines_of(*shapes: list[list[tuple[float, float]]]) -> Outlines:
    rings, numbers, values = [0], [0], []
    for shape in shapes:
        for ring in shape:
            values += [number for point in ring for number in point]
            numbers.append(len(values))
        rings.append(len(numbers) - 1)
    return Outlines(np.array(rings), np.array(numbers), np.array(values, float))


def encoded(mask: np.ndarray) -> bytes:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]


def moments_of(*masks: np.ndarray) -> np.ndarray:
    height, width = np.array([mask.shape for mask in masks], np.int64).T
    return mask_moments([encoded(mask) for mask in masks], height, width)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.randoms(use_true_random=False))
def test_masks_equal_opencv_and_loops(height: int, width: int, random: object) -> None:
    masks = [np.array([[random.random() < p for _ in range(width)] for _ in range(height)]) for p in (0, 0.1, 0.5, 0.9, 1)]
    got = moments_of(*masks)
    for mask, own in zip(masks, got, strict=True):
        assert own == pytest.approx(pixel_moments(mask), abs=1e-8)
        if mask.any():
            peer = cv2.moments(mask.astype(np.uint8))
            assert own == pytest.approx([peer[name] for name in ORDERS], abs=1e-6)


def test_hu_invariants_equal_opencv() -> None:
    rng = np.random.default_rng(0)
    blobs = [cv2.GaussianBlur(rng.random((60, 90)), (0, 0), 6) > 0.5 for _ in range(6)]
    got = moments_of(*blobs)
    ones = hu_invariants(torch.from_numpy(got))
    full = hu_invariants(torch.from_numpy(got), 255.0)
    for blob, own, scaled, moments in zip(blobs, ones.tolist(), full.tolist(), got.tolist(), strict=True):
        assert own == pytest.approx(cv2.HuMoments(cv2.moments(blob.astype(np.uint8))).ravel().tolist(), rel=1e-9, abs=1e-18)
        peer = cv2.HuMoments(cv2.moments(blob.astype(np.uint8) * 255)).ravel().tolist()
        assert scaled == pytest.approx(peer, rel=1e-9, abs=1e-30)
        assert own == pytest.approx(hu(moments), rel=1e-9, abs=1e-18)
        assert scaled == pytest.approx(hu(moments, 255.0), rel=1e-9, abs=1e-30)


@pytest.mark.parametrize("ring", [SQUARE, ELL, [(0.0, 0.0), (40.0, 3.0), (11.0, 29.0)]])
@pytest.mark.parametrize("backwards", [False, True])
def test_simple_polygons_equal_opencv(ring: list[tuple[float, float]], backwards: bool) -> None:
    own = polygon_moments(outlines_of([ring[::-1] if backwards else ring]))[0]
    peer = cv2.moments(np.array(ring, np.float32).reshape(-1, 1, 2))
    assert own == pytest.approx([peer[name] for name in ORDERS], rel=1e-4, abs=0.1)  # OpenCV sums from the corner of the image


@pytest.mark.parametrize(
    "rings", [[SQUARE], [SQUARE, HOLE], [HOLE, SQUARE], [STAR], [ELL, HOLE], [STAR, SQUARE], [SQUARE, SQUARE, ELL]]
)
def test_polygons_equal_masks_of_them(rings: list[list[tuple[float, float]]]) -> None:
    """A fine raster of the same even-odd inside; holes and crossings take away whichever way their rings run."""
    scale = 16
    fine = [[(x * scale, y * scale) for x, y in ring] for ring in rings]
    mask = np.array(polygon_pixels(fine, 40 * scale, 40 * scale), bool)
    drawn = pixel_moments(mask) / scale ** np.array([2, 4, 4, 4, 5, 5, 5, 5.0])
    size = np.sqrt(mask.sum()) / scale
    for turned in (rings, [ring[::-1] for ring in rings], [rings[0][::-1], *rings[1:]]):
        own = polygon_moments(outlines_of(turned))[0]
        assert own == pytest.approx(drawn, rel=0.01, abs=0.003 * size**5)


def test_invariants_stay_under_moving_turning_and_scaling() -> None:
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = [tuple(point) for point in np.array(ELL) @ turn * 3.7 + [4000, -2000]]
    one, other = hu_invariants(torch.from_numpy(polygon_moments(outlines_of([ELL], [moved])))).tolist()
    assert one == pytest.approx(other, rel=1e-9, abs=1e-15)


def test_shapes_without_area_have_no_moments() -> None:
    line = [(1.1, 1.1), (5.3, 5.3), (9.7, 9.7)]
    got = polygon_moments(outlines_of([line], [[(3.0, 3.0)] * 3], [SQUARE], []))
    assert (got[:2] == 0).all()
    assert got[2, 0] == 400
    assert (got[3] == 0).all()
    assert (moments_of(np.zeros((4, 5), bool)) == 0).all()


def test_counts_that_do_not_fit_have_no_moments() -> None:
    whole = encoded(np.ones((4, 5), bool))
    sides = np.array([4, 4, 4, 0], np.int64), np.array([5, 6, 5, 5], np.int64)
    got = mask_moments([whole, whole, b"\xff", whole], *sides)
    assert got[:, 0].tolist() == [20, 0, 0, 0]


def test_a_giant_mask_is_never_drawn() -> None:
    """A full frame of 900 megapixels has the moments of its sides."""
    side = 30_000
    counts = np.array([0, side * side], np.int64)
    text = encode_counts(counts, np.array([0, 2]))
    got = mask_moments(text, np.array([side]), np.array([side]))[0]
    spread = side**2 * (side**2 - 1) / 12
    assert got == pytest.approx([side**2, spread, 0, spread, 0, 0, 0, 0], rel=1e-12, abs=1e-15 * side**5)


def test_central_moments_of_objects() -> None:
    mask = np.zeros((50, 60), bool)
    mask[5:20, 7:40] = True
    parts = [("box", (1, 1, 5, 5)), ("polygon", [SQUARE]), ("mask", mask), ("mask", mask), ("rotated_box", [SQUARE])]
    objects = shaped(parts, crowd=[False, False, False, True, False])
    sizes = Sizes(torch.tensor([60]), torch.tensor([50]))
    got = central_moments(objects, sizes)
    assert got[:, 0].tolist() == [0, 400, mask.sum(), 0, 0]
    assert got[2] == pytest.approx(pixel_moments(mask), abs=1e-6)
    nowhere = Sizes(torch.tensor([torch.nan]), torch.tensor([torch.nan]))
    unsized = central_moments(objects, nowhere)
    assert np.isnan(unsized[2]).all()
    assert (unsized[[0, 1, 3, 4]] == got[[0, 1, 3, 4]]).all()
