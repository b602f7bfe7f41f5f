"""Row `mask_iou`: overlaps of instance masks of val2017's sizes and of 200 large masks in one frame, beside pycocotools.

    PYTHONPATH=. python scripts/bench/mask_iou.py [--frames 5000] [--rounds 5] [--threads 0]

Masks are smooth blobs with and without a ragged edge, drawn once; predictions are labels that were moved a little. Both sides
start from compressed run lengths and end with a table per frame. The tables have to be equal bit by bit before anything is
timed; then both take turns, and the best round of each counts. Peak memory is that of one comparison beside input and result.
"""

import argparse
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools import mask as peer

from gpu_quality.evaluation.instances import Instances, MaskShapes, instances
from gpu_quality.evaluation.overlaps import Comparison, overlaps
from gpu_quality.evaluation.segments import segment
from gpu_quality.kernels.threads import set_threads, threads

Frame = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def ring(rng: Any, center: Any, reach: float, ragged: float) -> Any:
    """An outline whose radius is a sum of seven waves, and noise of so many pixels."""
    angle, waves = np.linspace(0, 2 * np.pi, rng.integers(12, 80), endpoint=False), np.arange(1, 8)
    phase = np.outer(waves, angle) + rng.uniform(0, 6, 7)[:, None]
    radius = reach * (1 + (rng.normal(0, 0.15, 7) / np.sqrt(waves)) @ np.cos(phase))
    return center + radius[:, None] * np.stack([np.cos(angle), 0.7 * np.sin(angle)], 1) + rng.normal(0, ragged, (len(angle), 2))


def make(frames: int, objects: int, height: int, width: int, reach: tuple[float, float]) -> list[Frame]:
    """Predictions and labels of so many frames as compressed masks; about `objects` of each in a frame."""
    rng, made = np.random.default_rng(0), []
    for _ in range(frames):
        many = objects if objects > 50 else int(rng.geometric(1 / objects))
        rings = [ring(rng, rng.uniform(0, [width, height]), rng.uniform(*reach), rng.choice([0, 2])) for _ in range(many)]
        sides = [
            [peer.frPyObjects([(points + rng.normal(0, by, 2)).reshape(-1).tolist()], height, width)[0] for points in rings]
            for by in (3, 0)
        ]
        made.append((sides[0], sides[1]))
    return made


def side(masks: list[list[dict[str, Any]]], height: int, width: int) -> Instances:
    """The same masks the way evaluation takes them."""
    texts = tuple(mask["counts"] for own in masks for mask in own)
    n = len(texts)
    shapes = MaskShapes(texts, torch.full((n,), height), torch.full((n,), width))
    frame = torch.from_numpy(np.repeat(np.arange(len(masks)), [len(own) for own in masks]))
    empty, score = torch.zeros(n, 4, dtype=torch.float64), torch.ones(n, dtype=torch.float64)
    return instances(frame, torch.zeros(n, dtype=torch.int64), empty, score=score, shapes=shapes)


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def peak(work: Callable[[], Any]) -> int:
    """Most bytes this process held while working, above what it held before."""
    done, start, seen = threading.Event(), resident(), [0]

    def watch() -> None:
        while not done.wait(0.001):
            seen.append(resident() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = work()
    done.set()
    watcher.join()
    del result
    return max(seen)


def bench(frames: int, objects: int, height: int, width: int, reach: tuple[float, float], rounds: int) -> dict[str, Any]:
    """Best seconds of both, with the numbers equal."""
    made = make(frames, objects, height, width, reach)
    predictions, labels = (side([frame[which] for frame in made], height, width) for which in (0, 1))
    cells, how = segment(labels, predictions), Comparison("mask")

    def ours() -> Any:
        return overlaps(labels, predictions, cells, how).numpy()

    def theirs() -> list[Any]:
        return [peer.iou(found, given, [0] * len(given)) for found, given in made]

    if not np.array_equal(ours(), np.concatenate([table.reshape(-1) for table in theirs()])):
        raise SystemExit("the tables differ")
    times: dict[str, list[float]] = {"ours": [], "pycocotools": []}
    for _ in range(rounds):
        for name, work in (("ours", ours), ("pycocotools", theirs)):
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    best = {name: round(min(own), 5) for name, own in times.items()}
    return {
        "frames": frames,
        "size": [height, width],
        "masks": 2 * len(labels),
        "pairs": int(cells.overlap_offset[-1]),
        "seconds": best,
        "faster": round(best["pycocotools"] / best["ours"], 2),
        "peak_mib": round(peak(ours) / (1 << 20), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=5000, help="frames of val2017's size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    given = parser.parse_args()
    set_threads(given.threads or None)
    rows = {
        "val2017": bench(given.frames, 7, 480, 640, (8, 120), given.rounds),
        "crowded": bench(max(given.frames // 50, 1), 60, 480, 640, (8, 120), given.rounds),
        "large": bench(1, 200, 3000, 4000, (50, 400), given.rounds),
        "larger": bench(1, 200, 3000, 4000, (400, 1200), given.rounds),
    }
    print(json.dumps({"bench": "mask_iou", "threads": threads(), **rows}, indent=1))


if __name__ == "__main__":
    main()
