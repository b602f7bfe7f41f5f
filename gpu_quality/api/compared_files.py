"""Labels and predictions straight from files of any format, or from what COCO files hold, without a run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_quality.annotations import Dataset
from gpu_quality.api import inputs
from gpu_quality.api.compared import Compared, as_written, comparison, of_kind, side
from gpu_quality.api.progress import Progress
from gpu_quality.config import RunConfig
from gpu_quality.data.arrow_frames import tables_as_files
from gpu_quality.data.formats.json_whole import load_json, load_results
from gpu_quality.errors import UsageError
from gpu_quality.evaluation.coco_files import read_coco
from gpu_quality.evaluation.evaluator import Evaluator
from gpu_quality.evaluation.instances import Kind
from gpu_quality.kernels.results import Results


def of_files(
    labels: Any, predictions: Any, kind: Kind, progress: Progress, *, missing_scores: bool = False, inclusive: bool = False
) -> Compared:
    """Both sides: a path, a path with its format ({"path": …, "format": …}), or what COCO files hold.

    COCO files keep every bit of their boxes. `missing_scores`: predictions without a score are kept; `inclusive` as `evaluate`
    has it. Raises `UsageError` for what cannot be read, and where not one row of a side can be used.
    """
    if _are_tensors(labels) and _are_tensors(predictions):
        return _of_tensors(labels, predictions, kind)
    parsed = _both_coco(labels, predictions, kind)
    if parsed is None:
        with tables_as_files(labels, {"predictions": predictions}) as (filed, named):
            found = _of_any_files(filed, (named or {})["predictions"], kind, progress, inclusive=inclusive)
    else:
        sets = read_coco(*parsed, kind=kind, missing_scores=missing_scores)
        rows = zip(sets.label_ids, sets.label_rows.tolist(), strict=True)
        found = Compared(
            sets.labels,
            sets.predictions,
            [str(name) for name in sets.frame_ids],
            _distinct(sets.class_names, sets.class_ids),
            [str(row if own is None else own) for own, row in rows],
            [str(row) for row in sets.prediction_rows.tolist()],
            kind,
            problems=[problem._asdict() for problem in sets.problems],
            warnings=sets.warnings,
            sources=_named(labels, predictions),
        )
        _refuse_if_nothing_is_left(found)
    return found


def _are_tensors(given: Any) -> bool:
    """Whether a side is a list of torchmetrics' dictionaries, one per image."""
    if not isinstance(given, list | tuple) or not given or not all(isinstance(image, Mapping) for image in given):
        return False
    return any(isinstance(value, torch.Tensor) for value in given[0].values())


def _of_tensors(labels: Sequence[Any], predictions: Sequence[Any], kind: Kind) -> Compared:
    """Both sides as dictionaries of tensors; images are called by their place, classes by their number."""
    if kind not in ("box", "mask", "keypoints"):
        raise UsageError(f"dictionaries of tensors are compared by box, mask or keypoints, not by {kind!r}")
    evaluator = Evaluator(kind=kind)
    evaluator.update(predictions, labels)
    seen = evaluator.collect()
    own, found = ([str(row) for row in range(len(rows))] for rows in (seen.labels, seen.predictions))
    frames, classes = [str(row) for row in range(seen.frames)], tuple(str(label) for label in seen.class_ids)
    return Compared(seen.labels, seen.predictions, frames, classes, own, found, kind, sources=_named(labels, predictions))


def _refuse_if_nothing_is_left(found: Compared) -> None:
    """A side whose rows are all refused is no empty side: its figures would only look like figures."""
    for origin, kept in (("labels", found.labels), ("predictions", found.predictions)):
        refused = [problem for problem in found.refused if problem["origin"] == origin]
        if refused and not len(kept):
            first = refused[0]
            hint = "check that labels and predictions are of one data set, and the --kind"
            if first["reason"] == "dt_missing_score":
                hint = "--missing-score 1 gives each of them a confidence; protocol labelbox needs none"
            raise UsageError(
                f"none of the {len(refused):,} {origin} can be used; the first (row {first['row']}) has {first['reason']}: "
                f"{first['detail']}", hint=hint,
            )  # fmt: skip


def _distinct(names: Sequence[str], ids: Sequence[object]) -> tuple[str, ...]:
    """Names of classes; those that several have are told apart by id."""
    seen = Counter(names)
    return tuple(name if seen[name] == 1 else f"{name} (id {own})" for name, own in zip(names, ids, strict=True))


