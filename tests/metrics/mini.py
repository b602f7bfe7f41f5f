"""Builds the roots of one batch from NumPy images and evaluates metrics over them: a planner of thirty lines, for tests."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gpu_quality import registry
from gpu_quality.types import Facts, Frame, Masked, Objects, Pixels, Regions, Shapes, Sizes, Spans

Rect = tuple[int, int, int, int]


@dataclass(frozen=True)
class Region:
    """One object's region: its frame, its bounding rectangle, and optionally which pixels of the frame belong to it."""

    frame: int
    rect: Rect
    mask: np.ndarray | None = None


def pixels_of(images: Sequence[np.ndarray]) -> Pixels:
    images = [np.ascontiguousarray(image) for image in images]
    ends = np.cumsum([0, *(image.size for image in images)])
    return Pixels(
        data=torch.from_numpy(np.concatenate([image.reshape(-1) for image in images])),
        offset=torch.tensor(ends[:-1], dtype=torch.int64),
        height=torch.tensor([image.shape[0] for image in images], dtype=torch.int32),
        width=torch.tensor([image.shape[1] for image in images], dtype=torch.int32),
    )


def regions_of(images: Sequence[np.ndarray], objects: Sequence[Region] = ()) -> Regions:
    frames = [*range(len(images)), *(o.frame for o in objects)]
    rects = [(0, 0, image.shape[1], image.shape[0]) for image in images] + [o.rect for o in objects]
    masks = [None] * len(images) + [o.mask for o in objects]
    empty = [x1 <= x0 or y1 <= y0 for x0, y0, x1, y1 in rects]
    return Regions(
        frame=torch.tensor(frames, dtype=torch.int64),
        rect=torch.tensor(rects, dtype=torch.int32).reshape(-1, 4),
        spans=None if all(m is None for m in masks) else spans_of(masks),
        null=torch.tensor(empty, dtype=torch.int8) * 2,
    )


def spans_of(masks: Sequence[np.ndarray | None]) -> Spans:
    runs, offset = [], [0]
    for mask in masks:
        for y in range(0 if mask is None else mask.shape[0]):
            edges = np.flatnonzero(np.diff(np.r_[0, mask[y].astype(int), 0]))
            runs += [(y, x0, x1) for x0, x1 in zip(edges[::2], edges[1::2], strict=True)]
        offset.append(len(runs))
    y, x0, x1 = torch.tensor(runs, dtype=torch.int32).reshape(-1, 3).unbind(1)
    whole = torch.tensor([m is None for m in masks])
    return Spans(torch.tensor(offset, dtype=torch.int64), whole, y.contiguous(), x0.contiguous(), x1.contiguous())


def facts_of(count: int, **given: Sequence[Any]) -> Facts:
    def column(name: str, default: Any, dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor(given.get(name, [default] * count), dtype=dtype)

    return Facts(
        file_size=column("file_size", -1, torch.int64),
        channels=column("channels", 3, torch.int64),
        bit_depth=column("bit_depth", 8, torch.int64),
        transparent=column("transparent", 0.0, torch.float64),
        reversed_x=column("reversed_x", False, torch.bool),
        reversed_y=column("reversed_y", False, torch.bool),
    )


def objects_of(boxes: Sequence[Sequence[float]], **given: Any) -> Objects:
    count = len(boxes)

    def column(name: str, default: Any, dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor(given.get(name, [default] * count), dtype=dtype)

    shapes: Shapes | None = given.get("shapes")
    return Objects(
        ids=tuple(given.get("ids", [f"object-{row}" for row in range(count)])),
        frame=column("frame", 0, torch.int64),
        origin=column("origin", 0, torch.int8),
        box=torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        class_id=column("class_id", 0, torch.int32),
        score=column("score", 1.0, torch.float64),
        track=column("track", -1, torch.int64),
        area=column("area", 0.0, torch.float64),
        crowd=column("crowd", False, torch.bool),
        shapes=shapes,
    )


def roots_of(images: Sequence[np.ndarray], regions: Sequence[Region] = (), **given: Any) -> dict[str, Any]:
    """Roots and resources of one batch; `given` overrides any of them."""
    pixels = pixels_of(images)
    count = len(images)
    return {
        "pixels": pixels,
        "sizes": Sizes(pixels.width, pixels.height),
        "regions": regions_of(images, regions),
        "facts": facts_of(count),
        "frames": tuple(Frame(f"frame-{row}", f"frame-{row}.png") for row in range(count)),
        "sequence": torch.full((count,), -1, dtype=torch.int64),
        "position": torch.zeros(count, dtype=torch.int64),
        "seed": 0,
    } | given


def evaluate(
    names: Sequence[str], roots: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Value of every named metric: a list with None where it is undefined, frames first, then the objects of `regions`."""
    registry.load_built_in()
    for module in ("values", "flags", "duplicates"):
        importlib.import_module(f"gpu_quality.metrics.{module}")
    known: dict[str, Any] = dict(roots)
    wanted = _closure(names, roots)
    return {name: _listed(_value(name, known, wanted, options or {})) for name in names}


def _closure(names: Sequence[str], roots: Mapping[str, Any]) -> frozenset[str]:
    found: set[str] = set()
    open_ = list(names)
    while open_:
        need = open_.pop()
        if need not in found and need not in roots:
            found.add(need)
            open_ += registry.find_need(need, "test").needs
    return frozenset(found)


def _value(need: str, known: dict[str, Any], wanted: frozenset[str], options: Mapping[str, Mapping[str, Any]]) -> Any:
    if need not in known:
        node = registry.find_need(need, "test")
        arguments = [_value(n, known, wanted, options) for n in node.needs]
        if node.over != "batch":
            frames = len(known["sizes"].width) if "sizes" in known else None
            arguments = [_column(argument, frames) for argument in arguments]
        if node.gives:
            known |= node.function(*arguments, wanted=wanted & set(node.gives))
        else:
            known[need] = node.function(*arguments, **(options or {}).get(need, {}))
    return known[need]


def _column(value: Any, frames: int | None) -> Any:
    """What a stored column of frames looks like to a table step."""
    if isinstance(value, Masked):
        return torch.where(value.missing, torch.nan, value.value.double())[:frames]
    return value[:frames] if isinstance(value, torch.Tensor) else value


def _listed(value: Any) -> list[Any]:
    if isinstance(value, Masked):
        return [None if gone else v for v, gone in zip(value.value.tolist(), value.missing.tolist(), strict=True)]
    return value.tolist()


def measure(images: Sequence[np.ndarray], names: Sequence[str], regions: Sequence[Region] = (), **given: Any) -> dict[str, Any]:
    """`evaluate` on images."""
    return evaluate(names, roots_of(images, regions, **given))
