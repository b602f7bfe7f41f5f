"""The map by UMAP: neighbors stay together, a seed is a promise, odd vectors have a place or none."""

import sys

import numpy as np
import pytest

from gpu_quality.analysis import projection


def blobs(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centers = np.eye(3, 16, dtype=np.float32)
    return (centers[np.arange(n) % 3] + 0.05 * rng.standard_normal((n, 16))).astype(np.float32)


def test_whether_it_is_installed_is_known_without_importing_it(monkeypatch):
    loaded = "umap" in sys.modules
    assert projection.available() in (True, False)
    assert ("umap" in sys.modules) == loaded
    monkeypatch.setattr(projection, "find_spec", lambda name: None)
    assert not projection.available()


@pytest.fixture
def umap():
    if not projection.available():
        pytest.skip("umap-learn is not installed")
    return projection.umap


def test_neighbors_stay_together_and_a_seed_gives_the_same_map(umap):
    x, kind = blobs(90), np.arange(90) % 3
    place = umap(x, 3)
    assert place.shape == (90, 2)
    assert place.dtype == np.float32
    assert np.isfinite(place).all()
    distance = np.linalg.norm(place[:, None] - place[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (kind[distance.argmin(1)] == kind).mean() > 0.95
    assert np.array_equal(umap(x, 3), place)
    assert not np.array_equal(umap(x, 4), place)


def test_vectors_without_a_direction_have_no_place_and_move_nobody(umap):
    x = blobs(40)
    odd = np.insert(x, [0, 7, 40], np.float32([[0] * 16, [np.nan] + [1] * 15, [np.inf] * 16]), axis=0)
    place = umap(odd.astype(np.float16), 0)
    missing = np.isnan(place).any(1)
    assert np.flatnonzero(missing).tolist() == [0, 8, 42]
    assert np.array_equal(place[~missing], umap(odd[~missing].astype(np.float16), 0))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 15, 16, 17, 20])
def test_few_vectors(umap, n):
    place = umap(blobs(n), 0)
    assert place.shape == (n, 2)
    assert np.isfinite(place).all()


def test_equal_vectors(umap):
    place = umap(np.ones((40, 8), np.float32), 0)
    assert np.isfinite(place).all()
