"""Cells, overlaps and matching on CPU cores: one pass over flat arrays, cells spread over threads."""

# Compiled functions take their types from each call: mypy must neither ask for annotations nor look inside them.
# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, no-check-untyped-defs

from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int32, Int64
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.kernels.matching import Cells, Found, Rules, Sides, Verdicts
from gpu_quality.kernels.threads import spread, threads

CHUNK: Final = 16384
"""Predictions and labels a thread takes at a time, whole cells: 1 ms or so."""

compiled: Any = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def placed(key, order, bins):
    """The rows of `order` by rising key, as they were where keys are equal."""
    first = np.zeros(bins + 1, np.int64)
    for row in order:
        first[key[row] + 1] += 1
    for i in range(bins):
        first[i + 1] += first[i]
    out = np.empty_like(order)
    for row in order:
        out[first[key[row]]] = row
        first[key[row]] += 1
    return out


@compiled
def by_cell(frame, class_id, frames, classes, pooled):
    """Rows by class, then frame; `pooled`: by frame, then class."""
    order = np.arange(len(frame))
    if pooled:
        return placed(frame, placed(class_id, order, classes), frames)
    return placed(class_id, placed(frame, order, frames), classes)


@compiled
def merge_cells(labels, label_frame, label_class, predictions, prediction_frame, prediction_class, pooled):
    """Walk both sorted sides: frame, class, end of predictions and end of labels of every cell that has one of either."""
    m, n = len(labels), len(predictions)
    out = np.zeros((m + n + 1, 4), np.int64)
    i = j = s = 0
    while i < m or j < n:
        l_frame, l_class, p_frame, p_class = 0, 0, 0, 0
        if i < m:
            l_frame, l_class = label_frame[labels[i]], -1 if pooled else label_class[labels[i]]
        if j < n:
            p_frame, p_class = prediction_frame[predictions[j]], -1 if pooled else prediction_class[predictions[j]]
        if j == n or (i < m and (l_class < p_class or (l_class == p_class and l_frame < p_frame))):
            frame, own = l_frame, l_class
        else:
            frame, own = p_frame, p_class
        while i < m and label_frame[labels[i]] == frame and (pooled or label_class[labels[i]] == own):
            i += 1
        while j < n and prediction_frame[predictions[j]] == frame and (pooled or prediction_class[predictions[j]] == own):
            j += 1
        s += 1
        out[s, 0], out[s, 1], out[s, 2], out[s, 3] = frame, own, j, i
    return out[: s + 1]


@compiled
def rank_cells(begin, end, rows, first, kept, score, out):
    """Predictions of cells begin .. end by falling score, equal scores as they are, as many as are kept."""
    for s in range(begin, end):
        own = rows[first[s] : first[s + 1]]
        n = len(own)
        if n <= 24:
            own = own.copy()
            for i in range(1, n):
                row, value, j = own[i], score[own[i]], i
                while j > 0 and score[own[j - 1]] < value:
                    own[j] = own[j - 1]
                    j -= 1
                own[j] = row
        else:
            own = own[np.argsort(-score[own], kind="mergesort")]
        for i in range(kept[s + 1] - kept[s]):
            out[kept[s] + i] = own[i]


@compiled
def cell_overlaps(labels, label_box, predictions, prediction_box, crowd, more, side, out):
    """Overlaps of the boxes of one cell, row-major into `out`; `side` is scratch for five numbers a label."""
    g_count = len(labels)
    for g in range(g_count):
        row = labels[g]
        x, y, w, h = label_box[row, 0], label_box[row, 1], label_box[row, 2] + more, label_box[row, 3] + more
        side[0, g], side[1, g], side[2, g], side[3, g] = x, y, w + x, h + y
        side[4, g] = 0.0 if crowd[row] else w * h
        side[5, g] = 0.0 if crowd[row] else 1.0
    for d in range(len(predictions)):
        row = predictions[d]
        x, y, w, h = (
            prediction_box[row, 0],
            prediction_box[row, 1],
            prediction_box[row, 2] + more,
            prediction_box[row, 3] + more,
        )
        right, bottom, area = w + x, h + y, w * h
        at = d * g_count
        for g in range(g_count):
            wide = min(right, side[2, g]) - max(x, side[0, g])
            high = min(bottom, side[3, g]) - max(y, side[1, g])
            both = wide * high
            union = area + side[4, g] - both * side[5, g]
            out[at + g] = both / union if wide > 0.0 and high > 0.0 and union > 0.0 else 0.0


