"""Where a score counts as an issue. Only stored columns are read: another threshold never touches a pixel."""

from collections.abc import Callable
from typing import Any, Final

from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.functional import issues
from gpu_quality.registry import metric
from gpu_quality.types import Sizes

_flag: Final[Callable[..., Any]] = metric(over="dataset", unit="flag", bounds=(0, 1), bad="high")


@_flag
def is_dark_issue(dark_score: Float64[Tensor, " n"], *, threshold: float = 0.32) -> Bool[Tensor, " n"]:
    r"""Whether a frame is too dark: even its brightest parts are dim.

    .. math:: [\mathrm{dark\_score} < \mathrm{threshold}]
    Range: false or true.
    Depends on: exposure; night scenes are flagged unless a lamp is visible.
    Source: cleanvision, "dark" (its threshold).
    """
    return dark_score < threshold


@_flag
def is_light_issue(light_score: Float64[Tensor, " n"], *, threshold: float = 0.05) -> Bool[Tensor, " n"]:
    r"""Whether a frame is too bright: even its darkest parts are nearly white.

    .. math:: [\mathrm{light\_score} < \mathrm{threshold}]
    Range: false or true.
    Depends on: exposure; pages of thin text and products on white are flagged too.
    Source: cleanvision, "light" (its threshold).
    """
    return light_score < threshold


@_flag
def is_odd_aspect_ratio_issue(odd_aspect_ratio_score: Float64[Tensor, " n"], *, threshold: float = 0.35) -> Bool[Tensor, " n"]:
    r"""Whether a frame is unusually long and narrow.

    .. math:: [\mathrm{odd\_aspect\_ratio\_score} < \mathrm{threshold}]
    Range: false or true.
    Depends on: nothing but the two sides.
    Source: cleanvision, "odd_aspect_ratio" (its threshold).
    """
    return odd_aspect_ratio_score < threshold


@_flag
def is_odd_size_issue(odd_size_score: Float64[Tensor, " n"], sizes: Sizes, *, threshold: float = 0.5) -> Bool[Tensor, " n"]:
    r"""Whether a frame is much larger or smaller than the others.

    .. math:: [\mathrm{odd\_size\_score} < \mathrm{threshold}]
    Range: false or true; where the quartiles of the size are equal, every other size is flagged.
    Depends on: all other frames.
    Source: cleanvision, "odd_size" (its threshold).
    """
    _, no_spread = issues.size_distance(sizes.width, sizes.height, sizes.width > 0)
    return odd_size_score < (1.0 if no_spread else threshold)


@_flag
def is_low_information_issue(low_information_score: Float64[Tensor, " n"], *, threshold: float = 0.3) -> Bool[Tensor, " n"]:
    r"""Whether a frame shows next to nothing: its histograms hold less than 3 bits.

    .. math:: [\mathrm{low\_information\_score} < \mathrm{threshold}]
    Range: false or true.
    Depends on: the histograms; drawings in few colors are flagged too.
    Source: cleanvision, "low_information" (its threshold).
    """
    return low_information_score < threshold


@_flag
def is_blurry_issue(blurry_score: Float64[Tensor, " n"], *, threshold: float = 0.29) -> Bool[Tensor, " n"]:
    r"""Whether a frame is blurred so much that its thumbnail still is.

    .. math:: [\mathrm{blurry\_score} < \mathrm{threshold}]
    Range: false or true.
    Depends on: what is shown: skies and fog are flagged too, flat frames are not.
    Source: cleanvision, "blurry" (its threshold).
    """
    return blurry_score < threshold


@_flag
def is_grayscale_issue(grayscale_score: Int64[Tensor, " n"], *, threshold: float = 0.5) -> Bool[Tensor, " n"]:
    r"""Whether a frame has no color.

    .. math:: [\mathrm{grayscale\_score} < \mathrm{threshold}]
    Range: false or true.
    Depends on: what is shown.
    Source: cleanvision, "grayscale".
    """
    return grayscale_score < threshold


@_flag
def is_exact_duplicates_issue(exact_duplicates_score: Float64[Tensor, " n"], *, threshold: float = 1.0) -> Bool[Tensor, " n"]:
    r"""Whether another frame has exactly the same pixels.

    .. math:: [\mathrm{exact\_duplicates\_score} < \mathrm{threshold}]
    Range: false or true; every member of a group is flagged.
    Depends on: all other frames.
    Source: cleanvision, "exact_duplicates".
    """
    return exact_duplicates_score < threshold


@_flag
def is_near_duplicates_issue(near_duplicates_score: Float64[Tensor, " n"], *, threshold: float = 1.0) -> Bool[Tensor, " n"]:
    r"""Whether another frame looks the same without being equal.

    .. math:: [\mathrm{near\_duplicates\_score} < \mathrm{threshold}]
    Range: false or true; every member of a group is flagged.
    Depends on: all other frames.
    Source: cleanvision, "near_duplicates".
    """
    return near_duplicates_score < threshold
