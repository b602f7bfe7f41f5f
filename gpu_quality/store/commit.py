"""The only writer of the package: everything on disk is whole or absent, whatever happens while it is written.

A file is written under a hidden name beside its target, synced, renamed, and its folder is synced; a folder is filled under a
hidden name and renamed once. Hidden names left by a dead process are removed by `sweep`, which the next writer calls.
"""

import errno
import itertools
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gpu_quality.errors import DiskFullError, ResourceError, UsageError
from gpu_quality.store.failpoints import failpoint

__all__ = ["append_text", "commit_bytes", "commit_folder", "failpoint", "remove_file", "remove_folder", "sweep"]

Piece = bytes | bytearray | memoryview
Content = Piece | tuple[Piece, ...]
"""Bytes of a file; a tuple is written piece after piece and spares a copy."""
STAGED: Final = ".stage-"
"""Prefix of everything that is not committed: files and folders being written, folders being removed."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_count = itertools.count()


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn what the system says into `DiskFullError` or `ResourceError` with what was kept and what to do."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno in _FULL:
            raise DiskFullError(
                f"no room to write {path}: {why}",
                hint="what was committed is kept; free space, inodes or quota and run the same command again",
            ) from error
        raise ResourceError(
            f"cannot write {path}: {why}", hint="what was committed is kept; repair the cause and run the same command again"
        ) from error


def _staged_name(folder: Path) -> Path:
    """A hidden name in `folder`; independent of the target's name, which may already be as long as names can be."""
    return folder / f"{STAGED}{os.getpid()}-{next(_count)}"


def _sync(path: Path, point: str) -> None:
    failpoint(point)
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def pieces(data: Content) -> tuple[Piece, ...]:
    """`data` as the pieces it consists of."""
    return data if isinstance(data, tuple) else (data,)


def _write(path: Path, data: Content, point: str = "commit.write") -> None:
    """Create `path`, write all of `data` and sync it."""
    failpoint("commit.open")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        failpoint(point)
        for piece in pieces(data):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(handle, rest) :]
        failpoint("commit.fsync")
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_folder(path: Path) -> None:
    """Create `path` and its parents, each synced into the one above."""
    if path.is_dir():
        return
    _make_folder(path.parent)
    failpoint("commit.mkdir")
    path.mkdir(exist_ok=True)
    _sync(path.parent, "commit.sync_parent")


def commit_bytes(path: Path, data: Content) -> None:
    """Write a file so that readers, and whoever comes after a crash, see the old content or the new, never a part.

    A symbolic link is followed, its target is replaced. Raises `DiskFullError`, `ResourceError`, and `UsageError` when `path`
    is something else than a regular file.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise UsageError(f"{path} is not a regular file", hint="name a file, or write to standard output")
    with _named_errors(path):
        _make_folder(path.parent)
        staged = _staged_name(path.parent)
        try:
            _write(staged, data)
            failpoint("commit.rename")
            staged.replace(path)
        except BaseException:
            with suppress(OSError):
                staged.unlink(missing_ok=True)
            raise
        _sync(path.parent, "commit.sync_parent")


def commit_folder(final: Path, files: Mapping[str, Content]) -> None:
    """Write a folder of files so that it appears whole, by one rename; the last file of `files` is its manifest.

    Raises `DiskFullError` and `ResourceError`, also when `final` exists and is not empty; then nothing of it is visible.
    """
    *parts, manifest = files
    with _named_errors(final):
        _make_folder(final.parent)
        staged = _staged_name(final.parent)
        try:
            failpoint("commit.mkdir")
            staged.mkdir()
            for name in parts:
                _write(staged / name, files[name])
            _write(staged / manifest, files[manifest], "commit.manifest")
            _sync(staged, "commit.sync_folder")
            failpoint("commit.rename")
            staged.rename(final)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        _sync(final.parent, "commit.sync_parent")


def take_stderr(path: Path) -> None:
    """Let everything this process writes to stderr go to the end of a log: native decoders chat about broken files there."""
    _make_folder(path.parent)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    os.dup2(handle, 2)
    os.close(handle)


def append_text(path: Path, text: str) -> None:
    """Add `text` to a log in one write; logs are the only files that grow, and nothing depends on them.

    Raises `DiskFullError` and `ResourceError`.
    """
    with _named_errors(path):
        _make_folder(path.parent)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            failpoint("commit.append")
            os.write(handle, text.encode("utf-8", "surrogateescape"))
        finally:
            os.close(handle)


def remove_folder(path: Path) -> None:
    """Remove a folder so that readers see all of it or nothing: it is renamed aside first. A missing one is no error.

    Raises `ResourceError`.
    """
    if not path.exists():
        return
    with _named_errors(path):
        aside = _staged_name(path.parent)
        failpoint("commit.rename")
        path.rename(aside)
        _sync(path.parent, "commit.sync_parent")
        failpoint("commit.remove")
        shutil.rmtree(aside)


def remove_file(path: Path) -> None:
    """Remove a file, and make that last. A missing one is no error. Raises `ResourceError`."""
    if not path.exists():
        return
    with _named_errors(path):
        failpoint("commit.remove")
        path.unlink(missing_ok=True)
        _sync(path.parent, "commit.sync_parent")


def sweep(store: Path) -> int:
    """Remove what dead writers left under hidden names; returns how many. Only the holder of the writer's lock may call it."""
    folders = [store, *(store / name for name in ("layers", "index", "metrics", "results", "logs"))]
    folders += [path for path in (store / "layers").glob("*") if path.is_dir()]
    left = [path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.name.startswith(STAGED)]
    with _named_errors(store):
        for path in left:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return len(left)
