"""From bytes, or an image given in memory, to canonical pixels. The only module that knows simplejpeg and Pillow."""

import hashlib
import io
import re
import sys
import warnings
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from gpu_quality.data import jpeg, sniff
from gpu_quality.data.canonical import INVERSE, REVERSED_X, REVERSED_Y, SWAPPED, array_of, canonical, share_of_color, turned
from gpu_quality.data.stored import Decoded, DecodeSettings, check_size
from gpu_quality.errors import DecodeError, FrameError, UsageError

__all__ = ["DecodeSettings", "Decoded", "Header", "decode", "digest_of", "header_of", "image_of", "pixels_of"]

_FORMATS: Final = ("PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "PPM", "TGA")
_ORIENTATION_TAG, _DEPTH_TAG, _PLANAR_TAG = 0x0112, 258, 284
_CHANNELS: Final = {"1": 1, "L": 1, "I": 1, "F": 1, "LA": 2, "La": 2, "RGBA": 4, "RGBa": 4, "CMYK": 4, "PA": 4}
"""Channels of a Pillow mode; 3 for all others but 16-bit gray. A palette counts as the three channels of its colors."""
_UPRIGHT_MODES: Final = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}
_DIRECT_MODES: Final = frozenset({"L", "LA", "RGB", "RGBA", "F"})
_OTHER_ORDER: Final = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_WIDE: Final = re.compile("(RGB|RGBA|RGBX);16([BLN])")
_TRUNCATED: Final = ("truncated", "unexpected end", "not enough", "premature end", "end of file")
_PILLOW: Final = re.compile(r"PIL\.")


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says about itself before its pixels are decoded; width and height are those of the canonical frame."""

    format: str
    width: int
    height: int
    channels: int
    bit_depth: int
    turn: int
    """EXIF orientation between stored and canonical pixels, 1 to 8; 1 when the settings turn nothing."""
    pending: int
    """The part of the turn that the decoder leaves to be done."""
    data: bytes
    image: Image.Image | None
    """None: a JPEG, which is opened by Pillow only if simplejpeg refuses it."""


def digest_of(data: bytes) -> str:
    """SHA-256 of the bytes of a file, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes, settings: DecodeSettings) -> Decoded:
    """Canonical pixels of one image file held in memory, with the facts of its stored form.

    Raises
    ------
    DecodeError
        With one of ``errors.REASONS``; a broken file raises nothing else.
    """
    if len(data) > settings.max_bytes:
        raise DecodeError("too_many_bytes", f"{len(data)} bytes, {settings.max_bytes} are allowed", stage="read")
    return replace(pixels_of(header_of(data, settings), settings), digest=digest_of(data))


def header_of(data: bytes, settings: DecodeSettings) -> Header:
    """Format, canonical size and facts of a file, all limits checked, before anything is decoded.

    Raises
    ------
    DecodeError
        ``empty``, ``unknown_format``, ``format_not_allowed``, ``bad_dimensions``, ``too_many_pixels``,
        ``too_many_scans``, ``metadata_too_large``, ``truncated`` or ``decode_error``.
    """
    if not data:
        raise DecodeError("empty", "the file has no bytes", stage="sniff")
    if data.startswith(jpeg.SIGNATURE):
        return _jpeg_header(data, settings)
    sniff.refuse_unwanted(data)
    if size := sniff.stored_size(data):
        check_size(*size, settings)
    turn = sniff.png_orientation(data) if data.startswith(sniff.PNG) else None
    try:
        image = _open(data, settings, _FORMATS)
        header = _pillow_header(image, turn or _orientation(image), data, settings)
    except Exception as error:
        raise _explained(error, data, "sniff") from None
    check_size(header.width, header.height, settings)
    return header


def pixels_of(header: Header, settings: DecodeSettings, out: NDArray[np.uint8] | None = None) -> Decoded:
    """Decode a file whose header was read, into `out` (height x width x 3, C-contiguous) when given; leaves no digest.

    Raises
    ------
    DecodeError
        ``truncated``, ``decode_error``, ``non_finite``, ``too_many_pixels``, ``metadata_too_large``, ``out_of_memory``.
    """
    try:
        rgb = np.empty((header.height, header.width, 3), np.uint8) if out is None else out
        if header.image is None:
            transparent = _decode_jpeg(header, settings, rgb)
        else:
            transparent = _decode_pillow(header, header.image, settings, rgb)
    except Exception as error:
        raise _explained(error, header.data, "decode") from None
    return Decoded(
        rgb=rgb,
        file_size=len(header.data) or -1,
        channels=header.channels,
        bit_depth=header.bit_depth,
        transparent=transparent,
        reversed_x=header.turn in REVERSED_X,
        reversed_y=header.turn in REVERSED_Y,
        format=header.format,
        digest="",
    )


