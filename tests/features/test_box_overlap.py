"""Objects that are all boxes take the fast path; it must give what the general one gives."""

from dataclasses import replace

import torch

from gpu_quality.features.objects import overlap
from gpu_quality.types import Objects, Shapes, Sizes

WANTED = frozenset({"same_class_overlap", "any_class_overlap"})


def some_boxes(count: int, frames: int) -> Objects:
    """Boxes on a coarse grid, so that ties and touching sides occur; some are crowds."""
    made = torch.Generator().manual_seed(3)
    corner = torch.randint(0, 12, (count, 2), generator=made).double()
    side = torch.randint(1, 9, (count, 2), generator=made).double()
    return Objects(
        ids=tuple(str(i) for i in range(count)),
        frame=torch.randint(0, frames, (count,), generator=made).sort().values,
        origin=torch.zeros(count, dtype=torch.int8),
        box=torch.cat([corner, corner + side], 1),
        class_id=torch.randint(0, 3, (count,), generator=made).int(),
        score=torch.ones(count, dtype=torch.float64),
        track=torch.full((count,), -1),
        area=side.prod(1),
        crowd=torch.rand(count, generator=made) < 0.1,
    )


def test_the_fast_path_equals_the_general_one():
    objects = some_boxes(400, 23)
    empty = torch.zeros(len(objects) + 1, dtype=torch.int64)
    shapes = Shapes(
        torch.zeros(len(objects), dtype=torch.int8),
        empty,
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(0, 2).double(),
        (None,) * len(objects),
    )
    sizes = Sizes(torch.full((23,), 20, dtype=torch.int32), torch.full((23,), 20, dtype=torch.int32))
    fast = overlap(objects, sizes, wanted=WANTED)
    general = overlap(replace(objects, shapes=shapes), sizes, wanted=WANTED)
    for name in WANTED:
        assert torch.equal(fast[name].partner, general[name].partner)
        assert torch.equal(fast[name].iou, general[name].iou)
    assert (fast["any_class_overlap"].iou > 0).any()
