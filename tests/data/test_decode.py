"""Canonical pixels: exact values for every stored form, a reason for everything else."""

import hashlib
import io
import resource
import struct
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image, ImageFile, ImageOps

from gpu_quality.data.decode import Decoded, DecodeSettings, decode, header_of, image_of, pixels_of
from gpu_quality.errors import REASONS, STAGES, DecodeError, FrameError, UsageError

SETTINGS = DecodeSettings()
RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (13, 17, 3), dtype=np.uint8)
GRAY = RGB[:, :, 0]
DEEP = RANDOM.integers(0, 65536, (13, 17), dtype=np.uint16)
DEEP[0, :6] = 0, 128, 129, 385, 386, 65535


def encoded(image: Image.Image | np.ndarray, form: str, **options: Any) -> bytes:
    held = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(held, form, **options)
    return held.getvalue()


def refused(data: bytes, settings: DecodeSettings = SETTINGS) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode(data, settings)
    assert caught.value.reason in REASONS
    assert caught.value.stage in STAGES
    return caught.value


def outcome(data: bytes) -> Decoded | FrameError:
    """Pixels or the error of a file, within two seconds."""
    begun = time.process_time()
    try:
        found: Decoded | FrameError = decode(data, SETTINGS)
    except FrameError as error:
        found = error
    assert time.process_time() - begun < 2
    return found


def copied(gray: np.ndarray) -> np.ndarray:
    return np.stack([gray] * 3, axis=-1)


def rounded(deep: np.ndarray) -> np.ndarray:
    return ((deep.astype(np.int64) + 128) // 257).astype(np.uint8)


def check(found: Decoded, expected: np.ndarray, form: str, channels: int, depth: int, transparent: float = 0.0) -> None:
    assert found.rgb.flags.c_contiguous
    assert found.rgb.dtype == np.uint8
    np.testing.assert_array_equal(found.rgb, expected)
    assert (found.format, found.channels, found.bit_depth) == (form, channels, depth)
    assert found.transparent == pytest.approx(transparent, abs=1e-12)


# ---------------------------------------------------------------------------------------------------- stored forms


@pytest.mark.parametrize("form", ["PNG", "BMP", "DIB", "TIFF", "PPM", "TGA", "WEBP"])
def test_rgb(form: str) -> None:
    data = encoded(RGB, form, **({"lossless": True} if form == "WEBP" else {}))
    found = decode(data, SETTINGS)
    check(found, RGB, form, 3, 8)
    assert found.file_size == len(data)
    assert found.digest == hashlib.sha256(data).hexdigest()
    assert not found.reversed_x
    assert not found.reversed_y


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "TGA", "GIF"])
def test_gray_is_copied(form: str) -> None:
    check(
        decode(encoded(np.tile(np.arange(256, dtype=np.uint8), (2, 1)), form), SETTINGS),
        copied(np.tile(np.arange(256), (2, 1))),
        form,
        1,
        8,
    )


@pytest.mark.parametrize("form", ["PNG", "TIFF", "TGA"])
def test_gray_with_alpha_keeps_gray(form: str) -> None:
    alpha = np.full_like(GRAY, 255)
    alpha[0], alpha[1, :3] = 0, 254
    found = decode(encoded(Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(alpha)]), form), SETTINGS)
    check(found, copied(GRAY), form, 2, 8, (17 + 3) / GRAY.size)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM", "BMP"])
def test_bilevel_is_black_and_white(form: str) -> None:
    check(decode(encoded(Image.fromarray(GRAY > 99), form), SETTINGS), copied((GRAY > 99) * np.uint8(255)), form, 1, 1)


@pytest.mark.parametrize(
    ("form", "options"), [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True, "exact": True}), ("TGA", {})]
)
def test_alpha_is_dropped_without_compositing(form: str, options: dict[str, Any]) -> None:
    alpha = np.zeros((13, 17, 1), np.uint8)
    alpha[5:] = 255
    check(decode(encoded(np.concatenate([RGB, alpha], -1), form, **options), SETTINGS), RGB, form, 4, 8, 5 / 13)


