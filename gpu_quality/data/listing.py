"""Frames inside larger files: members of archives, rows of tables, frames of videos, and the labels that lie beside them."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from gpu_quality.annotations import Builder
from gpu_quality.data.containers import opened, place_of
from gpu_quality.data.samples import add_archive
from gpu_quality.data.uris import ARCHIVES, TABLES, extension_of, file_uri, padded, part_uri
from gpu_quality.errors import FrameError, UsageError

MOST_NAMES: Final = 1_000_000
"""File names that one pattern with braces may stand for."""
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_SPLIT: Final = re.compile(r"(?:^|/)(train|training|test|validation|val|dev)(?:[-_.]\d[^/]*)?\.parquet$")


@dataclass(frozen=True, slots=True)
class Options:
    """How frames are taken from larger files."""

    every: int = 1
    """Every n-th frame of a video, the first one included."""
    image_column: str | None = None
    """The column of images of a table, where its name and type do not tell."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file that holds frames, by its path relative to the root, and the split that its place says it belongs to."""

    name: str
    split: str | None = None


def add_parts(builder: Builder, root: Path, parts: Sequence[Part], options: Options, images: frozenset[str]) -> str:
    """Add the frames of files that hold many; a file that cannot be read becomes an error row.

    Returns why the first such file cannot be read. `images` are the extensions that members of an archive must have. Raises
    `UsageError` where a library is missing, or where it is unclear which column of a table is meant.
    """
    others: Counter[str] = Counter()
    problems: list[str] = []
    for part in parts:
        extension = extension_of(part.name)
        try:
            path = place_of(root, file_uri(part.name))
            if extension in ARCHIVES:
                others += add_archive(builder, part.name, path, images, part.split)
            elif extension in TABLES:
                from gpu_quality.data.arrow_listing import add_table

                add_table(builder, root, part.name, path, part.split or _split(part.name), options.image_column)
            else:
                _add_video(builder, part, path, options.every)
        except FrameError as error:
            builder.add_error(file_uri(part.name), error.detail, stage="list", reason=error.reason)
            problems.append(f"{part.name}: {error.detail}")
    if 0 < len(problems) < len(parts):
        builder.notes.append(f"{len(problems):,} of {len(parts):,} files with frames cannot be read; first, {problems[0]}")
    if others:
        kinds = ", ".join(f"{count:,} {kind or 'without extension'}" for kind, count in sorted(others.items()))
        builder.notes.append(f"members of archives that are no images and no .cls were passed over: {kinds}")
    return problems[0] if problems else ""


def hugging_face(folder: Path) -> list[Part] | None:
    """Arrow files of a data set that Hugging Face's `save_to_disk` wrote, split by split; None for any other folder."""
    splits = _strings(folder / "dataset_dict.json", "splits")
    if splits:
        return [Part(f"{split}/{part.name}", split) for split in splits for part in hugging_face(folder / split) or ()]
    if not (folder / "state.json").is_file():
        return None
    return [Part(name) for name in _strings(folder / "state.json", "_data_files")] or None


def _strings(path: Path, key: str) -> list[str]:
    """Texts, or the file names of records, in a list of a small JSON file; empty where there is none."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(1_000_000))[key]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    names = [item.get("filename") if isinstance(item, dict) else item for item in found] if isinstance(found, list) else []
    return [name for name in names if isinstance(name, str) and name and "\0" not in name]


def expanded(pattern: str) -> list[str]:
    """Names that braces stand for, as shells read them: ``{000..003}`` counts, ``{a,b}`` lists.

    Raises `UsageError` for more than `MOST_NAMES` names.
    """
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    heads = [pattern[: found.start()] + choice for choice in _choices(found[1])]
    tails = expanded(pattern[found.end() :])
    if len(heads) * len(tails) > MOST_NAMES:
        raise UsageError(f"{pattern!r} stands for more than {MOST_NAMES:,} names")
    return [head + tail for head in heads for tail in tails]


def _choices(text: str) -> Iterator[str]:
    counted = re.fullmatch(r"([0-9]{1,12})\.\.([0-9]{1,12})", text)
    if counted is None:
        yield from text.split(",") if "," in text else ["{" + text + "}"]
        return
    first, last = int(counted[1]), int(counted[2])
    if abs(last - first) >= MOST_NAMES:
        raise UsageError(f"{{{text}}} stands for more than {MOST_NAMES:,} names")
    width = max(len(counted[1]), len(counted[2])) if text.startswith("0") or counted[2].startswith("0") else 0
    yield from (f"{i:0{width}d}" for i in range(first, last + 1) or range(first, last - 1, -1))


def _split(name: str) -> str | None:
    """The split that a file's name tells, as in ``data/train-00000-of-00002.parquet``."""
    found = _SPLIT.search(name)
    return found[1] if found else None


def _add_video(builder: Builder, part: Part, path: str, every: int) -> None:
    """Every n-th frame of a video; its place, its time and the size it is shown in are known without decoding it."""
    from gpu_quality.data.video import video_of

    with opened(path) as (_, found):
        video = video_of(path)
    indices = range(0, video.count, every)
    n = len(indices)
    rows = builder.add_frames(
        [part_uri(part.name, padded(i, video.count)) for i in indices],
        size_bytes=[found.st_size] * n,
        mtime_ns=[found.st_mtime_ns] * n,
        sequence=[file_uri(part.name)] * n,
        position=list(indices),
        seconds=[None if np.isnan(time) else time for time in video.seconds[::every].tolist()],
        split=[part.split] * n,
    )
    if video.width:
        builder.size_frames(rows, [video.width] * n, [video.height] * n)
