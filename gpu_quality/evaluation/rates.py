"""Shares and their averages, where nothing divided by nothing is undefined (NaN) and not 0."""

import math

import torch
from jaxtyping import Bool, Float64, Shaped
from torch import Tensor


def rate(part: Shaped[Tensor, "*s"], whole: Shaped[Tensor, "*s"], zero_division: float = torch.nan) -> Float64[Tensor, "*s"]:
    """`part` divided by `whole` in float64; `zero_division` (NaN, 0 or 1) where `whole` is 0."""
    return torch.where(whole == 0, zero_division, part.double() / whole.double())


def mean_of_known(
    value: Float64[Tensor, "*s k"],
    weight: Shaped[Tensor, "*s k"] | None = None,
    chosen: Bool[Tensor, " k"] | None = None,
) -> Float64[Tensor, "*s"]:
    """Mean of the values that are not NaN, of the `chosen` ones if given, weighted if asked; NaN if none is left."""
    known = ~value.isnan()
    if chosen is not None:
        known = known & chosen
    share = known.double() if weight is None else torch.where(known, weight.double(), 0.0)
    return rate((torch.where(known, value, 0.0) * share).sum(-1), share.sum(-1))


def optional(value: Tensor) -> float | None:
    """One number as Python has it: None where it is undefined."""
    number = float(value)
    return None if math.isnan(number) else number
