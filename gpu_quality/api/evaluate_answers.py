"""`evaluate --kind class`: answers about frames and objects against the labeled ones, question by question."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gpu_quality import __version__
from gpu_quality.api import inputs
from gpu_quality.api.progress import Progress, Silent
from gpu_quality.config import RunConfig
from gpu_quality.errors import UsageError
from gpu_quality.evaluation import answers, classification, ranked
from gpu_quality.store.store import Store

TOP = 5


def evaluate_answers(
    store: Store | str | Path | None = None,
    *,
    labels: Any = None,
    predictions: Any = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Accuracy, precision, recall, F1, AUC and the confusion matrix of each question, ready for JSON.

    A store (`predictions` names one of its sets, where it has several), or paths of labels and predictions. Questions with
    several answers of one frame are multi-label: counts with true negatives, Jaccard, exact match. Raises `UsageError` where
    one side has no answers.
    """
    table, classes = _read(store, labels, predictions, progress or Silent())
    own, theirs = table[table["origin"] == 0], table[table["origin"] == 1]
    for name, side in (("labels", own), ("predictions", theirs)):
        if side.empty:
            raise UsageError(f"the {name} hold no classifications", hint="evaluate boxes with --kind box")
    questions = [_question(str(name), own[own["question"] == name], theirs[theirs["question"] == name], classes)
                 for name in sorted(set(own["question"]))]  # fmt: skip
    unasked = sorted(set(theirs["question"]) - set(own["question"]))
    notes = [f"question {name!r} is answered by predictions alone" for name in unasked]
    return {"version": __version__, "kind": "class", "questions": questions, "warnings": notes}


def _read(
    store: Store | str | Path | None, labels: Any, predictions: Any, progress: Progress
) -> tuple[pd.DataFrame, list[str]]:
    """All answers: frame, object, origin (0 labels, 1 predictions), question, class_id, probabilities; and the classes."""
    if store is not None and labels is not None:
        raise UsageError("name a store, or labels and predictions, not both", hint="a store brings its own labels")
    if store is None:
        if labels is None or predictions is None:
            raise UsageError(
                "there is nothing to compare: labels and predictions are needed",
                hint="gpu-quality evaluate OUT --kind class, or evaluate --labels L --predictions P --kind class",
            )
        source = {"labels": _source(labels), "predictions": {"predictions": _source(predictions)}}
        dataset = inputs.read_source(RunConfig.of({"source": source}).source, progress.say)[0]
        return dataset.classifications.to_pandas(), list(dataset.classes)
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    origins = list(opened.identity["origins"])
    if len(origins) < 2 or (predictions is not None and predictions not in origins[1:]):
        raise UsageError(f"{opened.path} holds the prediction sets {', '.join(origins[1:]) or 'none'}, not {predictions!r}")
    if predictions is None and len(origins) > 2:
        raise UsageError(
            f"{opened.path} holds {len(origins) - 1} prediction sets", hint=f"name one of {', '.join(origins[1:])}"
        )
    chosen = origins.index(predictions) if predictions is not None else 1
    table = opened.table("classification")
    table = table[table["origin"].isin((0, chosen))]
    return table.assign(origin=(table["origin"] != 0).astype(int)), list(opened.identity["classes"])


def _source(given: Any) -> Any:
    """A path, with its format where that is said."""
    return dict(given) if isinstance(given, Mapping) else str(given)


