"""From decoded frames and regions to what an encoder wants to see: square uint8 pictures, resized as open_clip does it."""

import math
from functools import lru_cache

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor
from torch.nn import functional

from gpu_quality.cards import Input
from gpu_quality.kernels.threads import spread
from gpu_quality.types import Pixels, Regions, Spans

_LONGEST = 16
"""Aspect ratio above which only the visible part is resized: one row of 60,000 pixels would become 9 GB before the crop."""
_TINY = 64
"""Side of the square up to whose area Pillow is followed to the bit: its weights have 22 bits, torch's 16."""
_FIXED = 2.0**22
_SUPPORT = {"bicubic": 2.0, "bilinear": 1.0}


def prepare(
    pixels: Pixels, regions: Regions, look: Input, *, context: float = 0.0, mask: bool = False
) -> UInt8[Tensor, "r 3 s s"]:
    """Every region as one square picture of the encoder's size; rows are channels-last in memory.

    A region is its rectangle (of an object: the axis-aligned box, clipped), without padding. `context` widens it on each side
    by that share of its size, as far as the frame goes. With `mask`, pixels outside an object's shape take the mean color of
    the encoder's training data. A region without pixels becomes black; `regions.null` says which those are. At most one level
    from open_clip's own preprocessing (with Pillow 13; two levels in one of a million values, where a frame is enlarged).
    """
    rects = widened(pixels, regions, context)
    out = torch.zeros((len(rects), look.size, look.size, 3), dtype=torch.uint8, device=pixels.data.device)

    def one(row: int) -> None:
        x0, y0, x1, y1 = rects[row]
        if x1 > x0 and y1 > y0:
            picture = pixels.frame(int(regions.frame[row]))[y0:y1, x0:x1]
            if mask and regions.spans is not None and not regions.spans.whole[row]:
                picture = _masked(picture, regions.spans, row, (x0, y0), look)
            out[row] = resized(picture, look)

    spread(one, range(len(rects)))
    return out.permute(0, 3, 1, 2)  # b s s 3 -> b 3 s s, channels-last


def widened(pixels: Pixels, regions: Regions, context: float) -> list[list[int]]:
    """Rectangles x0 y0 x1 y1 of all regions, widened on each side by a share of their size, inside their frames."""
    rect = regions.rect.cpu().long()
    if context:
        side = rect[:, 2:] - rect[:, :2]  # r 2
        more = (side * context).round().long()
        limit = torch.stack([pixels.width, pixels.height], 1).cpu().long()[regions.frame.cpu()]
        wide = torch.cat([(rect[:, :2] - more).clamp(min=0), (rect[:, 2:] + more).minimum(limit)], 1)
        rect = torch.where((side > 0).all(1, keepdim=True), wide, rect)
    return rect.tolist()


def resized(picture: UInt8[Tensor, "h w 3"], look: Input) -> UInt8[Tensor, "s s 3"]:
    """One picture at the encoder's size: antialiased; of the longer side the middle is kept, or both sides are squashed."""
    height, width = picture.shape[:2]
    full = target(height, width, look)
    if vertical_first(height, width, full):
        return _middle(picture.transpose(0, 1).contiguous(), full[::-1], look).transpose(0, 1)
    return _middle(picture, full, look)


def _middle(picture: UInt8[Tensor, "h w 3"], full: tuple[int, int], look: Input) -> UInt8[Tensor, "s s 3"]:
    """The middle of the picture resized to `full` height and width, the horizontal pass first."""
    height, width = picture.shape[:2]
    top, left = (round((side - look.size) / 2) for side in full)
    if max(full) > _LONGEST * look.size or height * width <= _TINY**2:
        return _visible(picture, full, (top, left), look)
    one = picture.permute(2, 0, 1)[None]  # h w 3 -> 1 3 h w
    if picture.is_cuda:  # no antialiased uint8 there
        one = one.float()
    whole = functional.interpolate(one, full, mode=look.interpolation, antialias=True)
    whole = _rounded(whole).byte() if picture.is_cuda else whole
    return whole[0, :, top : top + look.size, left : left + look.size].permute(1, 2, 0)  # 3 s s -> s s 3


