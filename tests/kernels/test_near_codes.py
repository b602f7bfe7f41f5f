"""Pairs of near codes: the fast kernel finds exactly what plain torch finds."""

import pytest
import torch

from gpu_quality.kernels import near_codes
from gpu_quality.kernels.near_codes import cpu, reference


def codes(ways: int, n: int, seed: int = 0) -> torch.Tensor:
    """Codes around three centers, a few bits away."""
    generator = torch.Generator().manual_seed(seed)
    center = torch.randint(-(1 << 63), (1 << 63) - 1, (ways, 2, 3), generator=generator)
    noise = torch.ones(ways, 2, n, dtype=torch.int64)
    for _ in range(8):
        noise ^= torch.ones(ways, 2, n, dtype=torch.int64) << torch.randint(0, 64, (ways, 2, n), generator=generator)
    return center[:, :, torch.randint(0, 3, (n,), generator=generator)] ^ noise


@pytest.mark.parametrize("n", [0, 1, 2, 511, 700])
@pytest.mark.parametrize("most", [-1, 0, 12, 20, 128, 500])
def test_the_kernel_finds_what_the_definition_finds(n, most, monkeypatch):
    monkeypatch.setattr(cpu, "ROOM", 50)
    own, other = codes(3, n), codes(3, n, seed=1)
    other[0] = own[0]
    for begin, stop in ((0, n), (n // 3, n // 2)):
        found = near_codes.near(own, other, begin, stop, most)
        assert torch.equal(found, reference.near(own, other, begin, stop, most))
    if n > 2:
        assert (len(near_codes.near(own, other, 0, n, most)) > 0) == (most >= 12)


def test_both_codes_count_together():
    own = torch.zeros(1, 2, 2, dtype=torch.int64)
    own[0, :, 1] = torch.tensor([0b111, 0b11111])
    assert near_codes.near(own, own, 0, 2, 7).tolist() == []
    assert near_codes.near(own, own, 0, 2, 8).tolist() == [[0, 1]]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_finds_the_same():
    own = codes(5, 3000)
    near = near_codes.near(own.cuda(), own.cuda(), 0, 1000, 14)
    assert torch.equal(near.cpu(), near_codes.near(own, own, 0, 1000, 14))