def figures_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as gates name them: "accuracy" and "recall/cat" of one question, "accuracy/weather" of several."""
    questions = told["questions"]
    if len(questions) != 1:
        return {question["question"]: question["metrics"] for question in questions}
    (only,) = questions
    return {**only["metrics"], **{row["class"]: row for row in only["per_class"]}}


def _question(name: str, own: pd.DataFrame, theirs: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    """One question: options are the classes that anybody gave."""
    options = sorted({int(i) for i in [*own["class_id"], *theirs["class_id"]]})
    place = {class_id: row for row, class_id in enumerate(options)}
    both = pd.concat([own, theirs], ignore_index=True)
    about = both["frame"].astype(str) + "\0" + both["object"].fillna("").astype(str)
    key = torch.from_numpy(pd.factorize(about)[0].astype(np.int64))
    given = torch.tensor([place[int(i)] for i in both["class_id"]], dtype=torch.int64)
    names = [classes[i] if 0 <= i < len(classes) else str(i) for i in options]
    parts = (key[: len(own)], key[len(own) :], given[: len(own)], given[len(own) :])
    several = any(len(torch.unique(side)) < len(side) for side in parts[:2])
    told = _multi_label(*parts, names) if several else _single(*parts, names, _probabilities(theirs, len(classes), options))
    return {"question": name, "answers": len(own), **told}


def _single(
    key: Tensor, predicted_key: Tensor, label: Tensor, prediction: Tensor, names: list[str], p: Tensor | None
) -> dict[str, Any]:
    joined = answers.join(key, predicted_key)
    truth, said = joined.label_class(label), joined.prediction_class(prediction)
    matrix = classification.confusion(truth, said, len(names))
    counts = classification.class_counts(matrix)
    metrics: dict[str, Any] = {
        "accuracy": float(classification.accuracy(matrix)),
        "balanced_accuracy": float(classification.balanced_accuracy(matrix)),
    }
    for average in ("micro", "macro", "weighted"):
        scores = classification.averaged(counts, average)
        metrics |= {f"{average}_{part}": float(getattr(scores, part)) for part in ("precision", "recall", "f1")}
    auc = torch.full((len(names),), torch.nan, dtype=torch.float64)
    if p is not None:
        rows = joined.both()
        chances, right = p[rows.prediction], label[rows.label]
        auc = ranked.one_vs_rest_auc(chances, right)
        metrics |= {
            "top_5_accuracy": float(ranked.top_k_accuracy(chances, right, min(TOP, len(names)))),
            "log_loss": float(ranked.log_loss(chances, right)),
            "brier": float(ranked.brier(chances, right)),
            "ece": ranked.top_class_reliability(chances, right).ece,
            "macro_auc": float(auc.nanmean()),
            "macro_pr_auc": float(ranked.one_vs_rest_average_precision(chances, right).nanmean()),
        }
    columns = {"labels": counts.support, "tp": counts.tp, "fp": counts.fp, "fn": counts.fn, "precision": counts.precision(),
               "recall": counts.recall(), "f1": counts.f1(), "auc": auc}  # fmt: skip
    return _told(metrics, columns, names) | {"confusion": {"classes": [*names, "None"], "matrix": matrix.tolist()}}


def _multi_label(key: Tensor, predicted_key: Tensor, label: Tensor, prediction: Tensor, names: list[str]) -> dict[str, Any]:
    every, row = torch.unique(torch.cat([key, predicted_key]), return_inverse=True)
    truth = answers.chosen(row[: len(key)], label, len(every), len(names))
    said = answers.chosen(row[len(key) :], prediction, len(every), len(names))
    counts = classification.multilabel_counts(truth, said)
    micro = counts.tp.sum().double() / (2 * counts.tp + counts.fp + counts.fn).sum() * 2
    metrics = {
        "exact_match": float(classification.exact_match(truth, said)),
        "jaccard": float(classification.row_jaccard(truth, said).nanmean()),
        "micro_f1": float(micro),
    }
    columns = {name: getattr(counts, name) for name in ("tp", "fp", "tn", "fn")}
    columns |= {"labels": counts.tp + counts.fn}
    return _told(metrics, columns, names)


def _told(metrics: dict[str, Any], columns: dict[str, Tensor], names: list[str]) -> dict[str, Any]:
    rows = [
        {"class": name, **{key: _plain(value[row].item()) for key, value in columns.items()}} for row, name in enumerate(names)
    ]
    return {"metrics": {key: _plain(value) for key, value in metrics.items()}, "per_class": rows}


def _plain(value: Any) -> Any:
    return None if value is None or (isinstance(value, float) and not math.isfinite(value)) else value


def _probabilities(table: pd.DataFrame, classes: int, options: list[int]) -> Tensor | None:
    """Probabilities of the options, one row per prediction, NaN where it has none; None where nobody has any."""
    if "probabilities" not in table:
        return None
    rows = [row if row is not None and len(row) in (classes, len(options)) else None for row in table["probabilities"]]
    if all(row is None for row in rows):
        return None
    values = np.full((len(rows), len(options)), np.nan)
    for i, row in enumerate(rows):
        if row is not None:
            values[i] = np.asarray(row, np.float64)[options] if len(row) == classes else np.asarray(row, np.float64)
    return torch.from_numpy(values)
