"""Masks as run lengths in COCO's compressed form: checked and decoded in NumPy alone, so hostile counts reach no native code.

A mask of h rows and w columns is read down its columns. The counts are lengths of runs of unset and set pixels in turn. From
the fourth on, each is stored as the difference to the one two places before it, in groups of 5 bits, least significant first;
a group is the character 48 + bits, plus 32 where another group follows, and bit 16 of the last group is the sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

MAX_PIXELS: Final = 1 << 30
"""Larger masks are refused: decoders allow frames of 64 megapixels, and 32-bit counts must not wrap."""
_MAX_GROUPS: Final = 7


@dataclass(frozen=True, slots=True)
class Runs:
    """Run lengths of many masks as CSR: mask `i` owns ``counts[offset[i]:offset[i + 1]]``, unset pixels first."""

    offset: Ints
    counts: Ints
    legal: NDArray[np.bool_]
    """Whether the text of mask `i` follows the coding; where not, its counts mean nothing."""


def _offsets(lengths: Ints) -> Ints:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _group_sums(values: Ints, starts: Ints) -> Ints:
    """Sums of ``values[starts[i]:starts[i + 1]]``; none of these ranges is empty."""
    return np.add.reduceat(values, starts) if len(starts) else np.zeros(0, np.int64)


def _undo_differences(values: Ints, place: Ints, mask: Ints) -> Ints:
    """Running sums of every second number of each mask, the first number standing alone."""
    counts = values.copy()
    for parity in (0, 1):
        chain = np.flatnonzero((place % 2 == parity) & (place > 0))
        if len(chain):
            total = np.cumsum(values[chain])
            first = np.concatenate([[True], mask[chain][1:] != mask[chain][:-1]])
            before = (total - values[chain])[first]
            counts[chain] = total - before[np.cumsum(first) - 1]
    return counts


def decode_counts(texts: Sequence[bytes]) -> Runs:
    """Run lengths of many compressed masks at once; text that does not follow the coding is marked, never followed."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    code = np.frombuffer(b"".join(texts), np.uint8).astype(np.int64) - 48
    owner = np.repeat(np.arange(len(texts)), lengths)
    legal = lengths > 0
    legal[owner[(code < 0) | (code > 63)]] = False
    ends = _offsets(lengths)[1:][lengths > 0] - 1
    legal[owner[ends[code[ends] & 32 != 0]]] = False
    last = code & 32 == 0
    last[ends] = True
    stop = np.flatnonzero(last)
    start = np.concatenate([np.zeros(min(1, len(stop)), np.int64), stop[:-1] + 1])
    size = stop - start + 1
    legal[owner[start[size > _MAX_GROUPS]]] = False
    group = np.minimum(np.arange(len(code)) - np.repeat(start, size), _MAX_GROUPS)
    values = _group_sums((code & 31) << (5 * group), start)
    values -= np.where(code[stop] & 16 != 0, np.int64(1) << (5 * np.minimum(size, _MAX_GROUPS)), 0)
    mask = owner[start]
    offset = _offsets(np.bincount(mask, minlength=len(texts)).astype(np.int64))
    place = np.arange(len(values)) - offset[mask]
    return Runs(offset, _undo_differences(values, place, mask), legal)


def check(texts: Sequence[bytes], height: Ints, width: Ints) -> tuple[Runs, list[str]]:
    """Run lengths, and per mask what is wrong with it ("" = nothing): the counts must tile height * width exactly."""
    runs = decode_counts(texts)
    problems = [""] * len(texts)
    owner = np.repeat(np.arange(len(texts)), np.diff(runs.offset))
    negative = np.zeros(len(texts), bool)
    negative[owner[(runs.counts < 0) | (runs.counts > MAX_PIXELS)]] = True
    total = np.bincount(owner, np.clip(runs.counts, 0, MAX_PIXELS).astype(np.float64), len(texts))
    sane = (height > 0) & (width > 0) & (height <= MAX_PIXELS) & (width <= MAX_PIXELS)
    pixels = np.where(sane, height * np.where(sane, width, 0), 0)
    for i in np.flatnonzero(~runs.legal | negative | ~sane | (pixels > MAX_PIXELS) | (total != pixels)):
        if not sane[i] or pixels[i] > MAX_PIXELS:
            problems[i] = f"mask size {height[i]} x {width[i]} is not between 1 and {MAX_PIXELS} pixels"
        elif not runs.legal[i]:
            problems[i] = "counts of the mask are not COCO-compressed run lengths"
        elif negative[i]:
            problems[i] = "counts of the mask hold a negative or far too large run"
        else:
            problems[i] = f"counts of the mask sum to {int(total[i])}, its size {height[i]} x {width[i]} asks for {pixels[i]}"
    return runs, problems


