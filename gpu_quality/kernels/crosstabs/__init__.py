"""How often each pair of codes occurs together: the tables of counts behind a search over two metrics at once."""

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

__all__ = ["crosstabs"]


def crosstabs(
    first: UInt8[Tensor, " n"],
    others: UInt8[Tensor, "m n"],
    part: UInt8[Tensor, " n"],
    *,
    parts: int,
    bins: int,
    other_bins: int,
) -> Int64[Tensor, "m parts bins other_bins"]:
    """Rows of every part that have one code in `first` and another in a row of `others`; codes lie below the bins given."""
    if first.is_cuda:
        from gpu_quality.kernels.crosstabs import reference

        return reference.crosstabs(first, others, part, parts=parts, bins=bins, other_bins=other_bins)
    from gpu_quality.kernels.crosstabs import cpu

    return torch.from_numpy(
        cpu.crosstabs(first.numpy(), others.numpy(), part.numpy(), parts=parts, bins=bins, other_bins=other_bins)
    )
