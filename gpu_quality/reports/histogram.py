"""How the values of a column are spread: a histogram that outliers cannot flatten, and its one-line form."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOCKS: Final = "▁▂▃▄▅▆▇█"
FENCE: Final = 3.0
"""Values more than this many interquartile ranges beyond the quartiles (Tukey's outer fence) share an end bin."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values in equal bins from `low` to `high`; the end bins also hold the values beyond, `below` and `above`."""

    counts: NDArray[np.int64]
    low: float
    high: float
    below: int
    above: int


def histogram(values: NDArray[np.float64], bins: int, inside: float | None = None) -> Histogram | None:
    """Bin finite values; None without any. The range is that of the values, cut at the outer fences but not before `inside`."""
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    q1, q3 = np.quantile(values, (0.25, 0.75))
    reach = FENCE * float(q3 - q1)
    if reach > 0:
        low, high = max(low, float(q1) - reach), min(high, float(q3) + reach)
    if inside is not None:
        low, high = min(low, inside), max(high, inside)
    below, above = int((values < low).sum()), int((values > high).sum())
    if high > low:
        place = np.clip((values - low) / (high - low), 0.0, 1.0) * bins
        bin_of = np.minimum(place.astype(np.int64), bins - 1)
    else:
        bin_of = np.full(len(values), bins // 2, np.int64)
    return Histogram(np.bincount(bin_of, minlength=bins), low, high, below, above)


def sparkline(found: Histogram | None) -> str:
    """A histogram as one line of blocks, one per bin: a blank is empty, the lowest block is at least one value."""
    if found is None:
        return ""
    counts = found.counts
    level = np.ceil(counts * len(BLOCKS) / counts.max()).astype(int)
    return "".join(BLOCKS[step - 1] if step else " " for step in level.tolist())
