"""The search for weak slices of many rows by many metrics, and a condition over a store of as many objects.

    python scripts/bench/weak_slices.py --rows 1000000 --metrics 40

Half of the metrics belong to frames of ten rows. One slice is planted: two metrics, a twelfth of the rows, twice the failures.
Measured are the codes (made once), the search with all its tests, and what share of the planted rows the first slice holds.
With --store a store of a tenth of the frames is made and `object_rows` is timed on it.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from gpu_quality.analysis.weak_codes import numeric
from gpu_quality.analysis.weak_slices import weak_slices
from gpu_quality.kernels.threads import threads
from gpu_quality.store.store import Store


def data(rows: int, metrics: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Metrics, failures, frames and the planted rows."""
    rng = np.random.default_rng(0)
    frame = np.arange(rows) // 10
    values = np.empty((metrics, rows))
    for i in range(metrics):
        values[i] = rng.normal(size=frame[-1] + 1)[frame] if i % 2 else rng.normal(size=rows)
    weak = (values[0] < -0.6) & (values[1] < -0.4)
    chance = np.clip(0.3 + 0.1 * rng.normal(size=frame[-1] + 1), 0.02, 0.5)[frame]
    return values, rng.random(rows) < np.where(weak, 2 * chance, chance), frame, weak


def condition_seconds(rows: int) -> tuple[float, int]:
    """Seconds of one condition over two columns of a store with so many objects."""
    import pyarrow as pa

    from gpu_quality.api.slices import object_rows

    rng, frame = np.random.default_rng(0), np.arange(rows) // 10
    frames = pa.table({"frame": [f"{i}.jpg" for i in range(frame[-1] + 1)], "brightness": rng.random(frame[-1] + 1)})
    names = frames["frame"].take(pa.array(frame))
    objects = {"object": names, "frame": names, "row": pa.array(frame, pa.int32()), "object_area": rng.random(rows)}
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "run", {"shard_size": 8192}, {"frames": frames, "objects": pa.table(objects)})
        begin = time.perf_counter()
        found = int(object_rows(store, "object_area < 0.3 and brightness < 0.3").sum())
        return time.perf_counter() - begin, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--metrics", type=int, default=40)
    parser.add_argument("--store", action="store_true", help="time a condition too")
    asked = parser.parse_args()
    values, failed, frame, weak = data(asked.rows, asked.metrics)
    weak_slices([numeric("warm", values[0][:500])], failed[:500], frame[:500])  # compiles
    begin = time.perf_counter()
    features = [numeric(f"m{i}", own) for i, own in enumerate(values)]
    coded, cpu = time.perf_counter() - begin, time.process_time()
    found = weak_slices([one for one in features if one is not None], failed, frame)
    done = time.perf_counter() - begin
    told = {"rows": asked.rows, "metrics": asked.metrics, "threads": threads(), "codes_s": round(coded, 2)}
    told |= {"search_s": round(done - coded, 2), "search_cpu_s": round(time.process_time() - cpu, 2)}
    told |= {"slices": [" and ".join(term.words for term in one.terms) for one in found.slices]}
    if found.slices:
        told["planted_rows_in_first"] = round(float(weak[found.slices[0].rows].sum() / weak.sum()), 3)
        told["first_rows_planted"] = round(float(weak[found.slices[0].rows].mean()), 3)
    if asked.store:
        seconds, rows = condition_seconds(asked.rows)
        told |= {"condition_s": round(seconds, 3), "condition_rows": rows}
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
