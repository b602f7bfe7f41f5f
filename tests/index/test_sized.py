"""The index that chooses by size: exact where affordable, else one of faiss, both leaving out what shares a group."""

import pytest
import torch

from gpu_quality.errors import ConfigError
from gpu_quality.index.exact import Exact
from gpu_quality.index.sized import Sized


def vectors(n: int, d: int = 16, seed: int = 0) -> torch.Tensor:
    """Unit vectors, one of them without a direction."""
    x = torch.nn.functional.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1).half()
    x[3] = torch.nan
    return x


def test_small_sets_are_searched_exactly_without_a_word() -> None:
    x, said = vectors(200), []
    found = Sized(say=said.append).nearest(x, 5)
    exact = Exact().nearest(x, 5)
    assert torch.equal(found.row, exact.row)
    assert torch.equal(found.distance[found.row >= 0], exact.distance[exact.row >= 0])
    assert said == []


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_an_index_of_faiss_finds_the_same_and_says_so(kind: str) -> None:
    x, said = vectors(300), []
    groups = torch.arange(300) % 40
    found = Sized(kind=kind, say=said.append).nearest(x, 4, groups=groups)
    exact = Exact().nearest(x, 4, groups=groups)
    assert said == [f"{kind} index for 300 vectors of 16 components, as asked"]
    same = (found.row == exact.row).float().mean()
    assert same == 1 if kind == "flat" else same > 0.95
    assert (found.row[3] == -1).all()
    assert not (groups[found.row[found.row >= 0]] == groups[:, None].expand(-1, 4)[found.row >= 0]).any()


def test_rows_with_a_large_group_around_them_are_searched_exactly() -> None:
    x = vectors(400)
    groups = (torch.arange(400) < 200).long()
    found = Sized(kind="flat").nearest(x, 4, groups=groups)
    assert torch.equal(found.row, Exact().nearest(x, 4, groups=groups).row)


def test_a_row_whose_neighbors_all_share_its_group_finds_fewer() -> None:
    x = torch.nn.functional.normalize(torch.randn(12, 4), dim=1)
    found = Sized(kind="flat").nearest(x, 3, groups=torch.zeros(12, dtype=torch.int64))
    assert (found.row == -1).all()
    assert found.distance.isnan().all()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="no index"):
        Sized(kind="tree").nearest(vectors(10), 1)
