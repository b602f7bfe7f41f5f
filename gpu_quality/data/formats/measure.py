"""How large frames are, from the headers of their images: label files with relative coordinates need to know."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.annotations import Builder
from gpu_quality.data.decode import DecodeSettings, header_of
from gpu_quality.data.formats.folder import path_of
from gpu_quality.errors import FrameError

HEADER: Final = 1 << 17
"""Bytes read first: in nearly all files the size stands within them."""


def measure(builder: Builder, rows: NDArray[np.int64]) -> None:
    """Fill in the sizes of the given frames that nobody told, EXIF orientation applied, as `Builder.frame_sizes` gives them.

    Frames whose image is missing or cannot be understood keep an unknown size. Does nothing where no folder of images is known.
    """
    wanted = np.unique(rows[rows >= 0])
    width, height = builder.frame_sizes(wanted)
    unknown = wanted[(width < 1) | (height < 1)]
    root = builder.root
    if root is None or not len(unknown):
        return
    with ThreadPoolExecutor(2 * len(os.sched_getaffinity(0))) as pool:
        sizes = list(pool.map(lambda uri: _size(root, uri), builder.uris(unknown)))
    builder.size_frames(unknown, [w for w, _ in sizes], [h for _, h in sizes])


def _size(root: Path, uri: str) -> tuple[int | None, int | None]:
    """Width and height of one image, None where there is none to be had."""
    settings = DecodeSettings()
    try:
        path = path_of(root, uri)
        if not path.is_file():
            return None, None
        with path.open("rb") as file:
            data = file.read(HEADER)
            try:
                header = header_of(data, settings)
            except FrameError:  # the size may stand behind a long profile
                header = header_of(data + file.read(settings.max_bytes), settings)
    except (OSError, FrameError):
        return None, None
    return header.width, header.height
