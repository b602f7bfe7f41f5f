"""Values computed elsewhere: worked values, explicit levels, and the slow obvious twin of the roll-up."""

import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_quality.analysis.custom import AGGREGATIONS, add_counts, aggregate, over, rates, roll_up

mean, total = partial(aggregate, how="ARITHMETIC_MEAN"), partial(aggregate, how="SUM")


@pytest.mark.parametrize(
    ("how", "expected"), [*zip(AGGREGATIONS, [3.5, 3.4641016151377544, 3.4285714285714284, 7.0], strict=True)]
)
def test_worked_values(how, expected):
    assert aggregate([4, 3], how) == pytest.approx(expected, rel=1e-15)
    assert aggregate([], how) is None
    assert aggregate([3.0], how) == 3.0


@pytest.mark.parametrize(("how", "expected"), [*zip(AGGREGATIONS, [2.0, 0.0, 0.0, 4.0], strict=True)])
def test_a_zero_among_the_values(how, expected):
    assert aggregate([4.0, 0.0], how) == expected


def test_counts_are_added_before_rates_are_taken():
    assert add_counts([(6, 2, 0, 4), (0, 0, 9, 0)]) == (6, 2, 9, 4)
    assert add_counts([]) is None
    assert rates((6, 2, 9, 4)) == {"precision": 0.75, "recall": 0.6, "f1": 12 / 18}
    assert rates((0, 0, 5, 0)) == {"precision": None, "recall": None, "f1": None}
    assert rates((0, 1, 0, 0)) == {"precision": 0.0, "recall": None, "f1": 0.0}


def test_dog_and_cat_make_a_row():
    entries = [(0, "dog", None, 4.0), (0, "cat", None, 3.0)]
    assert roll_up(entries, total).rows == {0: 7.0}
    assert roll_up(entries, mean).rows == {0: 3.5}


def test_a_value_given_on_a_level_replaces_what_lies_below_for_its_frame_alone():
    entries = [
        (0, "dog", "poodle", 1.0),
        (0, "dog", "boxer", 3.0),
        (0, "cat", None, 6.0),
        (1, "dog", "poodle", 5.0),
        (1, "dog", None, 9.0),  # instead of 5
        (2, "dog", None, 8.0),
        (2, None, None, 1.0),  # instead of 8
    ]
    levels = roll_up(entries, mean)
    assert levels.classes == {"dog": {0: 2.0, 1: 9.0, 2: 8.0}, "cat": {0: 6.0}}
    assert levels.rows == {0: 4.0, 1: 9.0, 2: 1.0}
    assert over(levels.rows, mean) == pytest.approx(14 / 3)
    assert over(levels.rows, mean, frames={0, 2}) == 2.5
    assert over(levels.rows, mean, frames={7}) is None
    assert over(levels.classes["cat"], mean) == 6.0  # frames without a cat are skipped, not 0


names = st.one_of(st.none(), st.sampled_from("ab"))
keys = st.tuples(st.integers(0, 2), names, names).filter(lambda key: key[1] is not None or key[2] is None)


@given(st.dictionaries(keys, st.floats(0, 1e8), max_size=20), st.sampled_from(AGGREGATIONS))
def test_the_roll_up_is_the_obvious_one(values, how):
    found = roll_up([(*key, value) for key, value in values.items()], partial(aggregate, how=how))
    for frame in range(3):
        of_classes = []
        for feature in "ab":
            nested = [values[frame, feature, s] for s in "ab" if (frame, feature, s) in values]
            value = values.get((frame, feature, None), aggregate(nested, how))
            assert found.classes.get(feature, {}).get(frame) == value
            of_classes += [] if value is None else [value]
        expected = values.get((frame, None, None), aggregate(of_classes, how))
        got = found.rows.get(frame)
        assert got == expected or (expected is not None and math.isclose(got, expected, rel_tol=1e-12))
