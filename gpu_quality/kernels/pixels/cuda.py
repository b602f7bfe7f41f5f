"""Pixel statistics on a GPU: one Triton program per region and band of rows, ragged by offset.

A program keeps 32-bit sums per lane and histograms of its own, and writes them once; torch adds the bands of a region in
int64. A band takes at most 1,024 steps, so no lane overflows: the largest term is 2,080,800. Neighbors are read again
through the first-level cache instead of being passed between lanes. Groups of whole frames have a kernel with one program
per row. `perceived` sorts K region by region in torch: it is exact, and asked for on frames, rarely on many objects.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from collections.abc import Collection
from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from gpu_quality.kernels.pixels import reference
from gpu_quality.kernels.pixels.layout import GROUPS, Statistics, areas, cell_counts, checked, structs
from gpu_quality.types import Pixels, Regions

BLOCK: Final = 256
"""Pixels of a row that a program handles in one step."""
STEPS: Final = 1024
"""Steps of a program: 32-bit sums of g2 hold 1,032 terms."""
ROW: Final = 32
"""Rows of a band at least, so that halo rows stay a small part."""

_TALLIED: Final = {
    "count": slice(0, 1),
    "sum": slice(1, 4),
    "products": slice(4, 10),
    "edges": slice(10, 12),
    "channel_edges": slice(12, 18),
    "gradients": slice(18, 20),
    "grain": slice(20, 22),
    "hues": slice(22, 27),
}
"""Where each accumulator lies in the row of a program."""
_WIDTH: Final = 27


@triton.jit
def _mirror(i, side):
    """Reflect-101 for indices at most one outside; a side of one repeats its pixel."""
    i = tl.where(i < 0, -i, i)
    i = tl.where(i >= side, 2 * side - 2 - i, i)
    return tl.maximum(i, 0)


@triton.jit
def _channel(data, row, x, inside, c):
    return tl.load(data + row + 3 * x + c, mask=inside, other=0).to(tl.int32)


@triton.jit
def _luma(data, row, x, inside):
    red, green, blue = _channel(data, row, x, inside, 0), _channel(data, row, x, inside, 1), _channel(data, row, x, inside, 2)
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16


@triton.jit
def _put(out, at, values):
    """Write the sum over lanes."""
    tl.store(out + at, tl.sum(values.to(tl.int64), 0))


@triton.jit
def _sweep(
    data,
    frames,
    tasks,
    runs,
    out,
    tones,
    channels,
    saturations,
    turns,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    MOMENTS: tl.constexpr,
    TONES: tl.constexpr,
    EDGES: tl.constexpr,
    GRADIENTS: tl.constexpr,
    GRAIN: tl.constexpr,
    CHANNEL_EDGES: tl.constexpr,
    CHANNEL_TONES: tl.constexpr,
    HUES: tl.constexpr,
):
    """One task: frame, x0, y0, x1, y1, masked, first and end of its rows or runs."""
    task = tl.program_id(0).to(tl.int64)
    frame, x0, y0 = tl.load(tasks + 8 * task), tl.load(tasks + 8 * task + 1), tl.load(tasks + 8 * task + 2)
    x1, y1, masked = tl.load(tasks + 8 * task + 3), tl.load(tasks + 8 * task + 4), tl.load(tasks + 8 * task + 5)
    first, end = tl.load(tasks + 8 * task + 6), tl.load(tasks + 8 * task + 7)
    start, height, width = tl.load(frames + 3 * frame), tl.load(frames + 3 * frame + 1), tl.load(frames + 3 * frame + 2)
    lanes = tl.arange(0, BLOCK)
    none = tl.zeros([BLOCK], tl.int32)
    count, interior, absolute, g2_sum, strong, lap, lap2 = none, none, none, none, none, none, none
    sr, sg, sb, rr, gg, bb, rg, rb, gb = none, none, none, none, none, none, none, none, none
    lap_r, lap_g, lap_b, lap2_r, lap2_g, lap2_b = none, none, none, none, none, none
    reds, greens, blues, saturation, colored = none, none, none, none, none
    hist_y, hist_r = tl.zeros([256], tl.int32), tl.zeros([256], tl.int32)
    hist_g, hist_b = tl.zeros([256], tl.int32), tl.zeros([256], tl.int32)
    run = first
    while run < end:  # `range` over loaded bounds fails in Triton's interpreter with NumPy 2.4
        y, a, b = run, x0, x1
        if masked:
            y = tl.load(runs + 3 * run)
            a, b = tl.maximum(a, tl.load(runs + 3 * run + 1)), tl.minimum(b, tl.load(runs + 3 * run + 2))
        b = tl.where((y >= y0) & (y < y1), b, a)
        mid, pitch = start + 3 * y * width, 3 * width
        up, down = start + pitch * _mirror(y - 1, height), start + pitch * _mirror(y + 1, height)
        tile = a
        while tile < b:
            x = tile + lanes
            inside = x < b
            left, right = _mirror(x - 1, width), _mirror(x + 1, width)
            count += inside.to(tl.int32)
            r, g, blue = _channel(data, mid, x, inside, 0), _channel(data, mid, x, inside, 1), _channel(data, mid, x, inside, 2)
            luma = (19595 * r + 38470 * g + 7471 * blue + 32768) >> 16
            if MOMENTS:
                sr, sg, sb = sr + r, sg + g, sb + blue
                rr, gg, bb = rr + r * r, gg + g * g, bb + blue * blue
                rg, rb, gb = rg + r * g, rb + r * blue, gb + g * blue
            if TONES:
                hist_y += tl.histogram(luma, 256, mask=inside)
            if CHANNEL_TONES:
                hist_r += tl.histogram(r, 256, mask=inside)
                hist_g += tl.histogram(g, 256, mask=inside)
                hist_b += tl.histogram(blue, 256, mask=inside)
            if EDGES or GRADIENTS or GRAIN:
                n, s = _luma(data, up, x, inside), _luma(data, down, x, inside)
                w, e = _luma(data, mid, left, inside), _luma(data, mid, right, inside)
                if EDGES:
                    value = tl.where(inside, n + s + w + e - 4 * luma, 0)
                    lap, lap2 = lap + value, lap2 + value * value
                if GRADIENTS or GRAIN:
                    nw, ne = _luma(data, up, left, inside), _luma(data, up, right, inside)
                    sw, se = _luma(data, down, left, inside), _luma(data, down, right, inside)
                    if GRADIENTS:
                        gx, gy = ne + 2 * e + se - nw - 2 * w - sw, sw + 2 * s + se - nw - 2 * n - ne
                        g2 = tl.where(inside, gx * gx + gy * gy, 0)
                        g2_sum, strong = g2_sum + g2, strong + (g2 >= 10000).to(tl.int32)
                    if GRAIN:
                        inner = inside & (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
                        value = nw - 2 * n + ne - 2 * w + 4 * luma - 2 * e + sw - 2 * s + se
                        interior, absolute = interior + inner.to(tl.int32), absolute + tl.where(inner, tl.abs(value), 0)
            if CHANNEL_EDGES:
                vr = _channel(data, up, x, inside, 0) + _channel(data, down, x, inside, 0) - 4 * r
                vr += _channel(data, mid, left, inside, 0) + _channel(data, mid, right, inside, 0)
                vg = _channel(data, up, x, inside, 1) + _channel(data, down, x, inside, 1) - 4 * g
                vg += _channel(data, mid, left, inside, 1) + _channel(data, mid, right, inside, 1)
                vb = _channel(data, up, x, inside, 2) + _channel(data, down, x, inside, 2) - 4 * blue
                vb += _channel(data, mid, left, inside, 2) + _channel(data, mid, right, inside, 2)
                lap_r, lap_g, lap_b = lap_r + vr, lap_g + vg, lap_b + vb
                lap2_r, lap2_g, lap2_b = lap2_r + vr * vr, lap2_g + vg * vg, lap2_b + vb * vb
            if HUES:
                v = tl.maximum(tl.maximum(r, g), blue)
                d = v - tl.minimum(tl.minimum(r, g), blue)
                sat = (d * tl.load(saturations + v) + 2048) >> 12
                turn = tl.where(v == r, g - blue, tl.where(v == g, blue - r + 2 * d, r - g + 4 * d))
                hue = turn * tl.load(turns + d)  # before its last shift: 12 bits finer
                vivid = (sat >= 50) & (v >= 40)
                reds += (vivid & (hue >= -43008) & (hue < 43008)).to(tl.int32)
                greens += (vivid & (hue >= 141312) & (hue < 309248)).to(tl.int32)
                blues += (vivid & (hue >= 366592) & (hue < 534528)).to(tl.int32)
                saturation, colored = saturation + sat, colored + (d > 8).to(tl.int32)
            tile += BLOCK
        run += 1
    row = WIDTH * task
    _put(out, row, count)
    if MOMENTS:
        _put(out, row + 1, sr)
        _put(out, row + 2, sg)
        _put(out, row + 3, sb)
        _put(out, row + 4, rr)
        _put(out, row + 5, gg)
        _put(out, row + 6, bb)
        _put(out, row + 7, rg)
        _put(out, row + 8, rb)
        _put(out, row + 9, gb)
    if EDGES:
        _put(out, row + 10, lap)
        _put(out, row + 11, lap2)
    if CHANNEL_EDGES:
        _put(out, row + 12, lap_r)
        _put(out, row + 13, lap_g)
        _put(out, row + 14, lap_b)
        _put(out, row + 15, lap2_r)
        _put(out, row + 16, lap2_g)
        _put(out, row + 17, lap2_b)
    if GRADIENTS:
        _put(out, row + 18, g2_sum)
        _put(out, row + 19, strong)
    if GRAIN:
        _put(out, row + 20, interior)
        _put(out, row + 21, absolute)
    if HUES:
        _put(out, row + 22, reds)
        _put(out, row + 23, greens)
        _put(out, row + 24, blues)
        _put(out, row + 25, saturation)
        _put(out, row + 26, colored)
    bins = tl.arange(0, 256)
    if TONES:
        tl.store(tones + 256 * task + bins, hist_y)
    if CHANNEL_TONES:
        tl.store(channels + 768 * task + bins, hist_r)
        tl.store(channels + 768 * task + 256 + bins, hist_g)
        tl.store(channels + 768 * task + 512 + bins, hist_b)


@triton.jit
def _mix(z):
    """SplitMix64 of uint64."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    return z ^ (z >> 31)


