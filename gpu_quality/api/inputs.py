"""From a configured source to canonical tables: list images, find readers, and say what was read."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gpu_quality import registry
from gpu_quality.annotations import Builder, Dataset
from gpu_quality.config import AnnotationSource, Source
from gpu_quality.data.arrow_frames import FrameTable
from gpu_quality.data.datasets import add_items
from gpu_quality.data.formats import load_formats
from gpu_quality.data.formats.folder import list_images
from gpu_quality.data.formats.measure import measure
from gpu_quality.data.remote import local_copy
from gpu_quality.errors import EmptyInputError, UsageError

Say = Callable[[str], None]


def read_source(source: Source, say: Say, dataset: Any = None, *, measured: bool = False) -> tuple[Dataset, Path | None]:
    """The canonical tables of a source, and the folder its image paths are relative to.

    With `measured`, sizes that no label claims are read from the headers of the images. Raises `EmptyInputError` when there is
    nothing to score, `UsageError` when a file cannot be understood.
    """
    builder = Builder()
    if dataset is not None:
        builder.root = list_dataset(dataset, builder)
    elif source.images is not None:
        builder.root = list_images(source.images, builder, every=source.every, image_column=source.image_column)
        if source.sequences == "folders":
            _group_by_folder(builder)
    read_annotations(source, builder, say)
    if measured:
        measure(builder, np.arange(len(builder.frame_rows)))
    tables, root = builder.build(), builder.root
    for note in tables.notes:
        say(note)
    if tables.frames.num_rows == 0:
        what = source.images or (source.labels and source.labels.path) or "the source"
        raise EmptyInputError(f"there is no image in {what}", hint="give a folder, a glob, or a text file with one path a line")
    return tables, root


def read_annotations(source: Source, builder: Builder, say: Say) -> None:
    """Add the labels and predictions of a source; where no images are listed yet, a format that knows its images lists them."""
    if source.labels is not None:
        _read(source.labels, builder, "labels", say)
    for name, predictions in source.predictions.items():
        _read(predictions, builder, name, say)


def _group_by_folder(builder: Builder) -> None:
    """Make the images of each folder a sequence, in the order of their names; frames of videos have theirs already."""
    names = sorted(name for name in builder.frame_rows if "#" not in name)
    folders = [name.rpartition("/")[0] or "." for name in names]
    seen: Counter[str] = Counter()
    positions = []
    for folder in folders:
        positions.append(seen[folder])
        seen[folder] += 1
    rows = np.array([builder.frame_rows[name] for name in names], np.int64)
    builder.place_frames(rows, sequence=folders, position=positions)


def list_dataset(dataset: Any, builder: Builder) -> Path | None:
    """Frames of images in memory: a frame table, or a torch data set, with the classes that either knows.

    Returns the folder of the files that a table names; None where the images themselves are in memory.
    """
    if isinstance(dataset, FrameTable):
        return dataset.add_frames(builder)
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise UsageError(f"{type(dataset).__name__} is no map-style data set: it needs __len__ and __getitem__")
    if isinstance(dataset, list | tuple) and dataset and isinstance(dataset[0], str | bytes | Path):
        raise UsageError(
            "run takes no list of paths", hint="name a text file with one path a line, or use score for a few images"
        )
    add_items(dataset, builder)
    return None


def identity(source: Source) -> dict[str, object]:
    """What a store was made from: which frames of larger files, format and SHA-256 of each file of labels or predictions."""
    labels = source.labels and _identity(source.labels)
    predictions = {name: _identity(p) for name, p in source.predictions.items()}
    return {"every": source.every, "image_column": source.image_column, "labels": labels, "predictions": predictions}


def _identity(source: AnnotationSource) -> dict[str, str]:
    return {"format": _format(source), "sha256": _digest(_local(source.path))}


@cache
def _local(path: str) -> Path:
    """Where the file or folder lies on this machine; one at an address is fetched once."""
    try:
        found = local_copy(path)
    except FileNotFoundError:
        found = Path(path)
    if not found.exists():
        raise UsageError(f"{path} does not exist", hint="labels and predictions are named by path: --labels FILE")
    return found


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names, sizes and times of a folder's files."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            stat = (Path(folder) / name).stat()
            digest.update(
                f"{os.path.relpath(folder, path)}/{name}:{stat.st_size}:{stat.st_mtime_ns}\n".encode(errors="replace")
            )
    return digest.hexdigest()


def _format(source: AnnotationSource) -> str:
    """The format given, or the one whose reader recognises the path."""
    load_formats()
    if source.format is not None:
        return registry.find_reader(source.format).name
    path = _local(source.path)
    for name, reader in registry.readers().items():
        if reader.guess(path):
            return name
    known = ", ".join(registry.readers())
    raise UsageError(
        f"{path} looks like none of the known formats ({known})", hint="name it with --labels-format or --predictions-format"
    )


def _read(source: AnnotationSource, builder: Builder, origin: str, say: Say) -> None:
    name = _format(source)
    if source.format is None:
        say(f"{origin}: read {Path(source.path).name} as {name}")
    registry.find_reader(name).function(_local(source.path), builder, origin)
