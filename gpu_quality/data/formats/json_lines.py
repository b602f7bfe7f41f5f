"""Newline-delimited JSON: one object a line, each on its own, so that a bad line does not stop the others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from gpu_quality.data.formats.json_records import read_pieces
from gpu_quality.errors import UsageError

LONGEST: Final = 1 << 27
"""Bytes of the longest line that is parsed: a row of an export may hold a whole video."""
_BLOCK: Final = 1 << 20


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Number, counted from 1, and object of every line that is not empty; a text where the line is none, saying why.

    A file that is one JSON list is read too; then numbers are places in it, counted from 0. Raises `UsageError` where the file
    cannot be read.
    """
    try:
        if _is_list(path):
            for piece in read_pieces(path):
                for place, record in enumerate(piece.records or [], piece.first):
                    yield place, record if isinstance(record, dict) else "the record is no JSON object"
            return
        with path.open("rb") as file:
            yield from _lines(file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="give the path of an NDJSON file") from error


def _is_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_BLOCK).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _lines(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any] | str]]:
    number = 0
    while data := file.readline(LONGEST + 1):
        number += 1
        if len(data) > LONGEST:
            while data and not data.endswith(b"\n"):
                data = file.readline(_BLOCK)
            yield number, f"the line is longer than {LONGEST >> 20} MB"
            continue
        data = data.strip().removeprefix(b"\xef\xbb\xbf")
        if data:
            yield number, _object(data)


def _object(data: bytes) -> dict[str, Any] | str:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return f"the line is not JSON: {error}"
    return found if isinstance(found, dict) else f"the line is no JSON object: {repr(found)[:80]}"
