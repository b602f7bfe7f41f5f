"""Row `bootstrap`: intervals of COCO's 12 figures by 1,000 resamples of a val2017-sized set, beside hotcoco's if it is there.

    PYTHONPATH=. python scripts/bench/bootstrap.py [--resamples 1000] [--peer-resamples 20] [--threads 0] [--per-class]

5,000 images, 36,000 labels, 180,000 predictions of 80 classes, scores with four digits so that many are equal. The point values
of both have to agree before anything is timed. hotcoco resamples only pairs of models, so the pair is what is compared: seconds
of a pair with resamples minus seconds without, per resample. Both sides take turns; the best round of each counts.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_quality.evaluation import coco_table
from gpu_quality.evaluation.bootstrap import columns, evaluated
from gpu_quality.evaluation.instances import Instances, instances
from gpu_quality.evaluation.intervals import interval
from gpu_quality.evaluation.resampling import bootstrap
from gpu_quality.kernels.threads import set_threads, threads

FRAMES, CLASSES = 5000, 80


def made(labels: int, predictions: int, seed: int) -> tuple[Instances, Instances]:
    """Labels, and predictions of which four of five labels have a good one; the rest is noise, near labels or anywhere."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, CLASSES + 1)
    frame, kind = np.sort(rng.integers(0, FRAMES, labels)), rng.choice(CLASSES, labels, p=share / share.sum())
    side = np.exp(rng.normal(4, 1.1, (labels, 2))).clip(4, 500)
    box = np.round(np.concatenate([rng.uniform(0, 1, (labels, 2)) * (640 - side), side], 1), 2)
    crowd = rng.random(labels) < 0.01
    rng = np.random.default_rng(seed)
    hit = np.flatnonzero(rng.random(labels) < 0.8)
    source = np.concatenate([hit, rng.integers(0, labels, predictions - len(hit))])
    good = np.arange(predictions) < len(hit)
    spread = np.where(good[:, None], np.exp(rng.normal(-2.7, 0.8, (predictions, 1))), 0.35)
    found = box[source] + rng.normal(0, 1, (predictions, 4)) * spread * box[source][:, [2, 3, 2, 3]]
    found[:, 2:] = np.abs(found[:, 2:]) + 1
    score = np.where(good, rng.beta(4, 2, predictions), rng.beta(1, 8, predictions))
    away = ~good & (rng.random(predictions) < 0.6)
    where = np.where(away, rng.integers(0, FRAMES, predictions), frame[source])
    class_id = np.where(away, rng.choice(CLASSES, predictions, p=share / share.sum()), kind[source])
    sides = (
        [torch.from_numpy(part) for part in (frame, kind, box)],
        [torch.from_numpy(part) for part in (where, class_id, found.round(2))],
    )
    return instances(*sides[0], crowd=torch.from_numpy(crowd)), instances(*sides[1], score=torch.from_numpy(score.round(4)))


def hotcoco_pair(labels: Instances, both: list[Instances]) -> tuple[Callable[[int], Any], list[float]]:
    """A function that compares both sets with so many resamples, and the figures of the first."""
    import hotcoco

    boxes = labels.box.tolist()
    annotations = [
        {
            "id": i + 1,
            "image_id": f,
            "category_id": k + 1,
            "bbox": boxes[i],
            "area": boxes[i][2] * boxes[i][3],
            "iscrowd": int(c),
        }
        for i, (f, k, c) in enumerate(zip(labels.frame.tolist(), labels.class_id.tolist(), labels.crowd.tolist(), strict=True))
    ]
    images = [{"id": i, "height": 640, "width": 640} for i in range(FRAMES)]
    categories = [{"id": k + 1, "name": str(k)} for k in range(CLASSES)]
    evaluations = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "labels.json"
        file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
        given = hotcoco.COCO(str(file))
        for which, side in enumerate(both):
            rows = zip(side.frame.tolist(), side.class_id.tolist(), side.box.tolist(), side.score.tolist(), strict=True)
            results = [{"image_id": f, "category_id": k + 1, "bbox": b, "score": s} for f, k, b, s in rows]
            file = Path(folder) / f"{which}.json"
            file.write_text(json.dumps(results))
            evaluation = hotcoco.COCOeval(given, given.load_res(str(file)), "bbox")
            evaluation.evaluate()
            evaluations.append(evaluation)
    first = evaluations[0]
    first.accumulate()
    with contextlib.redirect_stdout(io.StringIO()):
        first.summarize()
    return lambda n: hotcoco.compare(*evaluations, n_bootstrap=n), [float(number) for number in first.stats]


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=36_000)
    parser.add_argument("--predictions", type=int, default=180_000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--peer-resamples", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    parser.add_argument("--per-class", action="store_true", help="the figures of each class too")
    given = parser.parse_args()
    set_threads(given.threads or None)
    labels, first = made(given.labels, given.predictions, 1)
    _, second = made(given.labels, given.predictions, 2)
    both = [first, second]
    matched = time.perf_counter()
    done = [evaluated(labels, side, frames=FRAMES, classes=CLASSES) for side in both]
    matched = time.perf_counter() - matched
    one, other = (columns(each, per_class=given.per_class) for each in done)
    n = given.resamples
    interval(one.function, FRAMES, resamples=64)  # compiles
    ours = {"one": lambda: interval(one.function, FRAMES, resamples=n)}
    ours["pair"] = lambda: bootstrap(lambda weights: one.function(weights) - other.function(weights), FRAMES, n)
    peer = None
    if find_spec("hotcoco"):
        peer, figures = hotcoco_pair(labels, both)
        if np.abs(np.array(figures) - coco_table.stats(done[0].figures)).max() > 1e-12:
            raise SystemExit("the figures differ")
    times: dict[str, list[float]] = {"one": [], "pair": [], "hotcoco": []}
    for _ in range(given.rounds):
        for name, work in ours.items():
            times[name].append(seconds(work))
        if peer is not None:
            times["hotcoco"].append(seconds(lambda: peer(given.peer_resamples)) - seconds(lambda: peer(0)))
    best = {name: min(own) for name, own in times.items() if own}
    row: dict[str, Any] = {
        "bench": "bootstrap",
        "threads": threads(),
        "figures": len(one.keys),
        "resamples": n,
        "seconds": {name: round(best[name], 3) for name in ours},
        "milliseconds_each": {name: round(1000 * best[name] / n, 3) for name in ours},
        "seconds_to_match_both_once": round(matched, 3),
    }
    if peer is not None:
        each = best["hotcoco"] / given.peer_resamples
        row["hotcoco_milliseconds_each_pair"] = round(1000 * each, 2)
        row["faster"] = round(each * n / best["pair"], 1)
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
