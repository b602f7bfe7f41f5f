"""Masks as runs: decoded, drawn and compared bit by bit as pycocotools does it, and against drawn pixels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as peer
from reference import overlaps

from gpu_quality.geometry import rle
from gpu_quality.kernels import borders, mask_pairs, runs
from gpu_quality.kernels.threads import set_threads


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    yield
    set_threads(None)


def texts_of(masks: list[Any]) -> list[bytes]:
    return [peer.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] for mask in masks]


def decoded(texts: list[bytes], height: int, width: int) -> tuple[runs.Runs, list[int]]:
    found, broken = runs.decode(texts, torch.full((len(texts),), height), torch.full((len(texts),), width))
    return found, broken.tolist()


def dense(found: runs.Runs, i: int) -> Any:
    """The mask drawn pixel by pixel."""
    height, width = int(found.height[i]), int(found.width[i])
    flat, own = np.zeros(height * width, bool), slice(int(found.first[i]), int(found.first[i] + found.count[i]))
    for a, b in zip(found.start[own].tolist(), found.end[own].tolist(), strict=True):
        assert 0 <= a < b <= len(flat)
        assert not flat[a:b].any()
        flat[a:b] = True
    return flat.reshape(width, height).T


def all_pairs(n: int, m: int) -> torch.Tensor:
    return torch.from_numpy(np.indices((n, m)).reshape(2, -1))


def shared(one: runs.Runs, other: runs.Runs) -> Any:
    return mask_pairs.shared_pixels(one, other, all_pairs(len(one), len(other))).reshape(len(one), len(other)).numpy()


def random_masks(seed: int, height: int, width: int) -> list[Any]:
    """From specks to whole frames: noise, rectangles, discs, rings, columns; empty and full ones too."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((height, width))
    masks = [np.zeros((height, width), bool), np.ones((height, width), bool)]
    for share in (0.02, 0.5, 0.97):
        masks.append(rng.random((height, width)) < share)
    for _ in range(5):
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(1, max(height, width) / 2 + 1)
        far = np.hypot(y - cy, x - cx)
        masks += [far < r, (far < r) & (far > r / 2), (abs(y - cy) < r) & (abs(x - cx) < r / 3)]
    masks.append(x % 3 == 0)
    masks.append(y % 2 == 0)
    return masks


@given(st.integers(0, 10**6), st.integers(1, 24), st.integers(1, 24))
@settings(max_examples=60, deadline=None)
def test_runs_are_the_pixels_and_pairs_share_them(seed: int, height: int, width: int) -> None:
    masks = random_masks(seed, height, width)
    found, broken = decoded(texts_of(masks), height, width)
    assert broken == []
    for i, mask in enumerate(masks):
        assert (dense(found, i) == mask).all()
        assert found.area[i] == mask.sum()
        ys, xs = np.nonzero(mask)
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(ys) else [0] * 4
        assert found.box[i].tolist() == box
        inside = mask[box[1] : box[3], box[0] : box[2]]
        plain = len(ys) > 0 and all(np.count_nonzero(np.diff(column.astype(int), prepend=0) == 1) == 1 for column in inside.T)
        assert not found.plain[i] or plain
    flat = np.array([mask.reshape(-1) for mask in masks], np.int64)
    assert (shared(found, found) == flat @ flat.T).all()


def test_pairs_with_and_without_splitting_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_quality.kernels.mask_pairs import cpu

    masks = random_masks(5, 61, 47)
    found, _ = decoded(texts_of(masks), 61, 47)
    split = shared(found, found)
    monkeypatch.setattr(cpu, "PARTNERS", 10**9)
    assert (shared(found, found) == split).all()
    set_threads(3)
    monkeypatch.setattr(cpu, "CHUNK", 2)
    monkeypatch.setattr(cpu, "PARTNERS", 1)
    assert (shared(found, found) == split).all()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=14))
@settings(max_examples=200, deadline=None)
def test_odd_but_legal_counts(counts: list[int]) -> None:
    """Runs of length zero in the middle, unset ones between touching runs: legal for pycocotools, so for us."""
    total = sum(counts)
    if total == 0:
        return
    text = rle.encode_counts(np.array(counts), np.array([0, len(counts)]))[0]
    found, broken = decoded([text], total, 1)
    assert broken == []
    wanted = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    assert (dense(found, 0)[:, 0] == wanted).all()
    assert shared(found, found)[0, 0] == wanted.sum()
    assert (dense(borders.borders(found, torch.tensor([2])), 0) == overlaps.border(wanted[:, None], 2)).all()