def encode_counts(counts: Ints, offset: Ints) -> list[bytes]:
    """Compressed text of many masks given as run lengths (CSR, each >= 0)."""
    lengths = np.diff(offset)
    place = np.arange(len(counts)) - np.repeat(offset[:-1], lengths)
    value = counts.copy()
    later = np.flatnonzero(place > 2)
    value[later] -= counts[later - 2]
    size = np.ones(len(value), np.int64)
    for groups in range(1, _MAX_GROUPS):
        limit = np.int64(1) << (5 * groups - 1)
        size += (value < -limit) | (value >= limit)
    start = _offsets(size)
    group = np.arange(start[-1]) - np.repeat(start[:-1], size)
    code = (np.repeat(value, size) >> (5 * group)) & 31
    code[group < np.repeat(size, size) - 1] |= 32
    text = (code + 48).astype(np.uint8).tobytes()
    cuts = start[offset].tolist()
    return [text[a:b] for a, b in pairwise(cuts)]


def areas(runs: Runs) -> Ints:
    """Number of set pixels of each mask."""
    place = np.arange(len(runs.counts)) - np.repeat(runs.offset[:-1], np.diff(runs.offset))
    total = _offsets(np.where(place % 2 == 1, runs.counts, 0))
    return total[runs.offset[1:]] - total[runs.offset[:-1]]


def _set_runs(runs: Runs, rows: Ints) -> tuple[Ints, Ints, Ints]:
    """The runs of set pixels of some masks: place among `rows`, start and end down the columns; empty runs left out."""
    length = np.diff(runs.offset)[rows]
    first = _offsets(length)
    at = np.arange(first[-1]) + np.repeat(runs.offset[:-1][rows] - first[:-1], length)
    end = np.cumsum(runs.counts[at])
    before = _offsets(runs.counts[at])[first[:-1]]
    who = np.repeat(np.arange(len(rows)), length)
    end -= before[who]
    count = runs.counts[at]
    keep = ((np.arange(len(at)) - first[who]) % 2 == 1) & (count > 0)
    return who[keep], (end - count)[keep], end[keep]


def bounds(runs: Runs, height: Ints) -> NDArray[np.float64]:
    """Smallest box x1 y1 x2 y2 around the set pixels of each checked mask; zeros where there are none."""
    out = np.zeros((len(runs.legal), 4))
    who, start, end = _set_runs(runs, np.arange(len(out)))
    if not len(who):
        return out
    h = height[who]
    (left, top), (right, bottom) = np.divmod(start, h), np.divmod(end - 1, h)
    top, bottom = np.where(left == right, top, 0), np.where(left == right, bottom, h - 1)
    first = np.flatnonzero(np.concatenate([[True], who[1:] != who[:-1]]))
    low = [np.minimum.reduceat(side, first) for side in (left, top)]
    high = [np.maximum.reduceat(side, first) + 1 for side in (right, bottom)]
    out[who[first]] = np.stack([*low, *high], 1)
    return out


def _only_one(a: tuple[Ints, Ints], b: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """All numbers in ranges of `a` but of none of `b`, and the other way round; ranges of one side do not overlap."""
    edge = np.concatenate([*a, *b])
    order = np.argsort(edge, kind="stable")
    step = np.repeat(np.array([1, -1, 4, -4], np.int8), [len(side) for side in (*a, *b)])  # 1 in a, 4 in b, 5 in both
    inside, edge = np.cumsum(step[order], dtype=np.int8)[:-1], edge[order]
    found = []
    for only in (1, 4):
        part = np.flatnonzero((inside == only) & (edge[1:] > edge[:-1]))
        length = edge[part + 1] - edge[part]
        first = _offsets(length)
        found.append(np.arange(first[-1]) + np.repeat(edge[part] - first[:-1], length))
    return found[0], found[1]


def spans(runs: Runs, rows: Ints, height: Ints, width: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Runs of set pixels along the rows of some masks: place among `rows`, y, x0, x1, in this order; no mask is drawn.

    `height` and `width` are those of the masks `rows`, whose counts must have passed `check`. A pixel starts a run where it is
    set and the one a column before is not: down the columns, that one lies `height` places earlier.
    """
    base = _offsets(height * (width + 2))
    who, start, end = _set_runs(runs, rows)
    own, before = base[who], height[who]
    starts, ends = _only_one((start + own, end + own), (start + own + before, end + own + before))
    found: list[Ints] = []
    for place in (starts, ends):
        owner = np.searchsorted(base, place, "right") - 1
        down, h = place - base[owner], height[owner]
        found.append(np.sort(base[owner] + down % h * (width[owner] + 2) + down // h))
    first, last = found
    owner = (np.searchsorted(base, first, "right") - 1).astype(np.int64)
    line = width[owner] + 2
    y: Ints = (first - base[owner]) // line
    left = base[owner] + y * line
    return owner, y, first - left, last - left


def row_runs(runs: Runs, i: int, height: int, width: int) -> tuple[Ints, Ints, Ints]:
    """Runs of set pixels of mask `i` along its rows: y, x0, x1, in row order. Counts must have passed `check`."""
    _, y, x0, x1 = spans(runs, np.array([i]), np.array([height]), np.array([width]))
    return y, x0, x1
