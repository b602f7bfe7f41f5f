"""Shapes compared across frames."""

import torch

from gpu_quality.geometry import overlaps, pairs
from gpu_quality.types import Sizes
from tests.metrics.mini import objects_of


def test_the_area_of_a_lone_object_is_no_special_case():
    sizes = Sizes(torch.tensor([50], dtype=torch.int32), torch.tensor([40], dtype=torch.int32))
    for count in (0, 1, 2, 3):
        some = objects_of([[1, 2, 4 + i, 8] for i in range(count)], frame=[0] * count)
        assert pairs.areas(some, sizes).tolist() == overlaps.areas(some, sizes).tolist() == [6 * (3 + i) for i in range(count)]
