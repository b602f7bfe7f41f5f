"""Frames of videos that label files know by number: which image, or which new frame, number 17 of a sequence is."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

import numpy as np

from gpu_quality.annotations import Builder
from gpu_quality.annotations.columns import Bools, Floats, Ints

MOST_FRAMES: Final = 1_000_000
"""Frames of one sequence that labels may ask for: every one up to the last labelled exists, so a wrong number costs memory."""
_DIGITS: Final = re.compile(r"(\d{1,12})$")


class Sequences:
    """Finds the frames of numbered sequences.

    Where images were listed: those below a folder with the sequence's name whose stem ends in the number; where no folder has
    that name and the images are those of one folder, the images of that folder. Else the frame ``sequence/000017``.
    """

    def __init__(self, builder: Builder, first: int) -> None:
        self.builder, self.first = builder, first
        self.images: dict[str, dict[int, str]] = {}
        self.folders: set[str] = set()
        for frame in builder.frame_rows if builder.images_listed else ():
            path = PurePosixPath(frame)
            number = _DIGITS.search(path.stem)
            self.folders.add(str(path.parent))
            for folder in path.parts[:-1] if number else ():
                self.images.setdefault(folder, {}).setdefault(int(number[1]) if number else 0, frame)
            if number:
                self.images.setdefault("", {}).setdefault(int(number[1]), frame)

    def known(self) -> set[str]:
        """Sequences of the labels."""
        return {key[0] for key in self.builder.image_rows if isinstance(key, tuple)}

    def numbers(self, sequence: str) -> Iterable[int]:
        """Numbers of the listed images of a sequence."""
        return self._of(sequence).keys()

    def rows(self, sequence: str, numbers: Iterable[int], rate: float = 0.0) -> Ints:
        """Rows of these frames of a sequence, placed in it; `rate` is frames per second, 0 = unknown."""
        wanted = list(numbers)
        images = self._of(sequence)
        rows = self.builder.add_frames([images.get(number) or f"{sequence}/{number:06d}" for number in wanted])
        places = [number - self.first for number in wanted]
        self.builder.place_frames(rows, sequence=[sequence] * len(wanted), position=places)
        if rate:
            self.builder.place_frames(rows, seconds=[place / rate for place in places])
        return rows

    def label(
        self, sequence: str, numbers: Iterable[int], rate: float = 0.0, size: tuple[int | None, int | None] = (None, None)
    ) -> None:
        """Say that the labels know these frames of a sequence, and claim a size for them."""
        wanted = list(numbers)
        rows = self.rows(sequence, wanted, rate)
        self.builder.label_frames(rows, [size[0]] * len(rows), [size[1]] * len(rows))
        self.builder.image_rows.update(zip(((sequence, number) for number in wanted), rows.tolist(), strict=True))

    def _of(self, sequence: str) -> dict[int, str]:
        alone = self.images.get("", {}) if len(self.folders) == 1 else {}
        return self.images.get(sequence) or alone


def whole(values: Floats) -> Ints:
    """The values as whole numbers, the lowest one there is for those that are none."""
    fits = np.isfinite(values) & (np.abs(values) < 2**53) & (values == np.round(values))
    return np.where(fits, np.where(fits, values, 0).astype(np.int64), np.iinfo(np.int64).min)


def usable(numbers: Ints, first: int) -> Bools:
    """Which numbers of frames can be of a sequence that starts at `first`."""
    return np.asarray((numbers >= first) & (numbers < first + MOST_FRAMES))


def place(numbers: Ints, good: Bools, rows: Ints, first: int = 0) -> list[int]:
    """Rows of the frames with these numbers, -1 for those that are not `good`; ``rows[0]`` is frame `first`."""
    out = np.full(len(numbers), -1)
    out[good] = rows[numbers[good] - first]
    return out.tolist()
