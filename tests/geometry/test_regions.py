"""Regions against loops over pixel centers, and every reason to have none."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco

from gpu_quality.errors import NULL_REASONS
from gpu_quality.geometry.regions import regions_of
from gpu_quality.types import KINDS, Objects, Regions, Shapes, Sizes
from tests.reference.geometry import Point, box_pixels, polygon_pixels

WIDTH, HEIGHT = 12, 9


def sizes(frames: int) -> Sizes:
    return Sizes(torch.full((frames,), WIDTH, dtype=torch.int32), torch.full((frames,), HEIGHT, dtype=torch.int32))


def objects(frame: list[int], box: list[list[float]], shapes: Shapes | None = None) -> Objects:
    o = len(frame)
    return Objects(
        tuple(f"labels/{i}" for i in range(o)),
        torch.tensor(frame, dtype=torch.int64),
        torch.zeros(o, dtype=torch.int8),
        torch.tensor(box, dtype=torch.float64).reshape(-1, 4),
        torch.zeros(o, dtype=torch.int32),
        torch.ones(o, dtype=torch.float64),
        torch.full((o,), -1, dtype=torch.int64),
        torch.zeros(o, dtype=torch.float64),
        torch.zeros(o, dtype=torch.bool),
        shapes,
    )


def shapes(kinds: list[str], rings: list[list[list[Point]]], rle: list[bytes | None]) -> Shapes:
    flat = [ring for own in rings for ring in own]
    points = [p for ring in flat for p in ring]
    return Shapes(
        torch.tensor([KINDS.index(k) for k in kinds], dtype=torch.int8),
        torch.tensor(np.cumsum([0, *(len(own) for own in rings)])),
        torch.tensor(np.cumsum([0, *(len(ring) for ring in flat)])),
        torch.tensor(points, dtype=torch.float64).reshape(-1, 2),
        tuple(rle),
    )


def pixels(regions: Regions, row: int) -> list[list[int]]:
    out = np.zeros((HEIGHT, WIDTH), int)
    x0, y0, x1, y1 = regions.rect[row].tolist()
    if regions.spans is None or regions.spans.whole[row]:
        out[y0:y1, x0:x1] = 1
    else:
        s = regions.spans
        for k in range(int(s.offset[row]), int(s.offset[row + 1])):
            assert y0 <= s.y[k] < y1
            assert x0 <= s.x0[k] < s.x1[k] <= x1
            out[s.y[k], s.x0[k] : s.x1[k]] += 1
    return out.tolist()


def reason(regions: Regions, row: int) -> str:
    return ("", *NULL_REASONS)[int(regions.null[row])]


def test_without_objects_frames_are_whole() -> None:
    for none in (None, objects([], [])):
        regions = regions_of(none, sizes(3))
        assert regions.frame.tolist() == [0, 1, 2]
        assert regions.rect.tolist() == [[0, 0, WIDTH, HEIGHT]] * 3
        assert regions.spans is None
        assert not regions.null.any()


def test_boxes_hold_the_pixels_with_their_center_inside() -> None:
    rng = np.random.default_rng(0)
    corner = rng.integers(-6, 26, (300, 2)) / 2
    box = np.concatenate([corner, corner + rng.integers(3, 20, (300, 2)) / 2], 1)
    regions = regions_of(objects([0] * 300, box.tolist()), sizes(1))
    assert regions.rect.dtype == torch.int32
    for i in range(300):
        expected = box_pixels(box[i].tolist(), WIDTH, HEIGHT)
        if any(map(any, expected)):
            assert pixels(regions, i + 1) == expected
        else:
            assert int(np.sum(pixels(regions, i + 1))) == (reason(regions, i + 1) == "")


@pytest.mark.parametrize(
    ("box", "pixel"),
    [
        ([3.6, 4.6, 3.9, 4.9], [3, 4, 4, 5]),
        ([-3.0, 2.0, 0.2, 2.4], [0, 2, 1, 3]),
        ([11.8, 8.7, 30.0, 40.0], [11, 8, 12, 9]),
        ([11.5, 8.5, 12.5, 9.5], [11, 8, 12, 9]),
    ],
)
def test_a_shape_without_a_pixel_center_gets_one_pixel(box: list[float], pixel: list[int]) -> None:
    regions = regions_of(objects([0], [box]), sizes(1))
    assert regions.rect[1].tolist() == pixel
    assert reason(regions, 1) == ""


@pytest.mark.parametrize("box", [[12.0, 0.0, 20.0, 5.0], [-5.0, 0.0, 0.0, 5.0], [0.0, 9.0, 5.0, 12.0], [0.0, -4.0, 5.0, 0.0]])
def test_a_shape_outside_its_frame_is_empty(box: list[float]) -> None:
    regions = regions_of(objects([0], [box]), sizes(1))
    assert reason(regions, 1) == "empty_region"
    assert regions.rect[1].tolist() == [0, 0, 0, 0]


def test_all_kinds_together() -> None:
    rng = np.random.default_rng(3)
    mask = rng.random((HEIGHT, WIDTH)) < 0.4
    text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    empty = coco.encode(np.zeros((HEIGHT, WIDTH), np.uint8, order="F"))["counts"]
    other = coco.encode(np.ones((3, 3), np.uint8, order="F"))["counts"]
    triangle = [[(1.0, 1.0), (10.0, 2.0), (4.0, 8.5)]]
    line = [[(1.0, 1.0), (5.0, 5.0), (1.0, 1.0)]]
    flat = [[(1.0, 1.0), (5.0, 5.0), (9.0, 9.0)]]
    speck = [[(6.6, 3.6), (6.9, 3.6), (6.9, 3.9)]]
    turned = [[(5.0, 0.0), (9.0, 4.0), (5.0, 8.0), (1.0, 4.0)]]
    kinds = [
        "box",
        "polygon",
        "mask",
        "polygon",
        "polygon",
        "mask",
        "mask",
        "polyline",
        "point",
        "polygon",
        "rotated_box",
        "box",
    ]
    rings = [[], triangle, [], line, flat, [], [], line, [], speck, turned, []]
    rle = [None, None, text, None, None, empty, other, None, None, None, None, None]
    box = [[1.0, 1.0, 10.0, 8.5]] * 9 + [[6.6, 3.6, 6.9, 3.9], [1.0, 0.0, 9.0, 8.0], [2.0, 2.0, 4.0, 4.0]]
    regions = regions_of(objects([0] * 6 + [1] * 6, box, shapes(kinds, rings, rle)), sizes(2))
    assert regions.frame.tolist() == [0, 1] + [0] * 6 + [1] * 6
    found = {i: (reason(regions, i + 2), pixels(regions, i + 2)) for i in range(12)}
    nothing = np.zeros((HEIGHT, WIDTH), int).tolist()
    assert found[0] == ("", box_pixels(box[0], WIDTH, HEIGHT))
    assert found[1] == ("", polygon_pixels(triangle, WIDTH, HEIGHT))
    assert found[2] == ("", mask.astype(int).tolist())
    assert [found[i] for i in (3, 4, 5, 6)] == [("degenerate_geometry", nothing)] * 4
    assert [found[i] for i in (7, 8)] == [("unsupported_shape", nothing)] * 2
    assert found[9][0] == ""
    assert np.argwhere(found[9][1]).tolist() == [[3, 6]]
    assert found[10] == ("", polygon_pixels(turned, WIDTH, HEIGHT))
    assert found[11] == ("", box_pixels(box[11], WIDTH, HEIGHT))
    assert regions.spans is not None
    assert regions.spans.offset[-1] == len(regions.spans.y) == len(regions.spans.x1)
