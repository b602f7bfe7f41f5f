"""Neighbor sums of ranked rows: compiled against plain, plain against the definition, and what permutations leave alone."""

import numpy as np
import pytest
from reference.importance import neighbor_counts

from gpu_quality.kernels import ranks
from gpu_quality.kernels.ranks import cpu, reference
from gpu_quality.kernels.ranks.coding import UNIT, digammas, encoded, hashed, information
from gpu_quality.kernels.threads import set_threads

SIZES = [(4, 1), (8, 2), (60, 2), (500, 2), (300, 11), (40, 14)]


def rows(n: int, levels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels (each at least twice), codes in order and rows per level."""
    rng = np.random.default_rng(seed)
    level = np.concatenate([np.repeat(np.arange(levels), 2), rng.integers(0, levels, n)])[: max(n, 2 * levels)]
    level = rng.permutation(level)
    return level, encoded(level, hashed(np.arange(len(level)), seed)), np.bincount(level, minlength=levels)


@pytest.mark.parametrize(("n", "levels"), SIZES)
def test_counts_are_those_of_all_distances(n: int, levels: int) -> None:
    level, code, count = rows(n, levels)
    table = digammas(len(level))
    fine = (hashed(np.arange(len(level)), 0) & np.uint64((1 << 20) - 1)).astype(np.int64)
    expected = int(table[neighbor_counts((np.arange(len(level)) << 20) + fine, level)].sum())
    assert reference.neighbor_sum(code, count, table) == expected
    assert ranks.neighbor_sum(code, count, table) == expected


def test_equal_spacing_is_counted_strictly() -> None:
    level = np.tile([0, 1], 20)
    code, count = level.astype(np.uint32), np.bincount(level)  # all fine positions 0: distances tie
    table = np.arange(42, dtype=np.int64)  # the sum is then the sum of the counts
    expected = int(neighbor_counts(np.arange(40) << 20, level).sum())
    assert cpu.neighbor_sum(code, count, table) == reference.neighbor_sum(code, count, table) == expected


def test_fine_positions_at_their_ends() -> None:
    level = np.tile([0, 0, 1], 9)
    fine = np.where(np.arange(27) % 2, (1 << 20) - 1, 0).astype(np.uint32)
    code, count = fine << np.uint32(12) | level.astype(np.uint32), np.bincount(level)
    table = digammas(27)
    expected = int(table[neighbor_counts((np.arange(27) << 20) + fine.astype(np.int64), level)].sum())
    assert cpu.neighbor_sum(code, count, table) == reference.neighbor_sum(code, count, table) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_permuted_rows_are_the_plain_ones(threads: int) -> None:
    level, code, count = rows(90, 3)
    middle = np.stack([2 * np.arange(len(level)) - len(level) + 1, np.repeat([-45, 45], 45)]).astype(np.int32)
    score = np.random.default_rng(1).normal(size=len(level))
    given = (code, middle, score, count, digammas(len(level)))
    set_threads(threads)
    try:
        totals, products = ranks.permuted_rows(*given, permutations=7, seed=5)
    finally:
        set_threads(None)
    expected = reference.permuted_rows(*given, permutations=7, seed=5)
    np.testing.assert_array_equal(totals, expected[0])
    np.testing.assert_allclose(products, expected[1], rtol=1e-12, atol=1e-9)
    assert len(set(totals)) == 7


@pytest.mark.parametrize("levels", [2, 5])
def test_scores_of_levels_need_no_order_of_their_own(levels: int) -> None:
    level, code, count = rows(1300, levels)  # more than two blocks of random numbers
    middle = (2 * np.arange(len(level)) - len(level) + 1).astype(np.int32)[None]
    own = np.random.default_rng(2).normal(size=levels)[level]
    for score in (own, np.where(np.arange(len(level)) == 7, 0.0, own)):  # the second: not one score per level
        given = (code, middle, score, count, digammas(len(level)))
        totals, products = ranks.permuted_rows(*given, permutations=3, seed=6)
        expected = reference.permuted_rows(*given, permutations=3, seed=6)
        np.testing.assert_array_equal(totals, expected[0])
        np.testing.assert_allclose(products, expected[1], rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("values", [1, 3, 25])
def test_permuted_units_are_the_plain_ones(values: int) -> None:
    _, code, count = rows(200, 2)
    rng = np.random.default_rng(2)
    unit = np.concatenate([np.arange(25), rng.integers(0, 25, 175)]).astype(np.int32)
    group = np.sort(np.arange(25) % values).astype(np.int32)
    given = (code, unit, group, rng.normal(size=25), count, digammas(200))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = reference.permuted_units(*given, permutations=6, seed=1)
        for part, whole in zip(ranks.permuted_units(*given, permutations=2, seed=1, first=4), expected, strict=True):
            np.testing.assert_allclose(part, whole[4:], rtol=1e-12)
    totals, covariances = ranks.permuted_units(*given, permutations=6, seed=1)
    np.testing.assert_array_equal(totals, expected[0])
    if values > 1:
        np.testing.assert_allclose(covariances, expected[1], rtol=1e-9, atol=1e-9)
    assert (len(set(totals)) == 1) is (values == 1)


@pytest.mark.parametrize("levels", [2, 9])
def test_half_samples_are_the_plain_ones(levels: int) -> None:
    _, code, _ = rows(120, levels)
    unit = (np.arange(120) // 3).astype(np.int32)
    given = (code, unit, digammas(120))
    options = {"units": 40, "levels": levels, "samples": 9, "seed": 4}
    np.testing.assert_allclose(ranks.halves(*given, **options), reference.halves(*given, **options), rtol=0, atol=1e-12)


def test_half_samples_with_one_level_are_undefined() -> None:
    code = encoded(np.zeros(20, np.int64), hashed(np.arange(20), 0))
    out = ranks.halves(code, np.arange(20, dtype=np.int32), digammas(20), units=20, levels=1, samples=3, seed=0)
    assert np.isnan(out).all()


def test_half_samples_have_half_the_units_each_as_often_as_the_other() -> None:
    drawn = np.zeros(10)
    for r in range(2000):
        chosen, needed = np.zeros(10, bool), 5
        for i, number in enumerate(reference.draws(0, r, np.arange(10, 0, -1))):
            chosen[i] = number < needed
            needed -= int(chosen[i])
        assert chosen.sum() == 5
        drawn += chosen
    assert np.abs(drawn / 2000 - 0.5).max() < 0.05


def test_permutations_are_uniform() -> None:
    seen = np.bincount([int("".join(map(str, reference.shuffled(3, 0, r))), 4) for r in range(3000)])
    assert (seen > 0).sum() == 6
    assert np.abs(seen[seen > 0] / 3000 - 1 / 6).max() < 0.03


def test_table_is_the_digamma_function() -> None:
    from scipy.special import digamma

    np.testing.assert_allclose(digammas(5000)[1:] / UNIT, digamma(np.arange(1, 5002)), rtol=0, atol=1e-10)


def test_information_of_a_fully_sorted_outcome_is_its_entropy() -> None:
    level = np.repeat([0, 1], 500)
    code, count, table = encoded(level, hashed(np.arange(1000), 0)), np.bincount(level), digammas(1000)
    mutual, entropy = information(count, ranks.neighbor_sum(code, count, table), table)
    assert entropy == pytest.approx(np.log(2), abs=1e-3)
    assert mutual / entropy > 0.99


def test_too_many_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="4096 levels"):
        encoded(np.array([4096]), hashed(np.arange(1), 0))
