"""Archives in the tar format: where each member lies, and reading members from there without extracting anything."""

import os
import tarfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

from gpu_quality.data.containers import Expected, check_unchanged, opened, version_of
from gpu_quality.data.uris import name_of
from gpu_quality.errors import FrameError

BLOCK: Final = 512
MOST_MEMBERS: Final = 2_000_000
"""Members that are listed of one archive: some 500 MB of index."""
LONGEST_HEADER: Final = 1 << 20
"""Bytes of a name or of other extensions of one member's header."""
_NO_DATA: Final = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
_KINDS: Final = {
    tarfile.LNKTYPE: ("outside_root", "a link, which is not followed"),
    tarfile.SYMTYPE: ("outside_root", "a link, which is not followed"),
    tarfile.CHRTYPE: ("not_regular_file", "a device"),
    tarfile.BLKTYPE: ("not_regular_file", "a device"),
    tarfile.FIFOTYPE: ("not_regular_file", "a pipe"),
    tarfile.GNUTYPE_SPARSE: ("not_regular_file", "a sparse file"),
}
_COMPRESSED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class Archive:
    """What the headers of an archive say."""

    members: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Place and size in bytes of every regular member by name, in order of the archive."""
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    """Member (empty for the archive as a whole), reason and sentence for everything that cannot be read."""


@dataclass(frozen=True, slots=True)
class TarSource:
    """Members of one archive as rows; `expected` holds each member's size and the archive's modification time in ns."""

    path: str
    names: Sequence[str]
    expected: Sequence[Expected]
    turn: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """One thread reads the headers, the others wait for it."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.names)

    def read(self, row: int, max_bytes: int) -> bytes:
        """All bytes of a member; raises `FrameError` as `files.read_bounded` does."""
        listed = self.expected[row] or (-1, -1)
        with opened(self.path) as (file, found):
            check_unchanged(found, (-1, listed[1]))
            with self.turn:
                archive = _kept_index(self.path, version_of(found))
            place = archive.members.get(name_of(self.names[row]))
            if place is None:
                raise FrameError("missing", "the archive has no such member", stage="open")
            offset, size = place
            if listed[0] not in (-1, size):
                raise FrameError("changed_since_listing", f"size was {listed[0]} and is now {size}", stage="open")
            if size == 0:
                raise FrameError("empty", "the member has no bytes", stage="read")
            if size > max_bytes:
                raise FrameError("too_many_bytes", f"{size} bytes, {max_bytes} are allowed", stage="read")
            return read_at(file, offset, size)

    def weight(self, row: int) -> int:
        """Size of the member in the listing, in bytes."""
        return max((self.expected[row] or (0, 0))[0], 0)


def read_at(file: int, offset: int, size: int) -> bytes:
    """Bytes of an open file from a place on; raises `FrameError` (truncated) where it ends before."""
    data = os.pread(file, size, offset)
    while len(data) < size and (more := os.pread(file, size - len(data), offset + len(data))):
        data += more
    if len(data) < size:
        raise FrameError("truncated", f"the archive ends {size - len(data)} bytes before the member does", stage="read")
    return data


@lru_cache(maxsize=16)
def _kept_index(path: str, version: tuple[int, ...]) -> Archive:  # noqa: ARG001  another state has another index
    with opened(path) as (file, found):
        return index_of(file, found.st_size)


def index_of(file: int, end: int) -> Archive:
    """Members of an open archive of `end` bytes, from its headers alone; never raises but for errors of the device.

    A member is known by its last name in the archive's own words, without ``./`` before it. What cannot be a frame, or ends
    the listing early, is told among the problems.
    """
    archive = Archive()
    start = os.pread(file, 6, 0)
    if start.startswith(_COMPRESSED):
        detail = "it is compressed, and members of compressed archives cannot be read one by one: unpack it to a plain .tar"
        archive.problems.append(("", "format_not_allowed", detail))
        return archive
    try:
        for header, offset in _headers(file, end):
            _add(archive, header, offset)
    except tarfile.TarError as error:
        archive.problems.append(("", "truncated" if "end" in str(error) else "decode_error", str(error)))
    return archive


def _add(archive: Archive, header: tarfile.TarInfo, offset: int) -> None:
    name = header.name.removeprefix("./")
    if header.type == tarfile.DIRTYPE:
        return
    if len(archive.members) >= MOST_MEMBERS:
        raise tarfile.ReadError(f"it holds more than {MOST_MEMBERS:,} members")
    if header.type in _KINDS:
        reason, what = _KINDS[header.type]
        archive.problems.append((name, reason, f"the member is {what}"))
    elif PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        archive.problems.append((name, "outside_root", "the member's name is absolute or climbs out of its folder"))
    elif name in archive.members:
        archive.problems.append((name, "duplicate_image_id", "the archive has two members of this name; the first one counts"))
    else:
        archive.members[name] = offset, header.size


def _headers(file: int, end: int) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Headers of members with their extensions applied, and where the member's bytes begin."""
    at = 0
    extended: dict[str, str] = {}
    while True:
        block = os.pread(file, BLOCK, at)
        if len(block) < BLOCK:
            raise tarfile.ReadError(f"the archive ends at byte {at:,} without its end mark" if at else "there is no archive")
        if not any(block):
            return
        header = _parsed(block, at)
        at += BLOCK
        if header.type in (b"L", b"K", b"x", b"X", b"g"):
            if header.size > LONGEST_HEADER or at + header.size > end:
                raise tarfile.ReadError(f"the header at byte {at - BLOCK:,} claims {header.size:,} bytes of extensions")
            extended |= _extensions(header.type, os.pread(file, header.size, at))
            at += _blocks(header.size)
            continue
        header.name = extended.get("path", header.name)
        if extended.get("size", "").isdecimal():
            header.size = int(extended["size"][:20])
        if any(key.startswith("GNU.sparse") for key in extended):
            header.type = tarfile.GNUTYPE_SPARSE
        extended = {}
        if header.type == tarfile.GNUTYPE_SPARSE and block[482]:
            while (more := os.pread(file, BLOCK, at)) and len(more) == BLOCK:
                at += BLOCK
                if not more[504]:
                    break
        size = 0 if header.type in _NO_DATA else header.size
        if at + size > end:
            detail = f"the archive ends at byte {end:,} within the member {header.name[:80]!r}, which claims {size:,} bytes"
            raise tarfile.ReadError(detail)
        yield header, at
        at += _blocks(size)


def _parsed(block: bytes, at: int) -> tarfile.TarInfo:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise tarfile.ReadError(f"byte {at:,} is no header of a member: {error}") from None
    if header.size < 0:
        raise tarfile.ReadError(f"the header at byte {at:,} claims {header.size} bytes")
    return header


def _extensions(kind: bytes, data: bytes) -> dict[str, str]:
    """What an extra header says about the member behind it: its long name, or POSIX records ``LENGTH KEY=VALUE``."""
    if kind == b"L":
        return {"path": data.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
    if kind not in (b"x", b"X"):
        return {}
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        length, sign, _ = data[at : at + 20].partition(b" ")
        if not sign or not length.isdigit() or int(length) <= len(length) + 1:
            break
        key, _, value = data[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at += int(length)
    return found


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
