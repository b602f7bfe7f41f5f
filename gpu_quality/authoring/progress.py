"""How far a class-form metric is, for whoever watches it."""

import sys
import time
from typing import Final, Protocol

EVERY: Final = 0.2
"""Seconds between two looks at the line."""


class Progress(Protocol):
    """Receives the story of a metric; any progress that a run takes will do."""

    def say(self, text: str) -> None:
        """One sentence."""

    def begin(self, total: int, done: int, unit: str) -> None:
        """A pass over `total` units starts."""

    def advance(self, count: int, errors: int) -> None:
        """`count` more units are finished."""

    def end(self) -> None:
        """The pass is over."""


class Ticker:
    """A line on stderr with rate and time left; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._total = self._done = 0
        self._begun = self._last = 0.0

    def say(self, text: str) -> None:
        """One sentence."""
        sys.stderr.write(f"{text}\n")

    def begin(self, total: int, done: int, unit: str) -> None:  # noqa: ARG002 - the line counts frames
        """Start a line."""
        self._total, self._done = total, done
        self._begun = self._last = time.monotonic()

    def advance(self, count: int, errors: int) -> None:  # noqa: ARG002 - a metric that fails ends
        """Draw the line anew, a few times a second."""
        self._done += count
        now = time.monotonic()
        if self._shown and now - self._last > EVERY:
            self._last = now
            rate = self._done / (now - self._begun)
            left = (self._total - self._done) / rate
            sys.stderr.write(f"\r{self._done:,}/{self._total:,} frames, {rate:,.0f}/s, {left:,.0f} s left \x1b[K")
            sys.stderr.flush()

    def end(self) -> None:
        """Wipe the line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
