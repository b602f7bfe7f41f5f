"""The markers of a JPEG file, read in a few microseconds: sizes, scans and the EXIF orientation, no pixels."""

import re
import struct
from dataclasses import dataclass
from typing import Final

from gpu_quality.errors import DecodeError

SIGNATURE: Final = b"\xff\xd8\xff"
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, RST0 to RST7 and SOI."""
_APP1, _SOS, _EOI = 0xE1, 0xDA, 0xD9
_ORIENTATION: Final = 0x0112
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\x00"
_XMP_ORIENTATION: Final = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_MARKER: Final = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)
"""The next marker inside entropy-coded data: neither a stuffed byte nor a restart marker."""
_CUT: Final = "the file ends inside its header"


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What the markers before the first scan promise; width and height as stored, before the EXIF turn."""

    width: int
    height: int
    components: int
    precision: int
    orientation: int
    scans: int
    """Number of scans: exact up to `max_scans`, then some number above it."""


def read_markers(data: bytes, max_scans: int) -> JpegHeader:
    """Everything known about a JPEG file before decoding it.

    Garbage between markers is stepped over, as decoders do. The cost is bounded by the number of marker segments; scans
    are counted only in files that can have several (progressive or not interleaved).

    Raises
    ------
    DecodeError
        ``truncated`` when the file ends before its first scan, ``decode_error`` when a marker segment is impossible.
    """
    frame: tuple[int, int, int, int] | None = None
    kind, exif, xmp, end = 0, None, None, len(data)
    position = data.find(b"\xff", 2)
    while 0 <= position < end - 3:
        marker = data[position + 1]
        if marker in (0xFF, 0x00) or marker in _BARE:
            position = data.find(b"\xff", position + (1 if marker == 0xFF else 2))
            continue
        if marker == _EOI:
            break
        length = data[position + 2] << 8 | data[position + 3]
        start, stop = position + 4, position + 2 + length
        if length < 2:
            raise DecodeError("decode_error", f"JPEG marker {marker:#x} has length {length}", stage="sniff")
        if stop > end:
            break
        if marker in _SOF and frame is None:
            if length < 8:
                raise DecodeError("decode_error", f"JPEG frame header of {length} bytes", stage="sniff")
            kind, frame = marker, struct.unpack_from(">BHHB", data, start)
        elif marker == _APP1 and exif is None and data.startswith(b"Exif\x00\x00", start):
            exif = orientation_of(data[start + 6 : stop])
        elif marker == _APP1 and xmp is None and data.startswith(_XMP, start):
            xmp = _XMP_ORIENTATION.search(data, start, stop)
        elif marker == _SOS and frame is not None:
            several = kind in _PROGRESSIVE or (length > 2 and data[start] < frame[3])
            turn = exif if exif is not None else int(xmp[1]) if xmp else 1
            return JpegHeader(
                width=frame[2],
                height=frame[1],
                components=frame[3],
                precision=frame[0],
                orientation=turn if 1 <= turn <= 8 else 1,
                scans=_count_scans(data, position, max_scans) if several else 1,
            )
        position = data.find(b"\xff", stop)
    raise DecodeError("truncated", _CUT, stage="sniff")


def _count_scans(data: bytes, position: int, max_scans: int) -> int:
    """Number of scans from the first one on; stops counting above `max_scans`."""
    # Start-of-scan bytes cannot occur inside entropy-coded data, so their plain count is an upper bound.
    if data.count(b"\xff\xda", position) <= max_scans:
        return data.count(b"\xff\xda", position)
    scans = 0
    while scans <= max_scans and (found := _MARKER.search(data, position)):
        marker, position = data[found.end() - 1], found.end()
        if marker == _EOI or position + 2 > len(data):
            break
        scans += marker == _SOS
        if marker not in _BARE:
            position += max(data[position] << 8 | data[position + 1], 2)
    return scans


def orientation_of(exif: bytes) -> int | None:
    """Orientation tag of a TIFF-structured EXIF block, as stored; None when there is none or the block is broken."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return None
    (offset,) = struct.unpack_from(f"{order}I", exif, 4)
    if offset + 2 > len(exif):
        return None
    (count,) = struct.unpack_from(f"{order}H", exif, offset)
    entries = min(count, (len(exif) - offset - 2) // 12)
    for entry in range(offset + 2, offset + 2 + 12 * entries, 12):
        tag, kind, _ = struct.unpack_from(f"{order}HHI", exif, entry)
        if tag == _ORIENTATION:
            code = {1: "B", 3: "H", 4: "I"}.get(kind)
            return None if code is None else int(struct.unpack_from(order + code, exif, entry + 8)[0])
    return None
