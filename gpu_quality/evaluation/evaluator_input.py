"""Dictionaries of tensors, one per image, as flat arrays: what a training loop hands over, checked and brought to the CPU."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.coco_shapes import masks_of
from gpu_quality.evaluation.evaluator_batches import Batch
from gpu_quality.evaluation.instances import Instances, Keypoints, Kind, MaskShapes, problems
from gpu_quality.geometry import rle

BoxFormat = Literal["xyxy", "xywh", "cxcywh"]
Image = Mapping[str, Any]
"""What one image has: tensors by name."""

_SHAPE: Final[dict[Kind, str]] = {"box": "boxes", "mask": "masks", "keypoints": "keypoints"}


def batch(preds: Sequence[Image], target: Sequence[Image], kind: Kind, box_format: BoxFormat) -> Batch:
    """Read predictions and labels of the same images.

    Raises
    ------
    UsageError
        The lists differ in length, a key is missing, a tensor has another shape than expected, or a number is NaN or infinite.
    """
    for name, side in (("preds", preds), ("target", target)):
        if isinstance(side, Mapping) or not isinstance(side, Sequence):
            raise UsageError(f"{name} must be a list with a dictionary for each image; got a {type(side).__name__}")
    if len(preds) != len(target):
        raise UsageError(f"preds has {len(preds)} images, target {len(target)}: both must list the same images")
    ids: list[Any] = [image.get("image_id") for image in target]
    if any(value is None for value in ids) and not all(value is None for value in ids):
        raise UsageError(f"target {ids.index(None)} has no image_id, others do", hint="give every image one, or none")
    known = None if not ids or ids[0] is None else torch.tensor([int(value) for value in ids], dtype=torch.int64)
    return Batch(
        labels=_side(target, "target", kind, box_format, predicted=False),
        predictions=_side(preds, "preds", kind, box_format, predicted=True),
        image_id=known,
        images=len(preds),
    )


def _side(images: Sequence[Image], name: str, kind: Kind, box_format: BoxFormat, *, predicted: bool) -> Instances:
    """All objects of one side."""
    where = [f"{name}[{i}]" for i in range(len(images))]
    classes = [_integers(image, "labels", place) for image, place in zip(images, where, strict=True)]
    count = [len(own) for own in classes]
    many = sum(count)
    frame = torch.repeat_interleave(torch.arange(len(images)), torch.tensor(count, dtype=torch.int64))
    score = _column(images, "scores", where, count) if predicted else torch.full((many,), torch.nan, dtype=torch.float64)
    needed = kind == "box" or (kind == "keypoints" and not predicted)
    box = _boxes(images, where, count, box_format, required=needed)
    crowd = (
        _column(images, "iscrowd", where, count, default=0.0).bool() if not predicted else torch.zeros(many, dtype=torch.bool)
    )
    found = Instances(
        frame=frame,
        class_id=_joined(classes, torch.int64, ()),
        box=torch.zeros(many, 4, dtype=torch.float64) if box is None else box,
        score=score,
        area=torch.zeros(many, dtype=torch.float64),
        crowd=crowd,
        ignored=torch.zeros(many, dtype=torch.bool),
    )
    found = _shaped(found, images, where, count, kind, predicted=predicted)
    if not predicted:
        given = _column(images, "area", where, count, default=torch.nan)
        found = replace(found, area=torch.where(given.isnan(), found.area, given))
    _check(found, name, predicted=predicted)
    return found


def _shaped(
    found: Instances, images: Sequence[Image], where: list[str], count: list[int], kind: Kind, *, predicted: bool
) -> Instances:
    """Shapes, and the areas and hulls that follow from them."""
    if kind == "mask":
        shapes, area, hull = _masks(images, where, count)
        return replace(found, shapes=shapes, area=area, box=hull)
    if kind == "keypoints":
        points = _points(images, where, count)
        if predicted:
            low, high = (torch.zeros(len(points), 2).double(),) * 2
            if points.shape[1]:
                low, high = points[:, :, :2].amin(1), points[:, :, :2].amax(1)
            found = replace(found, box=torch.cat([low, high - low], 1))
        else:
            found = replace(found, ignored=~(points[:, :, 2] > 0).any(1))
        found = replace(found, shapes=Keypoints(points))
    return replace(found, area=found.box[:, 2] * found.box[:, 3])


def _boxes(
    images: Sequence[Image], where: list[str], count: list[int], box_format: BoxFormat, *, required: bool
) -> Float64[Tensor, "n 4"] | None:
    """Boxes as x y w h; None where they are neither there nor needed."""
    if not required and not all("boxes" in image for image in images):
        return None
    parts = [_tensor(image, "boxes", place, (n, 4)) for image, place, n in zip(images, where, count, strict=True)]
    box = _joined(parts, torch.float64, (4,))
    if box_format == "xywh":
        return box
    first, second = box[:, :2], box[:, 2:]
    return torch.cat([first, second - first] if box_format == "xyxy" else [first - second / 2, second], 1)


def _points(images: Sequence[Image], where: list[str], count: list[int]) -> Float64[Tensor, "n k 3"]:
    """Keypoints as x, y, v; all objects must have equally many."""
    parts = [_of(image, "keypoints", place) for image, place in zip(images, where, strict=True)]
    known = [part.shape[1] for part, n in zip(parts, count, strict=True) if n and part.ndim == 3]
    k = known[0] if known else 0
    checked = [
        part.reshape(0, k, 3) if not n else _like(part, "keypoints", place, (n, k, 3))
        for part, place, n in zip(parts, where, count, strict=True)
    ]
    return _joined(checked, torch.float64, (k, 3))


def _masks(images: Sequence[Image], where: list[str], count: list[int]) -> tuple[MaskShapes, Tensor, Tensor]:
    """Masks given as booleans [n, h, w] or as run lengths of COCO; their areas and hulls."""
    values: list[dict[str, Any]] = []
    owner: list[str] = []
    for image, place, n in zip(images, where, count, strict=True):
        given = image.get("masks")
        own = _run_lengths(given, place) if isinstance(given, list | tuple) else _coded(_of(image, "masks", place), place)
        if len(own) != n:
            raise UsageError(f"{place}: {len(own)} masks, but {n} labels")
        values += own
        owner += [f"{place}: mask {i}" for i in range(n)]
    sizes = np.array([value["size"] for value in values], np.int64).reshape(-1, 2)
    shaped = masks_of(values, sizes[:, 0].copy(), sizes[:, 1].copy())
    for row, (_, detail) in sorted(shaped.wrong.items()):
        raise UsageError(f"{owner[row]}: {detail}")
    assert isinstance(shaped.shapes, MaskShapes)  # noqa: S101 - `masks_of` makes nothing else
    return shaped.shapes, torch.from_numpy(shaped.area), torch.from_numpy(shaped.hull)


def _run_lengths(given: Sequence[Any], place: str) -> list[dict[str, Any]]:
    """Run lengths as COCO has them, with a size that can be read."""
    for i, value in enumerate(given):
        size = value.get("size") if isinstance(value, Mapping) else None
        if not isinstance(size, list | tuple) or len(size) != 2 or not all(isinstance(side, int) for side in size):
            raise UsageError(f"{place}: mask {i} must be a dictionary with size [height, width] and counts; got {value!r:.80}")
    return [dict(value) for value in given]


def _coded(masks: Tensor, place: str) -> list[dict[str, Any]]:
    """Boolean masks as compressed run lengths, down the columns."""
    if masks.ndim != 3 or masks.dtype not in (torch.bool, torch.uint8):
        raise UsageError(f"{place}: masks must be booleans [n, height, width]; got {masks.dtype} {list(masks.shape)}")
    n, height, width = masks.shape
    flat = (masks != 0).permute(0, 2, 1).reshape(n, -1).cpu().numpy()
    counts: list[np.ndarray[Any, np.dtype[np.int64]]] = []
    for row in flat:
        edges = np.flatnonzero(np.diff(row, prepend=False))
        counts.append(np.diff(np.concatenate([[0], edges, [row.size]])))
    offset = np.cumsum([0, *map(len, counts)])
    texts = rle.encode_counts(np.concatenate([np.zeros(0, np.int64), *counts]), offset)
    return [{"size": [height, width], "counts": text} for text in texts]


def _column(
    images: Sequence[Image], key: str, where: list[str], count: list[int], default: float | None = None
) -> Float64[Tensor, " n"]:
    """A number per object; `default` where an image does not give it."""
    parts = [
        torch.full((n,), default, dtype=torch.float64)
        if default is not None and image.get(key) is None
        else _tensor(image, key, place, (n,))
        for image, place, n in zip(images, where, count, strict=True)
    ]
    return _joined(parts, torch.float64, ())


def _integers(image: Image, key: str, place: str) -> Int64[Tensor, " n"]:
    value = _of(image, key, place)
    if value.ndim != 1 or (value.is_floating_point() and len(value)):
        raise UsageError(f"{place}: {key} must be whole numbers [n]; got {value.dtype} {list(value.shape)}")
    return value


def _tensor(image: Image, key: str, place: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor of a given shape; without objects any empty one will do."""
    value = _of(image, key, place)
    return value.reshape(shape) if not shape[0] and not value.numel() else _like(value, key, place, shape)


