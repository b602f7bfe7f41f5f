"""The numbers behind the drawings of a model, as tables."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from gpu_quality.evaluation.calibration import Reliability
from gpu_quality.reports.html import Markup, name_tag, table
from gpu_quality.reports.model.curves import RECALLS, Curves, Sweep
from gpu_quality.reports.model.figures import ClassFigures, F1Grid
from gpu_quality.text import number

_SIZES: Final = {"small": "s", "medium": "m", "large": "l"}
_TENTHS: Final = range(0, 101, 10)


def rate(value: float | None) -> str:
    """A share or score with three digits; – where it is not defined."""
    return "–" if value is None or not np.isfinite(value) else f"{round(value, 3) + 0.0:.3f}"  # no -0.000


def class_table(classes: Sequence[ClassFigures]) -> Markup:
    """One row per class, in the order given."""
    head = ("class", "labels", "AP", "AP50", "precision", "recall", "F1", "TP", "FP", "FN", "best confidence", "best F1", "ECE")
    rows = (
        (name_tag(one.name, 40), f"{one.labels:,}", rate(one.ap), rate(one.ap50), rate(one.counts.precision),
         rate(one.counts.recall), rate(one.counts.f1), f"{one.counts.tp:,}", f"{one.counts.fp:,}", f"{one.counts.fn:,}",
         number(one.best), rate(one.best_f1), rate(one.ece))
        for one in classes
    )  # fmt: skip
    return table(head, rows, numeric=range(1, len(head)))


def size_table(metrics: Mapping[str, float | None], rest: Mapping[str, float | None]) -> Markup:
    """Figures by size where there are any, then the others one by one."""
    rows = [(f"{kind} of {size} objects", f"{kind}{letter}", rate(metrics[f"{kind}{letter}"]))
            for kind in ("AP", "AR") for size, letter in _SIZES.items() if f"{kind}{letter}" in metrics]  # fmt: skip
    shown = {key for _, key, _ in rows}
    rows += [("", key, number(value) if value is not None and value > 1 else rate(value))
             for key, value in rest.items() if key not in shown]  # fmt: skip
    return table(("figure", "key", "value"), rows, numeric=(2,))


def curve_table(curves: Curves) -> Markup:
    """Precision at every tenth of recall: the mean, then every class."""
    head = ("class", "labels", "AP", *(f"at {RECALLS[i]:.1f}" for i in _TENTHS))
    mean = ("mean of classes", "", rate(curves.average), *(rate(float(curves.mean[i])) for i in _TENTHS))
    rows = [(name_tag(one.name, 40), f"{one.labels:,}", rate(one.mean), *(rate(float(one.precision[i])) for i in _TENTHS))
            for one in curves.classes]  # fmt: skip
    return table(head, [mean, *rows], numeric=range(1, len(head)))


def sweep_table(sweep: Sweep) -> Markup:
    """Precision, recall and F1 at eleven confidences and at the best one."""
    step = (len(sweep.confidence) - 1) // 10
    rows = [tuple(map(float, (sweep.confidence[i], sweep.precision[i], sweep.recall[i], sweep.f1[i])))
            for i in range(0, len(sweep.confidence), step)]  # fmt: skip
    told = [(number(at), rate(p), rate(r), rate(f)) for at, p, r, f in rows]
    if (best := sweep.best) is not None:
        told.append((f"{number(best.threshold)} (best F1)", rate(best.precision), rate(best.recall), rate(best.value)))
    return table(("confidence from", "precision", "recall", "F1"), told, numeric=range(1, 4))


def grid_table(grid: F1Grid) -> Markup:
    """F1 at every pair of thresholds: rows IoU, columns confidence."""
    rows = ((f"IoU {number(iou)}", *map(rate, row)) for iou, row in zip(grid.ious, grid.f1, strict=True))
    return table(("F1", *(f"conf. {number(at)}" for at in grid.confidences)), rows, numeric=range(1, len(grid.confidences) + 1))


def calibration_table(found: Reliability) -> Markup:
    """One row per bin of confidence."""
    edges = found.edges.tolist()
    sides = [getattr(found, key).tolist() for key in ("confidence", "accuracy", "low", "high")]
    rows = (
        (f"{number(edges[i])} to {number(edges[i + 1])}", f"{count:,}", *(rate(side[i]) for side in sides))
        for i, count in enumerate(found.count.tolist())
    )
    return table(("confidence", "predictions", "mean confidence", "share right", "low", "high"), rows, numeric=range(1, 6))
