r"""Where a frame lies, as text: a path below the root, and behind a ``#`` the place inside a file that holds many frames.

``photos/a.jpg`` is a file, ``train-000000.tar#key.jpg`` a member of an archive, ``part.parquet#000017`` a row of a table and
``drive.mp4#000123`` a frame of a video. Plain files whose own names look like that have their ``#`` written as ``\x23``.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Final

from gpu_quality.errors import FrameError

VIDEOS: Final = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm"})
TABLES: Final = frozenset({".parquet", ".arrow", ".feather"})
ARCHIVES: Final = frozenset({".tar"})
CONTAINERS: Final = VIDEOS | TABLES | ARCHIVES
"""Extensions, in lower case, of files that hold many frames."""

_ESCAPED: Final = re.compile(r"\\x([0-9a-f]{2})")
_ODD: Final = re.compile(r"\\(?=x)|[\udc80-\udcff]")
_HASH: Final = re.compile(rf"(?i)({'|'.join(re.escape(extension) for extension in sorted(CONTAINERS))})#")


def uri_of(path: str) -> str:
    r"""A relative path as text that Arrow can hold: bytes that are not UTF-8 become ``\xNN``, a backslash before x ``\x5c``."""
    return _ODD.sub(lambda m: f"\\x{ord(m[0]) & 0xFF:02x}", path) if "\\x" in path or not path.isascii() else path


def file_uri(path: str) -> str:
    """`uri_of` a file, which stays a file whatever its name looks like."""
    uri = uri_of(path)
    return _HASH.sub(r"\1\\x23", uri) if "#" in uri else uri


def part_uri(container: str, part: str) -> str:
    """The uri of a part of a file, from the path of the file and the name of the part."""
    return f"{file_uri(container)}#{uri_of(part)}"


def split_uri(uri: str) -> tuple[str, str]:
    """The uri of the file and the name of the part in it, still escaped; an empty name for a file that is one frame."""
    found = _HASH.search(uri) if "#" in uri else None
    return (uri, "") if found is None else (uri[: found.end() - 1], uri[found.end() :])


def extension_of(uri: str) -> str:
    """Extension of the last part of a path, in lower case."""
    return PurePosixPath(uri).suffix.lower()


def name_of(uri: str) -> str:
    """The path or name that a uri means, with bytes that are not UTF-8 as surrogate escapes; undoes `uri_of`."""
    return _ESCAPED.sub(lambda m: chr(b if (b := int(m[1], 16)) < 128 else 0xDC00 + b), uri)


def path_of(root: Path, uri: str) -> Path:
    """The file a frame's uri means.

    Raises `FrameError` (outside_root) for a uri that is absolute or climbs out of `root`.
    """
    name = name_of(uri)
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise FrameError("outside_root", f"{uri!r} leads out of the folder of images", stage="open")
    return root / name


def padded(index: int, count: int) -> str:
    """A number of one of `count` parts, with zeros before it so that names sort like numbers."""
    return f"{index:0{max(6, len(str(count - 1)))}d}"
