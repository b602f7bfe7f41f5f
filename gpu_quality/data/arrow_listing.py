"""Rows of table files as frames, with the labels that stand beside the images."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gpu_quality.annotations import Builder
from gpu_quality.data.arrow_images import ImageTable, batches_from, holds_paths, image_column, open_table
from gpu_quality.data.arrow_labels import LabelReader, labels_of
from gpu_quality.data.containers import opened
from gpu_quality.data.uris import file_uri, padded, part_uri, uri_of
from gpu_quality.errors import DecodeError, UsageError

_ROWS: Final = 1 << 16
"""Rows whose labels are read together."""


def add_table(builder: Builder, root: Path, name: str, path: str, split: str | None, asked: str | None) -> None:
    """Every row of a table file as a frame; images are not read, but a column of paths makes each file a frame of its own.

    Raises `UsageError` where it is unclear which column is meant, `FrameError` for what is no table.
    """
    with opened(path) as (_, found):
        table = open_table(path)
    try:
        column = image_column(table.schema, asked)
    except UsageError as error:
        raise UsageError(f"{name}: {error}", hint=error.hint) from None
    labels = labels_of(table.schema, column)
    reader = LabelReader(builder, file_uri(name), labels)
    suffix = f":{uri_of(column)}" if asked else ""
    by_path = holds_paths(table.schema, column)
    try:
        if by_path:
            at = 0
            for batch in batches_from(table, [column, *labels.columns], 0, _ROWS):
                rows = add_paths(builder, root, os.path.dirname(path), batch.column(0).to_pylist(), file_uri(name), at)  # noqa: PTH120
                _place(builder, rows, split)
                reader.add(rows[rows >= 0], batch.filter(pa.array(rows >= 0)), at)
                at += batch.num_rows
        else:
            ids = [part_uri(name, padded(i, table.rows)) for i in range(table.rows)]
            size, time = [found.st_size] * len(ids), [found.st_mtime_ns] * len(ids)
            rows = builder.add_frames(ids, uris=[frame + suffix for frame in ids], size_bytes=size, mtime_ns=time)
            _place(builder, rows, split)
            _add_labels(reader, rows, table)
    except (pa.ArrowException, OSError) as error:
        raise DecodeError("decode_error", f"the table is damaged: {str(error)[:200]}", stage="list") from None
    said = []
    if labels.others:
        said.append(f"columns of tables that are neither images nor labels: {', '.join(labels.others)[:300]}")
    if labels.objects:
        said.append(f"boxes in {labels.objects!r} are taken for x, y, width, height in pixels, as in COCO")
    builder.notes.extend(note for note in said if note not in builder.notes)


def add_paths(
    builder: Builder, root: Path, folder: str, paths: Sequence[str | None], file: str, first: int
) -> NDArray[np.int64]:
    """Frames of files named by their paths, absolute or relative to `folder`; -1 for a row without a path.

    A file outside `root` is listed and will be refused when it is read; one that is missing will be found missing.
    """
    base = os.path.realpath(root)
    names: list[str] = []
    facts: list[tuple[int, int]] = []
    held = np.array([path is not None and path != "" for path in paths], bool)
    for place, path in enumerate(paths):
        if not held[place]:
            builder.add_error(file, "the row names no image", stage="list", reason="missing", line=first + place)
            continue
        full = os.path.normpath(os.path.join(folder, str(path)))  # noqa: PTH118
        names.append(file_uri(os.path.relpath(full, base).replace(os.sep, "/")))
        facts.append(_seen(full))
    rows = np.full(len(paths), -1, np.int64)
    known = len(builder.frame_rows)
    rows[held] = builder.add_frames(names, size_bytes=[size for size, _ in facts], mtime_ns=[time for _, time in facts])
    again = len(names) - (len(builder.frame_rows) - known)
    if again:
        builder.notes.append(f"{file}: {again:,} rows name an image that was named before")
    return rows


def _seen(path: str) -> tuple[int, int]:
    """Size and modification time of a file, -1 where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return -1, -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1, found.st_mtime_ns


def _place(builder: Builder, rows: NDArray[np.int64], split: str | None) -> None:
    if split is not None:
        builder.place_frames(rows[rows >= 0], split=[split] * int((rows >= 0).sum()))


def _add_labels(reader: LabelReader, rows: NDArray[np.int64], table: ImageTable) -> None:
    columns = reader.labels.columns
    at = 0
    for batch in batches_from(table, columns, 0, _ROWS) if columns else ():
        reader.add(rows[at : at + batch.num_rows], batch, at)
        at += batch.num_rows
