"""How far the values of each measure have moved between two sets of frames or objects, and whether it may be chance.

Source: reference metrics.md 11.2 (`drift_<m>`).
"""

import math
from collections.abc import Collection
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from gpu_quality.analysis.drift_units import Bools, Floats, Units, ks_p, share_p, units
from gpu_quality.analysis.importance_rows import numeric
from gpu_quality.errors import UsageError
from gpu_quality.functional.inference import benjamini_hochberg
from gpu_quality.text import counted

FEWEST: Final = 5
"""Values a side has to have for a test."""
FEWEST_PSI: Final = 20
"""Values a side has to have for bins: ten in each of two."""
MOST_BINS: Final = 10
ROWS_PER_BIN: Final = 20
LIMIT: Final = 0.05
"""Share of chance findings among the significant ones."""
LEAST: Final = 0.1
"""Kolmogorov-Smirnov statistic from which a significant difference counts: a tenth of the rows lies elsewhere."""
MODERATE, LARGE = 0.1, 0.25
"""Customary bands of the population stability index."""
SMOOTHING: Final = 0.5
"""Rows added to every bin, so that an empty one has a logarithm."""
FEWEST_PERMUTATIONS: Final = 999
BINS: Final = 20
"""Of histograms."""
_FIGURES: Final = ("ks", "p", "shift", "wasserstein", "wasserstein_scaled", "psi", "psi_chance")


def drift(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    flags: Collection[str] = (),
    groups: tuple[ArrayLike, ArrayLike] | None = None,
    permutations: int | None = None,
    least: float = LEAST,
    seed: int = 0,
) -> pd.DataFrame:
    """How each measure that both tables have differs between them: one row per measure, the largest difference first.

    Both have a numeric column per measure, null = missing. `flags` are yes-or-no measures. `groups` gives the group (video,
    frame of an object) of every row of either table: p-values are then found by exchanging whole groups.

    Columns: `metric`, `kind` (``number`` or ``flag``), `n_reference`, `n_current`, `missing_reference`, `missing_current`
    (rows), `median_reference`, `median_current` (of flags the share), `ks` (0..1; of a flag the difference of the shares), `p`,
    `p_adjusted` (Benjamini-Hochberg), `shift` (-1..1: how much likelier a current value is above a reference value than below
    it), `wasserstein` (unit of the measure), `wasserstein_scaled` (over the reference's interquartile range or standard
    deviation, the larger one), `psi` with `psi_chance` (what chance alone stays under in 95 % of cases) and `band` (``none``,
    ``moderate`` from .1, ``large`` from .25; none below chance), `missing_p`, `missing_p_adjusted`, `drifts` (significant, and
    `ks` is at least `least`), `message`. ``attrs``: `permutations` (0: none were needed), `only_reference`, `only_current`.

    Raises
    ------
    UsageError
        A column is not numeric, groups have another length, or an option makes no sense.
    """
    shared = [name for name in reference if name in current]
    drawn = permutations or max(FEWEST_PERMUTATIONS, math.ceil(2 * len(shared) / LIMIT))
    of = _units(reference, current, groups, drawn, seed)
    rows = [_measure(str(name), reference[name], current[name], of, flag=name in flags) for name in shared]
    table = _adjusted(pd.DataFrame(rows, columns=_columns()), least)
    table.attrs = {
        "permutations": drawn if of.drawn is not None else 0,
        "only_reference": [str(name) for name in reference if name not in current],
        "only_current": [str(name) for name in current if name not in reference],
    }
    return table


def _columns() -> list[str]:
    start = ["metric", "kind", "n_reference", "n_current", "missing_reference", "missing_current"]
    return [*start, "median_reference", "median_current", *_FIGURES, "missing_p", "message"]


def _units(
    reference: pd.DataFrame, current: pd.DataFrame, groups: tuple[ArrayLike, ArrayLike] | None, drawn: int, seed: int
) -> Units:
    first, second = groups or (np.arange(len(reference)), np.arange(len(current)))
    for what, given, table in (("reference", first, reference), ("current", second, current)):
        if len(np.asarray(given)) != len(table):
            raise UsageError(f"groups of {what} have {len(np.asarray(given))} rows and its table {len(table)}")
    return units(first, second, permutations=drawn, seed=seed)