def paletted() -> tuple[Image.Image, np.ndarray]:
    colors = RANDOM.integers(0, 256, (7, 3), dtype=np.uint8)
    indices = RANDOM.integers(0, 7, (13, 17), dtype=np.uint8)
    image = Image.fromarray(indices, "L")
    image = image.convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette(colors.tobytes())
    return image, colors[indices]


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF", "TGA"])
def test_palette_gives_its_colors(form: str) -> None:
    image, expected = paletted()
    check(decode(encoded(image, form), SETTINGS), expected, form, 3, 8)


@pytest.mark.parametrize(("form", "transparency"), [("PNG", 2), ("GIF", 2), ("PNG", bytes([255, 0, 128, 255, 254, 255, 255]))])
def test_transparent_palette_keeps_its_colors(form: str, transparency: int | bytes) -> None:
    image, expected = paletted()
    indices = np.asarray(image)
    hidden = indices == 2 if isinstance(transparency, int) else np.isin(indices, [1, 2, 4])
    check(decode(encoded(image, form, transparency=transparency), SETTINGS), expected, form, 3, 8, hidden.mean())


def test_color_key_counts_as_transparent() -> None:
    key = tuple(int(v) for v in RGB[3, 4])
    check(decode(encoded(RGB, "PNG", transparency=key), SETTINGS), RGB, "PNG", 3, 8, (key == RGB).all(-1).mean())
    check(
        decode(encoded(GRAY, "PNG", transparency=int(GRAY[3, 4])), SETTINGS),
        copied(GRAY),
        "PNG",
        1,
        8,
        (GRAY[3, 4] == GRAY).mean(),
    )


def png(planes: np.ndarray, depth: int, kind: int, extra: bytes = b"", late: bytes = b"") -> bytes:
    """A PNG from samples [h w c], packed by hand: forms that Pillow cannot write."""
    height, width = planes.shape[:2]
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in planes]
    else:
        bits = np.unpackbits(planes.reshape(height, -1, 1).astype(np.uint8), axis=2)[:, :, 8 - depth :]
        rows = [np.packbits(row.ravel()).tobytes() for row in bits]
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", body) + late + chunk(b"IEND", b"")


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_gray_levels_are_spread(depth: int) -> None:
    levels = RANDOM.integers(0, 2**depth, (9, 16), dtype=np.uint8)
    key = int(levels[2, 2])
    spread = copied(levels * (255 // (2**depth - 1)))
    check(decode(png(levels[:, :, None], depth, 0), SETTINGS), spread, "PNG", 1, depth)
    keyed = png(levels[:, :, None], depth, 0, extra=chunk(b"tRNS", struct.pack(">H", key)))
    check(decode(keyed, SETTINGS), spread, "PNG", 1, depth, (levels == key).mean())


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_deep_png_is_rounded(kind: int, channels: int) -> None:
    planes = RANDOM.integers(0, 65536, (13, 17, channels), dtype=np.uint16)
    planes[0, :6] = DEEP[0, :6, None]
    planes[-3:, :, -1] = 65535
    color = planes if channels in (1, 3) else planes[:, :, :-1]
    transparent = 0.0 if channels in (1, 3) else (rounded(planes[:, :, -1]) < 255).mean()
    check(
        decode(png(planes, 16, kind), SETTINGS), np.broadcast_to(rounded(color), (13, 17, 3)), "PNG", channels, 16, transparent
    )


def test_deep_color_key_is_compared_before_rounding() -> None:
    planes = np.zeros((4, 4, 3), np.uint16)
    planes[0, 0], planes[0, 1] = 1000, 1001
    found = decode(png(planes, 16, 2, extra=chunk(b"tRNS", struct.pack(">HHH", 1000, 1000, 1000))), SETTINGS)
    assert found.transparent == 1 / 16


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_deep_gray_is_rounded(form: str) -> None:
    check(decode(encoded(DEEP, form), SETTINGS), copied(rounded(DEEP)), form, 1, 16)


def tiff(
    planes: np.ndarray, order: str = "<", sample_format: int = 1, extra: dict[int, tuple[int, int, int]] | None = None
) -> bytes:
    """An uncompressed TIFF of samples [h w c], by hand."""
    height, width, channels = planes.shape
    body = planes.astype(planes.dtype.newbyteorder(order)).tobytes()
    bits, start = 8 * planes.itemsize, 8 + len(body)
    depths = (1, bits) if channels == 1 else (channels, start)
    tags: dict[int, tuple[int, int, int]] = {
        256: (4, 1, width), 257: (4, 1, height), 258: (3, *depths), 259: (3, 1, 1), 262: (3, 1, 2 if channels > 2 else 1),
        273: (4, 1, 8), 277: (3, 1, channels), 278: (4, 1, height), 279: (4, 1, len(body)), 339: (3, 1, sample_format),
    }  # fmt: skip
    table = struct.pack(f"{order}{channels}H", *[bits] * channels) if channels > 1 else b""
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start + len(table)) + body + table
    out += struct.pack(f"{order}H", len(tags))
    for tag, (kind, count, value) in sorted(tags.items()):
        packed = struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}I", value)
        out += struct.pack(f"{order}HHI", tag, kind, count) + packed
    return out + struct.pack(f"{order}I", 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3])
