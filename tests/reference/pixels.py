"""Pixel statistics, thumbnails and Hamming groups as plain loops over single pixels."""

import math

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Box = tuple[int, int, int, int]
MASK = (1 << 64) - 1


def luma(r: int, g: int, b: int) -> int:
    return (19595 * r + 38470 * g + 7471 * b + 32768) >> 16


def mirror(i: int, side: int) -> int:
    if side == 1:
        return 0
    i = abs(i)
    return i if i < side else 2 * (side - 1) - i


def round_half_even(numerator: int, denominator: int) -> int:
    return round(numerator / denominator) if denominator else 0


def hue_saturation(r: int, g: int, b: int) -> tuple[int, int, int, int]:
    v, d = max(r, g, b), max(r, g, b) - min(r, g, b)
    s = (d * round_half_even(255 * 4096, v) + 2048) >> 12
    h = g - b if v == r else b - r + 2 * d if v == g else r - g + 4 * d
    h = (h * round_half_even(180 * 4096, 6 * d) + 2048) >> 12
    return (h + 180 if h < 0 else h), s, v, d


def region_statistics(image: Image, pixels: list[tuple[int, int]]) -> dict[str, dict[str, object]]:
    """The groups of a region that consists of the given (x, y)."""
    h, w, _ = image.shape
    rgb = image.astype(int).tolist()
    at = lambda x, y, c: rgb[mirror(y, h)][mirror(x, w)][c]  # noqa: E731
    ys = lambda x, y: luma(at(x, y, 0), at(x, y, 1), at(x, y, 2))  # noqa: E731
    zeros = lambda n: [0] * n  # noqa: E731
    out: dict[str, dict[str, object]] = {
        "moments": {"sum": zeros(3), "square": zeros(3), "opponent": zeros(2), "opponent_square": zeros(2)},
        "tones": {"histogram": zeros(256)},
        "edges": {"laplacian": 0, "laplacian_square": 0},
        "gradients": {"square": 0, "strong": 0},
        "grain": {"absolute": 0},
        "channel_edges": {"laplacian": zeros(3), "laplacian_square": zeros(3)},
        "channel_tones": {"histogram": [zeros(256) for _ in range(3)]},
        "hues": {"shares": zeros(3), "saturation": 0, "colored": 0},
    }
    interior = 0
    for x, y in pixels:
        color = [at(x, y, c) for c in range(3)]
        m, e, hue = out["moments"], out["channel_edges"], out["hues"]
        for c, v in enumerate(color):
            m["sum"][c] += v
            m["square"][c] += v * v
            out["channel_tones"]["histogram"][c][v] += 1
            lap = at(x - 1, y, c) + at(x + 1, y, c) + at(x, y - 1, c) + at(x, y + 1, c) - 4 * v
            e["laplacian"][c] += lap
            e["laplacian_square"][c] += lap * lap
        for i, axis in enumerate((color[0] - color[1], color[0] + color[1] - 2 * color[2])):
            m["opponent"][i] += axis
            m["opponent_square"][i] += axis * axis
        out["tones"]["histogram"][ys(x, y)] += 1
        lap = ys(x - 1, y) + ys(x + 1, y) + ys(x, y - 1) + ys(x, y + 1) - 4 * ys(x, y)
        out["edges"]["laplacian"] += lap
        out["edges"]["laplacian_square"] += lap * lap
        gx = sum(k * (ys(x + 1, y + j) - ys(x - 1, y + j)) for j, k in ((-1, 1), (0, 2), (1, 1)))
        gy = sum(k * (ys(x + j, y + 1) - ys(x + j, y - 1)) for j, k in ((-1, 1), (0, 2), (1, 1)))
        out["gradients"]["square"] += gx * gx + gy * gy
        out["gradients"]["strong"] += gx * gx + gy * gy >= 100 * 100
        if 0 < x < w - 1 and 0 < y < h - 1:
            interior += 1
            kernel = ((1, -2, 1), (-2, 4, -2), (1, -2, 1))
            out["grain"]["absolute"] += abs(sum(kernel[j][i] * ys(x + i - 1, y + j - 1) for i in range(3) for j in range(3)))
        h180, s, v, d = hue_saturation(*color)
        if s >= 50 and v >= 40:
            hue["shares"][0] += h180 <= 10 or h180 >= 170
            hue["shares"][1] += 35 <= h180 <= 75
            hue["shares"][2] += 90 <= h180 <= 130
        hue["saturation"] += s
        hue["colored"] += d > 8
    for name, sums in out.items():
        sums["count"] = interior if name == "grain" else len(pixels)
    return out


def perceived(image: Image, box: Box) -> dict[str, object]:
    x0, y0, x1, y1 = box
    colors = image[y0:y1, x0:x1].reshape(-1, 3).astype(int).tolist()
    values = sorted(241 * r * r + 691 * g * g + 68 * b * b for r, g, b in colors)
    n = len(values)
    if n == 0:
        return {"count": 0, "low": [0, 0], "high": [0, 0]}
    pair = lambda q: [values[(n - 1) * q // 100], values[min((n - 1) * q // 100 + 1, n - 1)]]  # noqa: E731
    return {"count": n, "low": pair(5), "high": pair(99)}


def splitmix64(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def frame_statistics(image: Image) -> dict[str, dict[str, object]]:
    h, w, _ = image.shape
    y = [[luma(*color) for color in row] for row in image.astype(int).tolist()]
    dx, dy = [0] * 8, [0] * 8
    cells, counts = [[0] * 8 for _ in range(8)], [[0] * 8 for _ in range(8)]
    content = 0
    for j in range(h):
        for i in range(w):
            if i + 1 < w:
                dx[i % 8] += abs(y[j][i + 1] - y[j][i])
            if j + 1 < h:
                dy[j % 8] += abs(y[j + 1][i] - y[j][i])
            cells[8 * j // h][8 * i // w] += y[j][i]
            counts[8 * j // h][8 * i // w] += 1
            r, g, b = image[j, i].tolist()
            content = (content + splitmix64(((j * w + i) << 24) | (r << 16) | (g << 8) | b)) & MASK
    signed = content - (1 << 64) if content >> 63 else content
    return {"phases": {"dx": dx, "dy": dy}, "cells": {"sum": cells, "count": counts}, "content": {"sum": signed}}


def phash_bits(square: Image) -> list[bool]:
    """64 bits of a 32x32 thumbnail: low cosine coefficients above their median."""
    basis = [[round(2**20 * math.cos(math.pi * k * (2 * n + 1) / 64)) for n in range(32)] for k in range(8)]
    c, t = np.array(basis, dtype=object), square.astype(object)
    d = (c @ t @ c.T).flatten().tolist()
    a, b = sorted(d)[31:33]
    return [2 * v > a + b for v in d]


def dhash_bits(wide: Image) -> list[bool]:
    """64 bits of a thumbnail 9 wide and 8 high: does it get brighter to the right?"""
    return [bool(row[x + 1] > row[x]) for row in wide.astype(int).tolist() for x in range(8)]


def nearest(codes: list[int]) -> list[int]:
    return [min((a ^ b).bit_count() for j, b in enumerate(codes) if j != i) for i, a in enumerate(codes)]


def leaders(codes: list[int], take: list[bool], radius: int) -> list[int]:
    lead = [-1] * len(codes)
    for i, code in enumerate(codes):
        if take[i] and lead[i] < 0:
            for j, other in enumerate(codes):
                if take[j] and lead[j] < 0 and (code ^ other).bit_count() <= radius:
                    lead[j] = i
    return lead
