"""Every evaluation figure of every slice: counts, rates with Wilson's interval, calibration, COCO's table, bootstrap ranges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int32
from torch import Tensor

from gpu_quality.api.compared import prediction_set
from gpu_quality.api.evaluation import Evaluation
from gpu_quality.api.evaluation_json import plain
from gpu_quality.api.slices import ALL, condition_of, frame_rows, saved_slices
from gpu_quality.api.subjects_rows import evaluated as stored_evaluation
from gpu_quality.api.subjects_rows import evaluated_again
from gpu_quality.errors import UsageError
from gpu_quality.evaluation import bootstrap, coco, coco_table
from gpu_quality.evaluation.calibration import bins_of, equal_width_edges
from gpu_quality.evaluation.coco import CocoFigures
from gpu_quality.evaluation.intervals import interval
from gpu_quality.evaluation.protocol import COCO, COCO_KEYPOINTS
from gpu_quality.evaluation.rates import rate
from gpu_quality.functional.inference import wilson
from gpu_quality.store.store import Store
from gpu_quality.text import clean, counted

if TYPE_CHECKING:
    import pandas as pd

COUNTS: Final = ("tp", "fp", "found", "fn")
RATES: Final = ("precision", "recall", "f1", "mean_iou", "ECE")
_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class SliceFigures:
    """The figures of all data and of slices."""

    table: "pd.DataFrame"
    """One row per slice, that of all data first: `slice`, `condition`, `frames`, `labels`, `predictions`; at one IoU and
    confidence `tp`, `fp` (predictions in the slice), `found`, `fn` (labels in it), `precision` and `recall` with ``_low`` and
    ``_high``, `f1`, `mean_iou` of its true positives; `ECE` of its predictions of any confidence; COCO's figures by their short
    names. Bootstrap ranges are ``<figure>_low`` and ``<figure>_high``."""
    params: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    def figures(self, name: str) -> dict[str, Any]:
        """The row of a slice."""
        row = self.table[self.table["slice"] == name].iloc[0].to_dict()
        return {str(key): value for key, value in plain(row).items()}

    def to_dict(self) -> dict[str, Any]:
        """Everything as one object that JSON can hold."""
        return {"params": self.params, "slices": plain(self.table.to_dict("records")), "notes": list(self.notes)}


def slice_figures(
    store: Store | str | Path,
    slices: Mapping[str, str] | None = None,
    *,
    predictions: str | None = None,
    iou: float | None = None,
    confidence: float | None = None,
    resamples: int = 0,
    seed: int = 0,
) -> SliceFigures:
    """The figures of slices (name → condition, or name of a saved slice; all saved ones without it), and of all data.

    Precision counts the predictions in a slice and recall the labels in it, each by its own columns and that of its frame;
    COCO's figures leave out labels, and unmatched predictions, outside of the slice. `iou` and `confidence` are those of the
    stored evaluation unless given. `resamples` asks for bootstrap ranges over frames. Raises `UsageError`.
    """
    opened = store if isinstance(store, Store) else Store.open(Path(store))
    named = saved_slices(opened) if slices is None else dict(slices)
    if ALL in named:
        raise UsageError(f"no slice can be called {ALL}: all data are", hint="choose another name")
    chosen, notes = prediction_set(opened, predictions), list[str]()
    options = stored_evaluation(opened, chosen, notes).get("options", {})
    found = evaluated_again(opened, chosen, options, iou=iou, confidence=confidence, slices={ALL: "true", **named})
    table = _table(found)
    table.insert(1, "condition", ["", *(condition_of(opened, text) for text in named.values())])
    table.insert(2, "frames", [int(frame_rows(opened, text).sum()) for text in ("true", *named.values())])
    params = {
        "predictions": chosen, "iou": found.iou, "confidence": found.confidence, "protocol": found.protocol.name,
        "classes": options.get("classes") or [], "resamples": resamples, "seed": seed,
    }  # fmt: skip
    notes += _told_apart(found, options)
    if resamples:
        ranges, told = _ranges(found, resamples, seed)
        table = table.assign(**ranges)
        notes += told
    notes += [note for note in found.compared.warnings if note not in notes]
    return SliceFigures(table, params, tuple(notes))


def _told_apart(found: Evaluation, options: Mapping[str, Any]) -> list[str]:
    """Where the counts of labels are not what the shares are of."""
    left_out = int(((found.outcomes.label_outcome != 0) & (found.outcomes.label_outcome != 1)).sum())
    notes = [f"{counted(left_out, 'label')} (crowds, difficult ones) took no part: no recall counts them"] if left_out else []
    if options.get("classes"):
        notes.append(f"of the classes that were evaluated: {clean(', '.join(options['classes']), 200)}")
    return notes


def _sides(found: Evaluation) -> tuple[dict[str, Bool[Tensor, " n"]], dict[str, Bool[Tensor, " m"]]]:
    """Which predictions are true or false, and which labels are found or missed, at the evaluation's confidence."""
    outcome, score = found.outcomes, found.scored.score
    sure = score >= found.confidence
    partner = outcome.prediction
    met = (outcome.label_outcome == 0) & (partner >= 0)
    met[met.clone()] = sure[partner[met]]
    asked = (outcome.label_outcome == 0) | (outcome.label_outcome == 1)
    of_predictions = {"tp": sure & (outcome.outcome == 0), "fp": sure & (outcome.outcome == 1)}
    return of_predictions, {"found": met, "fn": asked & ~met}


