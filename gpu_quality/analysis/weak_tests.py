"""Whether some rows fail more often than the others, where the rows of one unit (an image, a sequence) resemble each other."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FEWEST: Final = 3.0
"""Units, in effect, that a slice must lie in: what is seen in one or two images is not seen again."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Units:
    """Rows and failures of every unit, and how alike the failures of a unit are."""

    n: Ints
    failures: Ints
    rate: float
    """Share of the rows that fail, 0..1."""
    alike: float
    """Correlation of the failures of two rows of a unit, 0 (as of strangers) .. 1 (all the same)."""


def units_of(n: Ints, failures: Ints) -> Units:
    """The units and the moment estimate of their correlation: mean product of two rows' deviations over their variance."""
    total = int(n.sum())
    rate = float(failures.sum() / total) if total else 0.0
    pairs = float((n * (n - 1)).sum())
    variance = rate * (1 - rate)
    if pairs == 0 or variance == 0:
        return Units(n, failures, rate, 0.0)
    squares = failures * (1 - rate) ** 2 + (n - failures) * rate**2
    products = float(((failures - rate * n) ** 2 - squares).sum())
    return Units(n, failures, rate, min(max(products / (variance * pairs), 0.0), 1.0))


def excess(units: Units, n: Ints, failures: Ints) -> tuple[float, float]:
    """How many standard errors a slice has more failures than its share, and in effect how many units it lies in.

    `n` and `failures` are those of the slice in each unit. With w the slice's share of all rows, the score is
    ``(1 - w) K_slice - w K_rest``. Its variance is the larger one of two: what units have whose rows are alike as in all the
    data (it does not vanish where all rows of a slice fail), and the sum over units of squared deviations from the rates inside
    and outside (it is large where few failures, or few units, make the score). Counts are whole: half a failure less. The
    number of units is ``(sum n)^2 / sum n^2``.
    """
    total, inside = int(units.n.sum()), int(n.sum())
    variance = units.rate * (1 - units.rate)
    if not 0 < inside < total or variance == 0:
        return 0.0, 0.0
    share, others, other_failures = inside / total, units.n - n, units.failures - failures
    score = (1 - share) * float(failures.sum()) - share * float(other_failures.sum())
    own = (1 - share) ** 2 * n + share**2 * others
    together = ((1 - share) * n - share * others) ** 2
    modeled = variance * float(((1 - units.alike) * own + units.alike * together).sum())
    in_slice = failures - failures.sum() / inside * n
    in_rest = other_failures - other_failures.sum() / (total - inside) * others
    seen = float((((1 - share) * in_slice - share * in_rest) ** 2).sum())
    z = (score - math.copysign(min(abs(score), 0.5), score)) / math.sqrt(max(modeled, seen))
    return z, inside**2 / float((n.astype(np.float64) ** 2).sum())


def p_value(z: float, units: float) -> float:
    """Chance of so large a score in data without weak slices, by the normal tail; 1 for rows of fewer than `FEWEST` units."""
    return 0.5 * math.erfc(z / math.sqrt(2)) if units >= FEWEST else 1.0
