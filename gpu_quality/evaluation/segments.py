"""Which predictions meet which labels: cells of a frame and a class, flat, in the order that every protocol walks them."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from gpu_quality.evaluation.instances import Instances
from gpu_quality.kernels import matching
from gpu_quality.kernels.matching import Cells


@dataclass(frozen=True, slots=True)
class Segments:
    """Cells with a label or a prediction, sorted by class, then frame; CSR."""

    frame: Int64[Tensor, " s"]
    class_id: Int64[Tensor, " s"]
    """-1 where a cell is a whole frame."""
    prediction: Int64[Tensor, " p"]
    """Rows of the predictions: by falling score inside a cell (equal scores as given), cut to the number that counts."""
    prediction_offset: Int64[Tensor, " s_plus_1"]
    label: Int64[Tensor, " q"]
    """Rows of the labels, as given inside a cell; whole frames: class by class."""
    label_offset: Int64[Tensor, " s_plus_1"]
    overlap: Float64[Tensor, " pairs"]
    """Predictions x labels of cell after cell, row-major; crowd labels: share of the prediction. Empty where not yet known."""
    overlap_offset: Int64[Tensor, " s_plus_1"]

    def cells(self) -> Cells:
        """The cells without the overlaps, as kernels take them."""
        return Cells(self.frame, self.class_id, self.prediction, self.prediction_offset, self.label, self.label_offset)

    def owner_of_predictions(self) -> Int64[Tensor, " p"]:
        """The cell of every place of `prediction`."""
        return _owners(self.prediction_offset)

    def owner_of_labels(self) -> Int64[Tensor, " q"]:
        """The cell of every place of `label`."""
        return _owners(self.label_offset)


def segment(
    labels: Instances,
    predictions: Instances,
    *,
    whole_frames: bool = False,
    max_detections: int | None = None,
    max_per_frame: int | None = None,
) -> Segments:
    """Sort labels and predictions into cells of frame and class; `overlap` is left empty.

    `whole_frames` makes one cell of all classes of a frame. `max_detections` keeps the best predictions of each cell,
    `max_per_frame` those of each frame over all classes. Scores must be given (no NaN). Time and memory grow with the rows.
    """
    if max_per_frame is not None:
        none = labels.select(labels.frame[:0])
        kept = segment(none, predictions, whole_frames=True, max_detections=max_per_frame).prediction.sort().values
        inner = segment(labels, predictions.select(kept), whole_frames=whole_frames, max_detections=max_detections)
        return replace(inner, prediction=kept[inner.prediction])
    found = matching.cells(
        labels.frame,
        labels.class_id,
        predictions.frame,
        predictions.class_id,
        predictions.score,
        pooled=whole_frames,
        limit=max_detections,
    )
    pairs = found.prediction_offset.diff() * found.label_offset.diff()
    return Segments(*found, overlap=labels.box.new_zeros(0), overlap_offset=torch.cat([pairs.new_zeros(1), pairs.cumsum(0)]))


def _owners(offset: Int64[Tensor, " s_plus_1"]) -> Int64[Tensor, " members"]:
    """The cell of every member of a CSR."""
    return torch.repeat_interleave(torch.arange(len(offset) - 1, device=offset.device), offset.diff())
