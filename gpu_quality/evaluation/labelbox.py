"""Labelbox's figures per data row and class, as documented, with every choice its documents and code leave open as an option.

Source: Labelbox documentation and SDK ``labelbox.data.metrics`` (reference evaluation.md 5).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.labelbox_tables import Cells, Table, class_table, frame_table, table_of, total_of
from gpu_quality.evaluation.matching import Dropped, Matches
from gpu_quality.evaluation.narrowing import Compared
from gpu_quality.evaluation.pairs import pairs
from gpu_quality.evaluation.protocol import LABELBOX, EvaluationProtocol
from gpu_quality.evaluation.verdicts import Verdicts, check_rows, least, verdicts_at

if TYPE_CHECKING:
    from gpu_quality.evaluation.overlaps import Comparison

Nested = Sequence[Mapping[int, frozenset[int]]]
"""Answers inside each object: the options chosen, by question; an empty mapping where there are none."""


@dataclass(frozen=True, slots=True)
class LabelboxFigures:
    """Figures at one confidence and IoU threshold."""

    cells: Table
    """Per class and frame."""
    frames: Table
    """Per frame that counts; IoU: the mean of its classes."""
    classes: Table
    """Per class over all frames."""
    total: Table
    """One row."""
    stolen: Bool[Tensor, " m"]
    """Labels lost to another class: a prediction of their own class would do, and found no label of its class."""
    rows_dropped: Dropped
    """Frames left out for having only labels or only predictions, and how many of each."""
    threshold: float
    confidence: float
    protocol: EvaluationProtocol


def labelbox(
    labels: Instances,
    predictions: Instances,
    *,
    classes: int,
    frames: int,
    threshold: float = 0.5,
    confidence: float = 0.5,
    protocol: EvaluationProtocol = LABELBOX,
    kind: Kind = "box",
    how: "Comparison | None" = None,
    nested: tuple[Nested, Nested] | None = None,
) -> LabelboxFigures:
    """Counts, rates and IoU per class, per frame and in all, predictions below `confidence` dropped first (missing: kept).

    The options are those of `protocol`: compare, tie, classes, cross_fn, rows, average, iou_mean and subclasses. `nested` are
    the answers inside labels and inside predictions, which `subclasses` other than ``ignore`` compares.

    Raises
    ------
    UsageError
        A class or frame is out of range, the protocol matches by score or needs nested answers that are not there, or `kind`
        needs shapes that are not there.
    """
    _check(labels, predictions, protocol, nested)
    check_rows(labels, predictions, classes=classes, frames=frames)
    rules = replace(protocol, thresholds=(threshold,), areas=())
    compared = Compared.of(labels, predictions, rules, kind=kind, how=how)
    if nested is not None and protocol.subclasses == "require":
        compared = compared.with_overlaps(_agreeing(compared, nested))
    matches = compared.matched(confidence)
    verdict = verdicts_at(matches, labels, predictions)
    cells, key = _cells(labels, predictions, verdict, classes, rules)
    greedy, whole = verdict, cells.tp
    if protocol.iou_mean == "all":
        greedy = verdicts_at(compared.by_class().matched(confidence), labels, predictions)
        whole = torch.maximum(cells.labels, cells.predictions)
    shared = torch.zeros_like(cells.iou_sum).index_add_(0, key[greedy.hit], _blended(greedy, nested, protocol))
    cells = replace(cells, iou_sum=shared, iou_count=whole)
    counted = torch.unique(matches.segments.frame) if protocol.rows == "both" else torch.arange(frames)
    by_frame = frame_table(cells, counted, rules)
    return LabelboxFigures(
        cells=table_of(cells),
        frames=by_frame,
        classes=class_table(cells, classes, rules),
        total=total_of(cells, by_frame, rules),
        stolen=_stolen(matches, labels, predictions, verdict),
        rows_dropped=matches.dropped,
        threshold=threshold,
        confidence=confidence,
        protocol=rules,
    )


def _check(
    labels: Instances, predictions: Instances, protocol: EvaluationProtocol, nested: tuple[Nested, Nested] | None
) -> None:
    if protocol.order != "iou":
        raise UsageError("Labelbox matches by falling overlap", hint="use a protocol with order=iou")
    if protocol.union:
        raise UsageError("union masks are not compared here", hint="unite the masks of a class first, and set union=False")
    if protocol.subclasses == "ignore":
        return
    if nested is None:
        raise UsageError(f"subclasses={protocol.subclasses} needs the nested answers of labels and predictions")
    if (len(nested[0]), len(nested[1])) != (len(labels), len(predictions)):
        raise UsageError(
            f"nested answers of {len(nested[0])} labels and {len(nested[1])} predictions do not fit "
            f"{len(labels)} labels and {len(predictions)} predictions"
        )


def _agreeing(compared: Compared, nested: tuple[Nested, Nested]) -> Float64[Tensor, " pairs"]:
    """Overlaps of pairs whose nested answers are equal, others -1."""
    known: dict[frozenset[tuple[int, frozenset[int]]], int] = {}
    codes = [torch.tensor([known.setdefault(frozenset(one.items()), len(known)) for one in side]).long() for side in nested]
    every, segments = pairs(compared.segments), compared.segments
    same = codes[0][segments.label[every.label]] == codes[1][segments.prediction[every.prediction]]
    return torch.where(same, segments.overlap, -1.0)


def _blended(verdict: Verdicts, nested: tuple[Nested, Nested] | None, protocol: EvaluationProtocol) -> Float64[Tensor, " hits"]:
    """The IoU of every hit; `blend`: its mean with that of the nested answers where either has some."""
    iou = verdict.iou[verdict.hit]
    if nested is None or protocol.subclasses != "blend":
        return iou
    rows = zip(verdict.partner[verdict.hit].tolist(), verdict.prediction[verdict.hit].tolist(), iou.tolist(), strict=True)
    values = [_with_answers(value, nested[0][label], nested[1][prediction]) for label, prediction, value in rows]
    return torch.tensor(values, dtype=torch.float64)


def _with_answers(iou: float, label: Mapping[int, frozenset[int]], prediction: Mapping[int, frozenset[int]]) -> float:
    """Mean of the IoU of objects and that of their answers: options shared over options chosen, mean over the questions."""
    shares = []
    for question in {*label, *prediction}:
        one, other = label.get(question, frozenset()), prediction.get(question, frozenset())
        shares.append(len(one & other) / max(len(one | other), 1))
    return (iou + sum(shares) / len(shares)) / 2 if shares else iou


def _cells(
    labels: Instances, predictions: Instances, verdict: Verdicts, classes: int, protocol: EvaluationProtocol
) -> tuple[Cells, Int64[Tensor, " p"]]:
    """Counts of every class in every frame that has a label or a prediction of it; and the cell of each prediction."""
    of_label = (labels.frame * classes + labels.class_id)[verdict.label]
    of_prediction = (predictions.frame * classes + predictions.class_id)[verdict.prediction]
    cell, key = torch.unique(torch.cat([of_label, of_prediction]), return_inverse=True)
    label_key, prediction_key = key[: len(of_label)], key[len(of_label) :]

    def count(keys: Int64[Tensor, " n"]) -> Int64[Tensor, " k"]:
        return torch.bincount(keys, minlength=len(cell))

    missed = ~verdict.label_ignored & ~(verdict.found if protocol.cross_fn else verdict.matched)
    return Cells(
        frame=cell // max(classes, 1),
        class_id=cell % max(classes, 1),
        labels=count(label_key[~verdict.label_ignored]),
        predictions=count(prediction_key[~verdict.ignored]),
        tp=count(prediction_key[verdict.hit]),
        fp=count(prediction_key[~verdict.hit & ~verdict.ignored]),
        fn=count(label_key[missed]),
        iou_sum=torch.zeros(len(cell), dtype=torch.float64),
        iou_count=torch.zeros(len(cell), dtype=torch.int64),
    ), prediction_key


def _stolen(matches: Matches, labels: Instances, predictions: Instances, verdict: Verdicts) -> Bool[Tensor, " m"]:
    """Labels taken by another class, with a prediction of their own that passes and found no label of its class."""
    every, segments = pairs(matches.segments), matches.segments
    enough = segments.overlap >= least(matches.protocol, float(matches.thresholds[0]))
    own = labels.class_id[segments.label][every.label] == predictions.class_id[segments.prediction][every.prediction]
    wanted = torch.zeros(len(segments.label), dtype=torch.bool)
    wanted[every.label[enough & own & ~verdict.hit[every.prediction]]] = True
    out = torch.zeros(len(labels), dtype=torch.bool)
    out[segments.label[wanted & verdict.matched & ~verdict.found]] = True
    return out