def _named(labels: Any, predictions: Any) -> dict[str, str]:
    told = {}
    for name, given in (("labels", labels), ("predictions", predictions)):
        path = _path(given)
        told[name] = type(given).__name__ if path is None else str(path)
    return told


def _path(given: Any) -> str | Path | None:
    """Where a side lies; None for what is in memory."""
    if isinstance(given, Mapping) and set(given) <= {"path", "format"}:
        given = given.get("path")
    return given if isinstance(given, str | Path) else None


def _both_coco(labels: Any, predictions: Any, kind: Kind) -> tuple[Any, Any] | None:
    """Both sides parsed, if both are COCO files or what such files hold; None where another reader has to look."""
    if kind not in ("box", "mask", "keypoints"):
        return None
    sides = (labels, predictions)
    for given in sides:
        path = _path(given)
        form = given.get("format") if path is not None and isinstance(given, Mapping) else None
        if form not in (None, "coco") or (path is not None and not _is_json(Path(path))):
            return None
    places = [_path(given) for given in sides]
    truth = labels if places[0] is None else load_json(Path(places[0]))
    read = load_results if kind == "box" else load_json
    found = predictions if places[1] is None else read(Path(places[1]))
    if isinstance(truth, list) and isinstance(found, Mapping) and "annotations" in found:
        raise UsageError(
            "the labels are a list of results and the predictions an object with annotations",
            hint="labels and predictions seem to be swapped",
        )
    if not isinstance(truth, Mapping) or not {"images", "annotations", "categories"} <= set(truth):
        return None
    listed = found.get("annotations") if isinstance(found, Mapping) else found
    return (truth, found) if isinstance(listed, list | tuple | Results) else None


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json" and path.is_file()


def _of_any_files(labels: Any, predictions: Any, kind: Kind, progress: Progress, *, inclusive: bool) -> Compared:
    """Both sides through the readers of all formats."""
    held = {name: given for name, given in (("predictions", predictions), ("labels", labels)) if _path(given) is None}
    if held:  # of two that are in memory, labels that look like COCO's are not what is wrong
        fine = isinstance(labels, Mapping) and {"images", "annotations", "categories"} <= set(labels)
        name = "predictions" if fine else next(reversed(held))
        raise UsageError(
            f"{name} are a {type(labels if name == 'labels' else predictions).__name__}, which is not understood",
            hint="give paths, or what COCO files hold: an object with images, annotations, categories; a list of results",
        )
    source = {"labels": _source(labels), "predictions": {"predictions": _source(predictions)}}
    settings = RunConfig.of({"source": source}).source
    found = _of_dataset(inputs.read_source(settings, progress.say)[0], kind, _named(labels, predictions))
    if not inclusive:
        return found
    formats: Any = inputs.identity(settings)
    one = as_written(found.labels, formats["labels"]["format"])
    two = as_written(found.predictions, formats["predictions"]["predictions"]["format"])
    return replace(found, labels=one, predictions=two)


def _source(given: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in given.items()} if isinstance(given, Mapping) else {"path": str(given)}


def _of_dataset(dataset: Dataset, kind: Kind, sources: Mapping[str, str]) -> Compared:
    frames, table = dataset.frames, dataset.objects
    size = np.stack([frames.column(name).to_numpy().astype(np.float64) for name in ("height", "width")], 1)
    origin = np.asarray(table.column("origin").to_numpy())
    found, notes = of_kind(table, [np.flatnonzero(origin == number) for number in (0, 1)], kind)
    sides = [side(table.take(own), kind, size, predicted=i == 1) for i, own in enumerate(found)]
    ids = [table.column("source_id").take(own).to_pylist() for own in found]
    errors = dataset.errors.select(["uri", "line", "reason", "detail"]).to_pylist()
    problems = [{"origin": row["uri"], "row": row["line"], "id": None, "reason": row["reason"], "detail": row["detail"],
                 "refused": True} for row in errors]  # fmt: skip
    names = frames.column("frame").to_pylist()
    return Compared(
        sides[0], sides[1], names, dataset.classes, ids[0], ids[1], kind, comparison(kind, size), problems,
        (*dataset.notes, *notes),
        sources=sources,
    )  # fmt: skip
