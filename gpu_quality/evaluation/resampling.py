"""Bootstrap resamples as weights: how often each unit was drawn, a block of resamples at a time."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import torch
from jaxtyping import Float64, Int32, Int64
from torch import Tensor

from gpu_quality.errors import EmptyInputError

Figures = Callable[[Int32[Tensor, "r u"]], Float64[Tensor, "r v"]]
"""Weights of the units in, one row per resample; figures out, NaN where undefined."""
BUDGET: Final = 64 << 20
"""Bytes of weights made at a time."""


def resample(units: int, first: int, last: int, seed: int = 0) -> Int32[Tensor, "r u"]:
    """Resamples `first` to `last` - 1 of a seed: each draws `units` units with replacement; rows sum to `units`.

    A resample depends on its number, the seed and the number of units alone, so blocks of any size, workers and two models
    get the same ones. The draws are the raw numbers of PCG64, which do not change between versions of numpy.
    """
    out = np.empty((last - first, units), dtype=np.int32)
    for row, number in enumerate(range(first, last)):
        raw = np.random.PCG64([seed, number]).random_raw(units)
        drawn = ((raw >> np.uint64(11)) * 2.0**-53 * units).astype(np.int64)  # uniform in [0, 1) with 53 bits
        out[row] = np.bincount(drawn, minlength=units)
    return torch.from_numpy(out)


def blocks(units: int, resamples: int, seed: int = 0, budget: int = BUDGET) -> Iterator[Int32[Tensor, "r u"]]:
    """All resamples one block after another, of at most `budget` bytes each (one row at least)."""
    step = max(1, budget // (4 * max(1, units)))
    for first in range(0, resamples, step):
        yield resample(units, first, min(first + step, resamples), seed)


def bootstrap(
    function: Figures, units: int, resamples: int = 1000, seed: int = 0, budget: int = BUDGET
) -> Float64[Tensor, "r v"]:
    """Figures of every resample; `function` sees blocks of weights [r, units] of at most `budget` bytes.

    Raises
    ------
    EmptyInputError
        There is no unit to draw.
    """
    if units < 1:
        raise EmptyInputError("nothing to resample: there are no frames")
    return torch.cat([function(weights) for weights in blocks(units, resamples, seed, budget)])


def together(*functions: Figures) -> Figures:
    """Figures of several functions side by side, so that the weights are made once for all."""
    return lambda weights: torch.cat([function(weights) for function in functions], 1)


def figures_of_all(function: Figures, units: int) -> Float64[Tensor, " v"]:
    """Figures of the set itself: every unit once."""
    return function(torch.ones((1, units), dtype=torch.int32))[0]


def jackknife(function: Figures, units: int, budget: int = BUDGET) -> Float64[Tensor, "u v"]:
    """Figures of the set without each of its units in turn."""
    step = max(1, budget // (4 * units))
    parts = []
    for first in range(0, units, step):
        rows = torch.arange(first, min(first + step, units))
        weights = torch.ones((len(rows), units), dtype=torch.int32)
        weights[torch.arange(len(rows)), rows] = 0
        parts.append(function(weights))
    return torch.cat(parts)


def sequence_units(sequence: Int64[Tensor, " n"]) -> tuple[Int64[Tensor, " n"], int]:
    """The unit of each frame where a sequence is drawn as a whole, and how many there are; -1: a frame on its own.

    ``weights[:, unit]`` are then the weights of the frames.
    """
    own = torch.arange(len(sequence)) + (int(sequence.max()) + 1 if len(sequence) else 0)
    found, unit = torch.unique(torch.where(sequence < 0, own, sequence), return_inverse=True)
    return unit, len(found)
