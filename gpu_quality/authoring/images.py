"""The images of a store, one at a time: sizes without decoding, pixels when they are touched, None where there are none."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_quality.authoring.place import Place
from gpu_quality.config import Decode
from gpu_quality.data.decode import Decoded, pixels_of
from gpu_quality.data.picture import LazyImage
from gpu_quality.data.reading import Failure, Opened, open_row
from gpu_quality.data.sources import open_source
from gpu_quality.data.stored import DecodeSettings
from gpu_quality.errors import FrameError


class Images:
    """Reads frames with the settings of the run, so that a metric sees the pixels the built-in metrics saw."""

    def __init__(self, place: Place) -> None:
        store, self._root = place.store, place.root
        self._settings = _settings(store.identity.get("decode") or {})
        frames = store.frames(["frame", "uri", "size_bytes", "mtime_ns"])
        self.ids: list[str] = frames.column("frame").to_pylist()
        self.uris: list[str] = frames.column("uri").to_pylist()
        seen = zip(*(frames.column(name).to_pylist() for name in ("size_bytes", "mtime_ns")), strict=True)
        self._source = open_source(self._root, self.uris, [None if size < 0 else (size, time) for size, time in seen])
        self._width, self._height = _sizes(place)
        known = _failed(place)
        self._known = {row for row, frame in enumerate(self.ids) if frame in known} if known else set()
        self.broken: dict[int, FrameError] = {}
        """Frames found unreadable here, with the reason; those a run found before are in the store's errors already."""
        self.checked = False
        """Whether images are decoded before they are handed out, so that a broken one can be None."""
        self.surprised = False
        """Whether an image that was handed out turned out to be broken when it was touched."""
        self._held: Opened | None = None

    def size(self, row: int) -> tuple[int, int] | None:
        """Width and height in canonical pixels, as measured, as the labels say, or from the file; None if nobody knows."""
        if self._width[row] > 0 and self._height[row] > 0:
            return int(self._width[row]), int(self._height[row])
        try:
            found = self._opened(row)
        except FrameError as error:
            self._note(row, error)
            return None
        return found.width, found.height

    def image(self, row: int) -> LazyImage | None:
        """An image that decodes itself when touched; None where the frame has no readable image."""
        if self._nowhere(row) or row in self._known or row in self.broken:
            return None
        if not self.checked:
            return LazyImage(partial(self._touched, row))
        try:
            rgb = self._rgb(row)
        except FrameError as error:
            self._note(row, error)
            return None
        return LazyImage(_given(rgb))

    def _touched(self, row: int) -> NDArray[np.uint8]:
        """Decode for somebody who looks; from now on images are checked before they are handed out."""
        self.checked = True
        try:
            return self._rgb(row)
        except FrameError as error:
            self._note(row, error)
            self.surprised = True
            raise

    def _rgb(self, row: int) -> NDArray[np.uint8]:
        content = self._opened(row).take()
        self._held = None  # what was opened can be decoded once
        return content.rgb if isinstance(content, Decoded) else pixels_of(content, self._settings).rgb

    def _opened(self, row: int) -> Opened:
        if self._held is None or self._held.row != row:
            if self._nowhere(row):
                raise FrameError("missing", "nobody noted where the images lie", stage="open")
            found = open_row(self._source, row, self._settings)
            if isinstance(found, Failure):
                raise found.error
            self._held = found
        return self._held

    def out_of_reach(self, rows: Sequence[int]) -> int:
        """How many of these frames have no image that anybody could read now."""
        return sum(self._nowhere(row) for row in rows)

    def _nowhere(self, row: int) -> bool:
        """Whether a frame's uri means no place: labels without images, or images that were in memory."""
        return self._root is None and "://" not in self.uris[row]

    def _note(self, row: int, error: FrameError) -> None:
        if row not in self._known and not self._nowhere(row):
            self.broken.setdefault(row, error)


def _given(rgb: NDArray[np.uint8]) -> Callable[[], NDArray[np.uint8]]:
    return lambda: rgb


def _settings(decode: dict[str, Any]) -> DecodeSettings:
    """Decode settings as the store's question has them."""
    given = Decode(**decode)
    return DecodeSettings(
        max_megapixels=given.max_megapixels,
        max_bytes=given.max_mb * 1_000_000,
        max_scans=given.max_scans,
        exif=given.exif,
        float_range=given.float_range,
    )


def _sizes(place: Place) -> list[NDArray[np.float64]]:
    """Widths and heights of all frames: what a run measured, else what the labels say; NaN where neither is known."""
    measured = place.store.table("frame", ["width", "height"])
    claimed = place.store.frames(["width", "height"]).to_pandas()
    return [
        measured[name].astype("float64").fillna(claimed[name].astype("float64")).to_numpy(np.float64, na_value=np.nan)
        for name in ("width", "height")
    ]


def _failed(place: Place) -> set[str]:
    """Frames whose image a run could not read."""
    errors = place.store.errors()
    whole = errors["frame"].notna() & errors["object"].isna() & errors["metric"].isna() & (errors["stage"] != "annotate")
    return set(errors.loc[whole, "frame"])
