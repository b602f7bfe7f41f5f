"""Where things lie in a store, and the sealed JSON files that describe them."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gpu_quality.errors import CorruptError, NotAStoreError, UsageError
from gpu_quality.store.commit import Content, pieces

FORMAT_VERSION: Final = 1
RUN, LOCK, INPUT, LAYERS, RESULTS, LOGS = "run.json", ".lock", "input", "layers", "results", "logs"
LAYER, SHARD, COMPLETE, SUMS = "layer.json", "shard.json", "complete.json", "sums.json"
INPUT_TABLES: Final = ("frames", "objects", "classifications", "errors")
SHARD_TABLES: Final = ("frames", "objects", "classifications", "errors", "nulls")
ROW: Final = {"frames": "row", "objects": "object_row", "classifications": "classification_row"}
"""Column, added by `Store.commit`, that says which row of the frozen input a stored row belongs to."""
WHOLE: Final = "all"
"""Name of the only shard of a layer whose columns need the whole data set."""
PER: Final = {"frame": "frames", "object": "objects", "classification": "classifications"}
_SHARD_NAME: Final = re.compile(r"\d{5,}|all")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,199}")
_OURS: Final = frozenset({RUN, LOCK, INPUT, LAYERS, "index", "metrics", RESULTS, LOGS})


def is_shard(name: str) -> bool:
    """Whether a folder of a layer is a committed shard; everything else in there is staged or foreign."""
    return _SHARD_NAME.fullmatch(name) is not None


def checked_name(name: str, what: str) -> str:
    """`name` if it can be a file's name on any system. Raises `UsageError`."""
    if not _FILE_NAME.fullmatch(name):
        raise UsageError(f"{what} {name[:200]!r} cannot be the name of a file", hint="use letters, digits, _ . @ and -")
    return name


def refuse_foreign(path: Path) -> None:
    """Raise `NotAStoreError` if `path` exists and holds anything but a store, or the beginning of one."""
    try:
        names = sorted(item.name for item in path.iterdir())
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise NotAStoreError(f"{path} is not a folder", hint="name an empty or new folder") from error
    foreign = [name for name in names if name not in _OURS and not name.startswith(".stage-")]
    if foreign and RUN not in names:
        raise NotAStoreError(
            f"{path} is not empty and not a store: it holds {foreign[0]!r} and no {RUN}", hint="name an empty or new folder"
        )


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: tuples become lists, keys text, infinities and NaN null (no bound), paths text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if hasattr(value, "item"):
        return plain(value.item())
    return str(value)


def size_of(data: Content) -> int:
    """Number of bytes."""
    return sum(memoryview(part).nbytes for part in pieces(data))


def digest(data: Content) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    found = hashlib.sha256()
    for part in pieces(data):
        found.update(part)
    return found.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces. Raises `OSError`."""
    with path.open("rb", buffering=0) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _text(content: Mapping[str, Any]) -> bytes:
    return (
        json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
        + b"\n"
    )


def seal(content: Mapping[str, Any], file: str) -> bytes:
    """JSON that holds the name of its file and its own SHA-256; always the same bytes for the same content."""
    body = {**plain(content), "file": file}
    return _text({**body, "seal": digest(_text(body))})


def unseal(data: bytes, path: Path) -> dict[str, Any]:
    """The content of a sealed file, `seal` included. Raises `CorruptError` if one bit of it differs or it is another file."""
    try:
        content = json.loads(data.decode("utf-8", "surrogatepass"))
        claimed, file = content["seal"], content.pop("file")
        body = {key: value for key, value in content.items() if key != "seal"}
        whole = {**body, "file": file}
        if file == path.name and claimed == digest(_text(whole)) and data == _text({**whole, "seal": claimed}):
            return {**body, "seal": claimed}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise CorruptError(f"{path} is damaged: its content does not match its own checksum", hint="restore it, or run `repair`")


def read_sealed(path: Path) -> dict[str, Any]:
    """Content of a sealed JSON file. Raises `CorruptError` if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorruptError(f"{path} cannot be read: {error.strerror}", hint="restore it, or run `repair`") from error
    return unseal(data, path)
