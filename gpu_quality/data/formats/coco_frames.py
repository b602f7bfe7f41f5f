"""Images, videos and categories of a COCO file, and the frames and classes they are."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np

from gpu_quality.annotations import Builder
from gpu_quality.annotations.columns import Ints
from gpu_quality.data.formats.coco_shapes import number, side
from gpu_quality.data.formats.finding import Finder
from gpu_quality.data.formats.folder import uri_of

_PLAIN: Final = 1 << 31
_POSITIONS: Final = ("frame_id", "frame_index", "frame_num", "mot_frame_id")


class Images:
    """Finds the frame of every image of a labels file.

    Where images were listed: the frame whose id is the file name, else the only one with that last part of its path, else a new
    frame that will be found missing. Without a list every image is a frame.
    """

    def __init__(self, file: str, builder: Builder, *, labels: bool = True) -> None:
        self.file, self.builder, self.finder, self.labels = file, builder, Finder(builder), labels
        self.rows = builder.image_rows if labels else dict[object, int]()
        """Frame rows by image id; those of the labels explain the results of other files."""
        self.claimed: dict[str, str] = {}
        self.videos: dict[int | str, str] = {}
        self.shots: list[tuple[int, int | str, int | None]] = []
        """Row, video and position of the images that belong to a video; None where the file tells no position."""

    def add(self, records: Sequence[Any], first: int) -> None:
        """Frames for these records of the list of images."""
        builder, frames, ids, good = self.builder, [], [], []
        names = (record.get("file_name") for record in records if isinstance(record, dict))
        self.finder.claim([name for name in names if isinstance(name, str)])
        for place, record in enumerate(records, first):
            known = record if isinstance(record, dict) else {}
            image = known.get("id")
            if not isinstance(image, int | str):
                self.refuse(place, f"image has no usable id: {repr(record)[:80]}")
            elif image in self.rows:
                self.refuse(place, f"image id {image!r} is there twice; the first one counts", "duplicate_image_id")
            else:
                self.rows[image] = -1
                ids.append(image)
                frames.append(self.frame_of(known.get("file_name"), image))
                good.append((place, known))
        rows = builder.add_frames(frames)
        self.rows.update(zip(ids, rows.tolist(), strict=True))
        sizes = [self.size_of(known, place) for place, known in good]
        if self.labels:
            builder.label_frames(rows, [w for w, _ in sizes], [h for _, h in sizes])
        for row, (_, known) in zip(rows.tolist(), good, strict=True):
            video = known.get("video_id", known.get("video_title"))
            if isinstance(video, int | str):
                told = (known.get(key) for key in _POSITIONS)
                self.shots.append((row, video, next((p for p in told if type(p) is int and abs(p) < 1 << 63), None)))

    def refuse(self, place: int, detail: str, reason: str = "bad_annotation") -> None:
        """An error row for one image."""
        self.builder.add_error(self.file, detail, line=place, reason=reason)

    def frame_of(self, name: Any, image: int | str) -> str:
        """Id of the image's frame."""
        uri = uri_of(str(PurePosixPath(name))) if isinstance(name, str) and name else str(image)
        if not self.builder.images_listed:
            frame = uri if uri not in self.claimed else f"{uri}#{image}"
        else:
            frame = self.finder.frame(uri) if isinstance(name, str) and name else uri
            if self.claimed.get(frame, uri) != uri:
                frame = uri
        self.claimed[frame] = uri
        return frame

    def size_of(self, record: dict[str, Any], place: int) -> tuple[int | None, int | None]:
        """Width and height where they can be some."""
        width, height = record.get("width"), record.get("height")
        if type(width) is int and type(height) is int and 0 < width < _PLAIN > height > 0:
            return width, height
        for key in ("width", "height"):
            value = record.get(key)
            if number(value) <= 0:
                self.refuse(place, f"image {record.get('id')!r} has {key} {value}", "zero_dimensions")
                break
            if value is not None and side(value) is None:
                self.refuse(place, f"image {record.get('id')!r} has {key} {repr(value)[:80]}, which is no number of pixels")
                break
        return side(width), side(height)

    def add_videos(self, records: Sequence[Any], first: int) -> None:
        """Names of videos; one that names its files brings its frames too, whose image ids are (video, frame)."""
        for place, record in enumerate(records, first):
            video = record.get("id") if isinstance(record, dict) else None
            if not isinstance(video, int | str):
                self.refuse(place, f"video has no usable id: {repr(record)[:80]}")
                continue
            self.videos.setdefault(video, str(record.get("name") or record.get("file_name") or video))
            files = record.get("file_names")
            names = [name for name in files if isinstance(name, str) and name] if isinstance(files, list) else []
            rows = self.builder.add_frames([self.frame_of(name, f"{video}/{i}") for i, name in enumerate(names)])
            width, height = self.size_of(record, place)
            if self.labels:
                self.builder.label_frames(rows, [width] * len(rows), [height] * len(rows))
            for i, row in enumerate(rows.tolist()):
                self.rows[video, i] = row
                self.shots.append((row, video, i))

    def place(self) -> None:
        """Put the frames of videos into their sequences; without a position they follow one another as in the file."""
        count: dict[int | str, int] = {}
        sequence, position = [], []
        for _, video, told in self.shots:
            count[video] = place = count.get(video, -1) + 1
            sequence.append(self.videos.get(video, str(video)))
            position.append(place if told is None else told)
        rows = np.array([row for row, _, _ in self.shots], np.int64)
        self.builder.place_frames(rows, sequence=sequence, position=position)


def add_categories(
    file: str, builder: Builder, records: Sequence[Any], *, labels: bool = True
) -> tuple[dict[object, int], dict[int, int]]:
    """Classes in ascending order of their ids, those of a prediction set by their names.

    Returns their rows by id, and by row how many keypoints the classes have that name some.
    """
    names: dict[int | str, str] = {}
    keypoints: dict[int | str, int] = {}
    for place, record in enumerate(records):
        source = record.get("id") if isinstance(record, dict) else None
        if not isinstance(source, int | str):
            builder.add_error(file, f"category has no usable id: {repr(record)[:80]}", line=place)
        elif source in names:
            text = f"category id {source!r} is there twice; the first one counts"
            builder.add_error(file, text, line=place, reason="duplicate_category_id")
        else:
            names[source] = str(record.get("name", source))
            if isinstance(record.get("keypoints"), list):
                keypoints[source] = len(record["keypoints"])
    order = sorted(names, key=lambda source: (isinstance(source, str), source))
    called = [names[source] for source in order]
    rows = builder.add_classes(called, [str(source) for source in order]) if labels else builder.name_classes(called)
    found: dict[object, int] = dict(zip(order, rows.tolist(), strict=True))
    if labels:
        builder.class_rows.update(found)
    if keypoints:
        builder.notes.append(f"{file}: names and skeletons of the keypoints of {len(keypoints)} categories are not kept")
    return found, {found[source]: count for source, count in keypoints.items() if count}


def look_up(ids: Ints | list[Any], rows: Mapping[object, int]) -> Ints:
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
