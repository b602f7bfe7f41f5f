"""What color stands for in a scatter: numbers in quarters, the most frequent values of anything else."""

from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.text import number

Groups = tuple[NDArray[np.int64], tuple[str, ...]]
"""Group of each point, and what the groups are called."""
MOST_GROUPS: Final = 5
"""Values of a color that are told apart; the others are one group."""
_REST: Final = "other"


def quarters(values: NDArray[np.float64], name: str) -> Groups:
    """Numbers in four groups of about equal size, low ones first; what has no value is a group of its own."""
    known = ~np.isnan(values)
    if not known.any():
        return np.zeros(len(values), np.int64), (f"no {name}",)
    edges = np.unique(np.quantile(values[known], (0.0, 0.25, 0.5, 0.75, 1.0)))
    group = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, max(len(edges) - 2, 0))
    spans = list(pairwise(edges.tolist())) or [(float(edges[0]), float(edges[0]))]
    names = [f"{name} {number(a)} to {number(b)}" for a, b in spans]
    if known.all():
        return group, tuple(names)
    return np.where(known, group, len(names)), (*names, f"no {name}")


def frequent(values: NDArray[Any]) -> Groups:
    """The most frequent values, the first one first; all others are one group."""
    import pandas as pd

    texts = [number(v) if isinstance(v, float) and not np.isnan(v) else "none" if pd.isna(v) else str(v) for v in values]
    series = pd.Series(texts, dtype="str")
    counts = series.value_counts()
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    names = [str(name) for name in counts.index[:MOST_GROUPS]]
    group = series.map({name: place for place, name in enumerate(names)}).fillna(len(names)).to_numpy(np.int64)
    return group, (*names, _REST) if len(counts) > MOST_GROUPS else tuple(names)
