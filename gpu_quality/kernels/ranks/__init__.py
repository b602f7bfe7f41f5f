"""How much an order of rows tells about their levels: nearest-neighbor information, its permutations and half-samples.

Rows are given in order, each as a code (``coding.encoded``): its level, and a fine position that spaces ranks at random, so
that distances are exact integers without ties. Source: Ross 2014; reference evaluation.md 14. Everything runs on the CPU
with integer sums, so that results do not depend on threads.
"""

import numpy as np
from jaxtyping import Float64, Int32, Int64, UInt32

__all__ = ["halves", "neighbor_sum", "permuted_rows", "permuted_units"]

Codes = UInt32[np.ndarray, " n"]


def neighbor_sum(code: Codes, count: Int64[np.ndarray, " levels"], table: Int64[np.ndarray, " t"]) -> int:
    """Sum of ``table[m]`` over rows, m = rows nearer than the third nearest of the same level, the row itself included.

    `count` tells the rows of each level; a level with one row is not allowed, one with two or three uses all it has.
    """
    from gpu_quality.kernels.ranks import cpu

    return cpu.neighbor_sum(code, count, table)


def permuted_rows(
    code: Codes,
    middle: Int32[np.ndarray, "s n"],
    score: Float64[np.ndarray, " n"],
    count: Int64[np.ndarray, " levels"],
    table: Int64[np.ndarray, " t"],
    *,
    permutations: int,
    seed: int,
) -> tuple[Int64[np.ndarray, " r"], Float64[np.ndarray, "s r"]]:
    """Neighbor sums of rows in random order, and scalar products of their scores with each list of ranks in that order.

    Where units are rows the sum does not depend on the metric, so that one stands for all metrics with the same rows.
    `middle` holds, per metric, the mid-rank of each place, doubled, from ``-(n - 1)`` to ``n - 1``.
    """
    from gpu_quality.kernels.ranks import cpu

    return cpu.permuted_rows(code, middle, score, count, table, permutations=permutations, seed=seed)


def permuted_units(
    code: Codes,
    unit: Int32[np.ndarray, " n"],
    group: Int32[np.ndarray, " units"],
    score: Float64[np.ndarray, " units"],
    count: Int64[np.ndarray, " levels"],
    table: Int64[np.ndarray, " t"],
    *,
    permutations: int,
    seed: int,
    first: int = 0,
) -> tuple[Int64[np.ndarray, " r"], Float64[np.ndarray, " r"]]:
    """Neighbor sums, and rank covariances over the spread of ranks, with the values of units dealt out to units anew.

    Rows come in the order that breaks ties; `unit` is the unit of each. `group` numbers the equal values from the lowest to
    the highest, one entry per unit; `score` is the sum of the scores of a unit's rows. `first` is the number of the first
    permutation: parts of a series are those of the whole.
    """
    from gpu_quality.kernels.ranks import cpu

    return cpu.permuted_units(code, unit, group, score, count, table, permutations=permutations, seed=seed, first=first)


def halves(
    code: Codes,
    unit: Int32[np.ndarray, " n"],
    table: Int64[np.ndarray, " t"],
    *,
    units: int,
    levels: int,
    samples: int,
    seed: int,
) -> Float64[np.ndarray, " samples"]:
    """Information over entropy, 0..1, from the rows of ``units // 2`` units drawn at random; NaN where one level is left."""
    from gpu_quality.kernels.ranks import cpu

    return cpu.halves(code, unit, table, units=units, levels=levels, samples=samples, seed=seed)
