"""Plain text files of boxes, one per image: ``class [confidence] a b c d`` with names or numbers of classes.

Nothing in such a file says what the four numbers are, so each reading has a format name of its own and none is ever guessed:
``boxes_xyxy`` (left top right bottom), ``boxes_xywh`` (left top width height), ``boxes_cxcywh`` (center and size relative to
the image). The confidence, which predictions have, stands before the numbers.
"""

from pathlib import Path
from typing import Final

import numpy as np

from gpu_quality.annotations import Builder, ObjectColumns
from gpu_quality.annotations.columns import Floats
from gpu_quality.data.formats.label_files import lines_of, text_files
from gpu_quality.data.formats.measure import measure
from gpu_quality.data.formats.number_lines import Lines, pieces, table
from gpu_quality.data.formats.stems import Stems
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader

_FILES: Final = 2000


def never(_: Path) -> bool:
    """No file is guessed to be of these formats: xyxy and xywh look the same."""
    return False


@reader("boxes_xyxy", guess=never)
def read_xyxy(path: Path, builder: Builder, origin: str) -> None:
    """A folder of text files, ``class [confidence] left top right bottom`` in pixels."""
    _read("xyxy", path, builder, origin)


@reader("boxes_xywh", guess=never)
def read_xywh(path: Path, builder: Builder, origin: str) -> None:
    """A folder of text files, ``class [confidence] left top width height`` in pixels."""
    _read("xywh", path, builder, origin)


@reader("boxes_cxcywh", guess=never)
def read_cxcywh(path: Path, builder: Builder, origin: str) -> None:
    """A folder of text files, ``class [confidence] x y width height``: center and size relative to the image."""
    _read("cxcywh", path, builder, origin)


def _read(form: str, path: Path, builder: Builder, origin: str) -> None:
    if not path.is_dir():
        raise UsageError(f"{path} is no folder", hint="give a folder with one text file per image")
    builder.add_origin(origin)
    stems = Stems(builder)
    for piece in pieces(text_files(path, builder), _FILES):
        rows = stems.rows([name for name, _ in piece])
        if origin == "labels":
            builder.label_frames(rows, [None] * len(rows), [None] * len(rows))
        found = Lines()
        for (name, file), row in zip(piece, rows.tolist(), strict=True):
            for number, line in lines_of(file, f"{name}.txt", builder):
                words = line.split()
                if len(words) in (5, 6):
                    found.add(f"{name}.txt", number, row, words[0], [*words[-4:], *words[1:-4]])
                elif words:
                    text = f"the line has {len(words)} words; it takes class, perhaps confidence, and 4 numbers"
                    found.refuse(f"{name}.txt", number, row, text)
        if len(found):
            _hand_over(form, found, path, builder, origin)


def _hand_over(form: str, found: Lines, path: Path, builder: Builder, origin: str) -> None:
    numbers = table(found.numbers(), 5)
    frames = np.array(found.frame, np.int64)
    a, b, c, d, score = numbers.T
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused later
        if form == "xywh":
            numbers = np.column_stack([a, b, a + c, b + d])
        elif form == "cxcywh":
            numbers = np.column_stack([a - c / 2, b - d / 2, a + c / 2, b + d / 2]) * _sizes(found, frames, path, builder)
    labels = origin == "labels"
    columns = ObjectColumns(
        frames,
        found.classes(lambda names: _class_rows(builder, names)),
        numbers[:, :4],
        np.array(found.line, np.int64),
        source_id=found.sources(),
        score=None if labels else score,
        unscored=None if labels else np.isnan(score) & (found.numbers().count < 5),
        file=found.file,
    )
    builder.add_objects(origin, path.name, columns, found.problems)


def _class_rows(builder: Builder, words: list[str]) -> list[int]:
    """Rows of classes by name; a number is the id of a class of the labels where there is one."""
    known = {str(source): row for source, row in builder.class_rows.items()}
    fresh = [word for word in words if word not in known]
    known |= zip(fresh, builder.name_classes(fresh).tolist(), strict=True)
    return [known[word] for word in words]


def _sizes(found: Lines, frames: np.ndarray, path: Path, builder: Builder) -> Floats:
    """Width, height, width, height of each line's image, NaN and a problem where they are unknown."""
    measure(builder, frames)
    width, height = (np.where(side > 0, side, np.nan) for side in builder.frame_sizes(frames))
    if builder.root is None and np.isnan(width).all():
        hint = "give the images too: gpu-quality run IMAGES --labels LABELS"
        raise UsageError(f"{path}: coordinates are relative to the sizes of images, and none is known", hint=hint)
    for i in np.flatnonzero(np.isnan(width + height)).tolist():
        found.problems.setdefault(i, "the size of its image is not known, and its coordinates are relative to it")
    return np.column_stack([width, height, width, height])
