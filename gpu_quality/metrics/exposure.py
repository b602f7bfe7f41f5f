"""How light is distributed: luma levels, percentiles, clipped shadows and highlights."""

from collections.abc import Callable
from typing import Final

from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.functional import statistics
from gpu_quality.registry import metric
from gpu_quality.types import Tones


@metric(per="region", unit="level", bounds=(0.0, 255.0))
def luma_mean(tones: Tones) -> Float64[Tensor, " r"]:
    r"""How bright the picture is to the eye, green weighing most.

    .. math:: \mu(Y), \qquad Y \approx 0.299 R + 0.587 G + 0.114 B
    Range: 0 (black) to 255 (white); 76 for pure red.
    Depends on: exposure and on what is shown.
    Source: fastdup, "mean".
    """
    return statistics.mean(tones.histogram)


@metric(per="region", unit="level", bounds=(0.0, 127.5), bad="low")
def luma_std(tones: Tones) -> Float64[Tensor, " r"]:
    r"""How far luma spreads: low for fog, haze and flat areas of any color.

    .. math:: \sigma(Y)
    Range: 0 for a flat picture, 127.5 for half black and half white.
    Depends on: exposure and on what is shown.
    Source: fastdup, "stdv".
    """
    return statistics.variance(*statistics.power_sums(tones.histogram)).sqrt()


_PERCENTILE_DOC: Final = r"""{meaning}

    .. math:: \min \lbrace y : \#[Y \le y] \ge \lceil {percent} N / 100 \rceil \rbrace
    Range: 0 to 255, a whole number: no interpolation.
    Depends on: exposure and on what is shown.
    Source: {source}.
"""


def _luma_percentile(name: str, percent: int, meaning: str, source: str) -> Callable[[Tones], Int64[Tensor, " r"]]:
    def value(tones: Tones) -> Int64[Tensor, " r"]:
        return statistics.percentile(tones.histogram, percent)

    value.__name__ = value.__qualname__ = name
    value.__doc__ = _PERCENTILE_DOC.format(meaning=meaning, percent=percent, source=source)
    return metric(per="region", unit="level", bounds=(0, 255))(value)


_COMMON: Final = "the usual percentiles of luma"
luma_p01 = _luma_percentile("luma_p01", 1, "Luma of the shadows: 1 % of the pixels are not brighter.", _COMMON)
luma_p05 = _luma_percentile("luma_p05", 5, "Luma of the dark parts: 5 % of the pixels are not brighter.", _COMMON)
luma_p25 = _luma_percentile("luma_p25", 25, "Lower quartile of luma: a quarter of the pixels is not brighter.", _COMMON)
luma_p50 = _luma_percentile("luma_p50", 50, "Median of luma: half of the pixels is not brighter.", _COMMON)
luma_p75 = _luma_percentile("luma_p75", 75, "Upper quartile of luma: three quarters of the pixels are not brighter.", _COMMON)
luma_p95 = _luma_percentile("luma_p95", 95, "Luma of the bright parts: 95 % of the pixels are not brighter.", _COMMON)
luma_p99 = _luma_percentile("luma_p99", 99, "Luma of the highlights: 99 % of the pixels are not brighter.", _COMMON)
luma_max = _luma_percentile("luma_max", 100, "Luma of the brightest pixel.", 'fastdup, "max"')


@metric(per="region", unit="level", bounds=(0, 255))
def luma_min(tones: Tones) -> Int64[Tensor, " r"]:
    r"""Luma of the darkest pixel.

    .. math:: \min Y
    Range: 0 to 255, a whole number.
    Depends on: exposure; a single dead pixel sets it.
    Source: fastdup, "min".
    """
    return statistics.order_statistic(tones.histogram, tones.count * 0)


@metric(per="region", unit="levels", bounds=(1, 256), bad="low")
def unique_values(tones: Tones) -> Int64[Tensor, " r"]:
    r"""How many different luma values occur.

    .. math:: \#\lbrace y : h_Y(y) > 0 \rbrace
    Range: 1 (flat) to 256; few where a picture was drawn, thresholded or quantized.
    Depends on: resolution: a small region cannot show more values than it has pixels.
    Source: fastdup, "unique".
    """
    return (tones.histogram > 0).sum(-1)


@metric(per="region", unit="bit", bounds=(0.0, 8.0), bad="low")
def entropy(tones: Tones) -> Float64[Tensor, " r"]:
    r"""How much information the luma histogram holds: low for flat, clipped or drawn pictures.

    .. math:: -\sum_y p_y \log_2 p_y, \qquad p_y = h_Y(y) / N
    Range: 0 (flat) to 8 (all 256 values equally often).
    Depends on: the histogram only; shuffling the pixels changes nothing.
    Source: Shannon, A mathematical theory of communication, 1948.
    """
    return statistics.entropy(tones.histogram)


@metric(per="region", unit="fraction", bounds=(0.0, 1.0), bad="high")
def underexposed_fraction(tones: Tones, *, at_most: int = 5) -> Float64[Tensor, " r"]:
    r"""How much of the picture is lost in black.

    .. math:: \frac{1}{N} \sum [Y \le \mathrm{at\_most}]
    Range: 0 to 1.
    Depends on: exposure; black borders count.
    """
    return statistics.ratio(tones.histogram[:, : at_most + 1].sum(1), tones.count)


@metric(per="region", unit="fraction", bounds=(0.0, 1.0), bad="high")
def overexposed_fraction(tones: Tones, *, at_least: int = 250) -> Float64[Tensor, " r"]:
    r"""How much of the picture is burnt out to white.

    .. math:: \frac{1}{N} \sum [Y \ge \mathrm{at\_least}]
    Range: 0 to 1.
    Depends on: exposure; white backgrounds count.
    """
    return statistics.ratio(tones.histogram[:, at_least:].sum(1), tones.count)
