"""Files that hold many frames: found below the root, opened if they are regular files, and compared with the listing."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpu_quality.data.files import folder_inside
from gpu_quality.data.uris import path_of
from gpu_quality.errors import FrameError

Expected = tuple[int, int] | None
"""Size in bytes and modification time in ns of the listing; -1 is not compared."""


def place_of(root: str | os.PathLike[str], uri: str) -> str:
    """The real path of a file below `root`.

    Raises `FrameError` (outside_root) where the uri, or a link, leads out of the root.
    """
    real = os.path.realpath(path_of(Path(root), uri))
    folder_inside(os.path.dirname(real), os.path.realpath(root))  # noqa: PTH120
    return real


@contextmanager
def opened(path: str) -> Iterator[tuple[int, os.stat_result]]:
    """A regular file for reading, as descriptor, and what it is.

    Raises `FrameError` with ``missing``, ``permission``, ``not_regular_file`` or ``internal``.
    """
    with told(path):
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise FrameError("not_regular_file", f"{os.path.basename(path)!r} is no file", stage="open")  # noqa: PTH119
        with told(path):
            yield file, found
    finally:
        os.close(file)


@contextmanager
def told(path: str) -> Iterator[None]:
    """Turn errors of the system into `FrameError`."""
    try:
        yield
    except (PermissionError, FileNotFoundError, NotADirectoryError) as error:
        reason = "permission" if isinstance(error, PermissionError) else "missing"
        raise FrameError(reason, f"{os.path.basename(path)!r}: {error.strerror}", stage="open") from None  # noqa: PTH119
    except OSError as error:
        reason = "missing" if error.errno in (errno.ELOOP, errno.ENAMETOOLONG) else "internal"
        raise FrameError(reason, error.strerror or type(error).__name__, stage="open") from None


def version_of(found: os.stat_result) -> tuple[int, ...]:
    """What tells one state of a file from another: the key under which a process keeps what it knows of the file."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def check_unchanged(found: os.stat_result, expected: Expected) -> None:
    """Raise `FrameError` (changed_since_listing) where a file is not the one that was listed."""
    for name, was, now in zip(("size", "mtime_ns"), expected or (), (found.st_size, found.st_mtime_ns), strict=False):
        if was not in (-1, now):
            raise FrameError("changed_since_listing", f"{name} of the file was {was} and is now {now}", stage="open")
