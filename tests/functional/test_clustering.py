"""k-means: the definition holds at the end, and the same seed gives the same clusters."""

import pytest
import torch

from gpu_quality.functional import clustering


def blobs(n: int, k: int, spread: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    center, which = torch.randn(k, 12, generator=generator), torch.arange(n) % k
    return center[which] + spread * torch.randn(n, 12, generator=generator), which


def test_finds_separate_blobs():
    x, which = blobs(600, 6)
    found = clustering.kmeans(x, 6, seed=1)
    assert len({(a, b) for a, b in zip(found.label.tolist(), which.tolist(), strict=True)}) == 6


@pytest.mark.parametrize("seed", range(4))
def test_every_vector_is_with_its_nearest_center(seed, monkeypatch):
    monkeypatch.setattr(clustering, "BLOCK", 50)
    x, _ = blobs(333, 9, 1.0)
    found = clustering.kmeans(x, 5, seed)
    unit = torch.nn.functional.normalize(x.double(), dim=1)
    distance = torch.cdist(unit, found.center)
    assert (found.distance - distance.amin(1)).abs().max() < 1e-6
    assert torch.allclose(found.distance, distance.gather(1, found.label[:, None])[:, 0], atol=1e-7)
    for c in range(5):
        mean = unit[found.label == c].mean(0)
        assert (mean - found.center[c]).norm() < 0.1


def test_the_seed_decides():
    x, _ = blobs(300, 20, 1.0)
    a, b = clustering.kmeans(x, 8, 3), clustering.kmeans(x, 8, 3)
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
    assert any(not torch.equal(clustering.kmeans(x, 8, seed).label, a.label) for seed in range(4, 8))
    assert torch.equal(clustering.kmeans(7 * x, 8, 3).label, a.label)


def test_is_as_good_as_scikit_learn():
    sklearn = pytest.importorskip("sklearn.cluster")
    x, _ = blobs(800, 12, 0.6)
    unit = torch.nn.functional.normalize(x, dim=1)
    ours = min(float(clustering.kmeans(x, 10, s).distance.square().sum()) for s in range(5))
    theirs = min(sklearn.KMeans(10, n_init=1, random_state=s).fit(unit.numpy()).inertia_ for s in range(5))
    assert ours < 1.05 * theirs


def test_few_and_equal_vectors():
    same = torch.ones(40, 3)
    found = clustering.kmeans(same, 20)
    assert found.label.tolist() == [0] * 40
    assert found.distance.max() < 1e-6
    assert clustering.kmeans(torch.eye(3), 9).label.sort().values.tolist() == [0, 1, 2]
    assert clustering.kmeans(torch.empty(0, 3), 4).label.tolist() == []
    with pytest.raises(ValueError, match="k = 0"):
        clustering.kmeans(same, 0)
