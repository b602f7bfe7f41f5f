"""Turned boxes: exact areas against shapely, symmetry, corners."""

import math

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.errors import UsageError
from gpu_quality.geometry.rotated import box_corners, checked_corners, corners
from gpu_quality.kernels import convex
from gpu_quality.kernels.threads import set_threads


def boxes(seed: int, count: int) -> torch.Tensor:
    """Turned boxes, some on whole numbers and at right angles, some of no area."""
    rng = np.random.default_rng(seed)
    box = np.concatenate([rng.uniform(0, 60, (count, 2)), rng.uniform(0, 40, (count, 2)), rng.uniform(-7, 7, (count, 1))], 1)
    whole = rng.random(count) < 0.4
    box[whole] = np.round(box[whole])
    box[whole, 4] = rng.integers(-4, 5, whole.sum()) * np.pi / 4
    return torch.from_numpy(box)


def all_pairs(n: int, m: int) -> torch.Tensor:
    return torch.from_numpy(np.indices((n, m)).reshape(2, -1))


def iou(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Table of intersections over unions of corners."""
    pairs = all_pairs(len(one), len(other))
    both = convex.shared_areas(one, other, pairs)
    over = convex.areas(one)[pairs[0]] + convex.areas(other)[pairs[1]] - both
    return torch.where(over > 0, both / over, 0.0).reshape(len(one), len(other))


@given(st.integers(0, 10**6), st.integers(1, 8))
@settings(max_examples=80, deadline=None)
def test_areas_are_those_of_shapely(seed: int, count: int) -> None:
    own = corners(boxes(seed, count))
    pairs = all_pairs(count, count)
    found = convex.shared_areas(own, own, pairs)
    shapes = [shapely.Polygon(ring) for ring in own.tolist()]
    wanted = [shapes[i].intersection(shapes[j]).area for i, j in pairs.T.tolist()]
    assert np.allclose(found, wanted, atol=1e-9, rtol=0)
    table = found.reshape(count, count)
    assert torch.equal(table, table.T)
    assert torch.equal(table.diagonal(), convex.areas(own))


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_half_a_turn_changes_nothing(seed: int) -> None:
    box = boxes(seed, 6)
    turned = box + torch.tensor([0, 0, 0, 0, math.pi], dtype=torch.float64)
    other = corners(boxes(seed + 1, 6))
    assert torch.allclose(iou(corners(box), other), iou(corners(turned), other), atol=1e-9)


def test_a_square_on_its_corner_shares_a_regular_octagon() -> None:
    square = torch.tensor([[5.0, 5, 10, 10, 0], [5, 5, 10, 10, math.pi / 4]], dtype=torch.float64)
    assert iou(corners(square[:1]), corners(square[1:])).item() == pytest.approx(math.sqrt(0.5), abs=1e-12)
    bounds = torch.tensor([[5 - math.sqrt(50), 5 - math.sqrt(50), 2 * math.sqrt(50), 2 * math.sqrt(50)]], dtype=torch.float64)
    assert iou(corners(square[1:]), box_corners(bounds)).item() == pytest.approx(0.5, abs=1e-12)


def test_theta_turns_x_toward_y() -> None:
    box = torch.tensor([[0.0, 0, 10, 2, math.pi / 6]], dtype=torch.float64)
    right = corners(box)[0, 1:3].mean(0)
    assert right.tolist() == pytest.approx([5 * math.cos(math.pi / 6), 5 * math.sin(math.pi / 6)])
    assert convex.areas(corners(box)).item() == pytest.approx(20)


def test_no_area_overlaps_nothing() -> None:
    box = torch.tensor([[5.0, 5, 0, 10, 1], [5, 5, -3, -3, 1], [5, 5, 4, 4, 1]], dtype=torch.float64)
    table = iou(corners(box), corners(box))
    assert table[:2].sum() == table[:, :2].sum() == 0
    assert table[2, 2] == 1


def test_turned_by_nothing_is_a_box() -> None:
    rng = np.random.default_rng(0)
    box = torch.from_numpy(rng.uniform(1, 50, (40, 4)))
    turned = torch.cat([box[:, :2] + box[:, 2:] / 2, box[:, 2:], torch.zeros(40, 1).double()], 1)
    own = corners(turned)
    low, far = box[:, :2], box[:, :2] + box[:, 2:]
    both = (torch.minimum(far[:, None], far) - torch.maximum(low[:, None], low)).clamp(min=0).prod(2)
    area = box[:, 2:].prod(1)
    assert torch.allclose(iou(own, own), both / (area[:, None] + area - both), atol=1e-12)
    assert torch.allclose(own, box_corners(box), atol=1e-12)


def test_corners_are_taken_in_both_directions() -> None:
    own = corners(boxes(3, 20))
    assert torch.equal(checked_corners(own.flip(1)), own)
    assert torch.equal(checked_corners(own), own)


@pytest.mark.parametrize(
    "outline",
    [
        [(0, 0), (10, 10), (10, 0), (0, 10)],  # crosses itself
        [(0, 0), (10, 0), (2, 2), (0, 10)],  # bends in
        [(0, 0), (10, 0), (0, 10), (10, 10)],
    ],
)
def test_outlines_that_are_not_convex_are_refused(outline: list[tuple[float, float]]) -> None:
    fine = [(0, 0), (1, 0), (1, 1), (0, 1)]
    with pytest.raises(UsageError, match=r"row 1: .* no convex outline"):
        checked_corners(torch.tensor([fine, outline], dtype=torch.float64))


def test_three_corners_and_one_on_a_side_are_convex() -> None:
    outline = torch.tensor([[(0, 0), (5, 0), (10, 0), (0, 10)]], dtype=torch.float64)
    assert convex.areas(checked_corners(outline)).item() == 50


def test_threads_change_nothing() -> None:
    one, other = corners(boxes(1, 120)), corners(boxes(2, 120))
    try:
        set_threads(1)
        alone = convex.shared_areas(one, other, all_pairs(120, 120))
        set_threads(3)
        assert torch.equal(convex.shared_areas(one, other, all_pairs(120, 120)), alone)
    finally:
        set_threads(None)
