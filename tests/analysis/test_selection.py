"""Acquisition scores, pools, groups, pickers, quotas and balance against plain loops."""

import numpy as np
import pytest
import torch

from gpu_quality.analysis.selection import Shows, Term, acquisition, choose, one_of_each, pool
from gpu_quality.analysis.selection_pickers import Farthest, First, OfClusters
from gpu_quality.errors import UsageError
from tests.reference import selection

NONE = Shows({}, {})


def infinite(n):
    return torch.full((n,), torch.inf, dtype=torch.float64)


@pytest.mark.parametrize("high", [True, False])
def test_a_column_becomes_the_share_of_less_interesting_values(high):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 9, 80).astype(np.float64)
    values[rng.integers(0, 80, 12)] = np.nan
    found = acquisition([Term(values, high)])
    assert found.score.tolist() == pytest.approx(selection.fraction(values, high))
    known = values[~np.isnan(values)]
    top = [np.nan if np.isnan(v) else np.mean(known >= v if high else known <= v) for v in values]
    np.testing.assert_allclose(found.top[0], top)
    assert found.missing == (int(np.isnan(values).sum()),)
    assert (found.score[np.isnan(values)] < found.score[~np.isnan(values)].min()).all(), "null is the least interesting"


def test_columns_are_weighed_and_units_are_not():
    a, b = np.array([1.0, 2, 3, 4]), np.array([4.0, 3, 9, 1])
    one = acquisition([Term(a, True), Term(b, True, 3.0)])
    other = acquisition([Term(a * 1e9 - 5, True), Term(np.exp(b), True, 3.0)])
    np.testing.assert_array_equal(one.score, other.score)
    parts = [selection.fraction(a, True), selection.fraction(b, True)]
    assert one.score.tolist() == pytest.approx([(p + 3 * q) / 4 for p, q in zip(*parts, strict=True)])
    assert acquisition([Term(np.array([np.nan, np.nan]), True)]).score.tolist() == [0, 0]
    assert len(acquisition([Term(np.zeros(0), True)]).score) == 0


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "needs a column"),
        ([Term(np.zeros(2), True), Term(np.zeros(3), True)], r"\[2, 3\] rows"),
        ([Term(np.zeros(2), True, 0.0)], "above 0"),
    ],
)
def test_scores_that_make_no_sense_are_refused(terms, message):
    with pytest.raises(UsageError, match=message):
        acquisition(terms)


def test_one_of_each_group_stands_for_the_others():
    group = np.array([-1, 5, 5, -1, 2, 5, 2])
    kept, others = one_of_each(group, np.array([6, 5, 4, 3, 2, 1, 0]))
    assert kept.tolist() == [True, False, False, True, False, True, True]
    assert others.tolist() == [0, 0, 0, 0, 0, 2, 1]
    kept, others = one_of_each(np.full(3, -1), np.arange(3))
    assert kept.all()
    assert not others.any()


def test_the_pool_is_the_best_of_all_and_of_each_class():
    order = np.array([4, 2, 0, 5, 1, 3])
    assert pool(order, 2).tolist() == [4, 2]
    assert pool(order, 2, [np.array([1, 3, 5])]).tolist() == [4, 2, 5, 1]
    assert pool(order, 99).tolist() == order.tolist()
    assert pool(np.zeros(0, np.int64), 3).tolist() == []


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("balance", [False, True])
def test_quotas_and_turns_are_those_of_the_plain_loop(seed, balance):
    rng = np.random.default_rng(seed)
    n = 40
    shows = {c: np.flatnonzero(rng.random(n) < share) for c, share in ((0, 0.7), (1, 0.2), (2, 0.1), (3, 0.02))}
    shows = {c: rows for c, rows in shows.items() if len(rows)}
    known = {0: 3, 2: 1}
    quotas = {0: 4, 1: 3, 2: 9} if seed % 2 else {}
    for count in (5, 17, 99):
        found = choose(First(), n, count, shows=Shows(shows, known), quotas=quotas, balance=balance)
        plain = {c: set(rows.tolist()) for c, rows in shows.items()}
        expected = selection.in_turns(range(n), plain, count, quotas, known if balance else None)
        assert [pick.row for pick in found] == expected
        assert len({pick.row for pick in found}) == len(found) == min(count, n)


def test_balance_lifts_what_is_rare():
    shows = Shows({0: np.arange(0, 90), 1: np.arange(90, 100)}, {0: 8, 1: 0})
    found = choose(First(), 100, 10, shows=shows, quotas={}, balance=True)
    assert [pick.wanted for pick in found] == [1] * 8 + [1, 0], "eight to draw level, then by turns, the rarer first"


def test_the_farthest_is_picked_and_the_first_where_there_is_none_to_be_far_from():
    rng = np.random.default_rng(2)
    x = torch.from_numpy(rng.integers(1, 4, (50, 6)).astype(np.float32))
    expected = selection.farthest_first(x.numpy(), infinite(50).tolist(), 20)
    picker = Farthest(x, infinite(50))
    found = choose(picker, 50, 20, shows=NONE, quotas={})
    assert [pick.row for pick in found] == [row for row, _ in expected]
    every = [min(selection.distance(x[i].numpy(), x[row].numpy()) for row, _ in expected) for i in range(50)]
    assert picker.radius(torch.arange(50)) == pytest.approx(max(every))
    starts = {choose(Farthest(x, infinite(50), seed), 50, 1, shows=NONE, quotas={})[0].row for seed in range(20)}
    assert len(starts) > 5
    again = [choose(Farthest(x, infinite(50), 3), 50, 9, shows=NONE, quotas={}) for _ in range(2)]
    assert again[0] == again[1]


def test_a_quota_is_filled_by_the_farthest_of_its_class():
    rng = np.random.default_rng(3)
    x = torch.from_numpy(rng.standard_normal((60, 8)))
    rows = np.arange(40, 60)
    found = choose(Farthest(x, infinite(60)), 60, 9, shows=Shows({1: rows}, {}), quotas={1: 5})
    expected = selection.farthest_first(x[40:].numpy(), infinite(20).tolist(), 5)
    assert [pick.row for pick in found[:5]] == [40 + row for row, _ in expected]
    assert [pick.wanted for pick in found] == [1] * 5 + [-1] * 4


def test_known_vectors_are_kept_away_from():
    x = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    near = torch.tensor([0.0, 1.0, 0.3], dtype=torch.float64)
    found = choose(Farthest(x, near), 3, 3, shows=NONE, quotas={})
    assert [(pick.row, round(pick.distance, 6)) for pick in found] == [(1, 1.0), (2, round(1 - 2**-0.5, 6)), (0, 0.0)]


def test_clusters_take_turns():
    x = torch.randn(12, 3)
    label = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
    order = torch.tensor([5, 4, 3, 2, 1, 0, 6, 7, 8, 11, 10, 9])
    found = choose(OfClusters(x, infinite(12), label, order), 12, 7, shows=NONE, quotas={})
    assert [pick.row for pick in found] == [5, 6, 11, 4, 7, 10, 3]
    assert np.isinf(found[0].distance)
    expected = min(selection.distance(x[11].numpy(), x[row].numpy()) for row in (5, 6))
    assert found[2].distance == pytest.approx(expected)
    nothing = torch.zeros(12, dtype=torch.bool)
    assert OfClusters(x, infinite(12), label, order).take(torch.arange(12), nothing)[0] == -1
    assert First().take(torch.arange(12), nothing)[0] == -1
