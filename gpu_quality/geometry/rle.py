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
    owner = np.repeat(np.arange(len(runs.legal)), np.diff(runs.offset))
    out = np.zeros(len(runs.legal), np.int64)
    np.add.at(out, owner, np.where(place % 2 == 1, runs.counts, 0))
    return out


def _set_runs(runs: Runs, i: int) -> tuple[Ints, Ints]:
    """Starts and ends of the runs of set pixels of mask `i`, counted down the columns; empty runs left out."""
    ends = np.cumsum(runs.counts[runs.offset[i] : runs.offset[i + 1]])
    start, end = ends[:-1:2], ends[1::2]
    keep = end > start
    return start[keep], end[keep]


def bounds(runs: Runs, height: Ints) -> NDArray[np.float64]:
    """Smallest box x1 y1 x2 y2 around the set pixels of each checked mask; zeros where there are none."""
    out = np.zeros((len(runs.legal), 4))
    for i in range(len(out)):
        start, end = _set_runs(runs, i)
        if len(start):
            h = int(height[i])
            left, right = start // h, (end - 1) // h
            top, bottom = int((start % h).min()), int(((end - 1) % h).max()) + 1
            if (left != right).any():
                top, bottom = 0, h
            out[i] = left[0], top, right[-1] + 1, bottom
    return out


def row_runs(runs: Runs, i: int, height: int, width: int) -> tuple[Ints, Ints, Ints]:
    """Runs of set pixels of mask `i` along its rows: y, x0, x1, in row order. Counts must have passed `check`."""
    start, end = _set_runs(runs, i)
    if not len(start):
        none = np.zeros(0, np.int64)
        return none, none, none
    left, right = int(start[0]) // height, min((int(end[-1]) - 1) // height + 1, width)
    edge = np.zeros((right - left) * height + 1, np.int8)
    np.add.at(edge, start - left * height, 1)
    np.add.at(edge, end - left * height, -1)
    columns = np.cumsum(edge[:-1], dtype=np.int8).reshape(right - left, height)
    padded = np.zeros((height, right - left + 2), np.int8)
    padded[:, 1:-1] = columns.T
    y, x = np.nonzero(np.diff(padded, axis=1))
    return y[0::2], x[0::2] + left, x[1::2] + left
