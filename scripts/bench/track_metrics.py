"""Row `track_metrics`: every metric over time on a million tracked boxes, and forms of outlines, beside plain loops.

    PYTHONPATH=. python scripts/bench/track_metrics.py [--videos 1000] [--frames 100] [--objects 10] [--polygons 100000]

The peers are what a person writes first: a loop over frames and pairs in pure Python, the same around shapely, and for outlines
a loop around OpenCV (fill, moments, Hu). They see the first videos and are scaled up; where they compute the same quantity, the
numbers have to agree before anything is timed. Peak memory is that of this process when our part is done.
"""

import argparse
import importlib
import json
import resource
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import shapely
import torch

from gpu_quality import registry
from gpu_quality.types import KINDS, Masked, Objects, Shapes, Sizes

WIDTH, HEIGHT = 1920, 1080
OVER_TIME = ("track_consistency", "inconsistency", "track_continuity", "missing_in", "occlusion_risk", "track_jitter")
FORMS = ("shape_outlier", "polygon_shape_similarity", "polygon_shape_similarity_raw")


def make(videos: int, frames: int, objects: int, points: int = 0) -> dict[str, Any]:
    """Roots of so many videos: boxes (or polygons of `points` points) that drift, tremble, vanish, and change class or id."""
    rng = np.random.default_rng(0)
    shape = (videos, frames, objects)
    speed, center = rng.normal(0, 3, (videos, 1, objects, 2)), rng.uniform(200, [1700, 900], (videos, 1, objects, 2))
    half = rng.uniform(20, 80, (videos, 1, objects, 2)) * (1 + 0.02 * rng.normal(size=(*shape, 2)))
    center = center + speed * np.arange(frames)[None, :, None, None] + rng.normal(size=(*shape, 2))
    box = np.concatenate([center - half, center + half], 3)
    track, classes = np.broadcast_to(np.arange(objects), shape).copy(), np.broadcast_to(np.arange(objects) % 5, shape).copy()
    track[rng.random(shape) < 0.01] += objects
    classes[rng.random(shape) < 0.01] += 1
    kept = (rng.random(shape) > 0.01).ravel()
    box, count = box.reshape(-1, 4)[kept], int(kept.sum())
    frame = np.repeat(np.arange(videos * frames), objects)[kept]
    outline = None
    if points:
        angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
        reach = rng.uniform(0.8, 1, (count, points, 1))
        ring = (box[:, None, :2] + box[:, None, 2:]) / 2 + reach * np.stack([np.cos(angle), np.sin(angle)], 1) * (
            (box[:, None, 2:] - box[:, None, :2]) / 2
        )
        box, rows = np.concatenate([ring.min(1), ring.max(1)], 1), torch.arange(count + 1)
        kind = torch.full((count,), KINDS.index("polygon"), dtype=torch.int8)
        outline = Shapes(kind, rows, rows * points, torch.from_numpy(ring.reshape(-1, 2)), (None,) * count)
    made = Objects(
        ids=tuple(map(str, range(count))),
        frame=torch.from_numpy(frame),
        origin=torch.zeros(count, dtype=torch.int8),
        box=torch.from_numpy(box),
        class_id=torch.from_numpy(classes.ravel()[kept].astype(np.int32)),
        score=torch.ones(count, dtype=torch.float64),
        track=torch.from_numpy(track.ravel()[kept]),
        area=torch.zeros(count, dtype=torch.float64),
        crowd=torch.zeros(count, dtype=torch.bool),
        shapes=outline,
    )
    sides = [torch.full((videos * frames,), side, dtype=torch.int32) for side in (WIDTH, HEIGHT)]
    sequence = torch.arange(videos).repeat_interleave(frames)
    return {
        "objects": made,
        "sizes": Sizes(*sides),
        "sequence": sequence,
        "position": torch.arange(frames).repeat(videos),
        "track": made.track,
        "outlined": torch.full((len(made),), made.shapes is not None),
    }


