"""What every pixel metric is made of: exact integer statistics of frames and objects, from one look at the pixels."""

from dataclasses import replace
from typing import Any

from jaxtyping import Float32, UInt8
from torch import Tensor

from gpu_quality.functional import color
from gpu_quality.kernels import pixels as kernel
from gpu_quality.registry import feature
from gpu_quality.types import ChannelTones, Pixels, Regions, moved


@feature(per="region", gives=(*kernel.GROUPS, "rect_tones"))
def pixel_statistics(pixels: Pixels, regions: Regions, *, wanted: frozenset[str]) -> dict[str, Any]:
    """Sums, histograms and counts of every region, by group; `rect_tones` are the channel tones of bounding rectangles."""
    regions = moved(regions, pixels.data.device)
    groups = (wanted - {"rect_tones"}) | ({"channel_tones"} if "rect_tones" in wanted else frozenset())
    statistics: dict[str, Any] = dict(kernel.pixel_statistics(pixels, regions, groups))
    if "rect_tones" in wanted:
        statistics["rect_tones"] = _rect_tones(statistics["channel_tones"], pixels, regions)
    return {name: moved(group, "cpu") for name, group in statistics.items()}


def _rect_tones(tones: ChannelTones, pixels: Pixels, regions: Regions) -> ChannelTones:
    """`tones` with the regions that have spans counted anew over their whole rectangles."""
    if regions.spans is None or bool(regions.spans.whole.all()):
        return tones
    rows = (~regions.spans.whole).nonzero().flatten()
    whole = Regions(regions.frame[rows], regions.rect[rows], None, regions.null[rows])
    anew: Any = kernel.pixel_statistics(pixels, whole, {"channel_tones"})["channel_tones"]
    return replace(
        tones, count=tones.count.index_copy(0, rows, anew.count), histogram=tones.histogram.index_copy(0, rows, anew.histogram)
    )


@feature()
def gray(rgb: UInt8[Tensor, "b 3 h w"]) -> Float32[Tensor, "b h w"]:
    """Luma of equal-sized frames, 0 (black) to 1 (white): for metrics written in plain torch."""
    return color.gray(rgb)
