"""Tables of precision and recall of weighted sets on CPU cores: one walk down the scores serves 32 sets side by side."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from typing import Any, Final

import numpy as np
from numba import njit

from gpu_quality.kernels.precision.cpu import EPSILON
from gpu_quality.kernels.weighted.plan import EXTRA, FALSE, TIED, TRUE, WRONG

WIDE: Final = 8
"""Places written, or passed, at once: no branch to mispredict where runs are shorter."""
MANY: Final = 150
"""Records of a class from which on leaping pays."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def add(row, out):
    """Lane by lane; the count of lanes stays unknown here, so that the loop becomes vector instructions."""
    for g in range(len(out)):
        out[g] += row[g]


@compiled
def sums(first, frame, weights, out):
    """Add the weights of the frames of each class: [k, lanes]."""
    for k in range(len(first) - 1):
        for i in range(first[k], first[k + 1]):
            add(weights[frame[i]], out[k])


@compiled
def running_sums(frame, weights, out):
    """How much weight the first 0, 1 .. frames have: [n + 1, lanes]."""
    out[0] = 0.0
    for i in range(len(frame)):
        row = np.uintp(frame[i])
        for g in range(out.shape[1]):
            out[i + 1, g] = out[i, g] + weights[row, g]


@compiled
def needed(recalls, positives, out):
    """Place of the label with which each recall is reached, as doubles compare: rounding puts the product one off at most."""
    for r in range(len(recalls)):
        count = max(np.ceil(recalls[r] * positives), 0.0)
        count -= 1.0 if count > 0.0 and (count - 1.0) / positives >= recalls[r] else 0.0
        count += 1.0 if count / positives < recalls[r] else 0.0
        out[r] = max(int(count) - 1, 0)


@compiled
def record(true, extra, regular, found, pure):
    """Note how many labels are found, and the precision there."""
    for g in range(len(found)):
        found[g] = true[g]
        pure[g] = true[g] / (regular[g] + extra[g] + EPSILON)


@compiled
def walk_tied(begin, end, frames, codes, weights, regular, true, extra, found, pure, n):
    """Walk through right and wrong predictions of one frame and score, copy by copy; the number of records then."""
    weight = weights[frames[begin]]
    for copy in range(int(weight.max())):
        step = np.where(weight > copy, 1.0, 0.0)
        for e in range(begin, end):
            add(step, extra)
            if codes[e] != WRONG:
                add(step, true)
                record(true, extra, regular, found[n], pure[n])
                n += 1
    return n


@compiled
def walk(first, last, edge, ats, kinds, frames, codes, weights, regular, true, extra, found, pure):
    """Walk down the runs of a class: a record after each run of true predictions; how many.

    Within such a run precision only rises, so that its end tells all. A set without the frame repeats an earlier number of
    labels with a precision that is no higher, which changes nothing.
    """
    true[:], extra[:] = 0.0, 0.0
    n = 0
    for run in range(first, last):
        kind, begin, end, base = kinds[run], edge[run], edge[run + 1], regular[ats[run]]
        if kind == TIED:
            n = walk_tied(begin, end, frames, codes, weights, base, true, extra, found, pure, n)
            continue
        for e in range(begin, end):
            row = weights[frames[e]]
            if kind == TRUE:
                add(row, true)
            if kind == FALSE or codes[e] == EXTRA:
                add(row, extra)
        if kind == TRUE:
            record(true, extra, base, found[n], pure[n])
            n += 1
    for i in range(n - 1, 0, -1):
        before, after = pure[i - 1], pure[i]
        for g in range(len(before)):
            before[g] = max(before[g], after[g])
    return n


@compiled
def show_few(n, g, found, pure, need, best, table, place, step):
    """Precision at every recall that one lane reaches, by way of precision at every label: for few records."""
    begin = 0
    for i in range(n):
        end, value = int(found[i, g]), pure[i, g]
        for j in range(WIDE):
            best[np.uintp(begin + j)] = value
        for j in range(begin + WIDE, end):
            best[np.uintp(j)] = value
        begin = end
    for r in range(len(need)):
        if need[r] >= begin:
            break
        table[np.uintp(place + r * step)] = best[np.uintp(need[r])]


@compiled
def show_many(n, g, found, pure, need, table, place, step):
    """The same for many records: leaps from recall to recall."""
    i = 0
    for r in range(len(need)):
        if need[r] >= found[n - 1, g]:
            break
        while i + WIDE <= n and found[i + WIDE - 1, g] <= need[r]:
            i += WIDE
        while found[i, g] <= need[r]:
            i += 1
        table[np.uintp(place + r * step)] = pure[i, g]


@compiled
def recalls_of(true, late, positives, shown, width, column, t, out):
    """Recall of one class and threshold in all lanes, without the `late` predictions."""
    for g in range(len(out)):
        if shown[g]:
            out[g, t * width[g] + column[g]] = (true[g] - late[g]) / positives[g] if positives[g] > 0 else 0.0


@compiled
def area_tables(area, rooms, weights, positives, shown, recalls, table, recall):
    """Tables of one size range, of each set its own classes alone: [t, r, k] into `table`, [m, t, k] into `recall`."""
    regular_first, regular_frame, run_first, edge, ats, kinds, frames, codes, late_first, late_frame = area
    lanes = weights.shape[1]
    regular, found, pure = np.empty((rooms[0], lanes)), np.empty((rooms[1], lanes)), np.empty((rooms[1], lanes))
    true, extra, late = np.empty(lanes), np.empty(lanes), np.zeros((1, lanes))
    best, need = np.empty(rooms[2]), np.zeros((lanes, len(recalls)), np.int64)
    column, width, none = np.zeros(lanes, np.int64), shown.sum(0), np.zeros(lanes)
    table[:, : len(run_first) * len(recalls) * width.max()] = 0.0
    for k in range(len(positives)):
        if not shown[k].any():
            continue
        running_sums(regular_frame[regular_first[k] : regular_first[k + 1]], weights, regular)
        for g in range(len(table)):
            if positives[k, g] > 0:
                needed(recalls, positives[k, g], need[g])
        for t in range(len(run_first)):
            own = run_first[t, k], run_first[t, k + 1]
            n = walk(own[0], own[1], edge, ats, kinds, frames, codes, weights, regular, true, extra, found, pure)
            for g in range(len(table)):
                place = t * len(recalls) * width[g] + column[g]
                if true[g] == 0 or positives[k, g] == 0:
                    continue
                if n > MANY:
                    show_many(n, g, found, pure, need[g], table[g], place, width[g])
                else:
                    show_few(n, g, found, pure, need[g], best, table[g], place, width[g])
            for m in range(len(late_first)):
                late[:] = 0.0
                sums(late_first[m, t, k : k + 2], late_frame, weights, late)
                recalls_of(true, late[0], positives[k], shown[k], width, column, t, recall[:, m])
            recalls_of(true, none, positives[k], shown[k], width, column, t, recall[:, -1])
        column += shown[k]