def _like(value: Tensor, key: str, place: str, shape: tuple[int, ...]) -> Tensor:
    if tuple(value.shape) != shape:
        raise UsageError(
            f"{place}: {key} must have the shape {list(shape)}, as there are {shape[0]} labels; got {list(value.shape)}"
        )
    return value


def _of(image: Image, key: str, place: str) -> Tensor:
    value = image.get(key) if isinstance(image, Mapping) else None
    if not isinstance(value, Tensor):
        found = "is missing" if value is None else f"must be a tensor; got a {type(value).__name__}"
        raise UsageError(f"{place}: {key!r} {found}")
    return value.detach()


def _joined(parts: Sequence[Tensor], dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """All parts on the CPU in one transfer."""
    return torch.cat(list(parts)).to("cpu", dtype) if parts else torch.zeros((0, *shape), dtype=dtype)


def _check(found: Instances, name: str, *, predicted: bool) -> None:
    """Refuse numbers that are none."""
    missing: Bool[Tensor, " n"] = found.score.isnan() if predicted else torch.zeros_like(found.crowd)
    wrong = [(int(row), "the score is NaN") for row in missing.nonzero()[:1]]
    wrong += [(row, detail) for row, reason, detail in problems(found) if reason != "orphan_category_id"][:1]
    if wrong:
        row, detail = min(wrong)
        frame = int(found.frame[row])
        inner = row - int((found.frame < frame).sum())
        raise UsageError(f"{name}[{frame}]: object {inner}: {detail}", hint="leave such objects out")