@compiled
def overlap_cells(
    begin, end, labels, label_first, label_box, predictions, prediction_first, prediction_box, crowd, more, pair, out
):
    """`cell_overlaps` of cells begin .. end."""
    widest = 1
    for s in range(begin, end):
        widest = max(widest, label_first[s + 1] - label_first[s])
    side = np.empty((6, widest))
    for s in range(begin, end):
        if pair[s + 1] > pair[s]:
            cell_overlaps(
                labels[label_first[s] : label_first[s + 1]],
                label_box,
                predictions[prediction_first[s] : prediction_first[s + 1]],
                prediction_box,
                crowd,
                more,
                side,
                out[pair[s] : pair[s + 1]],
            )


@compiled
def candidates(overlap, floor, last, order):
    """Labels whose overlap reaches `floor`, best first, equal ones from the last (or first) one on; how many."""
    count = 0
    for g in range(len(overlap)):
        value = overlap[g]
        if value < floor:
            continue
        j = count
        while j > 0 and (overlap[order[j - 1]] < value or (last and overlap[order[j - 1]] == value)):
            order[j] = order[j - 1]
            j -= 1
        order[j] = g
        count += 1
    return count


@compiled
def reached(value, need):
    """The thresholds that an overlap reaches, one bit each."""
    bits = 0
    for t in range(len(need)):
        if value >= need[t]:
            bits |= 1 << t
    return bits


@compiled
def pick(g, bits, ignored, many, groups, taken):
    """Thresholds among `bits` at which label `g` is had, and those of them at which the prediction is ignored for it."""
    free = bits & ~taken[g]
    taken[g] |= free
    if not ignored:
        return free, 0
    if groups:
        return bits, bits & ~free
    return (bits, bits) if many else (free, free)


@compiled
def note(bits, d, row, g, own, label_of, prediction_of):
    """Write the names of a match at each threshold of `bits`."""
    for t in range(len(label_of)):
        if bits >> t & 1:
            label_of[t, d] = row
            if prediction_of[t, g] < 0:
                prediction_of[t, g] = own


@compiled
def match_cell(overlap, labels, predictions, p0, q0, crowd, ignored, rules, scratch, matched, hidden, label_of, prediction_of):
    """Matching of one cell whose predictions start at place p0 and labels at q0; names are written where there is room."""
    need, need_ignored, last, second_choice, groups = rules
    order, reach, taken = scratch
    floor = min(need.min(), need_ignored.min())
    g_count, named = len(labels), label_of.shape[1] > 0
    # without second choice, ignored labels compete with regular ones for being the best; groups never do
    together = not second_choice and not groups
    taken[:, :g_count] = 0
    for d in range(len(predictions)):
        row = overlap[d * g_count : (d + 1) * g_count]
        count = candidates(row, floor, last, order)
        for c in range(count):
            reach[0, c], reach[1, c] = reached(row[order[c]], need), reached(row[order[c]], need_ignored)
        for a in range(len(matched) if count else 0):
            found, unseen = 0, 0
            for ignoring in range(1 if together else 2):
                for c in range(count):
                    g = order[c]
                    own = ignored[a, q0 + g]
                    if not together and own != (ignoring == 1):
                        continue
                    bits = reach[1 if own else 0, c] & ~found
                    had, unheard = pick(g, bits, own, crowd[q0 + g] or not second_choice, groups, taken[a])
                    found, unseen = found | had, unseen | unheard
                    if named and had != 0:
                        note(had, p0 + d, labels[g], q0 + g, predictions[d], label_of[a], prediction_of[a])
                    if not second_choice:
                        break
            matched[a, p0 + d], hidden[a, p0 + d] = found, unseen


@compiled
def match_cells(begin, end, labels, label_first, predictions, prediction_first, boxes, overlap, pair, sides, rules, out):
    """Matching of cells begin .. end, from `overlap`, or from boxes where `pair` is empty."""
    label_box, prediction_box, label_crowd, more = boxes
    crowd, ignored = sides
    matched, hidden, label_of, prediction_of = out
    widest, most = 1, 1
    for s in range(begin, end):
        g_count = label_first[s + 1] - label_first[s]
        widest = max(widest, g_count)
        most = max(most, g_count * (prediction_first[s + 1] - prediction_first[s]))
    own_overlaps = len(pair) == 0
    side, block = np.empty((6, widest)), np.empty(most if own_overlaps else 0)
    scratch = (np.empty(widest, np.int64), np.empty((2, widest), np.int64), np.empty((len(matched), widest), np.int64))
    for s in range(begin, end):
        p0, p1, q0, q1 = prediction_first[s], prediction_first[s + 1], label_first[s], label_first[s + 1]
        if p0 == p1 or q0 == q1:
            continue
        if own_overlaps:
            table = block[: (p1 - p0) * (q1 - q0)]
            cell_overlaps(labels[q0:q1], label_box, predictions[p0:p1], prediction_box, label_crowd, more, side, table)
        else:
            table = overlap[pair[s] : pair[s + 1]]
        match_cell(
            table,
            labels[q0:q1],
            predictions[p0:p1],
            p0,
            q0,
            crowd,
            ignored,
            rules,
            scratch,
            matched,
            hidden,
            label_of,
            prediction_of,
        )


