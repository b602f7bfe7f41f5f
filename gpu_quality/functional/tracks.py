"""Objects over time: which frames are neighbors, which objects of neighboring frames meet, and what a track does.

Axes: ``n`` frames of the data set, ``o`` objects, ``p`` pairs of objects of two frames. Nothing loops over frames or tracks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.functional import boxes

BLOCK: Final = 1 << 19
"""Pairs tested at a time: about 60 MB."""
ROUNDING: Final = 1e-9
"""Share of its largest value below which the spread of a feature is the rounding of coordinates, not change."""

Rows = Int64[Tensor, " o"]
Values = Float64[Tensor, " o"]


@dataclass(frozen=True, slots=True)
class Windows:
    """Where each frame stands among the stored frames of its sequence; rows of frames, -1 where there is none."""

    previous: Int64[Tensor, " n"]
    following: Int64[Tensor, " n"]
    length: Int64[Tensor, " n"]
    """Frames of the unbroken part of the sequence that the frame belongs to."""
    order: Int64[Tensor, " n"]
    """Place of the frame when all are sorted by sequence and position, the lower row first on ties."""


def windows(sequence: Int64[Tensor, " n"], position: Int64[Tensor, " n"], max_gap: int = 0) -> Windows:
    """Neighbors of every frame: frames without objects count, no window crosses sequences, a lone image (-1) has none.

    With `max_gap` above 0, frames whose positions are further apart are no neighbors and start anew.
    """
    row = torch.sort(position, stable=True).indices
    row = row[torch.sort(sequence[row], stable=True).indices]
    joined = (sequence[row].diff() == 0) & (sequence[row][1:] >= 0)
    if max_gap > 0:
        joined &= position[row].diff() <= max_gap
    before, after = row[:-1][joined], row[1:][joined]
    previous, following, order, length = (torch.full_like(sequence, -1) for _ in range(4))
    previous[after], following[before] = before, after
    order[row] = torch.arange(len(row))
    part = torch.cat([joined.new_zeros(min(1, len(row))), ~joined]).cumsum(0)
    length[row] = torch.bincount(part)[part]
    return Windows(previous, following, length, order)


def step_back(previous: Int64[Tensor, " n"], frame: Rows) -> Rows:
    """The frame before each of some frames; -1 stays -1."""
    return torch.where(frame >= 0, previous[frame.clamp(min=0)], -1) if len(previous) else frame


@dataclass(frozen=True, slots=True)
class Meetings:
    """Pairs of objects of two frames whose boxes share area, sorted by the later one, and their intersection over union."""

    later: Int64[Tensor, " p"]
    earlier: Int64[Tensor, " p"]
    iou: Float64[Tensor, " p"]

    def select(self, keep: Bool[Tensor, " p"]) -> "Meetings":
        """Some of the pairs."""
        return Meetings(self.later[keep], self.earlier[keep], self.iou[keep])


@dataclass(frozen=True, slots=True)
class Partners:
    """For every object the one of an earlier frame that overlaps it most, of any class and of its own."""

    any_iou: Values
    any_row: Rows
    same_iou: Values
    same_row: Rows
    """Rows are those of objects, the lowest on ties, -1 where nothing overlaps."""


def nobody(count: int) -> Partners:
    """Partners of so many objects before anything is compared."""
    iou, row = torch.zeros(count, dtype=torch.float64), torch.full((count,), -1)
    return Partners(iou, row, iou.clone(), row.clone())


def note_best(partners: Partners, found: Meetings, class_id: Tensor) -> None:
    """Write the best partners among some meetings, which hold all of every later object in them."""
    found = found.select(found.iou > 0)
    same = found.select(class_id[found.later] == class_id[found.earlier])
    for pairs, iou, row in ((found, partners.any_iou, partners.any_row), (same, partners.same_iou, partners.same_row)):
        own, place = torch.unique_consecutive(pairs.later, return_inverse=True)
        best = torch.zeros(len(own), dtype=torch.float64).scatter_reduce(0, place, pairs.iou, "amax")
        top = pairs.iou == best[place]
        first = torch.full_like(own, len(row)).scatter_reduce(0, place[top], pairs.earlier[top], "amin")
        iou[own], row[own] = best, first


def meetings(
    box: Float64[Tensor, "o 4"], frame: Rows, usable: Bool[Tensor, " o"], earlier: Int64[Tensor, " n"]
) -> Iterator[Meetings]:
    """Usable objects whose boxes share area with those of another frame: ``earlier[f]`` is compared with frame f, -1 with none.

    Boxes of a frame are sorted by their left sides, so that only those that may reach a box are tested: ``x1`` lies between
    its left side less the greatest width, and its right side. All pairs of an object come in one piece.
    """
    target = step_back(earlier, frame)
    query = (usable & (target >= 0)).nonzero().flatten()
    if not len(query):
        return
    order, low, count = _candidates(box, frame, usable, target[query], query)
    (top, bottom), (high, deep) = box[query][:, [1, 3]].T.contiguous(), box[order][:, [1, 3]].T.contiguous()
    stop = count.cumsum(0)
    first = 0
    while first < len(query):
        last = max(first + 1, int(torch.searchsorted(stop, stop[first] - count[first] + BLOCK, right=True)))
        part = count[first:last]
        own = torch.arange(first, last).repeat_interleave(part)
        other = torch.arange(len(own)) + (low[first:last] - part.cumsum(0) + part).repeat_interleave(part)
        level = ((top[own] < deep[other]) & (high[other] < bottom[own])).nonzero().flatten()
        later, before = query[own[level]], order[other[level]]
        iou = boxes.iou(box[later], box[before])
        yield Meetings(later, before, iou).select(iou > 0)
        first = last


def _candidates(
    box: Float64[Tensor, "o 4"],
    frame: Rows,
    usable: Bool[Tensor, " o"],
    target: Int64[Tensor, " q"],
    query: Int64[Tensor, " q"],
) -> tuple[Int64[Tensor, " u"], Int64[Tensor, " q"], Int64[Tensor, " q"]]:
    """Usable objects by frame and left side, and for every query where its candidates start there and how many they are."""
    row = usable.nonzero().flatten()
    row = row[torch.sort(box[row, 0], stable=True).indices]
    row = row[torch.sort(frame[row], stable=True).indices]
    frames = int(torch.maximum(frame.max(), target.max())) + 1
    size = torch.bincount(frame[row], minlength=frames)
    end = size.cumsum(0)
    left = box[row, 0]
    width = torch.zeros(frames, dtype=box.dtype)
    widest = width.scatter_reduce(0, frame[row], box[row, 2] - left, "amax")
    zero, span = left.min(), box[row, 2].max() - left.min() + 1
    key = frame[row] * span + (left - zero)
    slack = key[-1].abs() * 1e-15 + 1e-9  # one number holds frame and place: allow for the digits that costs
    base = target * span - zero
    low = torch.searchsorted(key, base + box[query, 0] - widest[target] - slack)
    high = torch.searchsorted(key, base + box[query, 2] + slack, right=True)
    begin, stop = (end - size)[target], end[target]
    low, high = torch.maximum(low, begin), torch.minimum(high, stop)
    return row, low, (high - low).clamp(min=0)


def consistency(before: Partners, class_id: Tensor, track: Rows, same: float) -> tuple[Values, Rows]:
    """How well every object agrees with the best overlapping one of the frame before: 1, or 1 - IoU where IoU > `same` and the
    class (code 1) or else the track (code 2) differs; code 0 where nothing is wrong.
    """
    doubted = (before.any_iou > same).nonzero().flatten()
    other = before.any_row[doubted]
    doubted, other = (rows[(track[doubted] != track[other]) | (track[doubted] < 0)] for rows in (doubted, other))
    code = torch.zeros_like(track)
    code[doubted] = torch.where(class_id[doubted] != class_id[other], 1, torch.where(track[doubted] != track[other], 2, 0))
    return torch.where(code > 0, 1 - before.any_iou, 1.0), code


def continuity(
    before: Partners, second: Partners, linked: Bool[Tensor, " o"], track: Rows, alive: float, same: float
) -> tuple[Values, Bool[Tensor, " o"]]:
    """1 for objects that go on, 0.5 where the track id changes over three frames, 0 where the next frame lost the object; and
    which ones were lost. `before` are partners in the last frame, `second` in the one before it; `linked` objects have both
    frames in their window.
    """
    there = (linked & (second.same_iou >= alive)).nonzero().flatten()
    present = before.same_iou[there] > same
    goes_on, vanished = there[present], there[~present]
    agree = (track[second.same_row[goes_on]] == track[goes_on]) & (track[before.same_row[goes_on]] == track[goes_on])
    value = torch.ones(len(track), dtype=torch.float64)
    value[goes_on[~agree]] = 0.5
    lost = torch.zeros(len(track), dtype=torch.bool)
    lost[second.same_row[vanished]] = True
    return torch.where(lost, 0.0, value), lost


def track_groups(sequence: Rows, track: Rows, usable: Bool[Tensor, " o"]) -> Rows:
    """One number per sequence and track, counted from 0; -1 for objects that have no track, no sequence, or are not usable."""
    tracked = (usable & (track >= 0) & (sequence >= 0)).nonzero().flatten()
    group = torch.full_like(track, -1)
    ids, own = torch.unique(track[tracked], return_inverse=True)
    group[tracked] = torch.unique(sequence[tracked] * max(1, len(ids)) + own, return_inverse=True)[1]
    return group


def occlusion(w: Values, h: Values, group: Rows, frame: Rows) -> tuple[Values, Rows]:
    """How far the size and form of each box stray from their mean over the track while it is smaller than usual, 0..sqrt(2);
    and in how many frames its track occurs. Every object has a group; sides are positive.
    """
    value = torch.stack([w * h, w / h], 1)  # [o, 2]
    groups = int(group.max()) + 1 if len(group) else 0
    count = torch.bincount(group, minlength=groups)
    stride = int(frame.max()) + 1 if len(frame) else 1
    frames = torch.unique(group * stride + frame) // stride  # one entry per track and frame
    place = group[:, None].expand(-1, 2)
    empty = torch.zeros(groups, 2, dtype=torch.float64)
    low = empty.scatter_reduce(0, place, value, "amin", include_self=False)
    high = empty.scatter_reduce(0, place, value, "amax", include_self=False)
    spread = torch.where(high - low > ROUNDING * high, high - low, torch.inf)  # a constant feature scales to 0
    scaled = (value - low[group]) / spread[group]
    mean = empty.index_add(0, group, scaled) / count[:, None]
    away = (scaled - mean[group]).square().sum(1).sqrt()
    return torch.where(scaled[:, 0] < mean[group][:, 0], away, 0.0), torch.bincount(frames, minlength=groups)[group]


def same_track_in(group: Rows, frame: Rows, wanted: Rows, frames: int) -> Rows:
    """The object of the same group in frame ``wanted[i]`` for every object i, the lowest row; -1 where there is none."""
    key = group * frames + frame
    known = (group >= 0).nonzero().flatten()
    known = known[torch.sort(key[known], stable=True).indices]
    if not len(known):
        return torch.full_like(group, -1)
    place = torch.searchsorted(key[known], group * frames + wanted).clamp(max=len(known) - 1)
    hit = (group >= 0) & (wanted >= 0) & (key[known[place]] == group * frames + wanted)
    return torch.where(hit, known[place], -1)


def jitter(box: Float64[Tensor, "o 4"], before: Rows, after: Rows) -> Values:
    """Root mean square distance of the four sides of each box from the mean of those before and after it, over sqrt(w h)."""
    strays = box - (box[before.clamp(min=0)] + box[after.clamp(min=0)]) / 2
    return strays.square().mean(1).sqrt() / boxes.area(box).sqrt()
