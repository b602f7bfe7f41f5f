"""How sure COCO's figures are: each as a function of how often every frame was drawn, from one stored matching.

A resample never matches again. Its figures are, bit for bit, those of a set in which each frame stands in a row as often as it
was drawn. Source: reference evaluation.md 11.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float64, Int32, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import coco_table
from gpu_quality.evaluation.coco import CocoFigures, from_matches
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.matching import Matches, Slices, match, scores_of
from gpu_quality.evaluation.protocol import COCO, EvaluationProtocol
from gpu_quality.evaluation.rates import mean_of_known, rate
from gpu_quality.evaluation.resampling import Figures
from gpu_quality.kernels import weighted
from gpu_quality.kernels.matching import MAX_THRESHOLDS
from gpu_quality.kernels.weighted import Figure, Stored

if TYPE_CHECKING:
    from gpu_quality.evaluation import overlaps

_SAME = 1e-9
"""Thresholds closer than this are one."""
COUNTED = ("TP", "FP", "FN", "precision", "recall", "F1")
AVERAGED = ("precision_macro", "recall_macro", "F1_macro")


class Key(NamedTuple):
    """What a column of figures is: its name, and its class (-1 = over all classes)."""

    name: str
    class_row: int = -1


class Columns(NamedTuple):
    """Figures of weighted frames, and what each column is; `function` goes into ``intervals.interval`` and its like."""

    keys: tuple[Key, ...]
    function: Figures

    def beside(self, other: "Columns") -> "Columns":
        """The columns of both, which must be over the same frames."""
        return Columns(self.keys + other.keys, lambda weights: torch.cat([self.function(weights), other.function(weights)], 1))

    def by_unit(self, unit: Int64[Tensor, " n"]) -> "Columns":
        """The same over larger units, drawn as a whole: `unit` is that of each frame (``resampling.sequence_units``)."""
        return Columns(self.keys, lambda weights: self.function(weights[:, unit]))


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A finished evaluation with all that resampling needs of it."""

    figures: CocoFigures
    stored: Stored
    frames: int
    """Units to draw: frames without labels and predictions count too."""


def evaluated(
    labels: Instances,
    predictions: Instances,
    protocol: EvaluationProtocol = COCO,
    *,
    frames: int,
    classes: int | None = None,
    kind: Kind = "box",
    how: "overlaps.Comparison | None" = None,
    slices: Slices | None = None,
) -> Evaluated:
    """Evaluate once, so that any number of resamples can follow; arguments are those of ``coco.evaluate``.

    Slices take the place of size ranges, and every figure of a size is then one of a slice.

    Raises
    ------
    UsageError
        The protocol has no COCO figures, a score is missing, or there are rows of more than `frames` frames.
    """
    matches = match(labels, predictions, protocol, kind=kind, how=how, slices=slices)
    return of_matches(matches, scores_of(predictions, protocol), frames=frames, classes=classes, kind=kind)


def of_matches(
    matches: Matches, score: Float64[Tensor, " n"], *, frames: int, classes: int | None = None, kind: Kind = "box"
) -> Evaluated:
    """The same from stored matches; `score` is that of all predictions, by row.

    Raises
    ------
    UsageError
        The protocol has no COCO figures, or there are rows of more than `frames` frames.
    """
    protocol, segments = matches.protocol, matches.segments
    if protocol.order != "score" or protocol.curve != "101" or protocol.ignore == "group_of":
        raise UsageError(
            f"protocol {protocol.name} has no COCO figures to resample",
            hint="take coco, or rules with order=score, curve=101 and without groups",
        )
    if len(segments.frame) and int(segments.frame.max()) >= frames:
        raise UsageError(f"there are {frames:,} frames, but a row of frame {int(segments.frame.max()):,}")
    figures = from_matches(matches, score, kind=kind, classes=classes)
    owner = segments.owner_of_labels()
    stored = Stored(
        ranked=figures.ranked,
        thresholds=len(protocol.thresholds),
        frame=segments.frame[segments.owner_of_predictions()],
        label_frame=segments.frame[owner],
        label_class=segments.class_id.clamp(min=0)[owner],  # -1: all classes are one
        label_ignored=matches.label_ignored,
    )
    return Evaluated(figures, stored, frames)


