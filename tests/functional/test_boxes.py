"""Box overlaps against torchvision and plain loops."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from gpu_quality.functional.boxes import area, best_overlap, iou, iou_matrix
from tests.reference import geometry


def some_boxes(seed: int, count: int) -> torch.Tensor:
    numbers = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 30, (count, 2), generator=numbers).double() / 2
    return torch.cat([corner, corner + torch.randint(0, 20, (count, 2), generator=numbers) / 2], 1)


def test_area_and_iou_are_those_of_torchvision() -> None:
    a, b = some_boxes(0, 200), some_boxes(1, 150)
    expected = box_iou(a, b).nan_to_num(nan=0.0)
    assert torch.equal(iou_matrix(a, b), expected)
    assert torch.equal(iou(a[:150], b), expected[:150].diagonal())
    assert torch.equal(area(a), (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1]))
    assert iou(a, a)[area(a) > 0].eq(1).all()
    assert iou(a, a)[area(a) == 0].eq(0).all()
    assert (area(a) == 0).any()


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
def test_best_overlap_is_the_best_of_all_pairs(seed: int, count: int, groups: int) -> None:
    numbers = torch.Generator().manual_seed(seed)
    box = some_boxes(seed, count)
    group = torch.randint(0, groups, (count,), generator=numbers)
    crowd = torch.rand(count, generator=numbers) < 0.1
    best, partner = best_overlap(box, group, crowd)
    expected = slow_best(box.tolist(), group.tolist(), crowd.tolist())
    assert (best.tolist(), partner.tolist()) == expected


def test_the_first_of_equal_partners_wins() -> None:
    box = torch.tensor([[0, 0, 2, 2]] * 4, dtype=torch.float64)
    best, partner = best_overlap(box, torch.zeros(4, dtype=torch.int64), torch.tensor([True, False, False, False]))
    assert best.tolist() == [0, 1, 1, 1]
    assert partner.tolist() == [-1, 2, 1, 1]
