"""Row `ivf_pq_slopes`: what an IVF-PQ index costs per vector as data and cells grow: the slopes behind the plan for a billion.

Training, adding and searching are timed apart. CPU seconds are what to extrapolate from: wall seconds depend on the company.
"""

import argparse
import json
import os
import time
from typing import Any

import torch

from gpu_quality.index import faiss as door
from gpu_quality.index.exact import Exact
from gpu_quality.kernels.threads import threads

D, CODE, QUERIES, K = 512, 64, 1000, 10


def clusters(n: int, centers: int = 2000) -> torch.Tensor:
    """Float16 vectors around random centers, as embeddings lie."""
    generator = torch.Generator().manual_seed(0)
    center = torch.randn(centers, D, generator=generator)
    x = torch.empty(n, D, dtype=torch.float16)
    for begin in range(0, n, 8192):
        part = x[begin : begin + 8192]
        near = center[torch.randint(centers, (len(part),), generator=generator)]
        part.copy_(near + 0.8 * torch.randn(len(part), D, generator=generator))
    return x


def taken(begin: tuple[float, float]) -> dict[str, float]:
    """Wall and CPU seconds since then."""
    return {"wall_s": round(time.perf_counter() - begin[0], 3), "cpu_s": round(time.process_time() - begin[1], 3)}


def now() -> tuple[float, float]:
    """Wall and CPU seconds."""
    return time.perf_counter(), time.process_time()


def measure(n: int, cells: int, training: int, probes: int) -> dict[str, Any]:
    """Train, add and search by hand what `index.faiss.build` does in one go, so that each step has its own time."""
    import faiss

    x = clusters(n)
    ids = torch.arange(n)
    setting = door.Setting("pq", lists=cells, probes=probes, bytes=CODE)
    index = door._empty(D, n, setting)
    sample = door._units(x, ids[torch.randperm(n, generator=torch.Generator().manual_seed(0))[:training]])
    begin = now()
    index.train(sample)
    trained = taken(begin)
    begin = now()
    for part in torch.split(ids, door.BLOCK):
        index.add(door._units(x, part))
    added = taken(begin)
    whole = door.Faiss(index, ids.numpy(), setting, "")
    asked = torch.linspace(0, n - 1, QUERIES).long()
    begin = now()
    found = whole.search(x[asked], K, same=asked)
    searched = taken(begin)
    right = Exact().search(x[asked], x, K, same=asked).row
    size = len(faiss.serialize_index(index))
    fixed = 4 * D * (index.nlist + 256)  # cell centers and code books, whatever is stored
    return {
        "row": "ivf_pq_slopes", "case": f"{n} x {D}, {index.nlist} cells, {CODE} bytes, {probes} probes", "vectors": n,
        "cells": index.nlist, "training_vectors": len(sample), "train": trained, "add": added, "search": searched,
        "add_cpu_us_per_vector": 1e6 * added["cpu_s"] / n, "search_cpu_ms_per_query": 1e3 * searched["cpu_s"] / QUERIES,
        "scanned_per_query": n * probes / index.nlist, "bytes_per_vector": (size - fixed) / n,
        "recall": float((found.row[:, :, None] == right[:, None]).any(2).double().mean()),
        "machine": {"cores": os.cpu_count(), "threads": threads(), "load": round(os.getloadavg()[0], 1)},
    }  # fmt: skip


def main() -> None:
    """Measure and print: data that grow with the same cells, then cells that grow with the same data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    parser.add_argument("--vectors", type=int, nargs="*", default=[50_000, 100_000, 200_000])
    parser.add_argument("--cells", type=int, nargs="*", default=[256, 512, 1024])
    parser.add_argument("--training", type=int, default=40_000)
    parser.add_argument("--probes", type=int, default=32)
    options = parser.parse_args()
    most = max(options.cells)
    cases = [(n, most) for n in options.vectors] + [(min(options.vectors), c) for c in options.cells if c < most]
    for n, cells in cases:
        row = measure(n, cells, options.training, options.probes)
        train, add, search = row["train"], row["add"], row["search"]
        text = (
            f"{row['case']:50s} train {train['wall_s']:5.1f} s ({train['cpu_s']:5.1f} CPU)"
            f"  add {add['wall_s']:5.1f} s ({row['add_cpu_us_per_vector']:5.1f} us CPU/vector)"
            f"  search {search['wall_s']:5.2f} s ({row['search_cpu_ms_per_query']:5.2f} ms CPU/query, "
            f"{row['scanned_per_query']:.0f} scanned)  {row['bytes_per_vector']:.1f} bytes/vector"
            f"  recall {row['recall']:.3f}  load {row['machine']['load']}"
        )
        print(json.dumps(row) if options.json else text, flush=True)


if __name__ == "__main__":
    main()
