"""Which pairs of frames count as duplicates: thresholds with the figures behind them, and all pairs that meet them."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import torch
from jaxtyping import Bool, Float16, Float64, Int64
from torch import Tensor

from gpu_quality.analysis.duplicates_hashes import BITS, Hashes
from gpu_quality.errors import ResourceError
from gpu_quality.kernels import hamming, neighbors

HASH: Final = 0.875
"""Similarity from which hashes alone make a pair: 16 of 128 bits may differ, 8 of each hash on average.

Measured by scripts/bench/duplicate_edits.py on 299 photos (56 of COCO, 24 of ImageNet, 200 of CIFAR-10, 19 samples of
libraries) and five edits of each: found again are 100 % of halves, JPEG 30 and mirrors, 95-100 % of brightness x 1.3, and
13-37 % of 5 % crops. The closest of 790,092 pairs of different photos differ in 28 bits; two bits less are about three times
rarer, so 16 leave six such steps to larger data sets.
"""
ALONE: Final = 0.9
"""Cosine from which vectors of the embedded default encoder make a pair where no hash can be asked. Of photos it finds 95-100 %
of halves, crops and mirrors, 93-100 % of brightness x 1.3 and 77-79 % of JPEG 30; of 32 x 32 pixels half. Different photos: at
most .854 (ImageNet, one class), so .05 are left."""
EMBEDDING: Final = 0.98
"""The same where the hashes of the two were asked and disagree, as after a turn by some degrees or a larger crop. Parts of one
star field, which look alike and are not the same, reach .978; none of the edits above needs it."""
TOGETHER: Final = ((0.85, 0.72), (0.75, 0.78))
"""(cosine, hash): two weak signs that agree make a pair, which is what finds crops. Without a kind given, 100 % of all edits of
COCO, ImageNet and sample photos end with their original, 99.6 % at 32 x 32 pixels (crops 98 %), and no group mixes photos. Of
5 % crops of COCO the cosine is at least .861, the hash .758. Of pairs of different photos with a cosine of .75 or more, none
has fewer than 41 differing bits (.68). With every threshold .03 higher 96-100 % of crops of photos are still found, with
every one .05 lower still no pair is false: that is the margin."""
REFUSED: Final = 0.4
"""Below this cosine, similar hashes are taken for chance: 76-99 % of different photos are below it, and no edit (least: .57, a
photo of 32 x 32 pixels halved; .60, a bridge squashed into 128 pixels)."""
LIMIT: Final = 5_000_000
"""Pairs that are kept at most. Beyond, frames are compared with leaders only: n pairs instead of n²."""


@dataclass(frozen=True, slots=True)
class Rules:
    """From which similarities on two frames are duplicates of each other. None: that sign makes no pair."""

    hash: float | None = HASH
    embedding: float | None = EMBEDDING
    together: tuple[tuple[float, float], ...] = TOGETHER
    refused: float = REFUSED

    @classmethod
    def of(cls, *, hash: bool, embedding: bool, at_least: float | None = None) -> "Rules":  # noqa: A002 - the kind's name
        """The rules for the kinds in play; `at_least` replaces every threshold of a kind by this similarity."""
        if at_least is not None:
            return cls(at_least if hash else None, at_least if embedding else None, (), -1.0)
        if hash and embedding:
            return cls()
        return cls(HASH if hash else None, ALONE if embedding else None, ())

    def meets(self, hash: Float64[Tensor, " p"], cosine: Float64[Tensor, " p"]) -> Bool[Tensor, " p"]:  # noqa: A002
        """Whether each pair counts, by its similarities; NaN is a kind that says nothing about it."""
        found = torch.zeros_like(hash, dtype=torch.bool)
        if self.hash is not None:
            found |= (hash >= self.hash) & ~(cosine < self.refused)
        if self.embedding is not None:
            found |= cosine >= self.embedding
        for least_cosine, least_hash in self.together:
            found |= (cosine >= least_cosine) & (hash >= least_hash)
        return found

    @property
    def lowest_hash(self) -> float:
        """No pair below this similarity of hashes counts because of its hashes. Infinite: none counts at all."""
        alone = [] if self.hash is None else [self.hash]
        return min([*alone, *(least for _, least in self.together)], default=torch.inf)


class Links(NamedTuple):
    """Pairs of rows that count, the lower one first, sorted, with what speaks for them (NaN: that kind says nothing)."""

    rows: Int64[Tensor, "p 2"]
    hash: Float64[Tensor, " p"]
    cosine: Float64[Tensor, " p"]

    def strength(self) -> Float64[Tensor, " p"]:
        """The larger of the two similarities."""
        return torch.fmax(self.hash, self.cosine)


class Searcher(Protocol):
    """The part of an exact index that is needed here."""

    def scored_pairs(self, x: Any, at_least: float, *, limit: int) -> Any:
        """Pairs as `rows` and `cosine`; raises `ResourceError` for more than `limit`."""

    def groups(self, x: Any, at_least: float) -> Any:
        """Groups as `leader`, -1 for rows without a usable vector."""

    def refused(self, x: Any) -> Int64[Tensor, " u"]:
        """Rows without a direction."""


class Pictures:
    """What can be compared of n frames: hashes and vectors, or one of them."""

    def __init__(self, n: int, hashes: Hashes | None, vectors: Float16[Tensor, "n d"] | None, index: Searcher) -> None:
        self.n, self.hashes, self.vectors, self.index = n, hashes, vectors, index
        none = torch.zeros(n, dtype=torch.bool)
        self.hashed = none if hashes is None else hashes.usable
        self.embedded = none
        if vectors is not None:
            self.embedded = ~none
            self.embedded[index.refused(vectors)] = False
            rows = torch.arange(n)
            self._square = neighbors.dots(vectors, vectors, rows, rows)

    def compare(self, rows: Int64[Tensor, "p 2"]) -> Links:
        """The similarities of given pairs."""
        i, j = rows.unbind(1)
        unknown = torch.full((len(rows),), torch.nan, dtype=torch.float64)
        cosine = unknown
        if self.vectors is not None:
            both = (self.embedded[i] & self.embedded[j]).nonzero().flatten()
            length = (self._square[i[both]] * self._square[j[both]]).sqrt()
            cosine = unknown.clone()
            cosine[both] = (neighbors.dots(self.vectors, self.vectors, i[both], j[both]) / length).clamp(-1, 1)
        return Links(rows, self.hashes.similarity(i, j) if self.hashes is not None else unknown, cosine)

    def links(self, rules: Rules, take: Bool[Tensor, " n"], limit: int = LIMIT) -> tuple[Links, bool]:
        """Pairs among the rows of `take` that meet the rules; and whether only those with leaders, for all are too many."""
        by_hash, many = self._by_hash(rules, take, limit)
        by_vector, more = self._by_vector(rules, take, limit)
        rows = torch.cat([by_hash, by_vector])
        key = torch.unique(rows[:, 0] * max(self.n, 1) + rows[:, 1])
        found = self.compare(torch.stack([key // max(self.n, 1), key % max(self.n, 1)], 1))
        keep = rules.meets(found.hash, found.cosine)
        return Links(found.rows[keep], found.hash[keep], found.cosine[keep]), many or more

    def _by_hash(self, rules: Rules, take: Bool[Tensor, " n"], limit: int) -> tuple[Int64[Tensor, "p 2"], bool]:
        parts, total = [torch.empty(0, 2, dtype=torch.int64)], 0
        if self.hashes is None or rules.lowest_hash > 1:
            return parts[0], False
        hashes = Hashes(self.hashes.own, self.hashes.other, self.hashed & take)
        for rows in hashes.near(rules.lowest_hash):
            found = self.compare(rows)
            parts.append(rows[rules.meets(found.hash, found.cosine)])
            total += len(parts[-1])
            if total > limit:
                return self._around_codes(rules, hashes), True
        return torch.cat(parts), False

    def _around_codes(self, rules: Rules, hashes: Hashes) -> Int64[Tensor, "n 2"]:
        """Every frame with the first one whose first hash is near, which leads."""
        radius = int(BITS * (1 - (rules.hash or rules.lowest_hash))) // 2
        return _with_leaders(hamming.leaders(hashes.own[0, 0], hashes.usable, radius))

    def _by_vector(self, rules: Rules, take: Bool[Tensor, " n"], limit: int) -> tuple[Int64[Tensor, "p 2"], bool]:
        if self.vectors is None or rules.embedding is None:
            return torch.empty(0, 2, dtype=torch.int64), False
        rows = take.nonzero().flatten()
        x = self.vectors if len(rows) == self.n else self.vectors[rows]
        try:
            return rows[self.index.scored_pairs(x, rules.embedding, limit=limit).rows], False
        except ResourceError:
            return rows[_with_leaders(self.index.groups(x, rules.embedding).leader)], True


def _with_leaders(leader: Int64[Tensor, " n"]) -> Int64[Tensor, "p 2"]:
    """Pairs of every row with the one that leads it, the lower one first."""
    row = torch.arange(len(leader))
    led = (leader >= 0) & (leader != row)
    return torch.stack([torch.minimum(row, leader)[led], torch.maximum(row, leader)[led]], 1)
