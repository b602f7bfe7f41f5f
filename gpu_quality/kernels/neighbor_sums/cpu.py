"""Neighbor counts of ranked rows, summed, compiled.

Row p of n rows in order lies at the integer ``p << 20 | u``, u below 2^20. So the rows below any integer t are known without a
search: ``t >> 20`` of them, and one more where the u of the next row is small enough. What is left is the third nearest
row of the same level, which is the best of four windows in the list of that level, and a sum of table entries.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any

import numpy as np
from numba import njit

from gpu_quality.kernels.ranks.coding import LEVEL_BITS, U_BITS, K

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")

U_MASK, LEVEL_MASK = (1 << U_BITS) - 1, (1 << LEVEL_BITS) - 1
FAR = 1 << 61
"""Farther than any row, and small enough to be subtracted from one."""
ONE, TWO = np.uint64(1), np.uint64(2)


@compiled
def nearby(x, first, stop, u, n, table):
    """Sum of table entries of the rows of one level with four or more of them; `x` has three far entries at both ends.

    Unsigned places cannot count from the end of an array: without that question the loop runs on vectors.
    """
    total = np.int64(0)
    below, x, above = x[first - K : stop - K], x[first:stop], x[first + 1 : stop + K]
    for place in range(stop - first):
        j = np.uint64(place)
        own = x[j]
        d = min(own - below[j], above[j + TWO] - own)
        d = min(d, max(own - below[j + ONE], above[j] - own))
        d = min(d, max(own - below[j + TWO], above[j + ONE] - own))
        high, low = own + d, own - d
        last, before = min(high >> U_BITS, n), max(low >> U_BITS, -1)
        more = np.int64(np.int64(u[np.uint64(last + 1)]) < (high & U_MASK))
        fewer = np.int64(np.int64(u[np.uint64(before + 1)]) <= (low & U_MASK))
        total += table[np.uint64(last - before + more - fewer)]
    return total


@compiled
def nearby_few(x, first, stop, u, n, table):
    """The same for a level of two or three rows, whose farthest row counts."""
    total = np.int64(0)
    for j in range(first, stop):
        d = max(x[j] - x[first], x[stop - 1] - x[j])
        high, low = x[j] + d, x[j] - d
        above, under = min(high >> U_BITS, n), max(low >> U_BITS, -1)
        m = above - under + (u[above + 1] < (high & U_MASK)) - (u[under + 1] <= (low & U_MASK))
        total += table[m]
    return total


@compiled
def listed(code, n, cursor, x, u):
    """Put the position of every row into the list of its level, and its fine position into `u`."""
    for p in range(n):
        own = np.int64(code[p])
        level, fine = np.uint64(own & LEVEL_MASK), own >> LEVEL_BITS
        u[np.uint64(p + 1)] = fine
        x[np.uint64(cursor[level])] = (p << U_BITS) | fine
        cursor[level] += 1


@compiled
def listed_two(code, n, cursor, x, u):
    """The same for two levels, whose cursors need not be stored at each step."""
    zero, one = cursor[0], cursor[1]
    for p in range(n):
        own = np.int64(code[p])
        level, fine = own & LEVEL_MASK, own >> LEVEL_BITS
        u[np.uint64(p + 1)] = fine
        x[np.uint64(one if level else zero)] = (p << U_BITS) | fine
        one += level
        zero += 1 - level
    cursor[0], cursor[1] = zero, one


@compiled
def summed(code, n, count, cursor, x, u, table):
    """Sum over the first n rows, in order, of the table entry of their number of nearer rows."""
    place = 0
    for level in range(len(count)):
        for far in range(K):
            x[place + far] = -FAR
            x[place + K + count[level] + far] = FAR
        cursor[level] = place + K
        place += count[level] + 2 * K
    u[0], u[n + 1] = -1, U_MASK + 1
    if len(count) == 2:
        listed_two(code, n, cursor, x, u)
    else:
        listed(code, n, cursor, x, u)
    total = np.int64(0)
    for level in range(len(count)):
        first, stop = cursor[level] - count[level], cursor[level]
        if count[level] > K:
            total += nearby(x, first, stop, u, n, table)
        elif count[level] > 1:
            total += nearby_few(x, first, stop, u, n, table)
    return total
