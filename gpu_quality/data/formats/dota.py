"""DOTA: turned boxes by four corners in pixels, a text file per image; results in a text file per class."""

from pathlib import Path
from typing import Final

import numpy as np

from gpu_quality.annotations import Builder, ObjectColumns
from gpu_quality.annotations.columns import Bools, Floats, Ints, with_shape_boxes
from gpu_quality.data.formats.label_files import Place, adopt_images, glance, lines_of, split_of, text_files
from gpu_quality.data.formats.number_lines import Lines, is_number, pieces, table
from gpu_quality.data.formats.quads import angles
from gpu_quality.data.formats.stems import Stems
from gpu_quality.errors import UsageError
from gpu_quality.geometry.polygons import Outlines, offsets
from gpu_quality.registry import reader

_HEADS: Final = ("imagesource:", "gsd:")
"""What the lines above the objects start with."""
_RESULTS: Final = ("Task1_", "Task2_")
_FILES: Final = 2000
_ENOUGH: Final = 200_000
"""Lines of results that become columns at a time."""


def looks_like_dota(path: Path) -> bool:
    """Whether the path is a text file or folder of text files of DOTA labels or results, or a folder above labelTxt."""
    words = [line for folder in _label_folders(path) for line in glance(folder)]
    words = [line for line in words if not line[0].lower().startswith(_HEADS)]
    result = all(_is_result(path, line) for line in words)
    return bool(words) and (result or all(map(_is_label, words)))


def _is_label(words: list[str]) -> bool:
    return len(words) in (9, 10) and all(map(is_number, words[:8])) and not is_number(words[8])


def _is_result(path: Path, words: list[str]) -> bool:
    """Whether words are an image, a score and corners, in a place that has a name of results."""
    named = path.name.startswith(_RESULTS) or (path.is_dir() and any(path.glob("Task[12]_*.txt")))
    return named and len(words) in (6, 10) and all(map(is_number, words[1:]))


def _label_folders(path: Path) -> list[Path]:
    """The file or folder itself, or the folders called labelTxt… at most three levels below it that hold text files."""
    if not path.is_dir():
        return [path]
    found = {folder for depth in ("", "*/", "*/*/") for folder in path.glob(f"{depth}labelTxt*") if any(folder.glob("*.txt"))}
    return sorted(found) or [path]


@reader("dota", guess=looks_like_dota)
def read(path: Path, builder: Builder, origin: str) -> None:
    """DOTA labels (``x1 y1 … x4 y4 class difficult``) and results (Task1_<class>.txt, Task2_<class>.txt).

    Four corners that are a rectangle within a pixel become a rotated box, others a polygon. A wrong line becomes an error row.
    """
    if not path.exists():
        raise UsageError(f"{path} does not exist", hint="give a labelTxt folder, or a folder of Task1_<class>.txt")
    builder.add_origin(origin)
    if path.name.startswith(_RESULTS) or (path.is_dir() and any(path.glob("Task[12]_*.txt"))):
        _read_results(path, builder, origin)
        return
    folders = _label_folders(path)
    places = [Place(p, split_of(folder, path)) for folder in folders if (p := _images_of(folder)) is not None]
    adopt_images(builder, path if path.is_dir() and path not in folders else path.parent, places)
    stems = Stems(builder)
    for folder in folders:
        files = text_files(folder, builder) if folder.is_dir() else iter([(folder.stem, folder)])
        for piece in pieces(files, _FILES):
            _read_labels(piece, builder, stems, origin)


def _images_of(folder: Path) -> Path | None:
    """The folder called images beside a folder of labels, or beside the one above it."""
    tries = [folder.parent / "images", folder.parent.parent / "images"] if folder.is_dir() else []
    return next((p for p in tries if p.is_dir()), None)


def _read_labels(files: list[tuple[str, Path]], builder: Builder, stems: Stems, origin: str) -> None:
    rows = stems.rows([name for name, _ in files])
    if origin == "labels":
        builder.label_frames(rows, [None] * len(rows), [None] * len(rows))
    found = Lines()
    for (name, path), row in zip(files, rows.tolist(), strict=True):
        for number, line in lines_of(path, f"{name}.txt", builder):
            words = line.split()
            if not words or words[0].lower().startswith(_HEADS):
                continue
            if len(words) in (9, 10):
                found.add(f"{name}.txt", number, row, words[8], words[:8] + words[9:])
            else:
                found.refuse(
                    f"{name}.txt", number, row, f"the line has {len(words)} words; DOTA has 10: 8 numbers, class, difficult"
                )
    if len(found):
        numbers = table(found.numbers(), 9)
        columns = _quads(found, _class_rows(found, builder), numbers[:, :8], None, numbers[:, 8] > 0)
        builder.add_objects(origin, found.file[0], columns, found.problems)


def _read_results(path: Path, builder: Builder, origin: str) -> None:
    stems = Stems(builder)
    files = sorted(path.glob("Task[12]_*.txt")) if path.is_dir() else [path]
    for file in files:
        name = file.stem.partition("_")[2]
        for piece in pieces(lines_of(file, file.name, builder), _ENOUGH):
            _add_results(file.name, name, piece, builder, stems, origin)


def _add_results(file: str, name: str, piece: list[tuple[int, str]], builder: Builder, stems: Stems, origin: str) -> None:
    found = Lines()
    images: list[str] = []
    for number, line in piece:
        words = line.split()
        if len(words) in (6, 10):
            images.append(words[0])
            found.add(file, number, -1, name, words[1:])
        elif words:
            images.append("")
            found.refuse(file, number, -1, f"the line has {len(words)} words; results have 10: image, score, 8 numbers")
    known = sorted({image for image in images if image})
    rows = dict(zip(known, stems.rows(known).tolist(), strict=True)) | {"": -1}
    found.frame = [rows[image] for image in images]
    numbers = table(found.numbers(), 9)
    if len(found):
        columns = _quads(found, _class_rows(found, builder), numbers[:, 1:], numbers[:, 0], None)
        builder.add_objects(origin, file, columns, found.problems)


def _class_rows(found: Lines, builder: Builder) -> Ints:
    return found.classes(lambda names: builder.name_classes(names).tolist())


def _quads(found: Lines, class_id: Ints, corners: Floats, score: Floats | None, difficult: Bools | None) -> ObjectColumns:
    """Objects of four corners each, or of an upright box where a line has two."""
    turned = found.numbers().count >= 8
    return with_shape_boxes(
        ObjectColumns(
            np.array(found.frame, np.int64),
            class_id,
            np.where(turned[:, None], np.nan, corners[:, :4]),
            np.array(found.line, np.int64),
            source_id=found.sources(),
            score=score,
            difficult=difficult,
            angle=np.where(turned, angles(corners.reshape(-1, 4, 2)), np.nan),
            outlines=Outlines(offsets(turned.astype(np.int64)), offsets(np.full(turned.sum(), 8)), corners[turned].reshape(-1)),
            file=found.file,
        ),
        turned,
    )
