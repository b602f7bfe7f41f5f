"""Row `hashes`: thumbnails for pHash and dHash, and Hamming searches among 100k codes, beside peers where installed."""

import argparse
import importlib.util
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from gpu_quality.kernels.hamming import cpu as hamming
from gpu_quality.kernels.threads import set_threads, threads
from gpu_quality.kernels.thumbnails import WANTED
from gpu_quality.kernels.thumbnails import cpu as thumbnails
from gpu_quality.types import Pixels, Regions


def best(works: list[Callable[[], object]], repeats: int) -> list[float]:
    """Best wall seconds of each work, taken in turn so that a busy moment hits all alike."""
    found = [float("inf")] * len(works)
    for _ in range(repeats + 1):
        for i, work in enumerate(works):
            begin = time.perf_counter()
            work()
            found[i] = min(found[i], time.perf_counter() - begin)
    return found


def popcount_limit() -> float:
    """Pairs per second if every core did nothing but XOR and count codes that stay in cache."""
    codes, found = np.arange(2048, dtype=np.uint64), np.full(2048, 65, np.int64)
    seconds = best([lambda: hamming.nearest_rows(codes, 0, len(codes), found)], 20)[0]
    return threads() * len(codes) ** 2 / seconds


def faiss_nearest(codes: np.ndarray) -> np.ndarray:
    """Distance to the second hit of every code: the first is the code itself."""
    import faiss

    index = faiss.IndexBinaryFlat(64)
    index.add(codes.view(np.uint8).reshape(-1, 8))
    return index.search(codes.view(np.uint8).reshape(-1, 8), 2)[0][:, 1]


def numpy_nearest(codes: np.ndarray) -> np.ndarray:
    """The same by blocks of NumPy's population count."""
    out = np.empty(len(codes), np.int64)
    for start in range(0, len(codes), 256):
        distance = np.bitwise_count(codes[start : start + 256, None] ^ codes[None])
        distance[np.arange(len(distance)), start + np.arange(len(distance))] = 65
        out[start : start + 256] = distance.min(1)
    return out


def measure_pairs(n: int, repeats: int) -> list[dict[str, object]]:
    """Nearest other code and leader groups among n random codes."""
    codes = np.random.default_rng(0).integers(0, 1 << 63, n, dtype=np.int64)
    tensor, take = torch.from_numpy(codes), torch.ones(n, dtype=torch.bool)
    limit = popcount_limit()
    has_faiss = importlib.util.find_spec("faiss") is not None
    peer = faiss_nearest if has_faiss else numpy_nearest
    part = codes if has_faiss else codes[:10_000]
    if not has_faiss:
        print(f"faiss skipped: not installed; the peer is NumPy on {len(part)} codes")
    if not np.array_equal(hamming.nearest(torch.from_numpy(part)).numpy(), peer(part.view(np.uint64))):
        raise SystemExit("peer and kernel disagree on the nearest code")
    works = [lambda: hamming.nearest(tensor), lambda: hamming.leaders(tensor, take, 6), lambda: peer(part.view(np.uint64))]
    names = [("nearest", "gpu_quality", n * n), ("leaders", "gpu_quality", n * n / 2)]
    names.append(("nearest", "faiss" if has_faiss else "numpy", len(part) ** 2))
    seconds = best(works, repeats)
    ours = n * n / seconds[0]
    return [row_of(f"{case} {n}", who, "Gpair/s", pairs / s / 1e9, limit / 1e9, pairs / s / ours)
            for (case, who, pairs), s in zip(names, seconds, strict=True)]  # fmt: skip


def measure_thumbnails(count: int, repeats: int) -> list[dict[str, object]]:
    """All four thumbnails of VGA frames on one thread, and Pillow's resizing for the same hashes."""
    before = threads()
    set_threads(1)
    images = np.random.default_rng(0).integers(0, 256, (count, 480, 640, 3), dtype=np.uint8)
    sides = [torch.full((count,), side, dtype=torch.int32) for side in (480, 640)]
    pixels = Pixels(torch.from_numpy(images.ravel()), torch.arange(count) * 480 * 640 * 3, *sides)
    rect = torch.tensor([[0, 0, 640, 480]] * count, dtype=torch.int32)
    regions = Regions(torch.arange(count), rect, None, torch.zeros(count, dtype=torch.int8))

    def pillow() -> None:
        for image in images:
            picture = Image.fromarray(image)
            y = picture.convert("L")
            for size in ((32, 32), (9, 8), (8, 9)):
                y.resize(size, Image.Resampling.LANCZOS)
            picture.resize((64, 48), Image.Resampling.BICUBIC)

    seconds = best([lambda: thumbnails.thumbnails(pixels, regions, WANTED), pillow], repeats)
    set_threads(before)
    area = images[..., 0].size
    return [row_of("thumbnails 640x480", who, "GP/s/core", area / s / 1e9, None, seconds[0] / s)
            for who, s in zip(("gpu_quality", "pillow"), seconds, strict=True)]  # fmt: skip


def row_of(case: str, who: str, unit: str, value: float, limit: float | None, ratio: float) -> dict[str, object]:
    """One measurement."""
    shown = None if limit is None else {"name": "popcount", "value": round(limit, 2)}
    share = None if limit is None else round(value / limit, 3)
    return {"row": "hashes", "case": case, "who": who, "unit": unit, "value": round(value, 4), "limit": shown,
            "of_limit": share, "to_ours": round(ratio, 4)}  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    parser.add_argument("--codes", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for row in measure_thumbnails(8, options.repeats) + measure_pairs(options.codes, options.repeats):
        line = f"{row['case']:20s} {row['who']:12s} {row['value']:9.4f} {row['unit']:10s} of limit {row['of_limit']}"
        print(json.dumps(row) if options.json else f"{line}  of ours {row['to_ours']}")


if __name__ == "__main__":
    main()