def test_deep_tiff_is_rounded(order: str, channels: int) -> None:
    planes = RANDOM.integers(0, 65536, (13, 17, channels), dtype=np.uint16)
    check(decode(tiff(planes, order), SETTINGS), np.broadcast_to(rounded(planes), (13, 17, 3)), "TIFF", channels, 16)


def test_compressed_deep_tiff_is_rounded() -> None:
    opencv = pytest.importorskip("cv2")
    planes = RANDOM.integers(0, 65536, (13, 17, 3), dtype=np.uint16)
    _, data = opencv.imencode(".tif", planes[:, :, ::-1], [opencv.IMWRITE_TIFF_COMPRESSION, 5])
    check(decode(data.tobytes(), SETTINGS), rounded(planes), "TIFF", 3, 16)


def test_deep_color_ppm_is_rounded() -> None:
    planes = RANDOM.integers(0, 65536, (13, 17, 3), dtype=np.uint16)
    check(decode(b"P6 17 13 65535\n" + planes.astype(">u2").tobytes(), SETTINGS), rounded(planes), "PPM", 3, 16)


def test_signed_and_wide_integers_are_refused() -> None:
    assert refused(tiff(np.full((3, 4, 1), -5, np.int16), sample_format=2)).reason == "decode_error"
    wide = refused(tiff(np.full((3, 4, 1), 70_000, np.int32), sample_format=2))
    assert wide.reason == "decode_error"
    assert "32-bit integers from 70000 to 70000" in wide.detail
    check(decode(tiff(np.full((3, 4, 1), 257, np.int16), sample_format=2), SETTINGS), np.ones((3, 4, 3)), "TIFF", 1, 16)


def test_float_needs_a_range() -> None:
    values = np.array([[0.0, 0.5 / 255, 0.499 / 255, 1.0, 2.0, -1.0]], np.float32)
    data = encoded(values, "TIFF")
    error = refused(data)
    assert error.reason == "decode_error"
    assert "no declared value range" in error.detail
    assert "float_range" in error.hint
    expected = copied(np.array([[0, 1, 0, 255, 255, 0]]))
    check(decode(data, DecodeSettings(float_range=(0.0, 1.0))), expected, "TIFF", 1, 32)
    tall = np.linspace(-2, 2, 200 * 3, dtype=np.float64).reshape(200, 3)
    scaled = np.floor((tall.astype(np.float32).astype(np.float64) + 2) * 63.75 + 0.5)
    found = decode(encoded(tall.astype(np.float32), "TIFF"), DecodeSettings(float_range=(-2.0, 2.0)))
    np.testing.assert_array_equal(found.rgb, copied(scaled))


@pytest.mark.parametrize("settings", [SETTINGS, DecodeSettings(float_range=(0.0, 1.0))])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_is_an_error(settings: DecodeSettings, value: float) -> None:
    values = np.zeros((3, 4), np.float32)
    values[1, 2] = value
    assert refused(encoded(values, "TIFF"), settings).reason == "non_finite"


@pytest.mark.parametrize("given", [(1.0, 1.0), (1.0, 0.0), (float("nan"), 1.0)])
def test_an_empty_float_range_is_refused(given: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="black < white"):
        DecodeSettings(float_range=given)


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(form: str) -> None:
    image = Image.fromarray(np.full((16, 16, 3), (200, 30, 90), np.uint8)).convert("CMYK")
    data = encoded(image, form, **({"quality": 100} if form == "JPEG" else {}))
    found = decode(data, SETTINGS)
    check(found, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), form, 4, 8)
    assert np.abs(found.rgb.astype(int) - (200, 30, 90)).max() <= 3  # JPEG at quality 100 moves levels by a few


