"""Exactness of what is derived from integer sums: up to 64 megapixels, against unbounded integers and other libraries."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
import skimage.measure
import torch

from gpu_quality.functional import hashing, statistics

LARGE = 64_000_000


def exact_variance(count: int, total: int, square: int) -> Fraction:
    return Fraction(count * square - total * total, count * count)


def near(got: float, want: Fraction, ulps: int = 4) -> bool:
    return abs(Fraction(got) - want) <= ulps * Fraction(math.ulp(float(want)))


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 3 * LARGE])
@pytest.mark.parametrize(("low", "high"), [(0, 255), (-1020, 1020), (-510, 510), (254, 255), (-1020, -1019)])
def test_variance_is_right_to_the_last_digits(count: int, low: int, high: int) -> None:
    rng = np.random.default_rng(count)
    for share in (0, 1, 1 / 2, 1 / count, *rng.random(20)):
        ones = min(count, round(share * count))
        total, square = ones * high + (count - ones) * low, ones * high**2 + (count - ones) * low**2
        got = statistics.variance(torch.tensor(count), torch.tensor(total), torch.tensor(square)).item()
        assert near(got, exact_variance(count, total, square)), (ones, got)


def test_the_obvious_float_formula_would_fail_this() -> None:
    count, low = 3 * LARGE, 254
    total, square = count * low + 1, count * low**2 + 2 * low + 1
    naive = square / count - (total / count) ** 2
    assert not near(naive, exact_variance(count, total, square), ulps=1000)
    got = statistics.variance(torch.tensor(count), torch.tensor(total), torch.tensor(square)).item()
    assert near(got, exact_variance(count, total, square))


def test_histograms_of_large_frames() -> None:
    rng = np.random.default_rng(0)
    values = rng.multinomial(3 * LARGE, rng.dirichlet(np.full(256, 0.3)))
    histogram = torch.tensor(values)[None]
    levels = [Fraction(v) for v in range(256)]
    mean = sum(int(c) * v for c, v in zip(values, levels, strict=True)) / Fraction(3 * LARGE)
    m2, m3, m4 = (sum(int(c) * (v - mean) ** k for c, v in zip(values, levels, strict=True)) / (3 * LARGE) for k in (2, 3, 4))
    assert math.isclose(statistics.mean(histogram).item(), mean, rel_tol=1e-15)
    assert math.isclose(statistics.variance(*statistics.power_sums(histogram)).item(), m2, rel_tol=1e-15)
    assert math.isclose(statistics.standardized_moment(histogram, 3).item(), float(m3) / float(m2) ** 1.5, rel_tol=1e-13)
    assert math.isclose(statistics.standardized_moment(histogram, 4).item(), float(m4 / m2**2), rel_tol=1e-13)
    assert statistics.mode(histogram).item() == int(values.argmax())
    below = np.cumsum(values)
    for percent in (1, 5, 25, 50, 75, 95, 99, 100):
        want = int(np.argmax(below * 100 >= percent * 3 * LARGE))
        assert statistics.percentile(histogram, percent).item() == want


@pytest.mark.parametrize("seed", range(5))
def test_against_other_libraries(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, rng.integers(1, 256), rng.integers(1, 400))
    histogram = torch.tensor(np.bincount(values, minlength=256))[None]
    assert statistics.entropy(histogram).item() == pytest.approx(skimage.measure.shannon_entropy(values), abs=1e-12)
    if np.ptp(values):
        assert statistics.standardized_moment(histogram, 3).item() == pytest.approx(scipy.stats.skew(values), abs=1e-12)
        assert statistics.standardized_moment(histogram, 4).item() - 3 == pytest.approx(scipy.stats.kurtosis(values), abs=1e-12)
    for percent in range(0, 101, 5):
        assert statistics.quantile(histogram, percent).item() == pytest.approx(np.percentile(values, percent), abs=1e-12)


def test_results_do_not_depend_on_other_rows() -> None:
    histogram = torch.tensor(np.random.default_rng(0).integers(0, 10**6, (130, 256)))
    for function in (statistics.entropy, statistics.mean, lambda h: statistics.standardized_moment(h, 3)):
        together = function(histogram)
        for row in (0, 63, 128, 129):
            assert torch.equal(function(histogram[row : row + 1]), together[row : row + 1])


def test_hamming_and_pack() -> None:
    rng = np.random.default_rng(0)
    bits = torch.tensor(rng.random((200, 64)) < 0.5)
    codes = hashing.pack(bits)
    for row, code in zip(bits.tolist(), codes.tolist(), strict=True):
        assert code % 2**64 == int("".join("01"[b] for b in row), 2)
    assert hashing.hamming(codes[:100], codes[100:]).tolist() == (bits[:100] ^ bits[100:]).sum(1).tolist()


def test_equal_rows() -> None:
    a, b = torch.tensor([1, 1, 2, 1, 1]), torch.tensor([0.5, 0.5, 0.5, 0.25, 0.5], dtype=torch.float64)
    take = torch.tensor([True, True, True, True, False])
    leader = hashing.equal_rows([a, b], take)
    assert leader.tolist() == [0, 0, 2, 3, 4]
    assert hashing.group_sizes(leader).tolist() == [2, 2, 1, 1, 1]
    assert hashing.group_sizes(torch.tensor([0, -1, 0, -1])).tolist() == [2, 1, 2, 1]
