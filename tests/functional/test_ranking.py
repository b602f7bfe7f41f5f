"""Singularity, uniqueness, representativeness and the order of labeling against loops and by hand."""

import pytest
import torch

from gpu_quality.functional import ranking
from gpu_quality.index.exact import Exact
from tests.reference import neighbors as twin

EXACT = Exact()


def singularity_of(x: torch.Tensor) -> ranking.Singularity:
    component = EXACT.components(x)
    return ranking.singularity(component, EXACT.nearest(x, 1, groups=component).distance[:, 0])


def test_forty_copies_are_thirty_nine_zeros_and_one_null():
    found = singularity_of(torch.randn(1, 16).expand(40, 16))
    assert found.value.tolist() == [0] * 40
    assert found.missing.tolist() == [True] + [False] * 39
    assert found.duplicate_of.tolist() == [-1] + [0] * 39


def test_forty_copies_among_others():
    x = torch.randn(100, 16, generator=torch.Generator().manual_seed(1))
    x[10:50] = x[10]
    found = singularity_of(x)
    distance = 1 - torch.nn.functional.cosine_similarity(x[10:11], torch.cat([x[:10], x[50:]]))
    assert found.value[10] == pytest.approx(float(distance.min()), abs=1e-6)
    assert found.value[11:50].tolist() == [0] * 39
    assert found.duplicate_of[11:50].tolist() == [10] * 39
    assert not found.missing.any()
    shuffled = torch.randperm(100, generator=torch.Generator().manual_seed(2))
    assert sorted(singularity_of(x[shuffled]).value.tolist()) == pytest.approx(sorted(found.value.tolist()), abs=1e-7)


def test_without_a_usable_vector_it_is_null():
    x = torch.eye(3)
    x[1] = torch.nan
    assert singularity_of(x).missing.tolist() == [False, True, False]
    assert singularity_of(x[:1]).missing.tolist() == [True]
    assert singularity_of(x[:0]).missing.tolist() == []


def test_uniqueness():
    distance = torch.tensor([[0.1, 0.2, 0.3], [0.2, 0.2, 0.2], [0.0, 0.0, 1.0], [torch.nan] * 3, [0.0, 0.0, 0.0]])
    usable = torch.tensor([True, True, True, False, True])
    assert ranking.uniqueness(distance, usable).tolist() == pytest.approx([0.75, 1, 0.5, 0, 0])
    assert ranking.uniqueness(distance[:3], usable[:3]).tolist() == [1, 1, 1]
    assert ranking.uniqueness(torch.zeros(5, 3), torch.ones(5, dtype=torch.bool)).tolist() == [0] * 5


def test_representativeness():
    label = torch.tensor([0, 0, 0, 1, 2, 2, -1])
    distance = torch.tensor([0.1, 0.2, 0.0, 0.3, 0.0, 1e-9, torch.nan])
    value = ranking.representativeness(label, distance)
    assert value[[0, 1, 2]].tolist() == pytest.approx([0.5, 0, 1])
    assert value[3] == 1
    assert value[[4, 5, 6]].tolist() == [1, 1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_downweighted_equals_loops(seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(40, 3, generator=generator)
    value = torch.randint(0, 8, (40,), generator=generator).double() / 8
    near = EXACT.pairs(x, 0.875)
    expected = twin.downweighted(value.tolist(), near.tolist(), 0.7)
    assert ranking.downweighted(value, near).tolist() == pytest.approx(expected)
    assert torch.equal(ranking.downweighted(value, near[:0]), value)


@pytest.mark.parametrize("seed", range(5))
def test_diversity_rank_equals_loops(seed):
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(-1, 5, (30,), generator=generator)
    distance = torch.randint(0, 4, (30,), generator=generator).double()
    distance[label < 0] = torch.nan
    assert ranking.diversity_rank(label, distance).tolist() == twin.diversity_rank(label.tolist(), distance.tolist())
    assert ranking.diversity_rank(label[:0], distance[:0]).tolist() == []
