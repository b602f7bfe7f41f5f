"""Everything the part about model quality says, as plain values for JSON; null where a figure is not defined."""

from typing import Any, Final

from gpu_quality.reports.model.cells import NONE
from gpu_quality.reports.model.curves import RECALLS, Curves, Sweep
from gpu_quality.reports.model.exhibits import Exhibit
from gpu_quality.reports.model.figures import ClassFigures, Counts
from gpu_quality.reports.model.quality import EvaluatedSet, ModelQuality
from gpu_quality.reports.plain import plain

_BIN: Final = ("count", "confidence", "accuracy", "low", "high")


def model_json(model: ModelQuality) -> dict[str, Any]:
    """One object per evaluated set, and the notes on those that were not evaluated."""
    return {"notes": list(model.notes), "sets": [_set(found) for found in model.sets]}


def _set(found: EvaluatedSet) -> dict[str, Any]:
    return {
        "predictions": found.name,
        "protocol": found.protocol,
        "kind": found.kind,
        "iou": found.iou,
        "confidence": found.confidence,
        "inputs": dict(found.inputs),
        "sources": {"metrics": found.source(), **{f"{table}": found.source(table) for table in _TABLES}},
        "metrics": dict(found.metrics),
        "counts": _counts(found.counts),
        "per_class": [_class(figures) for figures in found.classes],
        "curves": _curves(found.curves),
        "f1_grid": _grid(found),
        "tide": _tide(found),
        "calibration": _calibration(found),
        "confusion": _confusion(found),
        "galleries": [
            {"gallery": one.key, "title": one.title, "where": one.rule, "order": one.order, "count": one.count,
             "shown": [_exhibit(exhibit) for exhibit in one.exhibits]}
            for one in found.galleries
        ],
        "notes": list(found.notes),
    }  # fmt: skip


_TABLES: Final = ("classes", "curves", "confusion", "grid")


def _counts(counts: Counts) -> dict[str, Any]:
    return {"tp": counts.tp, "fp": counts.fp, "fn": counts.fn, "precision": counts.precision, "recall": counts.recall,
            "f1": counts.f1}  # fmt: skip


def _class(figures: ClassFigures) -> dict[str, Any]:
    return {
        "class": figures.name, "labels": figures.labels, **_counts(figures.counts), "AP": figures.ap, "AP50": figures.ap50,
        "best_confidence": figures.best, "best_f1": figures.best_f1, "ece": figures.ece,
    }  # fmt: skip


def _curves(curves: Curves) -> dict[str, Any]:
    return {
        "iou": curves.iou,
        "recall": RECALLS.tolist(),
        "mean_precision": curves.mean.tolist(),
        "average_precision": curves.average,
        "classes": [
            {"class": one.name, "labels": one.labels, "average_precision": one.mean, "precision": one.precision.tolist()}
            for one in curves.classes
        ],
        "all_classes": None if curves.sweep is None else _sweep(curves.sweep),
    }


def _sweep(sweep: Sweep) -> dict[str, Any]:
    keys = ("threshold", "value", "precision", "recall")
    best = None if sweep.best is None else {key: getattr(sweep.best, key) for key in keys}
    sides = {key: [plain(value) for value in getattr(sweep, key)] for key in ("confidence", "precision", "recall", "f1")}
    return {"best": best, **sides}


def _grid(found: EvaluatedSet) -> dict[str, Any] | None:
    grid = found.grid
    if grid is None:
        return None
    rows = [[plain(value) for value in row] for row in grid.f1]
    return {"ious": list(grid.ious), "confidences": list(grid.confidences), "f1": rows}


def _tide(found: EvaluatedSet) -> dict[str, Any] | None:
    errors = found.errors
    if errors is None:
        return None
    kinds = [{"error": name, "count": count, "dAP": cost} for name, count, cost in errors.kinds]
    return {"AP": errors.ap, "errors": kinds, "FalsePos": errors.false_positive, "FalseNeg": errors.false_negative}


def _calibration(found: EvaluatedSet) -> dict[str, Any] | None:
    one = found.calibration
    if one is None:
        return None
    edges = one.edges.tolist()
    sides = {key: getattr(one, key).tolist() for key in _BIN}
    bins = [
        {"from": edges[i], "to": edges[i + 1], **{key: plain(side[i]) for key, side in sides.items()}}
        for i in range(len(edges) - 1)
    ]
    return {"n": one.n, "ece": one.ece, "mce": one.mce, "gap": one.gap, "brier": one.brier, "bins": bins}


def _confusion(found: EvaluatedSet) -> dict[str, Any]:
    one = found.confusions
    pairs = [
        {"label": pair.label, "predicted": pair.predicted, "count": pair.count, "labels": pair.labels,
         "examples": [_exhibit(exhibit) for exhibit in pair.examples]}
        for pair in one.pairs
    ]  # fmt: skip
    return {
        "rows": "labels", "columns": "predictions", "none": NONE, "names": list(one.names), "named": one.named,
        "matrix": one.matrix.tolist(),
        "folded_classes": one.folded, "right_among_folded": one.right, "taken_for_another": one.crossed, "pairs": pairs,
    }  # fmt: skip


def _exhibit(exhibit: Exhibit) -> dict[str, Any]:
    return {
        "object": exhibit.object, "frame": exhibit.frame, "class": exhibit.name, "confidence": exhibit.confidence,
        "iou": exhibit.iou, "told": exhibit.told, "other_class": exhibit.partner or None,
    }  # fmt: skip
