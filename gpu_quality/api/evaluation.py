"""The answer of `evaluate`: figures of a protocol at once, and everything behind them when it is asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import pandas as pd
import torch
from torch import Tensor

from gpu_quality.api import evaluation_json
from gpu_quality.api.compared import Compared
from gpu_quality.api.protocol_figures import figures
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.evaluation import coco, coco_table, curves, reasons
from gpu_quality.evaluation.calibration import Reliability, reliability
from gpu_quality.evaluation.coco import CocoFigures
from gpu_quality.evaluation.confusion import Confusion, confusion
from gpu_quality.evaluation.counts import TENTHS, Counts, counts
from gpu_quality.evaluation.instances import Instances
from gpu_quality.evaluation.lrp import OptimalLrp, lrp_curve, optimal_lrp
from gpu_quality.evaluation.matching import Matches, Slices, match, scores_of
from gpu_quality.evaluation.protocol import COCO, COCO_KEYPOINTS, CONFUSION, TIDE, EvaluationProtocol
from gpu_quality.evaluation.tide import Errors, tide
from gpu_quality.text import close

AVERAGES: Final = ("micro", "macro", "weighted")
NAMES: Final = ("tp", "fp", "fn", "tn", "precision", "recall", "f1", "iou")


@dataclass(frozen=True)
class Evaluation:
    """Labels against predictions under a protocol. Matching is done once for each question and kept.

    `iou` and `confidence` are where counts, outcomes and matrices are read; figures of curves use all scores.
    """

    compared: Compared
    protocol: EvaluationProtocol
    iou: float = 0.5
    confidence: float = 0.25
    slices: Slices | None = None
    """Parts of the data by name: which labels, and which predictions, lie outside."""
    seed: int = 0
    whole: Compared | None = None
    """Before classes were chosen: the others are ``(other)`` in the matrix."""

    # What the protocol says.

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their rows."""
        return self.compared.classes

    @cached_property
    def coco(self) -> CocoFigures:
        """COCO's arrays: under the protocol if it is COCO's, else under COCO's own rules."""
        base = self.protocol if self.protocol.name == "coco" else COCO_KEYPOINTS if self._kind == "keypoints" else COCO
        given = self.scored_by(base)
        return coco.evaluate(
            self.compared.labels, given, base, kind=self._kind, how=self.compared.how, classes=len(self.classes)
        )

    @property
    def summary(self) -> dict[str, float | None]:
        """The protocol's figures by their usual short names; None where one is not defined."""
        return self._figures[0]

    @property
    def stats(self) -> list[float]:
        """COCO's figures in the order of its table; -1 = undefined."""
        return coco_table.stats(self.coco)

    def table(self) -> str:
        """The protocol's figures as text: COCO's is the familiar table, byte for byte."""
        if self.protocol.name == "coco":
            return coco_table.summary(self.coco)
        width = max(map(len, self.summary), default=0)
        return "\n".join(f" {key:<{width}}  {'-' if value is None else f'{value:.4f}'}" for key, value in self.summary.items())

    @cached_property
    def per_class(self) -> pd.DataFrame:
        """One row per class: figures and counts of the protocol (else counts at `iou` and `confidence`), ECE, oLRP."""
        columns: dict[str, Any] = {"oLRP": torch.nan, "threshold_LRP": torch.nan}
        if self.iou < 1:
            columns = {"oLRP": self.lrp.olrp.numpy(), "threshold_LRP": self.lrp.threshold.numpy()}
        score, right, starts = self._judged
        columns["ECE"] = [reliability(score[a:b], right[a:b]).ece for a, b in pairwise(starts)]
        return self._figures[1].assign(**columns)

    @property
    def mean_olrp(self) -> float:
        """The mean of the classes with labels; NaN without any, and at an IoU of 1, where it is not defined."""
        return float(self.lrp.mean) if self.iou < 1 else math.nan

    # What lies behind.

    @cached_property
    def matches(self) -> Matches:
        """COCO's matching at `iou`, of all predictions."""
        rules = replace(COCO, thresholds=(self.iou,), areas=(), max_detections=())
        return match(self.compared.labels, self.scored_by(rules), rules, kind=self._kind, how=self.compared.how)

    @cached_property
    def outcomes(self) -> reasons.Outcomes:
        """What every prediction and label came to at `iou`, whatever its confidence, and why."""
        return reasons.outcomes(self.matches, self.compared.labels, self.compared.predictions)

    @cached_property
    def tide(self) -> Errors:
        """The kind of every error, and what the kinds cost."""
        return tide(self.compared.labels, self.scored_by(TIDE), classes=len(self.classes), kind=self._kind,
                         how=self.compared.how)  # fmt: skip

    @cached_property
    def scored(self) -> Instances:
        """The predictions with a score each: a missing one is what the protocol says, else 1."""
        missing = 1.0 if self.protocol.missing_score is None else self.protocol.missing_score
        predictions = self.compared.predictions
        return replace(predictions, score=scores_of(predictions, replace(COCO, missing_score=missing)))

    def counts(self, confidence: float | None = None, iou: float | None = None) -> pd.DataFrame:
        """TP, FP, FN, TN, precision, recall, F1 and mean IoU per class at one confidence and one IoU."""
        found = self._grid((self.confidence if confidence is None else confidence,), (self.iou if iou is None else iou,))
        rates = found.rates()
        values = [found.tp, found.fp, found.fn, found.tn, rates.precision, rates.recall, rates.f1, rates.iou]
        columns = {name: value[:, 0, 0].numpy() for name, value in zip(NAMES, values, strict=True)}
        return pd.DataFrame(columns, index=pd.Index(self.classes, name="class"))

    def grid(self, confidences: Sequence[float] = TENTHS, ious: Sequence[float] = TENTHS, *, average: str = "") -> pd.DataFrame:
        """Counts and rates at every pair of thresholds: one row per class, confidence and IoU; with `average` of all classes.

        Raises `UsageError` for an average that is none of micro, macro, weighted.
        """
        if average and average not in AVERAGES:
            raise UsageError(f"average {average!r} is none of {', '.join(AVERAGES)}")
        found = self._grid(confidences, ious)
        rates = getattr(found, average)() if average else found.rates()
        tallies = [value.sum(0) if average else value for value in (found.tp, found.fp, found.fn, found.tn)]
        keys = [*([] if average else [self.classes]), list(map(float, ious)), list(map(float, confidences))]
        names = [*([] if average else ["class"]), "iou_threshold", "confidence"]
        values = {name: value.flatten().numpy() for name, value in zip(NAMES, [*tallies, *rates], strict=True)}
        return pd.DataFrame(values, index=pd.MultiIndex.from_product(keys, names=names)).reset_index()

    def confusion(self, confidence: float | None = None, iou: float | None = None) -> Confusion:
        """Who was taken for whom at one confidence and IoU, with a last row and column for none.

        Where classes were chosen, all others are one row and column before it; members are rows of `whole`.
        """
        given = self.whole or self.compared
        only = None if self.whole is None else [given.classes.index(name) for name in self.classes]
        return confusion(
            given.labels, given.predictions, classes=len(given.classes), only=only,
            threshold=self.iou if iou is None else iou, confidence=self.confidence if confidence is None else confidence,
            kind=self._kind, how=given.how,
        )  # fmt: skip

    def curve(self, name: str) -> pd.DataFrame:
        """Precision and recall of a class down its scores at `iou`, one row per distinct score. Raises `UnknownNameError`."""
        found = curves.curve(self._curves, self._class(name), iou=self.iou)
        columns = {"threshold": found.threshold, "precision": found.precision, "recall": found.recall, "f1": found.f_beta()}
        columns |= {"tp": found.tp, "fp": found.fp, "fn": found.fn}
        return pd.DataFrame({key: value.numpy() for key, value in columns.items()})

    @cached_property
    def calibration(self) -> Reliability:
        """How far confidences are from shares of right predictions, over all classes, at `iou`."""
        score, right, _ = self._judged
        return reliability(score, right)

    def calibration_summary(self) -> dict[str, Any]:
        """Calibration ready for JSON: ECE, MCE, mean gap, Brier score, and a row per bin of confidence."""
        return evaluation_json.calibration(self)

    def tide_summary(self) -> dict[str, Any]:
        """Kinds of errors ready for JSON: how many of each, and how many points of AP each kind costs."""
        return evaluation_json.tide(self)

    @cached_property
    def lrp(self) -> OptimalLrp:
        """Optimal localization recall precision error of every class. Raises `UsageError` at an IoU of 1."""
        outcome, classes = self.outcomes, len(self.classes)
        asked = (outcome.label_outcome >= 0) & (outcome.label_outcome < 2)
        labels = torch.bincount(self.compared.labels.class_id[asked], minlength=classes)
        score, right, starts = self._judged
        iou = outcome.iou[self._order].nan_to_num()
        spans = zip(pairwise(starts), labels.tolist(), strict=True)
        found = [lrp_curve(score[a:b], right[a:b], iou[a:b], count, tau=self.iou) for (a, b), count in spans]
        return optimal_lrp(found, labels)

    @cached_property
    def by_slice(self) -> pd.DataFrame:
        """COCO's figures of every slice, one row each; labels and unmatched predictions outside of it are left out."""
        if not self.slices:
            return pd.DataFrame()
        found = coco.evaluate(self.compared.labels, self.scored_by(COCO), COCO, slices=self.slices, **self.rest)
        rows = {}
        for place, name in enumerate(self.slices):
            part = slice(place, place + 1)
            precision, recall = found.precision[..., part, :], found.recall[..., part, :]
            one = replace(found, areas=(name,), precision=precision, recall=recall, positives=found.positives[:, part])
            out_labels, out_predictions = self.slices[name]
            rows[name] = {
                "labels": int((~out_labels).sum()),
                "predictions": int((~out_predictions).sum()),
                **coco_table.keys(one),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("slice").reset_index()

    def to_dict(self) -> dict[str, Any]:
        """Everything a machine wants of it, ready for JSON: null where a figure is not defined."""
        return evaluation_json.everything(self)

    # How it is computed.

    @property
    def _kind(self) -> Any:
        return self.compared.kind

    @cached_property
    def _curves(self) -> CocoFigures:
        """COCO's arrays with `iou` among the thresholds."""
        if any(abs(t - self.iou) < 1e-9 for t in self.coco.protocol.thresholds):
            return self.coco
        rules = replace(COCO, thresholds=(self.iou,))
        return coco.evaluate(self.compared.labels, self.scored_by(rules), rules, kind=self._kind, how=self.compared.how,
                             classes=len(self.classes))  # fmt: skip

    @property
    def at_iou(self) -> EvaluationProtocol:
        """The protocol at the one overlap `iou`."""
        return replace(self.protocol, thresholds=(self.iou,))

    @property
    def rest(self) -> dict[str, Any]:
        """What every matching has to know beside labels, predictions and rules."""
        return {"kind": self._kind, "how": self.compared.how, "classes": len(self.classes)}

    def scored_by(self, rules: EvaluationProtocol) -> Instances:
        """Predictions with a score each; where the protocol says what a missing one is, that holds for all figures."""
        missing = rules.missing_score if self.protocol.missing_score is None else self.protocol.missing_score
        predictions = self.compared.predictions
        return replace(predictions, score=scores_of(predictions, replace(rules, missing_score=missing)))

    def _grid(self, confidences: Sequence[float], ious: Sequence[float]) -> Counts:
        rules = self.protocol if self.protocol.order == "iou" else CONFUSION
        return counts(
            self.compared.labels, self.compared.predictions, classes=len(self.classes), frames=len(self.compared.frames),
            thresholds=tuple(ious), confidences=tuple(confidences), protocol=rules, kind=self._kind, how=self.compared.how,
        )  # fmt: skip

    @cached_property
    def _figures(self) -> tuple[dict[str, float | None], pd.DataFrame]:
        return figures(self)

    @cached_property
    def _order(self) -> Tensor:
        """Rows of the predictions that are right or false, class by class."""
        outcome = self.outcomes.outcome
        rows = ((outcome >= 0) & (outcome < 2)).nonzero().flatten()
        return rows[self.compared.predictions.class_id[rows].sort(stable=True).indices]

    @cached_property
    def _judged(self) -> tuple[Tensor, Tensor, list[int]]:
        """Confidence of those, whether they are right, and where each class starts."""
        score = self.scored_by(COCO).score[self._order].clamp(0, 1)
        count = torch.bincount(self.compared.predictions.class_id[self._order], minlength=len(self.classes))
        return score, self.outcomes.outcome[self._order] == 0, [0, *count.cumsum(0).tolist()]

    def _class(self, name: str) -> int:
        if name not in self.classes:
            raise UnknownNameError(
                f"there is no class {name!r}", hint=close(name, self.classes) or ", ".join(self.classes[:20])
            )
        return self.classes.index(name)