@compiled
def flag_outside(begin, end, rows, area, class_id, low, high, ignored, out):
    """Whether members begin .. end of the cells lie outside each size range, or are ignored in all of them."""
    for a in range(len(out)):
        for i in range(begin, end):
            row = rows[i]
            k = class_id[row] if low.shape[1] > 1 else 0
            out[a, i] = area[row] < low[a, k] or area[row] > high[a, k] or (len(ignored) > 0 and ignored[row])


@compiled
def number_members(begin, end, first, out):
    """Place of every member in its cell."""
    for s in range(begin, end):
        for i in range(first[s], first[s + 1]):
            out[i] = i - first[s]


@compiled
def mark_ignored(bits, hidden, outside, begin, end, out):
    """Whether each prediction is ignored: hidden by its match, or unmatched and outside."""
    for a in range(len(bits)):
        for t in range(out.shape[1]):
            for d in range(begin, end):
                out[a, t, d] = (hidden[a, d] >> t & 1) != 0 or (outside[a, d] and (bits[a, d] >> t & 1) == 0)


@compiled
def choosing(overlap, labels, predictions, label_class, prediction_class, score, floor, listed, pairs):
    """Pairs of a cell that reach `floor` in the order in which they choose: by falling overlap, then by the tie rule."""
    g_count, count = len(labels), 0
    by_row, rank = np.argsort(labels), np.argsort(predictions)
    if not listed:
        rank = rank[np.argsort(-score[predictions[rank]], kind="mergesort")]
    for other in range(1 if listed else 2):  # pairs of one class before those of two
        start = 0
        while start < len(rank):
            end = start + 1
            while end < len(rank) and (listed or score[predictions[end]] == score[predictions[start]]):
                end += 1
            for g in by_row:
                for i in range(start, end):
                    d = rank[i]
                    same = label_class[labels[g]] == prediction_class[predictions[d]]
                    if overlap[d * g_count + g] >= floor and (listed or same == (other == 0)):
                        pairs[count] = d * g_count + g
                        count += 1
            start = end
    chosen = pairs[:count]
    return chosen[np.argsort(-overlap[chosen], kind="mergesort")]


@compiled
def choose_cells(
    begin, end, labels, label_first, predictions, prediction_first, columns, overlap, pair, need, same_first, listed, out
):
    """Matching by falling overlap of cells begin .. end."""
    label_class, prediction_class, score, crowd = columns
    label_of, ignored, prediction_of = out
    for s in range(begin, end):
        p0, p1, q0, q1 = prediction_first[s], prediction_first[s + 1], label_first[s], label_first[s + 1]
        table, pairs = overlap[pair[s] : pair[s + 1]], np.empty(pair[s + 1] - pair[s], np.int64)
        l_rows, p_rows = labels[q0:q1], predictions[p0:p1]
        chosen = choosing(table, l_rows, p_rows, label_class, prediction_class, score, need.min(), listed, pairs)
        for t in range(len(need)):
            for stage in range(2 if same_first else 1):
                for i in chosen:
                    d, g = i // (q1 - q0), i % (q1 - q0)
                    same = label_class[l_rows[g]] == prediction_class[p_rows[d]]
                    if table[i] < need[t]:
                        break
                    if crowd[l_rows[g]] or (same_first and same != (stage == 0)):
                        continue
                    if label_of[t, p0 + d] < 0 and prediction_of[t, q0 + g] < 0:
                        label_of[t, p0 + d], prediction_of[t, q0 + g] = l_rows[g], p_rows[d]
            for i in chosen:
                d, g = i // (q1 - q0), i % (q1 - q0)
                same = label_class[l_rows[g]] == prediction_class[p_rows[d]]
                if table[i] >= need[t] and crowd[l_rows[g]] and same and label_of[t, p0 + d] < 0:
                    label_of[t, p0 + d], ignored[t, p0 + d] = l_rows[g], True
                    if prediction_of[t, q0 + g] < 0:
                        prediction_of[t, q0 + g] = p_rows[d]


