"""Print the README's table of who computes what, one data set under every protocol; `--write FILE`, `--check FILE`."""

import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from readme_table import Place

import gpu_quality as gq

WHY = {
    "coco": ("pycocotools, torchmetrics, faster-coco-eval", "best score first, 101 recall points, mean over IoU .50 to .95; "
             "crowds absorb; a class without labels costs nothing; at most 100 detections per class and image"),
    "fiftyone": ("FiftyOne", "COCO's scan; of equal scores the right ones come first; counts without a confidence cut"),
    "voc12": ("VOC development kit since 2010", "one IoU; a prediction may only take the label it overlaps most, even if it is "
              "taken; area under every step of the curve"),
    "voc07": ("VOC 2007", "the same matching; mean of 11 recall points"),
    "openimages": ("Open Images challenge", "as VOC, with groups of objects counted once and class hierarchies"),
    "encord": ("Encord Active", "one IoU; each prediction belongs to its one best label; precision and recall of all "
               "predictions, whatever their confidence"),
    "tide": ("TIDE", "points of 100 at IoU .5, best 100 per image over all classes; a class with predictions alone counts 0"),
    "labelbox": ("Labelbox", "no AP: pairs by falling overlap whatever the class, IoU above (not at) .5, confidence from .25, "
                 "only frames with both sides"),
    "confusion": ("our counts and confusion matrix", "pairs by falling overlap, same classes first; every label and "
                  "prediction is in exactly one cell"),
}  # fmt: skip
"""Protocol → the tools that count so, and what sets it apart."""


def sample() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Forty images of three classes and a clumsy detector: ties, doubles, ghosts, crowds, wrong classes."""
    rng = random.Random(7)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in range(1, 41):
        for _ in range(rng.randrange(0, 5)):
            box = [rng.randrange(0, 60), rng.randrange(0, 60), rng.randrange(6, 40), rng.randrange(6, 40)]
            kind = rng.choice((1, 1, 1, 2, 2, 3))
            crowd = int(rng.random() < 0.05)
            annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": kind, "bbox": box,
                                "area": box[2] * box[3], "iscrowd": crowd})  # fmt: skip
            for _ in range(rng.choice((0, 1, 1, 1, 1, 2))):
                moved = [value + rng.randrange(-3, 4) for value in box[:2]] + [
                    max(3, v + rng.randrange(-4, 5)) for v in box[2:]
                ]
                said = kind if rng.random() < 0.85 else 1 + kind % 3
                results.append({"image_id": image, "category_id": said, "bbox": moved, "score": rng.randrange(1, 20) / 20})
        if rng.random() < 0.4:
            ghost = {"bbox": [rng.randrange(0, 80), 5, 12, 12], "score": rng.randrange(1, 16) / 20}
            results.append({"image_id": image, "category_id": rng.choice((1, 2, 3, 4)), **ghost})
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in range(1, 41)]
    classes = [{"id": i, "name": name} for i, name in enumerate(("cat", "dog", "cow", "kite"), 1)]
    return {"images": images, "annotations": annotations, "categories": classes}, results


def table() -> str:
    """One row per protocol, all on the same labels and predictions."""
    labels, results = sample()
    head = f"{len(labels['annotations'])} labels and {len(results)} predictions in 40 images, IoU .5"
    columns = ("protocol", "as", "AP", "at IoU .5", "right", "false", "missed", "what sets it apart")
    lines = [f"Made by `scripts/table_of_parity.py --write README.md`: {head}.", ""]
    lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for name, (who, why) in WHY.items():
        found = gq.evaluate(labels=labels, predictions=results, protocol=name)
        told = {key.lower(): value for key, value in found.summary.items()}
        counts = found.counts(confidence=0.0)[["tp", "fp", "fn"]].sum()
        if name == "coco":
            outcome = found.outcomes
            tallies = [
                int((outcome.outcome == 0).sum()),
                int((outcome.outcome == 1).sum()),
                int((outcome.label_outcome == 1).sum()),
            ]
        else:
            tallies = [int(told.get(key) if told.get(key) is not None else counts[key]) for key in ("tp", "fp", "fn")]
        if name == "tide":
            tallies = []
        mean = told["ap"] if name == "coco" else told.get("map") if name == "fiftyone" else None
        half = told.get("ap50") if name == "coco" else None if name == "fiftyone" else told.get("map", told.get("ap"))
        cells = [f"`{name}`", who, _number(mean), _number(half), *(map(str, tallies or ["", "", ""])), why]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}" if value <= 1 else f"{value:.2f}"


PLACE = Place("parity", table)

if __name__ == "__main__":
    sys.exit(PLACE.main(__doc__))
