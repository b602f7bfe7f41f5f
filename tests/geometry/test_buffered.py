"""Points and lines with a width: the closed form, shapely, and lines that are points."""

import numpy as np
import pytest
import shapely
from reference import overlaps

from gpu_quality.geometry import buffered, shared
from gpu_quality.geometry.polygons import Outlines, offsets


def lines(*objects: list[list[tuple[float, float]]]) -> Outlines:
    """Objects of lines of points."""
    parts = [line for own in objects for line in own]
    values = np.array([number for line in parts for point in line for number in point], np.float64)
    counts = (np.array([len(own) for own in objects]), np.array([2 * len(line) for line in parts]))
    return Outlines(offsets(counts[0]), offsets(counts[1]), values)


@pytest.mark.parametrize(("distance", "iou"), [(0, 1), (35, 0.520956), (70, 0.243010), (140, 0), (141, 0)])
def test_worked_values_of_points(distance: float, iou: float) -> None:
    both = buffered.disc_overlap(np.array([float(distance)]), np.array([70.0]))[0]
    assert both / (2 * np.pi * 70**2 - both) == pytest.approx(iou, abs=5e-7)
    assert overlaps.disc_iou(distance, 70) == pytest.approx(iou, abs=5e-7)


def test_discs_are_what_many_edges_approach() -> None:
    distance = np.random.default_rng(0).uniform(0, 25, 50)
    found = buffered.disc_overlap(distance, np.full(50, 10.0))
    round_one = shapely.Point(0, 0).buffer(10, quad_segs=2000)
    wanted = [round_one.intersection(shapely.Point(d, 0).buffer(10, quad_segs=2000)).area for d in distance]
    assert np.allclose(found, wanted, atol=1e-3)


def test_lines_are_widened_with_round_ends() -> None:
    shapes = buffered.widened(lines([[(0, 0), (100, 0)]], [[(0, 0)]], [[(5, 5), (5, 5)]]), np.full(3, 10.0))
    assert shared.areas(shapes) == pytest.approx([2000 + np.pi * 100, np.pi * 100, np.pi * 100], rel=2e-3)
    assert len(shapely.get_coordinates(shapes[1])) == 65  # 16 edges to a quarter, the first point twice
    assert shapes[0].equals(shapely.LineString([(0, 0), (100, 0)]).buffer(10, quad_segs=16))


def test_lines_of_an_object_are_united_and_none_is_empty() -> None:
    shapes = buffered.widened(lines([[(0, 0), (10, 0)], [(5, 0), (20, 0)], [(50, 50)]], []), np.array([2.0, 2.0]))
    assert shared.areas(shapes) == pytest.approx([80 + 2 * np.pi * 4, 0], rel=5e-3)
    assert np.isnan(shared.bounds(shapes)[1]).all()
    assert shared.bounds(shapes)[0].tolist() == [-2, -2, 52, 52]


def test_shared_areas_of_pairs() -> None:
    shapes = buffered.widened(lines([[(0, 0), (10, 0)]], [[(0, 1), (10, 1)]], [[(0, 90), (10, 90)]]), np.full(3, 2.0))
    found = shared.shared_areas(shapes, shapes, np.array([0, 0, 0]), np.array([0, 1, 2]))
    assert found == pytest.approx([shapes[0].area, shapes[0].intersection(shapes[1]).area, 0])
    assert len(shared.shared_areas(shapes, shapes, np.zeros(0, np.int64), np.zeros(0, np.int64))) == 0
