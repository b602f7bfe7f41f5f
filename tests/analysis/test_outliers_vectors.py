"""Distances to the nearest vectors of a group, against an obvious loop, and what has none."""

import numpy as np
import pytest
import torch

from gpu_quality.analysis.outliers_vectors import FEWEST, neighbor_distance
from gpu_quality.errors import UsageError
from gpu_quality.index.exact import Exact


def obvious(x: np.ndarray, group: np.ndarray, k: int) -> np.ndarray:
    out = np.full(len(x), np.nan)
    usable = np.isfinite(x).all(1) & (np.linalg.norm(np.nan_to_num(x), axis=1) > 0)
    for i in range(len(x)):
        own = [j for j in range(len(x)) if usable[j] and group[j] == group[i] >= 0]
        if usable[i] and len(own) >= FEWEST:
            cosine = [x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j]) for j in own if j != i]
            out[i] = np.mean(sorted(1 - c for c in cosine)[:k])
    return out


@pytest.mark.parametrize("k", [1, 5, 50])
def test_against_the_loop(k):
    rng = np.random.default_rng(0)
    x, group = rng.normal(size=(60, 8)), rng.integers(-1, 3, 60)
    x[7], x[8] = 0, np.nan
    group[:4] = 9  # too few
    found = neighbor_distance(torch.from_numpy(x).float(), Exact(), groups=torch.from_numpy(group), k=k)
    np.testing.assert_allclose(found.numpy(), obvious(x, group, k), atol=1e-5)
    assert np.isnan(found.numpy()[group == 9]).all()
    assert np.isnan(found.numpy()[[7, 8]]).all()


def test_an_odd_one_stands_apart_and_copies_do_not():
    rng = np.random.default_rng(1)
    x = np.concatenate([np.ones((30, 16)) + 0.05 * rng.normal(size=(30, 16)), -np.ones((1, 16)) + rng.normal(size=(1, 16))])
    found = neighbor_distance(torch.from_numpy(x), Exact())
    assert int(found.argmax()) == 30
    assert float(neighbor_distance(torch.ones(9, 4), Exact()).max()) < 1e-6


def test_nothing_and_refusals():
    assert len(neighbor_distance(torch.zeros(0, 4), Exact())) == 0
    assert neighbor_distance(torch.ones(4, 4), Exact()).isnan().all()
    with pytest.raises(UsageError, match="groups has 2 rows"):
        neighbor_distance(torch.ones(4, 4), Exact(), groups=torch.zeros(2, dtype=torch.int64))
    with pytest.raises(UsageError, match="at least 1"):
        neighbor_distance(torch.ones(4, 4), Exact(), k=0)
