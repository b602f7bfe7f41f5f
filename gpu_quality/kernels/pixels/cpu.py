"""Pixel statistics on CPU cores: compiled loops over rows of at most 1,024 pixels that stay in the nearest caches.

A row is split into planes R, G, B and Y (bytes, one pixel of surroundings on both sides; three rows are alive at a time).
Every wanted group then runs its own short loops over it: short loops vectorize, a long fused one does not. Casts to int16
and int32 keep the lanes narrow, because plain integers are 64 bits wide here. Sums of one row fit in 32 bits: the largest
term is 2,080,800, times 1,024 pixels. This file is long because compiled code is cached per file: were the loops elsewhere,
a change there would not recompile the sweep that calls them.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

import math
import threading
from collections.abc import Collection
from typing import Any, Final

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.kernels.pixels.layout import GROUPS, Statistics, areas, cell_counts, checked, structs
from gpu_quality.kernels.threads import spread, threads
from gpu_quality.types import Pixels, Regions

TILE: Final = 1024
"""Pixels of a row handled at once: 32-bit sums cannot overflow, and all buffers together fill half of a 48 KB L1 cache."""
PAD: Final = 64
"""Where the first pixel of a tile lies in its plane; its left neighbor is one before."""
PITCH: Final = PAD + TILE + 64
BAND: Final = 1 << 19
"""Pixels of a task: larger regions are cut into bands of rows, so that a single large frame uses all cores."""

FLAGS: Final = {name: 1 << bit for bit, name in enumerate(GROUPS)}
MOMENTS, TONES, EDGES, GRADIENTS, GRAIN, CHANNEL_EDGES, CHANNEL_TONES, HUES, PERCEIVED, PHASES, CELLS, CONTENT = FLAGS.values()
LUMA: Final = TONES | EDGES | GRADIENTS | GRAIN | PHASES | CELLS
COLORS: Final = MOMENTS | CHANNEL_EDGES | CHANNEL_TONES | HUES | CONTENT
WHOLE_FRAMES: Final = PHASES | CELLS | CONTENT
STENCILS: Final = EDGES | GRADIENTS | GRAIN | CHANNEL_EDGES | PHASES

COLUMNS: Final = {
    "count": slice(0, 1),
    "sum": slice(1, 4),
    "products": slice(4, 10),
    "edges": slice(10, 12),
    "channel_edges": slice(12, 18),
    "gradients": slice(18, 20),
    "grain": slice(20, 22),
    "hues": slice(22, 27),
    "content": slice(27, 28),
    "phases": slice(28, 44),
    "cells": slice(44, 108),
}
"""Where each accumulator lies in the row of a task."""
WIDTH: Final = 108
NO_BIN: Final = 4095
"""K >> 14 is at most 3,968: this bin counts what pads a row."""


_options: Any = {"nogil": True, "cache": True, "error_model": "numpy", "_nrt": False}
compiled: Any = njit(**_options)
"""Without reference counts: a slice would cost two atomic operations, and a row takes dozens of slices."""


@intrinsic
def fetch(_context, data, index):
    """Ask for the cache line of data[index], which may lie outside; llvm.prefetch never waits and never faults."""

    def generate(context, builder, signature, args):
        pointer = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(pointer, [args[1]]), ir.IntType(8).as_pointer())
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(prefetch, [pointer, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.none(data, index), generate


@compiled
def reflect(i, side):
    """Mirror an index at both ends; a side of one repeats its pixel."""
    if i < 0:
        i = -i
    if i >= side:
        i = 2 * side - 2 - i
    return max(i, 0)


@compiled
def load(data, start, width, x0, n, planes, luma):
    """Split pixels x0-1 .. x0+n of the image row at `start` into planes R, G, B and, if asked for, Y."""
    red, green, blue, y = planes[0, PAD - 1 :], planes[1, PAD - 1 :], planes[2, PAD - 1 :], planes[3, PAD - 1 :]
    row = data[start + 3 * x0 : start + 3 * (x0 + n)]
    for i in range(0, 3 * n, 64):  # the next row comes while this one is worked on: 5 % of the time of all groups
        fetch(data, start + 3 * (x0 + width) + i)
    for i in range(n):
        red[i + 1] = row[3 * i]
        green[i + 1] = row[3 * i + 1]
        blue[i + 1] = row[3 * i + 2]
    for to, x in ((0, x0 - 1), (n + 1, x0 + n)):
        at = start + 3 * reflect(x, width)
        red[to], green[to], blue[to] = data[at], data[at + 1], data[at + 2]
    if luma:
        for i in range(n + 2):
            weighted = np.int32(19595) * np.int32(red[i]) + np.int32(38470) * np.int32(green[i])
            y[i] = np.uint8(np.int32(weighted + np.int32(7471) * np.int32(blue[i]) + np.int32(32768)) >> np.int32(16))


@compiled
def powers(red, green, blue, out):
    """Sums and sums of squares of R, G, B."""
    out[1] += total_of(red)
    out[2] += total_of(green)
    out[3] += total_of(blue)
    out[4] += product(red, red)
    out[5] += product(green, green)
    out[6] += product(blue, blue)


@compiled
def cross_products(red, green, blue, out):
    """Sums of the products of two channels."""
    out[7] += product(red, green)
    out[8] += product(red, blue)
    out[9] += product(green, blue)


@compiled
def total_of(row):
    """Sum of a row of at most 1,024 bytes or int16."""
    total = np.int32(0)
    for i in range(len(row)):
        total = np.int32(total + np.int32(row[i]))
    return total


@compiled
def product(a, b):
    """Sum of a[i] b[i] of two rows of bytes."""
    total = np.int32(0)
    for i in range(len(a)):
        total = np.int32(total + np.int32(np.int16(a[i])) * np.int32(np.int16(b[i])))
    return total


@compiled
def tally(row, counts):
    """Count bytes, eight to a load, in four histograms in turn: equal neighbors need not wait for each other's store."""
    h0, h1, h2, h3 = counts[0], counts[1], counts[2], counts[3]
    low, one = np.uint64(255), np.uint32(1)
    whole = len(row) - len(row) % 8
    words = row[:whole].view(np.uint64)
    for i in range(len(words)):
        word = words[i]
        h0[word & low] += one
        h1[(word >> np.uint64(8)) & low] += one
        h2[(word >> np.uint64(16)) & low] += one
        h3[(word >> np.uint64(24)) & low] += one
        h0[(word >> np.uint64(32)) & low] += one
        h1[(word >> np.uint64(40)) & low] += one
        h2[(word >> np.uint64(48)) & low] += one
        h3[word >> np.uint64(56)] += one
    for i in range(whole, len(row)):
        h0[row[i]] += one


