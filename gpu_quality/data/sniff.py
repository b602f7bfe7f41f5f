"""What the first bytes of a file that is no JPEG give away: formats that are refused, sizes, oversized metadata."""

import struct
from typing import Final

from gpu_quality.data.jpeg import orientation_of
from gpu_quality.errors import DecodeError

PNG: Final = b"\x89PNG\r\n\x1a\n"
MAX_METADATA: Final = 16 * 2**20
"""Bytes of text, profiles and other chunks a PNG may carry besides its pixels."""
_PIXEL_CHUNKS: Final = frozenset({b"IDAT", b"fdAT"})
_REFUSED: Final = {
    b"%!PS": "EPS",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"%PDF": "PDF",
    b"8BPS": "PSD",
    b"SIMPLE  =": "FITS",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xd7\xcd\xc6\x9a": "WMF",
    b"\x01\x00\x00\x00": "EMF",
    b"icns": "ICNS",
    b"<svg": "SVG",
    b"<?xml": "SVG or XML",
    b"\x00\x00\x01\x00": "ICO",
    b"DDS ": "DDS",
    b"\x76\x2f\x31\x01": "EXR",
    b"#?RADIANCE": "HDR",
}
"""First bytes of formats that are known and not read. ICO: one file is many images, and none of them is a photograph."""
_MAGIC: Final = (PNG, b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"RIFF")


def refuse_unwanted(data: bytes) -> None:
    """Stop at formats that are off the allowlist, and at files that are shorter than their container says.

    Raises
    ------
    DecodeError
        ``format_not_allowed`` or ``truncated``.
    """
    text = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n") if data[:1] in b"\xef<\x20\t\r\n" else data
    for start, name in _REFUSED.items():
        if text.startswith(start):
            raise DecodeError("format_not_allowed", f"{name} files are not read", stage="sniff")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and 8 + int.from_bytes(data[4:8], "little") > len(data):
        raise DecodeError("truncated", "the file is shorter than its RIFF header says", stage="sniff")


def unidentified(data: bytes) -> DecodeError:
    """Why no decoder recognized the bytes."""
    if data[4:8] == b"ftyp" and data[8:12] not in (b"avif", b"avis"):
        return DecodeError("format_not_allowed", f"ISO media of brand {data[8:12]!r} is not read", stage="sniff")
    if data.startswith(_MAGIC) or data[4:8] == b"ftyp":
        reason = "truncated" if ends_early(data) else "decode_error"
        return DecodeError(reason, "the header is damaged or incomplete", stage="sniff")
    return DecodeError("unknown_format", f"no image format begins with {data[:8].hex(' ')}", stage="sniff")


def ends_early(data: bytes) -> bool:
    """Whether a PNG, GIF, AVIF or TIFF file that could not be decoded lacks its own end."""
    if data.startswith(PNG):
        return b"IEND" not in data[-64:]
    if data.startswith(b"GIF8"):
        return not data.endswith(b";")
    if data[:4] in (b"II*\x00", b"MM\x00*") and len(data) >= 8:
        return int.from_bytes(data[4:8], "little" if data[:1] == b"I" else "big") > len(data) - 6
    position = 0
    while data[4:8] == b"ftyp" and position + 8 <= len(data):
        position += max(int.from_bytes(data[position : position + 4], "big"), 8)
    return position > len(data)


def stored_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that PNG, GIF, BMP and WebP files declare; None for others. Lets bombs be refused unopened."""
    if data.startswith(PNG) and len(data) >= 24:
        return struct.unpack_from(">II", data, 16)
    if data.startswith(b"GIF8") and len(data) >= 10:
        return struct.unpack_from("<HH", data, 6)
    if data.startswith(b"BM") and len(data) >= 26 and data[14] >= 40:
        width, height = struct.unpack_from("<ii", data, 18)
        return width, abs(height)
    if data[8:16] == b"WEBPVP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    return None


def png_orientation(data: bytes) -> int | None:
    """EXIF orientation of a PNG from its eXIf chunk, wherever it stands; checks the weight of its metadata on the way.

    Raises
    ------
    DecodeError
        ``metadata_too_large`` when chunks other than pixels add up to more than `MAX_METADATA` bytes.
    """
    position, weight, turn = 8, 0, None
    while position + 8 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if kind not in _PIXEL_CHUNKS:
            weight += length
            if kind == b"eXIf" and turn is None:
                turn = orientation_of(data[position + 8 : position + 8 + length])
            if weight > MAX_METADATA and position + length <= len(data):
                raise DecodeError("metadata_too_large", f"more than {MAX_METADATA} bytes of {kind!r}", stage="sniff")
        position += 12 + length
    return turn
