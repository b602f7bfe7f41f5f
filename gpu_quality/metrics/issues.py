"""Scores of nine common problems, low = bad, equal to cleanvision's; `flags.py` says where a score counts as an issue."""

from typing import Literal

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.functional import color, hashing, issues, statistics
from gpu_quality.kernels.thumbnails import SoftBlur
from gpu_quality.registry import metric
from gpu_quality.types import ChannelTones, Facts, Hues, Masked, Perceived, Regions, Sizes

Compat = Literal["", "cleanvision"]


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0), bad="low")
def dark_score(perceived: Perceived) -> Float64[Tensor, " r"]:
    r"""How bright the brightest parts are: low when even they are dark.

    .. math:: Q_{99}(b), \qquad b = \sqrt{0.241 R^2 + 0.691 G^2 + 0.068 B^2} / 255
    Range: 0 (black) to 1.
    Depends on: exposure; 1 % of bright pixels is enough to read high. Objects are measured on their bounding rectangle.
    Source: cleanvision, "dark" (equal).
    """
    return color.perceived_quantile(perceived.count, perceived.high, 99)


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0), bad="low")
def light_score(perceived: Perceived) -> Float64[Tensor, " r"]:
    r"""How dark the darkest parts are: low when even they are bright.

    .. math:: 1 - Q_5(b), \qquad b = \sqrt{0.241 R^2 + 0.691 G^2 + 0.068 B^2} / 255
    Range: 0 (white) to 1.
    Depends on: exposure; 5 % of dark pixels are enough to read high. Objects are measured on their bounding rectangle.
    Source: cleanvision, "light" (equal).
    """
    return 1 - color.perceived_quantile(perceived.count, perceived.low, 5)


@metric(per="region", unit="score", bounds=(0.0, 1.0), bad="low")
def low_information_score(rect_tones: ChannelTones, regions: Regions, facts: Facts) -> Float64[Tensor, " r"]:
    r"""How much information the color histograms hold: low for flat and nearly flat pictures.

    .. math:: \min(0.1 \cdot \mathrm{entropy\_rgb}, 1)
    Range: 0 to 0.9585; a flat picture stored as RGB has 0.158, stored as gray 0.
    Depends on: the histograms, and the number of channels stored. Objects are measured on their bounding rectangle.
    Source: cleanvision, "low_information" (equal for L and RGB files).
    """
    gray = facts.channels[regions.frame] == 1
    return (0.1 * statistics.channel_entropy(rect_tones.histogram, gray)).clamp(max=1)


@metric(per="region", unit="score", bounds=(0.0, 1.0), bad="low")
def blurry_score(soft_blur: SoftBlur) -> Float64[Tensor, " r"]:
    r"""How sharp a 64-pixel thumbnail is: low when a picture stays soft even when it is shrunk.

    .. math:: \min(1 - e^{-0.01 s} + c, 1), \qquad c = 1 - e^{-0.01 t} \text{ if above } 0.18 \text{ else } 0
    with s the standard deviation of the clipped 8-neighbor edge response, t that of the 256 histogram counts.
    Range: 0 to 1; a flat picture has 1, as its histogram is one spike: use blur or low_information_score there.
    Depends on: hardly on resolution; measured on the thumbnail. Objects are measured on their bounding rectangle.
    Source: cleanvision, "blurry" (equal).
    """
    return issues.sharp_share(soft_blur.count, soft_blur.response, soft_blur.response_square, soft_blur.histogram_square)


@metric(unit="ratio", bounds=(0.0, 1.0), bad="low")
def odd_aspect_ratio_score(sizes: Sizes) -> Float64[Tensor, " b"]:
    r"""How close to a square a frame is, lying or standing.

    .. math:: \min(W / H, H / W)
    Range: above 0 (a thread) to 1 (a square).
    Depends on: nothing but the two sides.
    Source: cleanvision, "odd_aspect_ratio" (equal).
    """
    ratio = sizes.width.double() / sizes.height.double()
    return torch.minimum(ratio, sizes.height.double() / sizes.width.double())


