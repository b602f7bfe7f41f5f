"""How bright, how contrasted and how colorful a frame or an object is."""

from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.functional import color, statistics
from gpu_quality.registry import metric
from gpu_quality.types import ChannelTones, Hues, Moments


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0))
def brightness(moments: Moments) -> Float64[Tensor, " r"]:
    r"""How bright the picture is on average: 0 is black, 1 is white.

    .. math:: \frac{1}{3 \cdot 255\, N} \sum (R + G + B)
    Range: 0 to 1; 0.333 for pure red.
    Depends on: exposure and on what is shown; all three channels weigh the same.
    Source: Encord Active, "Brightness" (equal).
    """
    return moments.sum.sum(1).double() / (3 * 255 * moments.count)


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 0.5), bad="low")
def contrast(moments: Moments) -> Float64[Tensor, " r"]:
    r"""How far the color values spread: low for fog, haze and flat gray.

    .. math:: \sigma(R \cup G \cup B) / 255
    Range: 0 for flat gray, 0.5 for half black and half white; 0.471 for flat pure red, as its channels differ.
    Depends on: exposure and on what is shown, hardly on resolution.
    Source: Encord Active, "Contrast" (equal).
    """
    spread = statistics.variance(3 * moments.count, moments.sum.sum(1), moments.square.sum(1))
    return spread.sqrt() / 255


@metric(per="region", unit="fraction", bounds=(0.0, 1.0))
def red(hues: Hues) -> Float64[Tensor, " r"]:
    r"""How much of the picture is clearly red.

    .. math:: \frac{1}{N} \sum [S \ge 50,\ V \ge 40,\ H \le 10 \text{ or } H \ge 170], \quad H = 0..179
    Range: 0 to 1; gray, pale and dark pixels count for no color.
    Depends on: white balance.
    Source: Encord Active, "Red Values" (equal).
    """
    return statistics.ratio(hues.shares[:, 0], hues.count)


@metric(per="region", unit="fraction", bounds=(0.0, 1.0))
def green(hues: Hues) -> Float64[Tensor, " r"]:
    r"""How much of the picture is clearly green.

    .. math:: \frac{1}{N} \sum [S \ge 50,\ V \ge 40,\ 35 \le H \le 75], \quad H = 0..179
    Range: 0 to 1; gray, pale and dark pixels count for no color.
    Depends on: white balance.
    Source: Encord Active, "Green Values" (equal).
    """
    return statistics.ratio(hues.shares[:, 1], hues.count)


@metric(per="region", unit="fraction", bounds=(0.0, 1.0))
def blue(hues: Hues) -> Float64[Tensor, " r"]:
    r"""How much of the picture is clearly blue.

    .. math:: \frac{1}{N} \sum [S \ge 50,\ V \ge 40,\ 90 \le H \le 130], \quad H = 0..179
    Range: 0 to 1; gray, pale and dark pixels count for no color, cyan counts as blue.
    Depends on: white balance.
    Source: Encord Active, "Blue Values" (equal).
    """
    return statistics.ratio(hues.shares[:, 2], hues.count)


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0))
def saturation(hues: Hues) -> Float64[Tensor, " r"]:
    r"""How pure the colors are on average: 0 for gray.

    .. math:: \frac{1}{255\, N} \sum S
    Range: 0 to 1; dark pixels can be fully saturated.
    Depends on: white balance; noise in dark frames raises it.
    Source: fastdup, "mean_saturation".
    """
    return hues.saturation.double() / (255 * hues.count)


@metric(per="region", unit="level", bounds=(0.0, 376.5), bad="low")
def colorfulness(moments: Moments) -> Float64[Tensor, " r"]:
    r"""How colorful the picture looks to people.

    .. math:: \sqrt{\sigma_{rg}^2 + \sigma_{yb}^2} + 0.3 \sqrt{\mu_{rg}^2 + \mu_{yb}^2},
              \qquad rg = R - G,\ yb = \tfrac12 (R + G) - B
    Range: 0 for gray, 85.53 for flat pure red, about 15 to 60 for photos.
    Depends on: white balance and saturation.
    Source: Hasler and Suesstrunk, Measuring colorfulness in natural images, SPIE 2003.
    """
    return color.colorfulness(moments.count, moments.opponent, moments.opponent_square)


@metric(per="region", unit="fraction", bounds=(0.0, 1.0))
def color_fraction(hues: Hues) -> Float64[Tensor, " r"]:
    r"""How much of the picture has any visible color.

    .. math:: \frac{1}{N} \sum [\max(R,G,B) - \min(R,G,B) > 8]
    Range: 0 for gray, whatever the file stores, to 1.
    Depends on: white balance; chroma noise of a JPEG stays below the limit of 8 levels.
    """
    return statistics.ratio(hues.colored, hues.count)


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0))
def mean_red(moments: Moments) -> Float64[Tensor, " r"]:
    r"""Mean of the red channel.

    .. math:: \frac{1}{255\, N} \sum R
    Range: 0 to 1.
    Depends on: exposure and white balance.
    Source: fastdup, "mean_rel_intensity_r" (there relative to the sum of the channels).
    """
    return moments.sum[:, 0].double() / (255 * moments.count)


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0))
def mean_green(moments: Moments) -> Float64[Tensor, " r"]:
    r"""Mean of the green channel.

    .. math:: \frac{1}{255\, N} \sum G
    Range: 0 to 1.
    Depends on: exposure and white balance.
    Source: fastdup, "mean_rel_intensity_g" (there relative to the sum of the channels).
    """
    return moments.sum[:, 1].double() / (255 * moments.count)


@metric(per="region", unit="fraction of full scale", bounds=(0.0, 1.0))
def mean_blue(moments: Moments) -> Float64[Tensor, " r"]:
    r"""Mean of the blue channel.

    .. math:: \frac{1}{255\, N} \sum B
    Range: 0 to 1.
    Depends on: exposure and white balance.
    Source: fastdup, "mean_rel_intensity_b" (there relative to the sum of the channels).
    """
    return moments.sum[:, 2].double() / (255 * moments.count)


@metric(per="region", unit="level", bounds=(0, 255))
def dominant_red(channel_tones: ChannelTones) -> Int64[Tensor, " r"]:
    r"""The most frequent value of the red channel.

    .. math:: \arg\max_v\, h_R(v)
    Range: 0 to 255; the lowest value on ties.
    Depends on: exposure and white balance; jumps where two values are about as frequent.
    Source: fastdup, "dominant_r".
    """
    return statistics.mode(channel_tones.histogram[:, 0])


@metric(per="region", unit="level", bounds=(0, 255))
def dominant_green(channel_tones: ChannelTones) -> Int64[Tensor, " r"]:
    r"""The most frequent value of the green channel.

    .. math:: \arg\max_v\, h_G(v)
    Range: 0 to 255; the lowest value on ties.
    Depends on: exposure and white balance; jumps where two values are about as frequent.
    Source: fastdup, "dominant_g".
    """
    return statistics.mode(channel_tones.histogram[:, 1])


@metric(per="region", unit="level", bounds=(0, 255))
def dominant_blue(channel_tones: ChannelTones) -> Int64[Tensor, " r"]:
    r"""The most frequent value of the blue channel.

    .. math:: \arg\max_v\, h_B(v)
    Range: 0 to 255; the lowest value on ties.
    Depends on: exposure and white balance; jumps where two values are about as frequent.
    Source: fastdup, "dominant_b".
    """
    return statistics.mode(channel_tones.histogram[:, 2])
