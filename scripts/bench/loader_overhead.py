"""Benchmark row 9: CPU seconds per image that `load` spends above bare JPEG decoding.

The limit is measured in the same run, interleaved with ours: `simplejpeg.decode_jpeg` of bytes held in memory into a reused
buffer, and the same of bytes read from files, by as many threads. The images are 640x480 crops of photographs that come with
scikit-image and scikit-learn, JPEG quality 90, 4:2:0.

    python scripts/bench/loader_overhead.py --images 400 --json
"""

import argparse
import hashlib
import io
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from PIL import Image

from gpu_quality.data.loader import FileSource, LoaderSettings, load

HEIGHT, WIDTH = 480, 640
TO_REACH = 0.10


def photographs() -> list[np.ndarray]:
    """Photographs of installed packages, each mirrored outwards where it is smaller than a crop."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    found = [data.astronaut(), data.chelsea(), data.coffee(), *load_sample_images().images]
    return [
        np.pad(
            image, ((0, max(0, HEIGHT + 64 - len(image))), (0, max(0, WIDTH + 64 - image.shape[1])), (0, 0)), mode="symmetric"
        )
        for image in found
    ]


def write_images(folder: Path, count: int) -> list[str]:
    """Make `count` files; returns their names."""
    random, sources, names = np.random.default_rng(0), photographs(), []
    for i in range(count):
        image = sources[i % len(sources)]
        y, x = random.integers(len(image) - HEIGHT + 1), random.integers(image.shape[1] - WIDTH + 1)
        held = io.BytesIO()
        Image.fromarray(image[y : y + HEIGHT, x : x + WIDTH]).save(held, "JPEG", quality=90, subsampling="4:2:0")
        names.append(f"{i:05d}.jpg")
        (folder / names[-1]).write_bytes(held.getvalue())
    return names


def in_threads(work: Callable[[Sequence[int]], None], count: int, threads: int) -> None:
    """Split the rows among threads."""
    runners = [threading.Thread(target=work, args=(range(start, count, threads),)) for start in range(threads)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()


def bare(contents: Sequence[bytes | Path]) -> Callable[[Sequence[int]], None]:
    """Decode bytes, or files read whole, into one buffer per thread."""

    def work(rows: Sequence[int]) -> None:
        buffer = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        for row in rows:
            content = contents[row]
            simplejpeg.decode_jpeg(content if isinstance(content, bytes) else content.read_bytes(), buffer=buffer)

    return work


def check_equal(folder: Path, names: Sequence[str], settings: LoaderSettings) -> None:
    """Speed counts only if pixels and digests are the right ones."""
    expected = [(folder / name).read_bytes() for name in names]
    for batch in load(FileSource(folder, names), range(len(names)), settings):
        for i, row in enumerate(batch.rows):
            if not np.array_equal(batch.pixels.frame(i).numpy(), simplejpeg.decode_jpeg(expected[row])):
                raise SystemExit(f"pixels of {names[row]} differ")
            if batch.digests[i] != hashlib.sha256(expected[row]).hexdigest():
                raise SystemExit(f"digest of {names[row]} differs")


def measure(cases: dict[str, Callable[[], None]], repeats: int) -> dict[str, dict[str, float]]:
    """Best CPU and wall seconds of each case; the cases take turns."""
    cpu: dict[str, list[float]] = {name: [] for name in cases}
    wall: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, run in cases.items():
            begun, spent = time.perf_counter(), time.process_time()
            run()
            cpu[name].append(time.process_time() - spent)
            wall[name].append(time.perf_counter() - begun)
    return {
        name: {"cpu_s": min(cpu[name]), "cpu_median_s": statistics.median(cpu[name]), "wall_s": min(wall[name])}
        for name in cases
    }


def main() -> None:
    """Run the row and print a table, or one JSON object per measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400, metavar="N")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    settings = LoaderSettings(threads=args.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = write_images(folder, args.images)
        contents = [(folder / name).read_bytes() for name in names]
        stats = [(folder / name).stat() for name in names]
        expected = [(found.st_size, found.st_mtime_ns) for found in stats]
        check_equal(folder, names, settings)

        def ours() -> None:
            for batch in load(FileSource(folder, names, expected), range(args.images), settings):
                if batch.failures:
                    raise SystemExit(str(batch.failures[0].error))

        cases = {
            "bare_decode": lambda: in_threads(bare(contents), args.images, args.threads),
            "read_and_decode": lambda: in_threads(bare([folder / name for name in names]), args.images, args.threads),
            "gpu_quality": ours,
        }
        measured = measure(cases, args.repeats)
        size = sum(map(len, contents)) / len(contents)
    report(measured, args, size)


def report(measured: dict[str, dict[str, float]], args: argparse.Namespace, size: float) -> None:
    """One line per case: CPU and wall per image, and CPU above the limit."""
    limit, load_now = measured["bare_decode"]["cpu_s"], os.getloadavg()
    machine = {"cpu": platform.machine(), "cores": os.cpu_count(), "load": load_now, "torch": torch.__version__}
    for who, found in measured.items():
        above = found["cpu_s"] / limit - 1
        row = {
            "row": "loader_overhead",
            "case": f"{WIDTH}x{HEIGHT}",
            "who": who,
            "unit": "img/s/core",
            "value": args.images / found["cpu_s"],
            "wall_s": found["wall_s"],
            "cpu_s": found["cpu_s"],
            "repeats": args.repeats,
            "limit": {"name": "bare_decode", "value": args.images / limit},
            "of_limit": limit / found["cpu_s"],
            "to_reach": f"<= {TO_REACH:.0%} CPU over bare decode",
            "reached": above <= TO_REACH if who == "gpu_quality" else None,
            "bytes_across_processes": 0,
            "machine": machine,
        }
        cpu, median, wall = (found[name] * 1e6 / args.images for name in ("cpu_s", "cpu_median_s", "wall_s"))
        text = f"{who:16} {cpu:6.0f} us CPU (median {median:.0f})  {wall:6.0f} us wall  {above:+6.1%} CPU over bare decode"
        print(json.dumps(row) if args.json else text)
    if not args.json:
        about = f"{args.images} images of {size / 1000:.0f} kB, {args.threads} threads, best of {args.repeats}"
        print(f"{about}, load {load_now[0]:.1f}; to reach: {TO_REACH:+.0%}")


if __name__ == "__main__":
    main()
