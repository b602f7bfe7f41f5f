"""The verbs `evaluate` and `compare`: labels against predictions of a store, of files, or of what they hold."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch

from gpu_quality.api.compared import Compared, of_store
from gpu_quality.api.compared_files import of_files
from gpu_quality.api.evaluation import Evaluation
from gpu_quality.api.evaluation_parts import of_classes, slices_of
from gpu_quality.api.evaluation_store import save
from gpu_quality.api.progress import Progress, Silent
from gpu_quality.api.subjects import check_seed
from gpu_quality.errors import EmptyInputError, UsageError
from gpu_quality.evaluation.bootstrap import Key, columns, counted, evaluated
from gpu_quality.evaluation.instances import KINDS, Kind
from gpu_quality.evaluation.intervals import interval
from gpu_quality.evaluation.protocol import COCO_KEYPOINTS, EvaluationProtocol, protocol_named
from gpu_quality.evaluation.set_comparison import compare_sets
from gpu_quality.store.store import Store
from gpu_quality.text import close
from gpu_quality.text import counted as amount

_SAME: Final = 1e-9
_NAMED: Final = 5
"""So many classes are named where many are meant."""


def evaluate(
    store: Store | str | Path | None = None,
    *,
    labels: Any = None,
    predictions: Any = None,
    protocol: str | EvaluationProtocol = "coco",
    kind: Kind = "box",
    iou: float = 0.5,
    confidence: float = 0.25,
    classes: Sequence[str] = (),
    slices: Sequence[str] | Mapping[str, str] = (),
    missing_score: float | None = None,
    inclusive: bool = False,
    seed: int = 0,
    write: bool = True,
    progress: Progress | None = None,
) -> Evaluation:
    """Compare labels with predictions and return every figure, curve and outcome.

    Either a store (`predictions` then names one of its prediction sets, where it has several), or `labels` and `predictions` as
    paths of any format, as paths with their format ({"path": …, "format": "boxes_xywh"}), as parsed COCO objects, as tables in
    memory (pandas, Polars, PyArrow), or as lists of torchmetrics' dictionaries of tensors, one per image. `iou` and
    `confidence` (0..1) say where counts, outcomes and matrices are read. `classes` keeps these alone. `missing_score` is the
    confidence of predictions that have none. `inclusive`: boxes name their last pixel, as those of the VOC development kit
    do (VOC's own files are known to, and need no flag). `slices` are SQL conditions on columns of objects or frames of a
    store: "area < 1024". A store gets columns of outcomes and files below ``results/`` unless `write` is False.

    Raises
    ------
    UsageError
        Nothing to compare, a protocol, kind, class or column nobody knows, a score that the protocol needs and nobody gave.
    """
    check_seed(seed)
    rules = _rules(protocol, kind, missing_score, inclusive=inclusive)
    for name, value in (("iou", iou), ("confidence", confidence)):
        if not 0 <= value <= 1:
            raise UsageError(f"{name} must be from 0 to 1; got {value:g}", hint=f"{name} 0.5 is half")
    given, opened = _given(store, labels, predictions, kind, rules, progress or Silent())
    if not len(given.frames):
        raise EmptyInputError("there are no frames to evaluate", hint="the labels list none")
    whole, parts = given, slices_of(opened, given, slices)
    given, parts = of_classes(given, parts, classes)
    given = replace(given, warnings=(*given.warnings, *_remarks(given), *_of_slices(parts)))
    found = Evaluation(given, rules, iou, confidence, parts or None, seed, whole if classes else None)
    if opened is not None and write:
        save(opened, found)
    return found


def _rules(
    protocol: str | EvaluationProtocol, kind: Kind, missing_score: float | None, *, inclusive: bool
) -> EvaluationProtocol:
    """The protocol with what was asked for."""
    rules = protocol if isinstance(protocol, EvaluationProtocol) else replace(protocol_named(protocol), inclusive=inclusive)
    if kind not in KINDS:
        elsewhere = {"class": "gpu_quality.api.evaluate_answers", "semantic": "gpu_quality.api.evaluate_semantic"}.get(kind)
        hint = f"figures of this kind: {elsewhere}" if elsewhere else close(kind, KINDS)
        raise UsageError(f"kind {kind!r} is none of {', '.join(KINDS)}", hint=hint)
    if kind == "keypoints" and rules.name == "coco" and rules.areas and rules.areas[1].name == "small":
        rules = replace(COCO_KEYPOINTS, missing_score=rules.missing_score)
    return rules if missing_score is None else replace(rules, missing_score=missing_score)


def _remarks(given: Compared) -> list[str]:
    """What a reader of the figures should know about the rows."""
    told = [f"there are no {name}" for name, side in (("labels", given.labels), ("predictions", given.predictions))
            if not len(side)]  # fmt: skip
    odd: dict[str, list[Mapping[str, Any]]] = {}
    for problem in given.problems:
        if not problem.get("refused", True):
            odd.setdefault(f"{problem['origin']}: {problem['reason']}", []).append(problem)
    told += [f"{head} in {amount(len(rows), 'row')} (row {rows[0]['row']}: {rows[0]['detail']})" for head, rows in odd.items()]
    labeled, predicted = (torch.bincount(side.class_id, minlength=len(given.classes)).tolist()
                          for side in (given.labels, given.predictions))  # fmt: skip
    only = {row: count for row, count in enumerate(predicted) if count and not labeled[row]}
    if only and any(labeled):
        names = ", ".join(given.classes[row] for row in list(only)[:_NAMED]) + (", …" if len(only) > _NAMED else "")
        told.append(
            f"{amount(len(only), 'class', 'classes')} ({names}) of {amount(sum(only.values()), 'prediction')} occur in no label"
        )
    return told


def _of_slices(parts: Mapping[str, Any]) -> list[str]:
    return [f"slice {name!r} holds no label" for name, (outside, _) in parts.items() if bool(outside.all())]


def _given(
    store: Store | str | Path | None, labels: Any, predictions: Any, kind: Kind, rules: EvaluationProtocol, progress: Progress
) -> tuple[Compared, Store | None]:
    """What is compared, and the store it lies in, if so."""
    if store is not None:
        if labels is not None:
            raise UsageError("name a store, or labels and predictions, not both", hint="a store brings its own labels")
        opened = store if isinstance(store, Store) else Store.open(Path(store))
        if not opened.input.count("objects") and opened.input.count("classifications"):
            hint = f"gpu-quality evaluate {shlex.quote(str(opened.path))} --kind class"
            raise UsageError(f"{opened.path} holds answers about whole images and no objects", hint=hint)
        return of_store(opened, predictions, kind, inclusive=rules.inclusive), opened
    if labels is None or predictions is None:
        raise UsageError(
            "there is nothing to compare: labels and predictions are needed",
            hint="gpu-quality evaluate OUT, or gpu-quality evaluate --labels GT.json --predictions DT.json",
        )
    kept = rules.missing_score is not None
    return of_files(labels, predictions, kind, progress, missing_scores=kept, inclusive=rules.inclusive), None


def intervals(found: Evaluation, *, resamples: int = 1000, seed: int | None = None) -> pd.DataFrame:
    """Each of COCO's figures and of the counts, in all and per class, with the range it likely has.

    Frames are drawn anew, matching is not repeated. One row per figure: figure, value, low, high, undefined (share of the
    resamples), message.
    """
    given = found.compared
    frames, classes = len(given.frames), len(found.classes)
    base = found.coco.protocol
    done = evaluated(given.labels, found.scored, base, frames=frames, classes=classes, kind=given.kind, how=given.how)
    wanted = columns(done, per_class=True)
    if any(abs(t - found.iou) < _SAME for t in base.thresholds):
        wanted = wanted.beside(counted(done, confidence=found.confidence, iou=found.iou))
    got = interval(wanted.function, frames, resamples=resamples, seed=found.seed if seed is None else seed)
    values = {key: getattr(got, key).numpy() for key in ("value", "low", "high", "undefined")}
    return pd.DataFrame({"figure": _named(wanted.keys, found.classes), **values, "message": list(got.message)})


def _named(keys: Sequence[Key], classes: Sequence[str]) -> list[str]:
    """Figures of classes with their names: AP/person."""
    return [key.name if key.class_row < 0 else f"{key.name}/{classes[key.class_row]}" for key in keys]


def compare(
    store: Store | str | Path | None = None,
    first: Any = None,
    second: Any = None,
    *,
    labels: Any = None,
    kind: Kind = "box",
    confidence: float = 0.25,
    resamples: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Two prediction sets on the same labels: every figure of both, and how much the second has more than the first.

    `first` and `second` name sets of the store, or are files where `labels` is one. Columns: figure, first, second,
    difference, low, high, p, p_adjusted (Benjamini-Hochberg over classes), message. Raises as `evaluate`.
    """
    one, two = (
        evaluate(store, labels=labels, predictions=given, kind=kind, seed=seed, write=False, progress=progress)
        for given in (first, second)
    )
    if list(one.compared.frames) != list(two.compared.frames) or one.classes != two.classes:
        raise UsageError("the two prediction sets are not about the same frames and classes")
    got = compare_sets(
        one.compared.labels, two.scored, one.scored, one.coco.protocol, frames=len(one.compared.frames), kind=kind,
        classes=len(one.classes), how=one.compared.how, confidence=confidence, resamples=resamples, seed=seed,
    )  # fmt: skip
    values = {"first": got.second, "second": got.first, "difference": got.difference.value, "low": got.difference.low,
              "high": got.difference.high, "p": got.p, "p_adjusted": got.p_adjusted}  # fmt: skip
    table = {name: value.numpy() for name, value in values.items()}
    return pd.DataFrame({"figure": _named(got.keys, one.classes), **table, "message": list(got.difference.message)})
