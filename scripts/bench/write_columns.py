"""Row `write_columns`: 20 float64 metrics and a 512-wide float16 embedding a frame, committed in shards of 4,096 rows.

Ours is `Store.commit`: every file synced, SHA-256 of each, one rename, folders synced. The peer is
`pyarrow.parquet.write_table` with its defaults, which syncs nothing; the limit is `np.save` of the same bytes, which syncs
nothing either. The peer is shown with vectors as given (float16) and as float32, which it writes faster; 5 x counts against
the same values, float16.
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpu_quality import __version__
from gpu_quality.store.store import Store

METRICS, WIDTH = 20, 512
TO_REACH = ">= 100,000 rows/s and >= 5 x pyarrow defaults on the same values"
Writer = Callable[[Path], None]


def data(rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns of random metrics, and unit vectors."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((rows, WIDTH), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return {f"metric_{i:02d}": random.standard_normal(rows) for i in range(METRICS)}, vectors.astype(np.float16)


def ours(columns: dict[str, np.ndarray], vectors: np.ndarray, shard: int) -> Writer:
    rows = len(vectors)
    ids = [f"{i:08d}.jpg" for i in range(rows)]

    def prepare(folder: Path) -> Store:
        store = Store.create(folder, {"shard_size": shard}, {"frames": {"frame": ids, "uri": ids}})
        store.begin_layer("bench", {"columns": {name: {"per": "frame"} for name in columns}})
        return store

    def write(_folder: Path) -> None:
        store = write.store  # type: ignore[attr-defined]
        for name in store.input.shard_names():
            part = slice(store.input.rows_of(name).start, store.input.rows_of(name).stop)
            tables = {"frames": {key: column[part] for key, column in columns.items()}}
            store.commit("bench", name, tables, {"embedding": vectors[part]})

    write.prepare = lambda folder: setattr(write, "store", prepare(folder))  # type: ignore[attr-defined]
    return write


def peer(columns: dict[str, np.ndarray], vectors: np.ndarray, shard: int, kind: str) -> Writer:
    """`write_table` with its defaults, vectors as a fixed-size list."""

    def write(folder: Path) -> None:
        for start in range(0, len(vectors), shard):
            part = vectors[start : start + shard].astype(kind, copy=False)
            lists = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), WIDTH)
            table = pa.table({**{key: column[start : start + shard] for key, column in columns.items()}, "embedding": lists})
            pq.write_table(table, folder / f"{start}.parquet")

    return write


def limit(columns: dict[str, np.ndarray], vectors: np.ndarray, shard: int) -> Writer:
    """`np.save` of the same bytes."""
    block = np.stack(list(columns.values()), 1)

    def write(folder: Path) -> None:
        for start in range(0, len(vectors), shard):
            np.save(folder / f"{start}_m.npy", block[start : start + shard])
            np.save(folder / f"{start}_v.npy", vectors[start : start + shard])

    return write


def floor(columns: dict[str, np.ndarray], vectors: np.ndarray, shard: int) -> Writer:
    """The limit with the two promises of a commit and nothing else: SHA-256 and fsync of the same bytes."""
    block = np.stack(list(columns.values()), 1)

    def write(folder: Path) -> None:
        for start in range(0, len(vectors), shard):
            for name, array in (("m", block), ("v", vectors)):
                part = array[start : start + shard]
                hashlib.sha256(part).hexdigest()
                with (folder / f"{start}_{name}.npy").open("wb") as stream:
                    np.save(stream, part)
                    stream.flush()
                    os.fsync(stream.fileno())

    return write


def timed(write: Writer, place: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one pass into a fresh folder."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        if hasattr(write, "prepare"):
            write.prepare(Path(folder))
        os.sync()
        wall, cpu = time.perf_counter(), time.process_time()
        write(Path(folder))
        return time.perf_counter() - wall, time.process_time() - cpu


def check_equal(columns: dict[str, np.ndarray], vectors: np.ndarray, shard: int, place: Path) -> None:
    """What is read back from our store is what was given, bit for bit."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        write = ours(columns, vectors, shard)
        write.prepare(Path(folder))  # type: ignore[attr-defined]
        write(Path(folder))
        store = Store.open(Path(folder))
        assert np.array_equal(store.array("embedding").whole(), vectors)
        table = store.table(names=list(columns))
        assert all(np.array_equal(table[name].to_numpy(), column) for name, column in columns.items())
        assert store.verify(read_data=True).ok