def _table(found: Evaluation) -> "pd.DataFrame":
    """Counts and rates of every slice."""
    import pandas as pd

    slices = found.slices or {}
    figures = _sums(found)(torch.ones((1, len(found.compared.frames)), dtype=torch.int32))[0].view(len(slices), -1).numpy()
    of_predictions, of_labels = _sides(found)
    rows = []
    for (name, (out_labels, out_predictions)), numbers in zip(slices.items(), figures, strict=True):
        tallies = {key: int((side & ~out_predictions).sum()) for key, side in of_predictions.items()}
        tallies |= {key: int((side & ~out_labels).sum()) for key, side in of_labels.items()}
        row: dict[str, Any] = {"slice": name, "labels": int((~out_labels).sum())}
        row |= {"predictions": int((~out_predictions).sum()), **tallies}
        for rate_name, (good, bad) in {"precision": ("tp", "fp"), "recall": ("found", "fn")}.items():
            ends = wilson(torch.tensor(tallies[good]), torch.tensor(tallies[good] + tallies[bad]))
            row |= {rate_name: numbers[RATES.index(rate_name)]}
            row |= {f"{rate_name}_{end}": float(value) for end, value in zip(("low", "high"), ends, strict=True)}
        row |= dict(zip(RATES[2:], numbers[2:].tolist(), strict=True))
        done = _coco(found, (out_labels, out_predictions), resampled=False)
        assert isinstance(done, CocoFigures)  # noqa: S101 - asked for
        rows.append({**row, **coco_table.keys(done)})
    return pd.DataFrame(rows)


