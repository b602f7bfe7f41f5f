"""Which annotation format a JSON file holds, told from its beginning."""

import re
from pathlib import Path
from typing import BinaryIO, Final, Literal

import orjson

JsonKind = Literal["coco", "panoptic", "labelbox", "encord", ""]

_HEAD: Final = 1 << 20
_FARTHEST: Final = 1 << 26
"""Bytes looked through for the first annotation: long lists of images may stand before it."""
_LABELBOX: Final = re.compile(rb'"(?:data_row|dataRow)"\s*:\s*[{"]')
_ENCORD: Final = re.compile(rb'"data_units"\s*:\s*\{')
_FIRST: Final = re.compile(rb'"(segments_info|segmentation|bbox|keypoints|iscrowd|category_id|score)"\s*:')


def json_kind(path: Path) -> JsonKind:
    """The format of a JSON file, "" where it is none of those read here or no JSON; never raises."""
    try:
        with path.open("rb") as file:
            return _kind(file)
    except OSError:
        return ""


def _kind(file: BinaryIO) -> JsonKind:
    head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:1] not in (b"{", b"["):
        return ""
    if _LABELBOX.search(head):
        return "labelbox"
    if _ENCORD.search(head):
        return "encord"
    if _is_lines(head):
        return ""
    read = len(head)
    while head:
        found = _FIRST.search(head)
        if found is not None:
            return "panoptic" if found[1] == b"segments_info" else "coco"
        more = file.read(_HEAD) if read < _FARTHEST else b""
        read += len(more)
        head = head[-64:] + more if more else b""
    return "coco"


def _is_lines(head: bytes) -> bool:
    """Whether every line is an object of its own."""
    first, _, rest = head.partition(b"\n")
    if not rest.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(orjson.loads(first), dict)
    except orjson.JSONDecodeError:
        return False