def test_animations_give_their_first_frame() -> None:
    frames = [Image.fromarray(np.full((8, 9, 3), color, np.uint8)) for color in (40, 90, 200)]
    for form, options in (
        ("GIF", {}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("MPO", {}),
        ("AVIF", {"quality": 100}),
    ):
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
        found = decode(data, SETTINGS)
        assert np.abs(found.rgb.astype(int) - 40).max() <= 1, form
        assert found.rgb.shape == (8, 9, 3)
        assert found.format == ("JPEG" if form == "MPO" else form)


def test_avif() -> None:
    image = np.repeat(np.repeat(RANDOM.integers(0, 256, (4, 4, 3), dtype=np.uint8), 8, 0), 8, 1)
    found = decode(encoded(image, "AVIF", quality=100, subsampling="4:4:4"), SETTINGS)
    assert (found.format, found.channels, found.bit_depth) == ("AVIF", 3, 8)
    assert np.abs(found.rgb.astype(int) - image).max() <= 3


# ---------------------------------------------------------------------------------------------------- orientation

REVERSALS = {1: "", 2: "x", 3: "xy", 4: "y", 5: "", 6: "x", 7: "xy", 8: "y"}


def with_orientation(form: str, turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    if form == "JPEG":
        return encoded(np.kron(RGB[:4, :6], np.ones((8, 8, 1), np.uint8)), "JPEG", exif=exif, quality=95)
    return encoded(RGB, form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(form: str, turn: int) -> None:
    data = with_orientation(form, turn)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    found = decode(data, SETTINGS)
    np.testing.assert_array_equal(found.rgb, upright)
    assert found.rgb.flags.c_contiguous
    assert (found.reversed_x, found.reversed_y) == ("x" in REVERSALS[turn], "y" in REVERSALS[turn])
    header = header_of(data, SETTINGS)
    assert (header.height, header.width) == upright.shape[:2]


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_can_be_left_alone(form: str, turn: int) -> None:
    found = decode(with_orientation(form, turn), DecodeSettings(exif=False))
    np.testing.assert_array_equal(found.rgb, decode(with_orientation(form, 1), SETTINGS).rgb)
    assert (found.reversed_x, found.reversed_y) == (False, False)


@pytest.mark.parametrize("turn", range(2, 9))
def test_reversed_axes_are_those_of_the_stored_grid(turn: int) -> None:
    """The block grid of a JPEG starts at the stored origin: see where that corner went."""
    stored = np.zeros((16, 24, 3), np.uint8)
    stored[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    found = decode(encoded(stored, "JPEG", exif=exif), SETTINGS)
    corner = found.rgb[:: -1 if found.reversed_y else 1, :: -1 if found.reversed_x else 1][:8, :8]
    assert corner.min() > 250


def test_orientation_of_big_endian_late_and_broken_exif() -> None:
    jpeg = encoded(np.kron(RGB[:2, :3], np.ones((8, 8, 1), np.uint8)), "JPEG")

    def with_exif(body: bytes) -> bytes:
        return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 8) + b"Exif\0\0" + body + jpeg[2:]

    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    assert decode(with_exif(b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)), SETTINGS).rgb.shape == (24, 16, 3)
    late = png(RGB, 8, 2, late=chunk(b"eXIf", b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)))
    assert decode(late, SETTINGS).rgb.shape == (17, 13, 3)
    head = b"MM\0*"
    broken_blocks = [
        b"",
        b"MM",
        b"XX\0*" + bytes(20),
        head + b"\xff\xff\xff\xff",
        head + struct.pack(">IH", 8, 65535),
        head + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 9, 0),
        head + struct.pack(">IHHHI4s", 8, 1, 0x0112, 2, 1, b"6"),
    ]
    for broken in broken_blocks:
        assert decode(with_exif(broken), SETTINGS).rgb.shape == (16, 24, 3), broken


# ---------------------------------------------------------------------------------------------------- JPEG


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_jpeg_equals_pillow(progressive: bool, subsampling: str) -> None:
    smooth = np.asarray(Image.fromarray(RGB).resize((101, 67), Image.Resampling.BICUBIC))
    data = encoded(smooth, "JPEG", quality=85, subsampling=subsampling, progressive=progressive)
    check(decode(data, SETTINGS), np.asarray(Image.open(io.BytesIO(data))), "JPEG", 3, 8)