@compiled
def laplacian(up, mid, down, a, n, buffer):
    """Sum and sum of squares of the 4-neighbor Laplacian at n pixels from plane position a."""
    u, c, d, left, right = up[a : a + n], mid[a : a + n], down[a : a + n], mid[a - 1 : a + n - 1], mid[a + 1 : a + n + 1]
    for i in range(n):
        ends = np.int16(np.int16(np.int16(u[i]) + np.int16(d[i])) + np.int16(np.int16(left[i]) + np.int16(right[i])))
        buffer[i] = np.int16(ends - np.int16(np.int16(c[i]) << np.int16(2)))
    total, square = np.int32(0), np.int32(0)
    for i in range(n):
        total = np.int32(total + np.int32(buffer[i]))
        square = np.int32(square + np.int32(buffer[i]) * np.int32(buffer[i]))
    return total, square


@compiled
def gradient(up, mid, down, a, n, shorts):
    """Sum of gx² + gy² (3x3 Sobel) and number of pixels where it reaches 100²."""
    u, c, d = up[a - 1 : a + n + 1], mid[a - 1 : a + n + 1], down[a - 1 : a + n + 1]
    smooth, step, across, along = shorts[0], shorts[1], shorts[2], shorts[3]
    for i in range(n + 2):
        smooth[i] = np.int16(np.int16(np.int16(u[i]) + np.int16(d[i])) + np.int16(np.int16(c[i]) << np.int16(1)))
        step[i] = np.int16(np.int16(d[i]) - np.int16(u[i]))
    for i in range(n):
        across[i] = np.int16(smooth[i + 2] - smooth[i])
        along[i] = np.int16(np.int16(step[i] + step[i + 2]) + np.int16(step[i + 1] << np.int16(1)))
    strong = np.int16(0)
    for i in range(n):  # cut at 100, both squares fit in 16 bits and reach 100² together exactly when the full ones do
        gx, gy = across[i], along[i]
        gx = min(max(gx, np.int16(-gx)), np.int16(100))
        gy = min(max(gy, np.int16(-gy)), np.int16(100))
        strong = np.int16(strong + np.int16(np.int16(np.int16(gx * gx) + np.int16(gy * gy)) >= np.int16(10000)))
    square = np.int32(0)
    for i in range(n):
        square = np.int32(square + np.int32(across[i]) * np.int32(across[i]) + np.int32(along[i]) * np.int32(along[i]))
    return square, strong


@compiled
def grain(up, mid, down, a, n, columns, values):
    """Sum of abs of the second difference in both directions."""
    u, c, d = up[a - 1 : a + n + 1], mid[a - 1 : a + n + 1], down[a - 1 : a + n + 1]
    for i in range(n + 2):
        columns[i] = np.int16(np.int16(np.int16(u[i]) + np.int16(d[i])) - np.int16(np.int16(c[i]) << np.int16(1)))
    for i in range(n):
        value = np.int16(np.int16(columns[i] + columns[i + 2]) - np.int16(columns[i + 1] << np.int16(1)))
        values[i] = max(value, np.int16(-value))
    return total_of(values[:n])


