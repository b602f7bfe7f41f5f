"""How well maps of classes agree, pixel by pixel: counts that add up frame after frame, and IoU, Dice and accuracy from them.

What follows the counts keeps leading axes (frames, resamples), so that ``weights @ counts`` of a bootstrap goes straight in.
"""

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float64, Int64, Integer, Shaped
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.rates import mean_of_known, rate

IGNORE: Final = 255
"""Label of pixels that do not count."""
BOUNDARY_WIDTH: Final = 0.02
"""Width of the band along outlines, as a share of the frame's diagonal (Cheng et al., Boundary IoU, CVPR 2021)."""
_BLOCK: Final = 1 << 22
"""Pixels counted at a time: 32 MiB of cell numbers."""


def pixel_counts(
    label: Integer[Tensor, "h w"], prediction: Integer[Tensor, "h w"], classes: int, *, ignore_index: int = IGNORE
) -> Int64[Tensor, "k k_plus_1"]:
    """How many pixels of each label class (row) were predicted as each class (column); the last column is no class.

    Pixels labeled `ignore_index` do not count; pixels predicted as `ignore_index` are in the last column, so that they count
    as missed. Counts of several frames are added.

    Raises
    ------
    UsageError
        The maps differ in size, or hold a value that is neither a class nor `ignore_index`.
    """
    _same_size(label, prediction)
    total = torch.zeros(classes * (classes + 1), dtype=torch.int64, device=label.device)
    flat, guessed = label.reshape(-1), prediction.reshape(-1)
    for start in range(0, flat.numel(), _BLOCK):
        row, column = flat[start : start + _BLOCK].long(), guessed[start : start + _BLOCK].long()
        kept = row != ignore_index
        row, column = row[kept], column[kept]
        said = column != ignore_index
        _check("label", row, classes - 1)
        _check("prediction", column[said], classes - 1)
        column = torch.where(said, column, classes)
        total += torch.bincount(row * (classes + 1) + column, minlength=len(total))
    return total.view(classes, classes + 1)


@dataclass(frozen=True, slots=True)
class Tallies:
    """Pixels per class, all that the scores need; with leading axes for frames or resamples."""

    hit: Shaped[Tensor, "*s k"]
    """Labeled and predicted as the class."""
    labeled: Shaped[Tensor, "*s k"]
    predicted: Shaped[Tensor, "*s k"]

    def iou(self) -> Float64[Tensor, "*s k"]:
        """Overlap of labels and predictions of each class, 0..1; NaN for a class that is on neither side."""
        return rate(self.hit, self.labeled + self.predicted - self.hit)

    def dice(self) -> Float64[Tensor, "*s k"]:
        """Twice the overlap over the sum of both, 0..1; NaN for a class that is on neither side."""
        return rate(2 * self.hit, self.labeled + self.predicted)

    def recall(self) -> Float64[Tensor, "*s k"]:
        """Accuracy of each class: the share of its labeled pixels that were found, 0..1; NaN for a class without labels."""
        return rate(self.hit, self.labeled)

    def precision(self) -> Float64[Tensor, "*s k"]:
        """The share of the pixels predicted as a class that are labeled so, 0..1; NaN for a class never predicted."""
        return rate(self.hit, self.predicted)


@dataclass(frozen=True, slots=True)
class SemanticScores:
    """The figures of a set, each 0..1; NaN where nothing is labeled or predicted."""

    pixel_accuracy: Float64[Tensor, "*s"]
    """Share of the labeled pixels that are right."""
    mean_accuracy: Float64[Tensor, "*s"]
    """Mean recall of the classes with labels."""
    mean_iou: Float64[Tensor, "*s"]
    """Mean IoU of the classes that are labeled or predicted somewhere."""
    mean_dice: Float64[Tensor, "*s"]
    frequency_weighted_iou: Float64[Tensor, "*s"]
    """IoU of the classes weighted by their labeled pixels."""


def tallies(counts: Shaped[Tensor, "*s k k_plus_1"]) -> Tallies:
    """Pixels labeled, predicted and both, per class."""
    return Tallies(counts.diagonal(dim1=-2, dim2=-1), counts.sum(-1), counts.sum(-2)[..., :-1])