@triton.jit
def _frame_rows(data, frames, rows, out, BLOCK: tl.constexpr, PHASES: tl.constexpr, CELLS: tl.constexpr, CONTENT: tl.constexpr):
    """One row of a frame: dx by phase [8], sums of Y by cell [8], sum of dy, content."""
    program = tl.program_id(0).to(tl.int64)
    frame, y = tl.load(rows + 2 * program), tl.load(rows + 2 * program + 1)
    start, height, width = tl.load(frames + 3 * frame), tl.load(frames + 3 * frame + 1), tl.load(frames + 3 * frame + 2)
    lanes = tl.arange(0, BLOCK)
    eight = tl.arange(0, 8)
    dx, dy = tl.zeros([BLOCK], tl.int64), tl.zeros([BLOCK], tl.int64)
    mixed = tl.zeros([BLOCK], tl.uint64)
    cells = tl.zeros([8], tl.int64)
    mid = start + 3 * y * width
    down = mid + tl.where(y + 1 < height, 3 * width, 0)
    tile = width * 0
    while tile < width:
        x = tile + lanes
        inside = x < width
        luma = _luma(data, mid, x, inside)
        if PHASES:
            right = _luma(data, mid, x + 1, x + 1 < width)
            dx += tl.where(x + 1 < width, tl.abs(right - luma), 0)
            dy += tl.where(inside, tl.abs(_luma(data, down, x, inside) - luma), 0)
        if CELLS:
            cell = (8 * x) // width
            for k in tl.static_range(8):
                part = tl.sum(tl.where(inside & (cell == k), luma, 0), 0)
                cells += tl.where(eight == k, part, 0)
        if CONTENT:
            r, g, b = _channel(data, mid, x, inside, 0), _channel(data, mid, x, inside, 1), _channel(data, mid, x, inside, 2)
            key = ((y * width + x).to(tl.uint64) << 24) | ((r << 16) | (g << 8) | b).to(tl.uint64)
            mixed += tl.where(inside, _mix(key), 0)
        tile += BLOCK
    row = 18 * program
    if PHASES:
        for k in tl.static_range(8):
            tl.store(out + row + k, tl.sum(tl.where(lanes % 8 == k, dx, 0), 0))
        tl.store(out + row + 16, tl.sum(dy, 0))
    if CELLS:
        tl.store(out + row + 8 + eight, cells)
    if CONTENT:
        tl.store(out + row + 17, tl.sum(mixed, 0).to(tl.int64, bitcast=True))