def test_gray_jpeg() -> None:
    data = encoded(np.asarray(Image.fromarray(GRAY).resize((50, 40))), "JPEG")
    check(decode(data, SETTINGS), copied(np.asarray(Image.open(io.BytesIO(data)))), "JPEG", 1, 8)


def test_real_photos_equal_pillow(test_data: Path) -> None:
    photos = sorted((test_data / "coco_photos").rglob("*.jpg"))[:8]
    assert photos
    for photo in photos:
        expected = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
        np.testing.assert_array_equal(decode(photo.read_bytes(), SETTINGS).rgb, np.asarray(expected))


def test_jpeg_that_simplejpeg_refuses_is_tried_with_pillow() -> None:
    data = encoded(np.kron(RGB, np.ones((8, 8, 1), np.uint8)), "JPEG")
    tables = data.index(b"\xff\xdb")
    damaged = data[:tables] + b"\x01\x02" + data[tables:]  # stray bytes between two segments
    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg(damaged)
    np.testing.assert_array_equal(decode(damaged, SETTINGS).rgb, decode(data, SETTINGS).rgb)


def test_half_a_jpeg_is_no_frame() -> None:
    data = encoded(np.kron(RGB, np.ones((8, 8, 1), np.uint8)), "JPEG", quality=90)
    start = data.index(b"\xff\xda") + 14
    for keep in (2, 3, 20, start - 14, start, (start + len(data)) // 2, len(data) - 20, len(data) - 2):
        for end in (b"", b"\xff\xd9"):
            if keep == len(data) - 2 and end:
                continue
            assert refused(data[:keep] + end).reason in ("truncated", "unknown_format"), (keep, end)
    assert refused(data[: len(data) // 2] + b"\xff\xd9").reason == "truncated"  # Pillow would fill up with gray


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    data = encoded(np.kron(RGB, np.ones((8, 8, 1), np.uint8)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (count - data.count(b"\xff\xda") + 1) + b"\xff\xd9"


def test_scans_are_counted_before_decoding() -> None:
    begun = time.process_time()
    assert refused(scans(506)).reason == "too_many_scans"
    assert time.process_time() - begun < 2
    assert refused(scans(101)).reason == "too_many_scans"
    assert decode(scans(100), DecodeSettings(max_scans=100)).rgb.shape == (104, 136, 3)
    assert refused(scans(20), DecodeSettings(max_scans=19)).reason == "too_many_scans"


def test_scan_markers_in_metadata_and_after_the_end_do_not_count() -> None:
    data = scans(20)
    first = data.index(b"\xff\xda")
    comment = b"\xff\xfe" + struct.pack(">H", 602) + b"\xff\xda" * 300
    between = data.index(b"\xff\xc4", first)  # Huffman tables stand between the scans
    assert decode(comment.join((data[:2], data[2:])), SETTINGS).rgb.shape == (104, 136, 3)
    assert decode(data[:between] + comment + data[between:], SETTINGS).rgb.shape == (104, 136, 3)
    assert decode(data + b"\xff\xda" * 300, SETTINGS).rgb.shape == (104, 136, 3)


def test_sizes_a_jpeg_may_not_have() -> None:
    data = encoded(RGB, "JPEG")
    frame = data.index(b"\xff\xc0")
    assert refused(data[: frame + 5] + b"\0\0" + data[frame + 7 :]).reason == "bad_dimensions"
    assert refused(data[: frame + 5] + b"\xff\xff\xff\xff" + data[frame + 9 :]).reason == "too_many_pixels"
    assert refused(data[: frame + 2] + b"\0\1" + data[frame + 4 :]).reason == "decode_error"


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\0\1", "PSD"),
        (b"SIMPLE  =                    T", "FITS"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0\x29", "JPEG 2000"),
        (b"\xd7\xcd\xc6\x9a\0\0", "WMF"),
        (b"icns\0\0\1\0", "ICNS"),
        (b"\n <svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><svg/>", "SVG"),
        (b"\0\0\1\0\1\0\x10\x10", "ICO"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "heic"),
    ],
)
def test_formats_off_the_list(start: bytes, name: str) -> None:
    error = refused(start + bytes(200))
    assert error.reason == "format_not_allowed"
    assert name in error.detail


def test_eps_written_by_pillow_is_refused_by_content() -> None:
    assert refused(encoded(RGB, "EPS")).reason == "format_not_allowed"
    assert refused(encoded(RGB, "JPEG2000")).reason == "format_not_allowed"
    assert refused(encoded(RGB, "ICO")).reason == "format_not_allowed"


def test_unknown_bytes() -> None:
    assert refused(b"").reason == "empty"
    for data in (b"\0", b"hello, world", bytes(1000), bytes(range(256)) * 10, b"\xff\xd8"):
        assert refused(data).reason == "unknown_format", data[:10]


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "TGA"])
def test_half_a_file_is_no_frame(form: str) -> None:
    data = encoded(RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8), form)
    for keep in (len(data) // 2, len(data) * 9 // 10):
        assert refused(data[:keep]).reason == "truncated", keep


def test_half_a_compressed_tiff_is_no_frame() -> None:
    data = encoded(RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8), "TIFF", compression="tiff_lzw")
    for keep in (6, 100, len(data) // 2):
        assert refused(data[:keep]).reason in ("truncated", "decode_error"), keep


def test_too_many_pixels() -> None:
    bomb = png(np.zeros((1, 1, 1), np.uint8), 8, 0)
    huge = bomb[:16] + struct.pack(">II", 30_000, 30_000) + bomb[24:]
    assert refused(huge).reason == "too_many_pixels"
    small = encoded(np.zeros((100, 101, 3), np.uint8), "BMP")
    assert refused(small, DecodeSettings(max_megapixels=0.01)).reason == "too_many_pixels"
    assert decode(small, DecodeSettings(max_megapixels=0.0101)).rgb.shape == (100, 101, 3)
    assert refused(bomb[:16] + struct.pack(">II", 0, 5) + bomb[24:]).reason == "bad_dimensions"


def test_a_legal_bomb_costs_nothing() -> None:
    body = zlib.compress(bytes(30_001 * 300), 9)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)) + chunk(b"IDAT", body)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(data + chunk(b"IEND", b"")).reason == "too_many_pixels"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_frames_above_the_limit_of_pillow_are_ours_to_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    assert decode(encoded(np.zeros((100, 101, 3), np.uint8), "BMP"), SETTINGS).rgb.shape == (100, 101, 3)


