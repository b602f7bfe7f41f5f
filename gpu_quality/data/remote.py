"""Images and label files behind an address (``s3://``, ``gs://``, ``https://`` …), through fsspec.

A connection is opened only for an address that the person gave; what files and labels name is never fetched.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Final

from gpu_quality.annotations import Builder
from gpu_quality.data.containers import Expected
from gpu_quality.data.uris import CONTAINERS, name_of, uri_of
from gpu_quality.errors import EmptyInputError, FrameError, UsageError

NOWHERE: Final = Path(os.devnull)
"""The root of frames that are all remote: no file lies below it, so that nothing local is read in their place."""
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_UNKNOWN_SIZE: Final = 0
_TIMES: Final = ("mtime", "LastModified", "last_modified", "updated", "created", "timeModified")


def is_url(source: object) -> bool:
    """Whether a person named an address rather than a path."""
    return isinstance(source, str) and _URL.match(source) is not None


def list_remote(url: str, builder: Builder, extensions: Collection[str]) -> Path:
    """Add a frame for every image in a remote folder, for one remote image, or for all that match a pattern.

    A frame's id is its path below the folder, its uri the whole address. Raises `UsageError` for an address that cannot be
    understood or reached, `EmptyInputError` where there is no image.
    """
    files, base, system = _files(url)
    chosen = [(path, info) for path, info in sorted(files.items()) if PurePosixPath(path).suffix.lower() in extensions]
    passed = len(files) - len(chosen)
    held = sum(PurePosixPath(path).suffix.lower() in CONTAINERS for path in files)
    if not files:
        raise UsageError(f"there is nothing at {url!r}")
    if not chosen:
        hint = "videos, archives and tables are read from local disks: copy them first" if held else "it holds no image by name"
        raise EmptyInputError(f"no images in {url!r}", hint=hint)
    if passed:
        builder.notes.append(f"{passed} remote files are no images by name and were passed over")
    names = [path.removeprefix(base).lstrip("/") for path, _ in chosen]
    builder.add_frames(
        [uri_of(name) for name in names],
        uris=[uri_of(system.unstrip_protocol(path)) for path, _ in chosen],
        size_bytes=[_size(info) for _, info in chosen],
        mtime_ns=[_time(info) for _, info in chosen],
    )
    builder.images_listed = True
    return NOWHERE


def _files(url: str) -> tuple[dict[str, dict[str, Any]], str, Any]:
    """Files behind an address with what is known about each, the folder that holds them all, and the file system."""
    system, path = _system(url)
    with _reached(url):
        if any(sign in path for sign in "*?["):
            fixed = path[: min(path.find(sign) for sign in "*?[" if sign in path)]
            found = system.glob(path, detail=True)
            base = fixed.rpartition("/")[0]
        else:
            found = system.find(path, detail=True)
            base = path.rpartition("/")[0] if list(found) == [path] else path
    files = {str(name): info for name, info in found.items() if info.get("type", "file") == "file"}
    return {name: info for name, info in files.items() if name.startswith(base)}, base, system


class RemoteSource:
    """Remote files as rows, each read whole within a bound; a file whose size is not that of the listing is an error."""

    def __init__(self, uris: Sequence[str], expected: Sequence[Expected]) -> None:
        self.urls, self.expected = [name_of(uri) for uri in uris], expected

    def __len__(self) -> int:
        """Number of files."""
        return len(self.urls)

    def read(self, row: int, max_bytes: int) -> bytes:
        """All bytes of a file; raises `FrameError` as `files.read_bounded` does."""
        listed = (self.expected[row] or (0, 0))[0]
        if listed > max_bytes:
            raise FrameError("too_many_bytes", f"{listed} bytes, {max_bytes} are allowed", stage="read")
        try:
            system, path = _system(self.urls[row])
            data: bytes = system.cat_file(path, start=0, end=(listed or max_bytes) + 1)
        except (FileNotFoundError, PermissionError) as error:
            reason = "permission" if isinstance(error, PermissionError) else "missing"
            raise FrameError(reason, "the remote file cannot be had", stage="open") from None
        except Exception as error:  # whatever a network library raises; another attempt may succeed
            raise FrameError("internal", f"{type(error).__name__}: {error}"[:200], stage="read") from None
        if listed > 0 and len(data) != listed:
            raise FrameError("changed_since_listing", f"size was {listed} and is now another", stage="read")
        if not data:
            raise FrameError("empty", "the file has no bytes", stage="read")
        if len(data) > max_bytes:
            raise FrameError("too_many_bytes", f"more than {max_bytes} bytes", stage="read")
        return data

    def weight(self, row: int) -> int:
        """Size of the file in the listing, in bytes."""
        return max((self.expected[row] or (0, 0))[0], 0)


def local_copy(source: str) -> Path:
    """A local copy of a remote file or folder, which lives as long as this process; a path that is no address as it is.

    The copy keeps the last part of the name, by which formats are told. Raises `UsageError` where it cannot be had.
    """
    if not is_url(source):
        return Path(source)
    system, path = _system(source)
    target = _shelf() / str(len(list(_shelf().iterdir()))) / (PurePosixPath(path.rstrip("/")).name or "remote")
    target.parent.mkdir()
    with _reached(source):
        if not system.exists(path):
            raise FileNotFoundError(path)
        system.get(path, str(target), recursive=system.isdir(path))
    return target


@cache
def _shelf() -> Path:
    """The folder of copies; removed when the process ends."""
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="gpu-quality-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _system(url: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it; raises `UsageError` where no library speaks its protocol."""
    protocol = url.partition("://")[0].lower()
    if "::" in url or "@" in url.partition("://")[2].partition("/")[0]:
        raise UsageError(
            f"the address {protocol}://… holds a chain or a password, which would be stored with the results",
            hint="name a plain address and keep credentials where the protocol's library looks for them",
        )
    try:
        import fsspec
    except ImportError:
        raise UsageError("addresses are read with fsspec", hint='pip install "gpu_quality[formats]"') from None
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UsageError(f"{protocol}:// needs another package: {error}", hint="install it beside gpu_quality") from None
    except ValueError as error:
        raise UsageError(f"{protocol}:// is no protocol that fsspec knows: {error}") from None
    return found


@contextlib.contextmanager
def _reached(url: str) -> Iterator[None]:
    """Turn whatever a network library raises into one clear error."""
    try:
        yield
    except (UsageError, EmptyInputError):
        raise
    except FileNotFoundError:
        raise UsageError(f"there is nothing at {url!r}") from None
    except Exception as error:
        raise UsageError(
            f"{url!r} cannot be reached: {type(error).__name__}: {error}"[:300],
            hint="check the address, network and credentials",
        ) from error


def _size(info: dict[str, Any]) -> int:
    """Bytes of a file; 0 where the server does not say, for a frame that was listed has no size below that."""
    size = info.get("size")
    return int(size) if isinstance(size, int | float) and size > 0 else _UNKNOWN_SIZE


def _time(info: dict[str, Any]) -> int:
    """When a file was changed, in ns; -1 where the server does not say."""
    found = next((info[key] for key in _TIMES if info.get(key) is not None), None)
    if isinstance(found, str):
        with contextlib.suppress(ValueError):
            found = datetime.fromisoformat(found)
    if isinstance(found, datetime):
        found = found.timestamp()
    return int(found * 1e9) if isinstance(found, int | float) else -1
