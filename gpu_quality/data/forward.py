"""Reading a stream that only goes forward (frames of a video, rows of a compressed table) for threads that ask for places."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

MOST_HELD: Final = 128_000_000
"""Bytes of items that were passed on the way to a later one and are kept for the thread that will ask for them."""
LEAP: Final = 64
"""Wanted items that are passed rather than jumped over: threads that work together ask nearly in order, and the earlier ones
would otherwise be decoded a second time."""


class Forward(Generic[T]):
    """Items of a stream by their index; asked for nearly in order, each is produced once.

    `start` opens the stream so that it yields (index, item) in order from the largest of `segments` that is not above the index
    given; `segments` are the places where it can begin, the first of them 0. `wanted` are the indices that will be asked for,
    in order, and `size` says how many bytes an item holds.
    """

    def __init__(
        self,
        start: Callable[[int], Iterator[tuple[int, T]]],
        segments: NDArray[np.int64],
        wanted: Sequence[int],
        size: Callable[[T], int],
    ) -> None:
        self._start, self._segments, self._size = start, segments, size
        self._wanted = np.array(sorted(set(wanted)), np.int64)
        self._keep = frozenset(self._wanted.tolist())
        self._turn = threading.Lock()
        self._items: Iterator[tuple[int, T]] | None = None
        self._next = 0
        self._passed: dict[int, T] = {}
        self._held = 0
        self._ends: dict[int, int] = {}

    def take(self, index: int) -> T:
        """The item with this index; raises `LookupError` where the stream does not yield it."""
        with self._turn:
            if index in self._passed:
                return self._let_go(index)
            if index >= self._ends.get(self._segment(index), index + 1):
                raise LookupError(index)
            if self._items is None or index < self._next or self._worth_a_jump(index):
                self._items, self._next = self._start(index), int(self._segments[self._segment(index)])
            try:
                return self._advance(self._items, index)
            except BaseException:
                self._items = None
                raise

    def _advance(self, items: Iterator[tuple[int, T]], index: int) -> T:
        for at, item in items:
            self._next = at + 1
            if at == index:
                return item
            if at in self._keep:
                self._hold(at, item)
            if at > index:
                raise LookupError(index)
        self._ends[self._segment(index)] = min(self._next, index)
        raise LookupError(index)

    def _segment(self, index: int) -> int:
        return int(np.searchsorted(self._segments, index, side="right")) - 1

    def _worth_a_jump(self, index: int) -> bool:
        """Whether a later beginning is nearer than the present place and nothing that is asked for just now is left behind."""
        begin = self._segments[self._segment(index)]
        if begin <= self._next:
            return False
        passed = np.searchsorted(self._wanted, index) - np.searchsorted(self._wanted, self._next)
        return bool(passed == 0 or passed > LEAP)

    def _hold(self, at: int, item: T) -> None:
        self._passed[at] = item
        self._held += self._size(item)
        while self._held > MOST_HELD and len(self._passed) > 1:
            self._let_go(next(iter(self._passed)))

    def _let_go(self, index: int) -> T:
        item = self._passed.pop(index)
        self._held -= self._size(item)
        return item
