"""Objects of tests as `Instances`, and generated sets full of ties, empty frames, empty classes and special labels."""

import math

import torch
from hypothesis import strategies as st

from gpu_quality.evaluation.instances import instances
from tests.reference.other_protocols import Box

CLASSES = 3
SCORES = [0.0, 0.2, 0.5, 0.5, 0.9, 1.0]


def given_as(boxes, special="ignored"):
    """The boxes as Instances; `special` names the flag that special ones carry."""
    flags = torch.tensor([box.special for box in boxes], dtype=torch.bool)
    return instances(
        torch.tensor([box.frame for box in boxes], dtype=torch.int64),
        torch.tensor([box.kind for box in boxes], dtype=torch.int64),
        torch.tensor([box.box for box in boxes], dtype=torch.float64).reshape(-1, 4),
        score=torch.tensor([math.nan if box.score is None else box.score for box in boxes], dtype=torch.float64),
        **{special: flags},
    )


def shapes():
    """Boxes on a coarse grid, so that equal overlaps and overlaps of exactly one half abound; some have no area."""
    return st.tuples(*(st.sampled_from(side) for side in ([0, 0, 5, 20], [0, 0, 2, 5], [0, 5, 10, 10], [5, 10, 10, 20])))


def labels(special=True):
    flag = st.sampled_from([False, False, False, special])
    rows = st.tuples(st.integers(0, 2), st.integers(0, CLASSES - 1), shapes(), st.none(), flag)
    return st.lists(rows.map(Box._make), max_size=9)


def predictions(scores=SCORES):
    rows = st.tuples(st.integers(0, 2), st.integers(0, CLASSES - 1), shapes(), st.sampled_from(scores))
    return st.lists(rows.map(lambda row: Box(*row)), max_size=12)
