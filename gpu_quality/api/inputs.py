"""From a configured source to canonical tables: list images, find readers, and say what was read."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gpu_quality import registry
from gpu_quality.annotations import Builder, Dataset
from gpu_quality.config import AnnotationSource, Source
from gpu_quality.data.formats import load_formats
from gpu_quality.data.formats.folder import list_images
from gpu_quality.errors import EmptyInputError, UsageError

Say = Callable[[str], None]


def read_source(source: Source, say: Say, dataset: Any = None) -> tuple[Dataset, Path | None]:
    """The canonical tables of a source, and the folder its image paths are relative to.

    Raises `EmptyInputError` when there is nothing to score, `UsageError` when a file cannot be understood.
    """
    builder = Builder()
    if dataset is not None:
        list_dataset(dataset, builder)
    elif source.images is not None:
        builder.root = list_images(source.images, builder)
        if source.sequences == "folders":
            _group_by_folder(builder)
    read_annotations(source, builder, say)
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
    """Make the images of each folder a sequence, in the order of their names."""
    names = sorted(builder.frame_rows)
    folders = [name.rpartition("/")[0] or "." for name in names]
    seen: Counter[str] = Counter()
    positions = []
    for folder in folders:
        positions.append(seen[folder])
        seen[folder] += 1
    rows = np.array([builder.frame_rows[name] for name in names], np.int64)
    builder.place_frames(rows, sequence=folders, position=positions)


def list_dataset(dataset: Any, builder: Builder) -> None:
    """Frames of a torch data set of images: item `i` is frame ``00000042``."""
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise UsageError(f"{type(dataset).__name__} is no map-style data set: it needs __len__ and __getitem__")
    if isinstance(dataset, list | tuple) and dataset and isinstance(dataset[0], str | bytes | Path):
        raise UsageError(
            "run takes no list of paths", hint="name a text file with one path a line, or use score for a few images"
        )
    count = len(dataset)
    builder.add_frames(
        [f"{i:08d}" for i in range(count)], uris=[f"dataset:{i}" for i in range(count)], position=list(range(count))
    )
    builder.images_listed = True


def identity(source: Source) -> dict[str, object]:
    """What labels and predictions a store was made from: format and SHA-256 of each file, so that a change is noticed."""
    labels = source.labels and _identity(source.labels)
    return {"labels": labels, "predictions": {name: _identity(p) for name, p in source.predictions.items()}}


def _identity(source: AnnotationSource) -> dict[str, str]:
    path = Path(source.path)
    if not path.exists():
        raise UsageError(f"{path} does not exist", hint="labels and predictions are named by path: --labels FILE")
    return {"format": _format(source), "sha256": _digest(path)}


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
    path = Path(source.path)
    if not path.exists():
        raise UsageError(f"{path} does not exist", hint="labels and predictions are named by path: --labels FILE")
    for name, reader in registry.readers().items():
        if reader.guess(path):
            return name
    known = ", ".join(registry.readers())
    raise UsageError(f"{path} looks like none of the known formats ({known})", hint="name it with --labels-format")


def _read(source: AnnotationSource, builder: Builder, origin: str, say: Say) -> None:
    name = _format(source)
    if source.format is None:
        say(f"{origin}: read {Path(source.path).name} as {name}")
    registry.find_reader(name).function(Path(source.path), builder, origin)
