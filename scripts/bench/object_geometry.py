"""Row `object_geometry`: every metric of object geometry on boxes, rotated boxes, polygons and masks, beside plain loops.

    PYTHONPATH=. python scripts/bench/object_geometry.py [boxes rotated polygons masks run] [--json]

The metrics are called on batches as the engine does. The peers are what a person writes first: a loop over frames and pairs
around shapely (boxes, rotated boxes, polygons) or pycocotools (masks); they see a sample of the frames, and their numbers have
to agree with ours before anything is timed. ``run`` scores a COCO file of boxes from start to end, in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import torch
from pycocotools import mask as coco
from read_coco import write_file

from gpu_quality import plan, registry
from gpu_quality.engine.stream import Stream, Work
from gpu_quality.types import KINDS, Objects, Shapes, Sizes

BATCH = 4096
"""Frames per batch, as many as a worker takes when no image is opened."""
WIDTH, HEIGHT = 640, 480
CASES = {"boxes": 1_000_000, "rotated": 200_000, "polygons": 200_000, "masks": 20_000}
COMPARED = ("object_area", "annotation_duplicate", "annotation_duplicate_any_class")
RUN = """
import json, resource, sys, time
import gpu_quality as gq
path, out, kind = sys.argv[1:]
class Watch:
    def say(self, text): pass
    def begin(self, total, done, unit): marks.append(time.perf_counter())
    def advance(self, count, errors): pass
    def end(self): marks.append(time.perf_counter())
marks, begun = [], time.perf_counter()
gq.run(labels=path, out=out, settings={"engine": {"kind": kind}}, progress=Watch())
total = time.perf_counter() - begun
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({"wall": total, "cpu": sum(u.ru_utime + u.ru_stime for u in used), "read": marks[0] - begun,
                  "stream": marks[1] - marks[0], "rest": begun + total - marks[1],
                  "peak_mb": max(u.ru_maxrss for u in used) / 1024}))
"""


def counts(objects: int, rng: np.random.Generator) -> np.ndarray:
    """Objects per frame: ten on average with a heavy tail, none in some frames, 500 in one of 2,000."""
    frames = objects // 10
    weight = np.minimum(rng.pareto(1.5, frames), 100)
    most = rng.permutation(frames)[: max(1, frames // 2000)]
    weight[most] = 0
    ends = np.round(np.cumsum(weight) / weight.sum() * (objects - 500 * len(most))).astype(np.int64)
    return np.diff(ends, prepend=0) + np.where(np.isin(np.arange(frames), most), 500, 0)


def corners(objects: int, rng: np.random.Generator) -> np.ndarray:
    """Boxes x1 y1 x2 y2, some of which reach out of the frame, on a grid of half pixels."""
    low = rng.integers(-20, [2 * WIDTH - 40, 2 * HEIGHT - 40], (objects, 2)) / 2  # 20 pixels before the end
    side = rng.integers(4, 240, (objects, 2)) / 2
    return np.concatenate([low, low + side], 1)


def rotated(box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four corners of every box, turned about its center by any angle."""
    center, half = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]) / 2
    angle = rng.uniform(0, np.pi, len(box))
    axes = np.stack([np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)], 1).reshape(-1, 2, 2)
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return center[:, None] + (signs[None] * half[:, None]) @ axes


def stars(box: np.ndarray, points: int, rng: np.random.Generator) -> np.ndarray:
    """Star-shaped polygons of so many points inside every box."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, (len(box), points)), 1)
    reach = rng.uniform(0.4, 1, (len(box), points))[..., None]
    turn = np.stack([np.cos(angle), np.sin(angle)], 2)
    return (box[:, None, :2] + box[:, None, 2:]) / 2 + turn * reach * (box[:, None, 2:] - box[:, None, :2]) / 2


def disks(box: np.ndarray) -> list[bytes]:
    """Ellipses inside every box as compressed masks of the frame's size."""
    y, x = np.arange(HEIGHT)[:, None] + 0.5, np.arange(WIDTH)[None] + 0.5
    found = []
    for x1, y1, x2, y2 in box:
        inside = ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 < 1
        found.append(coco.encode(np.asfortranarray(inside, dtype=np.uint8))["counts"])
    return found


