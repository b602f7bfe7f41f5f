"""Importance of many metrics with permutations, against a loop over scikit-learn's nearest-neighbor mutual information.

    python scripts/bench/importance.py --rows 1000000 --metrics 40 --permutations 200

Ours is measured in full: ranks, 200 half-samples and all permutations. The peer has neither intervals nor p-values; its time
for one estimate of one metric is the best of three on `--peer-rows` rows and extrapolated, in proportion to rows (its trees
cost a little more), to one estimate per metric and permutation. It runs on one core, so that its wall time is its CPU time.
Cases ``correlations`` (1,000 resamples) and ``joint`` have no peer.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from gpu_quality.analysis.correlation import correlations
from gpu_quality.analysis.importance import importance
from gpu_quality.analysis.joint import joint
from gpu_quality.kernels.threads import threads


def taken(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


CASES = ("plain", "tied", "frames", "missing", "correlations", "joint")


def data(rows: int, metrics: int, case: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Metrics of one kind, outcome and frames of ten rows."""
    rng = np.random.default_rng(0)
    frame = np.arange(rows) // 10
    by_frame = case == "frames"
    values = rng.normal(size=(rows // 10 + 1 if by_frame else rows, metrics))
    values = values[frame] if by_frame else values
    if case == "tied":
        values = np.round(values, 1)
    if case == "missing":
        values[rng.random(values.shape) < 0.1] = np.nan
    outcome = rng.random(rows) < 1 / (1 + np.exp(-np.nan_to_num(values[:, 0])))
    return pd.DataFrame(values, columns=[f"m{i}" for i in range(metrics)]), outcome, frame


def peer(rows: int) -> float:
    """CPU seconds of one estimate by scikit-learn per row."""
    from sklearn.feature_selection import mutual_info_classif

    metrics, outcome, _ = data(rows, 1, "plain")
    return min(taken(lambda: mutual_info_classif(metrics, outcome, discrete_features=False))[1] for _ in range(3)) / rows


def against(options: argparse.Namespace, cpu: float, wall: float) -> dict[str, float]:
    """What a loop over scikit-learn takes, and how many times as much as ours."""
    per_row = peer(options.peer_rows)
    loop = per_row * options.rows * options.metrics * (1 + options.permutations)
    return {
        "permutations": options.permutations, "peer_rows": options.peer_rows, "peer_us_per_row": round(per_row * 1e6, 2),
        "peer_extrapolated_cpu_s": round(loop), "peer_of_ours_cpu": round(loop / cpu, 1),
        "peer_of_ours_wall": round(loop / wall, 1),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--metrics", type=int, default=4)
    parser.add_argument("--permutations", type=int, default=200)
    parser.add_argument("--peer-rows", type=int, default=100_000)
    parser.add_argument("--cases", default=",".join(CASES))
    options = parser.parse_args()
    works = {"correlations": lambda m, y, f: correlations(m, y, frames=f), "joint": lambda m, y, f: joint(m, y, frames=f)}
    for case in options.cases.split(","):
        if case not in CASES:
            parser.error(f"no case {case}; there are {', '.join(CASES)}")
        importances = partial(importance, level="F" if case == "frames" else "P", permutations=options.permutations)
        work = works.get(case, lambda m, y, f, of=importances: of(m, y, frames=f))
        work(*data(1000, 2, case))  # compiled by now
        given = data(options.rows, options.metrics, case)
        wall, cpu = taken(lambda work=work, given=given: work(*given))
        row = {
            "row": case if case in works else "importance", "unit": "s", "wall_s": round(wall, 2), "cpu_s": round(cpu, 2),
            "case": f"{case}: {options.rows} x {options.metrics}",
            "machine": {"cores": os.cpu_count(), "threads": threads(), "load": np.round(os.getloadavg(), 1).tolist()},
        }  # fmt: skip
        text = f"{row['case']:40s} {wall:7.2f} s wall {cpu:7.2f} s CPU"
        if case not in works:
            compared = against(options, cpu, wall)
            row |= compared
            text += (
                f", {options.permutations} permutations; scikit-learn (extrapolated) {compared['peer_extrapolated_cpu_s']} s"
            )
            text += f", {compared['peer_of_ours_cpu']} x CPU, {compared['peer_of_ours_wall']} x wall"
        print(json.dumps(row) if options.json else text, flush=True)


if __name__ == "__main__":
    main()
