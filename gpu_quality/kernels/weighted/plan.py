"""A matching laid out for resampling: what changes a precision, in the order of scores, by size range, threshold and class."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_quality.kernels.matching import MAX_THRESHOLDS
from gpu_quality.kernels.weighted import Stored

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

TRUE, FALSE, TIED = 0, 1, 2
"""What a run is: true predictions with nothing between; false ones; predictions of one frame with one score, of both kinds."""
PLAIN, EXTRA, WRONG = 0, 1, 2
"""What an event is: a true prediction that `regular` has too; one that it has not; a false one that it has not."""


class Area(NamedTuple):
    """One size range. Columns of frames are int32; class k owns ``first[k]:first[k + 1]`` of what they index."""

    label_first: Ints
    label_frame: NDArray[np.int32]
    """Labels to be found."""
    regular_first: Ints
    regular_frame: NDArray[np.int32]
    """Predictions that count at every threshold, right or wrong, by falling score."""
    run_first: Ints
    """[t, k + 1], into runs."""
    run_edge: Ints
    """Run i owns events ``run_edge[i]:run_edge[i + 1]``."""
    run_at: Ints
    """Regular predictions of the class up to the end of the run."""
    run_kind: NDArray[np.int8]
    event_frame: NDArray[np.int32]
    event_code: NDArray[np.int8]
    late_first: Ints
    """[m - 1, t, k + 1], into `late_frame`."""
    late_frame: NDArray[np.int32]
    """True predictions that a smaller number of detections leaves out."""


class _Sorted(NamedTuple):
    """Predictions class by class and by falling score."""

    order: Ints
    class_first: Ints
    class_row: Ints
    frame: NDArray[np.int32]
    rank: Ints
    tie: Ints
    """Number of the group of one frame and score, -1 = alone."""


def plan(stored: Stored, max_detections: tuple[int, ...]) -> list[Area]:
    """All size ranges."""
    ranked, given = _sorted(stored), stored.label_class.numpy()
    label_order = np.argsort(given, kind="stable")
    out = []
    for a, ignored in enumerate(stored.label_ignored.numpy()):
        kept = label_order[~ignored[label_order]]
        labels = (_first(given[kept], ranked), stored.label_frame.numpy()[kept].astype(np.int32))
        out.append(Area(*labels, *_predictions(stored, ranked, a, max_detections)))
    return out


def _sorted(stored: Stored) -> _Sorted:
    part = stored.ranked[0]
    score, first = part.score.numpy(), part.class_offset.numpy()
    class_row = np.repeat(np.arange(len(first) - 1), np.diff(first))
    order = np.lexsort((-score, class_row))
    frame, value = stored.frame.numpy()[order].astype(np.int32), score[order]
    same = (value[1:] == value[:-1]) & (frame[1:] == frame[:-1]) & (class_row[1:] == class_row[:-1])
    joined = np.concatenate([[False], same]), np.concatenate([same, [False]])
    some = (joined[0] | joined[1])[: len(order)]
    tie = np.where(some, np.cumsum(~joined[0])[: len(order)], -1)
    return _Sorted(order, first, class_row, frame, part.rank.numpy()[order], tie)


def _first(class_row: Ints, ranked: _Sorted) -> Ints:
    """Where each class starts among sorted rows of classes."""
    return np.searchsorted(class_row, np.arange(len(ranked.class_first)))


def _predictions(stored: Stored, ranked: _Sorted, a: int, max_detections: tuple[int, ...]) -> list[Any]:
    """The columns of `Area` behind the labels."""
    bits = [
        tuple(side[a].numpy()[ranked.order] for side in (part.matched, part.hidden, part.outside)) for part in stored.ranked
    ]
    outside = bits[0][2]
    odd = np.logical_or.reduce([hidden != 0 for _, hidden, _ in bits]) | (ranked.tie >= 0)
    among = ranked.rank < max_detections[-1]
    regular = among & ~outside & ~odd
    regular_first = np.concatenate([[0], np.cumsum(regular)])[ranked.class_first]
    at = np.cumsum(regular) - regular_first[ranked.class_row]
    runs: list[_Runs] = []
    late: list[list[Ints]] = [[] for _ in max_detections[:-1]]
    for t in range(stored.thresholds):
        matched, hidden, _ = bits[t // MAX_THRESHOLDS]
        bit = np.int64(1) << (t % MAX_THRESHOLDS)
        true = ((matched & ~hidden & bit) != 0) & among
        wrong = ((matched & bit) == 0) & ~outside & odd & among
        runs.append(_runs(ranked, np.flatnonzero(true | wrong), true, regular, at))
        for places, most in zip(late, max_detections, strict=False):
            places.append(np.flatnonzero(true & (ranked.rank >= most)))
    late_rows = [rows for places in late for rows in places]
    shape = (len(late), stored.thresholds, -1)
    joined = _Runs(*(np.concatenate(side) for side in zip(*runs, strict=True)))
    return [
        regular_first,
        ranked.frame[regular],
        _stacked([run.owner for run in runs], ranked),
        np.concatenate([[0], np.cumsum(joined.length)]),
        joined.at,
        joined.kind,
        joined.frame,
        joined.code,
        _stacked([ranked.class_row[rows] for rows in late_rows], ranked).reshape(shape if late else (0, stored.thresholds, 1)),
        ranked.frame[np.concatenate([np.zeros(0, np.int64), *late_rows])],
    ]


class _Runs(NamedTuple):
    """Runs of one threshold: owner class, events, place and kind; frame and code of the events."""

    owner: Ints
    length: Ints
    at: Ints
    kind: NDArray[np.int8]
    frame: NDArray[np.int32]
    code: NDArray[np.int8]


def _runs(ranked: _Sorted, rows: Ints, true: Flags, regular: Flags, at: Ints) -> _Runs:
    """Cut the predictions that matter at a threshold into runs."""
    right, plain = true[rows], regular[rows]
    code = np.where(right, np.where(plain, PLAIN, EXTRA), WRONG).astype(np.int8)
    owner, tie, place = ranked.class_row[rows], ranked.tie[rows], at[rows]
    tied = _mixed(tie, right)
    same_group = tied[1:] & (tie[1:] == tie[:-1]) & (owner[1:] == owner[:-1])
    change = (owner[1:] != owner[:-1]) | (right[1:] != right[:-1]) | tied[1:] | tied[:-1]
    change |= right[1:] & (place[1:] - plain[1:] != place[:-1])  # something that counts lies between
    change &= ~same_group
    start = np.flatnonzero(np.concatenate([[True], change])[: len(rows)])
    stop = np.append(start[1:], len(rows))[: len(start)]
    kind = np.where(tied[start], TIED, np.where(right[start], TRUE, FALSE)).astype(np.int8)
    return _Runs(owner[start], stop - start, place[stop - 1], kind, ranked.frame[rows], code)


def _mixed(tie: Ints, right: Flags) -> Flags:
    """Members of groups of one frame and score that hold right and wrong predictions: their order matters to copies."""
    group = np.where(tie >= 0, tie, 0)
    count, hits = np.bincount(group, tie >= 0), np.bincount(group, right & (tie >= 0))
    return (tie >= 0) & (hits[group] > 0) & (hits[group] < count[group])


def _stacked(owners: list[Ints], ranked: _Sorted) -> Ints:
    """Where each class starts in every one of several lists that stand one after another: [lists, k + 1]."""
    base = np.cumsum([0, *map(len, owners)])
    firsts = [_first(owner, ranked) + start for owner, start in zip(owners, base, strict=False)]
    return np.array(firsts, np.int64).reshape(len(owners), len(ranked.class_first))
