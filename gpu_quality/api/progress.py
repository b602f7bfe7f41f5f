"""What a run tells whoever watches it."""

from typing import Protocol


class Progress(Protocol):
    """Receives the story of a run; the command line shows it, Python callers may pass their own."""

    def say(self, text: str) -> None:
        """One sentence."""

    def begin(self, total: int, done: int, unit: str) -> None:
        """Work of `total` units starts, of which `done` were finished by an earlier run."""

    def advance(self, count: int, errors: int) -> None:
        """`count` more units are finished, `errors` of them failed."""

    def end(self) -> None:
        """The work begun last is over."""


class Silent:
    """Tells nobody."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def begin(self, total: int, done: int, unit: str) -> None:
        """Show nothing."""

    def advance(self, count: int, errors: int) -> None:
        """Count nothing."""

    def end(self) -> None:
        """End nothing."""
