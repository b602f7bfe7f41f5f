"""Detections for tests: rows of plain numbers as tensors, and generated sets with ties, crowds and empty frames."""

import torch
from hypothesis import strategies as st

from gpu_quality.evaluation.instances import Instances, instances
from tests.reference.detection_rules import Label, Prediction


def of_labels(labels: list[Label]) -> Instances:
    return instances(
        torch.tensor([x.frame for x in labels], dtype=torch.int64),
        torch.tensor([x.class_id for x in labels], dtype=torch.int64),
        torch.tensor([x.box for x in labels], dtype=torch.float64).reshape(-1, 4),
        crowd=torch.tensor([x.crowd for x in labels], dtype=torch.bool),
    )


def of_predictions(predictions: list[Prediction]) -> Instances:
    return instances(
        torch.tensor([x.frame for x in predictions], dtype=torch.int64),
        torch.tensor([x.class_id for x in predictions], dtype=torch.int64),
        torch.tensor([x.box for x in predictions], dtype=torch.float64).reshape(-1, 4),
        score=torch.tensor([x.score for x in predictions], dtype=torch.float64),
    )


_BOX = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 5), st.integers(1, 5)).map(lambda b: tuple(map(float, b)))
_SCORE = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.3, 0.5, 0.7, 0.9, 1.0])


def some_labels(frames: int, classes: int, *, crowds: bool = True):
    """On a coarse grid, so that overlaps are often equal, and often exactly a threshold."""
    crowd = st.sampled_from([False] * 6 + [crowds])
    return st.lists(st.builds(Label, st.integers(0, frames - 1), st.integers(0, classes - 1), _BOX, crowd), max_size=12)


def some_predictions(frames: int, classes: int):
    return st.lists(st.builds(Prediction, st.integers(0, frames - 1), st.integers(0, classes - 1), _BOX, _SCORE), max_size=16)
