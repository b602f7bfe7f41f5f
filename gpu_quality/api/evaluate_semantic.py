"""`evaluate --kind semantic`: a class for every pixel, maps of labels against maps of predictions, file by file."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from gpu_quality.api.progress import Progress, Silent
from gpu_quality.data.pngs import read_png
from gpu_quality.errors import EmptyInputError, UsageError
from gpu_quality.evaluation.semantic import IGNORE, Tallies, boundary_tallies, pixel_counts, semantic_scores, tallies

MOST: Final = 256
"""Classes that a map of 8 bits can hold."""


def evaluate_semantic(
    labels: str | Path,
    predictions: str | Path,
    *,
    classes: Sequence[str] = (),
    ignore_index: int = IGNORE,
    boundary: float = 0.0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Mean IoU, Dice and accuracies, in all and per class, ready for JSON; a class on neither side is null.

    `labels` and `predictions` are folders of PNG files of one name each, whose gray levels or palette numbers are classes;
    `classes` names them from 0 on. Pixels labeled `ignore_index` do not count. `boundary` above 0 (usually .02, a share of the
    diagonal) adds IoU of the borders alone. Pairs that cannot be compared are listed under `problems`, the rest counts. Raises
    `UsageError` for folders that are none, `EmptyInputError` where no pair can be compared.
    """
    progress = progress or Silent()
    truth, found = _maps(Path(labels)), _maps(Path(predictions))
    total = torch.zeros(MOST, MOST + 1, dtype=torch.int64)
    borders: list[Tallies] = []
    problems = [
        _problem(name, "predictions", "there is no prediction of this name") for name in sorted(set(truth) - set(found))
    ]
    problems += [_problem(name, "labels", "there is no label of this name") for name in sorted(set(found) - set(truth))]
    compared = 0
    both = sorted(set(truth) & set(found))
    progress.begin(len(both), 0, "maps")
    for name in both:
        sides = [_read(path) for path in (truth[name], found[name])]
        wrong = next((side for side in sides if isinstance(side, str)), None)
        try:
            if wrong is not None:
                raise UsageError(wrong)
            one, other = (torch.from_numpy(side) for side in sides if not isinstance(side, str))
            total += pixel_counts(one, other, MOST, ignore_index=ignore_index)
            if boundary > 0:
                borders.append(boundary_tallies(one, other, MOST, ignore_index=ignore_index, width=boundary))
            compared += 1
        except UsageError as error:
            problems.append(_problem(name, "labels", str(error)))
        progress.advance(1, 0)
    progress.end()
    if not compared:
        raise EmptyInputError("no pair of maps can be compared", hint=problems[0]["detail"] if problems else "both are empty")
    counted = tallies(total)
    return {
        "kind": "semantic",
        "frames": compared,
        "metrics": {name: _plain(float(getattr(semantic_scores(counted), name))) for name in
                    ("mean_iou", "mean_dice", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou")},
        "per_class": _per_class(counted, borders, classes),
        "problems": problems,
    }  # fmt: skip


def _maps(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder of PNG maps", hint="--kind semantic compares two folders of PNG files")
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.png"))}


def _read(path: Path) -> np.ndarray | str:
    """A map of classes [h, w], or what is wrong with it."""
    values = read_png(path, plain=True)
    if isinstance(values, str):
        return values
    if values.ndim != 2:
        return "a PNG of colors; a map of classes has gray levels or a palette"
    return np.asarray(values).astype(np.int64) if values.dtype != np.bool_ else np.asarray(values, np.int64)


def _problem(name: str, origin: str, detail: str) -> dict[str, Any]:
    return {"origin": origin, "id": name, "reason": "bad_annotation", "detail": detail}


def _per_class(counted: Tallies, borders: Sequence[Tallies], classes: Sequence[str]) -> list[dict[str, Any]]:
    """A row for every named class and every class that occurs."""
    values = {"iou": counted.iou(), "dice": counted.dice(), "recall": counted.recall(), "precision": counted.precision()}
    if borders:
        parts = [torch.stack([getattr(one, name) for one in borders]).sum(0) for name in ("hit", "labeled", "predicted")]
        values["boundary_iou"] = Tallies(*parts).iou()
    seen = ((counted.labeled + counted.predicted) > 0).nonzero().flatten().tolist()
    rows = range(max([len(classes), *(row + 1 for row in seen)]))
    return [
        {"class": classes[row] if row < len(classes) else str(row), "pixels": int(counted.labeled[row]),
         **{name: _plain(float(value[row])) for name, value in values.items()}}
        for row in rows if row < len(classes) or row in seen
    ]  # fmt: skip


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
