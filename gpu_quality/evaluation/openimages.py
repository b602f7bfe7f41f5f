"""Open Images: classes with ancestors, boxes of whole groups, and frames in which only some classes were looked for."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from gpu_quality.errors import UsageError
from gpu_quality.evaluation.average_precision import Ranking, average_precision, class_count, rankings
from gpu_quality.evaluation.hierarchy import Hierarchy
from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.matching import Matches, match, prepare
from gpu_quality.evaluation.pairs import best, pairs
from gpu_quality.evaluation.protocol import OPENIMAGES, EvaluationProtocol
from gpu_quality.evaluation.rates import mean_of_known, optional
from gpu_quality.evaluation.segments import Segments
from gpu_quality.kernels import matching

if TYPE_CHECKING:
    from gpu_quality.evaluation.overlaps import Comparison

_DECIMALS = 1e10
"""FiftyOne rounds overlaps to so many parts."""


@dataclass(frozen=True, slots=True)
class ImageLabels:
    """What people said about whole frames: a class is there, or it is not; nothing is known of all others."""

    frame: Int64[Tensor, " v"]
    class_id: Int64[Tensor, " v"]
    present: Bool[Tensor, " v"]


@dataclass(frozen=True, slots=True)
class OpenImagesFigures:
    """Figures of each class k at the one threshold; classes without labels are NaN and in no mean."""

    protocol: EvaluationProtocol
    ap: Float64[Tensor, " k"]
    """Average precision, 0..1."""
    positives: Float64[Tensor, " k"]
    """Labels to be found, those of descendants included; a group counts `group_of_weight`."""
    tp: Float64[Tensor, " k"]
    fp: Int64[Tensor, " k"]
    unscored: Int64[Tensor, " n"]
    """Rows of predictions of classes that nobody looked for in their frame."""
    ranked: Ranking
    """Rows are those of the predictions as given, several times where they are expanded."""

    @property
    def fn(self) -> Float64[Tensor, " k"]:
        """What nothing found."""
        return self.positives - self.tp

    def summary(self) -> dict[str, float | None]:
        """mAP, and counts over all classes."""
        counts = {"TP": self.tp.sum(), "FP": self.fp.sum(), "FN": self.fn.sum(), "unscored": torch.tensor(len(self.unscored))}
        return {"mAP": optional(mean_of_known(self.ap)), **{name: float(n) for name, n in counts.items()}}


def evaluate(
    labels: Instances,
    predictions: Instances,
    protocol: EvaluationProtocol = OPENIMAGES,
    *,
    hierarchy: Hierarchy | None = None,
    verified: ImageLabels | None = None,
    expand_predictions: bool = False,
    compat: Literal["fiftyone"] | None = None,
    kind: Kind = "box",
    how: "Comparison | None" = None,
    classes: int | None = None,
) -> OpenImagesFigures:
    """Open Images' figures; labels that are `crowd` or `ignored` are groups.

    Labels count for all ancestors of their class, predictions only on request. With `verified`, predictions of classes that
    nobody looked for in their frame are left out: looked for are classes with a label there, the ancestors of those said to
    be there, and the descendants of those said not to be. Without, all classes were looked for everywhere.
    ``compat="fiftyone"`` rounds overlaps to ten decimals, lets a free label win over a taken one it equals, the last of equal
    ones (the first where the fit is perfect), puts true predictions before false ones of equal score, and leaves out boxes of
    classes without `verified` entry. Source: Open Images challenge; TensorFlow's evaluator.

    Raises
    ------
    UsageError
        The protocol has several thresholds, a prediction has no score, or `kind` needs shapes that are not there.
    """
    if len(protocol.thresholds) != 1:
        raise UsageError(f"protocol {protocol.name} has one threshold; got {protocol.thresholds}")
    if classes is None:
        said = labels.class_id if hierarchy is None else torch.arange(len(hierarchy.ancestor_offset) - 1)
        classes = max(class_count(labels.class_id, predictions.class_id), class_count(said, said))
    own_labels, own, rows, unscored = _scored(labels, predictions, hierarchy, verified, classes, expand_predictions, compat)
    group = own_labels.crowd | own_labels.ignored
    if compat == "fiftyone":
        protocol = replace(protocol, tie="last")
    matches = match(own_labels, own, protocol, kind=kind, how=how)
    if compat == "fiftyone":
        matches = _as_fiftyone(matches, own_labels, own, group)
    weight = torch.where(group, torch.tensor(protocol.group_of_weight or 1.0, dtype=torch.float64), 1.0)
    (ranked,), positives = rankings(matches, own.score, weight, classes=classes, true_first=compat == "fiftyone")
    ap = average_precision(ranked, positives, protocol.curve, protocol.recalls)
    ranked = replace(ranked, prediction=rows[ranked.prediction])
    return OpenImagesFigures(protocol, ap, positives, ranked.tp(), ranked.fp(), unscored, ranked)


def _scored(
    labels: Instances,
    predictions: Instances,
    hierarchy: Hierarchy | None,
    verified: ImageLabels | None,
    classes: int,
    expand_predictions: bool,  # noqa: FBT001
    compat: str | None,
) -> tuple[Instances, Instances, Int64[Tensor, " p"], Int64[Tensor, " u"]]:
    """Labels and predictions that take part, with copies for ancestors; rows of those predictions, and of the others."""
    known = None if verified is None else _looked_for(verified, hierarchy, classes)
    if known is not None and compat == "fiftyone":
        labels = labels.select(torch.isin(labels.frame * classes + labels.class_id, known).nonzero().flatten())
    if hierarchy is not None:
        labels = _upward(labels, hierarchy)[0]
    rows = torch.arange(len(predictions))
    if expand_predictions and hierarchy is not None:
        predictions, rows = _upward(predictions, hierarchy)
    if known is None:
        return labels, predictions, rows, rows[:0]
    if compat is None:
        known = torch.cat([known, labels.frame * classes + labels.class_id])
    kept = torch.isin(predictions.frame * classes + predictions.class_id, known)
    unscored: Tensor = torch.unique(rows[~kept])
    return labels, predictions.select(kept.nonzero().flatten()), rows[kept], unscored


def _upward(given: Instances, hierarchy: Hierarchy) -> tuple[Instances, Int64[Tensor, " m"]]:
    """The given objects with copies for all ancestors of their class, and the row each is from."""
    rows, class_id = hierarchy.upward(given.class_id)
    return replace(given.select(rows), class_id=class_id), rows


def _looked_for(verified: ImageLabels, hierarchy: Hierarchy | None, classes: int) -> Int64[Tensor, " w"]:
    """Frames and classes of which something is known, one number each."""
    if hierarchy is None:
        return verified.frame * classes + verified.class_id
    found = []
    for kept, expand in ((verified.present, hierarchy.upward), (~verified.present, hierarchy.downward)):
        rows, class_id = expand(verified.class_id[kept])
        found.append(verified.frame[kept][rows] * classes + class_id)
    return torch.cat(found)


def _as_fiftyone(matches: Matches, labels: Instances, predictions: Instances, group: Bool[Tensor, " m"]) -> Matches:
    """The same matched again by the peer's rules for equal overlaps."""
    ready = prepare(labels, predictions, matches.protocol)
    overlap = _rounded(matches.segments, group)
    rules = ready.rules._replace(second_choice=True)  # among the best ones, which alone are left
    found = matching.by_score(overlap, matches.segments.cells(), ready.sides, rules)
    ignored = found.ignored
    if matches.protocol.group_of_weight == 0:
        ignored = ignored | torch.cat([group, group.new_zeros(1)])[found.label_of.long()]
    return replace(matches, label_of=found.label_of, prediction_ignored=ignored, prediction_of=found.prediction_of)


def _rounded(segments: Segments, group: Bool[Tensor, " m"]) -> Float64[Tensor, " pairs"]:
    """Overlaps as the peer has them: rounded, of labels that are no group only the largest, perfect ones in falling order."""
    of = pairs(segments)
    overlap = (segments.overlap * _DECIMALS + 0.5).floor() / _DECIMALS
    single = ~group[segments.label][of.label]
    largest = best(torch.where(single, overlap, 0.0), of)
    kept = torch.where(single & (overlap < largest[of.prediction]), -1.0, overlap)
    perfect = kept == 1.0
    later = (of.label - of.label.max()).double() if len(of.label) else kept  # 0 for the last label
    return torch.where(perfect, 1.0 - later * 2.0**-40, kept)
