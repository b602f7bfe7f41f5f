"""Row `coco_eval`: COCO's arrays at val2017's size, beside other evaluators; from memory, and from JSON files.

Peers are used where they can be imported (hotcoco, vernier, ultrafast-pycocotools, faster-coco-eval, pycocotools); others are
named and left out. Figures must agree before anything is timed.
"""

import argparse
import contextlib
import gc
import importlib.util
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import torch

from gpu_quality.data.formats.json_whole import load_json
from gpu_quality.evaluation import coco_table
from gpu_quality.evaluation.coco import evaluate
from gpu_quality.evaluation.coco_files import read_coco
from gpu_quality.evaluation.instances import instances
from gpu_quality.kernels.results import results
from gpu_quality.kernels.threads import set_threads

IMAGES, CLASSES, LABELS = 5000, 80, 36_000
Columns = dict[str, np.ndarray]


def some(detections: int) -> tuple[dict[str, Any], Columns]:
    """Labels as a COCO object; detections as columns, half of them near a label, most of the others with low scores."""
    rng = np.random.default_rng(0)
    image = np.sort(rng.integers(0, IMAGES, LABELS))
    class_id = rng.zipf(1.6, LABELS) % CLASSES
    box = np.concatenate([rng.uniform(0, 500, (LABELS, 2)), np.exp(rng.normal(3.8, 1, (LABELS, 2)))], 1).round(2)
    area, crowd = (box[:, 2] * box[:, 3] * rng.uniform(0.4, 0.9, LABELS)).round(3), rng.random(LABELS) < 0.012
    labels = {
        "images": [{"id": i + 1, "width": 640, "height": 480} for i in range(IMAGES)],
        "categories": [{"id": k + 1, "name": f"class {k}"} for k in range(CLASSES)],
        "annotations": [
            {"id": i + 1, "image_id": int(image[i]) + 1, "category_id": int(class_id[i]) + 1, "bbox": box[i].tolist(),
             "area": float(area[i]), "iscrowd": int(crowd[i])}
            for i in range(LABELS)
        ],
    }  # fmt: skip
    where = np.sort(rng.integers(0, IMAGES, detections))
    first = np.searchsorted(image, np.arange(IMAGES + 1))
    near = (rng.random(detections) < 0.5) & (np.diff(first)[where] > 0)
    pick = np.minimum(first[where] + (rng.random(detections) * np.diff(first)[where]).astype(int), LABELS - 1)
    found = np.concatenate([rng.uniform(0, 500, (detections, 2)), np.exp(rng.normal(3.8, 1, (detections, 2)))], 1)
    found[near] = box[pick[near]] + rng.normal(0, 4, (int(near.sum()), 4))
    found[:, 2:] = np.maximum(found[:, 2:], 1)
    own = rng.zipf(1.6, detections) % CLASSES
    own[near] = np.where(rng.random(int(near.sum())) < 0.9, class_id[pick[near]], own[near])
    score = np.where(near, rng.beta(4, 2, detections), rng.beta(1.2, 6, detections)).round(5)
    return labels, {"image": where + 1, "class": own + 1, "box": found.round(2), "score": score}


def as_results(columns: Columns) -> list[dict[str, Any]]:
    """The detections as COCO results."""
    rows = zip(*(columns[name].tolist() for name in ("image", "class", "box", "score")), strict=True)
    return [{"image_id": i, "category_id": c, "bbox": b, "score": s} for i, c, b, s in rows]


def ours(labels: dict[str, Any], columns: Columns, paths: tuple[Path, Path]) -> dict[str, Callable[[], list[float]]]:
    """The three ways in: columns, parsed objects, files."""
    sets = read_coco(labels, [])
    ids = [np.array(known) for known in (sets.frame_ids, sets.class_ids)]
    objects = as_results(columns)

    def memory() -> list[float]:
        frame, class_id = (np.searchsorted(known, columns[name]) for known, name in zip(ids, ("image", "class"), strict=True))
        box, score = torch.from_numpy(columns["box"]), torch.from_numpy(columns["score"])
        found = instances(torch.from_numpy(frame), torch.from_numpy(class_id), box, score=score)
        return coco_table.stats(evaluate(sets.labels, found, classes=CLASSES))

    def read(given: Any, found: Any) -> list[float]:
        both = read_coco(given, found)
        return coco_table.stats(evaluate(both.labels, both.predictions, classes=CLASSES))

    return {
        "arrays": memory,
        "objects": lambda: read(labels, objects),
        "files": lambda: read(load_json(paths[0]), quick(paths[1])),
    }


def quick(path: Path) -> Any:
    """Columns of a file of boxes, or what a parser makes of another file."""
    text = path.read_bytes()
    columns = results(text)
    return orjson.loads(text) if columns is None else columns


def matrix(columns: Columns) -> np.ndarray:
    """Image, x, y, w, h, score, class."""
    return np.column_stack([columns["image"], columns["box"], columns["score"], columns["class"]]).astype(np.float64)


