"""Row `selection`: 1,000 frames out of 100,000 by k-center greedy, against a plain NumPy loop; k-means beside scikit-learn's.

    python scripts/bench/selection.py --frames 100000 --count 1000

Ours is measured in full, from float16 vectors on. The NumPy loop does the same picks with a matrix-vector product each; it is
measured on `--peer-picks` picks, checked to pick the same frames, and extrapolated. `noise` vectors are the hard case: all of
them are about equally far from each other.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gpu_quality.analysis.selection import Shows, choose
from gpu_quality.analysis.selection_pickers import Farthest
from gpu_quality.index.exact import Exact
from gpu_quality.kernels.threads import threads

D = 512


def taken(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and CPU seconds of one call, and what it returns."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def data(frames: int, case: str) -> torch.Tensor:
    """Unit vectors in float16: noise, or blobs around a center for every 200 frames."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(frames, D, generator=generator)
    if case == "blobs":
        size = max(frames // 200, 1)
        x = 0.7 * x + torch.randn(size, D, generator=generator)[torch.randint(size, (frames,), generator=generator)]
    return torch.nn.functional.normalize(x, dim=1).half()


def ours(x: torch.Tensor, count: int) -> list[int]:
    """k-center greedy, starting with the first frame."""
    near = torch.full((len(x),), torch.inf, dtype=torch.float64)
    picks = choose(Farthest(x, near), len(x), count, shows=Shows({}, {}), quotas={})
    return [pick.row for pick in picks]


def loop(x: torch.Tensor, count: int) -> list[int]:
    """The same in NumPy: one product of all vectors with the newest center a pick."""
    unit = x.float().numpy()
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    near = np.full(len(unit), np.inf, np.float32)
    rows = [0]
    while len(rows) < count:
        near = np.minimum(near, 1 - unit @ unit[rows[-1]])
        near[rows[-1]] = -1
        rows.append(int(near.argmax()))
    return rows


def clusters(x: torch.Tensor, count: int) -> dict[str, float]:
    """Seconds of k-means, ours and scikit-learn's with one start, and the inertia of both."""
    from sklearn.cluster import KMeans

    wall, _, found = taken(lambda: Exact().kmeans(x, count, 0))
    unit = torch.nn.functional.normalize(x.float(), dim=1).numpy()
    peer, _, other = taken(lambda: KMeans(count, n_init=1, random_state=0).fit(unit))
    inertia = float(found.distance.square().sum())
    return {"wall_s": wall, "peer_wall_s": peer, "inertia": inertia, "peer_inertia": float(other.inertia_)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--peer-picks", type=int, default=50)
    parser.add_argument("--kmeans-frames", type=int, default=5000)
    options = parser.parse_args()
    ours(data(1000, "noise"), 5)  # compiled by now
    machine = {"cores": os.cpu_count(), "threads": threads(), "load": np.round(os.getloadavg(), 1).tolist()}
    for case in ("noise", "blobs"):
        x = data(options.frames, case)
        wall, cpu, rows = taken(lambda x=x: ours(x, options.count))
        some, _, other = taken(lambda x=x: loop(x, options.peer_picks))
        row = {
            "row": "selection", "case": f"{case}: {options.count} of {options.frames} x {D}", "unit": "s",
            "wall_s": round(wall, 2), "cpu_s": round(cpu, 2),
            "peer_extrapolated_wall_s": round(some * options.count / options.peer_picks, 1),
            "same_picks": rows[: options.peer_picks] == other, "machine": machine,
        }  # fmt: skip
        print(json.dumps(row))
    few = clusters(data(options.kmeans_frames, "blobs"), max(options.count // 10, 1))
    told = {key: round(value, 2) for key, value in few.items()}
    print(json.dumps({"row": "selection", "case": f"k-means: {options.count // 10} of {options.kmeans_frames} x {D}", **told}))


if __name__ == "__main__":
    main()
