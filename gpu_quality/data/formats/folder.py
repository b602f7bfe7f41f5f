"""Listing images: a folder, a glob pattern, a text file with one path a line, or a single image.

A frame's id is its path relative to the root, with ``/`` between folders. What is listed but cannot be read (missing, a pipe,
no permission, broken) stays a frame: it is accounted for when it is read.
"""

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from gpu_quality.annotations import Builder
from gpu_quality.errors import EmptyInputError, FrameError, UsageError

EXTENSIONS: Final = frozenset(
    f".{name}"
    for name in (
        *(
            "jpg",
            "jpeg",
            "jpe",
            "jfif",
            "png",
            "gif",
            "bmp",
            "dib",
            "webp",
            "tif",
            "tiff",
            "avif",
            "heic",
            "heif",
            "jp2",
            "j2k",
        ),
        *("jpx", "ppm", "pgm", "pbm", "pnm", "tga", "ico", "icns", "psd", "eps", "svg"),
    )
)
"""What counts as an image by name, in lower case. Formats that are never decoded are listed too: the person learns why."""

_ESCAPED: Final = re.compile(r"\\x([0-9a-f]{2})")
_ODD: Final = re.compile(r"\\(?=x)|[\udc80-\udcff]")


def uri_of(path: str) -> str:
    r"""A relative path as text that Arrow can hold: bytes that are not UTF-8 become ``\xNN``, a backslash before x ``\x5c``."""
    return _ODD.sub(lambda m: f"\\x{ord(m[0]) & 0xFF:02x}", path) if "\\x" in path or not path.isascii() else path


def path_of(root: Path, uri: str) -> Path:
    """The file a frame's uri means; the one place that undoes `uri_of`.

    Raises `FrameError` (outside_root) for a uri that is absolute or climbs out of `root`.
    """
    name = _ESCAPED.sub(lambda m: chr(b if (b := int(m[1], 16)) < 128 else 0xDC00 + b), uri)
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise FrameError("outside_root", f"{uri!r} leads out of the folder of images", stage="open")
    return root / name


def list_images(source: str | Path, builder: Builder) -> Path:
    """Add a frame for every image that `source` names; returns the root that uris are relative to.

    Raises `UsageError` when there is no such source, `EmptyInputError` when it holds no image.
    """
    path = Path(source)
    if path.is_dir():
        found = _folder(path)
    elif path.exists() and path.suffix.lower() in EXTENSIONS:
        found = _Listing(path.parent)
        found.add(path.name, path)
    elif path.is_file():
        found = _list_file(path)
    elif glob.has_magic(str(source)):
        found = _pattern(str(source))
    else:
        hint = "give a folder, a pattern, a list file or an image"
        raise UsageError(f"no images at {str(source)!r}: no such file or folder", hint=hint)
    _fill(builder, found, str(source))
    return found.root


@dataclass(slots=True)
class _Listing:
    """What was found so far: names relative to `root`, sizes and times, files passed over, places that could not be listed."""

    root: Path
    rows: list[tuple[str, int, int]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    errors: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, name: str, path: str | Path | os.DirEntry[str]) -> None:
        """List one file with its size and time, -1 where it cannot be looked at."""
        try:
            found = path.stat() if isinstance(path, os.DirEntry) else os.stat(path)  # noqa: PTH116
        except OSError:
            self.rows.append((name, -1, -1))
        else:
            size = found.st_size if stat.S_ISREG(found.st_mode) else -1
            self.rows.append((name, size, found.st_mtime_ns))

    def leads_out(self, path: str) -> bool:
        """Whether a link ends outside the root."""
        real, root = os.path.realpath(path), os.path.realpath(self.root)
        return real != root and not real.startswith(root.rstrip(os.sep) + os.sep)


