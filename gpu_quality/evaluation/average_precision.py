"""From predictions ranked by score to average precision: 11 points, all points, or 101 points, class by class."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.evaluation.matching import Matches
from gpu_quality.evaluation.protocol import COCO_RECALLS

Curve = Literal["101", "11", "all"]
Floats = NDArray[np.float64]

ELEVEN: Final = tuple(i * 0.1 for i in range(11))
"""Recall 0, .1 .. 1 in the doubles the tools have: 3, 6 and 7 tenths are a little more, so that recall 3/10 is below 3 * .1."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Predictions that count, class by class, best score first, and what is known after each; ignored ones are left out."""

    offset: Int64[Tensor, " k_plus_1"]
    """Class k owns entries ``offset[k]:offset[k + 1]``."""
    prediction: Int64[Tensor, " p"]
    """Row of the prediction."""
    score: Float64[Tensor, " p"]
    true: Float64[Tensor, " p"]
    """1 = true, 0 = false; groups of objects count what the protocol says."""
    precision: Float64[Tensor, " p"]
    recall: Float64[Tensor, " p"]
    """NaN for a class without labels."""

    def of(self, class_row: int) -> "Ranking":
        """The same of one class, which becomes class 0."""
        own = slice(*self.offset[class_row : class_row + 2].tolist())
        offset = self.offset.new_tensor([0, own.stop - own.start])
        return Ranking(offset, self.prediction[own], self.score[own], self.true[own], self.precision[own], self.recall[own])

    def tp(self) -> Float64[Tensor, " k"]:
        """True predictions of each class."""
        return self._count(self.true)

    def fp(self) -> Int64[Tensor, " k"]:
        """False predictions of each class."""
        return self._count((self.true <= 0).double()).long()

    def _count(self, value: Float64[Tensor, " p"]) -> Float64[Tensor, " k"]:
        owner = torch.repeat_interleave(torch.arange(len(self.offset) - 1), self.offset.diff())
        return torch.bincount(owner, weights=value, minlength=len(self.offset) - 1)


def rank(
    class_id: Int64[Tensor, " p"],
    prediction: Int64[Tensor, " p"],
    score: Float64[Tensor, " p"],
    true: Float64[Tensor, " p"],
    positives: Float64[Tensor, " k"],
    *,
    true_first: bool = False,
) -> Ranking:
    """Rank the predictions that count within their class; equal scores stay as given, or true ones come first.

    `positives` is what there is to be found, by class.
    """
    keys = (-score.numpy(), class_id.numpy())
    order = np.lexsort(((true <= 0).numpy(), *keys) if true_first else keys)
    offset = np.concatenate([[0], np.bincount(class_id.numpy(), minlength=len(positives)).cumsum()])
    hits = true.numpy()[order]
    precision, recall = np.empty(len(order)), np.empty(len(order))
    with np.errstate(invalid="ignore"):
        for k, (start, stop) in enumerate(pairwise(offset.tolist())):
            found, false = hits[start:stop].cumsum(), (hits[start:stop] <= 0).cumsum()
            precision[start:stop] = found / (found + false)
            recall[start:stop] = found / positives[k].item() if positives[k] > 0 else np.nan
    rows = torch.from_numpy(order)
    curves = (torch.from_numpy(precision), torch.from_numpy(recall))
    return Ranking(torch.from_numpy(offset), prediction[rows], score[rows], true[rows], *curves)


def rankings(
    matches: Matches,
    score: Float64[Tensor, " n"],
    weight: Float64[Tensor, " m"] | None = None,
    *,
    classes: int,
    true_first: bool = False,
) -> tuple[tuple[Ranking, ...], Float64[Tensor, " k"]]:
    """Rankings at each threshold of a matching, without those that it ignores, and what there is to be found, by class.

    `score` goes by row of the predictions, `weight` by row of the labels: what a label counts, found or missed (1 each).
    """
    segments = matches.segments
    class_id = segments.class_id.clamp(min=0)  # -1: all classes are one
    weight = torch.ones(int(segments.label.max()) + 1 if len(segments.label) else 0).double() if weight is None else weight
    asked = torch.where(matches.label_ignored[0], 0.0, weight[segments.label])
    positives = torch.bincount(class_id[segments.owner_of_labels()], weights=asked, minlength=classes)
    own_class, worth = class_id[segments.owner_of_predictions()], torch.cat([weight, weight.new_zeros(1)])  # row -1: no label
    found = []
    for label, ignored in zip(matches.label_of[0], matches.prediction_ignored[0], strict=True):
        kept = (~ignored).nonzero().flatten()
        rows = segments.prediction[kept]
        columns = (own_class[kept], rows, score[rows], worth[label[kept].long()])
        found.append(rank(*columns, positives, true_first=true_first))
    return tuple(found), positives


def average_precision(
    ranking: Ranking,
    positives: Float64[Tensor, " k"],
    curve: Curve,
    recalls: tuple[float, ...] = COCO_RECALLS,
) -> Float64[Tensor, " k"]:
    """Average precision of each class, 0..1; NaN for a class without labels, 0 for one without predictions.

    ``11``: mean over `ELEVEN` recalls of the highest precision at that recall or beyond; ``101``: the same over `recalls`;
    ``all``: area under that envelope, from recall 0 to 1.
    """
    grid = np.array(ELEVEN if curve == "11" else recalls)
    precision, recall = ranking.precision.numpy(), ranking.recall.numpy()
    out = np.full(len(positives), np.nan)
    bounds = list(pairwise(ranking.offset.tolist()))
    for k in (positives > 0).nonzero().flatten().tolist():
        own = slice(*bounds[k])
        envelope = np.maximum.accumulate(precision[own][::-1])[::-1]
        if curve == "all":
            out[k] = np.sum(np.diff(recall[own], prepend=0.0) * envelope)
        else:
            at = np.searchsorted(recall[own], grid, "left")
            out[k] = np.append(envelope, 0.0)[at].mean()
    return torch.from_numpy(out)


def class_count(class_id: Int64[Tensor, " m"], other: Int64[Tensor, " n"]) -> int:
    """The number of classes as far as rows show it."""
    return max([0, *(int(side.max()) + 1 for side in (class_id, other) if len(side))])
