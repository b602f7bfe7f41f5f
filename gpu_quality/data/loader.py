"""From rows of a source to batches of canonical pixels: read and decoded by threads, one batch ahead of the consumer."""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from gpu_quality.data.decode import Decoded, DecodeSettings
from gpu_quality.data.reading import Failure, Opened, batches, decode_row, open_row, split
from gpu_quality.data.sources import DatasetSource, FileSource, Source
from gpu_quality.errors import StalledError
from gpu_quality.types import Facts, Pixels

__all__ = ["DatasetSource", "Failure", "FileSource", "Loaded", "LoaderSettings", "Source", "load"]

_SLOTS: Final = 3
"""Batch buffers: one with the consumer, and two to fill, so that cores do not idle while metrics run on one of them."""
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True)
class LoaderSettings:
    """How frames are grouped and by how many threads they are decoded; none of it changes a pixel."""

    batch: int = 32
    batch_mb: float = 256.0
    """Most decoded megabytes (10⁶ bytes) of a batch; a larger frame has a batch of its own."""
    threads: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    decode: DecodeSettings = DecodeSettings()  # noqa: RUF009  frozen
    pin: bool = False
    """Page-locked buffers, for batches that are copied to CUDA."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """One batch. Its pixels lie in a buffer that is used again: they are valid until the next batch is drawn."""

    rows: list[int]
    """Rows that decoded, in the order asked for; frame `i` of the pixels is row ``rows[i]``."""
    pixels: Pixels | None
    """Never None from `load`; an engine that opens no image says so with None."""
    facts: Facts | None
    digests: list[str]
    """SHA-256 of the bytes as hex digits; empty for an image given in memory."""
    formats: list[str]
    failures: list[Failure]
    seconds: dict[str, float]
    """Wall seconds of this batch by phase: `read` (files, digests, headers) and `decode`."""


def load(source: Source, rows: Sequence[int], settings: LoaderSettings) -> Iterator[Loaded]:
    """Batches of the given rows in the order given; every row ends in one batch, as pixels or as a failure.

    A batch holds at most ``settings.batch`` rows and, unless it has one frame only, ``settings.batch_mb`` decoded
    megabytes; where it ends depends on the rows alone, not on threads or time. Memory: two buffers of the largest batch,
    and the bytes of the files of one batch (at most ``batch_mb`` or one file, where the source knows their sizes).
    Nothing runs before the first batch is drawn; leaving the loop early stops all threads.

    Raises
    ------
    StalledError
        The thread that reads ahead is gone, as it is in a child of a fork.
    """
    stream = _Stream(source, rows, settings)
    try:
        yield from stream.drawn()
    finally:
        stream.close()


class _Stopped(Exception):  # noqa: N818  no error: the consumer has left
    pass


class _Slot:
    """A buffer that grows to the largest batch it has held."""

    def __init__(self, settings: LoaderSettings) -> None:
        self.limit, self.pin = int(settings.batch_mb * 1e6), settings.pin
        self.data = torch.empty(0, dtype=torch.uint8)

    def room(self, size: int) -> torch.Tensor:
        """The first `size` bytes, whatever they hold."""
        if size > len(self.data):
            # A quarter more than asked for, so that slowly growing batches do not allocate each time.
            more = max(size, min(size + size // 4, self.limit))
            # NumPy asks the kernel for huge pages: the first touch of 40 MB took 2.4 instead of 13.6 ms.
            self.data = (
                torch.empty(more, dtype=torch.uint8, pin_memory=True)
                if self.pin
                else torch.from_numpy(np.empty(more, np.uint8))
            )
        return self.data[:size]


class _Frames(Dataset[Opened | Failure]):
    """Rows of a source as a torch data set: a whole batch is read by the threads of the stream."""

    def __init__(self, stream: "_Stream") -> None:
        self.stream = stream

    def __len__(self) -> int:
        return len(self.stream.source)

    def __getitem__(self, row: int) -> Opened | Failure:
        return open_row(self.stream.source, row, self.stream.settings.decode)

    def __getitems__(self, rows: list[int]) -> "_Read":
        begun = time.perf_counter()
        opened = self.stream.each(self.__getitem__, rows)
        return _Read(opened, time.perf_counter() - begun)


@dataclass(frozen=True, slots=True)
class _Read:
    opened: list[Opened | Failure]
    seconds: float


class _Stream:
    """Threads and buffers of one `load`."""

    def __init__(self, source: Source, rows: Sequence[int], settings: LoaderSettings) -> None:
        self.source, self.rows, self.settings = source, rows, settings
        self.stopping = threading.Event()
        self.free: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()
        self.ready: queue.SimpleQueue[tuple[Loaded, _Slot] | BaseException | None] = queue.SimpleQueue()
        # The thread that fills batches decodes too.
        self.pool = ThreadPoolExecutor(max(settings.threads - 1, 1), thread_name_prefix="gpu-quality-decode")
        self.thread = threading.Thread(target=self._fill, name="gpu-quality-prefetch", daemon=True)

    def drawn(self) -> Iterator[Loaded]:
        """What the prefetch thread makes; a buffer is handed back when the next batch is asked for."""
        for _ in range(_SLOTS):
            self.free.put(_Slot(self.settings))
        self.thread.start()
        while (item := self._next()) is not None:
            if isinstance(item, BaseException):
                raise item
            loaded, slot = item
            yield loaded
            self.free.put(slot)

    def close(self) -> None:
        """Stop all threads and wait until they are gone."""
        self.stopping.set()
        self.free.put(None)
        if self.thread.is_alive():
            self.thread.join()
        self.pool.shutdown(cancel_futures=True)

    def each(self, function: Callable[[_In], _Out], items: Sequence[_In]) -> list[_Out]:
        """The function of every item, in order, by all threads: each takes the next item when it is done with one."""
        results: list[Any] = [None] * len(items)
        left = iter(range(len(items)))  # `next` of a range iterator is one step of the interpreter, so no lock is needed

        def work() -> None:
            for index in left:
                if self.stopping.is_set():
                    raise _Stopped
                results[index] = function(items[index])

        helpers = [self.pool.submit(work) for _ in range(min(self.settings.threads, len(items)) - 1)]
        try:
            work()
        finally:
            for helper in helpers:
                helper.result()
        return results

    def _next(self) -> "tuple[Loaded, _Slot] | BaseException | None":
        while True:
            try:
                return self.ready.get(timeout=1.0)
            except queue.Empty:
                if not self.thread.is_alive() and self.ready.empty():
                    raise StalledError("the thread that reads ahead is gone; was this process forked?") from None

    def _fill(self) -> None:
        try:
            rows = batches(self.source, self.rows, self.settings.batch, self.settings.batch_mb * 1e6)
            # An own generator: reading images must not move the random state of the process.
            loader = DataLoader(_Frames(self), batch_sampler=rows, collate_fn=self._collate, generator=torch.Generator())  # type: ignore[arg-type]
            for parts in loader:
                for part in parts:
                    self.ready.put(part)
            self.ready.put(None)
        except _Stopped:
            pass
        except BaseException as error:
            self.ready.put(error)

    def _collate(self, read: _Read) -> Iterator[tuple[Loaded, _Slot]]:
        """Frames that were read together, side by side in one buffer, or in several when they are large."""
        seconds = read.seconds
        for part in split(read.opened, self.settings.batch_mb * 1e6):
            if (slot := self.free.get()) is None:
                raise _Stopped
            yield self._decoded(part, slot, seconds), slot
            seconds = 0.0

    def _decoded(self, part: list[Opened | Failure], slot: _Slot, read_seconds: float) -> Loaded:
        begun = time.perf_counter()
        opened = [item for item in part if isinstance(item, Opened)]
        ends = list(accumulate((item.size for item in opened), initial=0))
        buffer = slot.room(ends[-1])
        places = buffer.numpy()

        def decode(index: int) -> Decoded | Failure:
            return decode_row(opened[index], self.settings.decode, places[ends[index] : ends[index + 1]])

        decoded = self.each(decode, range(len(opened)))
        # A frame that failed this late leaves a gap in the buffer, which no offset points to.
        good = [index for index, item in enumerate(decoded) if isinstance(item, Decoded)]
        order = {item.row: index for index, item in enumerate(part)}
        failures = [item for item in (*part, *decoded) if isinstance(item, Failure)]
        stored = [item for item in decoded if isinstance(item, Decoded)]
        return Loaded(
            rows=[opened[index].row for index in good],
            pixels=_pixels(buffer, [ends[index] for index in good], [opened[index] for index in good]),
            facts=_facts(stored),
            digests=[opened[index].digest for index in good],
            formats=[item.format for item in stored],
            failures=sorted(failures, key=lambda failure: order[failure.row]),
            seconds={"read": read_seconds, "decode": time.perf_counter() - begun},
        )


def _pixels(buffer: torch.Tensor, offsets: list[int], opened: list[Opened]) -> Pixels:
    return Pixels(
        data=buffer,
        offset=torch.tensor(offsets, dtype=torch.int64),
        height=torch.tensor([item.height for item in opened], dtype=torch.int32),
        width=torch.tensor([item.width for item in opened], dtype=torch.int32),
    )


def _facts(stored: list[Decoded]) -> Facts:
    return Facts(
        file_size=torch.tensor([item.file_size for item in stored], dtype=torch.int64),
        channels=torch.tensor([item.channels for item in stored], dtype=torch.int64),
        bit_depth=torch.tensor([item.bit_depth for item in stored], dtype=torch.int64),
        transparent=torch.tensor([item.transparent for item in stored], dtype=torch.float64),
        reversed_x=torch.tensor([item.reversed_x for item in stored], dtype=torch.bool),
        reversed_y=torch.tensor([item.reversed_y for item in stored], dtype=torch.bool),
    )
