"""Folders of label files: finding the files, and listing the images that a layout of folders says lie beside them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from gpu_quality.annotations import Builder
from gpu_quality.data.formats.folder import EXTENSIONS, list_images, uri_of
from gpu_quality.data.formats.text_lines import lines
from gpu_quality.errors import EmptyInputError, UsageError
from gpu_quality.text import clean, counted

SPLITS: Final = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of folders that stand for a split."""
_GLANCE: Final = 1 << 16
"""Bytes of a file that a guess looks at."""
_ENTRIES: Final = 2000
"""Entries of a folder that a guess looks at."""


def text_files(folder: Path, builder: Builder, suffix: str = ".txt") -> Iterator[tuple[str, Path]]:
    """Every file below `folder` with this suffix, in order of names: its relative path without suffix, and itself.

    Hidden ones are left out; links that lead out of the folder and folders that cannot be listed become error rows.
    """
    top = os.path.realpath(folder)

    def refuse(error: OSError) -> None:
        """An error row for a folder that cannot be listed."""
        place = os.path.relpath(error.filename, folder)
        builder.add_error(uri_of(place), f"folder cannot be listed: {error.strerror}", stage="list", reason="permission")

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        prefix = "" if place == str(folder) else os.path.relpath(place, folder).replace(os.sep, "/") + "/"
        for file in sorted(name for name in files if name.lower().endswith(suffix) and not name.startswith(".")):
            path = Path(place, file)
            if path.is_symlink() and not os.path.realpath(path).startswith(top + os.sep):
                detail = "a link that leads out of the folder of labels"
                builder.add_error(uri_of(prefix + file), detail, stage="list", reason="outside_root")
            elif not path.is_file():  # a pipe would be waited for
                builder.add_error(uri_of(prefix + file), "no regular file", stage="list")
            else:
                yield prefix + file[: -len(suffix)], path


def lines_of(path: Path, name: str, builder: Builder) -> Iterator[tuple[int, str]]:
    """Lines of one of many label files; where it cannot be read to its end, an error row says so and the other files go on."""
    try:
        yield from lines(path)
    except UsageError as error:
        builder.add_error(uri_of(name), clean(str(error)))


def glance(path: Path, count: int = 5) -> list[list[str]]:
    """Words of the first lines of a text file, or of a few text files of a folder; empty where there is nothing to read."""
    try:
        if path.is_dir():
            with os.scandir(path) as entries:
                texts = (
                    e.path for e in entries if e.name.lower().endswith(".txt") and not e.name.startswith(".") and e.is_file()
                )
                found = [line for text in islice(texts, 10 * count) for line in _first_lines(text, count)]
                return found[: 10 * count]
        return _first_lines(path, 10 * count) if path.is_file() else []
    except OSError:
        return []


def _first_lines(path: str | Path, count: int) -> list[list[str]]:
    with open(path, "rb") as file:  # noqa: PTH123 - thousands of files
        data = file.read(_GLANCE)
    if b"\0" in data:
        return []
    lines = data.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    return [line.split() for line in (lines if len(data) < _GLANCE else lines[:-1]) if line.strip()][:count]


def holds_images(folder: Path) -> bool:
    """Whether one of the first files of a folder is an image by name."""
    try:
        with os.scandir(folder) as entries:
            return any(Path(entry.name).suffix.lower() in EXTENSIONS for entry in islice(entries, _ENTRIES))
    except OSError:
        return False


def split_of(folder: Path, path: Path) -> str | None:
    """The split that the last folder named like one stands for, from `path`, which the person gave, down to `folder`."""
    parts = folder.relative_to(path.parent).parts if folder.is_relative_to(path.parent) else ()
    return next((SPLITS[part.lower()] for part in reversed(parts) if part.lower() in SPLITS), None)


def prefix_of(builder: Builder, folder: Path) -> str | None:
    """What stands before the names of a folder's images in frame ids; None where it does not lie below the root of images."""
    if builder.root is None:
        return None
    prefix = os.path.relpath(os.path.abspath(folder), os.path.abspath(builder.root)).replace(os.sep, "/")  # noqa: PTH100
    if prefix == ".." or prefix.startswith("../"):
        return None
    return "" if prefix == "." else uri_of(prefix) + "/"


@dataclass(frozen=True, slots=True)
class Place:
    """Where images lie: a folder, or a text file with one path a line; and the split they belong to."""

    path: Path
    split: str | None = None


def adopt_images(builder: Builder, base: Path, places: Sequence[Place]) -> None:
    """List the images of these places as frames whose ids are relative to `base`, or to the folder above all of them.

    Does nothing where images were listed already. A place that does not exist or holds no image is noted; an image of two
    places belongs to the first.
    """
    if builder.images_listed:
        return
    listed = [(place, found) for place in dict.fromkeys(places) if (found := _listed(place.path, builder)) is not None]
    if not listed:
        return
    builder.root = Path(os.path.commonpath([os.path.abspath(base), *(os.path.abspath(root) for _, (root, _) in listed)]))  # noqa: PTH100
    builder.images_listed = True
    twice = 0
    for place, (root, frames) in listed:
        prefix = prefix_of(builder, root) or ""
        ids = [prefix + uri for uri in frames["uri"]]
        before = len(builder.frame_rows)
        builder.add_frames(ids, size_bytes=frames["size_bytes"], mtime_ns=frames["mtime_ns"], split=[place.split] * len(ids))
        twice += len(ids) - (len(builder.frame_rows) - before)
    if twice:
        builder.notes.append(f"{counted(twice, 'image')} named more than once, in several splits perhaps; the first counts")


def _listed(place: Path, builder: Builder) -> tuple[Path, dict[str, list[Any]]] | None:
    """Root and frames of one place, listed into a Builder of its own since every place has another root."""
    scratch = Builder()
    try:
        root = list_images(place, scratch)
    except EmptyInputError as error:
        builder.notes.append(clean(str(error)))
        return None
    except UsageError:
        builder.notes.append(f"no images at {clean(place)}, though the labels name this place")
        return None
    builder.notes.extend(note for note in scratch.notes if note not in builder.notes)
    tables = scratch.build()
    for row in tables.errors.to_pylist():
        builder.add_error(row["uri"], row["detail"], stage=row["stage"], reason=row["reason"], frame=row["frame"])
    return root, {name: tables.frames.column(name).to_pylist() for name in ("uri", "size_bytes", "mtime_ns")}
