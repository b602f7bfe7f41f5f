"""Facts of frames, seeded draws, and what is null without a file."""

import math

import numpy as np

from gpu_quality.types import Frame
from tests.metrics.mini import evaluate, facts_of, measure, objects_of, roots_of
from tests.reference.metrics import random_draw

BLACK = [np.zeros((30, 40, 3), np.uint8), np.zeros((50, 20, 3), np.uint8)]


def test_sizes() -> None:
    got = measure(BLACK, ["width", "height", "area", "aspect_ratio", "odd_aspect_ratio_score"])
    assert got["width"] == [40, 20]
    assert got["height"] == [30, 50]
    assert got["area"] == [1200, 1000]
    assert got["aspect_ratio"] == [40 / 30, 20 / 50]
    assert got["odd_aspect_ratio_score"] == [30 / 40, 20 / 50]


def test_an_area_beyond_32_bits() -> None:
    import torch

    from gpu_quality.types import Sizes

    side = torch.tensor([100_000], dtype=torch.int32)
    assert evaluate(["area"], {"sizes": Sizes(side, side)})["area"] == [10**10]


def test_facts_of_files() -> None:
    facts = facts_of(2, file_size=[123, -1], channels=[4, -1], bit_depth=[16, -1], transparent=[0.25, -1.0])
    got = measure(BLACK, ["file_size", "channels", "bit_depth", "transparent_fraction"], facts=facts)
    assert got == {
        "file_size": [123, None],
        "channels": [4, None],
        "bit_depth": [16, None],
        "transparent_fraction": [0.25, None],
    }


def test_frame_number() -> None:
    frames = (Frame("a", "a", "video", 7), Frame("b", "b"))
    assert measure(BLACK, ["frame_number"], frames=frames)["frame_number"] == [7, 0]


def test_random_depends_on_id_and_seed_alone() -> None:
    names = ("x/1.jpg", "ü.png", "0")
    frames = tuple(Frame(name, "anywhere") for name in names)
    for seed in (0, 7):
        want = [random_draw(seed, name) for name in names]
        assert evaluate(["random"], {"frames": frames, "seed": seed})["random"] == want
        objects = objects_of([(0, 0, 1, 1)] * 3, ids=names)
        assert evaluate(["object_random"], {"objects": objects, "seed": seed})["object_random"] == want
    # pinned, so that it stays the same on every machine and in every release
    assert math.isclose(random_draw(0, "0"), evaluate(["random"], {"frames": frames[2:], "seed": 0})["random"][0])
    assert all(0 <= value < 1 for value in want)


def test_roots_are_complete() -> None:
    assert set(roots_of(BLACK)) >= {"pixels", "sizes", "regions", "facts", "frames", "seed"}
