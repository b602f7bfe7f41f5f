"""Duplicates of any kind: equal pixels, near hashes under every flip and turn, similar vectors; groups, keepers and leaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from jaxtyping import Bool, Float16, Float64, Int64
from torch import Tensor

from gpu_quality.analysis.duplicates_groups import Drift, Qualities, drift, kept, recentered, stars
from gpu_quality.analysis.duplicates_hashes import Hashes
from gpu_quality.analysis.duplicates_leaks import Leaks, leaks
from gpu_quality.analysis.duplicates_links import LIMIT, Links, Pictures, Rules, Searcher
from gpu_quality.functional import hashing

Kind = Literal["exact", "hash", "embedding"]
KINDS: Final[tuple[Kind, ...]] = ("exact", "hash", "embedding")
"""Signs that two frames are one picture; a code is an index into this."""
FLAT: Final = 8
"""Thumbnails whose luma spans less than this many levels hold too little to compare by hash, as in `near_duplicate_group`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is stored of n frames. A kind that is None was not stored, or is not wanted."""

    content: Sequence[Tensor] | None
    """Columns [n] in which copies are equal: content hash, width, height, means of the colors …"""
    known: Bool[Tensor, " n"]
    """Frames whose `content` is there."""
    hashes: Hashes | None
    vectors: Float16[Tensor, "n d"] | None
    qualities: Qualities


@dataclass(frozen=True, slots=True)
class Found:
    """Groups of duplicates among n frames, numbered by falling size, then by their first frame."""

    group: Int64[Tensor, " n"]
    """Number of every frame's group, -1 for frames without a duplicate."""
    leader: Int64[Tensor, " n"]
    """Row of the frame that leads the group, the frame's own row without one."""
    keep: Int64[Tensor, " g"]
    """Row of the frame to keep of every group."""
    reason: tuple[str, ...]
    """Why that one."""
    kind: Int64[Tensor, " n"]
    """What speaks for the frame being a duplicate of its leader, an index into `KINDS`; a leader has that of its closest."""
    similarity: Float64[Tensor, " n"]
    """How similar it is by that kind: 1 for equal pixels, share of equal bits, or cosine. NaN without a group."""
    hash: Float64[Tensor, " n"]
    """Similarity to the leader by hash, NaN where that says nothing."""
    cosine: Float64[Tensor, " n"]
    drift: Drift
    """In order of groups."""
    leaks: Leaks
    """Pairs across the sides given."""
    compared: dict[str, int]
    """Frames that took part, by kind."""
    complete: bool
    """All pairs were looked for; otherwise pairs with leaders only, for there were too many."""


def find(
    evidence: Evidence,
    index: Searcher,
    *,
    kinds: Sequence[Kind] = KINDS,
    rules: Rules | None = None,
    side: Int64[Tensor, " n"] | None = None,
    limit: int = LIMIT,
) -> Found:
    """Groups of frames that show the same, what speaks for each, and pairs across sides (splits or runs; -1: on none).

    Frames with equal pixels are compared once. Frames without a usable hash or vector take no part in that kind.
    """
    n = len(evidence.known)
    rows = torch.arange(n)
    content = rows if evidence.content is None else hashing.equal_rows(evidence.content, evidence.known)
    hashes, vectors = evidence.hashes if "hash" in kinds else None, evidence.vectors if "embedding" in kinds else None
    pictures = Pictures(n, hashes, vectors, index)
    rules = rules or Rules.of(hash=hashes is not None, embedding=vectors is not None)
    links, many = pictures.links(rules, content == rows, limit)
    # Equal pixels have equal hashes and vectors: copies are duplicates by every kind that can compare their picture.
    alike = pictures.hashed | pictures.embedded | (evidence.known if "exact" in kinds else False)
    picture = torch.where(alike[content], content, rows)
    head = stars(links, n)
    group = _numbered(head[picture])
    keep, reason = kept(group, evidence.qualities)
    head = recentered(head, picture[keep], links)
    leader = _shown(head[picture], picture, group, keep)
    signs = _signs(pictures.compare(torch.stack([picture, picture[leader]], 1)), picture, leader, group, kinds, rules)
    compared = {"exact": evidence.known, "hash": pictures.hashed, "embedding": pictures.embedded}
    return Found(
        group,
        leader,
        keep,
        tuple(reason),
        *signs,
        _in_order(drift(head, links, pictures, complete=not many), head, group, len(keep)),
        leaks(links, picture, alike, torch.full_like(rows, -1) if side is None else side),
        {kind: int(compared[kind].sum()) for kind in kinds},
        not many,
    )


