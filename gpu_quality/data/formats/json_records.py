"""Large JSON files piece by piece: the lists of a top-level object, or a top-level list, a few megabytes of records at a time.

A file is never parsed as a whole, so memory does not grow with it. A piece is cut where one object ends and the next begins; if
the parser does not agree (the cut lies inside a text or a nested list), the brackets are counted instead.
"""

import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from gpu_quality.errors import UsageError

PIECE: Final = 1 << 20
"""Bytes parsed at a time: parsed they take about ten times as much, and larger pieces are no faster (0.5 to 4 MB measured)."""

_BETWEEN: Final = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{")
_KEY: Final = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')
_LONGEST_KEY: Final = 1 << 16
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_STEP: Final = np.zeros(256, np.int64)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1
_MARK: Final = np.zeros(256, bool)
_MARK[list(b'[{]},"')] = True


@dataclass(frozen=True, slots=True)
class Piece:
    """Some records of the list behind `key` ("" for a top-level list); `first` is the place of the first of them in it.

    `records` is None where the value is no list.
    """

    key: str
    first: int
    records: list[Any] | None


@contextmanager
def collector_paused() -> Iterator[None]:
    """No search for reference cycles meanwhile: parsed JSON has none, and looking for them takes longer than parsing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def read_pieces(path: Path) -> Iterator[Piece]:
    """The lists in a JSON file, piece by piece in the file's order; an empty list gives one empty piece.

    Raises `UsageError` naming file and byte where the text is not JSON or ends too early.
    """
    with path.open("rb") as file:
        yield from _Reader(path, file).pieces()


class _Reader:
    """A window on the file: `window[place:]` is what is not yet parsed, `before` the bytes that were dropped in front of it."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.window, self.place, self.before, self.ended = b"", 0, 0, False

    def pieces(self) -> Iterator[Piece]:
        self.fill(PIECE)
        if self.window.startswith(b"\xef\xbb\xbf"):
            self.place = 3
        opening = self.peek()
        if opening not in (b"[", b"{"):
            raise self.error("a JSON object or list was expected")
        self.place += 1
        yield from self.items("") if opening == b"[" else self.members()
        if self.peek():
            raise self.error("the JSON value has ended, and more text follows")

    def members(self) -> Iterator[Piece]:
        """The members of the top-level object, `place` being behind its brace."""
        if self.peek() == b"}":
            self.place += 1
            return
        while True:
            self.fill(_LONGEST_KEY)
            match = _KEY.match(self.window, self.place)
            if match is None:
                raise self.error('a key in quotes and ":" were expected')
            key, self.place = str(self.parse(match[1], self.place)), match.end()
            if self.peek() == b"[":
                self.place += 1
                yield from self.items(key)
            else:
                self.skip(key)
                yield Piece(key, 0, None)
            follows = self.peek()
            if follows not in (b"}", b","):
                raise self.error('"," or "}" was expected' if follows else "the file ends inside the top-level object")
            self.place += 1
            if follows == b"}":
                return

    def items(self, key: str) -> Iterator[Piece]:
        """The records of a list, `place` being behind its bracket."""
        first = 0
        while True:
            records, closed = self.quick_piece()
            if records is None:
                records, closed = self.counted_piece(first)
            yield Piece(key, first, records)
            first += len(records)
            if closed:
                return

    def quick_piece(self) -> tuple[list[Any] | None, bool]:
        """Records up to the first likely border behind half a piece, if the parser takes them."""
        self.fill(PIECE)
        border = _BETWEEN.search(self.window, self.place + PIECE // 2)
        if border is None:
            return None, False
        try:
            records = orjson.loads(b"[" + self.window[self.place : border.start() + 1] + b"]")
        except orjson.JSONDecodeError:
            return None, False
        self.place = border.end() - 1
        return records, False

    def counted_piece(self, first: int) -> tuple[list[Any], bool]:
        """Records up to the last comma between them in the window, or to the bracket that closes the list."""
        comma, closing = borders(self.window, self.place)
        while comma < 0 and closing < 0:
            if not self.fill(2 * (len(self.window) - self.place) + 1):
                self.parse(b"[" + self.window[self.place :], self.place - 1)
                raise self.error("the file ends inside a list")
            comma, closing = borders(self.window, self.place)
        end = closing if closing >= 0 else comma
        text = self.window[self.place : end]
        records = self.parse(b"[" + text + b"]", self.place - 1)
        self.demand(end, b"]" if closing >= 0 else b",")
        if first and not records:
            raise self.error("another record was expected after the comma")
        self.place = end + 1
        return records, closing >= 0

    def skip(self, key: str) -> None:
        """Step over a value that is no list."""
        comma, closing = borders(self.window, self.place, first=True)
        while comma < 0 and closing < 0:
            if not self.fill(2 * (len(self.window) - self.place) + 1):
                raise self.error(f"the file ends inside the value of {key!r}")
            comma, closing = borders(self.window, self.place, first=True)
        end = min(e for e in (comma, closing) if e >= 0)
        self.parse(self.window[self.place : end], self.place)
        self.demand(end, b"}" if end == closing else b",")
        self.place = end

    def demand(self, place: int, byte: bytes) -> None:
        """Refuse a bracket of the other kind."""
        if self.window[place : place + 1] != byte:
            self.place = place
            raise self.error(f'"{byte.decode()}" was expected')

    def parse(self, text: bytes, place: int) -> Any:
        """The value of a text that starts at `place` of the window; NaN and Infinity are left for the rules to refuse."""
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
        try:
            found = json.loads(text.decode())
            return _whole(found) if b"\\ud" in text.lower() else found
        except json.JSONDecodeError as error:
            self.place = place + len(text.decode()[: error.pos].encode())
            raise self.error(error.msg) from None
        except UnicodeDecodeError as error:
            self.place = place + error.start
            raise self.error("a text that is not UTF-8") from None
        except RecursionError:
            self.place = place
            raise self.error("lists or objects nested too deeply") from None

    def error(self, problem: str) -> UsageError:
        return UsageError(f"{self.path} is not readable JSON: byte {self.before + max(self.place, 0)}: {problem}")

    def peek(self) -> bytes:
        """The next byte that is no space, left in place; b"" at the end of the file."""
        while True:
            match = _SPACE.match(self.window, self.place)
            self.place = match.end() if match else self.place
            if self.place < len(self.window) or not self.fill(1):
                return self.window[self.place : self.place + 1]

    def fill(self, wanted: int) -> bool:
        """Read on until `wanted` unparsed bytes are there; False where none came."""
        rest = len(self.window) - self.place
        if self.ended or rest >= wanted:
            return False
        more = self.file.read(max(wanted - rest, PIECE))
        self.ended = not more
        self.before += self.place
        self.window, self.place = self.window[self.place :] + more, 0
        return bool(more)


def _whole(value: Any) -> Any:
    """The value with ``?`` for halves of characters, which JSON can spell and no table can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_whole(v) for v in value]
    return {_whole(k): _whole(v) for k, v in value.items()} if isinstance(value, dict) else value


def borders(window: bytes, place: int, *, first: bool = False) -> tuple[int, int]:
    """Where, from `place` on, the last (or first) comma outside all brackets stands, and the bracket that closes what was open
    before `place`; -1 where there is none. Brackets inside texts do not count.
    """
    data = np.frombuffer(window, np.uint8)[place:]
    at = np.flatnonzero(_MARK[data])
    kind = data[at]
    quote = kind == ord('"')
    quote[quote] = ~_escaped(data, at[quote])
    inside = (np.cumsum(quote) & 1).astype(bool)
    depth = np.cumsum(np.where(inside, 0, _STEP[kind]))
    closing = np.flatnonzero(depth < 0)
    end = int(closing[0]) if len(closing) else len(at)
    commas = at[:end][(kind[:end] == ord(",")) & ~inside[:end] & (depth[:end] == 0)]
    comma = int(commas[0 if first else -1]) + place if len(commas) else -1
    return comma, int(at[end]) + place if len(closing) else -1


def _escaped(data: NDArray[np.uint8], quotes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether an odd number of backslashes stands before each of these places."""
    odd = np.zeros(len(quotes), bool)
    for i in np.flatnonzero((quotes > 0) & (data[np.maximum(quotes - 1, 0)] == ord("\\"))):
        start = quotes[i]
        while start > 0 and data[start - 1] == ord("\\"):
            start -= 1
        odd[i] = (quotes[i] - start) % 2 == 1
    return odd
