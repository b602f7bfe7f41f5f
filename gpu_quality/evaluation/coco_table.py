"""The tables people know: COCO's 12 lines (10 for keypoints) to the byte, flat keys, torchmetrics' names, figures per class."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_quality.evaluation.coco import CocoFigures
from gpu_quality.evaluation.curves import best, curve
from gpu_quality.evaluation.protocol import EvaluationProtocol

_LETTERS: Final = {"small": "s", "medium": "m", "large": "l"}
_SAME: Final = 1e-9
"""Thresholds closer than this are one: .5 may have been computed."""


class Line(NamedTuple):
    """One figure of the table: a mean over classes, and over thresholds where `iou` is None."""

    recall: bool
    iou: float | None
    area: str
    max_detections: int


def lines(figures: CocoFigures) -> list[Line]:
    """The figures of the table, in its order: precision over sizes, recall over numbers of detections and sizes."""
    most, first = figures.max_detections[-1], figures.areas[0]
    sizes = figures.areas[1:]
    if figures.kind == "keypoints":
        ious = (None, 0.5, 0.75)
        return [
            line
            for recall in (False, True)
            for line in (
                *(Line(recall, iou, first, most) for iou in ious),
                *(Line(recall, None, area, most) for area in sizes),
            )
        ]
    return [
        *(Line(False, iou, first, most) for iou in (None, 0.5, 0.75)),
        *(Line(False, None, area, most) for area in sizes),
        *(Line(True, None, first, m) for m in figures.max_detections),
        *(Line(True, None, area, most) for area in sizes),
    ]


def value(figures: CocoFigures, line: Line, class_row: int | None = None) -> float:
    """A figure, over all classes or of one; -1 where nothing is defined."""
    a, m = figures.areas.index(line.area), figures.max_detections.index(line.max_detections)
    table = (figures.recall if line.recall else figures.precision)[..., a, m].cpu().numpy()  # [t, k] or [t, r, k]
    if line.iou is not None:
        table = table[[i for i, t in enumerate(figures.protocol.thresholds) if abs(t - line.iou) < _SAME]]
    if figures.protocol.empty_class == "zero":
        table = np.where(_only_false(figures), 0.0, table)
    if class_row is not None:
        table = table[..., class_row]
    defined = table[table > -1]
    return float(np.mean(defined)) if len(defined) else -1.0


def stats(figures: CocoFigures) -> list[float]:
    """The figures of the table in order; -1 = undefined."""
    return [value(figures, line) for line in lines(figures)]


def summary(figures: CocoFigures) -> str:
    """The table as pycocotools prints it, byte for byte."""
    return "\n".join(_text(line, value(figures, line), figures.protocol) for line in lines(figures))


def keys(figures: CocoFigures) -> dict[str, float | None]:
    """Figures by the short names: AP, AP50, APs, AR100 and so on; None = undefined, -1 if the protocol says so."""
    return {_key(line, figures): _shown(figures, value(figures, line)) for line in lines(figures)}


def torchmetrics_keys(figures: CocoFigures, class_ids: list[int]) -> dict[str, object]:
    """The same under torchmetrics' names, per class too; -1 = undefined, as there."""
    most, first = figures.max_detections[-1], figures.areas[0]
    rows = range(len(figures.positives))
    ap, ar = Line(False, None, first, most), Line(True, None, first, most)
    return {
        **{_alias(line, figures): value(figures, line) for line in lines(figures)},
        "map_per_class": [value(figures, ap, k) for k in rows],
        f"mar_{most}_per_class": [value(figures, ar, k) for k in rows],
        "classes": class_ids,
    }


def per_class(figures: CocoFigures) -> list[dict[str, float | None]]:
    """The figures of each class, and F1max: the best F1 over all scores at the threshold .5, or the first one there is."""
    table = lines(figures)
    thresholds = figures.protocol.thresholds
    iou = next((t for t in thresholds if abs(t - 0.5) < _SAME), thresholds[0])
    found: list[dict[str, float | None]] = []
    for k in range(len(figures.positives)):
        top = best(curve(figures, k, iou=iou))
        f1 = {"F1max": None if top is None else top.value}
        found.append({_key(line, figures): _shown(figures, value(figures, line, k)) for line in table} | f1)
    return found


def _only_false(figures: CocoFigures) -> NDArray[np.bool_]:
    """Classes with predictions and not one label to be found."""
    detections = figures.ranked[0].class_offset.diff()
    return np.asarray(((figures.positives == 0).all(1) & (detections > 0)).cpu().numpy())


def _shown(figures: CocoFigures, figure: float) -> float | None:
    return None if figure < 0 and not figures.protocol.minus_one else figure


def _text(line: Line, figure: float, protocol: EvaluationProtocol) -> str:
    title, kind = ("Average Recall", "(AR)") if line.recall else ("Average Precision", "(AP)")
    t = protocol.thresholds
    iou = f"{t[0]:0.2f}:{t[-1]:0.2f}" if line.iou is None else f"{line.iou:0.2f}"
    return f" {title:<18} {kind} @[ IoU={iou:<9} | area={line.area:>6s} | maxDets={line.max_detections:>3d} ] = {figure:0.3f}"


def _key(line: Line, figures: CocoFigures) -> str:
    name = "AR" if line.recall else "AP"
    if line.area != figures.areas[0]:
        return name + _LETTERS.get(line.area, f"_{line.area}")
    if line.iou is not None:
        return f"{name}{line.iou * 100:.0f}"
    return f"{name}{line.max_detections}" if line.recall and figures.kind != "keypoints" else name


def _alias(line: Line, figures: CocoFigures) -> str:
    name = "mar" if line.recall else "map"
    if line.area != figures.areas[0]:
        return f"{name}_{line.area}"
    if line.iou is not None:
        return f"{name}_{line.iou * 100:.0f}"
    return f"{name}_{line.max_detections}" if line.recall else name