@given(st.binary(max_size=12), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_mask_or_broken(text: bytes, height: int, width: int) -> None:
    text = bytes(48 + byte % 64 for byte in text) if len(text) % 2 else text
    _, problems = rle.check([text], np.array([height]), np.array([width]))
    found, broken = decoded([text], height, width)
    assert broken == ([0] if problems[0] else [])
    assert int(found.area[0]) <= height * width


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, -4), (1 << 20, 1 << 20), (3, 4)])
def test_sizes_that_cannot_be(size: tuple[int, int]) -> None:
    text = texts_of([np.ones((2, 2))])
    assert decoded(text, *size)[1] == [0]
    assert decoded(text, 2, 2)[1] == []


def test_a_broken_mask_leaves_its_neighbors_alone() -> None:
    masks = random_masks(1, 9, 9)[:6]
    texts = texts_of(masks)
    found, broken = decoded([texts[0], b"\xff", texts[1], b"o", texts[3], b""], 9, 9)
    assert broken == [1, 3, 5]
    assert [(dense(found, i) == masks[j]).all() for i, j in ((0, 0), (2, 1), (4, 3))] == [True] * 3
    assert found.area[[1, 3, 5]].tolist() == [0, 0, 0]


def drawn(polygons: list[list[list[float]]], height: int, width: int) -> runs.Runs:
    rings = [ring for own in polygons for ring in own]
    points = torch.tensor([number for ring in rings for number in ring], dtype=torch.float64).reshape(-1, 2)
    points_of = torch.tensor(np.cumsum([0, *(len(ring) // 2 for ring in rings)]))
    own = torch.tensor(np.cumsum([0, *map(len, polygons)]))
    many = len(polygons)
    return runs.draw(points, points_of, own, torch.full((many,), height), torch.full((many,), width))


def random_polygon(rng: Any, height: int, width: int) -> list[list[float]]:
    """One to three rings in and around a frame: random points, whole numbers, tenths, steep and flat edges, doubled points."""
    found = []
    for _ in range(rng.integers(1, 4)):
        points = rng.uniform(-0.3, 1.3, (rng.integers(3, 14), 2)) * [width, height]
        form = rng.integers(4)
        if form == 1:
            points = np.round(points)
        elif form == 2:
            points = np.round(points * 10) / 10
        elif form == 3:
            points[:, rng.integers(2)] = points[0, 0] + rng.uniform(-1, 1, len(points))
        if rng.random() < 0.2:
            points = np.repeat(points, 2, 0)
        found.append(points.reshape(-1).tolist())
    return found


@pytest.mark.parametrize("seed", range(12))
def test_polygons_are_drawn_as_pycocotools_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 90, 2))
    polygons = [random_polygon(rng, height, width) for _ in range(400)]
    found = drawn(polygons, height, width)
    texts = [peer.merge(peer.frPyObjects(polygon, height, width))["counts"] for polygon in polygons]
    wanted, broken = decoded(texts, height, width)
    assert broken == []
    for i, polygon in enumerate(polygons):
        assert (dense(found, i) == dense(wanted, i)).all(), polygon
    assert torch.equal(found.area, wanted.area)
    assert torch.equal(found.box, wanted.box)


def test_edges_however_long_are_followed_inside_the_frame_only() -> None:
    huge = [[-1e9, -1e9, 1e9, -1e9, 1e9, 1e9, -1e9, 1e9]]
    found = drawn([huge, [[5.0, -1e8, 1e8, 5.0, 5.0, 1e8]], [[2.0, 2, 2, 2, 2, 2]], [[]], []], 20, 30)
    assert found.area.tolist() == [600, 25 * 20, 0, 0, 0]


@given(st.integers(0, 10**6), st.integers(1, 22), st.integers(1, 22), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_borders_are_what_erosions_take(seed: int, height: int, width: int, distance: int) -> None:
    masks = random_masks(seed, height, width)
    found, _ = decoded(texts_of(masks), height, width)
    edge = borders.borders(found, torch.full((len(masks),), distance))
    flat = []
    for i, mask in enumerate(masks):
        wanted = overlaps.border(mask, distance)
        assert (dense(edge, i) == wanted).all()
        assert edge.area[i] == wanted.sum()
        flat.append(wanted.reshape(-1).astype(int))
    assert (shared(edge, edge) == np.array(flat) @ np.array(flat).T).all()


def test_nothing_at_all() -> None:
    found, broken = decoded([], 4, 4)
    assert (len(found), broken) == (0, [])
    assert len(mask_pairs.shared_pixels(found, found, torch.zeros(2, 0, dtype=torch.int64))) == 0
    assert len(drawn([], 4, 4)) == len(borders.borders(found, torch.zeros(0, dtype=torch.int64))) == 0
