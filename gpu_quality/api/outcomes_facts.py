"""The columns that an evaluation writes: what each means, and which of them know nothing of labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gpu_quality.evaluation.uncertainty import MEASURES

DOOR: Final = "evaluate"
MODULE: Final = "gpu_quality.evaluation.outcomes"


@dataclass(frozen=True, slots=True)
class Fact:
    """What a column means."""

    per: str
    unit: str
    summary: str
    bad: str = "neither"
    bounds: tuple[float, float] | None = None


FACTS: Final[Mapping[str, Fact]] = {
    "outcome": Fact("object", "text", "What came of it: tp, fp or ignored; of a label: matched, fn or ignored."),
    "matched_object": Fact("object", "text", "The label a prediction found, or the prediction that found a label."),
    "iou_with_label": Fact(
        "object", "fraction", "Overlap with the matched label, else the best with a label of the class.", "low", (0.0, 1.0)
    ),
    "reason": Fact("object", "text", "Why a prediction is false: no_overlap, iou_too_low or already_matched."),
    "tide_error": Fact("object", "text", "The kind of error: Cls, Loc, Both, Dupe, Bkg; Miss of a label."),
    "confidence": Fact("object", "fraction", "How sure the model was.", "low", (0.0, 1.0)),
    "calibration_residual": Fact("object", "fraction", "1 if true, else 0, minus the confidence.", "neither", (-1.0, 1.0)),
    "prediction_entropy": Fact("object", "bit", "How undecided the model was between the classes.", "high"),
    "prediction_least_confidence": Fact("object", "fraction", "What the likeliest class lacks to 1.", "high", (0.0, 1.0)),
    "prediction_margin": Fact("object", "fraction", "How far the first class is ahead of the second.", "low", (0.0, 1.0)),
    "prediction_variance": Fact("object", "fraction", "Variance of the probabilities of the classes.", "low", (0.0, 0.25)),
    "mistakenness": Fact("object", "fraction", "How likely a label has the wrong class, by the model.", "high", (0.0, 1.0)),
    "mistakenness_localization": Fact("object", "fraction", "How likely a label is badly drawn.", "high", (0.0, 1.0)),
    "possible_missing": Fact("object", "flag", "A sure prediction where nothing is labeled.", "high", (0, 1)),
    "possible_spurious": Fact("object", "flag", "A label that no prediction matches.", "high", (0, 1)),
    "overlooked_score": Fact("object", "fraction", "Low where a sure prediction shows an unlabeled object.", "low", (0.0, 1.0)),
    "badloc_score": Fact("object", "fraction", "Low where a label is badly placed, by the predictions.", "low", (0.0, 1.0)),
    "swap_score": Fact("object", "fraction", "Low where a label seems to have another class.", "low", (0.0, 1.0)),
    "frame_tp": Fact("frame", "count", "Right predictions in the frame at the chosen confidence and IoU."),
    "frame_fp": Fact("frame", "count", "False predictions in the frame.", "high"),
    "frame_fn": Fact("frame", "count", "Missed labels in the frame.", "high"),
    "frame_f1": Fact("frame", "fraction", "F1 of the frame.", "low", (0.0, 1.0)),
    "frame_mistakenness": Fact("frame", "fraction", "How likely some label has the wrong class.", "high", (0.0, 1.0)),
    "frame_possible_missing": Fact("frame", "count", "Sure predictions where nothing is labeled.", "high"),
    "frame_possible_spurious": Fact("frame", "count", "Labels that no prediction matches.", "high"),
    "label_quality": Fact("frame", "fraction", "How likely the frame is labeled right, by the model.", "low", (0.0, 1.0)),
    "mean_object_confidence": Fact("frame", "fraction", "Mean confidence of predictions; 0 without any.", "low", (0.0, 1.0)),
    "acquisition_entropy": Fact("frame", "bit", "Mean entropy of the predictions of the frame.", "high"),
    "acquisition_least_confidence": Fact("frame", "fraction", "Mean least confidence of the predictions.", "high", (0.0, 1.0)),
    "acquisition_margin": Fact("frame", "fraction", "Mean margin of the predictions.", "low", (0.0, 1.0)),
    "acquisition_variance": Fact("frame", "fraction", "Mean variance of the predictions.", "low", (0.0, 0.25)),
}  # fmt: skip
"""Columns by name; with several prediction sets in a store, `_<set>` is added to each."""
UNJUDGED: Final = frozenset(
    {"confidence", "mean_object_confidence"}
    | {f"{what}_{name}" for what in ("prediction", "acquisition") for name in MEASURES[:4]}
)
"""Columns that know nothing of labels, so that they may explain why a prediction is right."""
