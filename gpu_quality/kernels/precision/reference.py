"""Precision at fixed recalls in plain torch, on any device: the definition of the fast kernel, and the path of CUDA."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.kernels.precision import Accumulated, Ranked

EPSILON = 2.0**-52


def accumulate(
    ranked: Ranked,
    positives: Int64[Tensor, "k a"],
    thresholds: int,
    recalls: Float64[Tensor, " r"],
    max_detections: tuple[int, ...],
) -> Accumulated:
    """Precision and score at each recall; see ``kernels.precision``."""
    shape = (*positives.shape, len(max_detections), thresholds)
    recall = ranked.score.new_full(shape, -1.0)
    precision, scores = (ranked.score.new_full((*shape, len(recalls)), -1.0) for _ in range(2))
    first = ranked.class_offset.tolist()
    for k, wanted in enumerate((positives > 0).tolist()):
        areas = torch.tensor([a for a, some in enumerate(wanted) if some], dtype=torch.int64, device=recall.device)
        if not len(areas):
            continue
        rows = torch.arange(first[k], first[k + 1], device=recall.device)
        rows = rows[torch.sort(ranked.score[rows], descending=True, stable=True).indices]
        true, false = _sums(ranked, rows, areas, thresholds, max_detections)
        found = true / positives[k, areas, None, None, None]  # [a, m, t, n]
        pure = true / (false + true + EPSILON)
        pure = pure.flip(-1).cummax(-1).values.flip(-1) if len(rows) else pure
        place = torch.searchsorted(found, recalls.expand(*found.shape[:-1], -1).contiguous())
        end = found.new_zeros(*found.shape[:-1], 1)
        recall[k, areas] = found[..., -1] if len(rows) else 0.0
        precision[k, areas] = torch.cat([pure, end], -1).gather(-1, place)
        scores[k, areas] = torch.cat([ranked.score[rows], end[0, 0, 0]])[place]
    return Accumulated(precision, recall, scores)


def _sums(
    ranked: Ranked, rows: Int64[Tensor, " n"], areas: Int64[Tensor, " a"], thresholds: int, max_detections: tuple[int, ...]
) -> tuple[Float64[Tensor, "a m t n"], Float64[Tensor, "a m t n"]]:
    """Right and wrong predictions down the scores of a class."""
    bit = torch.arange(thresholds, device=rows.device)[:, None]
    matched, hidden = (bits[areas][:, rows][:, None] >> bit & 1 for bits in (ranked.matched, ranked.hidden))  # [a, t, n]
    outside = ranked.outside[areas][:, rows][:, None].long()
    most = ranked.rank.new_tensor(max_detections)
    among = (ranked.rank[rows] < most[:, None]).long()[None, :, None]  # [1, m, 1, n]
    true = (matched & ~hidden)[:, None] & among
    false = (1 - matched)[:, None] & (1 - outside)[:, None] & among
    return true.cumsum(-1).double(), false.cumsum(-1).double()
