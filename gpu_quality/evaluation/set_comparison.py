"""Two sets of predictions on the same labels: how much better one is, figure by figure, and whether that may be chance."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.evaluation import intervals
from gpu_quality.evaluation.bootstrap import Key, columns, counted, evaluated
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.intervals import Interval
from gpu_quality.evaluation.matching import Slices
from gpu_quality.evaluation.protocol import COCO, EvaluationProtocol
from gpu_quality.evaluation.resampling import figures_of_all
from gpu_quality.functional.inference import benjamini_hochberg

if TYPE_CHECKING:
    from gpu_quality.evaluation import overlaps


@dataclass(frozen=True, slots=True)
class SetComparison:
    """What the first of two sets of predictions has more than the second."""

    keys: tuple[Key, ...]
    first: Float64[Tensor, " v"]
    second: Float64[Tensor, " v"]
    difference: Interval
    p: Float64[Tensor, " v"]
    """How often chance alone would show such a difference; NaN where there is no interval."""
    p_adjusted: Float64[Tensor, " v"]
    """Classes: after Benjamini and Hochberg over all classes of the same figure. Figures over all classes: as `p`."""


def compare_sets(
    labels: Instances,
    first: Instances,
    second: Instances,
    protocol: EvaluationProtocol = COCO,
    *,
    frames: int,
    classes: int | None = None,
    kind: Kind = "box",
    how: "overlaps.Comparison | None" = None,
    slices: tuple[Slices, Slices] | None = None,
    per_class: bool = True,
    confidence: float | None = None,
    iou: float = 0.5,
    unit: Int64[Tensor, " n"] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> SetComparison:
    """Two sets of predictions on the same labels: first minus second, both resampled by the same weights.

    `slices`: those of the first and of the second set. `confidence` adds counts at that score and overlap `iou`. `unit` is that
    of each frame, drawn as a whole (``resampling.sequence_units``); frames otherwise. The rest: ``evaluated``, ``columns``.

    Raises
    ------
    UsageError
        As `evaluated` and `counted`.
    """
    classes = _class_count(labels, first, second) if classes is None else classes
    sides = []
    for which, predictions in enumerate((first, second)):
        own = slices and slices[which]
        done = evaluated(labels, predictions, protocol, frames=frames, classes=classes, kind=kind, how=how, slices=own)
        own_columns = columns(done, per_class=per_class)
        if confidence is not None:
            own_columns = own_columns.beside(counted(done, confidence=confidence, iou=iou))
        sides.append(own_columns if unit is None else own_columns.by_unit(unit))
    units, word = (frames, "images") if unit is None else (int(unit.max()) + 1 if len(unit) else 0, "sequences")
    one, other = sides
    found = intervals.compare(one.function, other.function, units, resamples=resamples, seed=seed, level=level, unit=word)
    values = [figures_of_all(side.function, units) for side in sides]
    raised = _adjusted(found.p, one.keys)
    return SetComparison(one.keys, values[0], values[1], found.difference, found.p, raised)


def _adjusted(p: Float64[Tensor, " v"], keys: tuple[Key, ...]) -> Float64[Tensor, " v"]:
    """p-values raised over the classes of each figure."""
    raised = p.clone()
    for name in dict.fromkeys(key.name for key in keys if key.class_row >= 0):
        rows = torch.tensor([i for i, key in enumerate(keys) if key.name == name and key.class_row >= 0])
        raised[rows] = benjamini_hochberg(p[rows])
    return raised


def _class_count(*sides: Instances) -> int:
    """The number of classes as far as rows show it."""
    return max([0, *(int(side.class_id.max()) + 1 for side in sides if len(side))])