def make(case: str, objects: int) -> tuple[Objects, Sizes]:
    """Random objects of one kind, sorted by frame."""
    rng = np.random.default_rng(0)
    count = counts(objects, rng)
    box, shapes = corners(objects, rng), None
    none = torch.zeros(objects + 1, dtype=torch.int64)
    if case in ("rotated", "polygons"):
        ring = rotated(box, rng) if case == "rotated" else stars(box, 25, rng)
        box = np.concatenate([ring.min(1), ring.max(1)], 1)
        kind = torch.full((objects,), KINDS.index("rotated_box" if case == "rotated" else "polygon"), dtype=torch.int8)
        rows = torch.arange(objects + 1)
        shapes = Shapes(kind, rows, rows * ring.shape[1], torch.from_numpy(ring.reshape(-1, 2)), (None,) * objects)
    elif case == "masks":
        own = rng.integers(0, 200, objects)
        texts = disks(np.clip(corners(200, rng), 0, [WIDTH, HEIGHT, WIDTH, HEIGHT]))
        kind = torch.full((objects,), KINDS.index("mask"), dtype=torch.int8)
        points = torch.zeros(0, 2, dtype=torch.float64)
        shapes = Shapes(kind, none, none[:1], points, tuple(texts[i] for i in own))
        box = np.array([coco.toBbox({"size": [HEIGHT, WIDTH], "counts": text}) for text in texts])[own]
        box[:, 2:] += box[:, :2]
    frame = torch.from_numpy(np.repeat(np.arange(len(count)), count))
    zeros = torch.zeros(objects, dtype=torch.float64)
    made = Objects(
        tuple(f"{i:016x}" for i in range(objects)), frame, torch.zeros(objects, dtype=torch.int8), torch.from_numpy(box),
        torch.from_numpy(rng.integers(0, 8, objects).astype(np.int32)), zeros + 1, torch.full((objects,), -1), zeros,
        torch.from_numpy(rng.random(objects) < 0.01), shapes,
    )  # fmt: skip
    side = torch.ones(len(count), dtype=torch.int32)
    return made, Sizes(side * WIDTH, side * HEIGHT)


def batches(objects: Objects, sizes: Sizes, frames: int) -> Iterator[tuple[Objects, Sizes]]:
    """The objects of so many frames at a time."""
    for start in range(0, len(sizes.width), frames):
        first, stop = torch.searchsorted(objects.frame, torch.tensor([start, start + frames])).tolist()
        part = objects.select(torch.arange(first, stop))
        cut = slice(start, start + frames)
        yield replace(part, frame=part.frame - start), Sizes(sizes.width[cut], sizes.height[cut])


def geometry() -> Stream:
    """Every metric of object geometry, ready to run."""
    registry.load_built_in()
    absent = {*plan.PIXEL_ROOTS, "regions"}
    names = [name for name, node in registry.metrics().items() if node.function.__module__ == "gpu_quality.metrics.objects"]
    stream = {step.name for step in plan.Plan.build(plan.parse_wanted(names), given={}, absent=absent).stream}
    made = plan.Plan.build(plan.parse_wanted([name for name in names if name in stream]), given={}, absent=absent)
    return Stream(made, {}, ("labels",))


def ours(stream: Stream, parts: list[tuple[Objects, Sizes]]) -> list[dict[str, np.ndarray]]:
    """All columns of every batch."""
    found = []
    for objects, sizes in parts:
        work = Work({"objects": objects, "sizes": sizes}, len(sizes.width), objects, torch.empty(0, dtype=torch.int64))
        rows = stream(work)
        if rows.errors:
            raise SystemExit(f"a metric failed: {rows.errors[0]}")
        found.append({name: cells.value.numpy() for name, cells in {**rows.frame, **rows.object}.items()})
    return found


def by_shapely(objects: Objects, sizes: Sizes) -> dict[str, np.ndarray]:
    """Area, covered share and best overlaps by a loop over frames and pairs of shapely polygons."""
    n, box, shapes = len(objects), objects.box.tolist(), objects.shapes
    out = {name: np.zeros(n) for name in COMPARED} | {"object_density": np.zeros(len(sizes.width))}
    classes, crowd = objects.class_id.tolist(), objects.crowd.tolist()
    for row in range(len(sizes.width)):
        first, stop = torch.searchsorted(objects.frame, torch.tensor([row, row + 1])).tolist()
        if shapes is None:
            made = [shapely.box(*box[i]) for i in range(first, stop)]
        else:
            made = [shapely.Polygon(shapes.points[shapes.points_of[i] : shapes.points_of[i + 1]]) for i in range(first, stop)]
        window = shapely.box(0, 0, WIDTH, HEIGHT)
        out["object_density"][row] = shapely.union_all(made).intersection(window).area / window.area
        out["object_area"][first:stop] = [shape.area for shape in made]
        for i, one in enumerate(made):
            for j in range(i + 1, len(made)):
                if crowd[first + i] or crowd[first + j] or not one.intersects(made[j]):
                    continue
                shared = one.intersection(made[j]).area
                note(out, first + i, first + j, shared / (one.area + made[j].area - shared), classes)
    return out


def note(out: dict[str, np.ndarray], i: int, j: int, iou: float, classes: list[int]) -> None:
    """Remember an overlap of two objects where it is the best of either."""
    for name in COMPARED[1 if classes[i] == classes[j] else 2 :]:
        out[name][[i, j]] = np.maximum(out[name][[i, j]], iou)


def by_pycocotools(objects: Objects, sizes: Sizes) -> dict[str, np.ndarray]:
    """The same from masks; pycocotools compares all masks of a frame in one call."""
    assert objects.shapes is not None
    out = {name: np.zeros(len(objects)) for name in COMPARED} | {"object_density": np.zeros(len(sizes.width))}
    classes, crowd = objects.class_id.tolist(), objects.crowd.tolist()
    for row in range(len(sizes.width)):
        first, stop = torch.searchsorted(objects.frame, torch.tensor([row, row + 1])).tolist()
        if first == stop:
            continue
        masks = [{"size": [HEIGHT, WIDTH], "counts": text} for text in objects.shapes.rle[first:stop]]
        out["object_density"][row] = coco.area(coco.merge(masks)) / (WIDTH * HEIGHT)
        out["object_area"][first:stop] = [coco.area(mask) for mask in masks]
        iou = coco.iou(masks, masks, [0] * len(masks))
        for i in range(len(masks)):
            for j in range(i + 1, len(masks)):
                if not (crowd[first + i] or crowd[first + j]):
                    note(out, first + i, first + j, iou[i, j], classes)
    return out


