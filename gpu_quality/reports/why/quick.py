"""A quick look at what explains failures, for stores where nobody asked `importance` yet.

All metrics are ranked, and only the best of them are tested and looked at together; p-values are corrected for all.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.api.subjects import Subjects
from gpu_quality.reports.plain import plain, records

MOST_ROWS: Final = 10_000
"""Predictions, and labels, that are looked at; of more a random sample."""
BEST, TREE_ROWS = 12, 8000
"""Metrics that are tested; and rows that the trees of the joint view see."""
HALF_SAMPLES: Final = 50
CHANCE: Final = 0.05


def quick_look(given: Mapping[str, Subjects]) -> dict[str, Any]:
    """The importance of every metric for predictions and labels, as `importance` answers, by rows.

    ``metrics`` has a row per metric, ``joint`` the joint view of the best ones, ``params`` the question.
    """
    parts = {rows: _look(subjects) for rows, subjects in given.items()}
    first = next(iter(given.values()))
    return {
        "params": {"target": "outcome", "sample": MOST_ROWS, **first.at},
        "metrics": [row for found, _ in parts.values() for row in found],
        "joint": {rows: joint for rows, (_, joint) in parts.items() if joint},
        "redundant": [],
    }


def _look(given: Subjects) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from gpu_quality.analysis.importance import importance
    from gpu_quality.analysis.joint import joint

    success = given.known_success()
    known = np.flatnonzero(np.isfinite(success))
    if len(known) > MOST_ROWS:
        known = np.sort(np.random.default_rng(0).choice(known, MOST_ROWS, replace=False))
    values = given.table[list(given.measures)].iloc[known].astype(np.float64).reset_index(drop=True)
    level = {name: measure.level for name, measure in given.measures.items()}
    hit, frames = success[known], given.frame[known]
    ranked = importance(values, hit, level=level, rows=given.rows, frames=frames, permutations=1, half_samples=1)
    names = ranked["metric"][ranked["importance"].notna()].tolist()
    if not names:
        return records(ranked), {}
    best = names[:BEST]
    own = {name: level[name] for name in best}
    drawn = max(1999, int(np.ceil(2 * len(names) / CHANCE)))
    table = importance(
        values[best], hit, level=own, rows=given.rows, frames=frames, permutations=drawn, half_samples=HALF_SAMPLES
    )
    table["p_adjusted"] = _adjusted(table["p"].to_numpy(), len(names))
    rest = ranked[~ranked["metric"].isin(best)].assign(p=np.nan, p_adjusted=np.nan, low=np.nan, high=np.nan)
    whole = joint(values[best], hit, level=own, rows=given.rows, frames=frames, most_rows=TREE_ROWS)
    told = {name: plain(getattr(whole, name)) for name in ("explained", "low", "high")}
    return [*records(table), *records(rest)], {**told, "best": len(best), "metrics": records(whole.table)}


def _adjusted(p: NDArray[np.float64], tests: int) -> NDArray[np.float64]:
    """p-values after Benjamini and Hochberg, as if all other tests had found nothing."""
    from gpu_quality.functional.inference import benjamini_hochberg

    every = np.concatenate([p, np.ones(tests - len(p))])
    return np.asarray(benjamini_hochberg(torch.from_numpy(every)).numpy()[: len(p)])
