"""Run lengths against pycocotools, plain loops, and everything that is no mask."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from gpu_quality.geometry import rle
from gpu_quality.geometry.polygons import offsets
from tests.reference.geometry import counts_of


def some_masks(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = [(1, 1), (1, 9), (9, 1), (40, 30), (64, 64)]
    masks = [rng.random(sizes[i % 5]) < rng.choice([0.02, 0.5, 0.95]) for i in range(count)]
    return [*masks, np.zeros((5, 7), bool), np.ones((5, 7), bool)]


def encoded(masks: list[np.ndarray]) -> list[bytes]:
    return [coco.encode(np.asfortranarray(m.astype(np.uint8)))["counts"] for m in masks]


def sides(masks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([m.shape[0] for m in masks]), np.array([m.shape[1] for m in masks])


def drawn(runs: rle.Runs, i: int, shape: tuple[int, int]) -> np.ndarray:
    out = np.zeros(shape, bool)
    last = (-1, -1)
    for y, x0, x1 in zip(*rle.row_runs(runs, i, *shape), strict=True):
        assert (y, x0) > last
        assert 0 <= x0 < x1 <= shape[1]
        assert not out[y, x0:x1].any()
        out[y, x0:x1] = True
        last = (y, x0)
    return out


def test_masks_come_back_as_pycocotools_wrote_them() -> None:
    masks = some_masks(0, 60)
    texts = encoded(masks)
    runs, problems = rle.check(texts, *sides(masks))
    assert problems == [""] * len(masks)
    for i, mask in enumerate(masks):
        assert np.array_equal(drawn(runs, i, mask.shape), mask)
        assert runs.counts[runs.offset[i] : runs.offset[i + 1]].tolist() == counts_of(texts[i])
    assert rle.areas(runs).tolist() == [int(m.sum()) for m in masks]
    found = rle.bounds(runs, sides(masks)[0])
    for mask, text, box in zip(masks, texts, found, strict=True):
        x, y, w, h = coco.toBbox({"size": list(mask.shape), "counts": text})
        assert box.tolist() == [x, y, x + w, y + h]


@pytest.mark.parametrize("seed", range(3))
def test_encoding_is_that_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lists = [rng.integers(0, 10 ** rng.integers(1, 7), rng.integers(1, 60)) for _ in range(20)]
    texts = rle.encode_counts(np.concatenate(lists), offsets(np.array([len(x) for x in lists])))
    for counts, text in zip(lists, texts, strict=True):
        height, width = int(counts.sum()), 1
        assert text == coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)["counts"]
        assert counts_of(text) == counts.tolist()


@given(st.lists(st.lists(st.integers(0, 2**30), min_size=1, max_size=12), max_size=6))
@settings(max_examples=60, deadline=None)
def test_decoding_undoes_encoding(lists: list[list[int]]) -> None:
    flat = np.array([c for counts in lists for c in counts], np.int64)
    texts = rle.encode_counts(flat, offsets(np.array([len(x) for x in lists], np.int64)))
    runs = rle.decode_counts(texts)
    assert runs.legal.all()
    assert runs.counts.tolist() == flat.tolist()
    assert np.diff(runs.offset).tolist() == [len(x) for x in lists]


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        (b"", (2, 2), "not COCO-compressed"),
        (b"\x00", (2, 2), "not COCO-compressed"),
        (b"\xff5", (2, 2), "not COCO-compressed"),
        (b"P", (2, 2), "not COCO-compressed"),  # says that another group follows
        (b"oooooooo1", (2, 2), "not COCO-compressed"),  # one number of nine groups
        (b"@", (2, 2), "negative"),
        (b"5", (2, 2), "sum to 5, its size 2 x 2 asks for 4"),
        (b"4", (0, 4), "mask size 0 x 4"),
        (b"4", (-2, -2), "mask size -2 x -2"),
        (b"4", (2**30, 2**30), "mask size"),
        (b"oooooo1", (2, 2), "far too large"),
    ],
)
def test_what_is_no_mask_is_told(text: bytes, size: tuple[int, int], message: str) -> None:
    good = encoded([np.eye(3, dtype=bool)])[0]
    _, problems = rle.check([good, text, good], np.array([3, size[0], 3]), np.array([3, size[1], 3]))
    assert message in problems[1]
    assert problems[0] == problems[2] == ""


def test_400_random_texts_are_refused_or_true() -> None:
    numbers = random.Random(26)
    texts = [
        bytes(numbers.randrange(256) if i % 2 else numbers.randrange(48, 112) for _ in range(numbers.randrange(40)))
        for i in range(398)
    ]
    texts += [b"4", b"04"]
    sides = np.array([numbers.choice([1, 2, 1000, 2**31, 0]) for _ in range(398)] + [2, 2])
    runs, problems = rle.check(texts, sides, sides)
    assert problems[-2:] == ["", ""]
    assert sum(not p for p in problems) < 40
    for i in np.flatnonzero([not p for p in problems]):
        counts = counts_of(texts[i])
        assert min(counts) >= 0
        assert sum(counts) == sides[i] ** 2
        assert runs.counts[runs.offset[i] : runs.offset[i + 1]].tolist() == counts


def test_rows_of_many_masks_at_once() -> None:
    masks = some_masks(4, 50)
    texts = encoded(masks)
    height, width = sides(masks)
    runs, _ = rle.check(texts, height, width)
    rows = np.array([7, 51, 3, 4, 50, 12, 49, 8])
    who, y, x0, x1 = rle.spans(runs, rows, height[rows], width[rows])
    assert sorted(zip(who, y, x0, strict=True)) == list(zip(who, y, x0, strict=True))
    for place, row in enumerate(rows):
        own = who == place
        assert [column[own].tolist() for column in (y, x0, x1)] == [
            column.tolist() for column in rle.row_runs(runs, row, int(height[row]), int(width[row]))
        ]
        assert (x1 - x0)[own].sum() == masks[row].sum()
    assert [len(column) for column in rle.spans(runs, rows[:0], height[:0], width[:0])] == [0, 0, 0, 0]