def image_of(image: object, settings: DecodeSettings) -> Decoded:
    """Canonical pixels of a Pillow image, a NumPy array (HW or HWC) or a torch tensor (HW or CHW) given in memory.

    Arrays and tensors are bool, uint8 or uint16, or float when the settings declare a value range; C is 1 gray, 2 gray
    and alpha, 3 RGB, 4 RGBA.

    Raises
    ------
    UsageError
        The object is none of these.
    DecodeError
        It is, but its values cannot become pixels; for a Pillow image not loaded yet, as for a file.
    """
    if isinstance(image, Image.Image):
        try:
            _be_strict(settings)
            header = _pillow_header(image, _orientation(image), b"", settings)
        except Exception as error:
            raise _explained(error, b"", "sniff") from None
        check_size(header.width, header.height, settings)
        return pixels_of(header, settings)
    if not isinstance(image, np.ndarray | torch.Tensor):
        raise UsageError(
            f"got an image of type {type(image).__module__}.{type(image).__qualname__}; accepted are encoded bytes, "
            "Pillow images, NumPy arrays of shape [h w] or [h w c] and torch tensors of shape [h w] or [c h w]"
        )
    array = array_of(image)
    check_size(array.shape[1], array.shape[0], settings)
    rgb, transparent = canonical(array, float_range=settings.float_range)
    channels, bits = array.shape[2] if array.ndim == 3 else 1, 1 if array.dtype == np.bool_ else 8 * array.itemsize
    return Decoded(np.ascontiguousarray(rgb), -1, channels, bits, transparent, False, False, "", "")


def _jpeg_header(data: bytes, settings: DecodeSettings) -> Header:
    found = jpeg.read_markers(data, settings.max_scans)
    turn = found.orientation if settings.exif else 1
    width, height = (found.height, found.width) if turn in SWAPPED else (found.width, found.height)
    check_size(width, height, settings)
    if found.scans > settings.max_scans:
        raise DecodeError("too_many_scans", f"more than {settings.max_scans} scans are not decoded", stage="sniff")
    return Header("JPEG", width, height, found.components, found.precision, turn, turn, data, None)


def _decode_jpeg(header: Header, settings: DecodeSettings, out: NDArray[np.uint8]) -> float:
    stored = out if header.turn == 1 else np.empty(turned(out, INVERSE[header.turn]).shape, np.uint8)
    # Four components (CMYK, YCCK) go to Pillow, so that a CMYK color is the same RGB in JPEG and in TIFF.
    if header.channels < 4:
        try:
            found = simplejpeg.decode_jpeg(header.data, buffer=stored)
        except ValueError as error:
            # An early end leaves the rest of the frame gray, and Pillow takes that if an end marker follows.
            if "premature end" in str(error).lower():
                raise
        else:
            _fits(found.shape, stored.shape)
            if header.turn != 1:
                np.copyto(out, turned(stored, header.turn))
            return 0.0
    return _decode_pillow(header, _open(header.data, settings, ("JPEG",)), settings, out)


def _decode_pillow(header: Header, image: Image.Image, settings: DecodeSettings, out: NDArray[np.uint8]) -> float:
    array = _wide_color(image, header.data, settings)
    if array is None:
        array = _array(image, header.bit_depth)
    rgb, transparent = canonical(array, depth=header.bit_depth, float_range=settings.float_range)
    upright = turned(rgb, header.pending)
    _fits(upright.shape, out.shape)
    np.copyto(out, upright)
    # Files without an alpha channel may declare one color transparent; a palette has its say in the conversion.
    key = None if image.mode.startswith(("P", "F")) else image.info.get("transparency")
    return max(transparent, share_of_color(array, key, header.bit_depth))


def _fits(found: tuple[int, ...], promised: tuple[int, ...]) -> None:
    if found != promised:
        raise DecodeError("decode_error", f"the header promised {promised[1]} x {promised[0]}, decoding gave {found}")


def _open(data: bytes, settings: DecodeSettings, formats: tuple[str, ...]) -> ImageFile.ImageFile:
    _be_strict(settings)
    return Image.open(io.BytesIO(data), formats=formats)


def _be_strict(settings: DecodeSettings) -> None:
    """Make Pillow refuse what it would only warn about, in this process and whatever else changed its switches."""
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    if Image.MAX_IMAGE_PIXELS is not None:  # a larger limit of the user's is checked by us, a smaller one was not meant
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, int(settings.max_megapixels * 1e6))
    wanted = ("error", None, Image.DecompressionBombWarning, None, 0), ("ignore", None, UserWarning, _PILLOW, 0)
    if tuple(warnings.filters[:2]) != wanted:
        # Its other warnings would make the outcome depend on the filters of the process.
        warnings.filterwarnings("ignore", category=UserWarning, module=_PILLOW.pattern)
        warnings.simplefilter("error", Image.DecompressionBombWarning)


def _orientation(image: Image.Image) -> int:
    try:
        # The PNG class would decode all pixels to look for an eXIf chunk behind them.
        exif = Image.Image.getexif(image) if image.format == "PNG" else image.getexif()
        turn = exif.get(_ORIENTATION_TAG, 1)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return 1
    return int(turn) if turn in range(1, 9) else 1


