"""KITTI: object labels (a text file per image) and tracking labels (a text file per sequence).

A line of the object benchmark is ``type truncated occluded alpha left top right bottom``, seven numbers in space and, in
results, a score; in tracking ``frame track`` stand before. Only the box in the image is read. Pixels count from 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from gpu_quality.annotations import Builder, ObjectColumns
from gpu_quality.annotations.columns import Floats
from gpu_quality.data.formats.label_files import Place, adopt_images, glance, lines_of, split_of, text_files
from gpu_quality.data.formats.number_lines import Lines, is_number, pieces, table
from gpu_quality.data.formats.sequences import MOST_FRAMES, Sequences, place, usable, whole
from gpu_quality.data.formats.stems import Stems
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader

IGNORED: Final = "DontCare"
_FOLDERS: Final = ("label_2", "label_02")
_FILES: Final = 2000


def looks_like_kitti(path: Path) -> bool:
    """Whether the path is a text file or a folder of text files of KITTI lines, or a folder above label_2 or label_02."""
    words = [line for folder in _label_folders(path) for line in glance(folder)]
    return bool(words) and all(_is_object(line) or _is_track(line) for line in words)


def _label_folders(path: Path) -> list[Path]:
    """The file or folder itself, or the folders of labels one or two levels below it."""
    if path.name in _FOLDERS or not path.is_dir():
        return [path]
    inner = [path, path / "training", path / "testing", *(path / name for name in ("train", "val", "test"))]
    found = [folder / name for folder in inner for name in _FOLDERS if (folder / name).is_dir()]
    return found or [path]


def _is_object(words: list[str]) -> bool:
    return len(words) in (15, 16) and not is_number(words[0]) and all(map(is_number, words[1:]))


def _is_track(words: list[str]) -> bool:
    return len(words) in (17, 18) and words[0].isdecimal() and is_number(words[1]) and _is_object(words[2:])


@dataclass(frozen=True, slots=True)
class _Form:
    """How lines of one benchmark are laid out: how many words, how many before the class, and what truncation is too much."""

    words: tuple[int, int]
    before: int
    most_truncated: float


_OBJECTS: Final = _Form((15, 16), 0, 0.5)
_TRACKS: Final = _Form((17, 18), 2, 0.0)


@reader("kitti", guess=looks_like_kitti)
def read(path: Path, builder: Builder, origin: str) -> None:
    """KITTI object or tracking labels, told apart by their lines: tracking lines start with frame and track.

    Regions of class DontCare are crowd regions and difficult; difficult alone is what lies beyond the benchmark's hardest
    level: occluded > 2, or truncated by more than half (in tracking: at all). A wrong line becomes an error row.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist", hint="give a folder of KITTI label files, or one file")
    folders = _label_folders(path)
    images = [(folder, folder.parent / folder.name.replace("label_", "image_")) for folder in folders]
    places = [Place(image, split_of(folder, path)) for folder, image in images if folder.name in _FOLDERS and image.is_dir()]
    adopt_images(builder, path if path.is_dir() and path not in folders else path.parent, places)
    builder.add_origin(origin)
    for folder in folders:
        files = text_files(folder, builder) if folder.is_dir() else iter([(folder.stem, folder)])
        if any(map(_is_track, glance(folder))):
            _read_tracks(files, builder, origin)
        else:
            _read_objects(files, builder, origin)


def _read_objects(files: Iterator[tuple[str, Path]], builder: Builder, origin: str) -> None:
    """Object labels: the name of a file is that of its image without extension."""
    stems = Stems(builder)
    for piece in pieces(files, _FILES):
        rows = stems.rows([name for name, _ in piece])
        if origin == "labels":
            builder.label_frames(rows, [None] * len(rows), [None] * len(rows))
        found = Lines()
        for file, row in zip(piece, rows.tolist(), strict=True):
            _read_file(_OBJECTS, file, row, found, builder)
        _hand_over(_OBJECTS, found, table(found.numbers(), 17), builder, origin)


def _read_tracks(files: Iterator[tuple[str, Path]], builder: Builder, origin: str) -> None:
    """Tracking labels: the name of a file is that of its sequence; every frame up to the last one named exists."""
    sequences = Sequences(builder, 0)
    for name, path in files:
        found = Lines()
        _read_file(_TRACKS, (name, path), -1, found, builder)
        numbers = table(found.numbers(), 17)
        frame = whole(numbers[:, 0])
        good = usable(frame, 0)
        for i in np.flatnonzero(~good & (found.numbers().count > 0)).tolist():
            found.problems[i] = f"frame {numbers[i, 0]:g} is no number of a frame from 0 to {MOST_FRAMES - 1:,}"
        count = int(frame[good].max(initial=-1)) + 1
        if origin == "labels":
            sequences.label(name, sorted({*range(count), *sequences.numbers(name)}))
        found.frame = place(frame, good, sequences.rows(name, range(count)))
        _hand_over(_TRACKS, found, numbers, builder, origin)


def _read_file(form: _Form, file: tuple[str, Path], row: int, found: Lines, builder: Builder) -> None:
    """Lines of one file."""
    before, name = form.before, f"{file[0]}.txt"
    for number, line in lines_of(file[1], name, builder):
        words = line.split()
        if len(words) in form.words:
            found.add(name, number, row, words[before], [*words[:before], *words[before + 1 :]])
        elif words:
            takes = " or ".join(map(str, form.words))
            found.refuse(name, number, row, f"the line has {len(words)} words; KITTI has {takes}")


def _hand_over(form: _Form, found: Lines, numbers: Floats, builder: Builder, origin: str) -> None:
    """Lines as objects; `numbers` are those of each line without its class."""
    if not len(found):
        return
    class_id = found.classes(lambda names: builder.name_classes(names).tolist())
    ignored = np.array([label == IGNORED for label in found.label], bool)
    truncated, occluded, _, *box = numbers[:, form.before : form.before + 7].T
    labels = origin == "labels"
    columns = ObjectColumns(
        np.array(found.frame, np.int64),
        class_id,
        np.column_stack(box),
        np.array(found.line, np.int64),
        source_id=found.sources(),
        score=None if labels else numbers[:, form.words[0] - 1],
        unscored=None if labels else found.numbers().count < form.words[1] - 1,
        track=np.maximum(whole(numbers[:, 1]), -1) if form is _TRACKS else None,
        crowd=ignored,
        difficult=ignored | (occluded > 2) | (truncated > form.most_truncated),
        file=found.file,
    )
    builder.add_objects(origin, found.file[0], columns, found.problems)
