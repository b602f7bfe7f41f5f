"""The table of overlaps seen pair by pair: which prediction and label each is about, and the best of a prediction."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.evaluation.segments import Segments

Ints = NDArray[np.int64]


class Pairs(NamedTuple):
    """Pairs of prediction and label in the order of `Segments.overlap`; places are those of the cells, not rows."""

    start: Int64[Tensor, " p_plus_1"]
    """The pairs of the prediction at place i are ``start[i]:start[i + 1]``, one for each label of its cell."""
    prediction: Int64[Tensor, " pairs"]
    label: Int64[Tensor, " pairs"]


def pairs(segments: Segments) -> Pairs:
    """Places of prediction and label of every pair."""
    owner = segments.owner_of_predictions()
    count = segments.label_offset.diff()[owner]
    start = torch.cat([count.new_zeros(1), count.cumsum(0)])
    prediction = torch.repeat_interleave(torch.arange(len(owner)), count)
    inside = torch.arange(len(prediction)) - start[prediction]
    return Pairs(start, prediction, segments.label_offset[owner][prediction] + inside)


def best(overlap: Float64[Tensor, " pairs"], of: Pairs) -> Float64[Tensor, " p"]:
    """The largest overlap of each prediction, 0 where there is no label."""
    start = of.start.numpy()
    some = np.flatnonzero(np.diff(start))
    out = np.zeros(len(start) - 1)
    if len(some):
        out[some] = np.maximum.reduceat(overlap.numpy(), start[some])
    return torch.from_numpy(out)


def first_best(overlap: Float64[Tensor, " pairs"], of: Pairs) -> Int64[Tensor, " p"]:
    """The pair with the largest overlap of each prediction, the first of equal ones; -1 where nothing is shared."""
    top = best(overlap, of)
    equal = (overlap == top[of.prediction]).nonzero().flatten().numpy()
    owner, first = np.unique(of.prediction.numpy()[equal], return_index=True)
    out = torch.full((len(top),), -1, dtype=torch.int64)
    out[torch.from_numpy(owner)] = torch.from_numpy(equal[first])
    return torch.where(top > 0, out, -1)