def _sums(found: Evaluation) -> bootstrap.Figures:
    """`RATES` of every slice, one after another, as a function of the weights of the frames."""
    frames, given = len(found.compared.frames), found.compared
    of_predictions, of_labels = _sides(found)
    judged = (found.outcomes.outcome == 0) | (found.outcomes.outcome == 1)
    score = found.scored.score.clamp(0, 1)
    gap = torch.where(judged, (found.outcomes.outcome == 0).double() - score, 0.0)
    bin_of = bins_of(score, equal_width_edges(_BINS))
    overlap = torch.where(of_predictions["tp"], found.outcomes.iou.nan_to_num(), 0.0)
    columns = []
    for out_labels, out_predictions in (found.slices or {}).values():
        inside = ~out_predictions
        sides = [(side & inside).double() for side in of_predictions.values()]
        sides += [overlap * inside, (judged & inside).double()]
        sides += [gap * inside * (bin_of == b) for b in range(_BINS)]
        columns += [_by_frame(given.predictions.frame, side, frames) for side in sides]
        columns += [_by_frame(given.labels.frame, (side & ~out_labels).double(), frames) for side in of_labels.values()]
    per_frame = torch.stack(columns, 1) if columns else torch.zeros(frames, 0, dtype=torch.float64)

    def function(weights: Int32[Tensor, "r n"]) -> Float64[Tensor, "r v"]:
        sums = (weights.double() @ per_frame).view(len(weights), -1, 6 + _BINS)
        tp, fp, iou, n = sums[..., :4].unbind(-1)
        met, missed = sums[..., 4 + _BINS :].unbind(-1)
        precision, recall = rate(tp, tp + fp), rate(met, met + missed)
        f1 = torch.where(precision + recall > 0, 2 * precision * recall / (precision + recall), precision + recall)
        ece = rate(sums[..., 4 : 4 + _BINS].abs().sum(-1), n)
        return torch.stack([precision, recall, f1, rate(iou, tp), ece], -1).flatten(1)

    return function


def _by_frame(frame: Tensor, values: Tensor, frames: int) -> Float64[Tensor, " n"]:
    return torch.bincount(frame, weights=values.double(), minlength=frames).double()  # of no rows it is of whole numbers


def _coco(found: Evaluation, outside: tuple[Tensor, Tensor], *, resampled: bool) -> bootstrap.Evaluated | CocoFigures:
    """COCO's arrays of one slice, of its own in all and in each size range of COCO; with what resampling needs if wished."""
    given, sides = found.compared, (found.compared.labels, found.compared.predictions)
    rules = COCO_KEYPOINTS if given.kind == "keypoints" else COCO
    parts = {}
    for area in rules.areas:
        low, high = (torch.as_tensor(end) for end in (area.low, area.high))  # COCO has one range for all classes
        parts[area.name] = tuple(out | (side.area < low) | (side.area > high) for out, side in zip(outside, sides, strict=True))
    scored = found.scored_by(rules)
    if not resampled:
        return coco.evaluate(given.labels, scored, rules, slices=parts, **found.rest)  # type: ignore[arg-type]
    frames = len(given.frames)
    return bootstrap.evaluated(given.labels, scored, rules, frames=frames, slices=parts, **found.rest)  # type: ignore[arg-type]


def _ranges(found: Evaluation, resamples: int, seed: int) -> tuple[dict[str, Any], list[str]]:
    """Bootstrap ranges of the figures of every slice, as columns, and why some are missing."""
    frames, slices = len(found.compared.frames), found.slices or {}
    names = list(slices)
    parts = [(_sums(found), [(name, key) for name in names for key in RATES])]
    for name, outside in slices.items():
        done = _coco(found, outside, resampled=True)
        assert isinstance(done, bootstrap.Evaluated)  # noqa: S101 - asked for
        parts.append((bootstrap.columns(done).function, [(name, key) for key in coco_table.keys(done.figures)]))
    columns: dict[str, Any] = {}
    messages: dict[str, None] = {}
    for function, keys in parts:
        got = interval(function, frames, resamples=resamples, seed=seed)
        for place, (name, key) in enumerate(keys):
            for end, values in (("low", got.low), ("high", got.high)):
                column = columns.setdefault(f"{key}_{end}", np.full(len(names), np.nan))
                column[names.index(name)] = float(values[place])
            if got.message[place] and not bool(got.value[place].isnan()):
                messages[f"{name}: {key}: {got.message[place]}"] = None
    shares = {f"{key}_{end}" for key in ("precision", "recall") for end in ("low", "high")}
    return {key: values for key, values in columns.items() if key not in shares}, list(messages)