@compiled
def hues(red, green, blue, values, chromas, turns, out):
    """Counts of red, green, blue pixels, sum of the saturation, count of colored pixels.

    The divisions round to the tables sdiv and hdiv of the definition for all divisors. Hue is compared before its last
    shift, so 12 bits finer: ``hue >= 35`` is ``turn * hdiv >= 35 * 4096 - 2048``.
    """
    n = len(red)
    for i in range(n):
        r, g, b = red[i], green[i], blue[i]
        values[i] = max(r, g, b)
        chromas[i] = np.uint8(values[i] - min(r, g, b))
    for i in range(n):
        r, g, b, chroma = np.int16(red[i]), np.int16(green[i]), np.int16(blue[i]), np.int16(chromas[i])
        turn = np.int16(np.int16(r - g) + np.int16(chroma << np.int16(2)))
        turn = np.int16(np.int16(b - r) + np.int16(chroma << np.int16(1))) if values[i] == green[i] else turn
        turns[i] = np.int16(g - b) if values[i] == red[i] else turn
    reds, greens, blues, total, colored = np.int32(0), np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    for i in range(n):
        value, chroma = np.int32(values[i]), np.int32(chromas[i])
        fixed = np.int32(chroma * np.int32(np.rint(np.float32(1044480) / np.float32(max(value, np.int32(1))))))
        total = np.int32(total + np.int32(np.int32(fixed + np.int32(2048)) >> np.int32(12)))
        hue = np.int32(np.int32(turns[i]) * np.int32(np.rint(np.float32(122880) / np.float32(max(chroma, np.int32(1))))))
        vivid = (fixed >= np.int32(202752)) & (value >= np.int32(40))
        reds = np.int32(reds + np.int32(vivid & (hue >= np.int32(-43008)) & (hue < np.int32(43008))))
        greens = np.int32(greens + np.int32(vivid & (hue >= np.int32(141312)) & (hue < np.int32(309248))))
        blues = np.int32(blues + np.int32(vivid & (hue >= np.int32(366592)) & (hue < np.int32(534528))))
        colored = np.int32(colored + np.int32(chroma > np.int32(8)))
    out[22] += reds
    out[23] += greens
    out[24] += blues
    out[25] += total
    out[26] += colored


@compiled
def content(red, green, blue, index):
    """Sum of SplitMix64 of (index, R, G, B), modulo 2^64."""
    total = np.uint64(0)
    for i in range(len(red)):
        color = np.uint32(np.uint32(np.uint32(red[i]) << np.uint32(16)) | np.uint32(np.uint32(green[i]) << np.uint32(8)))
        z = (np.uint64(index + i) << np.uint64(24)) | np.uint64(np.uint32(color | np.uint32(blue[i])))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        total += z ^ (z >> np.uint64(31))
    return np.int64(total)


@compiled
def phases(mid, down, pairs, n, sums):
    """Add abs(Y[x+1] - Y[x]) by column into `sums` and return the sum of abs(Y[y+1] - Y[y]) of the row."""
    here, right, below = mid[PAD : PAD + n], mid[PAD + 1 : PAD + 1 + n], down[PAD : PAD + n]
    for i in range(pairs):
        sums[i] = np.uint16(sums[i] + np.uint16(np.uint8(max(here[i], right[i]) - min(here[i], right[i]))))
    total = np.int32(0)
    for i in range(n):
        total = np.int32(total + np.int32(np.uint8(max(here[i], below[i]) - min(here[i], below[i]))))
    return total


@compiled
def add_columns(row, sums):
    """Add a row of bytes to the sums of its columns."""
    for i in range(len(row)):
        sums[i] = np.uint16(sums[i] + np.uint16(row[i]))


