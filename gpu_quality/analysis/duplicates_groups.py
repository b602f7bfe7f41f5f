"""From pairs to groups that do not chain, one frame to keep of each, and how far a group reaches beyond its leader."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.analysis.duplicates_links import Links, Pictures
from gpu_quality.functional import association
from gpu_quality.text import number

LINKAGE: Final = (
    "star: every frame of a group meets the thresholds with the frame that leads it, so nothing chains; "
    "the frames with most duplicates lead, and a frame joins the leader it is most similar to"
)
TOGETHER: Final = 256
"""Up to so many different frames of a group are compared with each other in every way, more of them by their vectors only."""
PART: Final = 1 << 18
"""Pairs that are compared at a time."""


class Qualities(NamedTuple):
    """What tells which copy is worth keeping; NaN is unknown. A value of each per frame."""

    width: Float64[Tensor, " n"]
    height: Float64[Tensor, " n"]
    sharpness: Float64[Tensor, " n"]
    file_size: Float64[Tensor, " n"]


class Drift(NamedTuple):
    """How far apart any two members of a group are, per group."""

    below: Int64[Tensor, " g"]
    """Pairs of members that meet no threshold; -1: not counted, for not all pairs were looked for."""
    hash: Float64[Tensor, " g"]
    """Smallest similarity of two members by hash; NaN without a pair, or in groups of more than `TOGETHER`."""
    cosine: Float64[Tensor, " g"]


def stars(links: Links, n: int) -> Int64[Tensor, " n"]:
    """The row that leads each row, itself where it stands alone.

    Rows are visited by falling number of partners, then in order; one that is still free leads and takes its free partners.
    Then every row that does not lead joins the leader among its partners that it is most similar to.
    """
    rows = links.rows.numpy()
    partner = np.concatenate([rows[:, 1], rows[:, 0]])
    order = np.argsort(np.concatenate([rows[:, 0], rows[:, 1]]), kind="stable")
    partner = partner[order]
    degree = np.bincount(rows.ravel(), minlength=n)
    start = np.concatenate([[0], degree.cumsum()])
    free = np.ones(n, bool)
    leads = np.ones(n, bool)
    for row in np.lexsort([np.arange(n), -degree])[: np.count_nonzero(degree)].tolist():
        if free[row]:
            theirs = partner[start[row] : start[row + 1]]
            leads[theirs[free[theirs]]] = False
            free[theirs] = free[row] = False
    return _joined(links, torch.from_numpy(leads))


def _joined(links: Links, leads: Bool[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Each row that does not lead with its most similar leader, the lowest of equals."""
    leader = torch.arange(len(leads))
    a, b = links.rows.unbind(1)
    strength = links.strength()
    member, head = torch.cat([a, b]), torch.cat([b, a])
    take = ~leads[member] & leads[head]
    member, head, strength = member[take], head[take], torch.cat([strength, strength])[take]
    order = torch.from_numpy(np.lexsort([-head.numpy(), strength.numpy(), member.numpy()]))
    member, head = member[order], head[order]
    last = torch.ones_like(member, dtype=torch.bool)
    last[:-1] = member[1:] != member[:-1]
    leader[member[last]] = head[last]
    return leader


AS_SHARP: Final = 0.9
"""Share of the best sharpness from which on a frame counts as equally sharp."""


def kept(group: Int64[Tensor, " n"], of: Qualities) -> tuple[Int64[Tensor, " g"], list[str]]:
    """The frame to keep of every group, in order of groups, and why.

    Most pixels, then sharpest (a tenth less is as sharp: coding noise alone makes that), then largest file, then first. `group`
    is the number of every frame's group 0.. or -1.
    """
    rows = (group >= 0).nonzero().flatten()
    pixels = (of.width * of.height)[rows].nan_to_num(-1.0)
    sharpness = _leveled(of.sharpness[rows].nan_to_num(-1.0), pixels, group[rows])
    tests = [pixels, sharpness, of.file_size[rows].nan_to_num(-1.0)]
    order = torch.from_numpy(np.lexsort([rows.numpy(), *(-t.numpy() for t in reversed(tests)), group[rows].numpy()]))
    ordered = group[rows][order]
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    place = first.nonzero().flatten()
    why = []
    for best, second in zip(order[place].tolist(), order[place + 1].tolist(), strict=True):
        why.append(_why([(float(t[best]), float(t[second])) for t in tests], of, int(rows[best])))
    return rows[order[place]], why


