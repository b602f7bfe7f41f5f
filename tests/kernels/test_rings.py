"""Areas of simple rings against shapely: equal, or in doubt; and doubt only where edges touch."""

from collections.abc import Iterator

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.kernels import rings
from gpu_quality.kernels.threads import set_threads

Point = tuple[float, float]
SQUARE = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    yield
    set_threads(None)


def joined(shapes: list[list[Point]]) -> tuple[torch.Tensor, torch.Tensor]:
    points = torch.tensor([point for ring in shapes for point in ring], dtype=torch.float64).reshape(-1, 2)
    return points, torch.tensor(np.cumsum([0, *map(len, shapes)]))


def stars(seed: int, count: int) -> list[list[Point]]:
    """Star-shaped rings in both directions, of 3 to 12 points, around a frame of 40 x 30."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 13)))[:: rng.choice([-1, 1])]
        reach = rng.uniform(3, 12, len(angle))
        x, y = rng.uniform(-5, 45), rng.uniform(-5, 35)
        found.append([(x + r * np.cos(a), y + r * np.sin(a)) for a, r in zip(angle, reach, strict=True)])
    return found


def all_pairs(count: int) -> torch.Tensor:
    return torch.triu_indices(count, count, 1)


def union(shapes: list[list[Point]], width: float, height: float) -> float:
    return shapely.union_all(list(map(shapely.Polygon, shapes))).intersection(shapely.box(0, 0, width, height)).area


@given(st.integers(0, 10**6), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_areas_are_those_of_shapely(seed: int, count: int) -> None:
    points, first = joined(shapes := stars(seed, count))
    assert rings.simple(points, first).tolist() == [shapely.Polygon(ring).is_valid for ring in shapes]
    shapes = [ring for ring in shapes if shapely.Polygon(ring).is_valid]
    points, first = joined(shapes)
    pairs = all_pairs(len(shapes))
    for (i, j), area in zip(pairs.T.tolist(), rings.shared_areas(points, first, pairs).tolist(), strict=True):
        assert np.isnan(area) or area == pytest.approx(
            shapely.Polygon(shapes[i]).intersection(shapely.Polygon(shapes[j])).area, abs=1e-9
        )
    size = torch.tensor([[40.0, 30.0]], dtype=torch.float64)
    area = rings.union_areas(points, first, torch.zeros(len(shapes), dtype=torch.int64), size).item()
    assert np.isnan(area) or area == pytest.approx(union(shapes, 40, 30), rel=1e-9, abs=1e-9)


grid = st.tuples(st.integers(-2, 8), st.integers(-2, 8)).map(lambda p: (p[0] / 2, p[1] / 2))


@given(st.lists(st.lists(grid, min_size=1, max_size=6), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_shapes_that_touch_are_right_or_in_doubt(shapes: list[list[Point]]) -> None:
    shapes = [[p for p, after in zip(ring, [*ring[1:], ring[0]], strict=True) if p != after] for ring in shapes]
    simple = rings.simple(*joined(shapes)).tolist()
    shapes = [ring for ring, good in zip(shapes, simple, strict=True) if good]
    assert all(shapely.Polygon(ring).is_valid for ring in shapes)
    points, first = joined(shapes)
    pairs = all_pairs(len(shapes))
    for (i, j), area in zip(pairs.T.tolist(), rings.shared_areas(points, first, pairs).tolist(), strict=True):
        assert np.isnan(area) or area == pytest.approx(
            shapely.Polygon(shapes[i]).intersection(shapely.Polygon(shapes[j])).area, abs=1e-9
        )
    size = torch.tensor([[3.0, 2.5]], dtype=torch.float64)
    area = rings.union_areas(points, first, torch.zeros(len(shapes), dtype=torch.int64), size).item()
    assert np.isnan(area) or area == pytest.approx(union(shapes, 3.0, 2.5), abs=1e-9)


def test_doubt_is_rare_where_nothing_touches() -> None:
    shapes = [ring for ring in stars(0, 200) if shapely.Polygon(ring).is_valid]
    points, first = joined(shapes)
    area = rings.shared_areas(points, first, all_pairs(len(shapes)))
    assert (area > 0).sum() > 500
    assert area.isnan().sum() < 10


def test_a_square_turned_by_45_degrees() -> None:
    half = 5 * 2**0.5
    turned = [(5 - half, 5.0), (5.0, 5 - half), (5 + half, 5.0), (5.0, 5 + half)]
    points, first = joined([SQUARE, turned])
    shared = rings.shared_areas(points, first, torch.tensor([[0], [1]])).item()
    assert shared / (200 - shared) == pytest.approx(0.5**0.5, abs=1e-12)
    size = torch.tensor([[100.0, 100.0], [10.0, 10.0]], dtype=torch.float64)
    both = rings.union_areas(
        *joined([[(x + 40, y + 40) for x, y in ring] for ring in (SQUARE, turned)]), torch.tensor([0, 0]), size
    )
    assert both.tolist() == pytest.approx([200 - shared, 0])


@pytest.mark.parametrize(
    "ring",
    [
        [],
        [(0, 0), (1, 0)],
        [(0, 0), (8, 8), (8, 0), (0, 8)],
        [(0, 0), (9, 0), (4, 0)],
        [(0, 0), (9, 0), (9, 9), (4, 0)],
        [(float(i), float(i % 2)) for i in range(rings.LONGEST)] + [(100, 1000)],
    ],
)
def test_what_is_not_surely_simple(ring: list[Point]) -> None:
    assert rings.simple(*joined([SQUARE, ring, SQUARE])).tolist() == [True, False, True]


def test_touching_squares_are_in_doubt() -> None:
    points, first = joined([SQUARE, SQUARE, [(x + 10, y) for x, y in SQUARE], [(x + 2, y + 50) for x, y in SQUARE]])
    assert rings.shared_areas(points, first, torch.tensor([[0, 0, 0], [1, 2, 3]])).isnan().tolist() == [True, True, False]


def test_threads_and_frames_change_nothing() -> None:
    shapes = [ring for ring in stars(1, 3000) if shapely.Polygon(ring).is_valid]
    points, first = joined(shapes)
    frame = torch.arange(len(shapes)) // 7
    size = torch.tensor([[40.0, 30.0]], dtype=torch.float64).repeat(int(frame[-1]) + 3, 1)
    pairs = torch.stack([torch.arange(len(shapes) - 1), torch.arange(1, len(shapes))])
    set_threads(1)
    one = rings.simple(points, first), rings.shared_areas(points, first, pairs), rings.union_areas(points, first, frame, size)
    set_threads(3)
    three = rings.simple(points, first), rings.shared_areas(points, first, pairs), rings.union_areas(points, first, frame, size)
    assert all(torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)) for a, b in zip(one, three, strict=True))
    assert one[2][-2:].tolist() == [0, 0]