def semantic_scores(pixels: Tallies) -> SemanticScores:
    """The figures of a set; classes on neither side are left out of every mean."""
    iou = pixels.iou()
    return SemanticScores(
        pixel_accuracy=rate(pixels.hit.sum(-1), pixels.labeled.sum(-1)),
        mean_accuracy=mean_of_known(pixels.recall()),
        mean_iou=mean_of_known(iou),
        mean_dice=mean_of_known(pixels.dice()),
        frequency_weighted_iou=mean_of_known(iou, pixels.labeled),
    )


def boundary_tallies(
    label: Integer[Tensor, "h w"],
    prediction: Integer[Tensor, "h w"],
    classes: int,
    *,
    ignore_index: int = IGNORE,
    width: float = BOUNDARY_WIDTH,
) -> Tallies:
    """As `tallies`, of the pixels along the outline of each class alone: ``boundary_tallies(...).iou()`` is boundary IoU.

    A pixel belongs to the band of its class if another value, or the outside of the frame, is within `width` times the
    diagonal (rounded, at least 1 px, in both directions). Ignored pixels are another value, and do not count themselves.
    Tallies of several frames are added. Source: Cheng et al., Boundary IoU, CVPR 2021.

    Raises
    ------
    UsageError
        As in `pixel_counts`.
    """
    reach = max(1, round(width * (label.shape[0] ** 2 + label.shape[1] ** 2) ** 0.5))
    _same_size(label, prediction)
    kept = label != ignore_index
    at_label, at_prediction = band(label, reach) & kept, band(prediction, reach) & kept & (prediction != ignore_index)

    def counted(name: str, values: Integer[Tensor, " n"]) -> Int64[Tensor, " k"]:
        _check(name, values, classes - 1)
        return torch.bincount(values.long(), minlength=classes)

    return Tallies(
        hit=counted("label", label[at_label & at_prediction & (label == prediction)]),
        labeled=counted("label", label[at_label]),
        predicted=counted("prediction", prediction[at_prediction]),
    )


def band(values: Integer[Tensor, "h w"], reach: int) -> Bool[Tensor, "h w"]:
    """Pixels with another value, or the outside, at most `reach` pixels away in x and in y.

    A window holds two values exactly if two neighbors in it differ; those are counted by running sums, whatever the reach.
    """
    height, width = values.shape
    sideways = _window(values[:, 1:] != values[:, :-1], reach, (height, width), axis=1)
    upright = _window(values[1:] != values[:-1], reach, (height, width), axis=0)
    near = sideways | upright
    near[:reach] = near[:, :reach] = True
    near[max(0, height - reach) :] = near[:, max(0, width - reach) :] = True
    return near


def _window(change: Bool[Tensor, "a b"], reach: int, size: tuple[int, int], *, axis: int) -> Bool[Tensor, "h w"]:
    """Whether a change lies in the window of each pixel; along `axis`, change i is between the pixels i and i + 1."""
    sums = torch.nn.functional.pad(change.long().cumsum(0).cumsum(1), (1, 0, 1, 0))  # [a + 1, b + 1]

    def ends(n: int, changes: int, after: int) -> tuple[Tensor, Tensor]:
        at = torch.arange(n, device=change.device)
        return (at - reach).clamp(0, changes), (at + after + 1).clamp(max=changes)

    top, bottom = ends(size[0], change.shape[0], reach - 1 if axis == 0 else reach)
    left, right = ends(size[1], change.shape[1], reach - 1 if axis == 1 else reach)
    lower, upper = sums[bottom], sums[top]
    return (lower[:, right] - lower[:, left] - upper[:, right] + upper[:, left]) > 0


def _check(name: str, values: Integer[Tensor, " n"], highest: int) -> None:
    if values.numel() and (int(values.min()) < 0 or int(values.max()) > highest):
        wrong = values[(values < 0) | (values > highest)][0]
        raise UsageError(f"the {name} map holds {int(wrong)}, which is neither a class (0 to {highest}) nor ignored")


def _same_size(label: Tensor, prediction: Tensor) -> None:
    if label.shape != prediction.shape:
        sizes = (" x ".join(str(side) for side in reversed(values.shape)) for values in (label, prediction))
        raise UsageError("the label map is {} pixels and the prediction {}".format(*sizes))