def like_pycocotools(
    COCO: Any, COCOeval: Any, columns: Columns, paths: tuple[Path, Path]
) -> dict[str, Callable[[], list[float]]]:
    """Evaluators of pycocotools' shape."""
    known, table, results = COCO(str(paths[0])), matrix(columns), as_results(columns)

    def run(given: Any, found: Any) -> list[float]:
        evaluation = COCOeval(given, given.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return [float(value) for value in evaluation.stats]

    fresh = lambda: [dict(result) for result in results]  # noqa: E731 - some write into what they are given
    return {
        "arrays": lambda: run(known, table),
        "objects": lambda: run(known, fresh()),
        "files": lambda: run(COCO(str(paths[0])), str(paths[1])),
    }


def vernier(columns: Columns, paths: tuple[Path, Path]) -> dict[str, Callable[[], list[float]]]:
    """vernier's own interface, two threads."""
    from vernier.instance import Bbox, CocoDataset, Evaluator

    evaluator = Evaluator(iou=Bbox(), parity_mode="strict")
    known, table, results = CocoDataset.from_json(paths[0].read_bytes()), matrix(columns), as_results(columns)
    run = lambda given, found: list(evaluator.evaluate(given, found, num_threads=os.cpu_count()).stats)  # noqa: E731
    return {
        "arrays": lambda: run(known, table),
        "objects": lambda: run(known, results),
        "files": lambda: run(CocoDataset.from_json(paths[0].read_bytes()), paths[1].read_bytes()),
    }


def evaluators(
    names: list[str], labels: dict[str, Any], columns: Columns, paths: tuple[Path, Path]
) -> dict[str, dict[str, Callable[[], list[float]]]]:
    """Ours, and the peers that are there."""
    out = {"gpu_quality": ours(labels, columns, paths)}
    for name in names:
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: left out")
        elif name == "vernier":
            out[name] = vernier(columns, paths)
        elif name == "faster_coco_eval":
            from faster_coco_eval import COCO, COCOeval_faster

            out[name] = like_pycocotools(COCO, COCOeval_faster, columns, paths)
        elif name == "pycocotools":
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval

            out[name] = like_pycocotools(COCO, COCOeval, columns, paths)
        else:
            module = importlib.import_module(name)
            out[name] = like_pycocotools(module.COCO, module.COCOeval, columns, paths)
    return out


def quiet(work: Callable[[], list[float]]) -> list[float]:
    """The figures without what evaluators print."""
    with contextlib.redirect_stdout(io.StringIO()):
        return work()


def measure(detections: int, names: list[str], ways: list[str], rounds: int) -> list[dict[str, object]]:
    """Best wall and CPU seconds of each evaluator, taken in turn."""
    labels, columns = some(detections)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = (Path(folder) / "labels.json", Path(folder) / "detections.json")
        for path, content in zip(paths, (labels, as_results(columns)), strict=True):
            path.write_bytes(orjson.dumps(content))
        everyone = evaluators(names, labels, columns, paths)
        gc.collect()
        gc.freeze()  # what is made above is nobody's work
        for way in ways:
            works = {name: own[way] for name, own in everyone.items()}
            stats = {}
            for name, work in list(works.items()):
                try:
                    stats[name] = quiet(work)
                except (TypeError, ValueError, AssertionError, NotImplementedError) as error:
                    print(f"{name} does not take {way}: {error}")
                    del works[name]
            for name, own in stats.items():
                if not np.allclose(own, stats["gpu_quality"], atol=1e-9):
                    raise SystemExit(f"{name} disagrees: {own} instead of {stats['gpu_quality']}")
            best = dict.fromkeys(works, (float("inf"), float("inf")))
            for _ in range(rounds):
                for name, work in works.items():
                    begin, cpu = time.perf_counter(), time.process_time()
                    quiet(work)
                    spent = time.perf_counter() - begin, time.process_time() - cpu
                    best[name] = min(best[name][0], spent[0]), min(best[name][1], spent[1])
            wall, cpu = best["gpu_quality"]
            for name, (seconds, busy) in best.items():
                rows.append({"row": "coco_eval", "case": f"{detections} {way}", "who": name, "unit": "s",
                             "value": round(seconds, 4), "cpu_s": round(busy, 4), "of_ours": round(seconds / wall, 2),
                             "cpu_of_ours": round(busy / cpu, 2)})  # fmt: skip
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    parser.add_argument("--detections", type=int, nargs="+", default=[180_000, 735_000])
    parser.add_argument("--ways", nargs="+", default=["arrays", "objects", "files"])
    parser.add_argument("--peers", nargs="*", default=["ultrafast_pycocotools", "vernier", "hotcoco", "faster_coco_eval"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    set_threads(options.threads)
    for detections in options.detections:
        for row in measure(detections, options.peers, options.ways, options.rounds):
            line = f"{row['case']:18s} {row['who']:22s} {row['value']:8.3f} s {row['of_ours']:6.2f} x ours"
            line += f"   CPU {row['cpu_s']:8.3f} s {row['cpu_of_ours']:6.2f} x"
            print(json.dumps(row) if options.json else line)


if __name__ == "__main__":
    main()
