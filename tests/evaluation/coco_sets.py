"""Small COCO sets made in code, and what pycocotools makes of them."""

import contextlib
import copy
import io
from typing import Any

import numpy as np

AREAS = (1024.0, 1024.0000001, 9216.0, 9215.9, 500.0)


def made(seed: int, *, images: int = 8, classes: int = 3, labels: int = 5, predictions: int = 8) -> tuple[dict, list[dict]]:
    """A set full of ties: boxes on a coarse grid, few scores, crowds, areas on limits, empty images, classes only predicted.

    Ids of images and classes have gaps and come in no order; annotation ids start at 1.
    """
    rng = np.random.default_rng(seed)
    image_ids = rng.permutation(10 * images)[:images] * 3 + 1
    class_ids = rng.permutation(4 * classes)[:classes] + 1
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in image_ids.tolist():
        own = []
        for _ in range(rng.integers(0, labels + 1)):
            box = _box(rng)
            area = box[2] * box[3] if rng.random() < 0.5 else float(rng.choice(AREAS))
            own.append({"image_id": image, "category_id": int(rng.choice(class_ids[: classes - 1])), "bbox": box, "area": area})
            own[-1] |= {"id": len(annotations) + len(own), "iscrowd": int(rng.random() < 0.2)}
        for _ in range(rng.integers(0, predictions + 1)):
            near = own and rng.random() < 0.7
            box = list(own[rng.integers(len(own))]["bbox"]) if near else _box(rng)
            if rng.random() < 0.5:
                box[int(rng.integers(0, 4))] += float(rng.choice([4.0, 8.0, 0.3]))
            score = float(rng.integers(0, 6) / 5)
            results.append({"image_id": image, "category_id": int(rng.choice(class_ids)), "bbox": box, "score": score})
        annotations += own
    order = rng.permutation(len(results)).tolist()
    given = {
        "images": [{"id": image, "width": 128, "height": 96} for image in image_ids.tolist()],
        "categories": [{"id": class_id, "name": f"class {class_id}"} for class_id in class_ids.tolist()],
        "annotations": [annotations[i] for i in rng.permutation(len(annotations)).tolist()],
    }
    return given, [results[i] for i in order]


def _box(rng: np.random.Generator) -> list[float]:
    return [*(rng.integers(0, 6, 2) * 16.0).tolist(), *(rng.integers(1, 7, 2) * 16.0).tolist()]


def pycocotools(
    given: dict, results: list[dict], kind: str = "bbox", **params: Any
) -> tuple[dict[str, np.ndarray], str, list[float]]:
    """Arrays, printed table and figures of pycocotools; parameters are set by name."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    printed = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()):
        labels = COCO()
        labels.dataset = copy.deepcopy(given)
        labels.createIndex()
        evaluation = COCOeval(labels, labels.loadRes(copy.deepcopy(results)), kind)
        for name, value in params.items():
            setattr(evaluation.params, name, value)
        evaluation.evaluate()
        evaluation.accumulate()
    stats: list[float] = []
    if not params:
        with contextlib.redirect_stdout(printed):
            evaluation.summarize()
        stats = evaluation.stats.tolist()
    return evaluation.eval, printed.getvalue().rstrip("\n"), stats