def _leveled(
    sharpness: Float64[Tensor, " r"], pixels: Float64[Tensor, " r"], group: Int64[Tensor, " r"]
) -> Float64[Tensor, " r"]:
    """Sharpness with all that are nearly the sharpest of the largest frames of their group made equal to it."""
    groups = int(group.max()) + 1 if len(group) else 0

    def largest(values: Float64[Tensor, " r"]) -> Float64[Tensor, " r"]:
        best = values.new_full((groups,), -torch.inf).scatter_reduce(0, group, values, "amax")
        return best[group]

    whole = pixels == largest(pixels)
    best = largest(torch.where(whole, sharpness, -torch.inf))
    return torch.where(whole & (sharpness >= AS_SHARP * best), best, sharpness)


def _why(values: list[tuple[float, float]], of: Qualities, row: int) -> str:
    """Which test told the frame to keep from the next best one."""
    pixels, sharpness, size = (best > second for best, second in values)
    if pixels:
        return f"most pixels ({number(float(of.width[row]))} x {number(float(of.height[row]))})"
    among = "all; sizes are not stored" if bool(of.width[row].isnan()) else "those with most pixels"
    if sharpness:
        return f"sharpest of {among} (sharpness {number(float(of.sharpness[row]))})"
    if size:
        return f"largest file of {among} ({number(float(of.file_size[row]))} bytes)"
    return f"first of {among}; nothing stored tells them apart"


def recentered(leader: Int64[Tensor, " n"], keep: Int64[Tensor, " g"], links: Links) -> Int64[Tensor, " n"]:
    """Let the frame that is kept lead where it meets the thresholds with every member: then all are compared with it."""
    a, b = links.rows.unbind(1)
    inside = leader[a] == leader[b]
    a, b = a[inside], b[inside]
    size = torch.bincount(leader, minlength=len(leader))
    is_kept = torch.zeros(len(leader), dtype=torch.bool)
    is_kept[keep] = True
    met = torch.bincount(torch.cat([a[is_kept[a]], b[is_kept[b]]]), minlength=len(leader))
    fit = keep[met[keep] == size[leader[keep]] - 1]
    new = torch.arange(len(leader))
    new[leader[fit]] = fit
    return new[leader]


def drift(leader: Int64[Tensor, " n"], links: Links, pictures: Pictures, *, complete: bool) -> Drift:
    """How far the groups led by each leader reach, in order of leaders; groups of one are left out."""
    size = torch.bincount(leader, minlength=len(leader))
    head = (size > 1).nonzero().flatten()
    a, b = links.rows.unbind(1)
    met = torch.bincount(leader[a][leader[a] == leader[b]], minlength=len(leader))[head]
    below = size[head] * (size[head] - 1) // 2 - met if complete else torch.full_like(head, -1)
    least = torch.full((2, len(leader)), torch.inf, dtype=torch.float64)
    for members in _inside(leader, size):
        found = pictures.compare(members)
        for kind, value in enumerate((found.hash, found.cosine)):
            least[kind].scatter_reduce_(0, leader[members[:, 0]], value.nan_to_num(torch.inf), "amin")
    large = (size[leader] > TOGETHER) & pictures.embedded
    if pictures.vectors is not None and bool(large.any()):
        far = association.drift(pictures.vectors, torch.where(large, leader, -1))
        least[1].scatter_reduce_(0, leader[large], 1 - far[large], "amin")
    least = torch.where(least.isinf(), torch.nan, least)
    return Drift(below, least[0, head], least[1, head])


def _inside(leader: Int64[Tensor, " n"], size: Int64[Tensor, " n"]) -> Iterator[Int64[Tensor, "p 2"]]:
    """All pairs inside every group of at most `TOGETHER`, a bounded number at a time."""
    member = ((size[leader] > 1) & (size[leader] <= TOGETHER)).nonzero().flatten()
    member = member[leader[member].sort(stable=True).indices]
    many, start = size[leader[member]], torch.searchsorted(leader[member], leader[member])
    for part in torch.split(torch.arange(len(member)), PART // TOGETHER):
        own = torch.repeat_interleave(part, many[part])
        offset = torch.arange(len(own)) - torch.repeat_interleave(many[part].cumsum(0) - many[part], many[part])
        other = start[own] + offset
        take = own < other
        yield torch.stack([member[own[take]], member[other[take]]], 1)
