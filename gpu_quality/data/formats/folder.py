"""Listing images: a folder, a glob pattern, a text file with one path a line, a single image, or files that hold many frames.

A frame's id is its path relative to the root, with ``/`` between folders. What is listed but cannot be read (missing, a pipe,
no permission, broken) stays a frame: it is accounted for when it is read.
"""

import glob
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gpu_quality.annotations import Builder
from gpu_quality.data.listing import Options, Part, add_parts, expanded, hugging_face
from gpu_quality.data.remote import is_url, list_remote
from gpu_quality.data.uris import CONTAINERS, VIDEOS, extension_of, file_uri, path_of, uri_of
from gpu_quality.data.video import installed
from gpu_quality.errors import EmptyInputError, UsageError

__all__ = ["EXTENSIONS", "list_images", "path_of", "uri_of"]

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
_PACKED: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def list_images(source: str | Path, builder: Builder, *, every: int = 1, image_column: str | None = None) -> Path:
    """Add a frame for every image that `source` names; returns the root that uris are relative to.

    Of videos every n-th frame is taken; `image_column` names the column of images of a table where that is not clear. Raises
    `UsageError` when there is no such source, `EmptyInputError` when it holds no image.
    """
    if is_url(source):
        return list_remote(str(source), builder, EXTENSIONS)
    found = _found(Path(source), str(source))
    _fill(builder, found, str(source), Options(every, image_column))
    return found.root


def _found(path: Path, source: str) -> "_Listing":
    if path.is_dir():
        parts = hugging_face(path)
        return _folder(path) if parts is None else _Listing(path, parts=parts)
    if path.exists() and path.suffix.lower() in CONTAINERS:
        return _Listing(path.parent, parts=[Part(path.name)])
    if path.exists() and path.suffix.lower() in EXTENSIONS:
        found = _Listing(path.parent)
        found.add(path.name, path)
        return found
    if path.name.lower().endswith(_PACKED):
        raise UsageError(
            f"{source!r} is compressed, and its members cannot be read one by one", hint="unpack it to a plain .tar first"
        )
    if path.is_file():
        return _list_file(path)
    if len(names := expanded(source)) > 1:
        return _names(names)
    if glob.has_magic(source):
        return _pattern(source)
    hint = "give a folder, a pattern, a list file, an image, a video, a .tar, a table with images, or an address"
    raise UsageError(f"no images at {source!r}: no such file or folder", hint=hint)


@dataclass(slots=True)
class _Listing:
    """What was found so far: names relative to `root`, sizes and times, files passed over, places that could not be listed."""

    root: Path
    rows: list[tuple[str, int, int]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    errors: list[tuple[str, str, str]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    """Files that hold frames, taken in any case."""
    maybe: list[str] = field(default_factory=list)
    """Archives and tables that are taken where a folder has nothing else: beside images they are mostly labels."""

    def add_named(self, name: str, path: str) -> None:
        """List a file that the person named, whatever its extension says."""
        if extension_of(name) in CONTAINERS:
            self.parts.append(Part(name))
        else:
            self.add(name, path)

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


def _fill(builder: Builder, found: _Listing, source: str, options: Options) -> None:
    if not found.rows and not found.parts:
        found.parts, found.maybe = [Part(name) for name in sorted(found.maybe)], []
    found.skipped.update(extension_of(name) for name in found.maybe)
    if found.rows and not installed() and (films := [part for part in found.parts if extension_of(part.name) in VIDEOS]):
        found.parts = [part for part in found.parts if part not in films]
        builder.notes.append(f'{len(films)} videos were passed over; to read them: pip install "gpu_quality[video]"')
    rows = [(file_uri(name), size, mtime) for name, size, mtime in found.rows]
    for name, reason, detail in found.errors:
        builder.add_error(uri_of(name), detail, stage="list", reason=reason, frame=uri_of(name))
    others = ", ".join(f"{n} {extension or 'without extension'}" for extension, n in sorted(found.skipped.items()))
    if others:
        builder.notes.append(f"{found.skipped.total()} files are no images by name and were passed over: {others}")
    if not rows and not found.errors and not found.parts:
        raise EmptyInputError(f"no images in {source!r}", hint=f"found only: {others}" if others else "it is empty")
    ids, sizes, times = zip(*rows, strict=True) if rows else ((), (), ())
    builder.add_frames(ids, size_bytes=sizes, mtime_ns=times)
    problem = add_parts(builder, found.root, found.parts, options, EXTENSIONS) if found.parts else ""
    if problem and not builder.frame_rows:
        raise EmptyInputError(f"no frame in {source!r}: {problem}")
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
        if _is_image(name) or extension_of(name) in CONTAINERS or entry.is_dir():
            found.errors.append((name, "outside_root", "a link that leads out of the folder of images"))
    elif entry.is_dir(follow_symlinks=False):
        return name + "/", entry.path
    elif _is_image(name) and not entry.is_dir():
        found.add(name, entry)
    elif extension_of(name) in VIDEOS and not entry.is_dir():
        found.parts.append(Part(name))
    elif extension_of(name) in CONTAINERS and not entry.is_dir():
        found.maybe.append(name)
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
        if not any_name and extension_of(name) in CONTAINERS - VIDEOS:
            found.maybe.append(name)
        elif not (any_name or _is_image(name) or extension_of(name) in VIDEOS):
            found.skipped[os.path.splitext(name)[1].lower()] += 1  # noqa: PTH122
        elif os.path.islink(path) and found.leads_out(path):  # noqa: PTH114
            found.errors.append((name, "outside_root", "a link that leads out of the folder of images"))
        else:
            found.add_named(name, path)
    return found


def _list_file(path: Path) -> _Listing:
    """Files that a text names, one a line, relative to its folder or absolute; empty lines and # comments do not count."""
    folder = os.path.abspath(path.parent)  # noqa: PTH100 - links stay as they are
    data = path.read_bytes()
    if b"\0" in data[:4096]:
        raise UsageError(f"{str(path)!r} is neither an image nor a text with one path a line")
    return _places([os.path.normpath(os.path.join(folder, line)) for line in _lines(data)], folder)  # noqa: PTH118


def _names(names: Sequence[str]) -> _Listing:
    """Files that a pattern with braces stands for."""
    places = [os.path.abspath(name) for name in names]  # noqa: PTH100
    if not any(os.path.exists(place) for place in places):  # noqa: PTH110
        raise UsageError(f"none of {len(names):,} files from {names[0]!r} to {names[-1]!r} exists")
    return _places(places, os.path.dirname(places[0]))  # noqa: PTH120


def _places(places: Sequence[str], folder: str) -> _Listing:
    """Files by their absolute paths.

    The root is `folder`, or the deepest folder that holds everything where some files lie elsewhere: the person named this
    list, so it may name any place. A name without a file stays a frame and is found missing when it is read.
    """
    root = os.path.commonpath([folder, *(os.path.dirname(p) for p in places)])  # noqa: PTH120
    found = _Listing(Path(root))
    for place in dict.fromkeys(places):
        found.add_named(os.path.relpath(place, root).replace(os.sep, "/"), place)
    return found


def _lines(data: bytes) -> Iterator[str]:
    texts: Iterable[bytes] = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for line in texts:
        name = line.rstrip(b"\r").strip(b" \t")
        if name and not name.startswith(b"#"):
            yield os.fsdecode(name)
