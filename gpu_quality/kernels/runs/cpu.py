"""Runs of set pixels on CPU cores: masks and pairs are spread over threads."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.kernels.runs import MAX_PIXELS, Runs
from gpu_quality.kernels.threads import spread

CHUNK: Final = 256
"""Masks a thread takes at a time."""
CODE: Final = 48
"""The character that stands for 0."""
FINE: Final = 5
"""Steps of COCO's grid to a pixel."""

Part = tuple[NDArray[Any], ...]
"""Columns of `Runs` as arrays: first, count, start, end, area, box, plain."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def measure(start, end, height, box):
    """Set pixels of the runs of one mask, and whether every column of its box has exactly one; its box is written to `box`.

    Half a pixel from the borders of columns, a product with 1 / height falls into the right column: positions have 30 bits.
    """
    box[:] = 0
    if len(start) == 0:
        return 0, False
    inverse = 1.0 / height
    left = np.int32((start[0] + 0.5) * inverse)
    area, top, bottom, odd = 0, height, 0, 0
    for r in range(len(start)):
        a, b = start[r], end[r]
        column, last = np.int32((a + 0.5) * inverse), np.int32((b - 0.5) * inverse)
        within = column == last
        area += b - a
        top = min(top, a - column * height if within else 0)
        bottom = max(bottom, b - last * height if within else height)
        odd |= (column - left - r) | (last - column)
    box[0], box[1], box[2], box[3] = left, top, (end[-1] - 1) // height + 1, bottom
    return area, odd == 0


@compiled
def number(text, at, stop):
    """The number that starts at a place of a text, and the place after it; a place of -1 where the coding is broken."""
    value, shift = 0, 0
    while at < stop:
        code = np.int64(text[at]) - CODE
        if code < 0 or code > 63 or shift > 30:
            return 0, -1
        value |= (code & 31) << shift
        shift, at = shift + 5, at + 1
        if code < 32:
            return value - ((code & 16) << (shift - 4)), at
    return 0, -1


@compiled
def short_number(one, other):
    """A number of one or two characters and how many it has, without a branch: which it will be is hard to foresee."""
    two = one >> 5
    value = (one & 31) | ((other << 5) & -two)
    sign = np.int64(16) << (5 * two)
    return (value ^ sign) - sign, 1 + two


@compiled
def decode_one(text, at, stop, pixels, start, end, room):
    """Write the runs of one text from `room` on; returns how many, or -1 where the text is broken.

    Counts alternate between unset and set pixels; from the third pair on unset ones, from the second on set ones are stored as
    differences to the pair before. A broken text may write anything into its own room.
    """
    used, position, unset, was_set, sign = room, 0, 0, 0, 0
    pair = 0
    while at < stop:
        plain = False
        if at + 3 < stop:
            a, b = np.int64(text[at]) - CODE, np.int64(text[at + 1]) - CODE
            c, d = np.int64(text[at + 2]) - CODE, np.int64(text[at + 3]) - CODE
            if 0 <= (a | b) < 32:  # nearly all differences are this small
                value, more, plain = (a ^ 16) - 16, (b ^ 16) - 16, True
                at += 2
            elif 0 <= (a | b | c | d) < 64:
                value, size = short_number(a, b)
                third, fourth = (c, d) if size == 2 else (b, c)
                more, its = short_number(third, fourth)
                if a & b & 32 == 0 and third & fourth & 32 == 0:
                    at, plain = at + size + its, True
        if not plain:
            value, at = number(text, at, stop)
            if at < 0:
                return -1
            more = -was_set
            if at < stop:
                more, at = number(text, at, stop)
                if at < 0:
                    return -1
        unset = value + (unset if pair > 1 else 0)
        was_set += more
        pair += 1
        sign |= unset | was_set
        start[used] = position + unset
        position += unset + was_set
        end[used] = position
        used += was_set > 0
        if position > pixels:
            return -1
    return used - room if position == pixels and sign >= 0 else -1


@compiled
def decode_some(text, offset, room, height, width, begin, stop, start, end, count, area, box, plain):
    """Decode and measure masks begin .. stop."""
    for i in range(begin, stop):
        h, w = height[i], width[i]
        found = -1
        if 0 < h <= MAX_PIXELS and 0 < w <= MAX_PIXELS and h * w <= MAX_PIXELS:
            found = decode_one(text, offset[i], offset[i + 1], h * w, start, end, room[i])
        count[i] = found
        own = slice(room[i], room[i] + max(found, 0))
        area[i], plain[i] = measure(start[own], end[own], h, box[i])


@compiled
def larger(values, need):
    """`values`, or a copy with room for `need` numbers and more."""
    if need <= len(values):
        return values
    copy = np.empty(max(need, 2 * len(values)), values.dtype)
    copy[: len(values)] = values
    return copy


@compiled
def row_below(low, height):
    """First row whose pixels lie after a crossing at step `low` of the fine grid, 0 .. height."""
    return int(np.ceil(min(max((low + 0.5) / FINE - 0.5, 0.0), float(height))))


@compiled
def cross_edge(x0, y0, x1, y1, height, width, found, count):
    """Append the positions from which an edge (points of the fine grid) toggles the rest of a column."""
    dx, dy = abs(x1 - x0), abs(y1 - y0)
    if dx == 0 or max(x0, x1) <= FINE // 2 or min(x0, x1) > FINE * width:
        return found, count
    if (dx >= dy and x0 > x1) or (dx < dy and y0 > y1):  # steps are counted along the longer side, upwards
        x0, y0, x1, y1 = x1, y1, x0, y0
    left, right = min(x0, x1), max(x0, x1)
    # Column X is crossed where the border steps between 5 X + 2 and 5 X + 3.
    begin = max(-((FINE // 2 - left) // FINE), 0)
    stop = min((right - FINE // 2 - 1) // FINE, width - 1)
    found = larger(found, count + max(stop - begin + 1, 0))
    slope = (y1 - y0) / dx if dx >= dy else (x1 - x0) / dy
    for column in range(begin, stop + 1):
        x = FINE * column + FINE // 2
        if dx >= dy:
            t = x - x0
            low = min(int(y0 + slope * t + 0.5), int(y0 + slope * (t + 1) + 0.5))
        else:
            t = min(max(int((x + 0.5 - x0) / slope), 1), dy)
            if slope > 0:
                while t > 1 and int(x0 + slope * (t - 1) + 0.5) > x:
                    t -= 1
                while t < dy and int(x0 + slope * t + 0.5) <= x:
                    t += 1
            else:
                while t > 1 and int(x0 + slope * (t - 1) + 0.5) <= x:
                    t -= 1
                while t < dy and int(x0 + slope * t + 0.5) > x:
                    t += 1
            low = t - 1 + y0
        found[count] = column * height + row_below(low, height)
        count += 1
    return found, count


@compiled
def toggles_of(points, begin, stop, height, width, found, count):
    """Append the positions, in order, at which the inside of one ring starts and ends in turn; an even number of them."""
    own = count
    x0, y0 = int(FINE * points[stop - 1, 0] + 0.5), int(FINE * points[stop - 1, 1] + 0.5)
    for p in range(begin, stop):
        x1, y1 = int(FINE * points[p, 0] + 0.5), int(FINE * points[p, 1] + 0.5)
        found, count = cross_edge(x0, y0, x1, y1, height, width, found, count)
        x0, y0 = x1, y1
    if (count - own) % 2:
        found = larger(found, count + 1)
        found[count] = height * width
        count += 1
    found[own:count].sort()
    return found, count


@compiled
def draw_one(points, points_of, begin, stop, height, width, start, end, used):
    """Append the runs of one object, its rings united; returns the arrays and where they now end."""
    found, count = np.empty(64, np.int64), 0
    step = np.empty(0, np.int64)
    for ring in range(begin, stop):
        if points_of[ring + 1] > points_of[ring]:
            found, count = toggles_of(points, points_of[ring], points_of[ring + 1], height, width, found, count)
    if stop - begin > 1:
        order = np.argsort(found[:count])
        step = 1 - 2 * (order % 2)  # toggles of a ring come in pairs, so odd places end a run
        found = found[order]
    own, depth = used, 0
    start, end = larger(start, used + count // 2 + 1), larger(end, used + count // 2 + 1)
    for k in range(count):
        was = depth
        depth += step[k] if stop - begin > 1 else 1 - 2 * (k % 2)
        if was == 0:
            if used > own and end[used - 1] == found[k]:
                used -= 1
            else:
                start[used] = found[k]
        elif depth == 0:
            end[used] = found[k]
            used += end[used] > start[used]
    return start, end, used


@compiled
def draw_some(points, points_of, rings, height, width, first, count, area, box, plain):
    """Draw and measure some objects."""
    start, end, used = np.empty(1024, np.int32), np.empty(1024, np.int32), 0
    for i in range(len(height)):
        first[i] = used
        start, end, used = draw_one(points, points_of, rings[i], rings[i + 1], height[i], width[i], start, end, used)
        count[i] = used - first[i]
        area[i], plain[i] = measure(start[first[i] : used], end[first[i] : used], height[i], box[i])
    return start[:used].copy(), end[:used].copy()


def cuts(count: int, size: int) -> list[tuple[int, int]]:
    """Ranges of `size` out of `count`."""
    return [(begin, min(begin + size, count)) for begin in range(0, count, size)]


def decode(texts: list[bytes], height: Int64[Tensor, " m"], width: Int64[Tensor, " m"]) -> tuple[Runs, Int64[Tensor, " b"]]:
    """Runs of COCO-compressed masks, and the rows of broken ones; see ``kernels.runs``."""
    many = len(texts)
    length = np.fromiter(map(len, texts), np.int64, many)
    offset, room = (np.concatenate([np.zeros(1, np.int64), np.cumsum(part)]) for part in (length, length // 2 + 1))
    text = np.frombuffer(b"".join(texts), np.uint8)
    start, end = np.empty(room[-1], np.int32), np.empty(room[-1], np.int32)
    count, area, box = np.empty(many, np.int64), np.empty(many, np.int64), np.empty((many, 4), np.int32)
    plain = np.empty(many, np.bool_)
    height, width = height.contiguous(), width.contiguous()
    h, w = height.numpy(), width.numpy()
    spread(lambda cut: decode_some(text, offset, room, h, w, *cut, start, end, count, area, box, plain), cuts(many, CHUNK))
    broken = np.flatnonzero(count < 0)
    count[broken] = 0
    part = (room[:-1], count, start, end, area, box, plain)
    return _tensors(part, height, width), torch.from_numpy(broken)


def _tensors(part: Part, height: Tensor, width: Tensor) -> Runs:
    first, count, start, end, area, box, plain = (torch.from_numpy(column) for column in part)
    return Runs(first, count, start, end, area, box, plain, height, width)


def joined(parts: list[Part], height: Tensor, width: Tensor) -> Runs:
    """Runs of masks that were worked on in pieces."""
    types = (np.int64, np.int64, np.int32, np.int32, np.int64, np.int32, np.bool_)
    empty: Part = tuple(np.zeros((0, 4) if place == 5 else 0, kind) for place, kind in enumerate(types))
    ends = np.cumsum([0, *(len(part[2]) for part in parts)])
    moved = [(part[0] + at, *part[1:]) for part, at in zip(parts, ends.tolist(), strict=False)]
    return _tensors(tuple(np.concatenate(column) for column in zip(empty, *moved, strict=True)), height, width)


def draw(
    points: Float64[Tensor, "p 2"],
    points_of: Int64[Tensor, " rings_plus_1"],
    rings: Int64[Tensor, " m_plus_1"],
    height: Int64[Tensor, " m"],
    width: Int64[Tensor, " m"],
) -> Runs:
    """Pixels of polygons by COCO's rule; see ``kernels.runs``."""
    numbers, lines, rings_of = points.contiguous().numpy(), points_of.contiguous().numpy(), rings.contiguous().numpy()
    h, w = height.contiguous().numpy(), width.contiguous().numpy()
    done: dict[int, Part] = {}

    def work(cut: tuple[int, int]) -> None:
        many = cut[1] - cut[0]
        first, count, area = np.zeros((3, many), np.int64)
        box, plain = np.zeros((many, 4), np.int32), np.zeros(many, np.bool_)
        own, sides = rings_of[cut[0] : cut[1] + 1], [side[slice(*cut)] for side in (h, w)]
        start, end = draw_some(numbers, lines, own, *sides, first, count, area, box, plain)
        done[cut[0]] = first, count, start, end, area, box, plain

    spread(work, cuts(len(h), CHUNK))
    return joined([done[key] for key in sorted(done)], height, width)
