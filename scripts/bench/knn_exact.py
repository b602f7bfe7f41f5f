"""Row `knn_exact`: the exact 10 nearest neighbors of every vector, beside faiss and torch in float32, in one process."""

import argparse
import importlib.util
import json
import os
import time
from collections.abc import Callable

import numpy as np
import torch

from gpu_quality.index.exact import Exact
from gpu_quality.kernels.threads import threads

D, K = 512, 10


def taken(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def product_limit(n: int) -> float:
    """Seconds of the bfloat16 products of half of all pairs: what no exact search on this machine can beat."""
    a = torch.randn(2048, D).bfloat16()
    best = min(taken(lambda: a @ a.T)[0] for _ in range(20))
    return best * (n / 2048) ** 2 / 2


def in_float32(x: torch.Tensor) -> torch.Tensor:
    """Blocks of products, best k of each row."""
    rows = []
    for begin in range(0, len(x), 1024):
        score = x[begin : begin + 1024] @ x.T
        own = torch.arange(len(score))
        score[own, begin + own] = -2
        rows.append(score.topk(K, 1).indices)
    return torch.cat(rows)


def by_faiss(x: torch.Tensor) -> torch.Tensor:
    """The flat index; each row's own entry is taken out."""
    import faiss

    index = faiss.IndexFlatIP(D)
    index.add(x.numpy())
    row = torch.from_numpy(index.search(x.numpy(), K + 1)[1])
    other = row != torch.arange(len(x))[:, None]
    other[other.all(1), K] = False
    return row[other].view(len(x), K)


def recall(found: torch.Tensor, x: torch.Tensor) -> float:
    """Share of the true neighbors of 500 rows, in float64."""
    some = torch.linspace(0, len(x) - 1, 500).long()
    cosine = torch.cat([x[part].double() @ x.double().T for part in some.split(100)])
    cosine[torch.arange(500), some] = -2
    right = cosine.topk(K, 1).indices
    return float((found[some][:, :, None] == right[:, None]).any(2).double().mean())


def measure(n: int, repeats: int) -> list[dict[str, object]]:
    """Interleaved runs of all that are installed."""
    x = torch.nn.functional.normalize(torch.randn(n, D, generator=torch.Generator().manual_seed(0)), dim=1)
    works: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"gpu_quality": lambda v: Exact().nearest(v, K).row}
    if importlib.util.find_spec("faiss") is not None:
        works["faiss IndexFlatIP"] = by_faiss
    works["torch float32"] = in_float32
    found = {}
    Exact().nearest(x[:3000], K)
    before = product_limit(n)
    seconds: dict[str, list[tuple[float, float]]] = {who: [] for who in works}
    for _ in range(repeats):
        for who, work in works.items():
            seconds[who].append(taken(lambda who=who, work=work: found.update({who: work(x)})))
    limit, after = before, product_limit(n)
    best = {who: tuple(min(column) for column in zip(*runs, strict=True)) for who, runs in seconds.items()}
    wall, cpu = best["gpu_quality"]
    return [
        {
            "row": "knn_exact", "case": f"{n} x {D}, k = {K}", "who": who, "unit": "s",
            "wall_s": round(w, 2), "cpu_s": round(c, 2), "recall": recall(found[who], x),
            "of_ours_wall": round(w / wall, 2), "of_ours_cpu": round(c / cpu, 2),
            "limit": {"name": "bf16 products of half the pairs", "value": round(limit, 2),
                      "drift": round(after / before - 1, 2)},
            "machine": {"cores": os.cpu_count(), "threads": threads(), "load": np.round(os.getloadavg(), 1).tolist()},
        }
        for who, (w, c) in best.items()
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    parser.add_argument("--vectors", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    for row in measure(options.vectors, options.repeats):
        text = (
            f"{row['case']:24s} {row['who']:18s} {row['wall_s']:7.2f} s wall {row['cpu_s']:7.2f} s CPU"
            f"  recall {row['recall']:.4f}  of ours {row['of_ours_wall']:.2f} wall {row['of_ours_cpu']:.2f} CPU"
            f"  limit {row['limit']['value']} s"
        )
        print(json.dumps(row) if options.json else text)


if __name__ == "__main__":
    main()