def _measure(name: str, reference: Any, current: Any, of: Units, *, flag: bool) -> dict[str, Any]:
    """All figures of one measure but those that depend on the others."""
    x, y = numeric(name, reference), numeric(name, current)
    both = np.concatenate([x, y])
    gone = np.isnan(both)
    a, b = np.sort(x[~np.isnan(x)]), np.sort(y[~np.isnan(y)])
    found: dict[str, Any] = {"metric": name, "kind": "flag" if flag else "number", "n_reference": len(a), "n_current": len(b)}
    found |= {"missing_reference": len(x) - len(a), "missing_current": len(y) - len(b)}
    found |= {key: _middle(part, flag=flag) for key, part in (("median_reference", a), ("median_current", b))}
    found |= {"missing_p": share_p(gone, of), "message": ""}
    few = [(side, len(part)) for side, part in (("reference", a), ("current", b)) if len(part) < FEWEST]
    if few:
        told = " and ".join(f"{counted(count, 'value')} in {side}" for side, count in few)
        return {**found, **dict.fromkeys(_FIGURES, math.nan), "message": f"{told}: too few to compare"}
    found |= distances(a, b)
    found["p"] = share_p_known(both, gone, of) if flag else ks_p(found["ks"], both, of)
    if min(len(a), len(b)) >= FEWEST_PSI:
        found["psi"], found["psi_chance"] = stability(a, b)
    else:
        found |= {"psi": math.nan, "psi_chance": math.nan, "message": f"fewer than {FEWEST_PSI} values on a side: no PSI"}
    return found


def share_p_known(values: Floats, gone: Bools, of: Units) -> float:
    """p-value of a different share of yes among the rows that have a value."""
    if not gone.any():
        return share_p(values > 0, of)
    if of.drawn is not None:
        return ks_p(0.0, np.where(gone, np.nan, values > 0), of)
    kept = np.flatnonzero(~gone)
    number = np.unique(of.of[kept], return_inverse=True)[1].astype(np.int64)
    side = np.zeros(int(number.max()) + 1, bool)
    side[number] = of.current[of.of[kept]]
    return share_p(values[kept] > 0, Units(number, side, int((kept < of.rows).sum()), None))


def _middle(ordered: Floats, *, flag: bool) -> float:
    if not len(ordered):
        return math.nan
    return float((ordered > 0).mean()) if flag else float(np.median(ordered))


def distances(a: Floats, b: Floats) -> dict[str, float]:
    """How far two sorted samples are apart: `ks`, `shift`, `wasserstein` and `wasserstein_scaled`; see `drift`.

    Source: scipy's ``ks_2samp`` and ``wasserstein_distance``; Cliff's delta.
    """
    every = np.concatenate([a, b])
    every.sort(kind="stable")
    below = [np.searchsorted(part, every, side="right") / len(part) for part in (a, b)]
    gap = np.abs(below[0] - below[1])
    with np.errstate(over="ignore"):  # of numbers near the largest there are
        moved = float((gap[:-1] * np.diff(every)).sum())
    q1, q3 = np.quantile(a, (0.25, 0.75))
    with np.errstate(over="ignore", invalid="ignore"):
        scale = max(float(q3 - q1), float(a.std()))  # many equal values leave the one tiny that the others keep
    smaller = int(np.searchsorted(a, b, side="left").sum())
    larger = len(a) * len(b) - int(np.searchsorted(a, b, side="right").sum())
    return {
        "ks": float(gap.max()),
        "shift": (smaller - larger) / (len(a) * len(b)),
        "wasserstein": moved,
        "wasserstein_scaled": moved / scale if scale else math.nan if moved else 0.0,
    }