def ours(roots: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Value of every metric, each feature computed once."""
    known = dict(roots)

    def value(name: str) -> Any:
        if name not in known:
            node = registry.find_need(name, "bench")
            known[name] = node.function(*(value(need) for need in node.needs))
        return known[name]

    return {name: value(name) for name in names}


def python_iou(a: list[float], b: list[float]) -> float:
    """Overlap of two boxes, as people write it."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def shapely_iou(a: list[float], b: list[float]) -> float:
    """The same by polygons."""
    one, other = shapely.box(*a), shapely.box(*b)
    inter = one.intersection(other).area
    return float(inter / (one.area + other.area - inter))


def loop_consistency(roots: dict[str, Any], videos: int, iou: Callable[[list[float], list[float]], float]) -> list[float]:
    """track_consistency by loops over frames and pairs; the first frame of a video counts 1."""
    objects, frames = roots["objects"], int((roots["sequence"] == 0).sum())
    by_frame: list[list[int]] = [[] for _ in range(videos * frames)]
    for row, frame in enumerate(objects.frame.tolist()):
        if frame < len(by_frame):
            by_frame[frame].append(row)
    box, track = objects.box.tolist(), objects.track.tolist()
    found = []
    for frame, rows in enumerate(by_frame):
        before = by_frame[frame - 1] if frame % frames else []
        for o in rows:
            best, q = 0.0, -1
            for p in before:
                value = iou(box[o], box[p])
                if value > best:
                    best, q = value, p
            wrong = best > 0.8 and track[o] != track[q]
            found.append(1 - best if wrong else 1.0)
    return found


def opencv_similarity(roots: dict[str, Any], count: int) -> list[np.ndarray]:
    """Hu's invariants of the first outlines, each drawn in a mask of the frame's size: what a cosine is then taken of."""
    points = roots["objects"].shapes.points.numpy().reshape(len(roots["objects"]), -1, 2)
    found = []
    for ring in points[:count]:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.fillPoly(mask, [np.round(ring).astype(np.int32)], 255)
        found.append(cv2.HuMoments(cv2.moments(mask)).ravel())
    return found


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds and what came out."""
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def peak_mb() -> float:
    """High-water mark of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def row_of(case: str, who: str, seconds: float, objects: int, total: int, peak: float | None = None) -> dict[str, Any]:
    """One measurement; peers are scaled to all objects."""
    full = seconds * total / objects
    rate = round(objects / seconds)
    shown = {"row": "track_metrics", "case": case, "who": who, "seconds": round(full, 2), "unit": "objects/s", "value": rate}
    return {**shown, "measured_on": objects, "peak_mb": None if peak is None else round(peak)}


def measure_boxes(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All metrics over time on boxes; the loops compute track_consistency alone."""
    roots = make(options.videos, options.frames, options.objects)
    count, sample = len(roots["objects"]), min(options.videos, 5)
    base = peak_mb()
    rows = []
    for name in OVER_TIME:
        seconds, _ = timed(lambda name=name: ours(roots, (name,)))
        rows.append(row_of(f"{name} alone", "gpu_quality", seconds, count, count))
    seconds, found = timed(lambda: ours(roots, OVER_TIME))
    rows.append(row_of(f"{len(OVER_TIME)} metrics, boxes", "gpu_quality", seconds, count, count, peak_mb()))
    rows[-1]["inputs_mb"] = round(base)
    own: Masked = found["track_consistency"]
    for who, iou, videos in (("python loop", python_iou, sample), ("shapely loop", shapely_iou, 1)):
        seconds, plain = timed(lambda iou=iou, videos=videos: loop_consistency(roots, videos, iou))
        known = ~own.missing[: len(plain)]
        if not torch.allclose(own.value[: len(plain)][known], torch.tensor(plain, dtype=torch.float64)[known]):
            raise SystemExit(f"{who} and gpu_quality disagree on track_consistency")
        rows.append(row_of("track_consistency, boxes", who, seconds, len(plain), count))
    return rows


def measure_forms(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Metrics of outlines on polygons of 25 points; OpenCV computes the invariants alone."""
    videos = max(1, options.polygons // (options.frames * options.objects))
    roots = make(videos, options.frames, options.objects, points=25)
    count, sample = len(roots["objects"]), 200
    seconds, _ = timed(lambda: ours(roots, FORMS))
    rows = [row_of(f"{len(FORMS)} metrics, polygons", "gpu_quality", seconds, count, count, peak_mb())]
    seconds, _ = timed(lambda: ours(roots, OVER_TIME))
    rows.append(row_of(f"{len(OVER_TIME)} metrics, polygons", "gpu_quality", seconds, count, count, peak_mb()))
    seconds, _ = timed(lambda: opencv_similarity(roots, sample))
    rows.append(row_of("Hu invariants, polygons", "opencv loop", seconds, sample, count))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--objects", type=int, default=10)
    parser.add_argument("--polygons", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    options = parser.parse_args()
    for module in ("features.tracks", "metrics.tracks", "metrics.shapes"):
        importlib.import_module(f"gpu_quality.{module}")
    for row in [*measure_boxes(options), *measure_forms(options)]:
        memory = "" if row["peak_mb"] is None else f"peak {row['peak_mb']:,} MB"
        line = f"{row['case']:28s} {row['who']:12s} {row['seconds']:9.2f} s for all, {row['value']:11,} {row['unit']}  {memory}"
        print(json.dumps(row) if options.json else line)


if __name__ == "__main__":
    main()
