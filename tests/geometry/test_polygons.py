"""Areas against shapely and known figures, pixel runs against loops over pixel centers."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.geometry import polygons
from gpu_quality.geometry.polygons import Outlines, offsets
from tests.reference.geometry import Point, polygon_pixels

Rings = list[list[Point]]
SQUARE = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)]
HOLE = [(2.0, 2.0), (2.0, 6.0), (6.0, 6.0), (6.0, 2.0)]
BOW_TIE = [(0.0, 0.0), (8.0, 8.0), (8.0, 0.0), (0.0, 8.0)]
STAR = [(50.0, 0.0), (80.0, 90.0), (0.0, 35.0), (100.0, 35.0), (20.0, 90.0)]


def outlines(shapes: list[Rings]) -> Outlines:
    rings = [ring for shape in shapes for ring in shape]
    values = np.array([v for ring in rings for point in ring for v in point], np.float64)
    count, length = [len(s) for s in shapes], [2 * len(r) for r in rings]
    return Outlines(offsets(np.array(count, np.int64)), offsets(np.array(length, np.int64)), values)


def drawn(shapes: list[Rings], width: int, height: int) -> np.ndarray:
    n = len(shapes)
    out = np.zeros((n, height, width), int)
    who, y, x0, x1 = polygons.spans(outlines(shapes), np.full(n, height), np.full(n, width))
    assert sorted(zip(who, y, x0, strict=True)) == list(zip(who, y, x0, strict=True))
    for i, j, a, b in zip(who, y, x0, x1, strict=True):
        assert a < b
        out[i, j, a:b] += 1
    return out


point = st.tuples(*[st.integers(-8, 28).map(lambda v: v / 2)] * 2)
ring = st.lists(point, min_size=3, max_size=8)
shape = st.lists(ring, min_size=1, max_size=3)


@given(st.lists(shape, max_size=3))
@settings(max_examples=60, deadline=None)
def test_runs_are_the_pixels_with_their_center_inside(shapes: list[Rings]) -> None:
    found = drawn(shapes, 10, 12)
    for rings, pixels in zip(shapes, found, strict=True):
        assert pixels.tolist() == polygon_pixels(rings, 10, 12)


def test_many_edges_are_computed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    shapes = [[[tuple(p) for p in rng.uniform(-5, 45, (9, 2))]] for _ in range(8)]
    whole = drawn(shapes, 40, 40)
    monkeypatch.setattr(polygons, "_PAIRS", 50)
    assert np.array_equal(drawn(shapes, 40, 40), whole)
    assert whole.any()


@pytest.mark.parametrize(
    ("rings", "area"),
    [
        ([SQUARE], 100.0),
        ([SQUARE[::-1]], 100.0),
        ([SQUARE, HOLE], 84.0),
        ([HOLE, SQUARE], 84.0),
        ([SQUARE, SQUARE], 0.0),
        ([SQUARE, [(x + 20, y) for x, y in SQUARE]], 200.0),
        ([SQUARE, [(x + 5, y) for x, y in SQUARE]], 100.0),
        ([BOW_TIE], 32.0),
        ([BOW_TIE, HOLE], 32.0),
        ([[(1.0, 1.0)] * 3], 0.0),
        ([[(0.0, 0.0), (5.0, 5.0), (9.0, 9.0)]], 0.0),
        ([[*SQUARE, SQUARE[0]]], 100.0),
    ],
)
def test_even_odd_area(rings: Rings, area: float) -> None:
    assert polygons.areas(outlines([[SQUARE], rings])).tolist() == pytest.approx([100.0, area], abs=1e-9)


def test_the_middle_of_a_five_pointed_star_is_outside() -> None:
    lines = shapely.node(shapely.linestrings([*STAR, STAR[0]]))
    faces = list(shapely.get_parts(shapely.polygonize([lines])))
    tips = [f.area for f in faces if len(f.exterior.coords) == 4]
    assert len(faces) == 6
    assert polygons.areas(outlines([[STAR]]))[0] == pytest.approx(sum(tips), rel=1e-12)


def test_faces_are_asked_about_edges_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scribble of a thousand points has 80,000 faces: all of them times all edges would be gigabytes."""
    scribble = [tuple(p) for p in np.random.default_rng(2).uniform(0, 100, (40, 2)).tolist()]
    whole, asked, odd = polygons.areas(outlines([[scribble]])), [], polygons._odd
    monkeypatch.setattr(polygons, "_PAIRS", 1000)
    monkeypatch.setattr(polygons, "_odd", lambda point, a, b: asked.append(len(point) * len(a)) or odd(point, a, b))
    assert polygons.areas(outlines([[scribble]])) == whole
    assert len(asked) > 3
    assert max(asked) <= 1000


