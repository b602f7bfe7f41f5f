"""The separating value: the same as by looking at all thresholds, p-values that are right, intervals, words."""

from itertools import permutations

import numpy as np
import pytest
from reference import performance as obvious
from scipy import stats

from gpu_quality.analysis import performance_split
from gpu_quality.analysis.performance_split import best_split, between, bound, exact, newcombe
from gpu_quality.errors import UsageError

CASES = {
    "smooth": (1.0, 90),
    "tied": (0.5, 400),
    "coarse": (2.0, 250),
}


@pytest.mark.parametrize("by_frame", [False, True])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", CASES)
def test_it_is_the_best_of_all_thresholds(kind: str, seed: int, by_frame: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance_split, "PERMUTATIONS", 1)
    step, n = CASES[kind]
    rng = np.random.default_rng([seed, n])
    units = rng.integers(0, n // 4, n) if by_frame else np.arange(n)
    x = np.round(rng.normal(size=n) / step) * step if kind != "smooth" else rng.normal(size=n)
    x[rng.random(n) < 0.1] = np.nan
    x = x[units]
    hit = rng.random(n) < np.where(x < 0.3, 0.4, 0.7)
    found = best_split(x, hit, units=units if by_frame else None)
    slow = obvious.statistics(obvious.grouped(x, hit, units))
    assert found is not None
    assert found.looked_at == len(slow)
    assert found.z == pytest.approx(max(map(abs, slow.values())))
    at = max(slow, key=lambda value: abs(slow[value]))
    assert found.side == ("below" if slow[at] < 0 else "above")
    worse = x < found.threshold if found.side == "below" else x > found.threshold
    known = ~np.isnan(x)
    assert (worse == ((x <= at) if found.side == "below" else (x > at))).all()
    assert (found.n, found.successes) == (worse.sum(), hit[worse].sum())
    assert (found.other_n, found.other_successes) == ((known & ~worse).sum(), hit[known & ~worse].sum())
    assert found.difference == pytest.approx(hit[worse].mean() - hit[known & ~worse].mean())
    assert found.difference < 0 <= found.cohen_h
    assert found.difference_low < found.difference < found.difference_high


def test_a_planted_threshold_is_found_with_its_effect() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(4000)
    hit = rng.random(4000) < np.where(x < 0.23, 0.31, 0.62)
    found = best_split(x, hit)
    assert found is not None
    assert (found.side, found.p, found.p_from) == ("below", 0.001, "permutations")
    assert found.threshold == pytest.approx(0.23, abs=0.01)
    assert found.difference == pytest.approx(-0.31, abs=0.05)
    assert found.difference_low < -0.31 < found.difference_high
    assert found.cohen_h == pytest.approx(2 * (np.arcsin(np.sqrt(0.62)) - np.arcsin(np.sqrt(0.31))), abs=0.1)
    mirrored = best_split(-x, hit)
    assert mirrored is not None
    assert (mirrored.side, mirrored.n, mirrored.successes) == ("above", found.n, found.successes)
    said = found.sentence("brightness", "recall", "labels")
    assert said == (
        f"below brightness {exact(found.threshold)}: recall {found.rate:.2f} against {found.other_rate:.2f} "
        f"({found.n:,} of 4,000 labels)"
    )


def test_what_may_be_chance_is_said_so() -> None:
    rng = np.random.default_rng(1)
    found = best_split(rng.random(300), rng.random(300) < 0.5)
    assert found is not None
    assert found.p > 0.05
    assert found.sentence("hue", "recall", "labels").startswith("no value of hue surely separates; the best, ")


def test_p_is_uniform_where_nothing_separates() -> None:
    p = []
    for seed in range(300):
        rng = np.random.default_rng([5, seed])
        found = best_split(np.round(rng.normal(size=80), 1), rng.random(80) < 0.6)
        p.append(1.0 if found is None else found.p)
    assert stats.binomtest(sum(value <= 0.05 for value in p), 300, 0.05).pvalue > 0.001
    assert stats.binomtest(sum(value <= 0.5 for value in p), 300, 0.5).pvalue > 0.001


def test_frames_that_stand_or_fall_together_are_no_proof() -> None:
    """Rows of a frame share metric and outcome: 40 frames of 25 rows are 40 observations."""
    by_row, by_frame, apart = [], [], []
    for seed in range(60):
        rng = np.random.default_rng([6, seed])
        frame = np.repeat(np.arange(40), 25)
        x, hit = rng.random(40)[frame], (rng.random(40) < 0.5)[frame]
        whole, single = best_split(x, hit, units=frame), best_split(x, hit)
        assert whole is not None
        assert single is not None
        by_frame.append(whole.p <= 0.05)
        by_row.append(single.p <= 0.05)
        apart.append((whole.difference_high - whole.difference_low) / (single.difference_high - single.difference_low))
    assert sum(by_frame) <= 9
    assert sum(by_row) >= 55
    assert np.median(apart) > 3


def test_p_of_few_frames_is_that_of_all_orders() -> None:
    x, n, k = np.arange(6.0), [12, 30, 8, 25, 14, 11], [3, 20, 1, 20, 12, 10]
    units = np.repeat(np.arange(6), n)
    hit = np.concatenate([np.arange(size) < good for size, good in zip(n, k, strict=True)])
    found = best_split(x[units], hit, units=units)
    assert found is not None
    reached = 0
    for order in permutations(range(6)):
        z = obvious.statistics([(float(i), n[u], k[u]) for i, u in enumerate(order)], x.tolist())
        reached += max(map(abs, z.values()), default=0.0) >= found.z * (1 - 1e-9)
    assert found.p == pytest.approx(reached / 720, abs=0.05)
    assert found.units == 6


def test_the_bound_of_many_rows_holds_and_is_not_far_off() -> None:
    rng = np.random.default_rng(2)
    left = np.arange(25, 476)
    around = rng.normal(size=(4000, 500))
    around -= around.mean(1, keepdims=True)
    z = [np.abs(performance_split._z(np.cumsum(e)[left - 1], left, e)).max() for e in around]
    for size in (2.5, 2.8, 3.2):
        share = float(np.mean(np.array(z) >= size))
        limit = bound(size, left, 500)
        assert share * 0.85 <= limit <= share * 2
    two = bound(2.5, [100, 400], 500)
    assert two == pytest.approx(2 * 2 * stats.norm.sf(2.5)), "few thresholds: Bonferroni"
    assert bound(0.5, left, 500) == 1
    assert bound(60.0, left, 500) == 0


def test_above_ten_thousand_units_p_is_the_bound() -> None:
    rng = np.random.default_rng(3)
    x = rng.random(10_001)
    found = best_split(x, rng.random(10_001) < np.where(x > 0.9, 0.5, 0.6))
    assert found is not None
    assert (found.p_from, found.side) == ("bound", "above")
    assert 0 < found.p < 1e-4
    assert found.p == bound(found.z, np.arange(501, 9501), 10_001)


def test_newcombe() -> None:
    assert newcombe((56, 48), (70, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)  # his table II
    assert newcombe((9, 3), (10, 10)) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    for k1, n1, k2, n2 in ((5, 20, 30, 40), (1, 25, 24, 25), (100, 300, 20, 90)):
        assert newcombe((k1, k2), (n1, n2)) == pytest.approx(obvious.newcombe(k1, n1, k2, n2))
    wide, narrow = newcombe((50, 70), (100, 100), 4.0), newcombe((50, 70), (100, 100))
    assert wide == pytest.approx(obvious.newcombe(12.5, 25, 17.5, 25))
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


@pytest.mark.parametrize(
    ("low", "high", "below", "expected"),
    [
        (0.2284, 0.2341, True, 0.23),
        (16, 17, True, 17),
        (16, 17, False, 16),
        (0.1, 0.3, True, 0.2),
        (-3.0, 5.0, False, -3.0),
        (-3.5, 5.5, False, 1.0),
        (1.0, np.nextafter(1.0, 2), True, np.nextafter(1.0, 2)),
        (np.nextafter(1.0, 0), 1.0, False, np.nextafter(1.0, 0)),
        (1e-9, 4e-7, True, 2e-7),
        (0, 1, False, 0),
    ],
)
def test_thresholds_are_short_and_separate(low: float, high: float, below: bool, expected: float) -> None:
    value = between(float(low), float(high), below=below)
    assert value == expected
    assert (low < value <= high) if below else (low <= value < high)
    assert float(exact(value)) == value
    assert not exact(value).endswith(".0")


def test_no_threshold_is_possible() -> None:
    rng = np.random.default_rng(4)
    assert best_split([], []) is None
    assert best_split([np.nan] * 50, np.ones(50)) is None
    assert best_split(np.ones(500), rng.random(500) < 0.5) is None, "constant"
    assert best_split(rng.random(500), np.ones(500)) is None, "never wrong"
    assert best_split(rng.random(39), rng.random(39) < 0.5) is None, "39 rows have no two sides of 20"
    assert best_split(np.arange(40), np.arange(40) >= 20) is not None
    x = np.arange(1000.0) < 49
    assert best_split(x, rng.random(1000) < 0.5) is None, "4.9 %"
    assert best_split(np.arange(1000.0) < 50, rng.random(1000) < 0.5) is not None


def test_refusals() -> None:
    for arguments, units, message in (
        (([1, 2], [1]), None, "success has 1 rows"),
        (([1, 2], [1, 2]), None, "0 or 1"),
        (([1, 2], [1, np.nan]), None, "0 or 1"),
        (([1, 2], [1, 0]), [1], "units has 1 rows"),
        (([1, 2], [1, 0]), ["a", "a"], "differs within a unit"),
        ((["a", "b"], [1, 0]), None, "not numeric"),
    ):
        with pytest.raises(UsageError, match=message):
            best_split(*arguments, units=units)