@compiled
def flush(columns, x0, y, n, height, width, out):
    """Move 16-bit column sums to the phases, and to the cells of row y, and clear them."""
    for i in range(n):
        out[28 + (x0 + i) % 8] += columns[0, i]
    cells = out[44 + 8 * ((8 * y) // height) :]
    for k in range(8):
        begin, end = max((k * width + 7) // 8, x0), min(((k + 1) * width + 7) // 8, x0 + n)
        for x in range(begin, end):
            cells[k] += columns[1, x - x0]
    columns[:, :n] = 0


@compiled
def run_of_pixels(up, mid, down, a, n, edge_a, edge_n, flags, scratch, out, luma_counts, color_counts):
    """All groups of a region at n pixels from plane position a; `edge_*` is the part inside the frame's border."""
    shorts, octets = scratch[1], scratch[2]
    out[0] += n
    if flags & MOMENTS:
        cross_products(mid[0, a : a + n], mid[1, a : a + n], mid[2, a : a + n], out)
        if not flags & CHANNEL_TONES:  # else the histograms give them: 0.07 ns per pixel less
            powers(mid[0, a : a + n], mid[1, a : a + n], mid[2, a : a + n], out)
    if flags & TONES:
        tally(mid[3, a : a + n], luma_counts)
    if flags & EDGES:
        total, square = laplacian(up[3], mid[3], down[3], a, n, shorts[0])
        out[10] += total
        out[11] += square
    if flags & CHANNEL_EDGES:
        for c in range(3):
            total, square = laplacian(up[c], mid[c], down[c], a, n, shorts[0])
            out[12 + c] += total
            out[15 + c] += square
    if flags & GRADIENTS:
        square, strong = gradient(up[3], mid[3], down[3], a, n, shorts)
        out[18] += square
        out[19] += strong
    if (flags & GRAIN) and edge_n > 0:
        out[20] += edge_n
        out[21] += grain(up[3], mid[3], down[3], edge_a, edge_n, shorts[0], shorts[1])
    if flags & CHANNEL_TONES:
        for c in range(3):
            tally(mid[c, a : a + n], color_counts[c])
    if flags & HUES:
        hues(mid[0, a : a + n], mid[1, a : a + n], mid[2, a : a + n], octets[0], octets[1], shorts[0], out)


@compiled
def frame_row(mid, down, x0, y, n, height, width, flags, columns, out):
    """The groups only whole frames have, at one row of a tile."""
    if flags & PHASES:
        total = phases(mid[3], down[3], min(n, width - 1 - x0), n, columns[0])
        if y + 1 < height:
            out[36 + y % 8] += total
    if flags & CELLS:
        add_columns(mid[3, PAD : PAD + n], columns[1])
    if flags & CONTENT:
        out[27] += content(mid[0, PAD : PAD + n], mid[1, PAD : PAD + n], mid[2, PAD : PAD + n], y * width + x0)


@compiled
def sweep(data, frame, task, runs, flags, scratch, out, luma_counts, color_counts):
    """Add up one task: rectangle x0 y0 x1 y1 of a frame (start, height, width), or the runs in it."""
    start, height, width = frame
    planes, columns = scratch[0], scratch[3]
    halo = 1 if flags & STENCILS else 0
    luma = (flags & LUMA) != 0
    y0, y1 = task[2], task[4]
    for x0 in range(task[1], task[3], TILE):
        n = min(TILE, task[3] - x0)
        first, waiting = max(task[6], 0), 0
        for y in range(max(y0 - halo, 0), min(y0 + halo, height)):
            load(data, start + 3 * y * width, width, x0, n, planes[y % 3], luma)
        for y in range(y0, y1):
            if y + halo < height:
                load(data, start + 3 * (y + halo) * width, width, x0, n, planes[(y + halo) % 3], luma)
            up, mid, down = planes[reflect(y - 1, height) % 3], planes[y % 3], planes[reflect(y + 1, height) % 3]
            if task[5] and flags & WHOLE_FRAMES:
                frame_row(mid, down, x0, y, n, height, width, flags, columns, out)
                waiting += 1
                if waiting == 256 or y + 1 == y1 or (8 * (y + 1)) // height != (8 * y) // height:
                    flush(columns, x0, y, n, height, width, out)
                    waiting = 0
            while task[6] >= 0 and first < task[7] and runs[0][first] < y:
                first += 1
            run = first
            while task[6] < 0 or (run < task[7] and runs[0][run] == y):
                a, b = x0, x0 + n
                if task[6] >= 0:
                    a, b = max(a, runs[1][run]), min(b, runs[2][run])
                left, right = max(a, 1), min(b, width - 1)
                edge = right - left if 0 < y < height - 1 else 0
                at = PAD - x0
                if b > a:
                    run_of_pixels(up, mid, down, at + a, b - a, at + left, edge, flags, scratch, out, luma_counts, color_counts)
                if task[6] < 0:
                    break
                run += 1


@compiled
def sweep_tasks(data, frames, tasks, runs, flags, scratch, histograms, out, tones, channel_tones):
    """One sweep per row of tasks: frame, x0, y0, x1, y1, is a frame, first run (-1: whole), end of runs."""
    luma_counts, color_counts = histograms[0], histograms[1:]
    for t in range(len(tasks)):
        f = tasks[t, 0]
        frame = (frames[f, 0], frames[f, 1], frames[f, 2])
        sweep(data, frame, tasks[t], runs, flags, scratch, out[t], luma_counts, color_counts)
        if flags & TONES:
            for i in range(256):
                tones[t, i] = np.int64(luma_counts[0, i]) + luma_counts[1, i] + luma_counts[2, i] + luma_counts[3, i]
            luma_counts[:] = 0
        if flags & CHANNEL_TONES:
            for c in range(3):
                four = color_counts[c]
                for i in range(256):
                    here = np.int64(four[0, i]) + four[1, i] + four[2, i] + four[3, i]
                    channel_tones[t, 256 * c + i] = here
                    out[t, 1 + c] += i * here
                    out[t, 4 + c] += i * i * here
            color_counts[:] = 0


@compiled
def perceived_row(data, at, n, squares, bins):
    """K = 241 R² + 691 G² + 68 B² of n pixels from byte `at`, and K >> 14."""
    row = data[at : at + 3 * n]
    for i in range(0, 3 * n, 64):  # what follows in memory: 0.1 ns per pixel less
        fetch(data, at + 3 * n + i)
    for i in range(n):
        r, g, b = np.int32(row[3 * i]), np.int32(row[3 * i + 1]), np.int32(row[3 * i + 2])
        squares[i] = np.int32(np.int32(241) * r * r + np.int32(691) * g * g + np.int32(68) * b * b)
    for i in range(n):
        bins[i] = np.uint16(squares[i] >> np.int32(14))


@compiled
def holds(block, ranges):
    """Whether one of 64 bins lies in the first or second range (first and last bin of each)."""
    low, high = np.uint16(ranges[0]), np.uint16(ranges[2])
    low_width, high_width = np.uint16(ranges[1] - ranges[0]), np.uint16(ranges[3] - ranges[2])
    hits = np.uint16(0)
    for i in range(64):
        hits = np.uint16(hits + np.uint16(np.uint16(block[i] - low) <= low_width))
        hits = np.uint16(hits + np.uint16(np.uint16(block[i] - high) <= high_width))
    return hits != 0


@compiled
def count_below(bins, limit):
    """How many of at most 1,024 bins are smaller."""
    total = np.uint16(0)
    for i in range(len(bins)):
        total = np.uint16(total + np.uint16(bins[i] < limit))
    return np.int64(total)


@compiled
def coarse_counts(data, frame, rect, step, brackets, row, counts, below, blocks):
    """Histogram of K >> 14 in two brackets, pixels below each, and the blocks of 64 pixels that reach into one.

    Every `step`-th row counts. A block is tallied whole, so only bins inside the brackets are complete; the others are
    passed over without a store (0.2 ns per pixel less). Returns how many blocks were noted: 64 times the byte of the first
    pixel plus length - 1, then the bins, so that `fine_counts` need not find them anew (0.1 ns per pixel less).
    """
    squares, bins = row
    even, odd, low, one, noted = counts[0], counts[1], np.uint64(65535), np.uint32(1), 0
    for y in range(rect[1] + step // 2, rect[3], step):
        for x0 in range(rect[0], rect[2], TILE):
            n, at = min(TILE, rect[2] - x0), frame[0] + 3 * (y * frame[2] + x0)
            perceived_row(data, at, n, squares, bins)
            bins[n : n + 64] = NO_BIN
            below[0] += count_below(bins[:n], np.uint16(brackets[0]))
            below[1] += count_below(bins[:n], np.uint16(brackets[2]))
            for start in range(0, n, 64):
                if not holds(bins[start : start + 64], brackets):
                    continue
                words = bins[start : start + 64].view(np.uint64)
                for i in range(16):
                    word = words[i]
                    even[word & low] += one
                    odd[(word >> np.uint64(16)) & low] += one
                    even[(word >> np.uint64(32)) & low] += one
                    odd[word >> np.uint64(48)] += one
                blocks[noted, 0] = 64 * (at + 3 * start) + min(64, n - start) - 1
                for i in range(16):
                    blocks[noted, 1 + i] = words[i]
                noted += 1
    return noted


@compiled
def locate(counts, rank, first, last):
    """Bin from first to last that holds the pixel of this rank, its rank inside the bin, and the bin of the pixel that follows.

    The bin is -1 if it lies elsewhere, the bin that follows -1 if no more pixels are found.
    """
    reached, found, inside = np.int64(0), -1, np.int64(0)
    if rank >= 0:
        for i in range(first, last + 1):
            here = np.int64(counts[0, i]) + np.int64(counts[1, i])
            if found < 0 and rank < reached + here:
                found, inside = i, rank - reached
            if rank + 1 < reached + here:
                return found, inside, i
            reached += here
    return found, inside, -1


@compiled
def guess(counts, n, brackets):
    """Brackets of bins from the histogram of a sample: 4 % to 6.5 % of its n pixels, and all above 98 %."""
    brackets[0], _, _ = locate(counts, n * 4 // 100, 0, NO_BIN - 1)
    brackets[1], _, _ = locate(counts, n * 13 // 200, 0, NO_BIN - 1)
    brackets[2], _, _ = locate(counts, n * 98 // 100, 0, NO_BIN - 1)
    brackets[3] = NO_BIN - 1


@compiled
def anything(brackets):
    """Brackets that hold all bins."""
    brackets[0], brackets[1], brackets[2], brackets[3] = 0, NO_BIN - 1, 0, NO_BIN - 1


@compiled
def bracket(data, frame, rect, row, histograms, blocks):
    """Choose the brackets of a rectangle from about 32 of its rows; a small one is counted whole."""
    counts, _, _, _, brackets, below = histograms
    width, height = rect[2] - rect[0], rect[3] - rect[1]
    anything(brackets)
    if height < 128 or width * height < 1 << 14:
        return
    step = height // 32
    coarse_counts(data, frame, rect, step, brackets, row, counts, below, blocks)
    guess(counts, width * len(range(rect[1] + step // 2, rect[3], step)), brackets)
    counts[:] = 0
    below[:] = 0


@compiled
def fine_counts(data, blocks, noted, targets, row, fine):
    """Histograms of K & 16383 in the bins `targets`, from the noted blocks.

    No pixel lies between a target and the one that follows it, so two ranges stand for the four bins.
    """
    squares, bins = row
    for block in range(noted):
        if not holds(blocks[block, 1:].view(np.uint16), targets):
            continue
        n = blocks[block, 0] % 64 + 1
        perceived_row(data, blocks[block, 0] // 64, n, squares, bins)
        for i in range(n):
            for k in range(4):
                if bins[i] == targets[k]:
                    fine[k, squares[i] & np.int32(16383)] += np.uint32(1)
                    break


@compiled
def aim(counts, below, n, brackets, targets, inside):
    """Bins that hold the two ranks and the ones that follow them, and the four ranks inside them; false if a bracket misses."""
    for k in range(2):
        rank = (n - 1) * (5, 99)[k] // 100
        bin_of, within, following = locate(counts, rank - below[k], brackets[2 * k], brackets[2 * k + 1])
        if following < 0 and rank + 1 >= n:
            following = bin_of
        if bin_of < 0 or following < 0:
            return False
        targets[2 * k], inside[2 * k] = bin_of, within
        targets[2 * k + 1], inside[2 * k + 1] = following, within + 1 if following == bin_of else 0
    return True


@compiled
def order_statistics(targets, inside, fine, out):
    """The four values, from the histogram of each one's bin; equal bins share the first of their histograms."""
    for k in range(4):
        slot = 0
        while targets[slot] != targets[k]:
            slot += 1
        out[k] = value_of(fine[slot], inside[k], targets[k])


@compiled
def value_of(counts, rank, bin_of):
    """Value of the rank-th pixel of a bin; the last one if the rank is beyond."""
    below, last = np.int64(0), 0
    for i in range(16384):
        if counts[i]:
            below, last = below + np.int64(counts[i]), i
            if below > rank:
                break
    return (np.int64(bin_of) << 14) + last


@compiled
def perceived_tasks(data, frames, tasks, row, histograms, blocks, out):
    """Order statistics of K around the 5th and 99th percentile of the rectangle of each task; histograms end as zeros."""
    counts, fine, targets, inside, brackets, below = histograms
    for t in range(len(tasks)):
        f, rect = tasks[t, 0], tasks[t, 1:5]
        frame = (frames[f, 0], frames[f, 1], frames[f, 2])
        bracket(data, frame, rect, row, histograms, blocks)
        while True:
            noted = coarse_counts(data, frame, rect, 1, brackets, row, counts, below, blocks)
            hit = aim(counts, below, (rect[2] - rect[0]) * (rect[3] - rect[1]), brackets, targets, inside)
            counts[:] = 0
            below[:] = 0
            if hit:
                break
            anything(brackets)  # the sample misled: count all bins
        fine_counts(data, blocks, noted, targets, row, fine)
        order_statistics(targets, inside, fine, out[t])
        for k in range(4):
            if k == 0 or targets[k] != targets[k - 1]:
                fine[k] = 0


def pixel_statistics(pixels: Pixels, regions: Regions, groups: Collection[str]) -> dict[str, Statistics]:
    """What the pixels of every region add up to, on the threads of ``kernels.threads``; see ``kernels.pixels``."""
    wanted = checked(groups)
    data, frames = _host(pixels)
    sums: dict[str, Tensor] = {"area": areas(regions.rect), "cell_count": cell_counts(pixels.height, pixels.width)}
    sums |= _sweep(data, frames, regions, wanted)
    if "perceived" in wanted:
        sums["perceived"] = torch.from_numpy(_perceived(data, frames, regions))
    return structs(sums, wanted)


_local = threading.local()


def _arena(*parts: tuple[tuple[int, ...], type]) -> list[NDArray[Any]]:
    """Zeroed arrays one after the other, each from the start of a cache line: where they meet in the cache never varies."""
    sizes = [-(-math.prod(shape) * np.dtype(kind).itemsize // 64) * 64 for shape, kind in parts]
    memory = np.zeros(sum(sizes) + 4096, np.uint8)
    at = -memory.ctypes.data % 4096
    arrays: list[NDArray[Any]] = []
    for (shape, kind), size in zip(parts, sizes, strict=True):
        arrays.append(memory[at : at + math.prod(shape) * np.dtype(kind).itemsize].view(kind).reshape(shape))
        at += size
    return arrays


def _scratch() -> tuple[tuple[NDArray[Any], ...], NDArray[np.uint32]]:
    """Planes, int16 and byte rows, column sums, and the histograms of this thread; histograms and sums are left zero."""
    if not hasattr(_local, "scratch"):
        rows = (((3, 4, PITCH), np.uint8), ((4, PITCH), np.int16), ((2, PITCH), np.uint8), ((2, TILE), np.uint16))
        histograms, *others = _arena(((4, 4, 256), np.uint32), *rows)
        _local.scratch = (tuple(others), histograms)
    return _local.scratch  # type: ignore[no-any-return]


def _host(pixels: Pixels) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The buffer, and offset, height and width of every frame."""
    frames = torch.stack([pixels.offset.long(), pixels.height.long(), pixels.width.long()], 1)
    return pixels.data.contiguous().numpy(), frames.numpy()


def _tasks(regions: Regions, frames: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bands of at most `BAND` pixels of every region that holds pixels, and the region each belongs to."""
    rect = regions.rect.numpy().astype(np.int64)
    width, height = rect[:, 2] - rect[:, 0], rect[:, 3] - rect[:, 1]
    rows = np.maximum(BAND // np.maximum(width, 1), 1)
    bands = np.where((width > 0) & (height > 0), -(-height // rows), 0)
    region = np.repeat(np.arange(len(rect)), bands)
    band = np.arange(len(region)) - np.repeat(np.cumsum(bands) - bands, bands)
    tasks = np.empty((len(region), 8), np.int64)
    tasks[:, 0] = regions.frame.numpy()[region]
    tasks[:, 1:5] = rect[region]
    tasks[:, 2] = rect[region, 1] + band * rows[region]
    tasks[:, 4] = np.minimum(tasks[:, 2] + rows[region], rect[region, 3])
    tasks[:, 5] = region < frames
    tasks[:, 6:] = -1
    if regions.spans is not None:
        masked, offset = ~regions.spans.whole.numpy()[region], regions.spans.offset.numpy()
        tasks[masked, 6] = offset[region[masked]]
        tasks[masked, 7] = offset[region[masked] + 1]
    return tasks, region


def _jobs(tasks: NDArray[np.int64]) -> list[slice]:
    """Consecutive tasks of about equal work: a few jobs per thread, so that the last one to finish is short."""
    work = ((tasks[:, 3] - tasks[:, 1]) * (tasks[:, 4] - tasks[:, 2])).cumsum()
    count = 4 * threads() if threads() > 1 and len(work) and work[-1] > 1 << 16 else 1
    cuts = np.searchsorted(work, np.linspace(0, work[-1] if len(work) else 0, count + 1)[1:-1])
    edges = np.unique(np.concatenate([[0], cuts, [len(tasks)]]))
    return [slice(a, b) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]


def _runs(regions: Regions) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    spans = regions.spans
    if spans is None:
        none = np.empty(0, np.int64)
        return none, none, none
    return spans.y.long().numpy(), spans.x0.long().numpy(), spans.x1.long().numpy()


def _sweep(data: NDArray[np.uint8], frames: NDArray[np.int64], regions: Regions, wanted: frozenset[str]) -> dict[str, Tensor]:
    """All accumulators but `perceived`: int64, one row per region (phases, cells, content: per frame)."""
    tasks, region = _tasks(regions, len(frames))
    flags, runs = sum(FLAGS[name] for name in wanted), _runs(regions)
    out = np.zeros((len(tasks), WIDTH), np.int64)
    tones = np.zeros((len(tasks), 256 if "tones" in wanted else 0), np.int64)
    channel_tones = np.zeros((len(tasks), 768 if "channel_tones" in wanted else 0), np.int64)

    def work(job: slice) -> None:
        sweep_tasks(data, frames, tasks[job], runs, flags, *_scratch(), out[job], tones[job], channel_tones[job])

    if wanted - {"perceived"}:
        spread(work, _jobs(tasks))
    out, tones, channel_tones = (_per_region(rows, region, len(regions.frame)) for rows in (out, tones, channel_tones))
    sums = {name: torch.from_numpy(out)[:, columns] for name, columns in COLUMNS.items()}
    for name in ("phases", "cells", "content"):
        sums[name] = sums[name][: len(frames)]
    squeezed = {name: sums[name].squeeze(1) for name in ("count", "content")}
    return sums | squeezed | {"tones": torch.from_numpy(tones), "channel_tones": torch.from_numpy(channel_tones)}


def _per_region(rows: NDArray[np.int64], region: NDArray[np.int64], regions: int) -> NDArray[np.int64]:
    """Add the rows of the bands of a region; regions without any hold zeros."""
    if len(region) == regions and (region == np.arange(regions)).all():
        return rows
    total = np.zeros((regions, rows.shape[1]), np.int64)
    np.add.at(total, region, rows)
    return total


def _perceived(data: NDArray[np.uint8], frames: NDArray[np.int64], regions: Regions) -> NDArray[np.int64]:
    """Low and high order statistics of every region: int64 [r, 4]; regions above `BAND` are cut into bands of rows."""
    rect = regions.rect.numpy().astype(np.int64)
    area = areas(regions.rect).numpy()
    tasks = np.concatenate([regions.frame.numpy()[:, None], rect], 1)
    total = np.zeros((len(rect), 4), np.int64)
    small = np.flatnonzero((area > 0) & ((area <= BAND) | (threads() == 1)))
    rows, mine = np.zeros((len(small), 4), np.int64), tasks[small]

    def work(job: slice) -> None:
        perceived_tasks(data, frames, mine[job], _row_of_squares(), _own_histograms(), _blocks(mine[job, 1:]), rows[job])

    spread(work, _jobs(mine))
    total[small] = rows
    for index in np.setdiff1d(np.flatnonzero(area), small):
        frame = tuple(frames[tasks[index, 0]].tolist())
        total[index] = _perceived_large(data, frame, rect[index], int(area[index]))
    return total


def _row_of_squares() -> tuple[NDArray[Any], ...]:
    """K and K >> 14 of a row, of this thread."""
    if not hasattr(_local, "squares"):
        _local.squares = tuple(_arena(((TILE,), np.int32), ((TILE + 64,), np.uint16)))
    return _local.squares  # type: ignore[no-any-return]


def _histograms() -> tuple[NDArray[Any], ...]:
    """Coarse and fine counts, bins aimed at, ranks inside them, brackets, pixels below them."""
    fours = [((4,), np.int64)] * 3
    return tuple(_arena(((2, NO_BIN + 1), np.uint32), ((4, 16384), np.uint32), *fours, ((2,), np.int64)))


def _own_histograms() -> tuple[NDArray[Any], ...]:
    """The histograms of this thread, zero between calls: fresh pages cost 0.03 ns per pixel of 16 VGA frames."""
    if not hasattr(_local, "histograms"):
        _local.histograms = _histograms()
    return _local.histograms  # type: ignore[no-any-return]


def _blocks(rect: NDArray[np.int64]) -> NDArray[np.int64]:
    """Room for the blocks of 64 pixels of any of the rectangles; the last one of a row may be shorter."""
    rows, width = rect[:, 3] - rect[:, 1], rect[:, 2] - rect[:, 0]
    return np.empty((int((rows * -(-width // 64)).max(initial=0)), 17), np.int64)


def _perceived_large(data: NDArray[np.uint8], frame: tuple[int, ...], rect: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Order statistics of one large region, whose rows are spread over threads; sums of histograms know no order."""
    bands = np.tile(rect, (threads(), 1))
    cuts = np.linspace(rect[1], rect[3], threads() + 1).astype(np.int64)
    bands[:, 1], bands[:, 3] = cuts[:-1], cuts[1:]
    blocks = [_blocks(band[None]) for band in bands]
    coarse, fine, all_targets, all_inside, all_brackets, below = zip(*(_histograms() for _ in bands), strict=True)
    targets, inside, brackets = all_targets[0], all_inside[0], all_brackets[0]
    first = (coarse[0], fine[0], targets, inside, brackets, below[0])
    bracket(data, frame, rect, _row_of_squares(), first, _blocks(rect[None]))
    noted = [0] * len(bands)

    def count(i: int) -> None:
        coarse[i][:], below[i][:] = 0, 0
        noted[i] = coarse_counts(data, frame, bands[i], 1, brackets, _row_of_squares(), coarse[i], below[i], blocks[i])

    spread(count, range(len(bands)))
    if not aim(np.sum(coarse, axis=0, dtype=np.int64), np.sum(below, axis=0), n, brackets, targets, inside):
        anything(brackets)  # the sample misled: count all bins
        spread(count, range(len(bands)))
        aim(np.sum(coarse, axis=0, dtype=np.int64), np.sum(below, axis=0), n, brackets, targets, inside)
    spread(lambda i: fine_counts(data, blocks[i], noted[i], targets, _row_of_squares(), fine[i]), range(len(bands)))
    out = np.empty(4, np.int64)
    order_statistics(targets, inside, np.sum(fine, axis=0, dtype=np.int64), out)
    return out