def _rounded(levels: Tensor) -> Tensor:
    """Whole levels from 0 to 255; halves go up, as in Pillow."""
    return levels.add_(0.5).floor_().clamp_(0, 255)


def vertical_first(height: int, width: int, full: tuple[int, int]) -> bool:
    """Whether the height loses more than twice what the width does: then Pillow (since 13) resizes columns before rows.

    Each pass rounds and cuts off at 0 and 255, so the order shows: by up to 20 levels in noise that is squashed.
    """
    return height - full[0] > max(0, 2 * (width - full[1]))


def target(height: int, width: int, look: Input) -> tuple[int, int]:
    """Height and width after resizing, before the middle is cut out (as torchvision rounds them)."""
    size = look.size
    if look.resize == "squash":
        return size, size
    if width <= height:
        return int(size * height / width), size
    return size, int(size * width / height)


def _visible(picture: Tensor, full: tuple[int, int], corner: tuple[int, int], look: Input) -> UInt8[Tensor, "s s 3"]:
    """Resize only what the middle shows, one axis after the other and rounded in between, to the bit as Pillow does."""
    make = _kept_weights if max(picture.shape) <= _TINY else _weights
    across, x0 = make(picture.shape[1], full[1], corner[1], look.size, look.interpolation)
    down, y0 = make(picture.shape[0], full[0], corner[0], look.size, look.interpolation)
    part = picture[y0 : y0 + down.shape[1], x0 : x0 + across.shape[1]]
    channels = []
    for channel in part.unbind(2):  # one by one: a third of the memory in float64
        rows = _rounded(channel.double() @ across.T.to(channel.device))  # h s
        channels.append(_rounded(down.to(channel.device) @ rows).byte())  # s s
    return torch.stack(channels, 2)


def _weights(length: int, full: int, first: int, size: int, interpolation: str) -> tuple[Float64[Tensor, "s n"], int]:
    """Weights of the source pixels for `size` of `full` output pixels from `first` on, and the first such source pixel."""
    scale = length / full
    stretch = max(scale, 1.0)
    center = (torch.arange(first, first + size, dtype=torch.float64) + 0.5) * scale
    support = _SUPPORT[interpolation] * stretch
    start = max(math.floor(float(center[0]) - support), 0)
    stop = min(math.ceil(float(center[-1]) + support), length)
    source = torch.arange(start, stop, dtype=torch.float64)
    low, high = (center - support + 0.5).trunc().clamp(min=0), (center + support + 0.5).trunc().clamp(max=length)
    inside = (source >= low[:, None]) & (source < high[:, None])
    value = torch.where(inside, _filter((source + 0.5 - center[:, None]) / stretch, interpolation), 0.0)
    value /= value.sum(1, keepdim=True)
    return (value * _FIXED + 0.5 * value.sign()).trunc() / _FIXED, start


_kept_weights = lru_cache(maxsize=128)(_weights)


def _filter(x: Tensor, interpolation: str) -> Tensor:
    """The triangle, or the cubic with a = -0.5 (as Pillow and torch with antialias have it)."""
    x = x.abs()
    if interpolation == "bilinear":
        return (1 - x).clamp(min=0)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _masked(picture: Tensor, spans: Spans, row: int, corner: tuple[int, int], look: Input) -> UInt8[Tensor, "h w 3"]:
    """A copy in which only the pixels of an object's shape are left; `corner` is the picture's x and y in its frame."""
    fill = torch.tensor([round(255 * mean) for mean in look.mean], dtype=torch.uint8, device=picture.device)
    out = fill.expand(picture.shape).clone()
    own = slice(int(spans.offset[row]), int(spans.offset[row + 1]))
    x, y = corner
    for line, start, stop in zip(spans.y[own].tolist(), spans.x0[own].tolist(), spans.x1[own].tolist(), strict=True):
        out[line - y, start - x : stop - x] = picture[line - y, start - x : stop - x]
    return out
