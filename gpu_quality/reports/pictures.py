"""Thumbnails of the frames that a page shows: each read and decoded once, all together within a budget of bytes."""

import base64
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.errors import FrameError, GpuQualityError
from gpu_quality.reports.columns import Sheet
from gpu_quality.reports.shots import Shot

if TYPE_CHECKING:
    from gpu_quality.data.sources import Source
    from gpu_quality.data.stored import DecodeSettings

LARGEST: Final = 256
LADDER: Final = ((256, 80), (208, 78), (176, 75), (144, 72), (112, 70), (80, 65))
"""Longer side in pixels and JPEG quality, tried in turn until all pictures fit; 256 is sharp on dense screens too."""
MOST_PIXELS: Final = 2_000_000_000
"""Pixels decoded for one page: some twenty seconds on one core."""
_GONE: Final = "image not found"
_ELSEWHERE: Final = "in the other run, which is not there"


@dataclass(frozen=True, slots=True)
class Picture:
    """A thumbnail as JPEG bytes with its size, or the reason why there is none."""

    jpeg: bytes
    width: int
    height: int
    missing: str = ""

    @property
    def uri(self) -> str:
        """The thumbnail as a data URI."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")


def image_root(store: Path) -> Path | None:
    """The folder of images that a run noted; None for images given in memory or where nothing was noted."""
    try:
        root = json.loads((store / "logs" / "source.json").read_text(encoding="utf-8"))["root"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if root is None else Path(str(root))


def decode_settings(identity: dict[str, Any]) -> "DecodeSettings":
    """The settings a run decoded with, so that a thumbnail shows what was measured."""
    from gpu_quality.data.stored import DecodeSettings

    given = identity.get("decode") or {}
    values = {key: given[key] for key in ("max_megapixels", "max_scans", "exif") if key in given}
    if "max_mb" in given:
        values["max_bytes"] = int(given["max_mb"]) * 1_000_000
    if given.get("float_range"):
        values["float_range"] = tuple(given["float_range"])
    return DecodeSettings(**values)


class _Roll:
    """The images of one run."""

    def __init__(self, frames: Sheet, root: Path | None, settings: "DecodeSettings") -> None:
        self._frames, self._root, self._settings = frames, root, settings
        self._source: Source | None = None
        self._place: dict[int, int] = {}

    def sizes(self, rows: Sequence[int]) -> list[float]:
        """Pixels of some frames, 0 where nobody measured."""
        if not {"width", "height"} <= set(self._frames.columns):
            return [0.0] * len(rows)
        sizes = self._frames.values("width") * self._frames.values("height")
        return list(np.nan_to_num(sizes[list(rows)]).tolist())

    def open(self, rows: Sequence[int]) -> None:
        """Prepare to read the frames of these rows."""
        from gpu_quality.data.sources import open_source

        if self._root is None:
            return
        table = self._frames.table.iloc[list(rows)]
        seen = zip(table["size_bytes"].tolist(), table["mtime_ns"].tolist(), strict=True)
        expected = [None if size < 0 else (int(size), int(changed)) for size, changed in seen]
        self._source = open_source(self._root, [str(uri) for uri in table["uri"]], expected)
        self._place = {row: place for place, row in enumerate(rows)}

    def frame(self, row: int, shots: Sequence[Shot]) -> dict[Shot, "NDArray[np.uint8] | str"]:
        """The pixels of every shot of a frame, or why there are none."""
        from gpu_quality.data.decode import decode, image_of

        try:
            if self._source is None:
                raise FrameError("missing", "the image was given in memory")
            found = self._source.read(self._place[row], self._settings.max_bytes)
            rgb = (decode(found, self._settings) if isinstance(found, bytes) else image_of(found, self._settings)).rgb
        except FrameError as error:
            reason = _GONE if error.reason == "missing" else f"not shown: {error.reason.replace('_', ' ')}"
            return dict.fromkeys(shots, reason)
        except (GpuQualityError, MemoryError):
            return dict.fromkeys(shots, "not shown: internal")
        return {shot: _shown(rgb, shot) for shot in shots}


class Album:
    """Pictures of a store by what they show."""

    def __init__(self, frames: Sheet, root: Path | None, settings: "DecodeSettings") -> None:
        self._rolls = {False: _Roll(frames, root, settings)}
        self.pictures: dict[Shot, Picture] = {}

    def add(self, frames: Sheet, root: Path | None, settings: "DecodeSettings") -> None:
        """Take up the images of the run that this one was compared with."""
        self._rolls[True] = _Roll(frames, root, settings)

    def fill(self, shots: Iterable[Shot], budget: int) -> None:
        """Make the thumbnails of `shots`, the most important first; the last ones go where `budget` bytes do not hold all."""
        uses = Counter(shots)
        found = self._load(list(uses))
        for longest, quality in LADDER:
            encoded = {shot: _encode(rgb, longest, quality) for shot, rgb in found.items() if isinstance(rgb, np.ndarray)}
            if sum(_cost(encoded[shot]) * uses[shot] for shot in encoded) <= budget:
                break
        left = budget
        for shot in uses:
            rgb = found[shot]
            if isinstance(rgb, str):
                self.pictures[shot] = Picture(b"", 4, 3, rgb)
            elif _cost(encoded[shot]) * uses[shot] > left:
                self.pictures[shot] = Picture(b"", 4, 3, "left out: size limit")
            else:
                left -= _cost(encoded[shot]) * uses[shot]
                self.pictures[shot] = encoded[shot]

    @property
    def missing(self) -> int:
        """Pictures whose image could not be read."""
        return sum(1 for picture in self.pictures.values() if picture.missing)

    @property
    def gone(self) -> bool:
        """Whether no image at all could be read."""
        return bool(self.pictures) and self.missing == len(self.pictures)

    def _load(self, shots: Sequence[Shot]) -> dict[Shot, "NDArray[np.uint8] | str"]:
        """Pixels of every shot at the largest size, or why there are none; frames are decoded in parallel, each once."""
        by_frame: dict[tuple[bool, int], list[Shot]] = {}
        for shot in shots:
            if shot.other in self._rolls:
                by_frame.setdefault((shot.other, shot.row), []).append(shot)
        places = self._affordable(list(by_frame))
        for which, roll in self._rolls.items():
            roll.open([row for other, row in places if other == which])
        result: dict[Shot, NDArray[np.uint8] | str] = {
            shot: "left out: time limit" if shot.other in self._rolls else _ELSEWHERE for shot in shots
        }
        threads = min(8, len(os.sched_getaffinity(0)))
        with ThreadPoolExecutor(threads) as pool:
            for found in pool.map(lambda place: self._rolls[place[0]].frame(place[1], by_frame[place]), places):
                result.update(found)
        return result

    def _affordable(self, places: list[tuple[bool, int]]) -> list[tuple[bool, int]]:
        """The first frames whose pixels add up to what one page may decode."""
        pixels = dict.fromkeys(places, 0.0)
        for which, roll in self._rolls.items():
            mine = [place for place in places if place[0] == which]
            pixels.update(zip(mine, roll.sizes([row for _, row in mine]), strict=True))
        total = np.cumsum(list(pixels.values()))
        return [place for place, sum_ in zip(places, total.tolist(), strict=True) if sum_ <= MOST_PIXELS]


def _cost(picture: Picture) -> int:
    """Bytes of a picture inside the page, with its tag and the words for those who do not see it."""
    return len(picture.jpeg) * 4 // 3 + 320


def _encode(rgb: NDArray[np.uint8], longest: int, quality: int) -> Picture:
    from gpu_quality.data.thumbnail import thumbnail

    height, width = rgb.shape[:2]
    scale = min(1.0, longest / max(height, width))
    return Picture(thumbnail(rgb, longest, quality), max(1, round(width * scale)), max(1, round(height * scale)))


def _shown(rgb: NDArray[np.uint8], shot: Shot) -> NDArray[np.uint8]:
    """The pixels of a picture at the largest size."""
    from gpu_quality.data.thumbnail import cut_out, shrink

    if not shot.marks:
        return shrink(rgb, LARGEST)
    return cut_out(rgb, shot.window(rgb.shape[1], rgb.shape[0]), shot.marks, LARGEST)
