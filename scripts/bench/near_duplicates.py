"""Row `near_duplicates`: all pairs of vectors with a cosine of at least t, beside the cheapest faiss IVF that finds 99 %.

Peak memory is measured in a process of its own, where nothing but our search runs.
"""

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch

from gpu_quality.index.exact import Exact

D = 512


def vectors(n: int, kind: str) -> torch.Tensor:
    """Unit vectors, a twentieth of them replaced by near copies: spread evenly, or around 1,000 centers in a narrow cone."""
    generator = torch.Generator().manual_seed(0)
    x = torch.empty(n, D)
    scale = torch.ones(D) if kind == "even" else torch.arange(1, D + 1) ** -0.5
    center = torch.randn(1000, D, generator=generator) * scale
    for begin in range(0, n, 8192):
        block = torch.randn(min(8192, n - begin), D, generator=generator) * scale
        if kind != "even":
            block = 0.7 * block + center[torch.randint(1000, (len(block),), generator=generator)] + 0.3
        x[begin : begin + 8192] = torch.nn.functional.normalize(block, dim=1)
    some = torch.randperm(n, generator=generator)[: n // 10].view(2, -1)
    for copy, original in zip(*(part.split(4096) for part in some), strict=True):
        noise = torch.nn.functional.normalize(torch.randn(len(copy), D, generator=generator), dim=1)
        step = 0.3 * torch.rand(len(copy), 1, generator=generator)
        x[copy] = torch.nn.functional.normalize(x[original] + step * noise, dim=1)
    return x


def by_ivf(x: torch.Tensor, at_least: float, probes: int) -> set[tuple[int, int]]:
    """Build, train and search an inverted file, as a person would for this."""
    import faiss

    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(D), D, round(len(x) ** 0.5), faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = 64
    index.train(x.numpy())
    index.add(x.numpy())
    index.nprobe = probes
    limit, _, row = index.range_search(x.numpy(), at_least)
    own = np.repeat(np.arange(len(x)), np.diff(limit).astype(np.int64))
    return {(int(a), int(b)) for a, b in zip(own[own < row], row[own < row], strict=True)}


def peak(n: int, kind: str, at_least: float) -> None:
    """Print the peak of resident memory during the search, above what the process had without the vectors; and their size."""
    Exact().pairs(vectors(9000, kind), at_least)  # compiled code and thread pools are loaded
    before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()  # noqa: PTH123, SIM115
    x = vectors(n, kind)
    with open("/proc/self/clear_refs", "w") as stream:  # noqa: PTH123 - resets the peak of this process
        stream.write("5")
    Exact().pairs(x, at_least)
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # noqa: PTH123, SIM115
    top = int(status["VmHWM"].split()[0]) * 1024
    print(json.dumps({"peak": top - before, "vectors": x.numel() * 4}))


def measure(n: int, kind: str, at_least: float) -> Iterator[dict[str, object]]:
    """Ours, and IVF with more probes until it finds 99 %; one result at a time."""
    command = [sys.executable, __file__, "--peak", "--vectors", str(n), "--kind", kind, "--at-least", str(at_least)]
    memory = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    x = vectors(n, kind)
    Exact().pairs(x[:9000], at_least)
    begin, found = clock(), Exact().pairs(x, at_least)
    right = {tuple(pair) for pair in found.tolist()}
    facts = {"row": "near_duplicates", "case": f"{n} x {D} {kind}, cosine >= {at_least}", "pairs": len(right)}
    share = round(memory["peak"] / memory["vectors"], 2)
    yield {**facts, "who": "gpu_quality", **since(begin), "recall": 1.0, "peak_of_vectors": share}
    for probes in (1, 2, 4, 8, 16, 32, 64) if importlib.util.find_spec("faiss") else ():
        begin, theirs = clock(), by_ivf(x, at_least, probes)
        recall = len(theirs & right) / max(1, len(right))
        yield {**facts, "who": f"faiss IVF, {probes} probes", **since(begin), "recall": recall}
        if recall >= 0.99:
            break


def clock() -> tuple[float, float]:
    """Wall and CPU seconds now."""
    return time.perf_counter(), time.process_time()


def since(begin: tuple[float, float]) -> dict[str, float]:
    """Wall and CPU seconds since then, and the load of the machine, which is shared."""
    wall, cpu = clock()
    return {"wall_s": wall - begin[0], "cpu_s": cpu - begin[1], "load": round(os.getloadavg()[0], 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    parser.add_argument("--vectors", type=int, default=200_000)
    parser.add_argument("--at-least", type=float, default=0.97)
    parser.add_argument("--kind", choices=["even", "cone"], default="cone")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak(options.vectors, options.kind, options.at_least)
        return
    for row in measure(options.vectors, options.kind, options.at_least):
        text = (
            f"{row['case']:40s} {row['who']:22s} {row['wall_s']:7.2f} s wall {row['cpu_s']:7.2f} s CPU"
            f"  recall {row['recall']:.4f}"
            f"  pairs {row['pairs']}  peak / vectors {row.get('peak_of_vectors', '-')}  load {row['load']}"
        )
        print(json.dumps(row) if options.json else text, flush=True)


if __name__ == "__main__":
    main()
