"""Who overlaps whom: pairs are found once, and only what is wanted is compared."""

import numpy as np
import torch

from gpu_quality.features.objects import overlap
from gpu_quality.functional.overlaps import best_partner, meeting_pairs
from gpu_quality.types import Sizes
from tests.metrics.mini import objects_of

SIZES = Sizes(torch.tensor([50, 50], dtype=torch.int32), torch.tensor([50, 50], dtype=torch.int32))


def test_meeting_pairs_against_loops() -> None:
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 30, (80, 2)).astype(float)
    box = np.concatenate([corner, corner + rng.integers(0, 8, (80, 2))], 1)
    frame = np.sort(rng.integers(0, 4, 80))
    want = []
    for i in range(80):
        for j in range(i + 1, 80):
            side = np.minimum(box[i, 2:], box[j, 2:]) - np.maximum(box[i, :2], box[j, :2])
            if frame[i] == frame[j] and (side > 0).all():
                want.append((i, j))
    got = meeting_pairs(torch.from_numpy(frame), torch.from_numpy(box))
    assert sorted(zip(*got.tolist(), strict=True)) == want


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
