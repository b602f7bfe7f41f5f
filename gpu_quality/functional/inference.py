"""How far a number may be chance: Wilson's interval for a share, and p-values of many tests at once."""

from typing import Final

import torch
from jaxtyping import Bool, Float64, Shaped
from torch import Tensor

Z: Final = 1.96
"""Normal deviate of a two-sided 95 % interval."""


def wilson(
    successes: Shaped[Tensor, "*s"], n: Shaped[Tensor, "*s"], z: float = Z
) -> tuple[Float64[Tensor, "*s"], Float64[Tensor, "*s"]]:
    r"""Between which shares the truth likely lies when `successes` of `n` succeeded; NaN where n is 0.

    .. math:: \frac{p + z^2/2n \mp z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    >>> [round(end.item(), 6) for end in wilson(torch.tensor(8), torch.tensor(10))]
    [0.490157, 0.943319]
    """
    count = torch.where(n > 0, n.double(), torch.nan)
    p = successes.double() / count
    center = p + z * z / (2 * count)
    spread = z * (p * (1 - p) / count + z * z / (4 * count * count)).sqrt()
    scale = 1 + z * z / count
    low, high = (center - spread) / scale, (center + spread) / scale
    # at the ends the two terms are equal, and their rounding must not show
    return torch.where(p == 0, 0.0, low), torch.where(p == 1, 1.0, high)


def benjamini_hochberg(p: Float64[Tensor, " m"]) -> Float64[Tensor, " m"]:
    """p-values raised so that, of all below a limit q, a share of at most q is expected to be chance; NaN stays, uncounted.

    Source: Benjamini and Hochberg 1995.
    """
    known: Bool[Tensor, " m"] = ~p.isnan()
    order = p[known].argsort(descending=True, stable=True)
    count = len(order)
    rank = torch.arange(count, 0, -1, device=p.device)
    raised = (p[known][order] * count / rank).cummin(0).values.clamp(max=1)
    inner = torch.empty_like(raised)
    inner[order] = raised
    out = p.clone()
    out[known] = inner
    return out
