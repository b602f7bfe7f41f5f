"""Where MOT sequences keep their tracks, images and facts, and what a sequence is called."""

import configparser
import os
from pathlib import Path
from typing import Final, NamedTuple

from gpu_quality.annotations import Builder
from gpu_quality.data.formats.label_files import SPLITS
from gpu_quality.data.formats.sequences import MOST_FRAMES
from gpu_quality.errors import UsageError
from gpu_quality.text import clean

_INNER: Final = ("gt", "det")
"""Folders of a sequence that hold tracks."""
_COMMON: Final = frozenset(
    {"gt", "test", "train", "det", "pred", "preds", "prediction", "predictions", "result", "results", "track", "tracks"}
)
"""File names that say nothing about the sequence: the folder does."""
_LONGEST_INI: Final = 1 << 16


class Sequence(NamedTuple):
    """One sequence: its name, its file of tracks, and what its seqinfo.ini says."""

    name: str
    tracks: Path
    images: Path | None = None
    length: int = 0
    rate: float = 0.0
    width: int | None = None
    height: int | None = None
    split: str | None = None


def find_sequences(path: Path, builder: Builder, known: set[str], *, labels: bool) -> list[Sequence]:
    """The sequences that a path means: a file of tracks, a folder of one sequence, of sequences, or of files named after them.

    Raises `UsageError` where there is none, or where a folder holds several files that may be meant.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - a name may be that of a folder above
    if path.is_file():
        return [_sequence(path, _name_of(path, known), builder)]
    folders = [path, *sorted(p for depth in ("*", "*/*") for p in path.glob(depth) if p.is_dir() and p.name not in _INNER)]
    found = [(folder, file) for folder in folders if (file := _tracks_in(folder, labels=labels)) is not None]
    if not found:
        found = [(file, file) for file in sorted(path.glob("*.txt"))]
    if not found:
        hint = "give a gt.txt, a folder of sequences (SEQ/gt/gt.txt), or one of result files (SEQ.txt)"
        raise UsageError(f"{path}: there is no file of tracks", hint=hint)
    below = len(path.parts) - 1
    return [
        _sequence(file, folder.stem if folder is file else folder.name, builder, folder.parts[below:-1])
        for folder, file in found
    ]


def _tracks_in(folder: Path, *, labels: bool) -> Path | None:
    """The file of tracks of a folder of one sequence, None where it is none."""
    truth = next((p for p in (folder / "gt" / "gt.txt", folder / "gt.txt") if p.is_file()), None)
    if labels or (truth is None and not (folder / "seqinfo.ini").is_file()):
        return truth
    others = [p for p in sorted(folder.glob("*.txt")) if p != truth]
    if len(others) > 1:
        names = ", ".join(clean(p.name) for p in others)
        raise UsageError(f"{folder} holds several files of tracks: {names}", hint="name the one that is meant")
    detections = folder / "det" / "det.txt"
    return others[0] if others else detections if detections.is_file() else None


def _name_of(file: Path, known: set[str]) -> str:
    """What the sequence of a file is called: the folder above gt/, a sequence of the labels, else the file or its folder."""
    if file.parent.name in _INNER:
        return file.parent.parent.name
    for name in (file.stem, file.parent.name):
        if name in known:
            return name
    if len(known) == 1:
        return next(iter(known))
    return file.parent.name if file.stem.lower() in _COMMON else file.stem


def _sequence(file: Path, name: str, builder: Builder, above: tuple[str, ...] = ()) -> Sequence:
    """A sequence with what its seqinfo.ini says."""
    folder = file.parent.parent if file.parent.name in _INNER else file.parent
    facts = _facts(folder / "seqinfo.ini", builder)
    images = Path(os.path.normpath(folder / facts.get("imdir", "img1")))
    length = _count(facts.get("seqlength"), MOST_FRAMES) or 0
    if "seqlength" in facts and not length:
        builder.notes.append(f"{clean(name)}: seqLength {clean(facts['seqlength'], 40)} of seqinfo.ini is not used")
    try:
        rate = float(facts.get("framerate", "0"))
    except ValueError:
        rate = 0.0
    return Sequence(
        name,
        file,
        images if images.is_dir() and images.is_relative_to(folder) else None,
        length,
        rate if 0 < rate < 1e6 else 0.0,
        _count(facts.get("imwidth"), 1 << 31),
        _count(facts.get("imheight"), 1 << 31),
        next((SPLITS[part.lower()] for part in reversed(above) if part.lower() in SPLITS), None),
    )


def _facts(file: Path, builder: Builder) -> dict[str, str]:
    """The keys of the section Sequence, in lower case."""
    if not file.is_file():
        return {}
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        with file.open("rb") as data:
            parser.read_string(data.read(_LONGEST_INI).decode("utf-8-sig", "replace"))
        return dict(parser["Sequence"]) if parser.has_section("Sequence") else {}
    except (OSError, configparser.Error) as error:
        reason = " ".join(str(error).split())
        builder.notes.append(f"{clean(file.parent.name)}/seqinfo.ini cannot be read: {clean(reason)}")
        return {}


def _count(text: str | None, most: int) -> int | None:
    """A whole number from 1, below `most`."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 12 and 0 < int(text) < most else None
