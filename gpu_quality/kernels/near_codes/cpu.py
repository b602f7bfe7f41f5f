"""Pairs of near codes on CPU cores: XOR and population count over chunks of codes, looked at again only where one is near."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Final

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from gpu_quality.kernels.hamming.cpu import compiled, popcount
from gpu_quality.kernels.threads import spread, threads

CHUNK: Final = 512
"""Codes of the second side looked at together: one test tells that none of them is near."""
ROOM: Final = 4096
"""Pairs that one job has room for at first; more make it begin again with room for all."""


@compiled
def least_of(a, b, first, second):
    """Smallest number of bits in which a pair of codes differs from others; 129 if there are none."""
    least = np.uint64(129)
    for c in range(len(first)):
        least = min(least, popcount(a ^ first[c]) + popcount(b ^ second[c]))
    return least


@compiled
def is_near(own, other, row, column, most):
    """Whether two frames are near in some way."""
    for way in range(own.shape[0]):
        differing = popcount(own[way, 0, row] ^ other[way, 0, column]) + popcount(own[way, 1, row] ^ other[way, 1, column])
        if differing <= most:
            return True
    return False


@compiled
def near_rows(own, other, begin, end, most, found):
    """Write pairs of rows begin .. end with later rows, as many as there is room for; returns how many there are."""
    ways, n, count = own.shape[0], own.shape[2], 0
    for start in range(begin + 1, n, CHUNK):
        stop = min(start + CHUNK, n)
        for row in range(begin, min(end, stop - 1)):
            least, first = np.uint64(129), max(start, row + 1)
            for way in range(ways):
                others = other[way]
                least = min(least, least_of(own[way, 0, row], own[way, 1, row], others[0, first:stop], others[1, first:stop]))
            if least > most:
                continue
            for column in range(first, stop):
                if is_near(own, other, row, column, most):
                    if count < len(found):
                        found[count, 0], found[count, 1] = row, column
                    count += 1
    return count


def near(
    own: Int64[Tensor, "ways 2 n"], other: Int64[Tensor, "ways 2 n"], begin: int, stop: int, most: int
) -> Int64[Tensor, "p 2"]:
    """Pairs of rows begin .. stop with later rows; see ``kernels.near_codes``."""
    if most < 0:
        return torch.empty(0, 2, dtype=torch.int64)
    mine, theirs = (codes.contiguous().numpy().view(np.uint64) for codes in (own, other))
    step = max(1, -(-(stop - begin) // (4 * threads())))
    parts: dict[int, np.ndarray] = {}

    def work(first: int) -> None:
        found = np.empty((ROOM, 2), np.int64)
        end = min(first + step, stop)
        count = near_rows(mine, theirs, first, end, np.uint64(min(most, 128)), found)
        if count > ROOM:
            found = np.empty((count, 2), np.int64)
            near_rows(mine, theirs, first, end, np.uint64(min(most, 128)), found)
        parts[first] = found[:count]

    spread(work, range(begin, stop, step))
    rows = torch.from_numpy(np.concatenate([parts[first] for first in sorted(parts)]) if parts else np.empty((0, 2), np.int64))
    return rows[(rows[:, 0] * own.shape[2] + rows[:, 1]).argsort()]