def stability(a: Floats, b: Floats) -> tuple[float, float]:
    r"""Population stability index of two sorted samples, and what chance alone stays under in 95 % of cases.

    .. math:: \sum_i (q_i - p_i) \ln\frac{q_i}{p_i}, \qquad p_i = \frac{n_i + .5}{n + .5 k}
    over k bins of equal count of the reference, a bin for 20 rows of the smaller side, 2..10 in all; equal values are never
    split, and a value that fills a bin has one of its own. Without drift the index is about
    :math:`(1/n + 1/m)\,\chi^2_{k-1}`. Source: Yurdakul 2018.
    """
    from scipy.stats import chi2

    wanted = min(max(min(len(a), len(b)) // ROWS_PER_BIN, 2), MOST_BINS)
    cuts = np.unique(np.quantile(a, np.arange(1, wanted) / wanted, method="inverted_cdf"))
    ends = (np.searchsorted(a, cuts, side=side) for side in ("right", "left"))
    heavy = cuts[np.subtract(*ends) * wanted >= len(a)]
    cuts = np.unique(np.concatenate([cuts, np.nextafter(heavy, -np.inf)]))
    counts = [np.diff(np.searchsorted(part, cuts, side="right"), prepend=0, append=len(part)) for part in (a, b)]
    p, q = ((count + SMOOTHING) / (count.sum() + SMOOTHING * len(count)) for count in counts)
    chance = float(chi2.ppf(1 - LIMIT, len(cuts))) * (1 / len(a) + 1 / len(b))
    return float(((q - p) * np.log(q / p)).sum()), chance


def _adjusted(table: pd.DataFrame, least: float) -> pd.DataFrame:
    """What depends on all measures: p-values raised for many looks, bands, which drift; the largest difference first."""
    numbers = [*_FIGURES, "missing_p", "median_reference", "median_current"]
    table = table.astype(dict.fromkeys(numbers, np.float64))
    table["p_adjusted"] = _raised(table["p"])
    changed = (table["missing_reference"] + table["missing_current"]) > 0
    table["missing_p_adjusted"] = _raised(table["missing_p"].where(changed))
    sure = np.where(table["psi"] > table["psi_chance"], table["psi"], 0.0)
    band = np.select([sure >= LARGE, sure >= MODERATE], ["large", "moderate"], "none")
    table["band"] = pd.Series(band, index=table.index, dtype=object).where(table["psi"].notna(), None)
    table["drifts"] = (table["p_adjusted"] < LIMIT) & (table["ks"] >= least)
    gone = table["missing_p_adjusted"] < LIMIT
    told = [_absent(row) for row in table[gone].to_dict("records")]
    table.loc[gone, "message"] = [f"{a}; {b}" if a else b for a, b in zip(table.loc[gone, "message"], told, strict=True)]
    return table.sort_values(["drifts", "ks", "metric"], ascending=[False, False, True], ignore_index=True, na_position="last")


def _absent(row: dict[str, Any]) -> str:
    share = [row[f"missing_{side}"] / (row[f"missing_{side}"] + row[f"n_{side}"]) for side in ("reference", "current")]
    return f"{share[1]:.1%} have no value, {share[0]:.1%} in the reference"


def _raised(p: "pd.Series[float]") -> Floats:
    return np.asarray(benjamini_hochberg(torch.from_numpy(p.to_numpy(np.float64, copy=True))).numpy())


def histograms(reference: Floats, current: Floats) -> dict[str, Any] | None:
    """Counts of both in the same twenty equal bins: `low`, `high`, `reference`, `current`; None where no side has a value.

    The range holds 99 % of all; values beyond are in the end bins.
    """
    sides = [part[~np.isnan(part)] for part in (reference, current)]
    both = np.concatenate(sides)
    if not len(both):
        return None
    low, high = (float(end) for end in np.quantile(both, (0.005, 0.995)))
    half = high / 2 - low / 2  # the whole of the largest numbers there are is beyond them
    half = half if half > 0 else 0.5
    places = [np.clip((np.clip(part, low, high) / 2 - low / 2) / half, 0, 1 - 1e-9) for part in sides]
    counts = [np.bincount((place * BINS).astype(np.int64), minlength=BINS) for place in places]
    return {"low": low, "high": high, "reference": counts[0].tolist(), "current": counts[1].tolist()}
