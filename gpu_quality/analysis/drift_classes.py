"""Whether the classes of objects are in another balance in two sets: shares, their distance, and p-values.

Objects of one frame come together, so that whole frames (or videos) are exchanged between the sets to tell chance.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from gpu_quality.analysis.drift_units import Floats, Ints, Units, as_large, proportions_p, units
from gpu_quality.functional.inference import benjamini_hochberg

LIMIT: Final = 0.05
PERMUTATIONS: Final = 1999


@dataclass(frozen=True, slots=True)
class Balance:
    """Class shares of two sets."""

    classes: pd.DataFrame
    """Per class: `class`, `n_reference`, `n_current`, `share_reference`, `share_current`, `difference`, `p`, `p_adjusted`
    (Benjamini-Hochberg) and `drifts`; the largest difference first."""
    jensen_shannon: float
    """Divergence of the shares in bits: 0 the same, 1 no class in common; NaN where a set has no objects."""
    chi_square: float
    """Pearson's statistic of the counts."""
    degrees: int
    p: float
    """Of that statistic."""


def balance(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    groups: tuple[ArrayLike, ArrayLike],
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Balance:
    """Class balance of two sets of objects, given the class of every object and its group (frame, or video).

    p-values are from exchanging whole groups; where there are very many, from chi-square and z tests with the effective number
    of objects (Rao and Scott's first-order correction). Raises `UsageError` as `units`.
    """
    first, second = np.asarray(reference, object), np.asarray(current, object)
    number, names = pd.factorize(np.concatenate([first, second]), sort=True)
    of = units(*groups, permutations=permutations, seed=seed)
    counts = np.stack([np.bincount(part, minlength=len(names)) for part in (number[: len(first)], number[len(first) :])])
    table = pd.DataFrame({"class": pd.Series(names, dtype=object), "n_reference": counts[0], "n_current": counts[1]})
    sizes = counts.sum(1)
    shares = counts / np.where(sizes > 0, sizes, np.nan)[:, None]
    table["share_reference"], table["share_current"] = shares
    table["difference"] = shares[1] - shares[0]
    if not sizes.all():
        alone = table.assign(p=math.nan, p_adjusted=math.nan, drifts=False)
        return Balance(alone, math.nan, math.nan, max(len(names) - 1, 0), math.nan)
    statistic = float(pearson(counts.astype(np.float64)[None])[0])
    degrees = len(names) - 1
    if of.drawn is None:
        whole, each = _asymptotic(statistic, shares, of)
    else:
        whole, each = _permuted(number, of.of, of.drawn, len(names))
    table["p"] = each
    table["p_adjusted"] = benjamini_hochberg(torch.from_numpy(each)).numpy()
    table["drifts"] = table["p_adjusted"] < LIMIT
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return Balance(table.loc[order].reset_index(drop=True), divergence(*shares), statistic, degrees, whole)


def divergence(p: Floats, q: Floats) -> float:
    """Jensen-Shannon divergence of two distributions in bits, 0..1."""
    middle = (p + q) / 2
    parts = [np.where(part > 0, part * np.log2(np.where(part > 0, part, 1) / middle), 0).sum() for part in (p, q)]
    return float(min(max(sum(parts) / 2, 0.0), 1.0))


def pearson(counts: NDArray[np.float64]) -> Floats:
    """Pearson's chi-square of tables of counts [p 2 c]."""
    whole = counts.sum((1, 2), keepdims=True)
    expected = counts.sum(1, keepdims=True) * counts.sum(2, keepdims=True) / np.maximum(whole, 1)
    return np.asarray((np.square(counts - expected) / np.where(expected > 0, expected, 1)).sum((1, 2)))


def _permuted(number: Ints, group: Ints, drawn: torch.Tensor, classes: int) -> tuple[float, Floats]:
    """p-value of the whole and of each class by exchanging groups."""
    groups = drawn.shape[1]
    per = np.bincount(group * classes + number, minlength=groups * classes).reshape(groups, classes)
    inside = (drawn @ torch.from_numpy(per.astype(np.float32))).double().numpy()
    outside = per.sum(0) - inside
    whole = as_large(pearson(np.stack([outside, inside], 1)))
    sizes = [np.maximum(part.sum(1, keepdims=True), 1) for part in (outside, inside)]
    away = np.abs(inside / sizes[1] - outside / sizes[0])
    return whole, np.array([as_large(column) for column in away.T])


def _asymptotic(statistic: float, shares: Floats, of: Units) -> tuple[float, Floats]:
    """The same with the effective number of objects."""
    from scipy.stats import chi2

    every = np.ones(len(of.of), bool)
    size = of.count(every, side=False), of.count(every, side=True)
    real = of.rows, len(of.of) - of.rows
    lost = min(given / true for given, true in zip(size, real, strict=True))
    p = float(chi2.sf(statistic * lost, shares.shape[1] - 1)) if shares.shape[1] > 1 else 1.0
    each = [proportions_p((float(x), float(y)), size) if 0 < x + y < 2 else 1.0 for x, y in shares.T]
    return p, np.array(each, np.float64)


def as_facts(found: Balance) -> dict[str, Any]:
    """The figures of the whole, without the classes."""
    return {"jensen_shannon": found.jensen_shannon, "chi_square": found.chi_square, "degrees": found.degrees, "p": found.p}
