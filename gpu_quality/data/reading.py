"""One row at a time: read and opened, then decoded into its place; whatever goes wrong becomes a failure of the row."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gpu_quality.data.decode import Decoded, DecodeSettings, Header, digest_of, header_of, image_of, pixels_of
from gpu_quality.data.sources import Source
from gpu_quality.errors import FrameError


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that gave no pixels, and what had become known of it; None and empty text mean unknown.

    Where another exception led to `error`, it is its ``__cause__``. Neither holds a traceback, which would keep the bytes
    of the file alive.
    """

    row: int
    error: FrameError
    size_bytes: int | None = None
    digest: str = ""
    width: int | None = None
    height: int | None = None
    format: str = ""


@dataclass(slots=True)
class Opened:
    """A row that was read: a file up to its header, or an image from memory, canonical already."""

    row: int
    content: Header | Decoded | None
    """None once it was decoded: the bytes are let go at once, since the next reads use their memory while it is warm."""
    size_bytes: int | None
    digest: str
    height: int
    width: int

    def take(self) -> Header | Decoded:
        """The content, which is let go here."""
        content, self.content = self.content, None
        if content is None:
            raise RuntimeError(f"row {self.row} was decoded before")
        return content

    @property
    def size(self) -> int:
        """Bytes of its canonical pixels."""
        return self.height * self.width * 3


def open_row(source: Source, row: int, settings: DecodeSettings) -> Opened | Failure:
    """Read one row and check its header; files keep their bytes, images from memory become canonical pixels."""
    stage, size, digest = "read", None, ""
    try:
        found = source.read(row, settings.max_bytes)
        if isinstance(found, bytes):
            size, digest, stage = len(found), digest_of(found), "sniff"
            header = header_of(found, settings)
            return Opened(row, header, size, digest, header.height, header.width)
        stage = "decode"
        decoded = image_of(found, settings)
        return Opened(row, decoded, None, "", *decoded.rgb.shape[:2])
    except Exception as error:
        return Failure(row, frame_error(error, stage), size, digest)


def decode_row(opened: Opened, settings: DecodeSettings, place: NDArray[np.uint8]) -> Decoded | Failure:
    """Put the canonical pixels of an opened row into `place`, which has room for exactly them; its content is used up."""
    out = place.reshape(opened.height, opened.width, 3)
    content = opened.take()
    try:
        if isinstance(content, Header):
            return pixels_of(content, settings, out)
        np.copyto(out, content.rgb)
        return replace(content, rgb=out)
    except Exception as error:
        known = (opened.size_bytes, opened.digest, opened.width, opened.height, content.format)
        return Failure(opened.row, frame_error(error, "decode"), *known)


def frame_error(error: Exception, stage: str) -> FrameError:
    """An exception as the error of one frame: reason ``internal``, or ``out_of_memory``, unless it names its own."""
    error.__traceback__ = error.__context__ = None
    if isinstance(error, FrameError):
        return error
    reason = "out_of_memory" if isinstance(error, MemoryError) else "internal"
    wrapped = FrameError(reason, f"{type(error).__name__}: {error}"[:200], stage=stage)
    wrapped.__cause__ = error
    return wrapped


def batches(source: Source, rows: Sequence[int], batch: int, limit: float) -> Iterator[list[int]]:
    """Rows to be read together: at most `batch` of them, and `limit` bytes where the source knows the weight of a row."""
    taken: list[int] = []
    weight = 0
    for row in rows:
        if taken and (len(taken) >= batch or weight + source.weight(row) > limit):
            yield taken
            taken, weight = [], 0
        taken.append(row)
        weight += source.weight(row)
    if taken:
        yield taken


def split(opened: Iterable[Opened | Failure], limit: float) -> Iterator[list[Opened | Failure]]:
    """Rows that are decoded together: as many as fit into `limit` bytes of pixels, at least one; failures weigh nothing."""
    part: list[Opened | Failure] = []
    size = 0
    for item in opened:
        more = item.size if isinstance(item, Opened) else 0
        if more and size and size + more > limit:
            yield part
            part, size = [], 0
        part.append(item)
        size += more
    if part:
        yield part
