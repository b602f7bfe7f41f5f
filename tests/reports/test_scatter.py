"""The drawing: every point is in it, nothing foreign becomes markup, bins count all, axes have round ticks."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from gpu_quality.api.scatter import Axis, Scatter
from gpu_quality.errors import UsageError
from gpu_quality.reports.scatter.axes import scale_of, shown, told
from gpu_quality.reports.scatter.page import FAR, NARROW, WIDE, marks, page, svg, write_scatter

EVIL = '<script>alert("x")</script>\u202e'


def made(n, *, groups=("a", "b", EVIL), seed=0, log=False):
    rng = np.random.default_rng(seed)
    x, y = np.exp(rng.normal(0, 2, n)), rng.normal(size=n)
    group = rng.integers(0, len(groups), n) if n else np.zeros(0, np.int64)
    ids = np.array([f"{EVIL}{i}" for i in range(n)], dtype=object)
    points = pd.DataFrame({"subject": ids, "frame": ids, "class": np.full(n, EVIL, dtype=object)})
    counted = [{"group": g, "n": int((group == i).sum()), "median_x": 0.0, "median_y": 1.0} for i, g in enumerate(groups)]
    facts = {"params": {"where": ""}, "n": n, "missing": 3, "spearman": 0.5 if n else None, "spearman_low": 0.4,
             "spearman_high": 0.6, "groups": counted}  # fmt: skip
    distance = np.where(rng.random(n) < 0.1, 1.5, 0.0)
    axes = Axis("m_x", "level", x, log), Axis(EVIL, "", y)
    return Scatter(*axes, "labels", "outcome", groups, group, points, distance, facts, ())


@pytest.mark.parametrize("layout", [WIDE, NARROW])
@pytest.mark.parametrize("log", [False, True])
def test_every_dot_is_drawn_inside(layout, log):
    data = made(700, log=log)
    root = ET.fromstring(svg(data, layout))
    dots = [path for path in root.iter("path") if path.get("class").startswith("dots")]
    places = [tuple(map(float, m)) for path in dots for m in re.findall(r"M([\d.]+) ([\d.]+)", path.get("d"))]
    assert len(places) == 700 + 3, "and a sign of each group in the legend"
    assert all(0 < x < layout.width and 0 < y < layout.height for x, y in places)
    assert len({path.get("class").split()[1] for path in dots}) == 3, "three shapes"
    texts = [text.text for text in root.iter("text")]
    assert sum(t.replace(".", "").replace("-", "").replace("k", "").isdigit() for t in texts if t) >= 6, "ticks"
    assert any("m_x (level" in t for t in texts)


def test_many_points_are_counted_in_squares():
    data = made(6000)
    text = page(data)
    assert 'class="bin"' in text
    assert "6,000 labels; 3 without a value of both are left out." in text
    bins = marks.binned(np.array([0.0, 0.01, 1.0, 0.5]), np.array([0.0, 0.01, 1.0, 0.5]), 4, 4)
    assert bins.counts.sum() == 4
    assert bins.counts[0, 0] == 2
    assert bins.level[0, 0] > bins.level[3, 3] > bins.level[0, 3] == 0
    root = ET.fromstring(svg(data, WIDE))
    rings = [path for path in root.iter("path") if "far" in path.get("class")]
    assert sum(path.get("d").count("M") for path in rings) == min(FAR, int((data.distance > 0).sum())) + 1
    counts = re.findall(r'<td class="number">([\d,]+)</td></tr>', text.split("<strong>Squares")[1].split("</table>")[0])
    assert sum(int(c.replace(",", "")) for c in counts) == 6000


def test_nothing_foreign_becomes_markup_and_nothing_is_loaded(tmp_path):
    for n in (20, 6000):
        write_scatter(made(n), tmp_path / "a.html")
        text = (tmp_path / "a.html").read_text()
        assert "<script" not in text
        assert "\u202e" not in text
        assert not re.search(r'(src|href)="(?!#)', text)
        assert "Content-Security-Policy" in text
        write_scatter(made(n), tmp_path / "a.SVG")
        ET.parse(tmp_path / "a.SVG")
        assert "<script" not in (tmp_path / "a.SVG").read_text()


def test_the_table_holds_the_points_outliers_first():
    text = page(made(80, groups=("",)))
    rows = text.split("<strong>Points")[1].count("<tr>") - 1
    assert rows == 80
    assert "There is nothing to draw" in page(made(0))


def test_other_endings_are_refused(tmp_path):
    (tmp_path / "d.html").mkdir()
    for name in ("a.png", "a", "d.html"):
        with pytest.raises(UsageError, match=r"ends in \.html or \.svg"):
            write_scatter(made(3), tmp_path / name)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (-3.2, 7.7), (0.2461, 0.2463), (1e6, 1.00001e6), (-1e-9, 1e-9), (0, 1e12), (5.0, 5.0)]
)
def test_ticks_are_round_and_on_the_axis(low, high):
    scale = scale_of(np.array([low, high]), log=False)
    ticks = scale.ticks(6)
    assert 2 <= len(ticks) <= 8
    assert all(scale.low <= t <= scale.high for t in ticks)
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0], rtol=1e-6)
    np.testing.assert_allclose(scale.value(scale.unit(np.array([low, high]))), [low, high], atol=abs(high) * 1e-9)


def test_powers_of_ten():
    assert scale_of(np.array([0.5, 2e5]), log=True).ticks(9) == pytest.approx([1, 10, 100, 1e3, 1e4, 1e5])
    assert scale_of(np.array([3.0, 40.0]), log=True).ticks(6) == pytest.approx([5, 10, 20])
    assert scale_of(np.array([-2e5, 3e3]), log=True, near=0.1).ticks(9) == [-1e5, -1e3, -10, 0, 10, 1e3]
    assert scale_of(np.array([0.0, 3e3]), log=True, near=0.1).ticks(9) == [0, 1, 10, 100, 1e3]
    assert [shown(v) for v in (1000, 12000, 3e6, 0.05, 0.0)] == ["1000", "12k", "3M", "0.05", "0"]


@pytest.mark.parametrize("near", [0.0, 1e-3, 10.0])
def test_places_go_back_to_values(near):
    values = np.array([1e-4, 1.0, 7e5]) if not near else np.array([-3e4, -1e-5, 0.0, 1e-4, 1.0, 7e5])
    scale = scale_of(values, log=True, near=near)
    places = scale.unit(values)
    assert (np.diff(places) > 0).all()
    assert (places > 0).all()
    assert (places < 1).all()
    np.testing.assert_allclose(scale.value(places), values, rtol=1e-9, atol=1e-12)


def test_ticks_have_the_digits_that_tell_them_apart():
    assert told([100000.0, 100010.0, 100020.0]) == ["100k", "100.01k", "100.02k"]
    assert told([5.0, 5.0000002]) == ["5", "5.0000002"]
    assert told([0.0, 0.5]) == ["0", "0.5"]
    assert told([2.5, 2.5]) == ["2.5", "2.5"]


def test_a_correlation_of_nothing_has_no_sign():
    data = made(5)
    data.facts.update(spearman=-0.001, spearman_low=None)
    assert "correlation 0.00." in page(data)


@pytest.mark.parametrize("layout", [WIDE, NARROW])
def test_long_ticks_end_inside_the_drawing(layout):
    data = made(50)
    drawn = svg(replace(data, x=replace(data.x, numbers=5 + 1e-9 * np.arange(50.0) / 49)), layout)
    ticks = re.findall(r'<text x="([\d.]+)"[^>]*text-anchor="middle"[^>]*>([^<]*)', drawn)
    assert max(len(text) for _, text in ticks) > 10
    assert all(float(x) + len(text) * 3.8 <= layout.width for x, text in ticks)
