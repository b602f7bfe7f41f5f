"""Performance along a metric: bins, intervals, weak stretches and the separating value, against a loop over pandas.

    python scripts/bench/performance_by_metric.py --rows 1000000

Ours is `analysis.performance` (all classes and one curve per class) and `analysis.performance_split`. The peer cuts the rows
with pandas into the same quantiles, groups, and computes Wilson's interval per bin; it looks for no separating value.
"""

import argparse
import json
import os
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from gpu_quality.analysis.performance import by_class, performance
from gpu_quality.analysis.performance_split import best_split


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of the fastest of three calls."""
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def peer(values: np.ndarray, success: np.ndarray, bins: int) -> pd.DataFrame:
    """The bins by pandas."""
    rows = pd.DataFrame({"x": values, "y": success}).dropna()
    rows["bin"] = pd.qcut(rows["x"], bins, duplicates="drop")
    found = rows.groupby("bin", observed=True)["y"].agg(["size", "sum", "mean"])
    ends = [_wilson(int(k), int(n)) for n, k in zip(found["size"], found["sum"], strict=True)]
    return found.assign(low=[low for low, _ in ends], high=[high for _, high in ends])


def _wilson(k: int, n: int) -> tuple[float, float]:
    p, z = k / n, 1.96
    spread = z * (p * (1 - p) / n + z * z / 4 / n / n) ** 0.5
    return (p + z * z / 2 / n - spread) / (1 + z * z / n), (p + z * z / 2 / n + spread) / (1 + z * z / n)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=80)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.normal(size=options.rows)
    y = (rng.random(options.rows) < np.where(x < -0.5, 0.4, 0.6)).astype(np.float64)
    x[rng.random(options.rows) < 0.05] = np.nan
    frame, of_class = np.arange(options.rows) // 10, rng.integers(0, options.classes, options.rows)
    shared = rng.normal(size=options.rows // 10 + 1)[frame]
    edges = performance(x, y).edges
    work: dict[str, Callable[[], object]] = {
        "bins": lambda: performance(x, y),
        "bins per class": lambda: by_class(x, y, of_class, edges),
        "separating value": lambda: best_split(x, y),
        "separating value, by frame": lambda: best_split(shared, y, units=frame),
        "bins (pandas)": lambda: peer(x, y, 50),
    }
    for name, call in work.items():
        row = {
            "row": "performance_by_metric", "case": f"{name}: {options.rows} rows", "unit": "s",
            "wall_s": round(seconds(call), 3),
            "machine": {"cores": os.cpu_count(), "load": np.round(os.getloadavg(), 1).tolist()},
        }  # fmt: skip
        print(json.dumps(row) if options.json else f"{row['case']:45s} {row['wall_s']:7.3f} s")


if __name__ == "__main__":
    main()