def pixel_statistics(pixels: Pixels, regions: Regions, groups: Collection[str]) -> dict[str, Statistics]:
    """What the pixels of every region add up to, on the device of the pixels; see ``kernels.pixels``."""
    wanted = checked(groups)
    device = pixels.data.device
    if int(pixels.width.max()) > BLOCK * STEPS:  # a single row would overflow the sums of a program
        return reference.pixel_statistics(pixels, regions, groups)
    frames = torch.stack([pixels.offset.long(), pixels.height.long(), pixels.width.long()], 1).to(device).contiguous()
    sums = {"area": areas(regions.rect), "cell_count": cell_counts(pixels.height, pixels.width)}
    sums = {name: tensor.to(device) for name, tensor in sums.items()}
    if wanted - {"perceived", "phases", "cells", "content"}:
        sums |= _region_sums(pixels.data, frames, regions, wanted)
    else:
        sums["count"] = sums["area"]
    if wanted & {"phases", "cells", "content"}:
        sums |= _frame_sums(pixels.data, frames, wanted)
    out = structs(sums, wanted - {"perceived"})
    if "perceived" in wanted:
        out["perceived"] = reference.perceived(pixels, regions)
    return {name: out[name] for name in GROUPS if name in wanted}


def _region_sums(data: Tensor, frames: Tensor, regions: Regions, wanted: frozenset[str]) -> dict[str, Tensor]:
    tasks, region = _tasks(regions)
    device, count = data.device, len(regions.frame)
    tasks, region = tasks.to(device), region.to(device)
    runs = torch.zeros(1, 3, dtype=torch.int64, device=device)
    if regions.spans is not None and len(regions.spans.y):
        runs = torch.stack([regions.spans.y, regions.spans.x0, regions.spans.x1], 1).to(device, torch.int64).contiguous()
    out = torch.zeros(len(tasks), _WIDTH, dtype=torch.int64, device=device)
    tones = torch.zeros(len(tasks), 256 if "tones" in wanted else 1, dtype=torch.int32, device=device)
    channels = torch.zeros(len(tasks), 768 if "channel_tones" in wanted else 1, dtype=torch.int32, device=device)
    tables = [reference.division_table(numerator, device).int() for numerator in (255 * 4096, 180 * 4096 / 6)]
    switches = [name in wanted for name in GROUPS[:8]]
    if len(tasks):
        _sweep[(len(tasks),)](data, frames, tasks, runs, out, tones, channels, *tables, _WIDTH, BLOCK, *switches)
    total = {"all": out, "tones": tones, "channel_tones": channels}
    sums = {
        name: torch.zeros(count, part.shape[1], dtype=torch.int64, device=device).index_add_(0, region, part.long())
        for name, part in total.items()
    }
    every = sums.pop("all")
    return sums | {name: every[:, columns] for name, columns in _TALLIED.items()} | {"count": every[:, 0]}


