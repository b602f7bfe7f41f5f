"""Drift of many measures between two sets of a million rows, against scipy's statistics one by one.

    python scripts/bench/drift.py --rows 1000000 --metrics 3

Ours: KS with p-value, Wasserstein, PSI, shift, shares of nulls. The peer: ``ks_2samp`` (asymptotic) and
``wasserstein_distance``. Then vectors: discrepancy and classifier with 999 permutations on 2,000 a side.
"""

import argparse
import json
import time

import numpy as np
import pandas as pd
import torch
from scipy.stats import ks_2samp, wasserstein_distance

from gpu_quality.analysis.drift import drift
from gpu_quality.analysis.drift_units import exchanged, units
from gpu_quality.analysis.drift_vectors import discrepancy, domain


def taken(work) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--metrics", type=int, default=3)
    parser.add_argument("--points", type=int, default=2000)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    a, b = (pd.DataFrame(rng.normal(size=(asked.rows, asked.metrics))).add_prefix("m") for _ in range(2))
    drift(a[:100], b[:100])
    ours = taken(lambda: drift(a, b)) / asked.metrics
    peer = min(
        taken(lambda: (ks_2samp(a["m0"], b["m0"], method="asymp"), wasserstein_distance(a["m0"], b["m0"]))) for _ in "ab"
    )
    group = np.arange(asked.rows // 4) // 250
    some = a[: len(group)], b[: len(group)]
    grouped = taken(lambda: drift(*some, groups=(group, group))) / asked.metrics
    of = units(np.arange(asked.points), np.arange(asked.points), permutations=1, seed=0)
    drawn, points = exchanged(of.current, 999, 0), torch.from_numpy(rng.normal(size=(2 * asked.points, 512))).float()
    told = {"rows": asked.rows, "seconds_per_measure": ours, "scipy_seconds_per_measure": peer}
    told |= {"grouped_rows": len(group), "groups": 2 * (int(group.max()) + 1), "grouped_seconds_per_measure": grouped}
    told |= {"points": asked.points, "discrepancy_seconds": taken(lambda: discrepancy(points, of, drawn))}
    print(json.dumps(told | {"domain_seconds": taken(lambda: domain(points, of, drawn))}))


if __name__ == "__main__":
    main()