def test_too_many_bytes() -> None:
    assert refused(encoded(RGB, "BMP"), DecodeSettings(max_bytes=100)).reason == "too_many_bytes"


def test_metadata_too_large() -> None:
    text = chunk(b"tEXt", b"Comment\0" + b"x" * (17 << 20))
    packed = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20)))
    for extra in (text, packed):
        assert refused(png(RGB, 8, 2, extra=extra)).reason == "metadata_too_large"
    assert decode(png(RGB, 8, 2, extra=chunk(b"tEXt", b"Comment\0" + b"x" * 1000)), SETTINGS).rgb.shape == (13, 17, 3)


def test_one_pixel_and_long_sides() -> None:
    for shape in ((1, 1), (1, 65535), (65535, 1)):
        gray = np.full(shape, 7, np.uint8)
        for form in ("PNG", "TIFF", "BMP"):
            np.testing.assert_array_equal(decode(encoded(gray, form), SETTINGS).rgb, copied(gray))
    assert decode(encoded(np.full((1, 65000), 7, np.uint8), "JPEG"), SETTINGS).rgb.shape == (1, 65000, 3)


def test_outcome_does_not_depend_on_switches_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(RGB, "PNG")
    assert refused(data[: len(data) // 2]).reason == "truncated"
    for action in ("ignore", "error"):
        with warnings.catch_warnings():
            warnings.simplefilter(action)  # type: ignore[arg-type]
            # An APNG header with no frames makes Pillow warn.
            odd = png(RGB, 8, 2, extra=chunk(b"acTL", struct.pack(">II", 0, 0)))
            np.testing.assert_array_equal(decode(odd, SETTINGS).rgb, RGB)


# ---------------------------------------------------------------------------------------------------- into a buffer


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "GIF"])
@pytest.mark.parametrize("turn", [1, 6])
def test_decoding_into_a_place_fills_exactly_it(form: str, turn: int) -> None:
    data = with_orientation(form, turn) if form != "GIF" else encoded(paletted()[0], "GIF")
    header = header_of(data, SETTINGS)
    size = header.height * header.width * 3
    buffer = np.full(size + 200, 77, np.uint8)
    place = buffer[100 : 100 + size].reshape(header.height, header.width, 3)
    found = pixels_of(header, SETTINGS, place)
    assert found.rgb is place
    np.testing.assert_array_equal(place, decode(data, SETTINGS).rgb)
    assert (buffer[:100] == 77).all()
    assert (buffer[-100:] == 77).all()


