"""How far frames or objects stand apart from those most like them, by their vectors: what an outlier rule is applied to."""

from typing import Final

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.types import Index

NEIGHBORS: Final = 5
"""Neighbors that a distance is the mean of, as in `object_class_outlier`: up to four copies hide nothing odd for long."""
FEWEST: Final = 5
"""Vectors that a group needs; in a smaller one nothing is usual."""


def neighbor_distance(
    vectors: Float[Tensor, "n d"], index: Index, *, groups: Int64[Tensor, " n"] | None = None, k: int = NEIGHBORS
) -> Float64[Tensor, " n"]:
    """Mean cosine distance to the `k` nearest others of the same group, 0..2: large for what nothing else looks like.

    `groups` holds a number per row such as the class, below 0 for rows that are compared with nothing; without it all rows are
    one group. Copies are neighbors too: what is repeated more than `k` times has a distance of 0. NaN without a usable vector
    and in groups with fewer than five. Source: the distances of fastdup's outliers, and of `object_class_outlier`.

    Raises
    ------
    UsageError
        Lengths differ, or `k` is below 1.
    """
    if groups is not None and len(groups) != len(vectors):
        raise UsageError(f"groups has {len(groups)} rows and vectors has {len(vectors)}; give one number per row")
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}")
    found = torch.full((len(vectors),), torch.nan, dtype=torch.float64)
    known = torch.ones(len(vectors), dtype=torch.bool)
    known[index.refused(vectors)] = False
    group = torch.zeros(len(vectors), dtype=torch.int64) if groups is None else groups
    for own in torch.unique(group[known & (group >= 0)]).tolist():
        rows = (known & (group == own)).nonzero().flatten()
        if len(rows) >= FEWEST:
            near = index.nearest(vectors[rows], k).distance
            found[rows] = near.double().clamp(0, 2).nanmean(1)
    return found