def _fill(builder: Builder, found: _Listing, source: str) -> None:
    rows = [(uri_of(name), size, mtime) for name, size, mtime in found.rows]
    for name, reason, detail in found.errors:
        builder.add_error(uri_of(name), detail, stage="list", reason=reason, frame=uri_of(name))
    others = ", ".join(f"{n} {extension or 'without extension'}" for extension, n in sorted(found.skipped.items()))
    if others:
        builder.notes.append(f"{found.skipped.total()} files are no images by name and were passed over: {others}")
    if not rows and not found.errors:
        raise EmptyInputError(f"no images in {source!r}", hint=f"found only: {others}" if others else "it is empty")
    ids, sizes, times = zip(*rows, strict=True) if rows else ((), (), ())
    builder.add_frames(ids, size_bytes=sizes, mtime_ns=times)
    builder.images_listed = True


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 - 120,000 Paths would cost a second


def _folder(root: Path) -> _Listing:
    """Every image below `root`, in order of names; hidden files and folders are left out, linked folders not entered."""
    found = _Listing(root)
    waiting = [("", str(root))]
    while waiting:
        prefix, folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda e: e.name)
        except OSError as error:
            found.errors.append((prefix.rstrip("/"), "permission", f"folder cannot be listed: {error.strerror}"))
            continue
        deeper = [_visit(found, prefix, entry) for entry in entries if not entry.name.startswith(".")]
        waiting.extend(reversed([place for place in deeper if place]))
    return found


def _visit(found: _Listing, prefix: str, entry: os.DirEntry[str]) -> tuple[str, str] | None:
    """List one entry of a folder, or return it where it is a folder to enter."""
    name = prefix + entry.name
    if entry.is_symlink() and found.leads_out(entry.path):
        if _is_image(name) or entry.is_dir():
            found.errors.append((name, "outside_root", "a link that leads out of the folder of images"))
    elif entry.is_dir(follow_symlinks=False):
        return name + "/", entry.path
    elif _is_image(name) and not entry.is_dir():
        found.add(name, entry)
    elif not entry.is_dir():
        found.skipped[os.path.splitext(name)[1].lower()] += 1  # noqa: PTH122
    return None


def _pattern(pattern: str) -> _Listing:
    """Files that match; those without an image's extension only where the pattern itself names their extension."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    found = _Listing(Path(*parts[:fixed]))
    any_name = bool(suffix := Path(pattern).suffix) and not glob.has_magic(suffix)
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob does not skip hidden files
    for path in (p for p in matches if not os.path.isdir(p)):  # noqa: PTH112
        name = os.path.relpath(path, found.root).replace(os.sep, "/")
        if not (any_name or _is_image(name)):
            found.skipped[os.path.splitext(name)[1].lower()] += 1  # noqa: PTH122
        elif os.path.islink(path) and found.leads_out(path):  # noqa: PTH114
            found.errors.append((name, "outside_root", "a link that leads out of the folder of images"))
        else:
            found.add(name, path)
    return found


def _list_file(path: Path) -> _Listing:
    """Files that a text names, one a line, relative to the text's folder or absolute; empty lines and # comments do not count.

    The root is the text's folder, or the deepest folder that holds everything where some files lie elsewhere: the person named
    this list, so it may name any place. A line without a file stays a frame and is found missing when it is read.
    """
    folder = Path(os.path.abspath(path.parent))  # noqa: PTH100 - links stay as they are
    data = path.read_bytes()
    if b"\0" in data[:4096]:
        raise UsageError(f"{str(path)!r} is neither an image nor a text with one path a line")
    places = [os.path.normpath(folder / line) for line in _lines(data)]
    root = os.path.commonpath([str(folder), *(os.path.dirname(p) for p in places)])  # noqa: PTH120
    found = _Listing(Path(root))
    for place in places:
        found.add(os.path.relpath(place, root).replace(os.sep, "/"), place)
    return found


def _lines(data: bytes) -> Iterator[str]:
    texts: Iterable[bytes] = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for line in texts:
        name = line.rstrip(b"\r").strip(b" \t")
        if name and not name.startswith(b"#"):
            yield os.fsdecode(name)