def _numbers(*tensors: Tensor) -> list[NDArray[Any]]:
    """The tensors as arrays whose rows lie one after another."""
    return [np.ascontiguousarray(tensor.numpy()) for tensor in tensors]


def _chunks(found: Cells) -> list[tuple[int, int]]:
    """Ranges of whole cells of about `CHUNK` members each; all cells where one thread does it all."""
    size = (found.prediction_offset + found.label_offset).numpy()
    step = CHUNK if threads() > 1 else max(int(size[-1]), CHUNK)
    cuts = np.unique(np.concatenate([np.searchsorted(size, np.arange(0, size[-1], step)), [len(size) - 1]]))
    return list(pairwise(cuts.tolist()))


def cells(
    label_frame: Int64[Tensor, " m"],
    label_class: Int64[Tensor, " m"],
    prediction_frame: Int64[Tensor, " n"],
    prediction_class: Int64[Tensor, " n"],
    score: Float64[Tensor, " n"],
    pooled: bool,  # noqa: FBT001
    limit: int | None,
) -> Cells:
    """Sort rows into cells; see ``kernels.matching``."""
    columns = _numbers(label_frame, label_class, prediction_frame, prediction_class)
    frames, classes = (max([0, *(int(c.max()) + 1 for c in pair if len(c))]) for pair in (columns[::2], columns[1::2]))
    labels = by_cell(*columns[:2], frames, classes, pooled)
    predictions = by_cell(*columns[2:], frames, classes, pooled)
    table = merge_cells(labels, *columns[:2], predictions, *columns[2:], pooled)
    frame, class_id = table[1:, 0].copy(), table[1:, 1].copy()
    first, label_first = table[:, 2].copy(), table[:, 3].copy()
    count = np.diff(first) if limit is None else np.minimum(np.diff(first), limit)
    kept = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
    ranked = np.empty(kept[-1], np.int64)
    out = Cells(*map(torch.from_numpy, (frame, class_id, ranked, kept, labels, label_first)))
    (scores,) = _numbers(score)
    spread(lambda cut: rank_cells(*cut, predictions, first, kept, scores, ranked), _chunks(out))
    return out


def _spread_evenly(work: Any, count: int) -> None:
    """Do `work(begin, end)` for parts of a range."""
    cuts = np.linspace(0, count, 1 + (threads() if count > CHUNK else 1)).astype(np.int64).tolist()
    spread(lambda cut: work(*cut), list(pairwise(cuts)))


def outside(
    rows: Int64[Tensor, " p"],
    area: Float64[Tensor, " n"],
    class_id: Int64[Tensor, " n"],
    low: Float64[Tensor, "a k"],
    high: Float64[Tensor, "a k"],
    ignored: Bool[Tensor, " n"] | None,
) -> Bool[Tensor, "a p"]:
    """Members of the cells outside size ranges; see ``kernels.matching``."""
    out = np.empty((len(low), len(rows)), np.bool_)
    extra = np.zeros(0, np.bool_) if ignored is None else _numbers(ignored)[0]
    columns = (*_numbers(rows, area, class_id, low, high), extra)
    _spread_evenly(lambda begin, end: flag_outside(begin, end, *columns, out), len(rows))
    return torch.from_numpy(out)


def ranks(offset: Int64[Tensor, " s_plus_1"]) -> Int32[Tensor, " p"]:
    """Place of every member in its cell; see ``kernels.matching``."""
    (first,) = _numbers(offset)
    out = np.empty(first[-1], np.int32)
    _spread_evenly(lambda begin, end: number_members(begin, end, first, out), len(first) - 1)
    return torch.from_numpy(out)


def _pairs(found: Cells) -> NDArray[np.int64]:
    """Where the pairs of each cell start, and their end."""
    count = found.prediction_offset.diff() * found.label_offset.diff()
    return np.concatenate([np.zeros(1, np.int64), count.cumsum(0).numpy()])


def box_overlaps(
    label_box: Float64[Tensor, "m 4"],
    prediction_box: Float64[Tensor, "n 4"],
    crowd: Bool[Tensor, " m"],
    found: Cells,
    inclusive: bool,  # noqa: FBT001
) -> Float64[Tensor, " pairs"]:
    """Overlaps of all pairs; see ``kernels.matching``."""
    pair, more = _pairs(found), 1.0 if inclusive else 0.0
    out = np.empty(pair[-1])
    label_box_, prediction_box_, crowd_ = _numbers(label_box, prediction_box, crowd)
    labels, label_first, predictions, first = _numbers(
        found.label, found.label_offset, found.prediction, found.prediction_offset
    )

    def work(cut: tuple[int, int]) -> None:
        overlap_cells(*cut, labels, label_first, label_box_, predictions, first, prediction_box_, crowd_, more, pair, out)

    spread(work, _chunks(found))
    return torch.from_numpy(out)


