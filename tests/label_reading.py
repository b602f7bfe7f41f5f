"""Reading label files in tests: a Builder with listed images, one reader for labels and prediction sets, texts on disk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.data.formats.folder import list_images

Read = Callable[[Path, Builder, str], None]


def load(read: Read, labels: Path | None = None, images: Path | None = None, **predictions: Path) -> Dataset:
    """The tables of some labels and prediction sets, read by one reader, with or without a folder of images."""
    builder = Builder()
    if images is not None:
        builder.root = list_images(images, builder)
    if labels is not None:
        read(labels, builder, "labels")
    for name, path in predictions.items():
        read(path, builder, name)
    return builder.build()


def put(folder: Path, files: Mapping[str, str | tuple[int, int]]) -> Path:
    """Write texts, and gray images of the given width and height; returns the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        else:
            Image.fromarray(np.full((content[1], content[0]), 90, np.uint8)).save(path)
    return folder


def errors(made: Dataset) -> list[tuple[str, int | None, str]]:
    """File, line and reason of every error row."""
    return [(row["uri"], row["line"], row["reason"]) for row in made.errors.to_pylist()]


def frames(made: Dataset, *columns: str) -> list[Any]:
    """Some columns of the frames: tuples, or plain values for one column."""
    rows = made.frames.to_pylist()
    return [row[columns[0]] if len(columns) == 1 else tuple(row[name] for name in columns) for row in rows]


def objects(made: Dataset, *columns: str) -> list[Any]:
    """Some columns of the objects."""
    rows = made.objects.to_pylist()
    return [row[columns[0]] if len(columns) == 1 else tuple(row[name] for name in columns) for row in rows]
