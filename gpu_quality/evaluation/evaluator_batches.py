"""Batches of images that an evaluator has seen: one after another, and in the order of their ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.instances import Instances, Keypoints, MaskShapes


@dataclass(frozen=True, slots=True)
class Batch:
    """Images one after another; `frame` counts from 0, and `class_id` is the label that was given, not yet a row."""

    labels: Instances
    predictions: Instances
    image_id: Int64[Tensor, " n"] | None
    """None where images have no ids."""
    images: int


def joined(batches: Sequence[Batch]) -> Batch:
    """Several batches as one."""
    if len(batches) == 1:
        return batches[0]
    first = [sum(part.images for part in batches[:i]) for i in range(len(batches))]
    ids = [part.image_id for part in batches if part.image_id is not None]
    return Batch(
        labels=_stacked([part.labels for part in batches], first),
        predictions=_stacked([part.predictions for part in batches], first),
        image_id=torch.cat(ids) if ids else None,
        images=sum(part.images for part in batches),
    )


def _stacked(sides: Sequence[Instances], first: Sequence[int]) -> Instances:
    """Objects one after another, frames counted on."""
    some = sides[0].shapes
    shapes: MaskShapes | Keypoints | None = None
    if isinstance(some, MaskShapes):
        parts = [side.shapes for side in sides if isinstance(side.shapes, MaskShapes)]
        texts = tuple(text for part in parts for text in part.rle)
        shapes = MaskShapes(texts, *(torch.cat([getattr(part, name) for part in parts]) for name in ("height", "width")))
    elif isinstance(some, Keypoints):
        points = [side.shapes.points for side in sides if isinstance(side.shapes, Keypoints)]
        shapes = Keypoints(_same_count(points))
    return Instances(
        frame=torch.cat([side.frame + start for side, start in zip(sides, first, strict=True)]),
        class_id=torch.cat([side.class_id for side in sides]),
        box=torch.cat([side.box for side in sides]),
        score=torch.cat([side.score for side in sides]),
        area=torch.cat([side.area for side in sides]),
        crowd=torch.cat([side.crowd for side in sides]),
        ignored=torch.cat([side.ignored for side in sides]),
        shapes=shapes,
    )


def _same_count(points: Sequence[Tensor]) -> Tensor:
    """Keypoints of several batches; those without objects have any number."""
    many = {part.shape[1] for part in points if len(part)}
    if len(many) > 1:
        raise UsageError(f"objects have {' and '.join(map(str, sorted(many)))} keypoints: all must have equally many")
    k = next(iter(many), 0)
    return torch.cat([part if len(part) else part.new_zeros(0, k, 3) for part in points])


def ordered(whole: Batch) -> tuple[Batch, int]:
    """Images by rising id, the first of each alone, where they have ids; how many were left out."""
    if whole.image_id is None:
        return whole, 0
    order = torch.sort(whole.image_id, stable=True).indices
    ids = whole.image_id[order]
    fresh = torch.ones_like(ids, dtype=torch.bool)
    fresh[1:] = ids[1:] != ids[:-1]
    row = torch.full_like(ids, -1)
    row[order[fresh]] = torch.arange(int(fresh.sum()))
    sides = []
    for side in (whole.labels, whole.predictions):
        kept = (row[side.frame] >= 0).nonzero().flatten()
        chosen = side.select(kept)
        sides.append(replace(chosen, frame=row[chosen.frame]))
    return Batch(sides[0], sides[1], ids[fresh], int(fresh.sum())), int((~fresh).sum())
