"""Weak slices: what is planted is found, what is noise is not, and what is searched is all there is."""

import numpy as np
import pytest

from gpu_quality.analysis.weak_codes import numeric
from gpu_quality.analysis.weak_search import candidates
from gpu_quality.analysis.weak_slices import weak_slices
from gpu_quality.analysis.weak_tests import excess, p_value, units_of
from tests.reference.weak_slices import best


def data(seed, frames, rows, measures, *, rate=0.3, alike=0.2, planted=0.0):
    """Measures of rows and of frames in turn; `alike` is the correlation of failures in a frame."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(frames), rng.poisson(rows - 1, frames) + 1)
    n = len(unit)
    values = [rng.normal(size=frames)[unit] if i % 2 else rng.normal(size=n) for i in range(measures)]
    spread = (1 - alike) / alike if alike else None
    chance = rng.beta(rate * spread, (1 - rate) * spread, frames)[unit] if spread else np.full(n, rate)
    weak = (values[0] < np.quantile(values[0], 0.3)) & (values[1] < np.quantile(values[1], 0.3))
    failed = rng.random(n) < np.where(weak, np.minimum(chance + planted, 1), chance)
    return [numeric(f"m{i}", x) for i, x in enumerate(values)], failed, unit, weak


def test_a_planted_slice_is_found_and_described():
    features, failed, unit, weak = data(0, 600, 8, 8, planted=0.5)
    found = weak_slices(features, failed, unit)
    first = found.slices[0]
    assert {term.name for term in first.terms} == {"m0", "m1"}
    assert all(" below " in term.words for term in first.terms)
    assert weak[first.rows].mean() > 0.9
    assert weak[first.rows].sum() > 0.8 * weak.sum()
    assert first.failures == failed[first.rows].sum()
    assert first.rest == len(failed) - len(first.rows)
    assert first.rest_failures == failed.sum() - first.failures
    assert first.excess == pytest.approx(first.failures - len(first.rows) * first.rest_failures / first.rest)
    assert first.p_adjusted < 1e-6
    assert 0.3 < first.checked[0] / len(first.rows) < 0.7
    assert [one.excess for one in found.slices] == sorted((one.excess for one in found.slices), reverse=True)
    for a, b in ((a, b) for a in found.slices for b in found.slices if a is not b):
        both = len(np.intersect1d(a.rows, b.rows))
        assert both / (len(a.rows) + len(b.rows) - both) < 0.5


@pytest.mark.parametrize(("rate", "alike"), [(0.4, 0.0), (0.3, 0.3), (0.9, 0.3), (0.08, 0.2)])
def test_noise_has_no_weak_slices(rate, alike):
    """At most one run in twenty may find something: of 25 runs more than four are as rare as one in 30."""
    runs = (weak_slices(*data(seed, 60, 6, 8, rate=rate, alike=alike)[:3], seed=seed) for seed in range(25))
    assert sum(bool(found.slices) for found in runs) <= 4


def test_rows_of_an_image_are_no_strangers():
    """A measure of frames that goes with nothing, where whole frames fail: as independent rows it would look weak."""
    rng = np.random.default_rng(5)
    unit = np.repeat(np.arange(40), 50)
    failed = (rng.random(40) < 0.5)[unit]
    features = [numeric(f"m{i}", rng.normal(size=40)[unit]) for i in range(10)]
    assert not weak_slices(features, failed, unit).slices
    assert weak_slices(features, failed, np.arange(len(unit))).slices


def test_p_values_of_noise_are_no_smaller_than_they_should_be():
    p = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        unit = np.repeat(np.arange(40), 6)
        chance = rng.beta(2, 3, 40)[unit]
        failed = rng.random(240) < chance
        inside = (rng.random(40) < 0.3)[unit] if seed % 2 else rng.random(240) < 0.2
        n, k = (np.bincount(unit[rows], minlength=40) for rows in (inside, inside & failed))
        p.append(p_value(*excess(units_of(np.bincount(unit), np.bincount(unit[failed], minlength=40)), n, k)))
    assert 0.005 < np.mean(np.array(p) < 0.05) < 0.08
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.12)


def test_a_slice_in_two_images_is_not_tested():
    n, failures = np.array([50, 50, 50, 50]), np.array([50, 50, 0, 0])
    assert p_value(*excess(units_of(n, failures), np.array([50, 50, 0, 0]), failures)) == 1
    assert excess(units_of(n, failures), np.zeros(4, int), np.zeros(4, int)) == (0, 0)


def test_failures_of_a_unit_that_are_all_the_same_are_alike():
    assert units_of(np.full(20, 5), np.repeat([0, 5], 10)).alike == pytest.approx(1, abs=0.01)
    assert units_of(np.full(2000, 1), np.arange(2000) % 2).alike == 0
    rng = np.random.default_rng(0)
    assert units_of(np.full(4000, 5), rng.binomial(5, 0.4, 4000)).alike < 0.03


@pytest.mark.parametrize("seed", range(4))
def test_the_search_is_complete(seed):
    """The best range and the best pair of ranges are those of a search that looks at every one, row by row."""
    features, failed, _, _ = data(seed, 60, 3, 3, planted=0.5, alike=0.0)
    found = candidates(features, failed.astype(np.uint8), [1.0] * 3, halves=1, least=10, most=50)[0]
    single, pair = best(features, failed, 10)
    assert max(one.score for one in found if len(one.place) == 1) == pytest.approx(single)
    assert max((one.score for one in found if len(one.place) == 2), default=-np.inf) == pytest.approx(pair)


def test_a_short_list_holds_the_best():
    features, failed, _, _ = data(1, 100, 5, 6, planted=0.5)
    part = failed.astype(np.uint8)
    long, short = (candidates(features, part, [1.0] * 6, halves=1, least=10, most=most)[0] for most in (1000, 5))
    for measures in (1, 2):
        first, few = ([one for one in some if len(one.place) == measures] for some in (long, short))
        assert [one.score for one in few] == pytest.approx([one.score for one in first][:5])


def test_the_same_seed_finds_the_same():
    given = data(2, 200, 6, 5, planted=0.4)[:3]
    one, two = weak_slices(*given, seed=3), weak_slices(*given, seed=3)
    assert [some.terms for some in one.slices] == [some.terms for some in two.slices]
    assert [some.p for some in one.slices] == [some.p for some in two.slices]


def test_the_names_of_units_do_not_matter():
    features, failed, unit, _ = data(2, 200, 6, 5, planted=0.4)
    again = weak_slices(features, failed, unit * 7 + 3)
    assert [one.terms for one in again.slices] == [one.terms for one in weak_slices(features, failed, unit).slices]


def test_slices_that_say_the_same_are_one():
    features, failed, unit, weak = data(3, 400, 8, 4, planted=0.5)
    rng = np.random.default_rng(0)
    twin = numeric("twin", -weak.astype(float) + 0.01 * rng.normal(size=len(weak)))
    found = weak_slices([*features, twin], failed, unit)
    assert found.slices[0].terms[0].name == "twin"
    assert len(found.slices[0].also) >= 1


@pytest.mark.parametrize(
    ("frames", "rows", "failing", "message"),
    [
        (20, 2, 0.5, "rows, 50 needed"),
        (10, 20, 0.5, "rows of 10 images or sequences, 20 needed"),
        (100, 5, 0.0, "0 failures among"),
        (100, 5, 1.0, "0 successes among"),
    ],
)
def test_too_little_data_gives_a_sentence(frames, rows, failing, message):
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(frames), rows)
    failed = rng.random(len(unit)) < failing
    found = weak_slices([numeric("x", rng.normal(size=len(unit)))], failed, unit)
    assert found.slices == ()
    assert message in found.message


def test_no_measures():
    failed = np.arange(200) % 2 == 0
    assert "no measure" in weak_slices([], failed, np.arange(200)).message
