"""The canonical tables of frames, objects and answers, and the Builder that every reader fills."""

from gpu_quality.annotations.builder import Builder
from gpu_quality.annotations.columns import AnswerColumns, Masks, ObjectColumns, Problem, Ragged
from gpu_quality.annotations.tables import (
    CLASSIFICATIONS,
    ERRORS,
    FRAMES,
    OBJECTS,
    Dataset,
    answers_tensor,
    empty,
    names_of,
    objects_tensor,
    stable_id,
    with_names,
)

__all__ = [
    "CLASSIFICATIONS",
    "ERRORS",
    "FRAMES",
    "OBJECTS",
    "AnswerColumns",
    "Builder",
    "Dataset",
    "Masks",
    "ObjectColumns",
    "Problem",
    "Ragged",
    "answers_tensor",
    "empty",
    "names_of",
    "objects_tensor",
    "stable_id",
    "with_names",
]
