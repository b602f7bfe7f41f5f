"""COCO: an instances file as labels, a results list as predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from gpu_quality.annotations import Builder, ObjectColumns
from gpu_quality.annotations.columns import Bools, Ints, with_shape_boxes
from gpu_quality.data.formats.coco_columns import Records, columns_of
from gpu_quality.data.formats.folder import uri_of
from gpu_quality.data.formats.json_records import collector_paused, read_pieces
from gpu_quality.errors import UsageError
from gpu_quality.registry import reader

_LISTS: Final = ("images", "annotations", "categories")
_LONGEST_SIDE: Final = 2**31 - 1


def looks_like_coco(path: Path) -> bool:
    """Whether the file starts like JSON."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


@reader("coco", guess=looks_like_coco)
def read(path: Path, builder: Builder, origin: str) -> None:
    """COCO JSON: `images`, `annotations`, `categories` as labels; a list of results (box or mask, score) as predictions.

    Raises `UsageError` where the file as a whole is unusable; a record that breaks a rule becomes an error row.
    """
    try:
        with collector_paused():
            if origin == "labels":
                _read_labels(path, builder)
            else:
                _read_results(path, builder, origin)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="give the path of a COCO JSON file") from error


def _read_labels(path: Path, builder: Builder) -> None:
    images = _Images(path.name, builder)
    categories: list[Any] = []
    annotations: list[Records] = []
    seen = set()
    for piece in read_pieces(path):
        seen.add(piece.key)
        if piece.key == "":
            hint = "a list of results is given with --predictions NAME=FILE"
            raise UsageError(f"{path} holds a list at byte 0; labels are an object with {', '.join(_LISTS)}", hint=hint)
        if piece.key in _LISTS and piece.records is None:
            raise UsageError(f"{path}: the value of {piece.key!r} is no list")
        if piece.key == "images":
            images.add(piece.records or [], piece.first)
        elif piece.key == "annotations":
            annotations.append(columns_of(piece.records or [], piece.first))
        elif piece.key == "categories":
            categories += piece.records or []
    missing = [name for name in _LISTS if name not in seen]
    if missing:
        found = f"found {', '.join(sorted(map(repr, seen)))[:200]}" if seen else "it is empty"
        raise UsageError(f"{path} has no {' and no '.join(map(repr, missing))}: {found}", hint="is this a COCO instances file?")
    _add_categories(path.name, builder, categories)
    annotations.reverse()
    while annotations:
        _add_records("labels", path.name, builder, annotations.pop())


def _read_results(path: Path, builder: Builder, origin: str) -> None:
    if not builder.image_rows:
        hint = "pass the COCO file they belong to with --labels"
        raise UsageError(f"{path}: results name images and classes by ids that only a labels file explains", hint=hint)
    builder.add_origin(origin)
    for piece in read_pieces(path):
        if piece.key != "":
            hint = "an instances file is given with --labels FILE"
            raise UsageError(f"{path} holds an object at byte 0; predictions are a list of results", hint=hint)
        _add_records(origin, path.name, builder, columns_of(piece.records or [], piece.first))


class _Images:
    """Finds the frame of every image of a labels file.

    Where images were listed: the frame whose id is the file name, else the only one with that last part of its path, else a new
    frame that will be found missing. Without a list every image is a frame.
    """

    def __init__(self, file: str, builder: Builder) -> None:
        self.file, self.builder = file, builder
        self.by_last_part: dict[str, str | None] = {}
        self.claimed: dict[str, str] = {}
        for frame in builder.frame_rows:
            last = frame.rpartition("/")[2]
            self.by_last_part[last] = None if last in self.by_last_part else frame

    def add(self, records: Sequence[Any], first: int) -> None:
        """Frames for these records of the list of images."""
        builder, frames, ids, sizes = self.builder, [], [], []
        for place, record in enumerate(records, first):
            known = record if isinstance(record, dict) else {}
            image = known.get("id")
            if not isinstance(image, int | str):
                self.refuse(place, f"image has no usable id: {repr(record)[:80]}")
            elif image in builder.image_rows:
                self.refuse(place, f"image id {image!r} is there twice; the first one counts")
            else:
                builder.image_rows[image] = -1
                ids.append(image)
                frames.append(self.frame_of(known.get("file_name"), image))
                sizes.append((_side(known.get("width")), _side(known.get("height"))))
        rows = builder.add_frames(frames)
        builder.image_rows.update(zip(ids, rows.tolist(), strict=True))
        builder.label_frames(rows, [w for w, _ in sizes], [h for _, h in sizes])

    def refuse(self, place: int, detail: str) -> None:
        self.builder.add_error(self.file, detail, line=place)

    def frame_of(self, name: Any, image: int | str) -> str:
        """Id of the image's frame."""
        uri = uri_of(str(PurePosixPath(name))) if isinstance(name, str) and name else str(image)
        if not self.builder.images_listed:
            frame = uri if uri not in self.claimed else f"{uri}#{image}"
        elif uri in self.builder.frame_rows:
            frame = uri
        else:
            frame = self.by_last_part.get(uri.rpartition("/")[2]) or uri
            if self.claimed.get(frame, uri) != uri:
                frame = uri
        self.claimed[frame] = uri
        return frame


