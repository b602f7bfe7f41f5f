"""Tiny pictures of frames for hashes and blur scores: Pillow's 8-bit resampling in integers, bit for bit."""

from collections.abc import Collection

from torch import Tensor

from gpu_quality.kernels.thumbnails.result import WANTED, SoftBlur
from gpu_quality.types import Pixels, Regions

__all__ = ["WANTED", "SoftBlur", "thumbnails"]


def thumbnails(pixels: Pixels, regions: Regions, wanted: Collection[str]) -> dict[str, Tensor | SoftBlur]:
    """The wanted thumbnails: `square` [b, 32, 32], `wide` [b, 8, 9], `tall` [b, 9, 8] (uint8 luma), `soft_blur` per region.

    Raises
    ------
    ValueError
        A name in `wanted` is no member of `WANTED`.
    """
    if pixels.data.is_cuda:
        from gpu_quality.kernels.thumbnails import reference

        return reference.thumbnails(pixels, regions, wanted)
    from gpu_quality.kernels.thumbnails import cpu

    return cpu.thumbnails(pixels, regions, wanted)
