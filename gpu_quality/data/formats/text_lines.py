"""Lines of text files that may hold anything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gpu_quality.errors import UsageError

LONGEST: Final = 16 << 20
"""Bytes of the longest line that is read: a polygon of a million points."""


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number, counted from 1, and text of every line, its end removed; bytes that are not UTF-8 become ``\ufffd``.

    Raises `UsageError` where the file cannot be read or a line is longer than `LONGEST` bytes.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while data := file.readline(LONGEST + 1):
                number += 1
                if len(data) > LONGEST:
                    raise UsageError(f"{path}: line {number} is longer than {LONGEST:,} bytes")
                text = data.decode("utf-8", "replace").rstrip("\r\n")
                yield number, text.removeprefix("\ufeff") if number == 1 else text
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
