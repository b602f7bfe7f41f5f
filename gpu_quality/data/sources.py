"""Where frames come from: files under a folder, or a torch data set of images."""

import os
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from torch.utils.data import Dataset

from gpu_quality.data.files import folder_inside, read_bounded

StrPath = str | os.PathLike[str]
Expected = Sequence[tuple[int, int] | None]


class Source(Protocol):
    """Rows that can be read one by one, from several threads."""

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def read(self, row: int, max_bytes: int) -> object:
        """Bytes of an image file, at most `max_bytes` of them, or an image in memory (see `decode.image_of`)."""
        ...

    def weight(self, row: int) -> int:
        """Bytes that reading the row brings into memory; 0 when nobody knows."""
        ...


class FileSource:
    """Files named by paths relative to `root`; a file that changed since it was listed is an error.

    `expected` holds size (bytes) and modification time (ns) of each file in the listing, or None. Names that are not
    UTF-8 hold their bytes as surrogate escapes. Nothing outside the root is read, neither by `..` or an absolute path nor
    through a link; with ``root=None`` paths are taken as they are.
    """

    def __init__(self, root: StrPath | None, uris: Sequence[StrPath], expected: Expected | None = None) -> None:
        self.uris, self.expected = uris, expected
        self.root = None if root is None else os.path.realpath(root)
        self._folders: dict[str, str] = {}

    def __len__(self) -> int:
        """Number of files."""
        return len(self.uris)

    def read(self, row: int, max_bytes: int) -> bytes:
        """All bytes of the file; raises `FrameError` as `read_bounded` does."""
        path = os.fspath(self.uris[row])
        if self.root is not None:
            folder, name = os.path.split(path)
            path = os.path.join(self._folder(folder), name)  # noqa: PTH118  a Path would cost as much as the read
        expected = None if self.expected is None else self.expected[row]
        return read_bounded(path, max_bytes=max_bytes, expected=expected, root=self.root)

    def weight(self, row: int) -> int:
        """Size of the file in the listing, in bytes; 0 without one."""
        expected = None if self.expected is None else self.expected[row]
        return 0 if expected is None else max(expected[0], 0)

    def _folder(self, folder: str) -> str:
        """Real path of a folder of the source; asked once per folder, since every check walks the whole path."""
        if folder not in self._folders:
            root = str(self.root)
            self._folders[folder] = folder_inside(os.path.join(root, folder), root)  # noqa: PTH118
        return self._folders[folder]


class DatasetSource:
    """A user's own map-style torch data set; its items are images, or tuples and lists that begin with one.

    Row 0 is item `first`. Items are fetched one at a time: a data set need not be safe to use from several threads.
    """

    def __init__(self, dataset: Dataset[Any], first: int = 0) -> None:
        self.dataset, self.first = dataset, first
        self._turn = threading.Lock()

    def __len__(self) -> int:
        """Number of items from `first` on."""
        return len(self.dataset) - self.first  # type: ignore[arg-type]

    def read(self, row: int, max_bytes: int) -> object:  # noqa: ARG002  part of the protocol
        """The image of one item, as the data set gives it."""
        with self._turn:
            item = self.dataset[self.first + row]
        return item[0] if isinstance(item, tuple | list) and item else item

    def weight(self, row: int) -> int:  # noqa: ARG002  part of the protocol
        """Unknown: the item is not there yet."""
        return 0