def _tasks(regions: Regions) -> tuple[Tensor, Tensor]:
    """Bands of rows, or of runs of masked regions, that take at most `STEPS` steps, and the region each belongs to."""
    rect = regions.rect.long().cpu()
    width = (rect[:, 2] - rect[:, 0]).clamp(min=0)
    first, end = rect[:, 1], torch.where(width > 0, torch.maximum(rect[:, 3], rect[:, 1]), rect[:, 1])
    masked = torch.zeros(len(rect), dtype=torch.bool)
    if regions.spans is not None:
        masked = ~regions.spans.whole.cpu()
        offset = regions.spans.offset.long().cpu()
        first = torch.where(masked, offset[:-1], first)
        end = torch.where(masked, torch.where(width > 0, offset[1:], offset[:-1]), end)
    steps = ((width + BLOCK - 1) // BLOCK).clamp(min=1)
    rows = torch.minimum(STEPS // steps, torch.full_like(steps, ROW)).clamp(min=1)
    bands = (end - first + rows - 1) // rows
    region = torch.repeat_interleave(bands)
    band = torch.arange(len(region)) - (bands.cumsum(0) - bands)[region]
    begin = first[region] + band * rows[region]
    parts = [regions.frame.long().cpu()[region, None], rect[region], masked[region, None].long(), begin[:, None]]
    return torch.cat([*parts, torch.minimum(begin + rows[region], end[region])[:, None]], 1), region


def _frame_sums(data: Tensor, frames: Tensor, wanted: frozenset[str]) -> dict[str, Tensor]:
    """Phases [b, 16], cells [b, 64] and content [b] from the rows of all frames."""
    device, b = data.device, len(frames)
    height = frames[:, 1]
    frame = torch.repeat_interleave(height)
    y = torch.arange(len(frame), device=device) - (height.cumsum(0) - height)[frame]
    out = torch.zeros(len(frame), 18, dtype=torch.int64, device=device)
    switches = [name in wanted for name in ("phases", "cells", "content")]
    _frame_rows[(len(frame),)](data, frames, torch.stack([frame, y], 1).contiguous(), out, BLOCK, *switches)
    content = torch.zeros(b, dtype=torch.int64, device=device).index_add_(0, frame, out[:, 17])
    dx = torch.zeros(b, 8, dtype=torch.int64, device=device).index_add_(0, frame, out[:, :8])
    dy = torch.zeros(b * 8, dtype=torch.int64, device=device).index_add_(0, frame * 8 + y % 8, out[:, 16])
    cell = frame * 8 + 8 * y // height[frame]
    cells = torch.zeros(b * 8, 8, dtype=torch.int64, device=device).index_add_(0, cell, out[:, 8:16])
    return {"phases": torch.cat([dx, dy.view(b, 8)], 1), "cells": cells.view(b, 64), "content": content}
