"""A small labeled store for tests of verbs: photos in two splits, COCO labels with annotators, one set of predictions."""

import json
import random
from pathlib import Path

from photos import write_photos

from gpu_quality import api

CLASSES = ("cat", "=dog", "<b>cow</b>")
ANNOTATORS = ("ann", "bob\x1b[31m", None)
METRICS = ["brightness", "contrast", "sharpness", "bit_depth", "is_dark_issue", "random", "phash", "object_area",
           "object_aspect_ratio", "object_brightness"]  # fmt: skip


def write_labels(folder: Path, frames: int = 12, each: int = 6) -> dict:
    """COCO labels of `frames` photos, the first object far larger than all others; returns what was written."""
    rng = random.Random(0)
    rows = []
    for number in range(frames * each):
        box = [rng.randint(0, 20), rng.randint(0, 20), rng.randint(8, 12), rng.randint(8, 12)]
        row = {"id": number + 1, "image_id": number % frames + 1, "category_id": rng.choice((1, 1, 1, 2, 3)), "iscrowd": 0}
        row |= {"bbox": box if number else [0, 0, 78, 58], "area": box[2] * box[3] if number else 78 * 58}
        annotator = ANNOTATORS[number % 3]
        rows.append(row | ({"annotator": annotator, "annotation_seconds": 2 + number % 3} if annotator else {}))
    place = [f"{('train', 'val')[i % 2]}/photo{i:03d}.png" for i in range(frames)]
    images = [{"id": i + 1, "file_name": name, "width": 80, "height": 60} for i, name in enumerate(place)]
    coco = {"images": images, "annotations": rows, "categories": [{"id": i + 1, "name": c} for i, c in enumerate(CLASSES)]}
    (folder / "labels.json").write_text(json.dumps(coco))
    found = [
        {k: r[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.3 + 0.6 * (r["id"] % 7) / 7} for r in rows[:50]
    ]
    (folder / "found.json").write_text(json.dumps(found))
    return coco


def split_store(folder: Path) -> Path:
    """A store of pictures in folders of classes, in two splits: three cats and two dogs to train, two cats and a dog else."""
    places = [f"{split}/{kind}" for split, kinds in (("train", "ccadd"), ("val", "ccd")) for kind in kinds]
    write_photos(folder / "made", len(places))
    for number, place in enumerate(places):
        target = folder / "in" / place.replace("/c", "/cat").replace("/a", "/cat").replace("/d", "/dog")
        target.mkdir(parents=True, exist_ok=True)
        (folder / "made" / f"photo{number:03d}.png").rename(target / f"photo{number:03d}.png")
    labels = {"path": str(folder / "in"), "format": "imagefolder"}
    api.run(folder / "in", labels=labels, out=folder / "s", metrics=["brightness", "contrast"])
    return folder / "s"


def labeled_store(folder: Path, metrics: list[str] = METRICS) -> Path:
    """The store, made in a folder."""
    write_photos(folder / "made", 12, size=(80, 60))
    for number in range(12):
        target = folder / "in" / ("train", "val")[number % 2]
        target.mkdir(parents=True, exist_ok=True)
        (folder / "made" / f"photo{number:03d}.png").rename(target / f"photo{number:03d}.png")
    write_labels(folder)
    given = {"labels": folder / "labels.json", "predictions": {"net": folder / "found.json"}}
    api.run(folder / "in", out=folder / "a", metrics=metrics, **given)
    return folder / "a"
