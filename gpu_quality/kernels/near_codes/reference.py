"""Pairs of near codes in plain torch, on any device: the definition of the fast kernel."""

import torch
from jaxtyping import Int64
from torch import Tensor

from gpu_quality.kernels.hamming.reference import popcount


def near(
    own: Int64[Tensor, "ways 2 n"], other: Int64[Tensor, "ways 2 n"], begin: int, stop: int, most: int
) -> Int64[Tensor, "p 2"]:
    """Pairs of rows begin .. stop with later rows; see ``kernels.near_codes``."""
    differing = popcount(own[:, :, begin:stop, None] ^ other[:, :, None]).sum(1)  # ways rows n
    hit = (differing <= most).any(0)
    row, column = hit.nonzero(as_tuple=True)
    pairs = torch.stack([row + begin, column], 1)
    return pairs[pairs[:, 0] < pairs[:, 1]]
