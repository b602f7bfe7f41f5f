"""From names of label files, which lack the extension of the image, to frames."""

from collections.abc import Sequence

from gpu_quality.annotations import Builder
from gpu_quality.annotations.columns import Ints
from gpu_quality.data.formats.folder import EXTENSIONS, uri_of


class Stems:
    """Finds the frame of every image that label files name without extension, among frames listed or told by other labels.

    It is the frame with that path; else the only one with the same last two parts; else the only one with the same last part;
    else a new one, which will be found missing where images were listed.
    """

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self._known: tuple[dict[str, str | None], ...] = ({}, {}, {})
        for frame in builder.frame_rows:
            for known, key in zip(self._known, _keys(stem_of(frame)), strict=True):
                known[key] = None if key in known else frame

    def frame(self, name: str) -> str:
        """Id of the frame of one image."""
        uri = uri_of(name)
        if uri in self.builder.frame_rows:
            return uri
        found = (known.get(key) for known, key in zip(self._known, _keys(stem_of(uri)), strict=True))
        return next((frame for frame in found if frame is not None), uri)

    def rows(self, names: Sequence[str]) -> Ints:
        """Rows of the frames of these images, added where nobody knows them."""
        return self.builder.add_frames([self.frame(name) for name in names])


def _keys(stem: str) -> tuple[str, str, str]:
    """The whole path, its last two parts, its last part."""
    above, _, last = stem.rpartition("/")
    return stem, f"{above.rpartition('/')[2]}/{last}", last


def stem_of(name: str) -> str:
    """A path without the extension of an image; other dots belong to the name."""
    head, dot, extension = name.rpartition(".")
    return head if head and not head.endswith("/") and f"{dot}{extension}".lower() in EXTENSIONS else name
