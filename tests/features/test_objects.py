"""Who overlaps whom: pairs are found once, and only what is wanted is compared."""

import torch

from gpu_quality.features.objects import overlap
from gpu_quality.functional.overlaps import best_partner
from gpu_quality.types import Sizes
from tests.metrics.mini import objects_of

SIZES = Sizes(torch.tensor([50, 50], dtype=torch.int32), torch.tensor([50, 50], dtype=torch.int32))


def test_the_first_of_equal_partners_is_kept() -> None:
    pairs = torch.tensor([[0, 0, 1], [1, 2, 2]])
    iou = torch.tensor([0.5, 0.5, 0.25], dtype=torch.float64)
    best, partner = best_partner(pairs, iou, 4)
    assert best.tolist() == [0.5, 0.5, 0.5, 0]
    assert partner.tolist() == [1, 0, 0, -1]


def test_only_what_is_wanted_is_returned() -> None:
    objects = objects_of([(0, 0, 9, 9), (0, 0, 9, 8), (0, 0, 9, 9)], class_id=[1, 1, 2])
    one = overlap(objects, SIZES, wanted=frozenset({"same_class_overlap"}))
    assert set(one) == {"same_class_overlap"}
    both = overlap(objects, SIZES, wanted=frozenset({"same_class_overlap", "any_class_overlap"}))
    assert torch.equal(one["same_class_overlap"].iou, both["same_class_overlap"].iou)
    assert both["any_class_overlap"].iou.tolist() == [1, 8 / 9, 1]
    assert both["same_class_overlap"].partner.tolist() == [1, 0, -1]
