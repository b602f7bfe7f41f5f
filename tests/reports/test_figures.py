"""Figures on known data: histograms, sparklines, numbers as text, extremes, crops."""

import numpy as np
import pandas as pd
import pytest

from gpu_quality.reports.columns import Column, Sheet, topic_of, topic_order
from gpu_quality.reports.figures import distribution, extremes, groups, issues
from gpu_quality.reports.histogram import histogram, sparkline
from gpu_quality.reports.html import Markup, tag
from gpu_quality.text import clean, counted, fingerprint, number, share


def column(name: str, unit: str = "level", **facts: object) -> Column:
    kinds = {"flag": "flag", "row": "group"}
    given = {"metric": name, "per": "frame", "bad": "neither", "bounds": None, "summary": "", "options": {}, "topic": "Color"}
    return Column(name=name, kind=kinds.get(unit, "number"), unit=unit, **{**given, **facts})  # type: ignore[arg-type]


def sheet(columns: dict[str, tuple[Column, object]]) -> Sheet:
    table = pd.DataFrame({name: values for name, (_, values) in columns.items()})
    table["frame"] = [f"{i:02d}" for i in range(len(table))]
    return Sheet("frame", {name: c for name, (c, _) in columns.items()}, table)


def test_histogram_counts_each_value_once_and_puts_the_largest_in_the_last_bin() -> None:
    found = histogram(np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 10]), 5)
    assert found is not None
    assert found.counts.tolist() == [2, 2, 2, 2, 2]
    assert (found.low, found.high, found.below, found.above) == (0, 10, 0, 0)


def test_histogram_is_not_flattened_by_an_outlier() -> None:
    values = np.concatenate([np.linspace(0, 1, 101), [1e6]])
    found = histogram(values, 10)
    assert found is not None
    assert found.above == 1
    assert found.high < 4
    assert found.counts.sum() == 102
    assert (found.counts[:2] > 20).all()


def test_histogram_of_equal_values_and_of_none() -> None:
    found = histogram(np.full(7, 3.0), 4)
    assert found is not None
    assert found.counts.tolist() == [0, 0, 7, 0]
    assert histogram(np.array([]), 4) is None


def test_histogram_keeps_a_threshold_inside_its_range() -> None:
    found = histogram(np.linspace(0.9, 1, 50), 10, 0.3)
    assert found is not None
    assert found.low == 0.3


def test_sparkline_shows_shape_blanks_and_single_values() -> None:
    values = np.array([0.0] * 80 + [1.0] + [9.9] * 40)
    assert sparkline(histogram(values, 10)) == "█▁       ▄"
    assert sparkline(None) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (float("nan"), "–"), (0.0, "0"), (3.0, "3"), (-2.5, "-2.5"), (1234.0, "1,234"), (0.123456, "0.1235"),
        (12345.678, "12,346"), (1_040_400.0, "1.04M"), (2.5e13, "25T"), (0.00001234, "1.2e-05"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


def test_shares_are_exact_only_where_they_are() -> None:
    assert [share(*pair) for pair in ((0, 9), (9, 9), (0, 0), (1, 100_000), (99_999, 100_000), (1, 3))] == [
        "0 %", "100 %", "0 %", "<0.1 %", "99.9 %", "33 %",
    ]  # fmt: skip
    assert counted(1, "frame") == "1 frame"
    assert counted(1200, "class", "classes") == "1,200 classes"
    assert fingerprint(-1) == "f" * 16
    assert fingerprint(10) == "000000000000000a"


def test_clean_leaves_letters_and_shows_what_steers() -> None:
    assert clean("שלום é 図.jpg") == "שלום é 図.jpg"
    assert clean("a\x1b]0;x\x07\r\n") == "a\\x1b]0;x\\x07\\x0d\\x0a"
    assert clean("\u202e\u2066\u200f") == "\\u202e\\u2066\\u200f"
    assert clean("\udcff") == "\\xff"
    assert clean("x" * 50 + ".jpg", 20) == "xxxxxx…xxxxxxxxx.jpg"


def test_tags_escape_text_and_attributes_but_not_markup() -> None:
    made = tag("p.a", "<b>", Markup("<i></i>"), attributes={"title": '"x" onload=1'})
    assert made == '<p class="a" title="&quot;x&quot; onload=1">&lt;b&gt;<i></i></p>'


def test_distribution_counts_nulls_and_ignores_infinity() -> None:
    values = pd.array([1, 2, None, 4], dtype="Int64")
    d = distribution(sheet({"x": (column("x"), values)}), column("x"), 4)
    assert (d.n, d.null, d.low, d.median, d.high) == (3, 1, 1.0, 2.0, 4.0)
    nothing = distribution(sheet({"x": (column("x"), [np.nan, np.inf])}), column("x"), 4)
    assert (nothing.n, nothing.null, nothing.histogram) == (0, 2, None)


def test_extremes_are_ordered_stable_and_without_nulls() -> None:
    data = sheet({"x": (column("x"), [3.0, np.nan, 1.0, 3.0, 1.0])})
    assert extremes(data, "x", "lowest", 3).tolist() == [2, 4, 0]
    assert extremes(data, "x", "highest", 9).tolist() == [0, 3, 2, 4]


def test_issues_are_sorted_by_frequency_and_their_frames_by_score() -> None:
    flag, score = column("is_dark_issue", "flag", options={"threshold": 0.3}), column("dark_score", bad="low")
    other = column("is_odd_issue", "flag")
    data = sheet(
        {
            "is_odd_issue": (other, [False, False, True]),
            "is_dark_issue": (flag, pd.array([True, None, True], dtype="boolean")),
            "dark_score": (score, [0.2, np.nan, 0.1]),
        }
    )
    dark, odd = issues(data)
    assert (dark.name, dark.rows.tolist(), dark.total, dark.threshold, dark.common) == ("dark", [2, 0], 2, 0.3, True)
    assert (odd.name, odd.rows.tolist(), odd.score, odd.common) == ("odd", [2], None, False)


def test_a_threshold_that_did_not_decide_is_not_told() -> None:
    flag, score = column("is_odd_size_issue", "flag", options={"threshold": 0.5}), column("odd_size_score", bad="low")
    flags, scores = [True, False, True], [0.9, 1.0, 0.1]
    found = issues(sheet({"is_odd_size_issue": (flag, flags), "odd_size_score": (score, scores)}))[0]
    assert (found.rows.tolist(), found.threshold) == ([2, 0], None), "where all sizes but some are equal, those are odd"


def test_groups_are_largest_first_and_told_once() -> None:
    exact = pd.array([0, 0, None, 3, 3, 3, None], dtype="Int64")
    near = pd.array([0, 0, 2, 3, 3, 3, 2], dtype="Int64")
    data = sheet({"a": (column("a", "row"), exact), "b": (column("b", "row"), near)})
    assert [g.members for g in groups(data)] == [((3, 4, 5), (0, 1)), ((2, 6),)]


def test_topics_follow_modules_and_own_metrics_come_last() -> None:
    topics = [
        topic_of(module) for module in ("gpu_quality_plugin_x", "gpu_quality.metrics.color", "gpu_quality.metrics.newest", "")
    ]
    assert topics == ["Your own metrics", "Color", "Newest", "Your own metrics"]
    assert topic_order({"Your own metrics", "Newest", "Color", "Issue scores"}) == [
        "Issue scores", "Color", "Newest", "Your own metrics",
    ]  # fmt: skip