def timed(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Best wall and best CPU seconds."""
    wall, cpu = [], []
    for _ in range(repeats):
        begun, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
    return min(wall), min(cpu)


def peak_mb() -> float:
    """High-water mark of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(case: str, count: int, sample: int, repeats: int) -> list[dict[str, Any]]:
    """Ours on all objects, the peer on a sample of frames, after both agree on the sample."""
    peer, who = (by_pycocotools, "pycocotools loop") if case == "masks" else (by_shapely, "shapely loop")
    objects, sizes = make(case, count)
    stream = geometry()
    parts = list(batches(objects, sizes, BATCH))
    by_count = np.argsort(np.bincount(objects.frame.numpy(), minlength=len(sizes.width)), kind="stable")
    chosen = np.sort(by_count[len(by_count) - 1 :: -max(1, len(by_count) // sample)])  # as heavy-tailed as the whole
    rows = torch.isin(objects.frame, torch.from_numpy(chosen)).nonzero().flatten()
    some = replace(objects.select(rows), frame=torch.searchsorted(torch.from_numpy(chosen), objects.frame[rows]))
    few = Sizes(sizes.width[: len(chosen)], sizes.height[: len(chosen)])
    mine, theirs = ours(stream, [(some, few)])[0], peer(some, few)
    for name, values in theirs.items():
        if not np.allclose(mine[name], values, rtol=1e-9, atol=1e-12):
            raise SystemExit(f"{case}: {name} differs by up to {np.abs(mine[name] - values).max()}")
    wall, cpu = timed(lambda: ours(stream, parts), repeats)
    peer_wall, peer_cpu = timed(lambda: peer(some, few), repeats)
    scale = len(objects) / len(some)
    rate = len(objects) / wall
    return [
        row_of(case, "gpu_quality", len(objects), wall, cpu, rate, peer_wall * scale / wall, peak_mb()),
        row_of(case, who, len(some), peer_wall, peer_cpu, len(some) / peer_wall, 1.0, None),
    ]


def measure_run(images: int, annotations: int) -> list[dict[str, Any]]:
    """A whole run without images, by each engine."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instances.json"
        write_file(path, images, annotations, 0)
        for kind in ("inline", "local"):
            out = Path(folder) / kind
            done = subprocess.run(
                [sys.executable, "-c", RUN, str(path), str(out), kind], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
            facts = json.loads(done.stdout.splitlines()[-1])
            receipts = [json.loads(line) for file in (out / "logs").glob("receipts-*") for line in file.open()]
            phases = {name: sum(r["seconds"].get(name, 0.0) for r in receipts) for name in ("stream", "write", "total")}
            made = row_of(f"run {kind}", "gpu_quality", annotations, facts["wall"], facts["cpu"], annotations / facts["wall"],
                          None, facts["peak_mb"])  # fmt: skip
            phases = {"read": facts["read"], "score": facts["stream"], "rest": facts["rest"]} | {
                f"shards {name}": seconds for name, seconds in phases.items()
            }
            found.append({**made, "shards": len(receipts), "phases": {n: round(s, 2) for n, s in phases.items()}})
    return found


def row_of(
    case: str, who: str, objects: int, wall: float, cpu: float, rate: float, ratio: float | None, peak: float | None
) -> dict[str, Any]:
    """One measurement."""
    return {"row": "object_geometry", "case": case, "who": who, "objects": objects, "wall_s": round(wall, 3),
            "cpu_s": round(cpu, 3), "unit": "objects/s", "value": round(rate), "to_peer": ratio and round(ratio, 1),
            "peak_rss_mb": peak and round(peak)}  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=[*CASES, "run"], help=f"of {', '.join([*CASES, 'run'])}")
    parser.add_argument("--scale", type=float, default=1.0, help="times so many objects")
    parser.add_argument("--sample", type=int, default=2000, help="frames the peers see")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the worker of the default engine
    for case in options.cases:
        if case == "run":
            rows = measure_run(round(100_000 * options.scale), round(1_000_000 * options.scale))
        else:
            rows = measure(case, round(CASES[case] * options.scale), options.sample, options.repeats)
        for row in rows:
            line = f"{row['case']:11s} {row['who']:17s} {row['wall_s']:8.2f} s wall {row['cpu_s']:8.2f} s cpu "
            line += f"{row['value']:>11,} objects/s  to peer {row['to_peer']}  peak {row['peak_rss_mb']} MB"
            print(json.dumps(row) if options.json else line + (f"  {row['phases']}" if "phases" in row else ""), flush=True)


if __name__ == "__main__":
    main()
