"""The distribution of all color values of a frame or an object, R, G and B pooled."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.functional import statistics
from gpu_quality.registry import metric
from gpu_quality.types import ChannelTones, Facts, Regions


def _pooled(tones: ChannelTones) -> Int64[Tensor, "r 256"]:
    return tones.histogram.sum(1)


def _value(tones: ChannelTones, percent: int) -> Float64[Tensor, " r"]:
    return statistics.quantile(_pooled(tones), percent) / 255


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0))
def value_min(channel_tones: ChannelTones) -> Float64[Tensor, " r"]:
    r"""The smallest color value.

    .. math:: \min(R \cup G \cup B) / 255
    Range: 0 to 1.
    Depends on: exposure; a single dead pixel sets it.
    Source: DataEval, "percentiles".
    """
    return _value(channel_tones, 0)


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0))
def value_p25(channel_tones: ChannelTones) -> Float64[Tensor, " r"]:
    r"""Lower quartile of the color values.

    .. math:: Q_{25}(R \cup G \cup B) / 255 \quad \text{(linear interpolation)}
    Range: 0 to 1.
    Depends on: exposure and on what is shown.
    Source: DataEval, "brightness".
    """
    return _value(channel_tones, 25)


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0))
def value_p50(channel_tones: ChannelTones) -> Float64[Tensor, " r"]:
    r"""Median of the color values.

    .. math:: Q_{50}(R \cup G \cup B) / 255 \quad \text{(linear interpolation)}
    Range: 0 to 1.
    Depends on: exposure and on what is shown.
    Source: DataEval, "percentiles".
    """
    return _value(channel_tones, 50)


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0))
def value_p75(channel_tones: ChannelTones) -> Float64[Tensor, " r"]:
    r"""Upper quartile of the color values.

    .. math:: Q_{75}(R \cup G \cup B) / 255 \quad \text{(linear interpolation)}
    Range: 0 to 1.
    Depends on: exposure and on what is shown.
    Source: DataEval, "darkness".
    """
    return _value(channel_tones, 75)


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0))
def value_max(channel_tones: ChannelTones) -> Float64[Tensor, " r"]:
    r"""The largest color value.

    .. math:: \max(R \cup G \cup B) / 255
    Range: 0 to 1.
    Depends on: exposure; a single hot pixel sets it.
    Source: DataEval, "percentiles".
    """
    return _value(channel_tones, 100)


@metric(per="region", unit="ratio", bounds=(0.0, 5.0), bad="low")
def quartile_contrast(channel_tones: ChannelTones) -> Float64[Tensor, " r"]:
    r"""Range of the color values against their typical size.

    .. math:: \frac{\max q - \min q}{\operatorname{mean} q}, \qquad q = (Q_0, Q_{25}, Q_{50}, Q_{75}, Q_{100})
    Range: 0 (flat, also where all is black) to 5 (a few bright values on black).
    Depends on: exposure: dark pictures read high.
    Source: DataEval, "contrast".
    """
    q = torch.stack([_value(channel_tones, percent) for percent in (0, 25, 50, 75, 100)])  # [5, r]
    middle = (q[0] + q[1] + q[2] + q[3] + q[4]) / 5  # one order of sums, however many regions there are
    return torch.where(middle > 0, (q[4] - q[0]) / middle, 0.0)


@metric(per="region", unit="ratio")
def skewness(channel_tones: ChannelTones) -> Float64[Tensor, " r"]:
    r"""Which way the color values lean: positive for a dark picture with few bright parts.

    .. math:: m_3 / m_2^{3/2}, \qquad m_k = \frac{1}{3N} \sum (x - \mu)^k
    Range: any number; 0 for a symmetric or flat picture.
    Depends on: exposure and on what is shown.
    Source: DataEval, "skew" (equal for 8-bit RGB).
    """
    return statistics.standardized_moment(_pooled(channel_tones), 3)


@metric(per="region", unit="ratio")
def kurtosis(channel_tones: ChannelTones) -> Float64[Tensor, " r"]:
    r"""How much of the spread of the color values comes from few extreme ones.

    .. math:: m_4 / m_2^2 - 3, \qquad m_k = \frac{1}{3N} \sum (x - \mu)^k
    Range: -2 (two values, equally often) and up; 0 for a normal distribution or a flat picture.
    Depends on: exposure and on what is shown.
    Source: DataEval, "kurtosis" (equal for 8-bit RGB).
    """
    fourth = statistics.standardized_moment(_pooled(channel_tones), 4)
    return torch.where(fourth == 0, fourth, fourth - 3)  # 0 marks a flat picture: elsewhere m4 / m2^2 >= 1


@metric(per="region", unit="fraction", bounds=(0.0, 1.0), bad="high")
def zeros_fraction(channel_tones: ChannelTones) -> Float64[Tensor, " r"]:
    r"""How many of the color values are exactly 0.

    .. math:: \frac{1}{3N} \sum ([R = 0] + [G = 0] + [B = 0])
    Range: 0 to 1.
    Depends on: exposure; black borders and masked areas raise it, and so do pure colors.
    Source: DataEval, "zeros".
    """
    return statistics.ratio(_pooled(channel_tones)[:, 0], 3 * channel_tones.count)


@metric(per="region", unit="bit", bounds=(0.0, 9.585), bad="low")
def entropy_rgb(channel_tones: ChannelTones, regions: Regions, facts: Facts) -> Float64[Tensor, " r"]:
    r"""How much information the three channel histograms hold together.

    .. math:: -\sum_{c, v} p_{cv} \log_2 p_{cv}, \qquad p_{cv} = h_c(v) / 3N
    Range: 0 to 9.585; a file that stores one channel is measured on that channel, 0 to 8, so it reads 1.585 lower than
    the same picture stored as RGB.
    Depends on: the histograms only, and on the number of channels stored.
    Source: cleanvision, "entropy" (equal for L and RGB files).
    """
    return statistics.channel_entropy(channel_tones.histogram, facts.channels[regions.frame] == 1)
