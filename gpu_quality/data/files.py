"""Bounded reads: regular files only, never more bytes than allowed, and never bytes that changed underway."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from gpu_quality.errors import FrameError

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""O_NONBLOCK: opening a FIFO nobody writes to must return."""
_REASONS: Final = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.ENAMETOOLONG: "missing",
    errno.ELOOP: "missing",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.ENXIO: "not_regular_file",
    errno.ENODEV: "not_regular_file",
    errno.EISDIR: "not_regular_file",
}


def folder_inside(folder: str, root: str) -> str:
    """The real path of a folder that lies inside the real path `root`, links followed.

    Raises
    ------
    FrameError
        ``outside_root`` when `..`, an absolute path or a link leads out of the root.
    """
    real = os.path.realpath(folder)
    if real != root and not real.startswith(root.rstrip(os.sep) + os.sep):
        raise FrameError("outside_root", "the path leads out of its source folder", stage="open")
    return real


def read_bounded(
    path: Path | str, *, max_bytes: int, expected: tuple[int, int] | None = None, root: str | None = None
) -> bytes:
    """All bytes of a regular file.

    `expected` is the size in bytes and the modification time in ns of the listing; -1 is not compared. With `root` (a
    real path) a link is followed only if it ends inside it. Names may hold any bytes (surrogate escapes).

    Raises
    ------
    FrameError
        ``missing``, ``permission``, ``not_regular_file``, ``outside_root``, ``empty``, ``too_many_bytes``,
        ``changed_since_listing`` or ``changed_during_read``; ``internal`` for errors of the device.
    """
    stage = "open"
    try:
        file = _open(os.fspath(path), root)
        try:
            before = os.fstat(file)
            _check(before, max_bytes, expected)
            stage = "read"
            data = _read_all(file, before.st_size)
            after = os.fstat(file)
        finally:
            os.close(file)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, "internal")
        raise FrameError(reason, error.strerror or type(error).__name__, stage=stage) from None
    except ValueError as error:  # a name that no file can have: NUL, or text that is no escaped bytes
        raise FrameError("missing", f"impossible file name: {error}", stage=stage) from None
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns) or len(data) != before.st_size:
        raise FrameError("changed_during_read", f"{before.st_size} bytes became {after.st_size}", stage="read")
    return data


def _open(path: str, root: str | None) -> int:
    if root is None:
        return os.open(path, _FLAGS)
    try:
        return os.open(path, _FLAGS | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    real = os.path.realpath(path)
    folder_inside(os.path.dirname(real), root)  # noqa: PTH120
    return os.open(real, _FLAGS | os.O_NOFOLLOW)


def _check(found: os.stat_result, max_bytes: int, expected: tuple[int, int] | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise FrameError("not_regular_file", f"it is a {_kind(found.st_mode)}", stage="open")
    for name, was, now in zip(("size", "mtime_ns"), expected or (), (found.st_size, found.st_mtime_ns), strict=False):
        if was not in (-1, now):
            raise FrameError("changed_since_listing", f"{name} was {was} and is now {now}", stage="open")
    if found.st_size == 0:
        raise FrameError("empty", "the file has no bytes", stage="read")
    if found.st_size > max_bytes:
        raise FrameError("too_many_bytes", f"{found.st_size} bytes, {max_bytes} are allowed", stage="read")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")


def _read_all(file: int, size: int) -> bytes:
    data = os.read(file, size)
    while len(data) < size and (more := os.read(file, size - len(data))):
        data += more
    return data
