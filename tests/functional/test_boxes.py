"""Box overlaps against torchvision and plain loops."""

import torch
from torchvision.ops import box_iou

from gpu_quality.functional.boxes import area, iou, iou_matrix


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


def test_a_box_with_a_negative_side_covers_nothing() -> None:
    box = torch.tensor([[5, 5, 2, 9], [5, 5, 2, 2], [0, 0, 9, 9], [3, 3, 3, 8]], dtype=torch.float64)
    assert area(box).tolist() == [0, 0, 81, 0]
    assert iou(box, box[[2, 2, 2, 2]]).tolist() == [0, 0, 1, 0]
    assert iou(box, box).tolist() == [0, 0, 1, 0]
