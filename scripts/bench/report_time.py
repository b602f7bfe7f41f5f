"""Seconds and megabytes of the report of a run of 5,000 frames with labels and predictions.

    python scripts/bench/report_time.py --frames 5000

Frames are crops of the demo's photos at 320x240 under changing light with boxes drawn in; an imaginary detector misses small
boxes and dark frames. The store is made first (untimed but told): scored without vectors unless `--encoder` names a card, and
evaluated. Then the page is written twice: the first one also looks for what nobody asked before (importance, weak slices,
outliers), the second reads what the first left. Aim: 20 s and 15 MB.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import gpu_quality as gq

sys.path.insert(0, str(Path(__file__).parents[1]))
from make_images import PHOTOS, photo

CLASSES = ("car", "person", "dog", "sign", "bike", "boat")
WIDTH, HEIGHT = 320, 240


def boxes(rng: np.random.Generator, count: int, size: float) -> np.ndarray:
    """x y w h of some boxes, whose sides spread around exp(size) pixels."""
    sides = np.exp(rng.normal(size, 0.7, (count, 2))).clip(4, 150)
    places = rng.uniform(0, 1, (count, 2)) * ([WIDTH, HEIGHT] - sides)
    return np.hstack([places, sides]).round(2)


def make(folder: Path, frames: int) -> None:
    """Photos, labels and predictions below a folder."""
    rng = np.random.default_rng(0)
    photos = [photo(name).convert("RGB") for name in PHOTOS]
    images, labels, found = [], [], list[dict[str, Any]]()
    for i in range(frames):
        source = photos[i % len(photos)]
        scale = rng.uniform(0.5, 1) * min(source.width / WIDTH, source.height / HEIGHT)
        w, h = int(WIDTH * scale), int(HEIGHT * scale)
        x, y = rng.integers(0, source.width - w + 1), rng.integers(0, source.height - h + 1)
        light = rng.uniform(0.15, 1.1)
        view = source.crop((x, y, x + w, y + h)).resize((WIDTH, HEIGHT))
        pixels = np.clip(np.asarray(view, np.float32) * light, 0, 255).astype(np.uint8)
        for box in boxes(rng, int(rng.integers(1, 9)), 3.2):
            x1, y1, x2, y2 = (int(v) for v in (*box[:2], *(box[:2] + box[2:])))
            pixels[y1:y2, x1:x2] = pixels[y1:y2, x1:x2] // 2 + (rng.integers(0, 255, 3) // 2).astype(np.uint8)
            kind = int(rng.choice(len(CLASSES), p=[0.4, 0.25, 0.15, 0.1, 0.07, 0.03])) + 1
            area = float(box[2] * box[3])
            labels.append({"id": len(labels) + 1, "image_id": i + 1, "category_id": kind, "bbox": box.tolist(), "area": area,
                           "iscrowd": 0})  # fmt: skip
            seen = (0.25 + 0.7 * (1 - np.exp(-area / (WIDTH * HEIGHT) / 0.01))) * (0.5 if light < 0.4 else 1)
            if rng.random() < seen:
                moved = box + rng.normal(0, 0.05, 4) * np.tile(box[2:], 2)
                found.append(result(i, kind, moved, float(np.clip(rng.normal(0.7, 0.18), 0.02, 0.99))))
        for box in boxes(rng, int(rng.poisson(1.5)), 2.8):
            found.append(result(i, int(rng.integers(len(CLASSES))) + 1, box, float(rng.beta(2, 5))))
        name = f"{i:05d}.jpg"
        Image.fromarray(pixels).save(folder / "photos" / name, quality=85)
        images.append({"id": i + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    (folder / "labels.json").write_text(json.dumps({"images": images, "annotations": labels, "categories": categories}))
    (folder / "found.json").write_text(json.dumps(found))


def result(frame: int, kind: int, box: np.ndarray, score: float) -> dict[str, Any]:
    """One prediction."""
    box = np.concatenate([box[:2], box[2:].clip(2)]).round(2)
    return {"image_id": frame + 1, "category_id": kind, "bbox": box.tolist(), "score": round(score, 4)}


def main() -> None:
    """Make a store, write its report twice, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--encoder", default="none")
    parser.add_argument("--json", action="store_true", help="one JSON object per measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "photos").mkdir()
        make(folder, options.frames)
        start = time.perf_counter()
        store = gq.run(
            folder / "photos", labels=folder / "labels.json", predictions={"model": folder / "found.json"},
            out=folder / "out", settings={"encoder": {"card": options.encoder}},
        )  # fmt: skip
        gq.evaluate(store)
        sys.stderr.write(f"store of {options.frames:,} frames made and evaluated in {time.perf_counter() - start:.0f} s\n")
        for which in ("first", "second"):
            start, cpu = time.perf_counter(), time.process_time()
            path = gq.report(store)
            told = {
                "row": "report_time", "case": f"{options.frames} frames, {which} report", "who": "gpu_quality", "unit": "s",
                "value": round(time.perf_counter() - start, 2), "cpu_s": round(time.process_time() - cpu, 2),
                "megabytes": round(path.stat().st_size / 1e6, 2), "to_reach": "<= 20 s, <= 15 MB",
            }  # fmt: skip
            line = f"{told['case']:<32} {told['value']:>7.1f} s ({told['cpu_s']} s CPU)  {told['megabytes']} MB"
            sys.stdout.write((json.dumps(told) if options.json else line) + "\n")


if __name__ == "__main__":
    main()