@metric(over="dataset", unit="score", bounds=(0.0, 1.0), bad="low")
def odd_size_score(sizes: Sizes) -> Float64[Tensor, " n"] | Masked:
    r"""How usual the size of a frame is among all frames.

    .. math:: 1 - \min\left(\frac{|x - m|}{g}, 1\right), \qquad x = \sqrt{W} \sqrt{H}
    with m the middle and g the length of the range from 3 IQR below the lower to 3 IQR above the upper quartile of x; where
    that range has no length, g = m.
    Range: 0 to 1 (in the middle); 1 for a lone frame; null where the size is unknown.
    Depends on: all other frames.
    Source: cleanvision, "odd_size" (equal).
    """
    known = sizes.width > 0
    distance, _ = issues.size_distance(sizes.width, sizes.height, known)
    return Masked(1 - distance.clamp(max=1), ~known, "no_metadata")


@metric(unit="score", bounds=(0, 1), bad="low")
def grayscale_score(hues: Hues, facts: Facts, *, compat: Compat = "") -> Int64[Tensor, " b"]:
    r"""Whether a frame shows color: 0 for a gray picture, 1 for a color one.

    .. math:: [C \ne 1 \text{ and } \mathrm{color\_fraction} > 10^{-4}]
    Range: 0 or 1. With ``compat="cleanvision"`` 0 means stored as one channel of 8 bits, whatever is shown.
    Depends on: what is shown; the limit lets a few colored pixels pass, as noise makes them.
    Source: cleanvision, "grayscale" (there only the mode of the file).
    """
    one_channel = facts.channels == 1
    if compat == "cleanvision":
        return (~(one_channel & (facts.bit_depth == 8))).long()
    frames = len(facts.channels)
    colored, count = hues.colored[:frames], hues.count[:frames]
    return (~one_channel & (10_000 * colored > count)).long()


@metric(over="dataset", unit="score", bounds=(0.0, 1.0), bad="low")
def exact_duplicates_score(
    content_hash: Int64[Tensor, " n"],
    mean_red: Float64[Tensor, " n"],
    mean_green: Float64[Tensor, " n"],
    mean_blue: Float64[Tensor, " n"],
    contrast: Float64[Tensor, " n"],
    sizes: Sizes,
) -> Float64[Tensor, " n"]:
    r"""How alone a frame is among frames with exactly the same pixels.

    .. math:: 1 / \text{size of its group}
    Range: above 0 to 1; 1 where no other frame is equal.
    Depends on: pixels and shape, not on file format or metadata.
    Source: cleanvision, "exact_duplicates" (there raw bytes without shape).
    """
    columns = (content_hash, mean_red, mean_green, mean_blue, contrast, sizes.width, sizes.height)
    leader = hashing.equal_rows(columns, ~contrast.isnan())
    return 1 / hashing.group_sizes(leader).double()


@metric(over="dataset", unit="score", bounds=(0.0, 1.0), bad="low")
def near_duplicates_score(
    phash: Int64[Tensor, " n"], content_hash: Int64[Tensor, " n"], thumbnail_range: Float64[Tensor, " n"]
) -> Float64[Tensor, " n"]:
    r"""How alone a frame is among frames with the same perceptual hash.

    .. math:: 1 / \text{size of its group}
    Range: above 0 to 1; 1 where no other frame has that hash, or all that have it are exact duplicates.
    Depends on: the coarse picture only; nearly flat frames share hashes. near_duplicate_group is the stricter rule.
    Source: cleanvision, "near_duplicates" (equal).
    """
    known = ~thumbnail_range.isnan()
    size = hashing.group_sizes(hashing.equal_rows((phash,), known))
    # a group inside which every content is the same is an exact group; one hash of equal pixels never splits such a group
    same = hashing.group_sizes(hashing.equal_rows((phash, content_hash), known))
    return torch.where(same == size, 1.0, 1 / size.double())