def _pillow_header(image: Image.Image, orientation: int, data: bytes, settings: DecodeSettings) -> Header:
    turn = orientation if settings.exif else 1
    pending, (width, height) = turn, image.size
    if isinstance(image, TiffImageFile):
        # Pillow turns TIFF frames while it loads them, and already names the turned size if the turn is in its own tag.
        pending = 1 if settings.exif else INVERSE[orientation]
        if image.tag_v2.get(_ORIENTATION_TAG) in SWAPPED:
            width, height = height, width
    if turn in SWAPPED:
        width, height = height, width
    depth, channels = _depth_and_channels(image, data)
    return Header(image.format or "", width, height, channels, depth, turn, pending, data, image)


def _depth_and_channels(image: Image.Image, data: bytes) -> tuple[int, int]:
    mode, rawmodes = image.mode, [rawmode for rawmode, _ in _tiles(image)]
    channels = 1 if mode.startswith("I") else _CHANNELS.get(mode, 3)
    if mode in ("P", "PA"):
        return 8, channels
    if image.format == "PNG" and len(data) > 24:
        return data[24], 2 if "LA;16B" in rawmodes else channels
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2.get(_DEPTH_TAG, (1,))[0]), channels
    if image.format == "PPM" and (mode == "I" or any(rest and rest[-1] > 255 for _, rest in _tiles(image))):
        return 16, channels
    return 1 if mode == "1" else 16 if mode.startswith("I;16") else 32 if mode in ("I", "F") else 8, channels


def _tiles(image: Image.Image) -> list[tuple[str, tuple[Any, ...]]]:
    """How the samples of a file that is not loaded yet lie in it: raw mode and further arguments of each tile."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    args = [(tile.args,) if isinstance(tile.args, str) else tile.args or ("",) for tile in tiles]
    return [(str(rawmode), tuple(rest)) for rawmode, *rest in args]


def _wide_color(image: Image.Image, data: bytes, settings: DecodeSettings) -> NDArray[np.uint16] | None:
    """All 16 bits of a color image, of which Pillow hands out the upper 8; None for all other images.

    Unpacking the same samples in the other byte order gives the lower 8. Where that is not known to work (one plane per
    channel, CMYK, images that came opened), the upper 8 have to do: they are within 1 of the rounded value.
    """
    if not isinstance(image, ImageFile.ImageFile) or not data or not image.tile:
        return None
    if isinstance(image, TiffImageFile) and image.tag_v2.get(_PLANAR_TAG, 1) != 1:
        return None
    if image.format == "PNG" and image.tile[0].args == "LA;16B":
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]  # both bytes of both channels
        return np.asarray(image).view(">u2").astype(np.uint16)
    tiles = _tiles(image)
    found = [match for rawmode, _ in tiles if (match := _WIDE.fullmatch(rawmode))]
    if len(found) < len(tiles):
        return None
    second = _open(data, settings, (str(image.format),))
    modes = [f"{match[1]};16{_OTHER_ORDER[match[2]]}" for match in found]
    args = [(mode, *rest) if rest else mode for mode, (_, rest) in zip(modes, tiles, strict=True)]
    second.tile = [tile._replace(args=arg) for tile, arg in zip(second.tile, args, strict=True)]
    values: NDArray[np.uint16] = np.asarray(image).astype(np.uint16) << 8 | np.asarray(second)
    return values


def _array(image: Image.Image, depth: int) -> NDArray[Any]:
    """The values of a Pillow image as [h w] or [h w c]: 8 or 16 bits or float, colors converted to RGB."""
    image.load()
    if image.mode == "I":
        values = np.asarray(image)
        if depth > 16 or values.min() < 0 or values.max() > 65535:
            found = f"{depth}-bit integers from {values.min()} to {values.max()}"
            raise DecodeError("decode_error", f"{found} have no defined white; 8 or 16 bits, unsigned, are read")
        return values.astype(np.uint16)
    if image.mode in _DIRECT_MODES or image.mode.startswith("I;16"):
        return np.asarray(image)
    if image.mode == "P":
        return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    return np.asarray(image.convert(_UPRIGHT_MODES.get(image.mode, "RGB")))


def _explained(error: Exception, data: bytes, stage: str) -> FrameError:
    text = str(error)
    if isinstance(error, FrameError):
        return error
    if isinstance(error, UnidentifiedImageError):
        return sniff.unidentified(data)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return DecodeError("too_many_pixels", text, stage=stage)
    if isinstance(error, MemoryError):
        return DecodeError("out_of_memory", text, stage=stage)
    if "MAX_TEXT_" in text:
        return DecodeError("metadata_too_large", text, stage=stage)
    if isinstance(error, EOFError) or any(word in text.lower() for word in _TRUNCATED) or sniff.ends_early(data):
        return DecodeError("truncated", text, stage=stage)
    return DecodeError("decode_error", f"{type(error).__name__}: {text}"[:200], stage=stage)