def _side(value: Any) -> int | None:
    """A width or height in pixels where it can be one."""
    return int(value) if type(value) in (int, float) and 1 <= value <= _LONGEST_SIDE else None


def _add_categories(file: str, builder: Builder, records: Sequence[Any]) -> None:
    """Classes in ascending order of their ids."""
    names: dict[int | str, str] = {}
    for place, record in enumerate(records):
        source = record.get("id") if isinstance(record, dict) else None
        if not isinstance(source, int | str):
            builder.add_error(file, f"category has no usable id: {repr(record)[:80]}", line=place)
        elif source in names:
            builder.add_error(file, f"category id {source!r} is there twice; the first one counts", line=place)
        else:
            names[source] = str(record.get("name", source))
    order = sorted(names, key=lambda source: (isinstance(source, str), source))
    rows = builder.add_classes([names[source] for source in order], [str(source) for source in order])
    builder.class_rows.update(zip(order, rows.tolist(), strict=True))


def _add_records(origin: str, file: str, builder: Builder, records: Records) -> None:
    frame = _look_up(records.image, builder.image_rows)
    class_id = _look_up(records.category, builder.class_rows)
    problems = dict.fromkeys(np.flatnonzero(~_shaped(records)).tolist(), "it has neither a bbox nor a segmentation")
    problems |= {i: _unknown("category_id", records.category[i], "categories") for i in np.flatnonzero(class_id < 0).tolist()}
    problems |= {i: _unknown("image_id", records.image[i], "images") for i in np.flatnonzero(frame < 0).tolist()}
    place = np.arange(len(records)) + records.first
    labels = origin == "labels"
    columns = ObjectColumns(
        frame,
        class_id,
        records.box,
        place,
        source_id=_sources(records) if labels else None,
        score=None if labels else records.score,
        unscored=None if labels else records.unscored,
        area=records.area if labels else records.extent,
        crowd=records.crowd if labels else None,
        outlines=records.outlines,
        masks=records.masks,
    )
    builder.add_objects(origin, file, with_shape_boxes(columns, ~records.boxed), problems | records.problems)


def _shaped(records: Records) -> Bools:
    """Which records have a box, rings or a mask."""
    shaped = records.boxed.copy()
    if records.outlines is not None:
        shaped |= np.diff(records.outlines.rings) > 0
    if records.masks is not None:
        shaped |= np.array([counts is not None for counts in records.masks.counts], bool)
    return shaped


def _unknown(key: str, value: Any, among: str) -> str:
    value = value.item() if isinstance(value, np.generic) else value
    return f"{key} {repr(value)[:80]} is not among the {among} of the labels" if value is not None else f"it has no {key}"


def _sources(records: Records) -> Ints | list[str]:
    """Annotation ids; a record without one is called by its place."""
    if isinstance(records.source, np.ndarray):
        return records.source
    return [f"record-{records.first + i}" if s is None else str(s) for i, s in enumerate(records.source)]


def _look_up(ids: Ints | list[Any], rows: Mapping[object, int]) -> Ints:
    """Rows of these ids, -1 where unknown; 7 and "7" mean the same where only one of them is there."""
    ids = ids.tolist() if isinstance(ids, np.ndarray) else ids
    try:
        found = np.fromiter((rows.get(i, -1) for i in ids), np.int64, len(ids))
    except TypeError:  # a list or an object as an id
        found = np.array([rows.get(i, -1) if isinstance(i, int | str) else -1 for i in ids], np.int64)
    for place in np.flatnonzero(found < 0):
        found[place] = rows.get(_other_form(ids[place]), -1)
    return found


def _other_form(value: Any) -> int | str | None:
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else None
    return str(value) if isinstance(value, int | float) else None
