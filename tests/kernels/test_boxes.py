"""Unions, partners and pairs of boxes against plain loops and shapely."""

from collections.abc import Iterator

import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.kernels import boxes
from gpu_quality.kernels.boxes import cpu, reference
from gpu_quality.kernels.threads import set_threads
from tests.reference import geometry


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    yield
    set_threads(None)


def some_boxes(seed: int, count: int) -> torch.Tensor:
    """Boxes with ties, shared sides, boxes in boxes, without area and with negative sides; every other seed off the grid."""
    numbers = torch.Generator().manual_seed(seed)
    corner = torch.randint(-4, 24, (count, 2), generator=numbers).double() / 2
    side = torch.randint(-1, 14, (count, 2), generator=numbers).double() / 2
    if seed % 2:
        corner += torch.rand(count, 2, generator=numbers, dtype=torch.float64)
        side *= torch.rand(count, 2, generator=numbers, dtype=torch.float64)
    return torch.cat([corner, corner + side], 1)


def some_groups(seed: int, count: int, groups: int) -> tuple[torch.Tensor, torch.Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    return torch.randint(0, groups, (count,), generator=numbers), torch.rand(count, generator=numbers) < 0.1


def slow_best(box: list[list[float]], group: list[int], crowd: list[bool]) -> tuple[list[float], list[int]]:
    best, partner = [0.0] * len(box), [-1] * len(box)
    for i in range(len(box)):
        for j in range(len(box)):
            if i != j and group[i] == group[j] and not crowd[i] and not crowd[j]:
                value = geometry.iou(box[i], box[j])
                if value > best[i]:
                    best[i], partner[i] = value, j
    return best, partner


@given(st.integers(0, 10**6), st.integers(0, 40), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_partners_are_the_best_of_all_pairs(seed: int, count: int, groups: int) -> None:
    box, (group, crowd) = some_boxes(seed, count), some_groups(seed, count, groups)
    expected = slow_best(box.tolist(), group.tolist(), crowd.tolist())
    for kernel in (cpu, reference):
        best, partner = kernel.best_partners(box, group, crowd)
        assert (best.tolist(), partner.tolist()) == expected


@pytest.mark.parametrize("kernel", [cpu, reference])
def test_the_first_of_equal_partners_wins(kernel) -> None:
    box = torch.tensor([[0, 0, 2, 2]] * 4, dtype=torch.float64)
    best, partner = kernel.best_partners(box, torch.zeros(4, dtype=torch.int64), torch.tensor([True, False, False, False]))
    assert best.tolist() == [0, 1, 1, 1]
    assert partner.tolist() == [-1, 2, 1, 1]


@given(st.integers(0, 10**6), st.integers(0, 40), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_unions_are_those_of_shapely(seed: int, count: int, frames: int) -> None:
    box, frame = some_boxes(seed, count), some_groups(seed, count, frames)[0].sort().values
    expected = [0.0] * frames
    for row in range(frames):
        own = [b for b, f in zip(box.tolist(), frame.tolist(), strict=True) if f == row and b[2] > b[0] and b[3] > b[1]]
        expected[row] = shapely.union_all([shapely.box(*b) for b in own]).area
    for kernel in (cpu, reference):
        assert kernel.union_areas(box, frame, frames).tolist() == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 10**6), st.integers(0, 40), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_pairs_are_those_that_share_area(seed: int, count: int, frames: int) -> None:
    box, frame = some_boxes(seed, count), some_groups(seed, count, frames)[0].sort().values
    expected = []
    for i in range(count):
        for j in range(i + 1, count):
            side = torch.minimum(box[i, 2:], box[j, 2:]) - torch.maximum(box[i, :2], box[j, :2])
            if frame[i] == frame[j] and (side > 0).all():
                expected.append([i, j])
    for kernel in (cpu, reference):
        assert kernel.meeting_pairs(frame, box).T.tolist() == expected


def test_many_frames_and_threads_change_nothing() -> None:
    box, (frame, crowd) = some_boxes(1, 20_000), some_groups(1, 20_000, 1500)
    frame = frame.sort().values
    set_threads(1)
    one = boxes.union_areas(box, frame, 1500), *boxes.best_partners(box, frame, crowd), boxes.meeting_pairs(frame, box)
    set_threads(3)
    three = boxes.union_areas(box, frame, 1500), *boxes.best_partners(box, frame, crowd), boxes.meeting_pairs(frame, box)
    assert all(map(torch.equal, one, three))
    assert torch.equal(one[3], reference.meeting_pairs(frame, box))
    assert torch.equal(one[2], reference.best_partners(box, frame, crowd)[1])


def test_five_thousand_boxes_in_one_frame() -> None:
    box, frame = some_boxes(3, 5000) * 20, torch.zeros(5000, dtype=torch.int64)
    best, partner = boxes.best_partners(box, frame, frame > 0)
    assert torch.equal(best, reference.iou(box, box[partner]).where(partner >= 0, 0.0))
    expected = shapely.union_all(shapely.box(*box[(box[:, 2:] > box[:, :2]).all(1)].T.numpy())).area
    assert boxes.union_areas(box, frame, 1).item() == pytest.approx(expected, rel=1e-12)


def test_no_boxes_at_all() -> None:
    box, none = torch.zeros(0, 4, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
    assert boxes.union_areas(box, none, 3).tolist() == [0, 0, 0]
    assert [len(part) for part in boxes.best_partners(box, none, none > 0)] == [0, 0]
    assert boxes.meeting_pairs(none, box).shape == (2, 0)
