"""ImageFolder: the folder that an image lies in is its class, train/, val/ and test/ above are splits."""

import os
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from gpu_quality.annotations import Builder
from gpu_quality.annotations.columns import AnswerColumns
from gpu_quality.data.formats.finding import Finder
from gpu_quality.data.formats.folder import list_images
from gpu_quality.data.formats.label_files import SPLITS, Place, adopt_images, holds_images, prefix_of
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader
from gpu_quality.text import counted

QUESTION: Final = "class"
_NO_CLASSES: Final = frozenset(
    {"images", "labels", "annotations", "jpegimages", "imagesets", "img1", "masks", "segmentationclass"}
)
"""Folders of other layouts."""


def looks_like_imagefolder(path: Path) -> bool:
    """Whether a folder holds no images itself and all of the first folders in it, or in its splits, hold images."""
    if not path.is_dir() or holds_images(path):
        return False
    inner = _folders(path)
    if inner and all(folder.name.lower() in SPLITS for folder in inner):
        inner = [below for folder in inner for below in _folders(folder)]
    return bool(inner) and all(holds_images(folder) and folder.name.lower() not in _NO_CLASSES for folder in inner)


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            return [Path(e.path) for e in islice(entries, 200) if e.is_dir() and not e.name.startswith(".")]
    except OSError:
        return []


@reader("imagefolder", guess=looks_like_imagefolder)
def read(path: Path, builder: Builder, origin: str) -> None:
    """One folder per class: every image answers the question "class" with the name of the first folder below the root.

    Where all first folders are called train, val, test or the like, they are splits and the next folder is the class. Raises
    `UsageError` where no image lies in a folder.
    """
    if not path.is_dir():
        raise UsageError(f"{path} is no folder", hint="give the folder that holds one folder per class")
    adopt_images(builder, path, [Place(path)])
    found = _images(path, builder)
    names = sorted(found)
    parts = [name.split("/") for name in names]
    splits = all(p[0].lower() in SPLITS for p in parts if len(p) > 1) and any(len(p) > 2 for p in parts)
    classed = [i for i, p in enumerate(parts) if len(p) > 1 + splits]
    if not classed:
        raise UsageError(f"{path}: no image lies in a folder of its class", hint="classes are the folders below the root")
    if len(classed) < len(names):
        what = counted(len(names) - len(classed), "image")
        builder.notes.append(f"{origin}: {what} of {path.name} lie in no folder of a class")
    finder = Finder(builder)
    rows = finder.rows([found[names[i]] for i in classed])
    labels = [parts[i][splits] for i in classed]
    known = sorted(set(labels))
    class_of = dict(zip(known, builder.name_classes(known).tolist(), strict=True))
    if origin == "labels":
        builder.label_frames(rows, [None] * len(rows), [None] * len(rows))
    if origin == "labels" and splits:
        placed = [i for i, p in enumerate(parts) if len(p) > 1]
        every = finder.rows([found[names[i]] for i in placed])
        builder.place_frames(every, split=[SPLITS[parts[i][0].lower()] for i in placed])
    n = len(classed)
    class_id = np.array([class_of[label] for label in labels], np.int64)
    columns = AnswerColumns(rows, [QUESTION] * n, class_id, np.array(classed, np.int64))
    builder.add_answers(origin, path.name, columns, {})


def _images(path: Path, builder: Builder) -> dict[str, str]:
    """Images by their path below `path`, with the names to find their frames by: listed ones, else what lies there."""
    prefix = prefix_of(builder, path)
    if prefix is not None:
        return {frame.removeprefix(prefix): frame for frame in builder.frame_rows if frame.startswith(prefix)}
    inner = os.path.relpath(builder.root, path).replace(os.sep, "/") if builder.root is not None else ".."
    if not inner.startswith(".."):
        return {f"{inner}/{frame}": frame for frame in builder.frame_rows}
    scratch = Builder()
    list_images(path, scratch)
    return {frame: frame for frame in scratch.frame_rows}
