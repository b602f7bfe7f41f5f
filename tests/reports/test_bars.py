"""Bars and rates as drawings: inside their axis, and nothing drawn where nothing is known."""

from gpu_quality.reports.why.bars import chance, end_of, interval_bar, rate_chart, signed_bar

NAN = float("nan")


def test_bars_stay_inside_their_axis() -> None:
    assert end_of([0.04, NAN]) == 0.05
    assert end_of([0.31]) == 0.5
    assert end_of([]) == 1.0
    assert 'width="50.0"' in interval_bar(0.25, 0.2, 0.3, 0.5, sure=True)
    assert "unsure" in interval_bar(0.25, NAN, NAN, 0.5, sure=False)
    assert "whisker" not in interval_bar(0.25, NAN, NAN, 0.5, sure=False)
    assert 'x="25.0"' in signed_bar(-0.5)
    assert "rect.bars" not in signed_bar(NAN)
    assert chance(0.0) == "< 0.000001"
    empty = {"low": 0.0, "high": 1.0, "n": 0, "rate": None, "rate_low": None, "rate_high": None, "marked": False}
    assert "in 1 bin, mean 0.5; 0 differ" in rate_chart("x", "recall", [empty], 0.5)