def columns(given: Evaluated, *, per_class: bool = False) -> Columns:
    """COCO's figures, in the order and with the names of ``coco_table.keys``; `per_class` adds those of each class.

    NaN where nothing is defined.
    """
    names, table = tuple(coco_table.keys(given.figures)), coco_table.lines(given.figures)
    rows = range(-1, len(given.figures.positives) if per_class else 0)
    keys = tuple(Key(name, row) for row in rows for name in names)
    wanted = tuple(_figure(given.figures, line, row) for row in rows for line in table)
    protocol = given.figures.protocol
    recalls = torch.tensor(protocol.recalls, dtype=torch.float64)
    most, zero = given.figures.max_detections, protocol.empty_class == "zero"
    return Columns(keys, weighted.means(given.stored, wanted, recalls, most, zero=zero))


def _figure(figures: CocoFigures, line: coco_table.Line, class_row: int) -> Figure:
    """A line of the table as places in it."""
    thresholds = figures.protocol.thresholds
    places = tuple(i for i, t in enumerate(thresholds) if line.iou is None or abs(t - line.iou) < _SAME)
    limit = figures.max_detections.index(line.max_detections)
    return Figure(line.recall, places, figures.areas.index(line.area), limit, class_row)


def counted(given: Evaluated, *, confidence: float, iou: float = 0.5, area: str | None = None) -> Columns:
    """Counts at one threshold of score and overlap: `COUNTED` over all classes (summed), `AVERAGED`, then each class.

    Predictions with at least `confidence` count; `area` is the first size range or slice by default.

    Raises
    ------
    UsageError
        The threshold or range was not evaluated.
    """
    figures, classes = given.figures, len(given.figures.positives)
    if area is not None and area not in figures.areas:
        raise UsageError(f"size range {area!r} was not evaluated; there are {', '.join(figures.areas)}")
    near = [i for i, t in enumerate(figures.protocol.thresholds) if abs(t - iou) < _SAME]
    if not near:
        known = ", ".join(f"{t:g}" for t in figures.protocol.thresholds)
        raise UsageError(f"threshold {iou} was not evaluated; there are {known}")
    frame, first = _counts(given.stored, near[0], 0 if area is None else figures.areas.index(area), confidence, classes)

    def function(weights: Int32[Tensor, "r n"]) -> Float64[Tensor, "r v"]:
        found = weighted.sums(frame, first, weights).view(3, classes, -1)
        each = torch.stack(_rates(*found))  # [6, k, r]
        total = torch.stack(_rates(*found.sum(1)))  # [6, r]
        macro = mean_of_known(each[3:].movedim(1, -1))  # [3, r]
        return torch.cat([total, macro, each.movedim(1, 0).reshape(6 * classes, -1)]).T.contiguous()

    names = [*(Key(name) for name in COUNTED + AVERAGED), *(Key(name, k) for k in range(classes) for name in COUNTED)]
    return Columns(tuple(names), function)


def _rates(tp: Tensor, fp: Tensor, positives: Tensor) -> tuple[Tensor, ...]:
    """`COUNTED` from what was found, what is false, and what there is to be found."""
    return tp, fp, positives - tp, rate(tp, tp + fp), rate(tp, positives), rate(2 * tp, tp + fp + positives)


def _counts(
    stored: Stored, t: int, a: int, confidence: float, classes: int
) -> tuple[Int64[Tensor, " m"], Int64[Tensor, " g_plus_1"]]:
    """Frames of true predictions, of false ones, and of labels to be found, class by class each; where the 3 k groups start."""
    ranked, bit = stored.ranked[t // MAX_THRESHOLDS], t % MAX_THRESHOLDS
    matched, hidden = ((side[a] >> bit & 1).bool() for side in (ranked.matched, ranked.hidden))
    sure = ranked.score >= confidence
    class_row = torch.repeat_interleave(torch.arange(classes, device=sure.device), ranked.class_offset.diff())
    asked: Bool[Tensor, " q"] = ~stored.label_ignored[a]
    sides = (
        (class_row, stored.frame, matched & ~hidden & sure),
        (class_row + classes, stored.frame, ~matched & ~ranked.outside[a] & sure),
        (stored.label_class + 2 * classes, stored.label_frame, asked),
    )
    group, frame = (torch.cat([side[which][side[2]] for side in sides]) for which in (0, 1))
    group, order = torch.sort(group, stable=True)
    first = torch.searchsorted(group, torch.arange(3 * classes + 1, device=group.device))
    return frame[order], first
