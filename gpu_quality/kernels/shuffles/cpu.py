"""Random numbers by counting, and what is drawn with them: permutations, and values dealt out to units anew.

A number depends on the seed, which permutation it belongs to and its step, so that any part can be computed by itself.
"""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any

import numpy as np
from numba import njit

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")

STEP = np.uint64(0x9E3779B97F4A7C15)
"""Between the counters of two steps."""
BLOCK = 512
"""Steps whose random bits are found at once: they stay in the cache next to the core."""


@compiled
def mixed(state):
    """A 64-bit hash of a 64-bit counter (splitmix64)."""
    z = np.uint64(state)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def started(seed, number):
    """State of the random numbers of one permutation or half-sample."""
    return mixed(mixed(np.uint64(seed) + STEP) + np.uint64(number))


@compiled
def below(state, step, bound):
    """The number 0 .. bound - 1 that belongs to one step: upper 32 bits of a hash, scaled."""
    return scaled(mixed(state + np.uint64(step) * STEP) >> np.uint64(32), bound)


@compiled
def scaled(bits, bound):
    """32 random bits as a number 0 .. bound - 1."""
    return np.int64((np.uint64(bits) * np.uint64(bound)) >> np.uint64(32))


@compiled
def draw(state, begin, bits):
    """The random bits of the steps from `begin` on: a loop of nothing else, so that it runs on vectors."""
    first = state + np.uint64(begin) * STEP
    for k in range(len(bits)):
        bits[k] = mixed(first + np.uint64(k) * STEP) >> np.uint64(32)


@compiled
def shuffle(place, state):
    """Put 0 .. n - 1 in random order (Fisher and Yates)."""
    bits = np.empty(BLOCK, np.uint32)
    for begin in range(0, len(place), BLOCK):
        draw(state, begin, bits)
        for i in range(begin, min(begin + BLOCK, len(place))):
            j = np.uint64(scaled(bits[i - begin], i + 1))
            place[i] = place[j]
            place[j] = i


@compiled
def shuffled(values, out, state):
    """Values in the order that `shuffle` of the same state gives; far cheaper than looking them up one by one."""
    bits = np.empty(BLOCK, np.uint32)
    for begin in range(0, len(values), BLOCK):
        draw(state, begin, bits)
        for i in range(begin, min(begin + BLOCK, len(values))):
            j = np.uint64(scaled(bits[i - begin], i + 1))
            out[i] = out[j]
            out[j] = values[i]


@compiled
def choose(chosen, needed, state):
    """Mark `needed` of all with 1 and the others with 0, every choice as likely as another."""
    bits = np.empty(BLOCK, np.uint32)
    for begin in range(0, len(chosen), BLOCK):
        draw(state, begin, bits)
        for i in range(begin, min(begin + BLOCK, len(chosen))):
            take = scaled(bits[i - begin], len(chosen) - i) < needed
            chosen[i] = take
            needed -= take


@compiled
def rearrange(code, unit, place, group, size, score, cursor, middle, out):
    """Give every unit the value at its place among all values; rows in the new order, and covariance of ranks over spread.

    Rows of `code` come by rising u, so that a stable counting sort by value leaves ties in that order.
    """
    n, groups = len(code), len(cursor)
    cursor[:] = 0
    for i in range(len(place)):
        cursor[group[place[i]]] += size[i]
    begin, spread_of_x = 0, 0.0
    for g in range(groups):
        rows = cursor[g]
        cursor[g] = begin
        middle[g] = begin + (rows - n) / 2
        spread_of_x += rows * middle[g] * middle[g]
        begin += rows
    together = 0.0
    for i in range(len(place)):
        together += middle[group[place[i]]] * score[i]
    for p in range(n):
        g = group[place[unit[p]]]
        out[cursor[g]] = code[p]
        cursor[g] += 1
    return together / np.sqrt(spread_of_x)