def _shown(leader: Tensor, picture: Tensor, group: Tensor, keep: Tensor) -> Int64[Tensor, " n"]:
    """The frame that is kept stands for the copies of the picture that leads, if it is one of them."""
    kept_frame = keep[group.clamp(min=0)] if len(keep) else leader
    return torch.where((group >= 0) & (picture[kept_frame] == leader), kept_frame, leader)


def _numbered(leader: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
    """Groups of two or more numbered by falling size, then by their first frame; -1 for the rest."""
    n = len(leader)
    count = torch.bincount(leader, minlength=n)
    first = torch.full((n,), n, dtype=torch.int64).scatter_reduce(0, leader, torch.arange(n), "amin")
    heads = (count > 1).nonzero().flatten()
    order = heads[torch.argsort(first[heads])]
    order = order[torch.argsort(-count[order], stable=True)]
    number = torch.full((n,), -1, dtype=torch.int64)
    number[order] = torch.arange(len(order))
    return number[leader]


def _signs(
    found: Links, picture: Tensor, leader: Tensor, group: Tensor, kinds: Sequence[Kind], rules: Rules
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Kind, similarity, and similarities by hash and by vector of every frame to the one that leads it."""
    grouped, copy = group >= 0, picture == picture[leader]
    exact = copy & ("exact" in kinds)
    by_hash = ~exact & (found.hash.isnan().logical_not()) & (copy | found.cosine.isnan() | _alone(found, rules))
    kind = torch.where(exact, 0, torch.where(by_hash, 1, 2))
    value = torch.where(exact, 1.0, torch.where(by_hash, found.hash, found.cosine))
    rows = torch.arange(len(leader))
    others = (grouped & (rows != leader)).nonzero().flatten()
    # A leader has the sign of its closest frame: of a pair, both show the same.
    order = others[torch.argsort(found.cosine[others].nan_to_num(-1.0))]
    order = order[torch.argsort(value[order], stable=True)]
    order = order[torch.argsort(leader[order], stable=True)]
    last = torch.ones(len(order), dtype=torch.bool)
    last[:-1] = leader[order][1:] != leader[order][:-1]
    closest = order[last]
    for column in (kind, value, found.hash, found.cosine):
        column[leader[closest]] = column[closest]
    nothing = torch.tensor(torch.nan, dtype=torch.float64)
    shown = [torch.where(grouped, column, nothing) for column in (value, found.hash, found.cosine)]
    return torch.where(grouped, kind, -1), shown[0], shown[1], shown[2]


def _alone(found: Links, rules: Rules) -> Tensor:
    """Whether the hashes alone make the pair."""
    return found.hash >= (torch.inf if rules.hash is None else rules.hash)


def _in_order(found: Drift, head: Tensor, group: Tensor, groups: int) -> Drift:
    """The drift of every group in order of groups; a group of nothing but copies does not drift."""
    size = torch.bincount(head, minlength=len(head))
    heads = (size > 1).nonzero().flatten()
    place = group[heads]
    below = torch.zeros(groups, dtype=torch.int64)
    least = torch.full((2, groups), torch.nan, dtype=torch.float64)
    below[place], least[0, place], least[1, place] = found.below, found.hash, found.cosine
    return Drift(below, least[0], least[1])
