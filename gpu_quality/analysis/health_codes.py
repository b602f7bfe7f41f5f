"""The codes of the health checks: how grave each is, and what it means in one line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

SEVERITIES: Final = ("error", "warning", "info")


class Code(NamedTuple):
    """One health check."""

    severity: str
    meaning: str


CODES: Final[Mapping[str, Code]] = {
    "duplicate_image_id": Code("error", "two images of a labels file have the same id"),
    "duplicate_ann_id": Code("error", "two annotations of a file have the same id"),
    "duplicate_category_id": Code("error", "two classes of a labels file have the same id"),
    "orphan_image_id": Code("error", "an annotation belongs to an image that is not listed"),
    "orphan_category_id": Code("error", "an annotation has a class that is not listed"),
    "missing_geometry": Code("error", "an annotation has no usable box, outline or mask"),
    "zero_dimensions": Code("error", "an image is declared with a side of 0 or less"),
    "non_finite_geometry": Code("error", "a coordinate is NaN, infinite, or beyond any image"),
    "degenerate_bbox": Code("error", "a box has a width or height of 0 or less; it can match nothing"),
    "invalid_rle": Code("error", "the run lengths of a mask do not tile its image"),
    "keypoint_length": Code("error", "keypoints are no whole triples of x, y, visibility"),
    "dt_orphan_image_id": Code("error", "a prediction belongs to an image the labels do not list"),
    "dt_orphan_category_id": Code("error", "a prediction has a class the labels do not list"),
    "dt_missing_score": Code("error", "a prediction has no score, so it cannot be ranked"),
    "dt_score_out_of_range": Code("error", "the score of a prediction is not between 0 and 1"),
    "missing_file": Code("error", "an image that is named was not found"),
    "bad_annotation": Code("error", "a record could not be read for another reason"),
    "zero_area": Code("warning", "the declared or the true area is 0"),
    "bbox_out_of_bounds": Code("warning", "a box reaches out of its image"),
    "extreme_aspect_ratio": Code("warning", "an object is extremely long and thin"),
    "tiny_box": Code("warning", "a side of an object is hardly a pixel"),
    "self_crossing_polygon": Code("warning", "the outline of an object crosses or touches itself"),
    "few_points": Code("warning", "an outline has fewer than 3 different points"),
    "area_mismatch": Code("warning", "the declared area is not that of the shape"),
    "size_mismatch": Code("warning", "the declared image size is not that of the file"),
    "near_duplicate": Code("warning", "one thing is annotated twice with the same class"),
    "conflicting_classes": Code("warning", "one thing is annotated twice with two classes"),
    "zero_instance_category": Code("warning", "a class has no labels at all"),
    "low_instance_category": Code("warning", "a class has very few labels"),
    "ann_id_zero": Code("warning", "an annotation has id 0, which pycocotools never matches"),
    "track_class_change": Code("warning", "a track changes its class from one frame to the next"),
    "duplicate_file_name": Code("warning", "two images of a labels file have the same file name"),
    "unlabeled_image": Code("info", "an image has no labels"),
    "imbalance": Code("info", "the commonest class has many times the labels of the rarest"),
    "crowd_present": Code("info", "an annotation is a crowd region, which evaluation ignores"),
    "non_contiguous_category_ids": Code("info", "the numbers of the classes have gaps"),
    "unused_question": Code("info", "a question is asked that no label answers"),
}
"""Every check by code, gravest first: reference metrics.md 11.3, and ``bad_annotation`` for what has no code there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a check speaks; the defaults are those of reference metrics.md 11.3."""

    outside: float = 1.0
    """Pixels that a box may reach out of its frame."""
    aspect_ratio: float = 20.0
    """Longer side over shorter side that an object may have."""
    tiny_side: float = 2.0
    """Pixels that a side must have."""
    area_difference: float = 0.2
    """Share of the shape's area by which a declared area may differ."""
    duplicate_iou: float = 0.95
    """Objects of one class that overlap by more are near duplicates."""
    conflict_iou: float = 0.95
    """Objects of two classes that overlap by this or more are in conflict."""
    few_instances: int = 10
    """Labels that a class must have."""
    imbalance: float = 10.0
    """Largest over smallest class from which on `imbalance` is told; the reference names no number, so this one is ours."""
