"""A store of labels and predictions made in code: small labels are mostly missed, and some predictions are false."""

import json
from pathlib import Path
from typing import Any

import numpy as np

import gpu_quality as gq
from gpu_quality.store.store import Store

CLASSES = ("person", "kite")
METRICS = ["object_area", "object_area_relative", "object_aspect_ratio", "object_center_x", "object_count"]
SMALL = 900.0


def coco(frames: int = 60, each: int = 8, seed: int = 0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Labels in a grid, half of them small; a small one is found once in five times, a large one four times in five."""
    rng = np.random.default_rng(seed)
    labels, results = [], []
    for frame in range(frames):
        for place in range(each):
            side = float(rng.uniform(10, 30) if rng.random() < 0.5 else rng.uniform(40, 80))
            x, y = 100.0 * (place % 4), 100.0 * (place // 4)
            box = [x, y, side, side * float(rng.uniform(0.8, 1.2))]
            kind = int(rng.integers(1, 3))
            labels.append({"id": len(labels) + 1, "image_id": frame, "category_id": kind, "bbox": box,
                           "area": box[2] * box[3], "iscrowd": 0})  # fmt: skip
            if rng.random() < (0.2 if box[2] * box[3] < SMALL else 0.8):
                results.append({"image_id": frame, "category_id": kind, "bbox": box, "score": float(rng.uniform(0.2, 1))})
        lone = [420.0, float(rng.uniform(0, 150)), 30.0, 30.0]
        results.append({"image_id": frame, "category_id": 1, "bbox": lone, "score": float(rng.uniform(0.2, 0.9))})
    images = [{"id": i, "file_name": f"{i:03d}.jpg", "width": 480, "height": 320} for i in range(frames)]
    names = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    return {"images": images, "annotations": labels, "categories": names}, results


def sliced_store(folder: Path, **more: Any) -> Store:
    """A run on these labels and predictions alone, evaluated."""
    labels, results = coco(**more)
    (folder / "labels.json").write_text(json.dumps(labels))
    (folder / "net.json").write_text(json.dumps(results))
    store = gq.run(
        labels=str(folder / "labels.json"), predictions={"net": str(folder / "net.json")}, out=folder / "out", metrics=METRICS
    )
    gq.evaluate(store, confidence=0.3)
    return store
