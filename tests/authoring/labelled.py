"""A small store with labels, predictions, a sequence and a broken photo, for tests of metrics that people write."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from photos import write_photos

import gpu_quality as gq
from gpu_quality.store.store import Store

WIDTH, HEIGHT = 40, 30


def write_labels(folder: Path, names: list[str], boxes: list[tuple[int, int, tuple[float, float, float, float]]]) -> Path:
    """A COCO file: photo, class (1 cat, 2 dog) and box of every object."""
    images = [{"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT} for i, name in enumerate(names)]
    annotations = [
        {"id": k, "image_id": image, "category_id": kind, "bbox": list(box), "area": box[2] * box[3], "iscrowd": 0}
        for k, (image, kind, box) in enumerate(boxes)
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "guide dog"}]
    path = folder / "labels.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


BOXES = [
    (0, 1, (4.0, 3.0, 20.0, 15.0)),
    (0, 2, (0.0, 0.0, 10.0, 6.0)),
    (1, 1, (8.0, 6.0, 4.0, 3.0)),
    (2, 2, (1.0, 1.0, 2.0, 9.0)),
]


def labelled_store(folder: Path, *, broken: int = 0, metrics: tuple[str, ...] = ("brightness",)) -> Path:
    """Three photos with four boxes, and one prediction set ``yolo`` with one box per photo."""
    names = write_photos(folder / "in", 3, broken=broken, size=(WIDTH, HEIGHT))
    labels = write_labels(folder, names, BOXES)
    results = [{"image_id": i, "category_id": 1, "bbox": [0, 0, 10, 3 * (i + 1)], "score": 0.5} for i in range(3)]
    (folder / "yolo.json").write_text(json.dumps(results))
    gq.run(
        folder / "in",
        out=folder / "out",
        labels=str(labels),
        predictions={"yolo": str(folder / "yolo.json")},
        metrics=list(metrics),
        settings={"engine": {"kind": "inline"}, "max_errors": "100%"},
    )
    return folder / "out"


def sequence_store(folder: Path, positions: list[int], boxes: list[list[tuple[int, float]]]) -> Path:
    """A store of one video: per frame its position, and (track, x) of its objects, 10 x 10 pixels each. No image is read."""
    from gpu_quality.annotations import OBJECTS

    count = len(positions)
    frames = pa.table(
        {
            "frame": [f"v#{i}" for i in range(count)],
            "uri": [f"v#{i}" for i in range(count)],
            "size_bytes": pa.array([-1] * count, pa.int64()),
            "mtime_ns": pa.array([-1] * count, pa.int64()),
            "width": pa.array([WIDTH] * count, pa.int32()),
            "height": pa.array([HEIGHT] * count, pa.int32()),
            "sequence": ["v"] * count,
            "position": pa.array(positions, pa.int64()),
        }
    )
    rows = [
        {
            **dict.fromkeys(OBJECTS.names),
            "object": f"labels/{row}-{k}",
            "frame": f"v#{row}",
            "origin": 0,
            "class_id": 0,
            "box": [x, 0.0, x + 10.0, 10.0],
            "track": track,
            "area": 100.0,
            "crowd": False,
            "difficult": False,
            "kind": 0,
            "source_id": f"{row}-{k}",
            "file": "v.txt",
            "record": k,
            "row": row,
        }
        for row, objects in enumerate(boxes)
        for k, (track, x) in enumerate(objects)
    ]
    objects = pa.Table.from_pylist(rows, OBJECTS)
    identity = {"shard_size": 256, "origins": ["labels"], "classes": ["car"], "class_sources": ["1"], "pixels": False}
    identity |= {"objects": True, "labels": None, "predictions": {}, "decode": {}, "regions": [], "seed": 0}
    return Store.create(folder / "video", identity, {"frames": frames, "objects": objects}).path


def gray_store(folder: Path, levels: list[int]) -> Path:
    """Photos of one gray level each, scored by nothing yet; returns the folder of photos."""
    from PIL import Image

    (folder / "gray").mkdir(parents=True)
    for i, level in enumerate(levels):
        Image.fromarray(np.full((6, 8, 3), level, np.uint8)).save(folder / "gray" / f"g{i}.png")
    return folder / "gray"
