"""Predictions of an imaginary detector with one weakness, for the demo; always the same bytes.

It finds large things and misses most small ones (below `SMALL` of the frame), is surer of what it finds the larger that is,
takes some cups for helmets, and sees a few things where none are. `gpu-quality importance` and `slice find` must name the size.

    python scripts/make_predictions.py demo/labels.json demo/predictions.json
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

SMALL = 0.06
"""Share of the frame below which a thing is usually missed."""
FOUND_SMALL, FOUND_LARGE = 0.15, 0.95
TAKEN_FOR = {"cup": "helmet"}
SWAPPED, INVENTED = 0.3, 0.35
"""Share of those classes that are mistaken, and false predictions per frame."""


def predicted(labels: dict[str, Any]) -> list[dict[str, Any]]:
    """Results in COCO form for the labels of a COCO file."""
    rng = random.Random(6)
    sizes = {image["id"]: (image["width"], image["height"]) for image in labels["images"]}
    number = {category["name"]: category["id"] for category in labels["categories"]}
    name = {row: text for text, row in number.items()}
    found = []
    for label in labels["annotations"]:
        width, height = sizes[label["image_id"]]
        x, y, w, h = label["bbox"]
        share = w * h / (width * height)
        if label["category_id"] not in name or rng.random() > (FOUND_SMALL if share < SMALL else FOUND_LARGE):
            continue
        kind = name[label["category_id"]]
        kind = TAKEN_FOR[kind] if kind in TAKEN_FOR and rng.random() < SWAPPED else kind
        shift = [rng.gauss(0, 0.03) * side for side in (w, h, w, h)]
        score = min(0.99, max(0.26, 0.55 + 0.8 * share + rng.gauss(0, 0.12)))
        left, top = max(0.0, x + shift[0]), max(0.0, y + shift[1])
        right, bottom = min(width, x + shift[0] + w + shift[2]), min(height, y + shift[1] + h + shift[3])
        found.append(result(label["image_id"], number[kind], [left, top, right - left, bottom - top], score))
    for image, (width, height) in sizes.items():
        if rng.random() < INVENTED:
            w, h = rng.uniform(20, 200), rng.uniform(20, 200)
            box = [rng.uniform(0, max(0, width - w)), rng.uniform(0, max(0, height - h)), min(w, width), min(h, height)]
            found.append(result(image, rng.choice(list(name)), box, rng.uniform(0.25, 0.6)))
    return found


def result(image: int, category: int, box: list[float], score: float) -> dict[str, Any]:
    """One prediction."""
    return {"image_id": image, "category_id": category, "bbox": [round(value, 1) for value in box], "score": round(score, 3)}


def main() -> None:
    """Write predictions for the labels in the file named first into the file named second."""
    source, path = Path(sys.argv[1]), Path(sys.argv[2])
    made = predicted(json.loads(source.read_text(encoding="utf-8")))
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(made)} predictions in {path}, of a detector that misses small things\n")


if __name__ == "__main__":
    main()
