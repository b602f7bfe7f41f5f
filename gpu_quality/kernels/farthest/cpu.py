"""Farthest-first picking on CPU cores: what cannot be the farthest is not compared with the newest centers.

Distances to the nearest center only fall while centers are added. The distance of a row to the first few centers is therefore
a bound from above, and a row whose bound is below the best one of this pick is left as it is; so most rows are compared with a
few of the centers only, and with each of them at most once. A row that is looked at again stops as soon as it falls below.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from math import sqrt
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from numba import njit
from torch import Tensor

from gpu_quality.kernels.threads import spread, threads

STRIPE: Final = 4096
"""Rows that one job looks at, at least."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")
summing: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
"""For sums that may be split into lanes."""


@summing
def product(a, b):
    """Scalar product in float64. The order of adding is fixed on compiling: equal rows give equal bits."""
    total = 0.0
    for t in range(len(a)):
        total += np.float64(a[t]) * np.float64(b[t])
    return total


@compiled
def squares(x, begin, stop, out):
    """Squared lengths of rows begin .. stop."""
    for i in range(begin, stop):
        out[i] = product(x[i], x[i])


@compiled
def compare(x, square, near, seen, centers, count, row, least):
    """Bring a row's distance up to date with the first `count` centers, or stop where it has fallen below `least`."""
    lowest, c = near[row], seen[row]
    while c < count and lowest >= least:
        other = centers[c]
        distance = 1.0 - product(x[row], x[other]) / sqrt(square[row] * square[other])
        lowest = min(lowest, max(distance, 0.0))
        c += 1
    near[row], seen[row] = lowest, c


@compiled
def best_of(x, square, near, seen, centers, count, rows, begin, stop, is_open):
    """Place in `rows` of the farthest open row among places begin .. stop, -1 if there is none; its distance is up to date."""
    top, bound = -1, -1.0
    for p in range(begin, stop):
        row = rows[p]
        if is_open[row] and near[row] > bound:
            top, bound = p, near[row]
    if top < 0:
        return -1
    best, least = -1, -1.0
    # The row with the highest bound comes first: it is likely the farthest, and then few others are looked at.
    for p in range(begin - 1, stop):
        place = top if p < begin else p
        row = rows[place]
        if not is_open[row] or near[row] < least or place == best:
            continue
        compare(x, square, near, seen, centers, count, row, least)
        if near[row] > least or (near[row] == least and place < best):
            best, least = place, near[row]
    return best


class Spread:
    """Vectors and the centers picked among them so far; see ``kernels.farthest``."""

    def __init__(self, x: Float[Tensor, "n d"], near: Float64[Tensor, " n"]) -> None:
        self.x = np.ascontiguousarray(x.float().numpy())
        self.near = near.numpy().copy()
        self.seen = np.zeros(len(self.x), np.int64)
        self.square = np.empty(len(self.x))
        self.centers = np.empty(64, np.int64)
        self.count = 0
        count, step = len(self.x), STRIPE
        spread(lambda b: squares(self.x, b, min(b + step, count), self.square), range(0, count, step))

    def farthest(self, rows: Int64[Tensor, " m"], open_: Bool[Tensor, " n"]) -> tuple[int, float]:
        """The open row of `rows` whose nearest center is farthest, the lowest of equal ones, and its distance."""
        among, is_open = rows.numpy(), open_.numpy()
        step = max(STRIPE, -(-len(among) // threads()))
        begins = range(0, len(among), step)
        found = np.full(len(begins), -1, np.int64)

        def look(begin: int) -> None:
            stop = min(begin + step, len(among))
            state = self.x, self.square, self.near, self.seen, self.centers, self.count
            found[begin // step] = best_of(*state, among, begin, stop, is_open)

        spread(look, begins)
        known = among[found[found >= 0]]
        if not len(known):
            return -1, float("nan")
        row = int(known[np.argmax(self.near[known])])
        return row, float(self.near[row])

    def add(self, row: int) -> None:
        """Make a row a center."""
        if self.count == len(self.centers):
            self.centers = np.concatenate([self.centers, np.empty_like(self.centers)])
        self.centers[self.count] = row
        self.count += 1
