"""Everything classical image metrics count, in one sweep over the pixels: exact integers per region."""

from collections.abc import Collection

from gpu_quality.kernels.pixels.layout import GROUPS, Statistics
from gpu_quality.types import Pixels, Regions

__all__ = ["GROUPS", "Statistics", "pixel_statistics"]


def pixel_statistics(pixels: Pixels, regions: Regions, groups: Collection[str]) -> dict[str, Statistics]:
    """What the pixels of every region add up to; bit-identical on every device and number of threads.

    Neighborhoods read the whole frame (reflect-101 at its edge only), a region selects whose responses are summed.
    Spans restrict a region to its pixel runs, except for `perceived`, which covers the rectangle. `phases`, `cells` and
    `content` have one row per frame. Empty regions hold zeros. Only the groups asked for cost time.

    Raises
    ------
    ValueError
        A name in `groups` is no member of `GROUPS`.
    """
    if pixels.data.is_cuda:
        from gpu_quality.kernels.pixels import cuda

        return cuda.pixel_statistics(pixels, regions, groups)
    from gpu_quality.kernels.pixels import cpu

    return cpu.pixel_statistics(pixels, regions, groups)
