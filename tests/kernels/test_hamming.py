"""Hamming distances against plain loops."""

import pytest
import torch

from gpu_quality.kernels.hamming import cpu, leaders, nearest, reference
from gpu_quality.kernels.threads import set_threads
from tests.reference import pixels as twin


@pytest.fixture(autouse=True)
def _threads():
    yield
    set_threads(None)


def codes_of(n: int, seed: int) -> torch.Tensor:
    """Codes with both signs, near neighbors and duplicates."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randint(-(2**63), 2**63 - 1, (max(n // 5, 1),), generator=generator)
    flips = torch.ones(n, dtype=torch.int64) << torch.randint(0, 64, (n,), generator=generator)
    chosen = base[torch.randint(0, len(base), (n,), generator=generator)]
    return chosen ^ (flips * torch.randint(0, 2, (n,), generator=generator))


@pytest.mark.parametrize("kernel", [cpu, reference])
@pytest.mark.parametrize("n", [2, 3, 17, 300])
def test_equal_plain_loops(kernel, n):
    codes = codes_of(n, n)
    take = torch.rand(n, generator=torch.Generator().manual_seed(n)) < 0.8
    unsigned = [code & twin.MASK for code in codes.tolist()]
    assert kernel.nearest(codes).tolist() == twin.nearest(unsigned)
    for radius in (0, 1, 4, 31, 64):
        assert kernel.leaders(codes, take, radius).tolist() == twin.leaders(unsigned, take.tolist(), radius), radius


def test_blocks_and_threads_change_nothing():
    codes, take = codes_of(5000, 1), torch.ones(5000, dtype=torch.bool)
    set_threads(1)
    one = nearest(codes)
    set_threads(2)
    assert torch.equal(nearest(codes), one)
    assert torch.equal(reference.nearest(codes), one)
    assert torch.equal(leaders(codes, take, 3), reference.leaders(codes, take, 3))


def test_a_leader_takes_only_what_is_free():
    codes = torch.tensor([0b0, 0b11, 0b1111, 0b111111])
    assert leaders(codes, torch.ones(4, dtype=torch.bool), 2).tolist() == [0, 0, 2, 2]
    assert leaders(codes, torch.tensor([False, True, True, False]), 2).tolist() == [-1, 1, 1, -1]
    assert leaders(codes, torch.zeros(4, dtype=torch.bool), 2).tolist() == [-1, -1, -1, -1]
    assert leaders(codes[:0], torch.zeros(0, dtype=torch.bool), 2).tolist() == []


@pytest.mark.parametrize("n", [0, 1])
def test_nearest_needs_two(n):
    with pytest.raises(ValueError, match="at least 2"):
        nearest(torch.zeros(n, dtype=torch.int64))
