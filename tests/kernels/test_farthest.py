"""Farthest-first picking: the kernel that leaves rows alone picks exactly what comparing everything each time picks."""

import numpy as np
import pytest
import torch

from gpu_quality.kernels import farthest
from gpu_quality.kernels.farthest import cpu, reference
from tests.reference import selection


def picked(spread, count, n, rows=None):
    """The first `count` picks among all, or among `rows`."""
    open_ = torch.ones(n, dtype=torch.bool)
    out = []
    for _ in range(count):
        row, distance = spread.farthest(torch.arange(n) if rows is None else rows, open_)
        if row < 0:
            break
        out.append((row, distance))
        open_[row] = False
        spread.add(row)
    return out


def agree(found, expected):
    assert [row for row, _ in found] == [row for row, _ in expected]
    assert [d for _, d in found] == pytest.approx([d for _, d in expected], abs=1e-12)


def vectors(n, d, kind, seed=0):
    """Small whole numbers, so that equal distances are equal in every order of adding; or float16 of a blob."""
    rng = np.random.default_rng(seed)
    if kind == "tied":
        return torch.from_numpy(rng.integers(1, 3, (n, d)).astype(np.float32))
    return torch.from_numpy(rng.standard_normal((5, d))[rng.integers(0, 5, n)] + rng.standard_normal((n, d))).half()


@pytest.mark.parametrize("kind", ["tied", "blobs"])
@pytest.mark.parametrize("known", [False, True])
def test_picks_are_those_of_the_plain_loop(kind, known, monkeypatch):
    monkeypatch.setattr(cpu, "STRIPE", 7)  # several jobs, as in a large set
    x = vectors(60, 4 if kind == "tied" else 16, kind)
    near = torch.rand(60, dtype=torch.float64).round(decimals=1) if known else torch.full((60,), torch.inf).double()
    expected = selection.farthest_first(x.numpy(), near.tolist(), 60)
    for made in (farthest.spread(x, near), reference.Spread(x, near)):
        agree(picked(made, 99, 60), expected)
    assert kind == "blobs" or len({round(d, 12) for _, d in expected}) < 30, "there are ties"


def test_rows_that_were_left_alone_catch_up_when_they_are_asked_for(monkeypatch):
    monkeypatch.setattr(cpu, "STRIPE", 16)
    x = vectors(300, 24, "blobs", 3)
    near = torch.full((300,), torch.inf, dtype=torch.float64)
    fast, plain = cpu.Spread(x, near), reference.Spread(x, near)
    agree(picked(fast, 40, 300), picked(plain, 40, 300))
    assert fast.seen.sum() < 300 * 40, "most rows were compared with some of the centers only"
    rows = torch.arange(0, 300, 3)
    agree(picked(fast, 20, 300, rows), picked(plain, 20, 300, rows))
    for row in (1, 100, 299):
        open_ = torch.ones(300, dtype=torch.bool)
        agree([fast.farthest(torch.tensor([row]), open_)], [plain.farthest(torch.tensor([row]), open_)])


def test_copies_are_at_distance_nothing_and_go_last():
    x = vectors(20, 9, "blobs").repeat(2, 1)
    found = picked(farthest.spread(x, torch.full((40,), torch.inf).double()), 40, 40)
    assert sorted(row % 20 for row, _ in found[:20]) == list(range(20))
    assert [row for row, _ in found[20:]] == sorted(row for row, _ in found[20:])
    assert {d for _, d in found[20:]} == {0.0}


def test_nothing_is_open():
    x = vectors(3, 4, "blobs")
    for made in (cpu.Spread(x, torch.zeros(3).double()), reference.Spread(x, torch.zeros(3).double())):
        assert made.farthest(torch.arange(3), torch.zeros(3, dtype=torch.bool))[0] == -1
        assert made.farthest(torch.zeros(0, dtype=torch.int64), torch.ones(3, dtype=torch.bool))[0] == -1


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_picks_the_same():
    x = vectors(500, 64, "blobs")
    near = torch.full((500,), torch.inf, dtype=torch.float64)
    made = farthest.spread(x.cuda(), near.cuda())
    open_, found = torch.ones(500, dtype=torch.bool, device="cuda"), []
    for _ in range(50):
        found.append(made.farthest(torch.arange(500, device="cuda"), open_))
        open_[found[-1][0]] = False
        made.add(found[-1][0])
    agree(found, picked(farthest.spread(x, near), 50, 500))