@pytest.mark.parametrize("tiny", [5e-324, 1e-310])
def test_edges_that_are_hardly_longer_than_zero(tiny: float) -> None:
    """Their slopes overflow; a warning is an error here, and would be one in the log of a user."""
    flat = [(0.0, 0.0), (tiny, tiny), (tiny, 0.0), (0.0, tiny)]
    bow_tie = [*BOW_TIE, (tiny, 2 * tiny)]
    assert polygons.areas(outlines([[flat], [bow_tie]])).tolist() == pytest.approx([0, 32], abs=1e-9)


@given(shape)
@settings(max_examples=80, deadline=None)
def test_area_is_that_of_the_faces_inside(rings: Rings) -> None:
    lines = [shapely.linestrings([*r, r[0]]) for r in rings]
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(shapely.union_all(lines))))
    expected = 0.0
    for face in faces:
        x, y = shapely.get_coordinates(shapely.point_on_surface(face))[0]
        crossings = sum(
            (ay <= y) != (by <= y) and ax + (y - ay) / (by - ay) * (bx - ax) > x
            for r in rings
            for (ax, ay), (bx, by) in zip(r, [*r[1:], r[0]], strict=True)
        )
        expected += face.area * (crossings % 2)
    assert polygons.areas(outlines([rings]))[0] == pytest.approx(expected, abs=1e-6)


def test_rules_of_rings() -> None:
    made = Outlines(
        np.array([0, 1, 2, 3, 3, 5]),
        np.array([0, 6, 10, 17, 23, 29]),
        np.array([0, 0, 1, 0, 1, 1, 0, 0, 1, 1, *range(7), *range(6), 0, 0, 1, np.inf, 5, np.nan], float),
    )
    problems = polygons.check(made)
    assert [bool(p) for p in problems] == [False, True, True, False, True]
    assert "has 4 numbers" in problems[1]
    assert "has 7 numbers" in problems[2]
    assert "not finite" in problems[4]


def test_take_and_bounds() -> None:
    made = outlines([[SQUARE, HOLE], [], [STAR], [[(3.0, 4.0), (3.0, 4.0), (5.0, 1.0)]]])
    assert polygons.bounds(made).tolist() == [[0, 0, 10, 10], [0, 0, 0, 0], [0, 0, 100, 90], [3, 1, 5, 4]]
    some = made.take(np.array([2, 1, 0]))
    assert polygons.bounds(some).tolist() == [[0, 0, 100, 90], [0, 0, 0, 0], [0, 0, 10, 10]]


def test_reordered_is_take_of_all_pieces() -> None:
    made = outlines([[SQUARE, HOLE], [], [STAR], [BOW_TIE], [], [HOLE]])
    order = np.array([5, 0, 7, 4, 2, 3, 6, 1])
    expected = outlines([[BOW_TIE], [SQUARE, HOLE], [HOLE], [STAR], [STAR], [], [], []])
    pieces: list[Outlines | int] = [made.take(np.array([0, 1, 2])), 1, made.take(np.array([2, 3])), made.take(np.array([4, 5]))]
    found = polygons.reordered(pieces, order)
    assert pieces == []
    assert found.rings.tolist() == expected.rings.tolist()
    assert found.values.tolist() == expected.values.tolist()
