"""Thumbnails in plain torch: resampling as two matrix products that are exact in float64. Serves CUDA tensors as well."""

import math
from collections.abc import Collection
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from gpu_quality.kernels.thumbnails.result import SHAPES, SIDE, WANTED, SoftBlur, checked
from gpu_quality.types import Pixels, Regions

Filter = Literal["bicubic", "lanczos"]


def thumbnails(pixels: Pixels, regions: Regions, wanted: Collection[str]) -> dict[str, Tensor | SoftBlur]:
    """The wanted thumbnails by matrix products; see ``kernels.thumbnails``."""
    names = checked(wanted)
    out: dict[str, Tensor | SoftBlur] = {}
    lumas = [luma(pixels.frame(row).permute(2, 0, 1)) for row in range(len(pixels.height))] if names & set(SHAPES) else []
    for name in WANTED:
        if name in names and name in SHAPES:
            out[name] = torch.stack([resize(plane, *SHAPES[name], "lanczos") for plane in lumas])
        elif name in names:
            out[name] = _soft_blur(pixels, regions)
    return out


def luma(planes: Tensor) -> Tensor:
    """Y of uint8 planes [3, h, w]: uint8 [h, w], as Pillow's "L"."""
    red, green, blue = planes.to(torch.int32)
    weighted: Tensor = 19595 * red + 38470 * green + 7471 * blue + 32768
    return (weighted >> 16).to(torch.uint8)


def resize(image: Tensor, height: int, width: int, kind: Filter) -> Tensor:
    """Uint8 [..., height, width] from uint8 [..., h, w], bit for bit as Pillow: columns first, rounded, then rows."""
    return _pass(_pass(image, width, kind).mT, height, kind).mT.contiguous()


def _pass(image: Tensor, size: int, kind: Filter) -> Tensor:
    side = image.shape[-1]
    if side == size:
        return image
    weights = torch.tensor(weight_rows(side, size, kind), dtype=torch.float64, device=image.device)
    sums = (image.double() @ weights.T).to(torch.int64)  # below 2^31: exact in float64, in any order
    return ((sums + (1 << 21)) >> 22).clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=256)
def weight_rows(side: int, size: int, kind: Filter) -> tuple[tuple[int, ...], ...]:
    """Integer weights [size][side], 22 fractional bits, of a pass from `side` pixels to `size`."""
    curve, reach = (_cubic, 2.0) if kind == "bicubic" else (_lanczos, 3.0)
    scale = side / size
    stretch = max(scale, 1.0)
    support = reach * stretch
    rows = []
    for out in range(size):
        center = (out + 0.5) * scale
        first, end = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), side)
        values = [curve((x - center + 0.5) * (1.0 / stretch)) for x in range(first, end)]
        total = sum(values)
        fixed = [v / total * (1 << 22) if total != 0.0 else v * (1 << 22) for v in values]
        whole = [int(v - 0.5) if v < 0 else int(v + 0.5) for v in fixed]
        rows.append((0,) * first + tuple(whole) + (0,) * (side - end))
    return tuple(rows)


def _cubic(x: float) -> float:
    a, x = -0.5, abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2.0 else 0.0


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / 3) if -3.0 <= x < 3.0 else 0.0


def _sinc(x: float) -> float:
    return math.sin(x * math.pi) / (x * math.pi) if x != 0.0 else 1.0


def blur_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the thumbnail that blur is measured on: the longer side becomes at most 64."""
    longest = max(width, height)
    if longest <= SIDE:
        return width, height
    return max(SIDE * width // longest, 1), max(SIDE * height // longest, 1)


def edge_response(y: Tensor) -> Tensor:
    """``clip(8 c - sum of 8 neighbors, 0, 255)`` of [h, w]; border pixels, and images below 3 pixels, stay as they are."""
    out = y.to(torch.int64)
    if min(out.shape) < 3:
        return out
    around = sum(out[dy : out.shape[0] - 2 + dy, dx : out.shape[1] - 2 + dx] for dy in range(3) for dx in range(3))
    filtered = out.clone()
    filtered[1:-1, 1:-1] = (9 * out[1:-1, 1:-1] - around).clamp(0, 255)
    return filtered


def _soft_blur(pixels: Pixels, regions: Regions) -> SoftBlur:
    rows = torch.zeros(len(regions.frame), 4, dtype=torch.int64, device=pixels.data.device)
    for index, (x0, y0, x1, y1) in enumerate(regions.rect.tolist()):
        if x1 <= x0 or y1 <= y0:
            continue
        crop = pixels.frame(int(regions.frame[index]))[y0:y1, x0:x1].permute(2, 0, 1)
        width, height = blur_size(x1 - x0, y1 - y0)
        y = luma(resize(crop, height, width, "bicubic"))
        response = edge_response(y)
        counts = torch.bincount(y.flatten().to(torch.int64), minlength=256)
        rows[index, 0] = y.numel()
        rows[index, 1], rows[index, 2] = response.sum(), response.square().sum()
        rows[index, 3] = counts.square().sum()
    return SoftBlur(*rows.unbind(1))
