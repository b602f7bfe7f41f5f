"""The same cells with fewer predictions: matching by falling overlap again, without sorting or comparing anything again."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.evaluation.instances import Instances, Kind
from gpu_quality.evaluation.matching import Matches, Prepared, match, prepare
from gpu_quality.evaluation.pairs import pairs
from gpu_quality.evaluation.protocol import EvaluationProtocol
from gpu_quality.evaluation.segments import Segments
from gpu_quality.kernels import matching
from gpu_quality.kernels.errors import best_rows

if TYPE_CHECKING:
    from gpu_quality.evaluation.overlaps import Comparison


@dataclass(frozen=True, slots=True)
class Compared:
    """Labels and predictions in their cells with all overlaps, under a protocol by falling overlap, not yet matched."""

    ready: Prepared
    segments: Segments
    label_class: Int64[Tensor, " m"]
    prediction_class: Int64[Tensor, " n"]
    protocol: EvaluationProtocol

    @classmethod
    def of(
        cls,
        labels: Instances,
        predictions: Instances,
        protocol: EvaluationProtocol,
        *,
        kind: Kind = "box",
        how: "Comparison | None" = None,
        confidence: float | None = None,
    ) -> "Compared":
        """Sort and compare everything once: all predictions, or those with at least `confidence`.

        Raises
        ------
        UsageError
            As ``matching.match``.
        """
        sides = (labels, predictions) if protocol.classes == "same" else (of_one_class(labels), of_one_class(predictions))
        segments = match(*sides, replace(protocol, thresholds=(1.0,)), kind=kind, how=how, confidence=confidence).segments
        return cls(prepare(*sides, protocol, confidence=confidence), segments, labels.class_id, predictions.class_id, protocol)

    def with_overlaps(self, overlap: Float64[Tensor, " pairs"]) -> "Compared":
        """The same with other overlaps; those below 0 never match."""
        return replace(self, segments=replace(self.segments, overlap=overlap))

    def by_class(self) -> "Compared":
        """The same within classes, with every overlap above 0."""
        every, segments, least = pairs(self.segments), self.segments, math.nextafter(0.0, 1.0)
        own = self.label_class[segments.label][every.label], self.prediction_class[segments.prediction][every.prediction]
        rules = self.ready.rules._replace(need=torch.tensor([least], dtype=torch.float64))
        inside = self.with_overlaps(torch.where(own[0] == own[1], segments.overlap, -1.0))
        return replace(inside, ready=replace(self.ready, rules=rules))

    def matched(self, confidence: float | None = None) -> Matches:
        """The matches at all thresholds of the protocol, of predictions with at least `confidence` alone."""
        ready, segments = self.ready, self.segments
        if confidence is not None:
            segments = at_least(segments, ready.predictions.score, confidence)
        found = matching.by_overlap(
            segments.overlap,
            segments.cells(),
            self.label_class,
            self.prediction_class,
            ready.predictions.score,
            ready.labels.crowd,
            ready.rules.need,
            same_first=self.protocol.classes == "same_first",
            listed=self.protocol.tie == "listed",
        )
        return Matches(
            segments=segments,
            thresholds=torch.tensor(self.protocol.thresholds, dtype=torch.float64),
            areas=ready.areas,
            label_of=found.label_of,
            prediction_ignored=found.ignored,
            prediction_of=found.prediction_of,
            label_ignored=ready.sides.label_ignored,
            protocol=self.protocol,
            dropped=ready.dropped,
        )


def at_least(segments: Segments, score: Float64[Tensor, " n"], confidence: float) -> Segments:
    """The cells without predictions of a lower score; cells stay even if nothing is left in them."""
    enough = score[segments.prediction] >= confidence
    before = torch.cat([segments.prediction_offset.new_zeros(1), enough.cumsum(0)])
    count = before[segments.prediction_offset].diff()  # predictions go by falling score: the first ones of each cell
    room = count * segments.label_offset.diff()
    prediction, overlap = best_rows(segments.overlap, segments.cells(), count)
    return replace(
        segments,
        prediction=prediction,
        prediction_offset=torch.cat([count.new_zeros(1), count.cumsum(0)]),
        overlap=overlap,
        overlap_offset=torch.cat([room.new_zeros(1), room.cumsum(0)]),
    )


def of_one_class(given: Instances) -> Instances:
    """The same with one class for all, so that whole frames are cells in which everything stands as it was given."""
    return replace(given, class_id=torch.zeros_like(given.class_id))


def matched(
    labels: Instances,
    predictions: Instances,
    protocol: EvaluationProtocol,
    *,
    kind: Kind = "box",
    how: "Comparison | None" = None,
    confidence: float | None = None,
) -> Matches:
    """Match under a protocol of either order, without predictions below `confidence`.

    Raises
    ------
    UsageError
        As ``matching.match``.
    """
    if protocol.order == "score":
        return match(labels, predictions, protocol, kind=kind, how=how, confidence=confidence)
    return Compared.of(labels, predictions, protocol, kind=kind, how=how, confidence=confidence).matched()
