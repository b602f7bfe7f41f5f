"""Forms of outlines: the worked values of the reference, slow twins, and what the peer's own measure cannot see."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_quality.functional import moments
from gpu_quality.geometry.moments import central_moments
from gpu_quality.types import Objects
from tests.metrics.mini import objects_of
from tests.metrics.test_objects import shaped
from tests.metrics.videos import answers, roots_of, values
from tests.reference import shapes as twin
from tests.reference.tracks import Thing, Video

Ring = list[tuple[float, float]]
OVER_TIME = ("polygon_shape_similarity", "polygon_shape_similarity_raw")


def wheel(radii: list[float], center: tuple[float, float] = (300.0, 300.0)) -> Ring:
    """Corners at equal angles, so far from the center."""
    angle = np.linspace(0, 2 * np.pi, len(radii), endpoint=False) - np.pi / 2
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * np.array(radii)[:, None] + center
    return [tuple(point) for point in points.tolist()]


def rectangle(w: float, h: float) -> Ring:
    return [(10.0, 10.0), (10 + w, 10.0), (10 + w, 10 + h), (10.0, 10 + h)]


CIRCLE, STAR, TRIANGLE = wheel([100.0] * 200), wheel([100.0, 40.0] * 5), wheel([200 / 3**0.5] * 3)
ELL = [(0.0, 0.0), (50.0, 0.0), (50.0, 150.0), (300.0, 150.0), (300.0, 200.0), (0.0, 200.0)]
SHAPES: dict[str, Ring] = {
    "circle": CIRCLE,
    "square": rectangle(200, 200),
    "star": STAR,
    "triangle": TRIANGLE,
    "2:1": rectangle(200, 100),
    "4:1": rectangle(400, 100),
    "ell": ELL,
}
WORKED = [
    ("circle", "square", 0.988),
    ("circle", "star", 0.927),
    ("circle", "2:1", 0.674),
    ("circle", "triangle", 0.823),
    ("2:1", "4:1", 0.558),
    ("circle", "ell", 0.226),
]


def pair(one: Ring, other: Ring) -> dict[str, Any]:
    """One track that changes its form from frame to frame."""
    objects = shaped([("polygon", [one]), ("polygon", [other])], frame=[0, 1], track=[1, 1])
    return roots_of(objects, [0, 0], size=(700, 700))


@pytest.mark.parametrize(("one", "other", "likeness"), WORKED)
def test_worked_values_of_the_reference(one: str, other: str, likeness: float) -> None:
    """Metrics.md 6.2: ours tells these pairs apart, Encord Active's gives nearly 1 for all of them."""
    roots = pair(SHAPES[one], SHAPES[other])
    assert values("polygon_shape_similarity", roots) == [1, pytest.approx(likeness, abs=5e-4)]
    assert values("polygon_shape_similarity_raw", roots)[1] >= 0.9999


