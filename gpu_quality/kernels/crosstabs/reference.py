"""Counts of pairs of codes in plain torch, on any device: the definition of the fast kernel."""

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor


def crosstabs(
    first: UInt8[Tensor, " n"],
    others: UInt8[Tensor, "m n"],
    part: UInt8[Tensor, " n"],
    *,
    parts: int,
    bins: int,
    other_bins: int,
) -> Int64[Tensor, "m parts bins other_bins"]:
    """Counts of pairs; see ``kernels.crosstabs``."""
    size = parts * bins * other_bins
    place = (part.long() * bins + first.long()) * other_bins
    tables = [torch.bincount(place + other.long(), minlength=size) for other in others]
    found = torch.stack(tables) if tables else place.new_zeros(0, size)
    return found.view(-1, parts, bins, other_bins)
