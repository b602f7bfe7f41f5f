"""Which frames have drifted most: those least like the reference, and in which measures each of them is unusual."""

from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from gpu_quality.analysis.drift_units import Floats, Ints
from gpu_quality.analysis.importance_rows import numeric

NAMED: Final = 3
"""Measures that are named per frame."""
TAIL: Final = 0.05
"""Share of the reference beyond which a value is unusual."""


def ranked(sample: pd.DataFrame, asked: pd.DataFrame) -> Float32[Tensor, "n d"]:
    """Measures of rows as numbers that a linear model can use: their places among the values of a sample, -0.5..0.5.

    A missing value is in the middle, and a further column says that it is missing. Measures that are constant in the sample
    are left out.
    """
    columns = []
    for name in sample:
        among, values = numeric(str(name), sample[name]), numeric(str(name), asked[name])
        known, given = ~np.isnan(among), ~np.isnan(values)
        ordered = np.sort(among[known])
        if len(ordered) and ordered[0] < ordered[-1]:
            low, high = (np.searchsorted(ordered, values[given], side=side) for side in ("left", "right"))
            place = np.zeros(len(values), np.float32)
            place[given] = (low + high) / (2 * len(ordered)) - 0.5
            columns.append(place)
        if 0 < len(ordered) < len(among):
            columns.append((known.mean() - given).astype(np.float32))
    return torch.from_numpy(np.stack(columns, 1) if columns else np.zeros((len(asked), 0), np.float32))


def others(seen: Float[Tensor, "n d"], side: Float32[Tensor, " n"], asked: Float[Tensor, "m d"]) -> Float64[Tensor, " m"]:
    """Scores of rows that took no part in the comparison, by one model made of all that did; as `Domain.scores`."""
    x = seen.double()
    center, share = x.mean(0), side.double().mean()
    given = x - center
    strength = float(given.square().sum()) / max(min(len(given) - 1, given.shape[1]), 1) or 1.0
    inner = given.T @ given + strength * torch.eye(given.shape[1], dtype=torch.float64)
    weights = torch.linalg.solve(inner, given.T @ (side.double() - share))
    scores: Tensor = (asked.double() - center) @ weights + share
    return scores


def nearest(asked: Float[Tensor, "m d"], reference: Float[Tensor, "n d"]) -> tuple[Ints, Floats]:
    """Row of the reference most like each vector, and their cosine."""
    a, b = (torch.nn.functional.normalize(part.float(), dim=1) for part in (asked, reference))
    value, row = (a @ b.T).max(1)
    return row.numpy(), value.double().numpy()


def unusual(reference: pd.DataFrame, rows: pd.DataFrame) -> list[list[dict[str, Any]]]:
    """Per row the measures in which it is in a tail of the reference, the farthest out first.

    Each has `measure`, `value`, `quantile` (share of the reference below, ties half) and `distance` (beyond the nearer
    quartile, in interquartile ranges or standard deviations, the larger; null where the reference is constant). Values beyond
    all of the reference come first.
    """
    found: list[list[dict[str, Any]]] = [[] for _ in range(len(rows))]
    for name in reference:
        ordered = numeric(str(name), reference[name])
        ordered = np.sort(ordered[~np.isnan(ordered)])
        if not len(ordered):
            continue
        q1, q3 = (float(end) for end in np.quantile(ordered, (0.25, 0.75)))
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest there are
            spread = max(q3 - q1, float(ordered.std()))
        asked = numeric(str(name), rows[name])
        low, high = (np.searchsorted(ordered, asked, side=side) for side in ("left", "right"))
        for i, place in enumerate(((low + high) / (2 * len(ordered))).tolist()):
            value = float(asked[i])
            if value == value and not TAIL < place < 1 - TAIL:
                distance = max(q1 - value, value - q3, 0.0) / spread if spread else None
                found[i].append({"measure": str(name), "value": value, "quantile": place, "distance": distance})
    for measures in found:
        measures.sort(key=lambda one: (0 < one["quantile"] < 1, -(one["distance"] or 0.0), one["measure"]))
    return [measures[:NAMED] for measures in found]
