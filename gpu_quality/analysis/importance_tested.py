"""p-values of importance: how often permuted values tell as much about the outcome as those of the data.

Source: reference evaluation.md 14; series that end early: Besag and Clifford, Sequential Monte Carlo p-values, 1991.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.analysis.importance_rows import Floats, Ints, Used, frame_values, ties
from gpu_quality.kernels import ranks

ENOUGH: Final = 50
"""Permutations that tell as much as the data, after which a metric of frames is no longer tested: its p-value is known to a
seventh, and far from significant."""
FIRST: Final = 250
"""Permutations before the first look at that."""


def tested(
    found: dict[str, dict[str, Any]], of: Used, some: dict[str, Floats], level_of: dict[str, str], drawn: int, enough: int,
    seed: int, done: Callable[[int], None],
) -> None:  # fmt: skip
    """Add p-values. What permutations give depends on ties alone, so metrics with the same ones share them."""
    of_places = {name: found[name].pop("places") for name in some}
    by_row = [name for name in some if level_of[name] != "F" or of.frames == len(of.row)]
    if by_row:
        single = {of_places[name].tobytes(): of_places[name] for name in by_row}
        totals, products = ranks.permuted_rows(
            of.code, np.stack(list(single.values())), of.score, of.levels, of.table, permutations=drawn, seed=seed
        )
        line = {key: i for i, key in enumerate(single)}
        for name in by_row:
            own = found[name]
            _p(own, totals, products[line[of_places[name].tobytes()]], own["together"], drawn + 1)
        done(len(by_row))
    cache: dict[bytes, _Series] = {}
    for name in some.keys() - set(by_row):
        group, spread = _between_frames(name, of, some[name], of_places[name])
        series = cache.setdefault(group.tobytes(), _Series(of, group, drawn, seed))
        own = found[name]
        while not _p(own, series.totals, series.products, own["together"] / spread, enough) and series.more():
            pass
        done(1)


class _Series:
    """Permutations of values between frames, as many as were needed so far."""

    def __init__(self, of: Used, group: NDArray[np.int32], most: int, seed: int) -> None:
        score = np.bincount(of.frame, of.score, minlength=of.frames)
        self.given = of.code, of.frame, group, score, of.levels, of.table
        self.most, self.seed = most, seed
        self.totals, self.products = np.empty(0, np.int64), np.empty(0)

    def more(self) -> bool:
        """Twice as many, if that is allowed."""
        done = len(self.totals)
        count = min(max(FIRST, done), self.most - done)
        if count > 0:
            totals, products = ranks.permuted_units(*self.given, permutations=count, seed=self.seed, first=done)
            self.totals = np.concatenate([self.totals, totals])
            self.products = np.concatenate([self.products, products])
        return count > 0


def _between_frames(name: str, of: Used, values: Floats, place: NDArray[np.int32]) -> tuple[Any, float]:
    """Groups of equal values among frames, from the lowest, and the spread of the rows' ranks."""
    first = frame_values(name, values, of.frame, of.frames)
    rank = place / 2
    return ties(np.sort(first)).astype(np.int32), math.sqrt(float(rank @ rank))


def _p(own: dict[str, Any], totals: Ints, together: Floats, observed: float, enough: int) -> bool:
    """Add p-values: how often permutations tell as much (a smaller sum of digammas is more); whether they need no more."""
    told, reached = totals <= own["total"], np.abs(together) >= abs(observed) * (1 - 1e-9)
    own["p"], own["spearman_p"] = (_share_of(hits, enough) for hits in (told, reached))
    return min(int(told.sum()), int(reached.sum())) >= enough


def _share_of(hits: NDArray[np.bool_], enough: int) -> float:
    """The p-value of a series: at the end of it, or where it has hits enough."""
    count = int(hits.sum())
    if count < enough:
        return (1 + count) / (1 + len(hits))
    return enough / (1 + int(np.flatnonzero(hits)[enough - 1]))
