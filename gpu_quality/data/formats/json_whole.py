"""A whole JSON file at once, for those who need all of it anyway."""

import gc
from pathlib import Path
from typing import Any

from gpu_quality.errors import UsageError
from gpu_quality.kernels.results import Results, results


def load_results(path: Path) -> Results | Any:
    """COCO results as columns where the text is nothing but boxes with ids and scores, else what the file holds.

    Raises as `load_json`.
    """
    data = _bytes(path)
    columns = results(data)
    return _parsed(path, data) if columns is None else columns


def load_json(path: Path) -> Any:
    """What a JSON file holds. Raises `UsageError` naming the file, and the place where it stops being JSON."""
    return _parsed(path, _bytes(path))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "check the path and its permissions"
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=hint) from error


def _parsed(path: Path, data: bytes) -> Any:
    import orjson

    collecting = gc.isenabled()
    gc.disable()  # millions of new objects, none of them garbage
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        hint = "write the file again: it may be cut off, or hold NaN, which is no JSON"
        raise UsageError(f"{path} is no JSON: {error.msg} ({where})", hint=hint) from error
    finally:
        if collecting:
            gc.enable()