@pytest.mark.parametrize("name", ["triangle", "circle"])
def test_jitter_of_a_pixel_is_no_change(name: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        shaken = (np.array(SHAPES[name]) + rng.uniform(-1, 1, (len(SHAPES[name]), 2))).tolist()
        assert values("polygon_shape_similarity", pair(SHAPES[name], [tuple(p) for p in shaken]))[1] > 0.99


def test_place_size_and_turning_do_not_matter() -> None:
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    moved = (np.array(ELL) @ turn * 0.3 + [500, 40]).tolist()
    assert values("polygon_shape_similarity", pair(ELL, [tuple(p) for p in moved]))[1] == pytest.approx(1, abs=1e-9)


def test_masks_and_their_polygons_look_alike() -> None:
    y, x = np.mgrid[0:400, 0:400] + 0.5
    mask = ((x - 200) ** 2 + (y - 200) ** 2 < 100**2) & ~((x > 200) & (y > 200))
    arc = np.linspace(np.pi / 2, 2 * np.pi, 90)
    ring = [*zip((200 + 100 * np.cos(arc)).tolist(), (200 + 100 * np.sin(arc)).tolist(), strict=True), (200.0, 200.0)]
    objects = shaped([("polygon", [ring]), ("mask", mask)], frame=[0, 1], track=[1, 1])
    assert values("polygon_shape_similarity", roots_of(objects, [0, 0], size=(400, 400)))[1] > 0.99


def vectors(objects: Objects, roots: dict[str, Any], density: float) -> list[list[float]]:
    return [twin.hu(row, density) if row[0] else [0.0] * 7 for row in central_moments(objects, roots["sizes"]).tolist()]


@st.composite
def outlines(draw: st.DrawFn) -> tuple[Video, Objects]:
    """Polygons, masks and boxes of a few tracks in two sequences and lone images."""
    sequence = draw(st.lists(st.sampled_from([-1, 0, 0, 2]), min_size=1, max_size=7))
    position = draw(st.lists(st.integers(0, 9), min_size=len(sequence), max_size=len(sequence)))
    things, parts = [], []
    for frame in range(len(sequence)):
        for _ in range(draw(st.integers(0, 3))):
            name = draw(st.sampled_from([*SHAPES, "mask", "mask", "box", "flat"]))
            crowd = draw(st.integers(0, 9)) == 0
            excluded = "unsupported_shape" if name == "box" or crowd else "degenerate_geometry" if name == "flat" else ""
            things.append(Thing(frame, (0, 0, 1, 1), draw(st.integers(0, 1)), draw(st.sampled_from([-1, 4, 9])), excluded))
            if name == "mask":
                mask = np.zeros((80, 100), bool)
                mask[3 : draw(st.integers(5, 20)), 7 : draw(st.integers(9, 30))] = True
                mask[3:9, 2:8] = True
                parts.append(("mask", mask))
            elif name == "box":
                parts.append(("box", (1, 1, 9, 5)))
            else:
                parts.append(("polygon", [SHAPES.get(name, [(1.0, 1.0), (4.0, 4.0), (8.0, 8.0)])]))
    given_ = {
        "frame": [thing.frame for thing in things],
        "class_id": [thing.class_id for thing in things],
        "track": [thing.track for thing in things],
        "crowd": [thing.excluded == "unsupported_shape" for thing in things],
    }
    return Video(things, sequence, position), shaped(parts, **given_)


@settings(max_examples=60, deadline=None)
@given(outlines())
def test_equals_the_twins(made: tuple[Video, Objects]) -> None:
    video, objects = made
    roots = roots_of(objects, video.sequence, video.position)
    scaled = [twin.log_scaled(hu) for hu in vectors(objects, roots, 1.0)]
    wanted = {
        "polygon_shape_similarity": twin.over_time(video, scaled, twin.similarity),
        "polygon_shape_similarity_raw": twin.over_time(video, vectors(objects, roots, 255.0), twin.cosine),
        "shape_outlier": twin.outliers(video, scaled),
    }
    for name, want in wanted.items():
        got = answers(name, roots)
        assert [reason for _, reason in got] == [reason for _, reason in want], name
        for (a, _), (b, _) in zip(got, want, strict=True):
            assert a == (None if b is None else pytest.approx(b, abs=1e-7)), name


@pytest.mark.parametrize("name", [*OVER_TIME, "shape_outlier"])
def test_without_outlines(name: str) -> None:
    assert answers(name, roots_of(objects_of([]), [])) == []
    boxes = roots_of(objects_of([(0, 0, 5, 5)] * 2, frame=[0, 1], track=[1, 1]), [0, 0])
    assert answers(name, boxes) == [(None, "unsupported_shape")] * 2


def test_tracks_are_of_one_video() -> None:
    """Encord Active keys tracks over all videos, so the first shape of a second video is compared with the first one's last."""
    objects = shaped([("polygon", [SHAPES[n]]) for n in ("circle", "2:1", "2:1", "star")], frame=[0, 1, 2, 3], track=[1] * 4)
    roots = roots_of(objects, [0, 1, -1, -1], size=(700, 700))
    for name in OVER_TIME:
        assert answers(name, roots) == [(1, ""), (1, ""), (None, "no_track"), (None, "no_track")]


def test_a_mask_of_one_pixel_has_no_direction_to_compare() -> None:
    """Its central moments are all 0, and there is no cosine with a vector of zeros."""
    dot, bar = np.zeros((80, 100), bool), np.zeros((80, 100), bool)
    dot[3, 5], bar[3:6, 5:40] = True, True
    objects = shaped([("mask", mask) for mask in (bar, dot, bar, dot, dot)], frame=[0, 1, 2, 0, 1], track=[1, 1, 1, 2, 2])
    got = answers("polygon_shape_similarity_raw", roots_of(objects, [0] * 3))
    assert got == [(1, ""), (None, "degenerate_geometry"), (pytest.approx(1), ""), (1, ""), (None, "degenerate_geometry")]
    assert None not in [value for value, _ in answers("polygon_shape_similarity", roots_of(objects, [0] * 3))]


def test_the_mean_fades_by_halves() -> None:
    names = ["circle", "ell", "ell", "ell"]
    objects = shaped([("polygon", [SHAPES[n]]) for n in names], frame=[0, 1, 2, 3], track=[1] * 4)
    got = values("polygon_shape_similarity", roots_of(objects, [0] * 4, size=(700, 700)))
    apart = 1 / got[1] - 1
    assert got == pytest.approx([1, *(1 / (1 + apart / 2**turn) for turn in range(3))])


def test_an_outlier_stands_out_and_small_classes_are_left_out() -> None:
    rng = np.random.default_rng(0)
    rings = [rectangle(100 + rng.uniform(-5, 5), 60) for _ in range(30)] + [STAR] + [wheel([50.0, 49, 50, 51])] * 4
    objects = shaped([("polygon", [ring]) for ring in rings], class_id=[0] * 31 + [1] * 4)
    got = answers("shape_outlier", roots_of(objects, [-1], size=(700, 700)))
    found = [value for value, _ in got[:31]]
    assert max(found) == found[30] > 3 * max(found[:30])
    assert got[31:] == [(None, "too_few_samples")] * 4
    assert values("shape_outlier", roots_of(objects, [-1], size=(700, 700)), min_shapes=4)[31] is not None


def test_equal_forms_are_no_outliers_whatever_their_rounding() -> None:
    """Components that vanish by symmetry hold rounding alone; divided by their own spread they would be outliers."""
    rng = np.random.default_rng(0)
    squares = []
    for angle, side, place in zip(rng.uniform(0, 6, 20), rng.uniform(9, 300, 20), rng.uniform(0, 5000, (20, 2)), strict=True):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        squares.append([tuple(p) for p in (np.array([(0, 0), (side, 0), (side, side), (0, side)]) @ turn + place).tolist()])
    objects = shaped([("polygon", [ring]) for ring in squares])
    assert values("shape_outlier", roots_of(objects, [-1], size=(6000, 6000))) == [0] * 20


def test_annotation_time_is_null_where_nothing_was_logged() -> None:
    seconds = torch.tensor([3.5, torch.nan, 0.0], dtype=torch.float64)
    assert answers("annotation_time", {"annotation_seconds": seconds}) == [(3.5, ""), (None, "no_metadata"), (0, "")]


def test_a_log_scaled_vector_keeps_signs_and_small_terms_small() -> None:
    hu = torch.tensor([[0.2, 0.1, 0, -1e-3, 1e-12, -1e-3, 1e-4]], dtype=torch.float64)
    assert moments.log_scaled(hu)[0].tolist() == pytest.approx(twin.log_scaled(hu[0].tolist()))
    assert abs(float(moments.log_scaled(hu)[0, 4])) < 1e-8
