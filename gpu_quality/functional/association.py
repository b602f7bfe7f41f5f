"""What neighbors say about labels and copies: agreement of classes, label errors, components, drift of groups, leaks."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from gpu_quality.functional import hashing

VERDICTS: Final = ("unsure", "agrees", "differs")
"""What the code in `Agreement.verdict` means."""
FLOOR: Final = 1e-12
"""Mean distances below this are zero."""


class Agreement(NamedTuple):
    """How far the classes of the neighbors support a label."""

    value: Float64[Tensor, " n"]
    """Share of the neighbors with the same class, 0..1."""
    majority: Int64[Tensor, " n"]
    """The most frequent class among them, the lowest of equally frequent ones; -1 where there is no neighbor."""
    votes: Int64[Tensor, " n"]
    found: Int64[Tensor, " n"]
    """Number of neighbors."""
    verdict: Int64[Tensor, " n"]
    """Index into `VERDICTS`."""
    entropy: Float64[Tensor, " n"]
    """Entropy of the classes of the neighbors, bit."""
    missing: Bool[Tensor, " n"]
    """There is no neighbor."""


def agreement(neighbor: Int64[Tensor, "n k"], class_id: Int64[Tensor, " n"]) -> Agreement:
    """Share, majority, verdict and entropy of the classes of each row's neighbors; -1 in `neighbor` is no neighbor.

    `neighbor` are rows of `class_id`. Verdict: the most frequent class has more than
    floor(.6 k) votes, k the neighbors there are.
    """
    there = neighbor >= 0
    count = there.sum(1)
    if not neighbor.shape[1] or not len(neighbor):
        zero, none = torch.zeros(len(neighbor), dtype=torch.float64, device=neighbor.device), torch.full_like(count, -1)
        return Agreement(zero, none, torch.zeros_like(count), count, torch.zeros_like(count), zero.clone(), count == 0)
    theirs = torch.where(there, class_id[neighbor.clamp(min=0)], torch.iinfo(torch.int64).max).sort(1).values
    votes = torch.stack([((theirs == column[:, None]) & _known(theirs)).sum(1) for column in theirs.unbind(1)], 1)
    votes = torch.where(_known(theirs), votes, 0)
    most = votes.max(1)
    majority = torch.where(count > 0, theirs.gather(1, most.indices[:, None])[:, 0], -1)
    sure = most.values > (6 * count) // 10
    verdict = torch.where(sure, torch.where(majority == class_id, 1, 2), 0)
    same = ((theirs == class_id[:, None]) & _known(theirs)).sum(1)
    share = votes.double() / count.clamp(min=1)[:, None]
    # Each neighbor of a class with share p adds -log2(p) / k: together the entropy.
    bits = torch.where(votes > 0, -share.clamp(min=FLOOR).log2(), 0).sum(1) / count.clamp(min=1)
    return Agreement(same / count.clamp(min=1).double(), majority, most.values, count, verdict, bits.abs(), count == 0)


def _known(classes: Int64[Tensor, "n k"]) -> Bool[Tensor, "n k"]:
    return classes != torch.iinfo(torch.int64).max


def label_error_ratio(
    own: Float[Tensor, "n k"], other: Float[Tensor, "n k"], size: Int64[Tensor, " n"], most: int = 50
) -> tuple[Float64[Tensor, " n"], Bool[Tensor, " n"]]:
    """Mean Euclidean distance to the nearest of the own class over that to the nearest of all others; suspicious from 1 on.

    `own` and `other` are cosine distances, nearest first, NaN where there are fewer; `size` the size of the own class. The
    ``min(50, size - 1)`` nearest are used. The second result marks rows without one or the other (`no_neighbors`).
    """
    k = (size - 1).clamp(0, most)[:, None]
    near, far = (_mean_euclidean(distance, k) for distance in (own, other))
    missing = near.isnan() | far.isnan()
    ratio = torch.where((near < FLOOR) & (far < FLOOR), 1.0, near / far.clamp(min=FLOOR))
    return torch.where(missing, 0, ratio), missing


def _mean_euclidean(distance: Float[Tensor, "n k"], k: Int64[Tensor, "n 1"]) -> Float64[Tensor, " n"]:
    """Mean of ``sqrt(2 d)`` over the first k columns that hold a distance; NaN without one."""
    take = (torch.arange(distance.shape[1], device=distance.device) < k) & ~distance.isnan()
    length = torch.where(take, (2 * distance.double()).clamp(min=0), 0).sqrt()
    return length.sum(1) / take.sum(1)


def components(pairs: Int64[Tensor, "p 2"], lowest: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """The lowest row that each of n rows is linked to by a chain of pairs.

    `lowest` says so for the pairs seen before; ``torch.arange(n)`` where there are none.
    """
    a, b = pairs[:, 0], pairs[:, 1]
    while True:
        low = torch.minimum(lowest[a], lowest[b])
        linked = lowest.scatter_reduce(0, lowest[a], low, "amin").scatter_reduce(0, lowest[b], low, "amin")
        while not torch.equal(shorter := linked[linked], linked):
            linked = shorter
        if torch.equal(linked, lowest):
            return lowest
        lowest = linked


def drift(x: Float[Tensor, "n d"], leader: Int64[Tensor, " n"], block: int = 1024) -> Float64[Tensor, " n"]:
    """The largest cosine distance between any two members of each row's group: how far it goes beyond the reach of its leader.

    Rows with leader -1, and groups of one, have 0. All vectors with a leader are finite and not zero.
    """
    out = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for members in _groups(leader):
        lowest = torch.ones((), dtype=torch.float64, device=x.device)
        for a in torch.split(members, block):
            rows = torch.nn.functional.normalize(x[a].double(), dim=1)
            for b in torch.split(members[int((members == a[0]).nonzero()) :], block):
                lowest = torch.minimum(lowest, (rows @ torch.nn.functional.normalize(x[b].double(), dim=1).T).min())
        out[members] = 1 - lowest
    return out


def _groups(leader: Int64[Tensor, " n"]) -> Iterator[Int64[Tensor, " g"]]:
    """Rows of every group of two or more, in order of leaders."""
    known = (leader >= 0).nonzero().flatten()
    known = known[leader[known].sort(stable=True).indices]
    _, count = torch.unique_consecutive(leader[known], return_counts=True)
    for members in torch.split(known, count.tolist()):
        if len(members) > 1:
            yield members


def leak_distance(
    outside: Float[Tensor, " n"], split: Int64[Tensor, " n"], content: Int64[Tensor, " n"] | None = None
) -> tuple[Float64[Tensor, " n"], Bool[Tensor, " n"]]:
    """Smallest cosine distance to a frame of another split, 0 where one has the same content; where there is none.

    `outside` is the distance to the nearest frame of another split, NaN without one; frames with split -1 are in none and null.
    """
    value = outside.double()
    if content is not None:
        value = torch.where(_elsewhere(content, split), 0.0, value)
    missing = value.isnan() | (split < 0)
    return torch.where(missing, 0, value), missing


def _elsewhere(content: Int64[Tensor, " n"], split: Int64[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Whether a frame of another split has the same content."""
    same = hashing.equal_rows([content], split >= 0)
    low = torch.full_like(split, torch.iinfo(torch.int64).max).scatter_reduce(0, same, split, "amin")
    high = torch.full_like(split, -1).scatter_reduce(0, same, split, "amax")
    return (split >= 0) & (low[same] != high[same])
