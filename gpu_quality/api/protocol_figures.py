"""The figures of every protocol: in all by their usual names, and class by class in common columns."""

import math
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from gpu_quality.evaluation import coco_table, encord, fiftyone, openimages, voc
from gpu_quality.evaluation.labelbox import labelbox
from gpu_quality.evaluation.tide import ERRORS

if TYPE_CHECKING:
    from gpu_quality.api.evaluation import Evaluation

Summary = dict[str, float | None]
Columns = dict[str, Tensor]


def figures(found: "Evaluation") -> tuple[Summary, pd.DataFrame]:
    """Figures in all, None where one is not defined; and a row per class with the protocol's own figures and counts."""
    name, index = found.protocol.name, pd.Index(found.classes, name="class")
    if name == "coco":
        table = pd.DataFrame(coco_table.per_class(found.coco), index=index)
        return coco_table.keys(found.coco), table.join(found.counts())
    summary, columns = _LOOKS.get(name, _counted)(found)
    own = pd.DataFrame({key: value.numpy() for key, value in columns.items()}, index=index)
    if "tp" not in own:
        return summary, own.join(found.counts())
    if "f1" not in own:
        own["f1"] = 2 * own["tp"] / (2 * own["tp"] + own["fp"] + own["fn"])  # 0/0 is NaN
    return summary, own


def _voc(found: "Evaluation") -> tuple[Summary, Columns]:
    told = voc.evaluate(found.compared.labels, found.scored_by(found.protocol), found.at_iou, **found.rest)
    columns = {"AP": told.ap[0], "labels": told.positives, "tp": told.tp[0], "fp": told.fp[0], "fn": told.fn[0]}
    return told.summary(), {**columns, "precision": told.precision[0], "recall": told.recall[0]}


def _openimages(found: "Evaluation") -> tuple[Summary, Columns]:
    told = openimages.evaluate(found.compared.labels, found.scored_by(found.protocol), found.at_iou, **found.rest)
    columns = {"AP": told.ap, "labels": told.positives, "tp": told.tp, "fp": told.fp, "fn": told.fn}
    return told.summary(), {**columns, "precision": _rate(told.tp, told.tp + told.fp), "recall": _rate(told.tp, told.positives)}


def _encord(found: "Evaluation") -> tuple[Summary, Columns]:
    told = encord.evaluate(found.compared.labels, found.compared.predictions, found.at_iou, **found.rest)
    columns = {"AP": told.ap, "AR": told.ar, "tp": told.tp, "fp": told.fp, "fn": told.fn}
    return told.summary(), {**columns, "precision": told.precision, "recall": told.recall, "f1": told.f1}


def _fiftyone(found: "Evaluation") -> tuple[Summary, Columns]:
    labels, predictions = found.compared.labels, found.compared.predictions
    told = fiftyone.evaluate(
        labels, predictions, found.protocol, iou=found.iou, frames=len(found.compared.frames), **found.rest
    )
    size = len(found.classes)
    tp = torch.bincount(predictions.class_id[told.predictions.true], minlength=size)
    fp = torch.bincount(predictions.class_id[~told.predictions.true], minlength=size)
    fn = torch.bincount(labels.class_id[~told.labels.true], minlength=size)
    columns = {"AP": told.ap.mean(0), "AR": told.ar.mean(0), "labels": told.positives, "tp": tp, "fp": fp, "fn": fn}
    return told.summary(), {**columns, "precision": _rate(tp, tp + fp), "recall": _rate(tp, tp + fn)}


def _tide(found: "Evaluation") -> tuple[Summary, Columns]:
    told = found.tide
    parts = dict(zip(ERRORS, told.dap.tolist(), strict=True))
    parts |= {"FalsePos": told.false_positive, "FalseNeg": told.false_negative}
    return {"AP": known(told.ap), **{f"dAP_{name}": known(value) for name, value in parts.items()}}, {}


def _labelbox(found: "Evaluation") -> tuple[Summary, Columns]:
    told = labelbox(
        found.compared.labels, found.compared.predictions, classes=len(found.classes), frames=len(found.compared.frames),
        threshold=found.iou, confidence=found.confidence, protocol=found.protocol, kind=found.compared.kind,
        how=found.compared.how,
    )  # fmt: skip
    names = ("tp", "fp", "fn", "tn", "precision", "recall", "f1", "iou")
    dropped = {f"dropped_{name}": float(getattr(told.rows_dropped, name)) for name in ("frames", "labels", "predictions")}
    total = {name: known(float(getattr(told.total, name))) for name in names}
    return {**total, "stolen": float(told.stolen.sum()), **dropped}, {name: getattr(told.classes, name) for name in names}


def _counted(found: "Evaluation") -> tuple[Summary, Columns]:
    """Protocols that only count, at two thresholds."""
    at = ((found.confidence,), (found.iou,))
    micro, macro = (found.grid(*at, average=how).iloc[0] for how in ("micro", "macro"))
    summary = {name: float(micro[name]) for name in ("tp", "fp", "fn", "precision", "recall", "f1", "iou")}
    summary |= {f"macro_{name}": float(macro[name]) for name in ("precision", "recall", "f1")}
    return {name: known(value) for name, value in summary.items()}, {}


_LOOKS: Any = {
    "voc07": _voc, "voc12": _voc, "openimages": _openimages, "encord": _encord, "encord-db": _encord, "fiftyone": _fiftyone,
    "tide": _tide, "labelbox": _labelbox,
}  # fmt: skip


def _rate(part: Tensor, whole: Tensor) -> Tensor:
    """NaN over nothing."""
    return part.double() / torch.where(whole > 0, whole, torch.nan)


def known(value: float) -> float | None:
    """The number, None for NaN."""
    return None if math.isnan(value) else float(value)