def machine() -> dict[str, object]:
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ""
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": [round(x, 2) for x in os.getloadavg()],
        "python": platform.python_version(),
        "pyarrow": pa.__version__,
    }


def measure(rows: int, shard: int, repeats: int, place: Path) -> list[dict[str, object]]:
    columns, vectors = data(rows)
    check_equal(columns, vectors, shard, place)
    writers = {
        "gpu_quality": ours(columns, vectors, shard),
        "pyarrow defaults, float16": peer(columns, vectors, shard, "float16"),
        "pyarrow defaults, float32": peer(columns, vectors, shard, "float32"),
        "np.save": limit(columns, vectors, shard),
        "np.save + sha256 + fsync": floor(columns, vectors, shard),
    }
    seconds: dict[str, list[tuple[float, float]]] = {who: [] for who in writers}
    for turn in range(repeats + 1):
        for who, write in writers.items():
            found = timed(write, place)
            if turn:  # the first turn warms up
                seconds[who].append(found)
    best = {who: rows / min(wall for wall, _ in found) for who, found in seconds.items()}
    half = len(seconds["np.save"]) // 2 or 1
    early, late = (min(wall for wall, _ in part) for part in (seconds["np.save"][:half], seconds["np.save"][-half:]))
    drift = abs(early - late) / min(early, late)
    fastest_peer = max(value for who, value in best.items() if who.startswith("pyarrow"))
    same_values = best["pyarrow defaults, float16"]
    facts = machine()
    return [
        {
            "row": "write_columns",
            "case": f"{rows} rows, shards of {shard}",
            "who": who,
            "version": __version__ if who == "gpu_quality" else pa.__version__ if who.startswith("pyarrow") else np.__version__,
            "unit": "rows/s",
            "value": round(best[who]),
            "median": round(rows / statistics.median(wall for wall, _ in found)),
            "wall_s": round(min(wall for wall, _ in found), 4),
            "cpu_s": round(min(cpu for _, cpu in found), 4),
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "repeats": repeats,
            "limit": {"name": "np.save", "value": round(best["np.save"]), "drift": round(drift, 3)},
            "of_limit": round(best[who] / best["np.save"], 3),
            "of_best_peer": round(best[who] / fastest_peer, 2),
            "of_same_values": round(best[who] / same_values, 2),
            "to_reach": TO_REACH if who == "gpu_quality" else "",
            "reached": best[who] >= max(100_000, 5 * same_values) if who == "gpu_quality" else None,
            "noisy": drift > 0.1,
            "machine": facts,
        }
        for who, found in seconds.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=65_536)
    parser.add_argument("--shard", type=int, default=4_096, help="rows per shard")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="a folder on the disk to measure")
    parser.add_argument("--json", action="store_true", help="one object per measurement on standard output")
    options = parser.parse_args()
    found = measure(options.rows, options.shard, options.repeats, options.folder)
    if options.json:
        json.dump(found, sys.stdout, indent=1)
        print()
        return
    print(f"{'who':28} {'rows/s':>9} {'median':>9} {'cpu s':>7} {'of limit':>9} {'of f16':>7} {'of best':>8}")
    for one in found:
        ratios = f"{one['of_limit']:>9} {one['of_same_values']:>7} {one['of_best_peer']:>8}"
        print(f"{one['who']:28} {one['value']:>9,} {one['median']:>9,} {one['cpu_s']:>7} {ratios}")
    noisy = " (noisy: the limit drifted)" if found[0]["noisy"] else ""
    print(f"to reach: {TO_REACH}: {'reached' if found[0]['reached'] else 'not reached'}{noisy}")


if __name__ == "__main__":
    main()
