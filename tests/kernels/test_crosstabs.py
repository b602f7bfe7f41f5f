"""Counts of pairs of codes: the fast kernel counts exactly what plain torch counts."""

import pytest
import torch

from gpu_quality.kernels.crosstabs import cpu, crosstabs, reference


def given(n: int, others: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes below 5 and 7, and parts below 4."""
    generator = torch.Generator().manual_seed(seed)
    sizes = ((5, (n,)), (7, (others, n)), (4, (n,)))
    first, other, part = (torch.randint(0, most, size, generator=generator, dtype=torch.uint8) for most, size in sizes)
    return first, other, part


@pytest.mark.parametrize("n", [0, 1, 2, 1001])
@pytest.mark.parametrize("others", [0, 1, 5])
def test_the_kernel_counts_what_the_definition_counts(n, others):
    first, other, part = given(n, others)
    found = crosstabs(first, other, part, parts=4, bins=5, other_bins=7)
    assert found.dtype == torch.int64
    assert torch.equal(found, reference.crosstabs(first, other, part, parts=4, bins=5, other_bins=7))
    assert found.sum() == n * others


def test_one_cell_by_hand():
    first, part = torch.tensor([2, 2, 1], dtype=torch.uint8), torch.tensor([1, 1, 0], dtype=torch.uint8)
    other = torch.tensor([[0, 0, 2]], dtype=torch.uint8)
    found = cpu.crosstabs(first.numpy(), other.numpy(), part.numpy(), parts=2, bins=3, other_bins=3)
    assert found[0, 1, 2, 0] == 2
    assert found[0, 0, 1, 2] == 1
    assert found.sum() == 3


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_counts_the_same():
    first, other, part = given(5000, 3)
    found = crosstabs(first.cuda(), other.cuda(), part.cuda(), parts=4, bins=5, other_bins=7)
    assert torch.equal(found.cpu(), crosstabs(first, other, part, parts=4, bins=5, other_bins=7))
