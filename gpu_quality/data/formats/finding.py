"""From the image names that a label file uses to frames."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gpu_quality.annotations import Builder
from gpu_quality.data.formats.endings import Endings
from gpu_quality.data.formats.folder import uri_of


class Finder:
    """Finds the frame of every image that label files name.

    Where images were listed: the frame whose id is the name, else the only one whose path has the longest end in common with
    it, else a new frame that will be found missing; a frame found by its end belongs to the first name that found it. Without a
    list every name is a frame of its own. A backslash stands for a slash, unless a frame is called like that.
    """

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        listed = list(builder.frame_rows) if builder.images_listed else []
        self._paths, self._stems = Endings((f, f) for f in listed), Endings((_stem(f), f) for f in listed)
        self._taken: dict[str, str] = {}

    def rows(self, names: Sequence[str], *, stems: bool = False) -> NDArray[np.int64]:
        """Rows of the frames of these images, added where nobody knows them.

        With `stems` names have no extension: they are paths of label files, relative to their folder, without theirs.
        """
        self.claim(names)
        return self.builder.add_frames([self.frame(name, stem=stems) for name in names])

    def claim(self, names: Sequence[str]) -> None:
        """Say which names there are, so that a frame called like one of them is not taken for another one of them."""
        uris = (uri_of(name) for name in names)
        self._taken |= {uri: uri for uri in uris if uri in self.builder.frame_rows}

    def frame(self, name: str, *, stem: bool = False) -> str:
        """Id of the frame of one image."""
        for text in (name, name.replace("\\", "/")):
            uri = uri_of(str(PurePosixPath(text)))
            if uri in self.builder.frame_rows:
                return uri
        found = (self._stems if stem else self._paths).find(uri)
        return uri if found is None or self._taken.setdefault(found, uri) != uri else found


def _stem(name: str) -> str:
    """A path without the extension of its last part."""
    folder, sign, last = name.rpartition("/")
    head = last.rpartition(".")[0]
    return f"{folder}{sign}{head or last}"
