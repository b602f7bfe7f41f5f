"""Counts of pairs of codes on CPU cores: one sweep over the rows per pair, into a table that stays in the first cache."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any

import numpy as np
from numba import njit

from gpu_quality.kernels.threads import spread

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def places(first, part, bins, other_bins):
    """Where the row of the table begins that each row of the data belongs to."""
    out = np.empty(len(first), np.int32)
    for r in range(len(first)):
        out[r] = (np.int32(part[r]) * bins + first[r]) * other_bins
    return out


@compiled
def count(place, other, out):
    """Add 1 to the cell of every row; two tables in turn, so that equal neighbors do not wait for each other."""
    second = np.zeros_like(out)
    even = len(place) // 2 * 2
    for r in range(0, even, 2):
        out[place[r] + other[r]] += 1
        second[place[r + 1] + other[r + 1]] += 1
    if even < len(place):
        out[place[even] + other[even]] += 1
    out += second


def crosstabs(first: np.ndarray, others: np.ndarray, part: np.ndarray, *, parts: int, bins: int, other_bins: int) -> np.ndarray:
    """Counts of pairs; see ``kernels.crosstabs``."""
    out = np.zeros((len(others), parts * bins * other_bins), np.int64)
    place = places(first, part, bins, other_bins)
    spread(lambda row: count(place, others[row], out[row]), range(len(others)))
    return out.reshape(len(others), parts, bins, other_bins)
