"""Neighbor search on CPU cores: sieves for tiles of low-precision scores, and exact scalar products of the pairs they leave.

Scores are bfloat16, read as int16 keys that keep their order: ``key = bits ^ ((bits >> 15) & 0x7fff)``. A scan of a whole tile
costs about a tenth of the product that made it, because hits are rare once every row knows its gate.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any, Final

import numpy as np
import torch
from jaxtyping import BFloat16, Float, Float64, Int32, Int64
from numba import njit
from torch import Tensor

from gpu_quality.kernels.threads import spread, threads

CHUNK: Final = 256
"""Scores looked at together: one test tells that none of them is a hit."""
STRIPE: Final = 128
"""Rows, or half as many columns, that one job scans."""
BATCH: Final = 4096
"""Lists that one job closes."""
LOWEST: Final = -32768
"""A gate that everything passes."""
SHUT: Final = 32767
"""A gate that no score passes: NaN alone has such a key."""
ROUNDING: Final = 2.0**-9
"""Largest relative error of rounding to bfloat16 (8 significant bits)."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")
summing: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
"""For sums that may be split into lanes; infinities and NaN keep their meaning."""


@compiled
def lowered(key, slack):
    """Key of the smallest score that may belong to a true cosine as large as any that a score of `key` may belong to."""
    bits = np.int32(np.int32(key ^ ((key >> 15) & 0x7FFF)) << 16)
    value = bits.view(np.float32)
    low = np.float32(value - slack - 2.05 * ROUNDING * abs(value))
    code = low.view(np.int32)
    code = np.int32(code ^ ((code >> 31) & 0x7FFFFFFF))
    return np.int16(code >> 16)


@compiled
def push(row, other, key, best, count, rows, keys, gate, slack):
    """Add a candidate to the list of `row`, raise its gate where it is one of the best, make room where the list is full."""
    k, room = best.shape[1], rows.shape[1]
    if key > best[row, k - 1]:
        place = k - 1
        while place > 0 and best[row, place - 1] < key:
            best[row, place] = best[row, place - 1]
            place -= 1
        best[row, place] = key
        if best[row, k - 1] > LOWEST:
            gate[row] = max(gate[row], lowered(best[row, k - 1], slack[row]))
    if count[row] == room:
        kept = 0
        for c in range(room):
            if keys[row, c] >= gate[row]:
                rows[row, kept], keys[row, kept] = rows[row, c], keys[row, c]
                kept += 1
        count[row] = kept
        if kept == room:
            count[row], gate[row] = -1, SHUT
            return
    rows[row, count[row]], keys[row, count[row]] = other, key
    count[row] += 1


@compiled
def offer_rows(tile, begin, stop, first, other, same, groups, side, best, count, rows, keys, gate, slack):
    """Offer the columns of rows begin .. stop to those rows. Row r of the tile is list ``first + r``, which is vector
    ``same[first + r]`` of the other side (-1: of none); column c is vector ``other + c``.
    """
    for r in range(begin, stop):
        row, scores = first + r, tile[r]
        for start in range(0, len(scores), CHUNK):
            part = scores[start : start + CHUNK]
            limit, hit = gate[row], np.int16(0)
            for c in range(len(part)):
                bits = part[c]
                hit |= np.int16(np.int16(bits ^ ((bits >> np.int16(15)) & np.int16(0x7FFF))) >= limit)
            if hit == 0:
                continue
            for c in range(len(part)):
                key = np.int16(part[c] ^ ((part[c] >> np.int16(15)) & np.int16(0x7FFF)))
                column = other + start + c
                if key < gate[row] or column == same[row]:
                    continue
                if len(groups) == 0 or not shares(groups, side, row, column):
                    push(row, column, key, best, count, rows, keys, gate, slack)


@compiled
def shares(groups, side, row, column):
    """Whether the list `row`, whose groups are ``side[:, row]``, and vector `column` share a group; -1 is no group."""
    for q in range(len(groups)):  # noqa: SIM110 - compiled code has no any()
        if side[q, row] >= 0 and side[q, row] == groups[q, column]:
            return True
    return False


@compiled
def offer_columns(tile, begin, stop, first, other, groups, side, best, count, rows, keys, gate, slack):
    """Offer the rows of a tile to its columns begin .. stop. Row r is vector ``first + r``; column c is list ``other + c``."""
    limits = gate[other + begin : other + stop]
    for r in range(len(tile)):
        part, hit = tile[r, begin:stop], np.int16(0)
        for c in range(len(part)):
            bits = part[c]
            hit |= np.int16(np.int16(bits ^ ((bits >> np.int16(15)) & np.int16(0x7FFF))) >= limits[c])
        if hit == 0:
            continue
        for c in range(len(part)):
            key = np.int16(part[c] ^ ((part[c] >> np.int16(15)) & np.int16(0x7FFF)))
            row = other + begin + c
            if key < gate[row]:
                continue
            if len(groups) == 0 or not shares(groups, side, row, first + r):
                push(row, first + r, key, best, count, rows, keys, gate, slack)


@compiled
def close(begin, stop, count, rows, keys, gate):
    """Turn keys back into bits of scores, and leave -1 and NaN where a list ends or a candidate is below the gate."""
    for row in range(begin, stop):
        for c in range(rows.shape[1]):
            if c < count[row] and keys[row, c] >= gate[row]:
                keys[row, c] ^= (keys[row, c] >> 15) & 0x7FFF
            else:
                rows[row, c], keys[row, c] = -1, SHUT


