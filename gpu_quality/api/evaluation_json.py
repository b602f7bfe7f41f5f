"""An evaluation as plain numbers, texts, lists and mappings: what ``--json`` prints and the store keeps."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gpu_quality import __version__
from gpu_quality.evaluation import reasons
from gpu_quality.evaluation.tide import ERRORS

if TYPE_CHECKING:
    from gpu_quality.api.evaluation import Evaluation


def everything(found: "Evaluation") -> dict[str, Any]:
    """Everything a machine wants of it, ready for JSON: null where a figure is not defined."""
    labels, predictions = found.compared.labels, found.compared.predictions
    outcome = found.outcomes
    return {
        "version": __version__,
        "protocol": found.protocol.name,
        "kind": found.compared.kind,
        "params": {**plain(found.protocol.options()), "iou": found.iou, "confidence": found.confidence, "seed": found.seed},
        "inputs": dict(found.compared.sources),
        "counts": {
            "frames": len(found.compared.frames),
            "labels": len(labels),
            "predictions": len(predictions),
            "ignored_labels": int((outcome.label_outcome == reasons.LABEL_OUTCOMES.index("ignored")).sum()),
            "ignored_predictions": int((outcome.outcome == reasons.PREDICTION_OUTCOMES.index("ignored")).sum()),
            "refused_rows": len(found.compared.refused),
        },
        "metrics": plain(found.summary),
        "stats": plain([None if value < 0 else value for value in found.stats]),
        "per_class": plain(found.per_class.reset_index().to_dict("records")),
        "slices": plain(found.by_slice.to_dict("records")) if found.slices else [],
        "warnings": list(found.compared.warnings),
        "problems": plain([dict(problem) for problem in found.compared.problems[:1000]]),
    }


def calibration(evaluated: "Evaluation") -> dict[str, Any]:
    """Calibration ready for JSON: ECE, MCE, mean gap, Brier score, and a row per bin of confidence."""
    found = evaluated.calibration
    edges = found.edges.tolist()
    bins = [
        {"confidence_from": edges[i], "confidence_to": edges[i + 1], "count": int(found.count[i]),
         "confidence": float(found.confidence[i]), "right": float(found.accuracy[i]), "low": float(found.low[i]),
         "high": float(found.high[i])}
        for i in range(len(edges) - 1)
    ]  # fmt: skip
    return dict(plain({"ece": found.ece, "mce": found.mce, "gap": found.gap, "brier": found.brier, "bins": bins}))


def tide(evaluated: "Evaluation") -> dict[str, Any]:
    """Kinds of errors ready for JSON: how many of each, and how many points of AP each kind costs."""
    found = evaluated.tide
    parts = zip(ERRORS, found.count.tolist(), found.dap.tolist(), strict=True)
    errors = [{"error": name, "count": count, "dAP": dap} for name, count, dap in parts]
    costs = {"FalsePos": found.false_positive, "FalseNeg": found.false_negative}
    return dict(plain({"AP": found.ap, "errors": errors, **costs}))


def plain(value: Any) -> Any:
    """Numbers, texts, lists and mappings that JSON knows; NaN is null."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
