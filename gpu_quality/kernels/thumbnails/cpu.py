"""Thumbnails on CPU cores: dot products of 32-bit weights along rows, then along columns, as Pillow does.

Weights are padded with zeros to multiples of 16 taps and rows to match, so that every dot product is whole vectors.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

import math
from collections.abc import Collection
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.kernels.threads import spread, threads
from gpu_quality.kernels.thumbnails.result import SHAPES, SIDE, WANTED, SoftBlur, checked
from gpu_quality.types import Pixels, Regions

BAND: Final = 1 << 19
"""Pixels above which the rows of one frame are spread over threads."""
WIDTHS: Final = (32, 9, 8)
HEIGHTS: Final = (32, 8, 9)
COLUMNS: Final = 49
"""Thumbnail columns of a row: 32 + 9 + 8."""

_options: Any = {"nogil": True, "cache": True, "error_model": "numpy"}
allocating: Any = njit(**_options)
compiled: Any = njit(**_options | {"_nrt": False})
"""Without reference counts: a slice would cost two atomic operations, and every dot product takes slices."""


@compiled
def weigh(x, lanczos):
    """The filter at x: Lanczos of three lobes, or the cubic with a = -0.5."""
    if lanczos:
        if x == 0.0:
            return 1.0
        if not -3.0 <= x < 3.0:
            return 0.0
        return math.sin(x * math.pi) / (x * math.pi) * (math.sin(x / 3 * math.pi) / (x / 3 * math.pi))
    x = abs(x)
    if x < 1.0:
        return (1.5 * x - 2.5) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2.0 else 0.0


@allocating
def weights(side, size, lanczos):
    """First pixel of every output and its integer weights, 22 fractional bits, padded with zeros to whole vectors."""
    scale = side / size
    stretch = max(scale, 1.0)
    support = (3.0 if lanczos else 2.0) * stretch
    pitch = (math.ceil(support) * 2 + 1 + 15) // 16 * 16
    first, table = np.zeros(size, np.int64), np.zeros((size, pitch), np.int32)
    values = np.empty(pitch, np.float64)
    for out in range(size):
        center = (out + 0.5) * scale
        begin, end = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), side)
        total = 0.0
        for x in range(begin, end):
            values[x - begin] = weigh((x - center + 0.5) * (1.0 / stretch), lanczos)
            total += values[x - begin]
        first[out] = begin
        for i in range(end - begin):
            value = (values[i] / total if total != 0.0 else values[i]) * (1 << 22)
            table[out, i] = int(value - 0.5) if value < 0 else int(value + 0.5)
    return first, table


@compiled
def rounded(total):
    """A sum with 22 fractional bits as a byte."""
    return np.uint8(min(max(np.int32(total + np.int32(1 << 21)) >> np.int32(22), 0), 255))


@compiled
def across(rows, first, table, out):
    """Horizontal pass of four padded rows of bytes: they share the weights, which are loaded once."""
    pitch = table.shape[1]
    for o in range(len(first)):
        begin = first[o]
        taps = table[o]
        row0, row1 = rows[0, begin : begin + pitch], rows[1, begin : begin + pitch]
        row2, row3 = rows[2, begin : begin + pitch], rows[3, begin : begin + pitch]
        total0, total1, total2, total3 = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        for i in range(pitch):
            total0 = np.int32(total0 + np.int32(row0[i]) * taps[i])
            total1 = np.int32(total1 + np.int32(row1[i]) * taps[i])
            total2 = np.int32(total2 + np.int32(row2[i]) * taps[i])
            total3 = np.int32(total3 + np.int32(row3[i]) * taps[i])
        out[0, o], out[1, o], out[2, o], out[3, o] = rounded(total0), rounded(total1), rounded(total2), rounded(total3)


@allocating
def along(rows, height, first, table, out):
    """Vertical pass: rows [height, n] of bytes to out [size, n]."""
    n = rows.shape[1]
    totals = np.empty(n, np.int32)
    for o in range(len(first)):
        totals[:] = 0
        for i in range(min(table.shape[1], height - first[o])):
            weight, row = table[o, i], rows[first[o] + i]
            for x in range(n):
                totals[x] = np.int32(totals[x] + np.int32(row[x]) * weight)
        for x in range(n):
            out[o, x] = rounded(totals[x])


@compiled
def luma_of(red, green, blue, y, n):
    """Y of n pixels in planes."""
    for i in range(n):
        weighted = np.int32(19595) * np.int32(red[i]) + np.int32(38470) * np.int32(green[i])
        y[i] = np.uint8(np.int32(weighted + np.int32(7471) * np.int32(blue[i]) + np.int32(32768)) >> np.int32(16))


@compiled
def split(row, red, green, blue, n):
    """Interleaved pixels to planes."""
    for i in range(n):
        red[i] = row[3 * i]
        green[i] = row[3 * i + 1]
        blue[i] = row[3 * i + 2]


@allocating
def luma_rows(data, frame, y0, y1, tables, wanted, out):
    """Horizontal passes of Y to the wanted widths, rows y0 .. y1 of a frame (start, height, width)."""
    pitch = (frame[2] + 6 * frame[2] // 8 + 127) // 64 * 64
    planes, four = np.zeros((7, pitch), np.uint8), np.empty((3, 4, 32), np.uint8)
    for y in range(y0, y1, 4):
        n = min(4, y1 - y)
        luma_four(data, frame, y, n, planes, tables, wanted, four)
        out[y : y + n, :32] = four[0, :n]
        out[y : y + n, 32:41] = four[1, :n, :9]
        out[y : y + n, 41:] = four[2, :n, :8]


@compiled
def luma_four(data, frame, y, n, planes, tables, wanted, four):
    """Horizontal passes of at most four rows."""
    width = frame[2]
    for k in range(n):
        at = frame[0] + 3 * (y + k) * width
        split(data[at : at + 3 * width], planes[4], planes[5], planes[6], width)
        luma_of(planes[4], planes[5], planes[6], planes[k], width)
    for k in range(3):
        if wanted[k]:
            across(planes, tables[k][0], tables[k][1], four[k])


@allocating
def luma_tables(side, sizes):
    """Lanczos weights from one side to three sizes."""
    return weights(side, sizes[0], True), weights(side, sizes[1], True), weights(side, sizes[2], True)


@allocating
def luma_columns(rows, height, tables, wanted, square, wide, tall):
    """Vertical passes to the wanted thumbnails; the others are left as they are."""
    if wanted[0]:
        along(np.ascontiguousarray(rows[:, :32]), height, tables[0][0], tables[0][1], square)
    if wanted[1]:
        along(np.ascontiguousarray(rows[:, 32:41]), height, tables[1][0], tables[1][1], wide)
    if wanted[2]:
        along(np.ascontiguousarray(rows[:, 41:]), height, tables[2][0], tables[2][1], tall)


@allocating
def luma_thumbnails(data, frames, wanted, square, wide, tall):
    """The wanted thumbnails of Y of some frames; weights are made anew only where the size changes."""
    across_tables, along_tables = luma_tables(1, WIDTHS), luma_tables(1, HEIGHTS)
    height, width = 1, 1
    for f in range(len(frames)):
        if frames[f, 2] != width:
            width = frames[f, 2]
            across_tables = luma_tables(width, WIDTHS)
        if frames[f, 1] != height:
            height = frames[f, 1]
            along_tables = luma_tables(height, HEIGHTS)
        rows = np.empty((height, COLUMNS), np.uint8)
        luma_rows(data, (frames[f, 0], height, width), 0, height, across_tables, wanted, rows)
        luma_columns(rows, height, along_tables, wanted, square[f], wide[f], tall[f])


@allocating
def color_rows(data, frame, rect, y0, y1, first, table, out):
    """Horizontal bicubic pass of R, G, B of rows y0 .. y1 of a rectangle; without weights a plain copy."""
    n, size = rect[2] - rect[0], out.shape[2]
    pitch = (n + table.shape[1] + 127) // 64 * 64
    planes, four = np.zeros((3, 4, pitch), np.uint8), np.empty((3, 4, size), np.uint8)
    for y in range(y0, y1, 4):
        rows = min(4, y1 - y)
        color_four(data, frame[0] + 3 * ((rect[1] + y) * frame[2] + rect[0]), frame[2], n, rows, planes, first, table, four)
        for k in range(rows):
            for c in range(3):
                out[y + k, c] = four[c, k]


@compiled
def color_four(data, at, width, n, rows, planes, first, table, four):
    """Horizontal passes of R, G, B of at most four rows, or their copies."""
    target = four if n == four.shape[2] else planes
    for k in range(rows):
        start = at + 3 * k * width
        split(data[start : start + 3 * n], target[0, k], target[1, k], target[2, k], n)
    if n != four.shape[2]:
        for c in range(3):
            across(planes[c], first, table, four[c])


@allocating
def edge_sums(y, out):
    """Count, sum and sum of squares of the clipped edge response, sum of squared luma counts."""
    h, w = y.shape
    counts, values = np.zeros(256, np.int64), np.empty(w, np.int16)
    for i in range(h):
        row = y[i]
        for x in range(w):
            counts[row[x]] += 1
            values[x] = row[x]
        if h >= 3 and w >= 3 and 0 < i < h - 1:
            respond(y[i - 1], row, y[i + 1], values)
        total, square = np.int32(0), np.int32(0)
        for x in range(w):
            value = np.int32(values[x])
            total, square = np.int32(total + value), np.int32(square + value * value)
        out[1] += total
        out[2] += square
    out[0] = h * w
    out[3] = (counts * counts).sum()


@compiled
def respond(up, mid, down, values):
    """Edge response of the pixels between the first and the last of a row: 8 c - the neighbors, as a byte. Vectorizes."""
    for x in range(1, len(values) - 1):
        above = np.int16(np.int16(up[x - 1]) + np.int16(up[x]) + np.int16(up[x + 1]))
        below = np.int16(np.int16(down[x - 1]) + np.int16(down[x]) + np.int16(down[x + 1]))
        beside = np.int16(np.int16(mid[x - 1]) + np.int16(mid[x + 1]))
        value = np.int16(np.int16(8 * np.int16(mid[x])) - np.int16(above + below) - beside)
        values[x] = min(max(value, np.int16(0)), np.int16(255))


@allocating
def soft_blur(rows, height, first, table, out):
    """Vertical pass of rows [h, 3, w], then luma and its edge sums."""
    h, w = rows.shape[0], rows.shape[2]
    flat = rows.reshape(h, 3 * w)
    if height != h:
        small = np.empty((height, 3 * w), np.uint8)
        along(flat, h, first, table, small)
        flat = small
    y = np.empty((height, w), np.uint8)
    for i in range(height):
        luma_of(flat[i, :w], flat[i, w : 2 * w], flat[i, 2 * w :], y[i], w)
    edge_sums(y, out)


@compiled
def blur_side(side, other):
    """Length of a side in the thumbnail that blur is measured on."""
    longest = max(side, other)
    return side if longest <= SIDE else max(SIDE * side // longest, 1)


@allocating
def blur_tasks(data, frames, tasks, out):
    """Blur sums of the rectangle of each task (frame, x0, y0, x1, y1); weights are made anew where the size changes."""
    sides = (0, 0)
    first_x, table_x = weights(1, 1, False)
    first_y, table_y = weights(1, 1, False)
    for t in range(len(tasks)):
        f, rect = tasks[t, 0], tasks[t, 1:5]
        w, h = rect[2] - rect[0], rect[3] - rect[1]
        width, height = blur_side(w, h), blur_side(h, w)
        if (width != w or height != h) and sides != (w, h):
            first_x, table_x = weights(w, width, False)
            first_y, table_y = weights(h, height, False)
            sides = (w, h)
        rows = np.empty((h, 3, width), np.uint8)
        color_rows(data, (frames[f, 0], frames[f, 1], frames[f, 2]), rect, 0, h, first_x, table_x, rows)
        soft_blur(rows, height, first_y, table_y, out[t])


def thumbnails(pixels: Pixels, regions: Regions, wanted: Collection[str]) -> dict[str, Tensor | SoftBlur]:
    """The wanted thumbnails, on the threads of ``kernels.threads``; see ``kernels.thumbnails``."""
    names = checked(wanted)
    data = pixels.data.contiguous().numpy()
    frames = torch.stack([pixels.offset.long(), pixels.height.long(), pixels.width.long()], 1).numpy()
    out: dict[str, Tensor | SoftBlur] = {}
    if names & set(SHAPES):
        out |= _luma(data, frames, names)
    if "soft_blur" in names:
        tasks = np.concatenate([regions.frame.numpy()[:, None], regions.rect.numpy().astype(np.int64)], 1)
        out["soft_blur"] = SoftBlur(*torch.from_numpy(_blur(data, frames, tasks)).unbind(1))
    return {name: out[name] for name in WANTED if name in names}


def _jobs(work: NDArray[np.int64]) -> list[slice]:
    """Consecutive tasks of about equal work, a few jobs per thread."""
    total = work.cumsum()
    count = 4 * threads() if threads() > 1 and len(total) and total[-1] > 1 << 16 else 1
    cuts = np.searchsorted(total, np.linspace(0, total[-1] if len(total) else 0, count + 1)[1:-1])
    edges = np.unique(np.concatenate([[0], cuts, [len(total)]]))
    return [slice(a, b) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]


def _bands(height: int) -> list[tuple[int, int]]:
    cuts = np.linspace(0, height, 4 * threads() + 1).astype(np.int64).tolist()
    return list(pairwise(cuts))


def _luma_band(
    data: NDArray[np.uint8],
    frame: tuple[int, ...],
    tables: Any,
    wanted: NDArray[np.bool_],
    rows: NDArray[np.uint8],
    band: tuple[int, int],
) -> None:
    luma_rows(data, frame, *band, tables, wanted, rows)


def _color_band(
    data: NDArray[np.uint8], frame: Any, rect: NDArray[np.int64], table: Any, rows: NDArray[np.uint8], band: tuple[int, int]
) -> None:
    color_rows(data, frame, rect, *band, *table, rows)


def _luma(data: NDArray[np.uint8], frames: NDArray[np.int64], names: Collection[str]) -> dict[str, Tensor]:
    """Thumbnails of Y by name; only the passes of those asked for are made: each alone takes half the time of all three."""
    wanted = np.array([name in names for name in SHAPES])
    found = {name: np.empty((len(frames), *shape), np.uint8) for name, shape in SHAPES.items()}
    square, wide, tall = found["square"], found["wide"], found["tall"]
    area = frames[:, 1] * frames[:, 2]
    large = (area > BAND) & (threads() > 1) & (len(frames) < 4 * threads())
    for index in np.flatnonzero(large):
        frame = tuple(frames[index].tolist())
        rows = np.empty((frame[1], COLUMNS), np.uint8)
        tables = luma_tables(frame[2], WIDTHS)
        spread(partial(_luma_band, data, frame, tables, wanted, rows), _bands(frame[1]))
        luma_columns(rows, frame[1], luma_tables(frame[1], HEIGHTS), wanted, square[index], wide[index], tall[index])
    small = np.flatnonzero(~large)

    def work(job: slice) -> None:
        mine = small[job]
        parts = [np.empty((len(mine), *shape), np.uint8) for shape in SHAPES.values()]
        luma_thumbnails(data, frames[mine], wanted, *parts)
        square[mine], wide[mine], tall[mine] = parts

    spread(work, _jobs(area[small]))
    return {name: torch.from_numpy(array) for name, array in found.items() if name in names}


def _blur(data: NDArray[np.uint8], frames: NDArray[np.int64], tasks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count, response, response squared, squared histogram of every region: int64 [r, 4]."""
    out = np.zeros((len(tasks), 4), np.int64)
    sides = np.maximum(tasks[:, 3:5] - tasks[:, 1:3], 0)
    area = sides[:, 0] * sides[:, 1]
    large = (area > BAND) & (threads() > 1) & (len(tasks) < 4 * threads())
    for index in np.flatnonzero(large):
        frame, rect, (w, h) = tuple(frames[tasks[index, 0]].tolist()), tasks[index, 1:5], sides[index].tolist()
        width, height = blur_side(w, h), blur_side(h, w)
        rows = np.empty((h, 3, width), np.uint8)
        table = weights(w, width, False)
        spread(partial(_color_band, data, frame, rect, table, rows), _bands(h))
        soft_blur(rows, height, *weights(h, height, False), out[index])
    small = np.flatnonzero((area > 0) & ~large)
    mine, sums = tasks[small], np.zeros((len(small), 4), np.int64)
    spread(lambda job: blur_tasks(data, frames, mine[job], sums[job]), _jobs(area[small]))
    out[small] = sums
    return out
