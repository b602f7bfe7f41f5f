"""What an evaluation says about every prediction, label and frame, as columns of the store: ready for `query` and `show`."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor

from gpu_quality.api.compared import Compared
from gpu_quality.api.evaluation import Evaluation
from gpu_quality.api.outcomes_facts import DOOR, FACTS, MODULE, UNJUDGED
from gpu_quality.evaluation import label_errors, reasons
from gpu_quality.evaluation.counts import counts
from gpu_quality.evaluation.label_errors import Pairs, Sides
from gpu_quality.evaluation.matching import match
from gpu_quality.evaluation.protocol import COCO
from gpu_quality.evaluation.tide import ERRORS
from gpu_quality.evaluation.uncertainty import MEASURES, acquisition, calibration_residual, of_empty
from gpu_quality.functional import boxes, probabilities
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store

Values = NDArray[Any]


def write_outcomes(store: Store, found: Evaluation) -> list[str]:
    """Put the columns of an evaluation into its store, in place of those of an earlier one; returns their names."""
    suffix = found.compared.suffix
    of_objects = _object_columns(store, found)
    columns = {**of_objects, **_frame_columns(store, found), **_of_frames(found, of_objects)}
    held = " ".join([DOOR, found.compared.origin, *sorted(columns)])  # a layer keeps its columns, and kinds have others
    layer = hashlib.sha256(held.encode()).hexdigest()[:16]
    own = {f"{name}{suffix}" for name in FACTS}
    rules, classes = found.protocol, list(found.classes) if found.whole is not None else []
    options = {
        "iou": found.iou, "confidence": found.confidence, "kind": found.compared.kind, "protocol": rules.name,
        "inclusive": rules.inclusive, "missing_score": rules.missing_score, "classes": classes,
    }  # fmt: skip
    facts = {
        f"{name}{suffix}": {
            "per": FACTS[name].per, "metric": name, "unit": FACTS[name].unit, "summary": FACTS[name].summary,
            "bad": FACTS[name].bad, "bounds": FACTS[name].bounds, "module": MODULE, "version": 1,
            "judged": name not in UNJUDGED, "set": found.compared.origin,
            "options": options,
        }
        for name in columns
    }  # fmt: skip
    tables = {
        f"{per}s": {f"{name}{suffix}": values for name, values in columns.items() if FACTS[name].per == per}
        for per in ("frame", "object")
    }
    with writer_lock(store.path):
        for old in store.layers():
            if old.meta.get("door") == DOOR and own & set(old.columns):
                store.retire(old.name)
        store.begin_layer(layer, {"kind": "table", "door": DOOR, "wanted": {}, "columns": facts})
        store.commit(layer, "all", tables)
        store.finish(layer)
    return sorted(facts)


def _object_columns(store: Store, found: Evaluation) -> dict[str, Values]:
    """Columns with a row per object of the store; masked where a column says nothing about an object."""
    given, rows = found.compared, store.input.count("objects")
    outcome, errors = found.outcomes, found.tide
    labels, predictions = given.labels, given.predictions
    score = found.scored
    loose = replace(COCO, thresholds=(0.5,), classes="any", areas=(), max_detections=())
    any_class = reasons.outcomes(match(labels, score, loose, kind=given.kind, how=given.how), labels, predictions)
    partner = any_class.prediction
    has, at = partner >= 0, partner.clamp(min=0)
    if not len(predictions):
        at, has = torch.zeros(0, dtype=torch.int64), has[:0]
    sure = score.score.clamp(0, 1)
    judged = outcome.outcome
    sides: dict[str, tuple[Any, Any]] = {
        "outcome": (_words(judged, reasons.PREDICTION_OUTCOMES), _words(outcome.label_outcome, reasons.LABEL_OUTCOMES)),
        "matched_object": (
            _ids(outcome.label, given.label_ids, judged == 0),
            _ids(outcome.prediction, given.prediction_ids, outcome.label_outcome == 0),
        ),
        "iou_with_label": (_numbers(outcome.iou), None),
        "reason": (_words(outcome.reason, reasons.REASONS), None),
        "tide_error": (_words(errors.error, ERRORS), _words(torch.where(errors.missed, ERRORS.index("Miss"), -1), ERRORS)),
        "confidence": (_numbers(predictions.score), None),
        "calibration_residual": (
            _numbers(calibration_residual(judged == 0, predictions.score, judged != judged.clamp(0, 1))),
            None,
        ),
        "possible_missing": (_numbers(label_errors.possible_missing(any_class.label >= 0, score.score).double()), None),
        "possible_spurious": (None, _numbers(label_errors.possible_spurious(partner >= 0).double())),
    }
    if len(predictions):
        same = labels.class_id == predictions.class_id[at]
        sides["mistakenness"] = (None, _numbers(label_errors.mistakenness(has, same, sure[at])))
        local = label_errors.mistakenness_localization(has, any_class.label_iou, sure[at])
        sides["mistakenness_localization"] = (None, _numbers(local))
    if given.kind == "box":
        scores = object_lab(given, score.score)
        sides |= {"overlooked_score": (_numbers(scores[0]), None), "badloc_score": (None, _numbers(scores[1])),
                  "swap_score": (None, _numbers(scores[2]))}  # fmt: skip
    sides |= _undecided(store, given)
    return {name: _placed(rows, given, *values) for name, values in sides.items()}


def _undecided(store: Store, given: Compared) -> dict[str, tuple[Any, Any]]:
    """How undecided predictions with class probabilities are."""
    p = _probabilities(store, given)
    if p is None:
        return {}
    measures = (probabilities.entropy, probabilities.least_confidence, probabilities.margin, probabilities.variance)
    names = ("entropy", "least_confidence", "margin", "variance")
    return {f"prediction_{name}": (_numbers(f(p)), None) for name, f in zip(names, measures, strict=True)}


def _frame_columns(store: Store, found: Evaluation) -> dict[str, Values]:
    """Columns with a row per frame."""
    given = found.compared
    frames = len(given.frames)
    tally = counts(
        given.labels, given.predictions, classes=len(given.classes), frames=frames, thresholds=(found.iou,),
        confidences=(found.confidence,), by="frame", kind=given.kind, how=given.how,
    )  # fmt: skip
    columns: dict[str, Values] = {
        f"frame_{name}": np.asarray(getattr(tally, name)[:, 0, 0].numpy(), np.int64) for name in ("tp", "fp", "fn")
    }
    columns["frame_f1"] = _numbers(tally.rates().f1[:, 0, 0])
    if given.kind == "box":
        overlooked, badloc, swap = object_lab(given, found.scored.score)
        sides = ((overlooked, given.predictions.frame), (badloc, given.labels.frame), (swap, given.labels.frame))
        pooled = [label_errors.pooled(score, frame, frames) for score, frame in sides]
        columns["label_quality"] = _numbers(label_errors.label_quality(*pooled))
    p, own = _probabilities(store, given), given.predictions
    most = own.score if p is None else p.amax(-1)
    columns["mean_object_confidence"] = _numbers(acquisition(most, own.frame, frames, empty=of_empty("confidence", 1)))
    if p is not None:
        measures = (probabilities.entropy, probabilities.least_confidence, probabilities.margin, probabilities.variance)
        for name, measure in zip(MEASURES[:4], measures, strict=True):
            empty = of_empty(name, p.shape[1])
            columns[f"acquisition_{name}"] = _numbers(acquisition(measure(p), own.frame, frames, empty=empty))
    return columns


def _of_frames(found: Evaluation, columns: Mapping[str, Values]) -> dict[str, Values]:
    """What the objects of a frame come to: the likeliest wrong label, how many labels are missing or too many."""
    given, frames = found.compared, len(found.compared.frames)
    out = {}
    for name, rows, side in (
        ("possible_missing", given.prediction_rows, given.predictions),
        ("possible_spurious", given.label_rows, given.labels),
    ):
        flag = np.ma.filled(columns[name][rows], 0)
        out[f"frame_{name}"] = np.bincount(side.frame.numpy(), flag, frames).astype(np.int64)
    if "mistakenness" in columns:
        values = torch.from_numpy(np.ma.filled(columns["mistakenness"][given.label_rows], np.nan))
        out["frame_mistakenness"] = _numbers(label_errors.worst_per_frame(values, given.labels.frame, frames))
    return out


def object_lab(given: Compared, score: Float64[Tensor, " n"]) -> tuple[Tensor, Tensor, Tensor]:
    """Overlooked (per prediction), badly located and swapped (per label) scores, in the order of the rows."""
    labels, predictions = given.labels, given.predictions
    frames = len(given.frames)
    orders = [side.frame.sort(stable=True).indices for side in (labels, predictions)]
    offsets = [torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(side.frame, minlength=frames).cumsum(0)])
               for side in (labels, predictions)]  # fmt: skip
    place = label_errors.pairs_of(*offsets)
    rows = torch.stack([orders[0][place[0]], orders[1][place[1]]])
    corners = [torch.cat([side.box[:, :2], side.box[:, :2] + side.box[:, 2:]], 1) for side in (labels, predictions)]
    centers = [side.box[:, :2] + side.box[:, 2:] / 2 for side in (labels, predictions)]
    iou = boxes.iou(corners[0][rows[0]], corners[1][rows[1]])
    pairs = Pairs(rows[0], rows[1], iou, label_errors.similarity(iou, centers[0][rows[0]], centers[1][rows[1]]))
    sides = Sides(labels.class_id, predictions.class_id, score)
    smallest = label_errors.smallest_similarity(pairs)
    own = label_errors.pairs_of(offsets[0], offsets[0])
    own = orders[0][own[:, own[0] < own[1]]]
    same = label_errors.conflicts(labels.class_id, own, boxes.iou(corners[0][own[0]], corners[0][own[1]]))
    overlooked = label_errors.overlooked_score(sides, pairs, smallest)
    return overlooked, label_errors.badloc_score(sides, pairs), label_errors.swap_score(sides, pairs, smallest, same)


def _probabilities(store: Store, given: Compared) -> Tensor | None:
    """Class probabilities of the predictions [n, k]; NaN rows where there are none, None where nobody has any."""
    column = store.objects().column("probabilities").take(given.prediction_rows).to_pylist()
    lengths = {len(row) for row in column if row}
    if len(lengths) != 1:
        return None
    (k,) = lengths
    values = np.array([row or [np.nan] * k for row in column], np.float64)
    return probabilities.probabilities(torch.from_numpy(values.reshape(-1, k)))


def _words(code: Tensor, names: tuple[str, ...]) -> Values:
    """Names of codes; masked below 0."""
    values = np.array([*names, ""], dtype=object)[np.where((code < 0).numpy(), len(names), code.numpy())]
    return np.ma.masked_array(values.astype(str), mask=(code < 0).numpy())


def _ids(row: Tensor, names: Any, where: Tensor | None = None) -> Values:
    known = (row >= 0) if where is None else (row >= 0) & where
    values = np.array([names[i] if ok else "" for i, ok in zip(row.tolist(), known.tolist(), strict=True)], dtype=str)
    return np.ma.masked_array(values, mask=~known.numpy())


def _numbers(values: Tensor) -> Values:
    """Float64, masked where there is no number."""
    array = values.double().numpy()
    return np.ma.masked_array(array, mask=~np.isfinite(array))


def _placed(rows: int, given: Compared, of_predictions: Any, of_labels: Any) -> Values:
    """Values of predictions and labels in the rows of the objects table."""
    parts = [(given.prediction_rows, of_predictions), (given.label_rows, of_labels)]
    some = next(values for _, values in parts if values is not None)
    dtype = (
        some.dtype
        if some.dtype.kind == "f"
        else "<U" + str(max(1, *(v.dtype.itemsize // 4 for _, v in parts if v is not None)))
    )
    whole: Values = np.ma.masked_array(np.zeros(rows, dtype=dtype), mask=True)
    for place, values in parts:
        if values is not None and place is not None:
            whole[place] = values
    return whole
