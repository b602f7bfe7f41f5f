"""A run whose failures have known causes: made in code, judged, and counted by SQL."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import gpu_quality as gq
from gpu_quality.api.evaluate import evaluate
from gpu_quality.store.store import Store
from tests.photos import write_photos

SIZE, FRAMES, PER_FRAME, SMALL = (240, 180), 60, 8, 24
NAME = "a <b>cause</b>"


def planted(folder: Path, *, judge: bool = True) -> Store:
    """Labels of which those narrower than 24 pixels are mostly missed; predictions that are false where they are not sure."""
    rng = np.random.default_rng(3)
    write_photos(folder / "photos", FRAMES, size=SIZE)
    images = [{"id": i, "file_name": f"photo{i:03d}.png", "width": SIZE[0], "height": SIZE[1]} for i in range(FRAMES)]
    labels: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image in range(FRAMES):
        for place in range(PER_FRAME):
            side = int(rng.integers(8, 55))
            box = [float(place % 4 * 58 + 1), float(place // 4 * 88 + 1), float(side), float(side)]
            kind = int(rng.integers(1, 3))
            labels.append({"id": len(labels) + 1, "image_id": image, "category_id": kind, "bbox": box, "area": float(side**2)})
            if rng.random() < (0.1 if side < SMALL else 0.95):
                sure = round(float(rng.uniform(0.4, 0.99)), 3)
                found.append({"image_id": image, "category_id": kind, "bbox": box, "score": sure})
        for _ in range(2):
            box = [float(rng.integers(0, 150)), float(rng.integers(0, 100)), 9.0, 70.0]
            sure = round(float(rng.uniform(0.3, 0.6)), 3)
            found.append({"image_id": image, "category_id": 1, "bbox": box, "score": sure})
    classes = [{"id": 1, "name": NAME}, {"id": 2, "name": "dog"}]
    (folder / "gt.json").write_text(json.dumps({"images": images, "annotations": labels, "categories": classes}))
    (folder / "net.json").write_text(json.dumps(found))
    store = gq.run(
        folder / "photos", out=folder / "run", labels=folder / "gt.json", predictions={"net": folder / "net.json"},
        metrics=["width", "brightness", "contrast", "object_area", "object_brightness"],
        settings={"engine": {"kind": "inline"}},
    )  # fmt: skip
    if judge:
        evaluate(store)
    return store


def copied(store: Store, folder: Path) -> Store:
    """The same run elsewhere, to be written into."""
    shutil.copytree(store.path, folder / "run")
    return Store.open(folder / "run")


def judged(store: Store, rows: str) -> str:
    """The rows that count, as a table of SQL with a column `good`."""
    if rows == "P":
        return "select *, outcome = 'tp' as good from objects where origin = 1 and outcome in ('tp', 'fp') and score >= 0.25"
    found = "outcome = 'matched' and matched_object in (select object from objects where origin = 1 and score >= 0.25)"
    return f"select *, {found} as good from objects where origin = 0 and outcome in ('matched', 'fn')"
