"""Frames of video files, through PyAV: its wheels carry FFmpeg, so that nothing else has to be installed."""

import importlib.util
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gpu_quality.data.containers import Expected, check_unchanged, opened, version_of
from gpu_quality.data.forward import Forward
from gpu_quality.errors import DecodeError, FrameError, UsageError

MOST_PIXELS: Final = 1 << 28
"""Of one frame; FFmpeg refuses larger ones before it allocates anything."""
CROWD: Final = 6
"""How much heavier than it is a frame is called: it is decoded when it is read, and batches of such frames that keep to memory
that is warm already are twice as quick (720p on two cores: 450 frames/s in batches of 16, 230 in batches of 64)."""
_VP8_SHOWN: Final = 0x10
"""The bit of a VP8 frame's first byte that says that it is shown (RFC 6386, 9.1)."""


@dataclass(frozen=True, slots=True)
class Video:
    """What the packets of a video say; no frame but the first was decoded."""

    count: int
    times: NDArray[np.int64] | None
    """Presentation times of the frames in ascending order; None where the file gives none, and frames can only be counted."""
    keys: NDArray[np.int64]
    """Frames at which decoding can begin; the first one is 0."""
    seconds: NDArray[np.float64]
    """From the first frame on; NaN where unknown."""
    width: int
    height: int
    """As the frame is shown: turned the way the file says. 0 where not even the first frame can be decoded."""


class VideoSource:
    """Frames of one video as rows; `indices` count the frames from 0 in the order they are shown."""

    def __init__(self, path: str, indices: Sequence[int], expected: Expected) -> None:
        self.path, self.indices, self.expected = path, indices, expected
        self._opened: tuple[Video, Forward[Any]] | None = None
        self._turn = threading.Lock()

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.indices)

    def read(self, row: int, max_bytes: int) -> NDArray[np.uint8]:  # noqa: ARG002  part of the protocol
        """One frame, height x width x 3, upright; raises `FrameError` where the video does not yield it."""
        video, frames = self._open()
        index = self.indices[row]
        try:
            frame = frames.take(index)
        except LookupError:
            raise DecodeError("truncated", f"frame {index} of {video.count} cannot be decoded") from None
        # Colors are converted here, by the thread that asked, while others decode on.
        return upright(frame.to_ndarray(format="rgb24"), _matrix(frame))

    def weight(self, row: int) -> int:  # noqa: ARG002  all frames are of one size
        """Bytes of the frame's pixels, times `CROWD`."""
        try:
            video, _ = self._open()
        except FrameError:
            return 0
        return video.width * video.height * 3 * CROWD

    def _open(self) -> tuple[Video, Forward[Any]]:
        with self._turn:
            if self._opened is None:
                with opened(self.path) as (_, found):
                    check_unchanged(found, self.expected)
                path, video = self.path, _kept_video(self.path, version_of(found))
                frames = Forward(lambda index: _frames(path, video, index), video.keys, self.indices, _weight)
                self._opened = video, frames
            return self._opened


def installed() -> bool:
    """Whether videos can be read."""
    return importlib.util.find_spec("av") is not None


def library() -> Any:
    """PyAV; raises `UsageError` where it is not installed."""
    try:
        import av
    except ImportError:
        raise UsageError("videos are read with PyAV, which is not installed", hint='pip install "gpu_quality[video]"') from None
    return av


@lru_cache(maxsize=16)
def _kept_video(path: str, version: tuple[int, ...]) -> Video:  # noqa: ARG001  another state has another index
    return video_of(path)


def video_of(path: str) -> Video:
    """Count the frames of a video by its packets, without decoding any but the first.

    Raises `FrameError`: ``decode_error`` for what is no video, ``empty`` for a video without frames.
    """
    av = library()
    try:
        with av.open(path) as container:
            stream = _stream_of(container)
            packets = [_facts(packet) for packet in container.demux(stream) if _shown(packet, stream)]
            base, rate = float(stream.time_base or 0), float(stream.average_rate or 0)
        if not packets:
            raise DecodeError("empty", "the video has no frames")
        return _indexed(packets, base, rate, _first_size(path))
    except av.FFmpegError as error:
        raise DecodeError("decode_error", f"not a video that FFmpeg reads: {error.strerror or error}") from None