_NO_FLOATS: Final = np.zeros(0)
_NO_ROWS: Final = np.zeros(0, np.int64)
_NO_BOXES: Final = (np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0, np.bool_), 0.0)


def _match(
    found: Cells, sides: Sides, rules: Rules, boxes: tuple[Any, ...], overlap: tuple[Any, Any], names: tuple[Any, Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Bits of matched and of hidden predictions; `names` are filled where they have room for thresholds."""
    labels, label_first, predictions, first = _numbers(
        found.label, found.label_offset, found.prediction, found.prediction_offset
    )
    crowd, ignored = _numbers(sides.crowd, sides.label_ignored)
    plain = (*_numbers(rules.need, rules.need_ignored), rules.last, rules.second_choice, rules.groups)
    bits = np.int16 if len(rules.need) < 16 else np.int64  # memory that is not there need not be fetched
    matched, hidden = (np.zeros((len(ignored), len(predictions)), bits) for _ in range(2))

    def work(cut: tuple[int, int]) -> None:
        out = (matched, hidden, *names)
        match_cells(*cut, labels, label_first, predictions, first, boxes, *overlap, (crowd, ignored), plain, out)

    spread(work, _chunks(found))
    return matched, hidden


def by_score(overlap: Float64[Tensor, " pairs"], found: Cells, sides: Sides, rules: Rules) -> Found:
    """Matching in order of score; see ``kernels.matching``."""
    a, t, p, q = len(sides.label_ignored), len(rules.need), len(found.prediction), len(found.label)
    label_of, prediction_of = np.full((a, t, p), -1, np.int32), np.full((a, t, q), -1, np.int32)
    table = (np.ascontiguousarray(overlap.numpy()), _pairs(found))
    matched, hidden = _match(found, sides, rules, _NO_BOXES, table, (label_of, prediction_of))
    ignored = np.empty((a, t, p), np.bool_)
    (beyond,) = _numbers(sides.outside)
    _spread_evenly(lambda begin, end: mark_ignored(matched, hidden, beyond, begin, end, ignored), p)
    return Found(*map(torch.from_numpy, (label_of, ignored, prediction_of)))


def verdicts(
    label_box: Float64[Tensor, "m 4"],
    prediction_box: Float64[Tensor, "n 4"],
    crowd: Bool[Tensor, " m"],
    found: Cells,
    sides: Sides,
    rules: Rules,
    inclusive: bool,  # noqa: FBT001
) -> Verdicts:
    """Matching in order of score without names; see ``kernels.matching``."""
    a = len(sides.label_ignored)
    boxes = (*_numbers(label_box, prediction_box, crowd), 1.0 if inclusive else 0.0)
    names = np.zeros((a, 0, 0), np.int32), np.zeros((a, 0, 0), np.int32)
    matched, hidden = _match(found, sides, rules, boxes, (_NO_FLOATS, _NO_ROWS), names)
    return Verdicts(torch.from_numpy(matched), torch.from_numpy(hidden))


def by_overlap(
    overlap: Float64[Tensor, " pairs"],
    found: Cells,
    label_class: Int64[Tensor, " m"],
    prediction_class: Int64[Tensor, " n"],
    score: Float64[Tensor, " n"],
    crowd: Bool[Tensor, " m"],
    need: Float64[Tensor, " t"],
    same_first: bool,  # noqa: FBT001
    listed: bool,  # noqa: FBT001
) -> Found:
    """Matching by falling overlap; see ``kernels.matching``."""
    t, p, q = len(need), len(found.prediction), len(found.label)
    label_of, prediction_of = np.full((t, p), -1, np.int32), np.full((t, q), -1, np.int32)
    ignored = np.zeros((t, p), np.bool_)
    labels, label_first, predictions, first = _numbers(
        found.label, found.label_offset, found.prediction, found.prediction_offset
    )
    columns, pair = tuple(_numbers(label_class, prediction_class, score, crowd)), _pairs(found)
    table, needs = _numbers(overlap, need)
    rest = (columns, table, pair, needs, same_first, listed, (label_of, ignored, prediction_of))

    def work(cut: tuple[int, int]) -> None:
        choose_cells(*cut, labels, label_first, predictions, first, *rest)

    spread(work, _chunks(found))
    return Found(*(torch.from_numpy(out)[None] for out in (label_of, ignored, prediction_of)))
