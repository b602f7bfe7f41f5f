"""From names of label files, which lack the extension of the image, to frames."""

from collections.abc import Sequence

from gpu_quality.annotations import Builder
from gpu_quality.annotations.columns import Ints
from gpu_quality.data.formats.endings import Endings
from gpu_quality.data.formats.folder import EXTENSIONS, uri_of


class Stems:
    """Finds the frame of every image that label files name without extension, among frames listed or told by other labels.

    It is the frame with that path; else the only one whose path has the longest end in common with it; else a new one, which
    will be found missing where images were listed. A name that ends like an image (``a.png``) is first taken for that of
    ``a.png.jpg``, then for that of ``a`` with any extension.
    """

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self._known = Endings((stem_of(frame), frame) for frame in builder.frame_rows)

    def frame(self, name: str) -> str:
        """Id of the frame of one image."""
        uri = uri_of(name)
        if uri in self.builder.frame_rows:
            return uri
        return self._known.find(uri) or self._known.find(stem_of(uri)) or uri

    def rows(self, names: Sequence[str]) -> Ints:
        """Rows of the frames of these images, added where nobody knows them."""
        return self.builder.add_frames([self.frame(name) for name in names])


def stem_of(name: str) -> str:
    """A path without the extension of an image; other dots belong to the name."""
    head, dot, extension = name.rpartition(".")
    return head if head and not head.endswith("/") and f"{dot}{extension}".lower() in EXTENSIONS else name
