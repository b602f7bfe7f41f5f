"""Where frames come from: files under a folder, parts of larger files, remote files, or a data set in memory."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from torch.utils.data import Dataset

from gpu_quality.data.containers import Expected as Listed
from gpu_quality.data.containers import place_of
from gpu_quality.data.files import folder_inside, read_bounded
from gpu_quality.data.uris import ARCHIVES, VIDEOS, extension_of, path_of, split_uri
from gpu_quality.errors import FrameError

StrPath = str | os.PathLike[str]
Expected = Sequence[Listed]
ITEM: Final = "dataset:"
"""Before the number of the item, in the uri of a frame of a data set in memory."""
_IMAGE_KEYS: Final = ("image", "img", "pixel_values")


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


def open_source(root: StrPath | None, uris: Sequence[str], expected: Expected, dataset: Any = None) -> Source:
    """The rows of a frames table as a source, whatever they are; all that a worker process needs to know is in the table.

    `expected` holds size and modification time of the listing, None for a frame that nobody listed. Nothing is opened yet.
    """
    wholes = [_whole(uri, listed, dataset) for uri, listed in zip(uris, expected, strict=True)]
    groups: dict[str, list[int]] = {}
    for row, whole in enumerate(wholes):
        groups.setdefault(whole, []).append(row)
    places: list[tuple[Source, int]] = [(_NOTHING, 0)] * len(uris)
    for whole, rows in groups.items():
        names, listed = [uris[row] for row in rows], [expected[row] for row in rows]
        source = _group(root, whole, names, listed, dataset)
        if len(groups) == 1:
            return source
        for inner, row in enumerate(rows):
            places[row] = source, inner
    return _Parts(places) if uris else _NOTHING


def _whole(uri: str, listed: Listed, dataset: Any) -> str:
    """What a frame is part of: a file that holds many, "dataset:", "remote:", or nothing ("") for a file of its own."""
    if ":" in uri and dataset is not None and uri.startswith(ITEM):
        return ITEM
    # Only the listing of an address that the person gave makes such frames: those that labels name were never seen.
    if "://" in uri and listed is not None:
        return "remote:"
    whole, part = split_uri(uri)
    return whole if part else ""


def _group(root: StrPath | None, whole: str, uris: list[str], expected: list[Listed], dataset: Any) -> Source:
    if whole == ITEM:
        return DatasetSource(dataset, items=[int(uri.removeprefix(ITEM).partition("#")[0]) for uri in uris])
    if whole == "remote:":
        from gpu_quality.data.remote import RemoteSource

        return RemoteSource(uris, expected)
    if whole and root is not None:
        return _Later(len(uris), lambda: _opened(root, whole, [split_uri(uri)[1] for uri in uris], expected))
    return FileSource(root, [_relative(uri) for uri in uris], expected)


def _opened(root: StrPath, whole: str, parts: list[str], expected: list[Listed]) -> Source:
    """The source of frames inside one file; raises `FrameError` where there is no such file."""
    path = place_of(root, whole)
    if extension_of(whole) in ARCHIVES:
        from gpu_quality.data.tar import TarSource

        return TarSource(path, parts, expected)
    if extension_of(whole) in VIDEOS:
        from gpu_quality.data.video import VideoSource

        return VideoSource(path, [_number(part) for part in parts], expected[0])
    from gpu_quality.data.arrow_images import ArrowSource

    numbers, _, columns = zip(*(part.partition(":") for part in parts), strict=True)
    return ArrowSource(path, [_number(number) for number in numbers], expected[0], columns[0], os.path.realpath(root))


def _number(text: str) -> int:
    """The place that the uri of a part names; raises `FrameError` (missing) for any other text."""
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise FrameError("missing", f"{text[:40]!r} is no number of a frame", stage="open")
    return int(text)


def _relative(uri: str) -> str:
    """The path below the root that a uri means; one that leads out of it is left as it is and refused when it is read."""
    try:
        return str(path_of(Path(), uri))
    except FrameError:
        return uri


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
    """A user's own map-style torch data set; its items are images, tuples and lists that begin with one, or hold one by name.

    Row 0 is item `first`, or row `i` is ``items[i]``. Items are fetched one at a time: a data set need not be safe to use from
    several threads.
    """

    def __init__(self, dataset: Dataset[Any], first: int = 0, items: Sequence[int] | None = None) -> None:
        self.dataset = dataset
        self.items = range(first, len(dataset)) if items is None else items  # type: ignore[arg-type]
        self._turn = threading.Lock()

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.items)

    def read(self, row: int, max_bytes: int) -> object:  # noqa: ARG002  part of the protocol
        """The image of one item, as the data set gives it."""
        with self._turn:
            item = self.dataset[self.items[row]]
        if isinstance(item, Mapping):
            return next((item[key] for key in _IMAGE_KEYS if key in item), item)
        return item[0] if isinstance(item, tuple | list) and item else item

    def weight(self, row: int) -> int:  # noqa: ARG002  part of the protocol
        """Unknown: the item is not there yet."""
        return 0


class _Later:
    """Frames inside one file, which is opened when the first of them is read; where it cannot be, each of them fails so."""

    def __init__(self, count: int, opening: Callable[[], Source]) -> None:
        self._count, self._opening = count, opening
        self._found: Source | FrameError | None = None
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def read(self, row: int, max_bytes: int) -> object:
        found = self._open()
        if isinstance(found, FrameError):
            raise FrameError(found.reason, found.detail, stage=found.stage)
        return found.read(row, max_bytes)

    def weight(self, row: int) -> int:
        found = self._open()
        return 0 if isinstance(found, FrameError) else found.weight(row)

    def _open(self) -> Source | FrameError:
        with self._turn:
            if self._found is None:
                try:
                    self._found = self._opening()
                except FrameError as error:
                    self._found = error
            return self._found


class _Parts:
    """Rows of several sources, as one."""

    def __init__(self, places: Sequence[tuple[Source, int]]) -> None:
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def read(self, row: int, max_bytes: int) -> object:
        source, inner = self.places[row]
        return source.read(inner, max_bytes)

    def weight(self, row: int) -> int:
        source, inner = self.places[row]
        return source.weight(inner)


_NOTHING: Final = FileSource(None, [], [])
