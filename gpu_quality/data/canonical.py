"""From arrays of any stored form to canonical pixels: 8 bits, three channels, alpha set aside, upright."""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from gpu_quality.errors import DecodeError, UsageError

REVERSED_X: Final = frozenset({2, 3, 6, 7})
REVERSED_Y: Final = frozenset({3, 4, 7, 8})
"""EXIF orientations after which the stored axis that became x (y) runs backwards."""
SWAPPED: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations that turn rows into columns."""
INVERSE: Final = {**{turn: turn for turn in range(1, 9)}, 6: 8, 8: 6}


def turned(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """A view of the image as EXIF orientation 1 to 8 wants it shown."""
    if orientation in SWAPPED:
        image = image.swapaxes(0, 1)
    # After the swap the axes are already those of the result, so each is reversed by its own rule.
    return image[:: -1 if orientation in REVERSED_Y else 1, :: -1 if orientation in REVERSED_X else 1]


def canonical(
    image: NDArray[Any], *, depth: int = 0, float_range: tuple[float, float] | None = None
) -> tuple[NDArray[np.uint8], float]:
    """RGB of an array of shape [h w] or [h w c] and the share of its pixels whose alpha is below full.

    c = 1 is gray, 2 gray and alpha, 3 RGB, 4 RGBA. Integers of `depth` bits (0: as wide as the type) are scaled to 8
    bits with rounding, which is ``(v + 128) // 257`` for 16 bits; alpha is dropped without compositing.

    Raises
    ------
    DecodeError
        ``non_finite`` for NaN or Inf, ``decode_error`` for floats without a declared range and for other types.
    """
    planes = image if image.ndim == 3 else image[:, :, None]
    levels = _eight_bits(planes, depth, float_range)
    channels = levels.shape[2]
    transparent = 0.0
    if channels in (2, 4):
        transparent = 1.0 - np.count_nonzero(levels[:, :, -1] == 255) / (levels.shape[0] * levels.shape[1])
        levels = levels[:, :, :-1]
    return np.broadcast_to(levels, (*levels.shape[:2], 3)), transparent


def share_of_color(image: NDArray[Any], color: object, depth: int) -> float:
    """Share of pixels of an array [h w] or [h w 3] that have one color: a gray level, or three of them; else 0."""
    if isinstance(color, tuple) and image.ndim == 3 and image.shape[2] == len(color):
        return float((image == np.asarray(color)).all(-1).mean())
    if isinstance(color, int) and image.ndim == 2:
        # Levels of 2 and 4 bits are spread over 8 by decoders; the color is named as stored.
        return float((image == (color * 255 // (2**depth - 1) if depth in (2, 4) else color)).mean())
    return 0.0


def _eight_bits(values: NDArray[Any], depth: int, float_range: tuple[float, float] | None) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        top = 2 ** (depth or 16) - 1
        if top != 65535 and values.max() > top:
            raise DecodeError("decode_error", f"value {values.max()} in an image of {depth} bits")
        scaled: NDArray[np.uint8] = ((values.astype(np.uint32) * 255 + top // 2) // top).astype(np.uint8)
        return scaled
    if values.dtype.kind == "f":
        return _from_float(values, float_range)
    raise DecodeError("decode_error", f"{values.dtype} values have no defined white; 8 or 16 bits are read")


def _from_float(values: NDArray[Any], float_range: tuple[float, float] | None) -> NDArray[np.uint8]:
    finite = np.isfinite(values)
    if not finite.all():
        raise DecodeError("non_finite", f"{values.size - int(finite.sum())} of {values.size} values are NaN or Inf")
    if float_range is None:
        found = f"float image with values {values.min():g} to {values.max():g} and no declared value range"
        raise DecodeError(
            "decode_error",
            f"{found}: set decode.float_range, such as [0, 1]",
            hint="declare which values are black and white, for example decode.float_range: [0, 1]",
        )
    low, high = float_range
    # Bands keep the float64 copy small; half is rounded up, values outside the range are clipped.
    out = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), 64):
        scaled = (values[row : row + 64].astype(np.float64) - low) * (255.0 / (high - low))
        out[row : row + 64] = np.floor(scaled + 0.5).clip(0, 255)
    return out


def array_of(image: NDArray[Any] | torch.Tensor) -> NDArray[Any]:
    """An image tensor [h w] or [c h w], or array [h w] or [h w c], as an array [h w] or [h w c] that can be scaled.

    Raises
    ------
    UsageError
        Its shape or its type is none of an image.
    """
    tensor = isinstance(image, torch.Tensor)
    shape, accepted = tuple(image.shape), "[h w] or [c h w]" if tensor else "[h w] or [h w c]"
    axis = 0 if tensor else -1
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[axis] not in (1, 2, 3, 4)):
        kind = "torch tensor" if tensor else "NumPy array"
        raise UsageError(
            f"got a {kind} of shape {list(shape)}; accepted is {accepted} with c from 1 to 4",
            hint="permute the axes: channels come first in tensors and last in arrays",
        )
    if isinstance(image, torch.Tensor):
        values = image.detach().cpu()
        values = values.float() if values.dtype is torch.bfloat16 else values
        array = (values if values.ndim == 2 else values.permute(1, 2, 0)).numpy()
    else:
        array = image
    if array.dtype.kind not in "bf" and not (array.dtype.kind == "u" and array.dtype.itemsize <= 2):
        raise UsageError(
            f"got an image of {array.dtype} values; accepted are bool, uint8, uint16, and float with a declared value range"
        )
    return array