def _indexed(packets: list[tuple[int | None, bool]], base: float, rate: float, size: tuple[int, int]) -> Video:
    known = [pts for pts, _ in packets if pts is not None]
    n = len(packets)
    if len(set(known)) < n:  # without a time for each frame, they can only be counted
        seconds = np.arange(n) / rate if rate > 0 else np.full(n, np.nan)
        return Video(n, None, np.zeros(1, np.int64), seconds, *size)
    times = np.array(sorted(known), np.int64)
    keys = np.searchsorted(times, np.array([pts for pts, key in packets if key], np.int64))
    keys = np.unique(np.concatenate([[0], keys])).astype(np.int64)
    return Video(n, times, keys, (times - times[0]) * base if base > 0 else np.full(n, np.nan), *size)


def _stream_of(container: Any) -> Any:
    if not container.streams.video:
        raise DecodeError("empty", "the file has no video in it")
    stream = container.streams.video[0]
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return stream


def _facts(packet: Any) -> tuple[int | None, bool]:
    return packet.pts, bool(packet.is_keyframe)


def _shown(packet: Any, stream: Any) -> bool:
    """Whether a packet becomes a frame: not the empty one at the end, nor those that only later frames refer to."""
    if not packet.size or packet.is_discard:
        return False
    return stream.codec_context.name != "vp8" or bool(bytes(packet)[0] & _VP8_SHOWN)


def _first_size(path: str) -> tuple[int, int]:
    """Width and height of the first frame as it is shown, which may be turned; zeros where it cannot be decoded."""
    for _, frame in _decoded(path, None):
        swapped = turn_of(_matrix(frame))[0]
        return (frame.height, frame.width) if swapped else (frame.width, frame.height)
    return 0, 0


def _frames(path: str, video: Video, index: int) -> Iterator[tuple[int, Any]]:
    """Frames by index, from the last place at or before `index` where decoding can begin."""
    if video.times is None:
        yield from enumerate(frame for _, frame in _decoded(path, None))
        return
    key = int(video.keys[np.searchsorted(video.keys, index, side="right") - 1])
    for pts, frame in _decoded(path, int(video.times[key]) if key else None):
        at = -1 if pts is None else int(np.searchsorted(video.times, pts))
        # Frames shown before the key frame but stored behind it need what lies before it.
        if key <= at < video.count and video.times[at] == pts:
            yield at, frame


def _decoded(path: str, begin: int | None) -> Iterator[tuple[int, Any]]:
    """Frames with their times as they are shown; with `begin` from the key frame of this time on, or from an earlier one."""
    av = library()
    with av.open(path) as container:
        stream = _stream_of(container)
        stream.thread_type = "AUTO"
        if begin is not None and not _sought(av, container, stream, begin):
            yield from _decoded(path, None)
            return
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:  # the file is broken from here on
                packet = None
            try:
                for frame in stream.codec_context.decode(packet):
                    yield frame.pts, frame
            except av.FFmpegError:  # one packet is broken: its frame will be found missing
                if packet is None:
                    return
            if packet is None or not packet.size:
                return


def _sought(av: Any, container: Any, stream: Any, begin: int) -> bool:
    """Move to a key frame at or before the time `begin`; whether the file's own index led there."""
    try:
        container.seek(begin, stream=stream, backward=True, any_frame=False)
        first = next(packet for packet in container.demux(stream))
        good = first.size and first.is_keyframe and first.pts is not None and first.pts <= begin
        if good:
            container.seek(begin, stream=stream, backward=True, any_frame=False)
    except (av.FFmpegError, StopIteration):
        return False
    return bool(good)


def _matrix(frame: Any) -> NDArray[np.int32] | None:
    """The display matrix of a frame: nine numbers, the first two columns of each row with 16 binary places."""
    data = frame.side_data.get("DISPLAYMATRIX")
    return None if data is None or len(bytes(data)) < 36 else np.frombuffer(bytes(data)[:36], np.int32).reshape(3, 3)


def turn_of(matrix: NDArray[np.int32] | None) -> tuple[bool, bool, bool]:
    """Whether rows become columns, and then whether the rows and the columns run backwards, for turns by right angles."""
    if matrix is None:
        return False, False, False
    (a, b), (c, d) = matrix[0, :2].tolist(), matrix[1, :2].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, b < 0, c < 0
    return False, d < 0, a < 0


def upright(rgb: NDArray[np.uint8], matrix: NDArray[np.int32] | None) -> NDArray[np.uint8]:
    """A frame, height x width x 3, as its display matrix wants it shown."""
    swapped, rows, columns = turn_of(matrix)
    image = rgb.swapaxes(0, 1) if swapped else rgb
    return np.ascontiguousarray(image[:: -1 if rows else 1, :: -1 if columns else 1])


def _weight(frame: Any) -> int:
    return int(frame.width) * int(frame.height) * 2
