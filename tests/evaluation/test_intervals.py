"""Intervals: Wilson's by its worked values, the bootstrap against repeated images and scipy, p-values by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from gpu_quality.errors import EmptyInputError, UnknownNameError, UsageError
from gpu_quality.evaluation import intervals, resampling
from gpu_quality.functional import inference


def mean_of(x):
    """The mean of one number per unit, as a function of weights."""
    return lambda weights: (weights.double() @ x / weights.sum(1))[:, None]


def test_wilson_worked_values():
    low, high = inference.wilson(torch.tensor([8, 0, 20, 0]), torch.tensor([10, 20, 20, 0]))
    assert low[0].item() == pytest.approx(0.490157, abs=5e-7)
    assert high[0].item() == pytest.approx(0.943319, abs=5e-7)
    assert low[1].item() == 0
    assert high[1].item() == pytest.approx(0.161130, abs=5e-7)
    assert low[2].item() == pytest.approx(1 - 0.161130, abs=5e-7)
    assert high[2].item() == 1
    assert low[3].isnan()
    assert high[3].isnan()


def test_wilson_equals_scipy():
    n = torch.arange(1, 60).repeat_interleave(3)
    k = (n * torch.tensor([0.1, 0.5, 0.95]).repeat(59)).long()
    low, high = inference.wilson(k, n, z=float(stats.norm.ppf(0.975)))
    for i in range(len(n)):
        want = stats.binomtest(int(k[i]), int(n[i])).proportion_ci(method="wilson")
        assert (low[i].item(), high[i].item()) == pytest.approx((want.low, want.high), abs=1e-12)


def test_resamples_draw_as_many_units_as_there_are():
    weights = resampling.resample(50, 0, 400)
    assert weights.dtype == torch.int32
    assert weights.sum(1).eq(50).all()
    # multinomial: mean 1, variance 1 - 1/50, of 20,000 numbers
    assert weights.double().var().item() == pytest.approx(0.98, abs=0.05)
    assert weights.double().mean(0).sub(1).abs().max().item() < 0.25


def test_a_resample_depends_on_its_number_and_the_seed_alone():
    every = resampling.resample(30, 0, 20, seed=7)
    assert torch.equal(torch.cat(list(resampling.blocks(30, 20, 7, budget=30 * 4 * 3))), every)
    assert torch.equal(resampling.resample(30, 11, 12, seed=7)[0], every[11])
    assert not torch.equal(resampling.resample(30, 0, 20, seed=8), every)
    assert len(every.unique(dim=0)) == 20


def test_blocks_keep_to_the_memory_they_are_given():
    sizes = [block.numel() * block.element_size() for block in resampling.blocks(100, 50, budget=2000)]
    assert max(sizes) <= 2000
    assert len(sizes) == 10
    assert [len(block) for block in resampling.blocks(100, 3, budget=1)] == [1, 1, 1]  # never less than a row


def test_the_stream_of_numbers_is_pinned():
    assert resampling.resample(8, 0, 2).tolist() == [[2, 0, 1, 0, 1, 2, 1, 1], [2, 1, 0, 0, 1, 0, 2, 2]]


def test_weights_equal_repeated_images():
    rng = np.random.default_rng(0)
    hits, total = torch.from_numpy(rng.integers(0, 5, 40)), torch.from_numpy(rng.integers(5, 9, 40))

    def share(weights):
        return ((weights.long() @ hits).double() / (weights.long() @ total))[:, None]

    for weight, got in zip(resampling.resample(40, 0, 25), resampling.bootstrap(share, 40, 25), strict=True):
        rows = torch.repeat_interleave(torch.arange(40), weight.long())
        assert got.item() == (hits[rows].sum() / total[rows].sum().double()).item()


def test_several_functions_share_their_weights():
    x = torch.arange(12, dtype=torch.float64)
    both = intervals.interval(resampling.together(mean_of(x), mean_of(-x)), 12, resamples=50)
    alone = intervals.interval(mean_of(x), 12, resamples=50)
    assert both.low[0] == alone.low[0]
    assert both.high[1] == -alone.low[0]


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_equal_scipy_where_scipy_draws_the_same(method):
    x = torch.from_numpy(np.random.default_rng(2).exponential(size=40))
    got = intervals.interval(mean_of(x), 40, resamples=2000, method=method)
    want = stats.bootstrap(
        (x.numpy(),),
        np.mean,
        n_resamples=0,
        method=method,
        bootstrap_result=Given(resampling.bootstrap(mean_of(x), 40, 2000)[:, 0].numpy()),
    ).confidence_interval
    assert (got.low.item(), got.high.item()) == pytest.approx((want.low, want.high), abs=1e-9)
    assert got.value.item() == pytest.approx(x.mean().item())
    assert got.message == ("",)
    assert got.undefined.tolist() == [0]


class Given:
    """Resampled figures in the place of a result of scipy."""

    def __init__(self, values):
        self.bootstrap_distribution = values


def test_an_interval_covers_what_it_should():
    rng = np.random.default_rng(4)
    covered = 0
    for seed in range(100):
        x = torch.from_numpy(rng.normal(size=50))
        got = intervals.interval(mean_of(x), 50, resamples=200, seed=seed)
        covered += bool(got.low < 0 < got.high)
    assert 86 <= covered <= 100


def test_undefined_resamples():
    x = torch.arange(20, dtype=torch.float64)

    def figures(weights):
        mean = mean_of(x)(weights)
        often = torch.where(weights[:, :1] == 0, torch.nan, mean)  # the first unit is missing in a third of the resamples
        rarely = torch.where(weights[:, 1:4].sum(1, keepdim=True) == 0, torch.nan, mean)  # in a twentieth
        return torch.cat([mean, often, rarely, torch.full_like(mean, torch.nan)], 1)

    got = intervals.interval(figures, 20, resamples=400)
    assert got.low.isnan().tolist() == [False, True, False, True]
    assert 0 < got.undefined[2] < 0.1 < got.undefined[1]
    assert got.message[1].startswith("interval not computed: undefined in 3")
    assert got.message[1].endswith("% of the resamples, 10 % allowed")
    assert got.message[3] == "interval not computed: the figure is undefined"
    values = resampling.bootstrap(figures, 20, 400)[:, 2]
    want = np.nanquantile(values.numpy(), [0.025, 0.975])
    assert (got.low[2].item(), got.high[2].item()) == pytest.approx(tuple(want))


def test_few_units_have_no_interval():
    x = torch.arange(6, dtype=torch.float64)
    got = intervals.interval(mean_of(x), 6)
    assert got.value.item() == 2.5
    assert got.low.isnan()
    assert got.message == ("interval not computed: 6 images, 10 needed",)
    assert intervals.interval(mean_of(x), 6, unit="sequences").message == ("interval not computed: 6 sequences, 10 needed",)
    none = intervals.interval(mean_of(x[:0]), 0)
    assert none.value.isnan()
    assert none.message == ("interval not computed: 0 images, 10 needed",)
    alike = intervals.compare(mean_of(x), mean_of(x + 1), 6)
    assert alike.difference.value.item() == -1
    assert alike.p.isnan()
    with pytest.raises(EmptyInputError, match="no frames"):
        resampling.bootstrap(mean_of(x), 0)


def test_constant_figures_have_an_interval_of_no_width():
    x = torch.full((20,), 0.25, dtype=torch.float64)
    for method in ("percentile", "bca"):
        got = intervals.interval(mean_of(x), 20, resamples=100, method=method)
        assert (got.low.item(), got.high.item()) == (0.25, 0.25)


def test_bca_without_resamples_on_both_sides_says_so():
    value = torch.tensor([5.0], dtype=torch.float64)
    values = torch.arange(4, dtype=torch.float64)[:, None]
    got = intervals.interval_of(value, values, jackknifed=torch.tensor([[4.0], [6.0], [7.0]], dtype=torch.float64))
    assert got.low.isnan()
    assert got.message == ("interval not computed: all resamples lie on one side of the figure",)


def test_sequences_are_drawn_as_a_whole():
    unit, count = resampling.sequence_units(torch.tensor([4, 4, -1, 0, -1, 0]))
    assert count == 4
    assert unit[0] == unit[1]
    assert unit[3] == unit[5]
    assert len(set(unit.tolist())) == 4
    assert resampling.sequence_units(torch.tensor([-1, -1]))[1] == 2
    assert resampling.sequence_units(torch.zeros(0, dtype=torch.int64))[1] == 0


def test_p_value_by_hand():
    d = torch.tensor([[1.0, -1.0, 0.0, math.nan]] * 3 + [[2.0, 1.0, 0.0, math.nan]], dtype=torch.float64)
    # R = 4: no d <= 0; one d >= 0; all of both; nothing
    assert intervals.paired_p(d)[:3].tolist() == [2 / 5, 4 / 5, 1.0]
    assert intervals.paired_p(d)[3].isnan()


def test_comparison_uses_the_same_weights_for_both():
    rng = np.random.default_rng(6)
    hard = rng.normal(size=60)  # frames differ far more than the models do
    first, second = torch.from_numpy(hard + 0.1), torch.from_numpy(hard + rng.normal(scale=0.05, size=60))
    got = intervals.compare(mean_of(first), mean_of(second), 60, resamples=500)
    assert got.difference.low.item() > 0
    assert got.p.item() == pytest.approx(2 / 501)
    assert got.p_adjusted.item() == got.p.item()
    same = intervals.compare(mean_of(first), mean_of(first), 60, resamples=500)
    assert same.p.item() == 1
    assert same.difference.low.item() == same.difference.high.item() == 0


def test_benjamini_hochberg_equals_scipy():
    p = np.random.default_rng(1).random(30) ** 3
    given = torch.from_numpy(np.concatenate([p[:10], [np.nan], p[10:]]))
    got = inference.benjamini_hochberg(given)
    assert got[10].isnan()
    kept = torch.cat([got[:10], got[11:]])
    np.testing.assert_allclose(kept, stats.false_discovery_control(p), rtol=1e-12)
    assert inference.benjamini_hochberg(torch.zeros(0, dtype=torch.float64)).shape == (0,)


def test_wrong_options():
    with pytest.raises(UnknownNameError, match="percentile and bca"):
        intervals.interval(mean_of(torch.ones(20)), 20, method="basic")
    with pytest.raises(UsageError, match="level"):
        intervals.interval(mean_of(torch.ones(20)), 20, level=95)
    with pytest.raises(UsageError, match="resamples"):
        intervals.interval(mean_of(torch.ones(20)), 20, resamples=0)
