"""From the image names that a label file uses to frames."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gpu_quality.annotations import Builder
from gpu_quality.data.formats.folder import uri_of


class Finder:
    """Finds the frame of every image that label files name.

    Where images were listed: the frame whose id is the name, else the only one with that last part of its path, else a new
    frame that will be found missing. Without a list every name is a frame of its own.
    """

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self._last: dict[str, str | None] = {}
        self._stem: dict[str, str | None] = {}
        self._last_stem: dict[str, str | None] = {}
        if builder.images_listed:
            for frame in builder.frame_rows:
                last, stem = _last(frame), _stem(frame)
                for known, key in ((self._last, last), (self._stem, stem), (self._last_stem, _stem(last))):
                    known[key] = None if key in known else frame

    def rows(self, names: Sequence[str], *, stems: bool = False) -> NDArray[np.int64]:
        """Rows of the frames of these images, added where nobody knows them.

        With `stems` names have no extension: they are paths of label files, relative to their folder, without theirs.
        """
        return self.builder.add_frames([self.frame(name, stem=stems) for name in names])

    def frame(self, name: str, *, stem: bool = False) -> str:
        """Id of the frame of one image."""
        uri = uri_of(str(PurePosixPath(name)))
        if uri in self.builder.frame_rows:
            return uri
        last = _last(uri)
        if stem:
            return self._stem.get(uri) or self._last_stem.get(last) or uri
        return self._last.get(last) or uri


def _last(name: str) -> str:
    """The last part of a path, or the name of a member of an archive."""
    return name.rpartition("/")[2].rpartition("#")[2]


def _stem(name: str) -> str:
    """A path without the extension of its last part."""
    folder, sign, last = name.rpartition("/")
    head = last.rpartition(".")[0]
    return f"{folder}{sign}{head or last}"
