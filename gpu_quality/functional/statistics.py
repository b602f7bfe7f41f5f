"""From exact integer sums and histograms to means, spreads, quantiles and entropies: float64, one value per row.

Rows without pixels give NaN (or 0 where the result is an integer); nothing raises.
"""

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor


def ratio(part: Int64[Tensor, "*s"], whole: Int64[Tensor, "*s"]) -> Float64[Tensor, "*s"]:
    """`part` divided by `whole` in float64."""
    return part.double() / whole.double()


def variance(count: Int64[Tensor, "*s"], total: Int64[Tensor, "*s"], square: Int64[Tensor, "*s"]) -> Float64[Tensor, "*s"]:
    """Population variance of integers, from their number, sum and sum of squares, to a few units in the last place.

    ``count * square - total ** 2`` needs 128 bits for large frames. Here the values are first shifted, exactly and in int64,
    by the integer nearest to their mean. Of shifted values the sum of squares is at least the absolute sum, which is at most
    half the count, so the one subtraction left in float64 takes away at most half of its first term.
    """
    whole = count.clamp(min=1)
    shift = torch.div(2 * total + whole, 2 * whole, rounding_mode="floor")
    rest = total - count * shift
    around = square - shift * (total + rest)  # sum of (x - shift)^2
    return around.double() / count - (rest.double() / count).square()


def mean(histogram: Int64[Tensor, "*s bins"]) -> Float64[Tensor, "*s"]:
    """Mean bin index."""
    levels = torch.arange(histogram.shape[-1], device=histogram.device)
    return ratio((histogram * levels).sum(-1), histogram.sum(-1))


def power_sums(histogram: Int64[Tensor, "*s bins"]) -> tuple[Int64[Tensor, "*s"], Int64[Tensor, "*s"], Int64[Tensor, "*s"]]:
    """Number, sum and sum of squares of the bin indices."""
    levels = torch.arange(histogram.shape[-1], device=histogram.device)
    return histogram.sum(-1), (histogram * levels).sum(-1), (histogram * levels * levels).sum(-1)


def standardized_moment(histogram: Int64[Tensor, "r bins"], order: int) -> Float64[Tensor, " r"]:
    """Central moment of the bin indices over the same power of their standard deviation; 0 where all are equal."""
    weight = histogram.double() / histogram.sum(-1, keepdim=True).double()
    levels = torch.arange(histogram.shape[-1], device=histogram.device, dtype=torch.float64)
    around = levels - mean(histogram).unsqueeze(-1)  # [r, bins]
    spread = (weight * around.square()).sum(-1)
    moment = (weight * around**order).sum(-1)
    # by multiplication and roots alone: a real power rounds differently in and after the last full vector of a batch
    scale = spread.sqrt() ** order
    return torch.where(spread > 0, moment / scale, spread)


def order_statistic(histogram: Int64[Tensor, "r bins"], rank: Int64[Tensor, " r"]) -> Int64[Tensor, " r"]:
    """The value at 0-based `rank` among the sorted bin indices."""
    below = histogram.cumsum(-1) <= rank.unsqueeze(-1)
    return below.sum(-1).clamp(max=histogram.shape[-1] - 1)


def percentile(histogram: Int64[Tensor, "r bins"], percent: int) -> Int64[Tensor, " r"]:
    """The smallest bin index that at least `percent` % of the values do not exceed."""
    count = histogram.sum(-1)
    return order_statistic(histogram, torch.div(count * percent + 99, 100, rounding_mode="floor") - 1)


def quantile(histogram: Int64[Tensor, "r bins"], percent: int) -> Float64[Tensor, " r"]:
    """Quantile of the bin indices, linear between the two order statistics around rank ``(n - 1) percent / 100``."""
    scaled = (histogram.sum(-1) - 1).clamp(min=0) * percent
    rank = torch.div(scaled, 100, rounding_mode="floor")
    last = (histogram.sum(-1) - 1).clamp(min=0)
    low, high = order_statistic(histogram, rank), order_statistic(histogram, torch.minimum(rank + 1, last))
    return between(low.double(), high.double(), (scaled % 100).double() / 100)


def between(low: Float64[Tensor, "*s"], high: Float64[Tensor, "*s"], weight: Float64[Tensor, "*s"]) -> Float64[Tensor, "*s"]:
    """Linear interpolation that returns the ends exactly and never leaves them, as NumPy's quantiles do."""
    step = high - low
    return torch.where(weight < 0.5, low + step * weight, high - step * (1 - weight))


def sorted_quantile(ordered: Float64[Tensor, " n"], percent: int) -> Float64[Tensor, ""]:
    """Linear quantile of values that are already sorted."""
    scaled = (ordered.numel() - 1) * percent
    rank = scaled // 100
    weight = torch.tensor((scaled % 100) / 100, dtype=torch.float64, device=ordered.device)
    return between(ordered[rank], ordered[min(rank + 1, ordered.numel() - 1)], weight)


def entropy(histogram: Int64[Tensor, "r bins"]) -> Float64[Tensor, " r"]:
    """Shannon entropy of a histogram in bits."""
    share = histogram.double() / histogram.sum(-1, keepdim=True).double()
    surprise = -share.clamp(min=torch.finfo(torch.float64).tiny).log2()
    return (share * surprise).sum(-1)


def mode(histogram: Int64[Tensor, "r bins"]) -> Int64[Tensor, " r"]:
    """The fullest bin, the lowest one on ties."""
    bins = histogram.shape[-1]
    back = torch.arange(bins - 1, -1, -1, device=histogram.device)
    return (histogram * bins + back).argmax(-1)


def channel_entropy(histogram: Int64[Tensor, "r 3 256"], gray: Bool[Tensor, " r"]) -> Float64[Tensor, " r"]:
    """Entropy of three histograms taken as one of 768 bins, in bits; of the first alone where `gray`."""
    return torch.where(gray, entropy(histogram[:, 0]), entropy(histogram.flatten(1)))