def test_a_header_that_lies_cannot_write_outside_its_place() -> None:
    small, large = encoded(RGB[:8, :8], "JPEG"), encoded(np.kron(RGB, np.ones((4, 4, 1), np.uint8)), "JPEG")
    header = header_of(small, SETTINGS)
    lying = type(header)(**{name: getattr(header, name) for name in header.__slots__} | {"data": large})
    buffer = np.full(8 * 8 * 3 + 50_000, 77, np.uint8)
    with pytest.raises(DecodeError) as caught:
        pixels_of(lying, SETTINGS, buffer[: 8 * 8 * 3].reshape(8, 8, 3))
    assert caught.value.reason == "decode_error"
    assert (buffer[8 * 8 * 3 :] == 77).all()


# ---------------------------------------------------------------------------------------------------- in memory


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.copy())


ALPHA = np.concatenate([RGB, np.where(np.arange(13)[:, None, None] < 4, 9, 255).astype(np.uint8).repeat(17, 1)], -1)


@pytest.mark.parametrize(
    ("image", "expected", "channels", "depth", "transparent"),
    [
        (RGB, RGB, 3, 8, 0.0),
        (GRAY, copied(GRAY), 1, 8, 0.0),
        (GRAY[:, :, None], copied(GRAY), 1, 8, 0.0),
        (GRAY > 9, copied((GRAY > 9) * 255), 1, 1, 0.0),
        (ALPHA, RGB, 4, 8, 4 / 13),
        (RGB[::-1, ::2], RGB[::-1, ::2], 3, 8, 0.0),
        (DEEP, copied(rounded(DEEP)), 1, 16, 0.0),
        (RGB.astype(np.uint16) * 257, RGB, 3, 16, 0.0),
        (tensor(RGB).permute(2, 0, 1), RGB, 3, 8, 0.0),
        (tensor(GRAY), copied(GRAY), 1, 8, 0.0),
        (tensor(GRAY)[None], copied(GRAY), 1, 8, 0.0),
        (tensor(DEEP), copied(rounded(DEEP)), 1, 16, 0.0),
        (Image.fromarray(RGB), RGB, 3, 8, 0.0),
        (Image.fromarray(GRAY), copied(GRAY), 1, 8, 0.0),
        (Image.fromarray(GRAY > 9), copied((GRAY > 9) * 255), 1, 1, 0.0),
        (Image.fromarray(ALPHA), RGB, 4, 8, 4 / 13),
        (Image.fromarray(DEEP), copied(rounded(DEEP)), 1, 16, 0.0),
    ],
)
def test_images_in_memory(image: object, expected: np.ndarray, channels: int, depth: int, transparent: float) -> None:
    found = image_of(image, SETTINGS)
    check(found, expected, "", channels, depth, transparent)
    assert (found.file_size, found.digest) == (-1, "")


def test_floats_in_memory_need_a_range() -> None:
    scaled = DecodeSettings(float_range=(0.0, 255.0))
    for image in (
        RGB.astype(np.float32),
        tensor(RGB.astype(np.float64)).permute(2, 0, 1),
        tensor(RGB).permute(2, 0, 1).bfloat16(),
    ):
        with pytest.raises(DecodeError, match="no declared value range"):
            image_of(image, SETTINGS)
        np.testing.assert_array_equal(image_of(image, scaled).rgb, RGB)
    with pytest.raises(DecodeError, match="NaN or Inf"):
        image_of(torch.full((3, 4, 4), torch.nan), scaled)


