"""Samples of an archive as WebDataset writes them: members that share a key, of which images are frames."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from gpu_quality.annotations import AnswerColumns, Builder
from gpu_quality.data.containers import opened
from gpu_quality.data.tar import index_of, read_at
from gpu_quality.data.uris import extension_of, file_uri, part_uri, uri_of
from gpu_quality.errors import FrameError

CLASS: Final = "class"
"""The question that the class of a whole frame answers."""
_CLASS_BYTES: Final = 4096
"""Most bytes of a member that names a class."""


def add_archive(builder: Builder, archive_name: str, path: str, images: frozenset[str], split: str | None) -> Counter[str]:
    """Images of an archive as frames, and the classes that ``.cls`` members give to the images of the same key.

    Returns how many other members there are, by extension. Raises `FrameError` where not even a first member can be read.
    """
    file, others = file_uri(archive_name), Counter[str]()
    with opened(path) as (archive, found):
        index = index_of(archive, found.st_size)
        if not index.members and index.problems and not index.problems[0][0]:
            raise FrameError(*index.problems[0][1:], stage="list")
        names = [name for name in index.members if extension_of(name) in images]
        ids = [part_uri(archive_name, name) for name in names]
        sizes = [index.members[name][1] for name in names]
        rows = builder.add_frames(ids, size_bytes=sizes, mtime_ns=[found.st_mtime_ns] * len(ids), split=[split] * len(ids))
        by_key: dict[str, list[int]] = {}
        for name, row in zip(names, rows.tolist(), strict=True):
            by_key.setdefault(_key(name), []).append(row)
        classes: list[tuple[int, str, int]] = []
        for place, (name, (offset, size)) in enumerate(index.members.items()):
            if extension_of(name) == ".cls":
                text = read_at(archive, offset, min(size, _CLASS_BYTES)).decode("utf-8", "replace").strip()
                if size > _CLASS_BYTES or not text or not by_key.get(_key(name)):
                    detail = f"member {uri_of(name)!r} names no class of an image: {text[:40]!r}"
                    builder.add_error(file, detail, reason="orphan_image_id" if text else "bad_annotation", line=place)
                    continue
                classes += [(row, text, place) for row in by_key[_key(name)]]
            elif extension_of(name) not in images:
                others[extension_of(name)] += 1
    for name, reason, detail in index.problems:
        told = f"{detail} (member {uri_of(name)!r})" if name else detail
        builder.add_error(file, told, stage="list", reason=reason, frame=part_uri(archive_name, name) if name else None)
        if not name:
            builder.notes.append(f"{archive_name}: members after the first {len(index.members):,} are not listed: {detail}")
    add_classes(builder, file, classes)
    return others


def add_classes(builder: Builder, file: str, classes: Sequence[tuple[int, str, int]]) -> None:
    """Answers to the question "class"; numbers come first among the names, in their order."""
    builder.name_classes(sorted({text for _, text, _ in classes}, key=_numbers_first))
    rows = np.array([row for row, _, _ in classes], np.int64)
    class_id = builder.name_classes([text for _, text, _ in classes])
    record = np.array([place for _, _, place in classes], np.int64)
    builder.label_frames(rows, [None] * len(rows), [None] * len(rows))
    if len(rows):
        builder.add_answers("labels", file, AnswerColumns(rows, [CLASS] * len(rows), class_id, record))


def _numbers_first(text: str) -> tuple[bool, int, str]:
    number = text.isascii() and text.isdecimal() and len(text) < 19
    return not number, int(text) if number else 0, text


def _key(name: str) -> str:
    """What the members of one sample have in common: the path up to the first dot of its last part."""
    folder, sign, last = name.rpartition("/")
    return folder + sign + last.partition(".")[0]