@compiled
def above_rows(tile, begin, stop, limit, found):
    """Places of the scores of rows begin .. stop whose key is at least `limit`, as row * width + column; how many."""
    n, width = 0, tile.shape[1]
    for r in range(begin, stop):
        scores = tile[r]
        for start in range(0, width, CHUNK):
            part, hit = scores[start : start + CHUNK], np.int16(0)
            for c in range(len(part)):
                bits = part[c]
                hit |= np.int16(np.int16(bits ^ ((bits >> np.int16(15)) & np.int16(0x7FFF))) >= limit)
            if hit == 0:
                continue
            for c in range(len(part)):
                if np.int16(part[c] ^ ((part[c] >> np.int16(15)) & np.int16(0x7FFF))) >= limit:
                    found[n] = r * width + start + c
                    n += 1
    return n


@summing
def dot_rows(x, y, i, j, begin, stop, out):
    """Scalar products of pairs begin .. stop. The order of adding is fixed on compiling: equal rows give equal bits."""
    d = x.shape[1]
    for p in range(begin, stop):
        a, b = x[i[p]], y[j[p]]
        total = 0.0
        for t in range(d):
            total += np.float64(a[t]) * np.float64(b[t])
        out[p] = total


class Shortlists:
    """For each of n vectors the others that may be among its k nearest, gathered from tiles of scores."""

    def __init__(self, n: int, k: int, room: int, slack: np.ndarray) -> None:
        self.best = np.full((n, k), LOWEST, np.int16)
        self.count = np.zeros(n, np.int32)
        self.rows = np.empty((n, room), np.int32)
        self.keys = np.empty((n, room), np.int16)
        self.gate = np.full(n, LOWEST, np.int16)
        self.slack = slack

    def _state(self) -> tuple[np.ndarray, ...]:
        return self.best, self.count, self.rows, self.keys, self.gate, self.slack

    def offer(
        self, tile: BFloat16[Tensor, "a b"], first: int, other: int, same: np.ndarray, groups: np.ndarray, side: np.ndarray
    ) -> None:
        """Offer the columns of a tile, vectors ``other + c``, to the lists of its rows, ``first + r``.

        List i stands for vector ``same[i]`` of the other side (-1: none) and has groups ``side[:, i]``.
        """
        keys, state = _keys(tile), self._state()
        spread(
            lambda b: offer_rows(keys, b, min(b + STRIPE, len(keys)), first, other, same, groups, side, *state),
            range(0, len(keys), STRIPE),
        )

    def offer_back(self, tile: BFloat16[Tensor, "a b"], first: int, other: int, groups: np.ndarray, side: np.ndarray) -> None:
        """Offer the rows of a tile, vectors ``first + r``, to the lists of its columns, ``other + c``."""
        keys, state = _keys(tile), self._state()
        width = keys.shape[1]
        spread(
            lambda b: offer_columns(keys, b, min(b + CHUNK, width), first, other, groups, side, *state), range(0, width, CHUNK)
        )

    def result(self) -> tuple[Int32[Tensor, "n c"], BFloat16[Tensor, "n c"]]:
        """Candidates of every list and their scores, -1 and NaN where there are none; the lists are used up by this."""
        spread(
            lambda b: close(b, min(b + BATCH, len(self.rows)), self.count, self.rows, self.keys, self.gate),
            range(0, len(self.rows), BATCH),
        )
        return torch.from_numpy(self.rows), torch.from_numpy(self.keys).view(torch.bfloat16)


def _keys(tile: Tensor) -> np.ndarray:
    return np.asarray(tile.view(torch.int16).numpy())


class Sieve:
    """Finds the scores of a tile that reach a limit; keeps its buffer between tiles of at most `rows` x `columns`."""

    def __init__(self, rows: int, columns: int, limit: float) -> None:
        self.found = np.empty(rows * columns, np.int32)
        bits = np.array([limit], np.float32).view(np.int32)[0]
        self.limit = np.int16((bits ^ ((bits >> 31) & 0x7FFFFFFF)) >> 16)

    def __call__(self, tile: BFloat16[Tensor, "a b"]) -> Int64[Tensor, " h"]:
        """Places ``row * columns + column`` of the scores that may be `limit` or more, in order."""
        keys = _keys(tile)
        height, width = keys.shape
        step = max(STRIPE, -(-height // (2 * threads())))
        begins = range(0, height, step)
        counts = np.zeros(len(begins), np.int64)

        def scan(begin: int) -> None:
            stop = min(begin + step, height)
            counts[begin // step] = above_rows(keys, begin, stop, self.limit, self.found[begin * width : stop * width])

        spread(scan, begins)
        parts = [self.found[b * width : b * width + c] for b, c in zip(begins, counts, strict=True) if c]
        return torch.from_numpy(np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64))


def dots(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], i: Int64[Tensor, " p"], j: Int64[Tensor, " p"]
) -> Float64[Tensor, " p"]:
    """Scalar products of rows ``x[i]`` and ``y[j]`` in float64; see ``kernels.neighbors``."""
    if x.dtype not in (torch.float32, torch.float64) or y.dtype != x.dtype:
        return _gathered(x, y, i, j)
    out = np.empty(len(i), np.float64)
    own, other, rows, columns = (t.contiguous().numpy() for t in (x, y, i, j))
    step = max(256, -(-len(out) // (4 * threads())))
    spread(lambda b: dot_rows(own, other, rows, columns, b, min(b + step, len(out)), out), range(0, len(out), step))
    return torch.from_numpy(out)


def _gathered(x: Tensor, y: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """The same for half precision: the rows in use are widened, a bounded number at a time."""
    out = torch.empty(len(i), dtype=torch.float64)
    for begin in range(0, len(i), 8192):
        part = slice(begin, begin + 8192)
        own, row = torch.unique(i[part], return_inverse=True)
        other, column = torch.unique(j[part], return_inverse=True)
        out[part] = dots(x[own].float(), y[other].float(), row, column)
    return out
