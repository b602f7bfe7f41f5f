"""Runs metrics over time on roots made by hand, and gives values with the reasons of nulls: a table pass of twenty lines."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gpu_quality import registry
from gpu_quality.errors import NULL_REASONS
from gpu_quality.types import KINDS, Masked, Objects, Sizes
from tests.metrics.mini import objects_of
from tests.reference.tracks import Video

for module in ("features.tracks", "metrics.tracks", "metrics.shapes"):
    importlib.import_module(f"gpu_quality.{module}")


def roots_of(
    objects: Objects, sequence: Sequence[int], position: Sequence[int] | None = None, size: tuple[int, int] = (100, 80)
) -> dict[str, Any]:
    """Roots of a data set whose frames all have one size; positions count up within each sequence unless they are given."""
    if position is None:
        position = [list(sequence[:row]).count(own) for row, own in enumerate(sequence)]
    sides = [torch.full((len(sequence),), side, dtype=torch.int32) for side in size]
    given = {"sequence": torch.tensor(sequence, dtype=torch.int64), "position": torch.tensor(position, dtype=torch.int64)}
    given |= {"track": objects.track, "outlined": outlined(objects)}
    return {"objects": objects, "sizes": Sizes(*sides), **given}


def outlined(objects: Objects) -> torch.Tensor:
    """Which objects are polygons or masks."""
    if objects.shapes is None:
        return torch.zeros(len(objects), dtype=torch.bool)
    return torch.tensor([KINDS[kind] in ("polygon", "mask") for kind in objects.shapes.kind.tolist()])


def boxes_of(video: Video) -> Objects:
    """The things of a video as boxes."""
    return objects_of(
        [thing.box for thing in video.things],
        frame=[thing.frame for thing in video.things],
        class_id=[thing.class_id for thing in video.things],
        track=[thing.track for thing in video.things],
        crowd=[thing.excluded == "unsupported_shape" for thing in video.things],
    )


def answers(name: str, roots: Mapping[str, Any], **options: Any) -> list[tuple[Any, str]]:
    """Value and "", or None and the reason, of every object."""
    known = dict(roots)

    def value(need: str) -> Any:
        if need not in known:
            node = registry.find_need(need, "test")
            known[need] = node.function(*map(value, node.needs), **(options if need == name else {}))
        return known[need]

    result = value(name)
    if not isinstance(result, Masked):
        return [(number, "") for number in result.tolist()]
    kept = result.value[~result.missing]
    assert torch.isfinite(kept).all()
    assert str(result.value.dtype).removeprefix("torch.") == registry.find_metric(name).dtype
    codes = result.reason
    if isinstance(codes, str):
        codes = torch.full(result.missing.shape, 1 + NULL_REASONS.index(codes), dtype=torch.int8)
    assert torch.equal(codes > 0, result.missing) or isinstance(result.reason, str)
    rows = zip(result.value.tolist(), result.missing.tolist(), codes.tolist(), strict=True)
    return [(None, NULL_REASONS[code - 1]) if gone else (number, "") for number, gone, code in rows]


def values(name: str, roots: Mapping[str, Any], **options: Any) -> list[Any]:
    """Values, None where they are null."""
    return [value for value, _ in answers(name, roots, **options)]