def test_pillow_images_from_files_are_like_the_files() -> None:
    for form in ("JPEG", "PNG", "TIFF"):
        for turn in (1, 6, 8):
            data = with_orientation(form, turn)
            found, expected = image_of(Image.open(io.BytesIO(data)), SETTINGS), decode(data, SETTINGS)
            np.testing.assert_array_equal(found.rgb, expected.rgb)
            assert (found.reversed_x, found.reversed_y, found.format) == (expected.reversed_x, expected.reversed_y, form)
    with pytest.raises(DecodeError) as caught:
        image_of(Image.open(io.BytesIO(encoded(RGB, "PNG")[:-60])), SETTINGS)
    assert caught.value.reason == "truncated"
    with pytest.raises(DecodeError, match="too_many_pixels"):
        image_of(Image.new("L", (200, 200)), DecodeSettings(max_megapixels=0.03))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("photo.jpg", "type builtins.str; accepted are encoded bytes"),
        (None, "NoneType"),
        ([[0]], "builtins.list"),
        (np.zeros((3, 8, 9), np.uint8), r"NumPy array of shape \[3, 8, 9\]; accepted is \[h w\] or \[h w c\]"),
        (torch.zeros((8, 9, 3), dtype=torch.uint8), r"torch tensor of shape \[8, 9, 3\]; accepted is \[h w\] or \[c h w\]"),
        (torch.zeros((1, 3, 8, 9), dtype=torch.uint8), "shape"),
        (np.zeros(5, np.uint8), "shape"),
        (np.zeros((8, 9), np.int32), "int32 values; accepted are bool, uint8, uint16"),
        (torch.zeros((8, 9), dtype=torch.int64), "int64"),
        (np.zeros((8, 9), np.complex64), "complex64"),
        (np.zeros((8, 9), object), "object"),
    ],
)
def test_other_things_are_no_images(image: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        image_of(image, SETTINGS)


def test_arrays_without_pixels() -> None:
    for image in (np.zeros((0, 5, 3), np.uint8), torch.zeros((3, 5, 0), dtype=torch.uint8)):
        with pytest.raises(DecodeError) as caught:
            image_of(image, SETTINGS)
        assert caught.value.reason == "bad_dimensions"


def test_memory_image_is_left_alone() -> None:
    image = RGB.copy()
    found = image_of(image, SETTINGS)
    np.testing.assert_array_equal(image, RGB)
    assert found.rgb.flags.c_contiguous


# ---------------------------------------------------------------------------------------------------- hostile files

REFUSED = {"bomb", "load_fails", "plain_jpeg2000", "unidentified"}
"""Groups in which no file becomes a frame; in all others most do."""


def test_hostile_corpus(test_data: Path) -> None:
    files = [path for path in sorted((test_data / "hostile").rglob("*")) if path.is_file() and path.suffix != ".json"]
    assert len(files) > 100
    outcomes: dict[str, list[bool]] = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in files:
        found = outcome(path.read_bytes())
        if isinstance(found, Decoded):
            assert found.rgb.size > 0
            assert 0 <= found.transparent <= 1
            assert 1 <= found.channels <= 4
            assert 1 <= found.bit_depth <= 32
        else:
            assert found.reason in REASONS, path
            assert found.reason not in ("internal", "out_of_memory"), (path, found)
        outcomes.setdefault(path.parent.name, []).append(isinstance(found, Decoded))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB
    for group, good in outcomes.items():
        assert not any(good) if group in REFUSED | {"hostile"} else sum(good) > len(good) / 2, (group, good)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "TGA"])
def test_damaged_files_end_as_pixels_or_a_reason(form: str) -> None:
    clean = encoded(RANDOM.integers(0, 256, (24, 31, 3), dtype=np.uint8), form)
    random = np.random.default_rng(len(clean))

    def flip(data: bytearray) -> None:
        for _ in range(random.integers(1, 17)):
            data[random.integers(len(data))] ^= 1 << random.integers(8)

    def zero(data: bytearray) -> None:
        start = random.integers(len(data))
        data[start : start + 50] = bytes(len(data[start : start + 50]))

    def cut(data: bytearray) -> None:
        del data[random.integers(len(data)) :]

    harm: list[Callable[[bytearray], None]] = [flip, flip, zero, cut]
    for trial in range(80):
        data = bytearray(clean)
        harm[trial % len(harm)](data)
        found = outcome(bytes(data))
        assert isinstance(found, Decoded) or (found.reason in REASONS and found.reason != "internal")
