"""Metrics over time against slow twins, on the cases peers get wrong, and on real tracks."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gpu_quality as gq
from gpu_quality.functional import tracks
from gpu_quality.geometry import pairs
from gpu_quality.types import KINDS
from tests.metrics.mini import objects_of
from tests.metrics.test_objects import shaped
from tests.metrics.videos import answers, boxes_of, roots_of, values
from tests.reference import tracks as twin
from tests.reference.tracks import Thing, Video

SEQUENCE_METRICS = ["track_consistency", "inconsistency", "track_continuity", "missing_in", "occlusion_risk", "track_jitter"]
BOX = (10.0, 10.0, 30.0, 30.0)
FAR = (60.0, 40.0, 80.0, 60.0)


@st.composite
def videos(draw: st.DrawFn) -> Video:
    """A few frames of two sequences and lone images, in any order, with gaps; boxes on a coarse grid, so ties occur."""
    sequence = draw(st.lists(st.sampled_from([-1, 0, 0, 0, 3]), min_size=1, max_size=9))
    position = draw(st.lists(st.integers(0, 12), min_size=len(sequence), max_size=len(sequence)))
    things = []
    for frame in range(len(sequence)):
        for _ in range(draw(st.integers(0, 3))):
            x, y = draw(st.sampled_from([0, 1, 8])), draw(st.sampled_from([0, 1]))
            w, h = draw(st.sampled_from([4, 10, 11])), draw(st.sampled_from([4, 10, 10, 0]))
            crowd = draw(st.integers(0, 9)) == 0
            excluded = "unsupported_shape" if crowd else "degenerate_geometry" if h == 0 else ""
            class_id, track = draw(st.sampled_from([0, 0, 1])), draw(st.sampled_from([-1, 5, 5, 6]))
            things.append(Thing(frame, (x, y, x + w, y + h), class_id, track, excluded))
    return Video(things, sequence, position, draw(st.sampled_from([0, 0, 1, 4])))


@settings(max_examples=150, deadline=None)
@given(videos())
def test_equals_the_twins(video: Video) -> None:
    roots = roots_of(boxes_of(video), video.sequence, video.position)
    gap = {"max_gap": video.max_gap}
    consistency, continuity = twin.consistency(video), twin.continuity(video)
    assert answers("track_consistency", roots, **gap) == [(value, reason) for value, _, reason in consistency]
    assert answers("inconsistency", roots, **gap) == [(code, reason) for _, code, reason in consistency]
    assert answers("track_continuity", roots, **gap) == [(value, reason) for value, _, reason in continuity]
    missing = [(frame, reason or ("no_match" if frame is None else "")) for _, frame, reason in continuity]
    assert answers("missing_in", roots, **gap) == missing
    for name, wanted, options in (
        ("occlusion_risk", twin.occlusion(video), {}),
        ("track_jitter", twin.jitter(video), gap),
    ):
        got = answers(name, roots, **options)
        assert [reason for _, reason in got] == [reason for _, reason in wanted]
        for (a, _), (b, _) in zip(got, wanted, strict=True):
            assert a == (None if b is None else pytest.approx(b, abs=1e-12))


@pytest.mark.parametrize("seed", range(3))
def test_longer_tracks_equal_the_twins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sequence = [0] * 9 + [1] * 6 + [-1] * 2
    things = []
    for frame in range(len(sequence)):
        for track in rng.permutation(4)[: rng.integers(0, 5)].tolist():
            x, y = 20 * track + rng.integers(0, 3), 5 + frame
            w, h = rng.integers(10, 16, 2)
            things.append(Thing(frame, tuple(map(float, (x, y, x + w, y + h))), int(track % 2), int(track)))
    video = Video(things, sequence, list(range(len(sequence))))
    roots = roots_of(boxes_of(video), sequence, video.position)
    risks = twin.occlusion(video)
    assert sum(value is not None and value > 0 for value, _ in risks) > 3
    for got, wanted in zip(answers("occlusion_risk", roots), risks, strict=True):
        assert got == (wanted if wanted[0] is None else (pytest.approx(wanted[0], abs=1e-12), ""))
    assert [v for v, _ in answers("track_jitter", roots)] == [
        None if v is None else pytest.approx(v, abs=1e-12) for v, _ in twin.jitter(video)
    ]


@pytest.mark.parametrize("name", SEQUENCE_METRICS)
def test_nothing_at_all(name: str) -> None:
    assert answers(name, roots_of(objects_of([]), [])) == []
    assert answers(name, roots_of(objects_of([]), [0, 0, -1])) == []


def test_frames_may_be_stored_in_any_order() -> None:
    things = [Thing(f, BOX, 0, 7) for f in range(4)]
    things[2] = Thing(2, BOX, 1, 8)
    forward = Video(things, [0, 0, 0, 0], [0, 10, 20, 30])
    mixed = Video([things[i] for i in (3, 1, 0, 2)], [0] * 4, [30, 10, 0, 20])
    mixed = Video([Thing(i, t.box, t.class_id, t.track) for i, t in enumerate(mixed.things)], [0] * 4, mixed.position)
    one = answers("inconsistency", roots_of(boxes_of(forward), [0] * 4, forward.position))
    other = answers("inconsistency", roots_of(boxes_of(mixed), [0] * 4, mixed.position))
    assert one == [(None, "first_frame"), (0, ""), (1, ""), (1, "")]
    assert other == [one[i] for i in (3, 1, 0, 2)]


def vanishing(frames: list[int], count: int, **given: object) -> dict[str, object]:
    """One lone object seen in some frames of a video."""
    objects = objects_of([BOX] * len(frames), frame=frames, track=[4] * len(frames))
    return roots_of(objects, [0] * count)


def test_a_lone_object_that_vanishes_for_a_frame_is_flagged() -> None:
    roots = vanishing([0, 1, 3, 4], 5)  # frame 2 has no objects at all: Encord Active skips it and sees nothing
    assert values("track_continuity", roots) == [1, 0, 1, 1]
    assert values("missing_in", roots) == [None, 2, None, None]
    assert [reason for _, reason in answers("missing_in", roots)] == ["no_match", "", "no_match", "no_match"]


def test_objects_without_track_ids_are_missed_too() -> None:
    objects = objects_of([BOX] * 2, frame=[0, 2])
    assert values("track_continuity", roots_of(objects, [0, 0, 0])) == [0, 1]


def test_windows_end_with_their_video() -> None:
    objects = objects_of([BOX] * 6, frame=[0, 1, 2, 3, 4, 5], track=[1, 1, 1, 2, 2, 2], class_id=[0, 0, 0, 1, 1, 1])
    roots = roots_of(objects, [0, 0, 0, 1, 1, 1])
    assert answers("track_consistency", roots) == [(None, "first_frame"), (1, ""), (1, "")] * 2
    assert values("track_continuity", roots) == [1] * 6
    two = roots_of(objects_of([BOX] * 2, frame=[0, 2], track=[1, 1]), [0, 0, 1])  # the gap lies between two videos
    assert answers("track_continuity", two) == [(None, "too_few_samples")] * 2
    assert answers("missing_in", two) == [(None, "too_few_samples")] * 2


def test_lone_images_have_no_neighbors() -> None:
    roots = roots_of(objects_of([BOX] * 3, frame=[0, 1, 2], track=[1, 1, 1]), [-1, -1, -1])
    assert answers("track_consistency", roots) == [(None, "first_frame")] * 3
    assert answers("track_continuity", roots) == [(None, "too_few_samples")] * 3
    for name in ("occlusion_risk", "track_jitter"):
        assert answers(name, roots) == [(None, "no_track")] * 3


def test_a_gap_breaks_the_window_where_asked() -> None:
    roots = roots_of(objects_of([BOX] * 4, frame=[0, 1, 2, 3], track=[1, 1, 2, 2]), [0] * 4, [0, 1, 9, 10])
    assert values("inconsistency", roots) == [None, 0, 2, 0]
    assert values("inconsistency", roots, max_gap=8) == [None, 0, 2, 0]
    assert values("inconsistency", roots, max_gap=7) == [None, 0, None, 0]
    assert values("track_continuity", roots) == [1, 1, 0.5, 0.5]
    assert values("track_continuity", roots, max_gap=7) == [None] * 4
    one = roots_of(objects_of([BOX] * 4, frame=[0, 1, 2, 3], track=[1] * 4), [0] * 4, [0, 1, 9, 10])
    assert values("track_jitter", one) == [None, 0, 0, None]
    assert values("track_jitter", one, max_gap=7) == [None] * 4


def test_class_before_track_and_one_track_is_never_questioned() -> None:
    both = objects_of([BOX, FAR, BOX, FAR], frame=[0, 0, 1, 1], class_id=[0, 0, 1, 1], track=[1, 2, 3, 2])
    roots = roots_of(both, [0, 0])
    assert values("inconsistency", roots)[2:] == [1, 0]
    assert values("track_consistency", roots)[2:] == [0, 1]


def test_overlap_of_exactly_four_fifths_is_no_doubt() -> None:
    roots = roots_of(objects_of([(0, 0, 10, 10), (0, 0, 8, 10)], frame=[0, 1], track=[1, 2]), [0, 0])
    assert values("track_consistency", roots)[1] == 1
    roots = roots_of(objects_of([(0, 0, 10, 10), (0, 0, 9, 10)], frame=[0, 1], track=[1, 2]), [0, 0])
    assert values("track_consistency", roots)[1] == pytest.approx(0.1)


def test_rotation_counts() -> None:
    """Evaluation.md 16.19: the bounds of a square turned by 45 degrees match the upright square's, the shapes do not."""
    diamond = [[(50.0, 20.0), (70.0, 40.0), (50.0, 60.0), (30.0, 40.0)]]
    objects = shaped([("rotated_box", diamond), ("box", (30, 20, 70, 60))], frame=[0, 1], track=[1, 2])
    assert values("track_consistency", roots_of(objects, [0, 0]))[1] == 1  # by bounds 1 - 1 = 0
    turned = shaped([("rotated_box", diamond), ("rotated_box", diamond)], frame=[0, 1], track=[1, 2])
    assert values("track_consistency", roots_of(turned, [0, 0]))[1] == pytest.approx(0, abs=1e-12)
    assert values("inconsistency", roots_of(turned, [0, 0]))[1] == 2
    thin = [[(10.0, 10.0), (60.0, 60.0), (59.0, 61.0), (9.0, 11.0)]]
    other = [[(60.0, 10.0), (61.0, 11.0), (11.0, 61.0), (10.0, 60.0)]]
    crossing = shaped([("rotated_box", thin), ("rotated_box", other), ("rotated_box", thin)], frame=[0, 1, 2], track=[1, 2, 1])
    assert values("track_continuity", roots_of(crossing, [0] * 3)) == [0, 1, 1]  # by bounds the middle one would be the same


def test_masks_and_polygons_are_compared_as_they_are() -> None:
    y, x = np.mgrid[0:80, 0:100]
    disk, ring = (x - 50) ** 2 + (y - 40) ** 2 < 900, (x - 50) ** 2 + (y - 40) ** 2 < 900
    ring &= (x - 50) ** 2 + (y - 40) ** 2 > 400
    overlap = ring.sum() / disk.sum()
    square = [[(20.0, 10.0), (80.0, 10.0), (80.0, 70.0), (20.0, 70.0)]]
    parts = [("mask", disk), ("mask", ring), ("polygon", square), ("mask", disk)]
    roots = roots_of(shaped(parts, frame=[0, 1, 2, 3], track=[0, 1, 2, 3]), [0] * 4)
    assert 0.5 < overlap < 0.8
    inside = (x >= 20) & (x < 80) & (y >= 10) & (y < 70)
    assert values("track_consistency", roots) == [None, 1, 1, 1]
    objects, sizes = roots["objects"], roots["sizes"]
    got = pairs.iou(objects, sizes, np.array([0, 1, 2, 0, 3]), np.array([1, 2, 3, 3, 0]))
    want = [overlap, (ring & inside).sum() / (ring | inside).sum(), (disk & inside).sum() / (disk | inside).sum(), 1, 1]
    assert got == pytest.approx(want, abs=1e-15)


def test_geometries_are_built_only_where_edges_leave_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand polygons in a frame meet those of the next a hundred thousand times: a geometry for each took minutes."""
    asked, exact = [], pairs.iou
    monkeypatch.setattr(pairs, "iou", lambda *given: asked.append(len(given[2])) or exact(*given))
    ring = [(10.0, 10.0), (50.0, 12.0), (30.0, 60.0)]
    moved = [(x + 0.5, y + 0.7) for x, y in ring]
    objects = shaped([("polygon", [one]) for one in (ring, moved, moved)], frame=[0, 1, 2], track=[3, 4, 5])
    roots = roots_of(objects, [0, 0, 0])
    got = values("track_consistency", roots)
    assert sum(asked) == 1  # the outline that lies on itself
    overlap = exact(objects, roots["sizes"], np.array([0]), np.array([1]))[0]
    assert got == [None, pytest.approx(1 - overlap, abs=1e-12), pytest.approx(0, abs=1e-12)]


def test_masks_of_frames_of_other_height() -> None:
    small, large = np.zeros((40, 60), bool), np.zeros((80, 60), bool)
    small[5:25, 10:30] = large[5:25, 10:30] = True
    objects = shaped([("mask", small), ("mask", large)], frame=[0, 1], track=[1, 2])
    roots = roots_of(objects, [0, 0])
    roots["sizes"].height[:] = torch.tensor([40, 80], dtype=torch.int32)
    roots["sizes"].width[:] = 60
    assert values("inconsistency", roots)[1] == 2


def test_what_takes_no_part() -> None:
    line, flat = [[(10.0, 10.0), (30.0, 30.0)]], [[(10.0, 10.0), (20.0, 20.0), (30.0, 30.0)]]
    parts = [("box", BOX), ("polyline", line), ("polygon", flat), ("box", BOX), ("box", (5, 5, 5, 9))]
    parts.append(("mask", np.zeros((80, 100), bool)))
    objects = shaped(parts, frame=[0, 1, 1, 1, 1, 1], track=[1] * 6, crowd=[False] * 3 + [True] + [False] * 2)
    wanted = ["unsupported_shape", "degenerate_geometry", "unsupported_shape", "degenerate_geometry", "degenerate_geometry"]
    for name in SEQUENCE_METRICS:
        assert answers(name, roots_of(objects, [0, 0]))[1:] == [(None, reason) for reason in wanted], name


def test_a_mask_with_an_empty_box_takes_no_part() -> None:
    mask = np.zeros((80, 100), bool)
    mask[3:9, 3:9] = True
    objects = shaped([("mask", mask)] * 6, frame=range(6), track=[1] * 6)
    objects.box[2] = torch.tensor([3.0, 3, 3, 9])
    objects.box[4, 0] = -torch.inf
    for name in ("track_continuity", "occlusion_risk", "track_jitter"):
        got = answers(name, roots_of(objects, [0] * 6))
        assert [i for i, (_, why) in enumerate(got) if why == "degenerate_geometry"] == [2, 4]


def test_limits_of_continuity() -> None:
    """A quarter of overlap two frames apart is enough to be there again; one half in between is not enough to be there."""
    quarter = [(0, 0, 40, 10), (0, 0, 10, 10)]
    for boxes, lost in ((quarter, 0), ([(0, 0, 41, 10), (0, 0, 10, 10)], 1)):
        assert values("track_continuity", roots_of(objects_of(boxes, frame=[0, 2]), [0] * 3)) == [lost, 1]
    for width, lost in ((20, 0), (19, 1)):
        between = objects_of([(0, 0, 10, 10), (0, 0, width, 10), (0, 0, 10, 10)], frame=[0, 1, 2])
        assert values("track_continuity", roots_of(between, [0] * 3)) == [lost, 1, 1]


@pytest.mark.parametrize("track", [(1, 2, 1), (2, 1, 1), (1, 1, 2), (1, 2, 3), (1, -1, 1)])
def test_any_change_of_the_id_over_three_frames_breaks_a_track(track: tuple[int, ...]) -> None:
    assert values("track_continuity", roots_of(objects_of([BOX] * 3, frame=[0, 1, 2], track=track), [0] * 3)) == [1, 1, 0.5]


def test_another_class_is_another_thing_to_continuity() -> None:
    objects = objects_of([BOX] * 3, frame=[0, 1, 2], class_id=[0, 1, 0], track=[1] * 3)
    assert values("track_continuity", roots_of(objects, [0] * 3)) == [0, 1, 1]
    assert values("missing_in", roots_of(objects, [0] * 3)) == [1, None, None]


def test_continuity_zero_wins_over_broken() -> None:
    """In the third frame the track breaks, and the fourth lacks the object that the fifth has again."""
    objects = objects_of([BOX] * 4, frame=[0, 1, 2, 4], track=[1, 1, 2, 2])
    assert values("track_continuity", roots_of(objects, [0] * 5)) == [1, 1, 0, 1]


def test_a_constant_box_has_no_occlusion_risk() -> None:
    """Sides that differ by rounding alone are constant: MOT files store x, y, w, h, tables x1, y1, x2, y2."""
    lefts = 113.84 + 0.1 * np.arange(9)
    objects = objects_of([(x, 274.5 + x / 3, x + 57.307, 274.5 + x / 3 + 130.05) for x in lefts], frame=range(9), track=[1] * 9)
    sides = {x2 - x1 for x1, _, x2, _ in objects.box.tolist()}
    assert len(sides) > 1
    assert values("occlusion_risk", roots_of(objects, [0] * 9)) == [0] * 9


def test_occlusion_risk_of_a_track_hidden_once() -> None:
    boxes = [BOX] * 6
    boxes[3] = (10, 10, 15, 30)  # a quarter as wide
    objects = objects_of(boxes, frame=range(6), track=[1] * 6)
    got = values("occlusion_risk", roots_of(objects, [0] * 6))
    assert got == pytest.approx([0, 0, 0, math.hypot(5 / 6, 5 / 6), 0, 0])
    assert values("occlusion_risk", roots_of(objects, [0, 0, 0, 1, 1, 1])) == [None] * 6
    assert values("occlusion_risk", roots_of(objects, [0] * 6), min_frames=7) == [None] * 6


def test_another_form_of_the_same_area_is_no_occlusion() -> None:
    boxes = [(0, 0, 10, 40), (0, 0, 20, 20), (0, 0, 40, 10), (0, 0, 20, 20), (0, 0, 10, 40)]
    assert values("occlusion_risk", roots_of(objects_of(boxes, frame=range(5), track=[1] * 5), [0] * 5)) == [0] * 5


def test_jitter_is_zero_for_steady_motion_and_d_for_one_step_aside() -> None:
    steady = [(5 * t, 2 * t, 5 * t + 20 + t, 2 * t + 10 + t) for t in range(5)]
    roots = roots_of(objects_of(steady, frame=range(5), track=[1] * 5), [0] * 5)
    assert answers("track_jitter", roots) == [(None, "short_track"), (0, ""), (0, ""), (0, ""), (None, "short_track")]
    aside = [(x + 3 * (t == 2), y + 3 * (t == 2), u + 3 * (t == 2), v + 3 * (t == 2)) for t, (x, y, u, v) in enumerate(steady)]
    got = values("track_jitter", roots_of(objects_of(aside, frame=range(5), track=[1] * 5), [0] * 5))
    assert got[2] == pytest.approx(3 / math.sqrt(22 * 12))
    assert got[1] == pytest.approx(1.5 / math.sqrt(21 * 11))


def test_meetings_find_all_pairs_however_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracks, "BLOCK", 64)
    rng = np.random.default_rng(1)
    frame = np.sort(rng.integers(0, 6, 300))
    corner = rng.uniform(0, 100, (300, 2)) + 1e6
    box = np.concatenate([corner, corner + rng.uniform(0, 20, (300, 2))], 1)
    box[::37, 2] += 1000  # a few reach over all others
    earlier, usable = np.array([-1, 0, 5, 2, -1, 1]), rng.random(300) < 0.9
    pieces = list(tracks.meetings(*map(torch.from_numpy, (box, frame, usable, earlier))))
    later, before = (torch.cat([getattr(piece, name) for piece in pieces]) for name in ("later", "earlier"))
    want = set()
    for i in range(300):
        for j in range(300):
            side = np.minimum(box[i, 2:], box[j, 2:]) - np.maximum(box[i, :2], box[j, :2])
            if usable[i] and usable[j] and frame[j] == earlier[frame[i]] and (side > 0).all():
                want.add((i, j))
    assert len(pieces) > 3
    assert later.tolist() == sorted(later.tolist())
    assert sorted(want) == sorted(zip(later.tolist(), before.tolist(), strict=True))


def test_frames_of_unknown_size() -> None:
    """Labels without images: outlines need no frame; a mask cannot be laid out without its height."""
    mask = np.zeros((80, 100), bool)
    mask[3:9, 3:9] = True
    parts = [("polygon", [[(0.0, 0.0), (9.0, 0.0), (0.0, 9.0)]])] * 3 + [("mask", mask)]
    roots = roots_of(shaped(parts, frame=[0, 1, 2, 2], track=[1, 1, 2, 3]), [0] * 3)
    unknown = torch.full((3,), torch.nan, dtype=torch.float64)
    roots["sizes"] = type(roots["sizes"])(unknown, unknown)
    assert answers("track_continuity", roots) == [(1, ""), (1, ""), (0.5, ""), (None, "no_metadata")]
    assert values("track_consistency", roots)[:3] == [None, 1, pytest.approx(0, abs=1e-12)]
    assert answers("polygon_shape_similarity", roots) == [(1, ""), (1, ""), (1, ""), (None, "no_metadata")]


def mot_rows(path: Path) -> tuple[np.ndarray, dict[str, object]]:
    rows = np.loadtxt(path, delimiter=",", ndmin=2)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    frames = int(rows[:, 0].max())
    box = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], 1)
    objects = objects_of(box.tolist(), frame=(rows[:, 0].astype(int) - 1).tolist(), track=rows[:, 1].astype(int).tolist())
    return rows, roots_of(objects, [0] * frames)


@pytest.mark.parametrize("name", ["TUD-Campus", "TUD-Stadtmitte"])
def test_real_tracks_equal_the_twins(test_data: Path, name: str) -> None:
    for file in ("gt.txt", "test.txt"):
        _, roots = mot_rows(test_data / "tracks" / name / file)
        objects = roots["objects"]
        things = [
            Thing(frame, tuple(box), 0, track)
            for frame, box, track in zip(objects.frame.tolist(), objects.box.tolist(), objects.track.tolist(), strict=True)
        ]
        video = quick(Video(things, roots["sequence"].tolist(), roots["position"].tolist()))
        assert answers("track_consistency", roots) == [(v, r) for v, _, r in twin.consistency(video)]
        assert answers("track_continuity", roots) == [(v, r) for v, _, r in twin.continuity(video)]
        risks = answers("occlusion_risk", roots)
        for (got, why), (want, reason) in zip(risks, twin.occlusion(video), strict=True):
            assert why == reason
            assert got == (None if want is None else pytest.approx(want, abs=1e-9))
        assert max(v for v, _ in risks if v is not None) > 0.4


def quick(video: Video) -> Video:
    """A video of one sequence in stored order whose twin does not search all things for each of them."""

    class Quick(Video):
        def part_of(self, frame: int) -> list[int]:
            return list(range(len(self.sequence)))

        def best(self, o: int, frame: int | None, *, same_class: bool) -> tuple[float, int]:
            found = (0.0, -1)
            for q in by_frame.get(frame, ()):
                if self.iou(o, q) > found[0]:
                    found = (self.iou(o, q), q)
            return found

    by_frame: dict[int | None, list[int]] = {}
    for i, thing in enumerate(video.things):
        by_frame.setdefault(thing.frame, []).append(i)
    return Quick(video.things, video.sequence, video.position)


def test_a_run_finds_the_vanished_object(tmp_path: Path) -> None:
    """From a MOT file to the store: a frame that no line names is a frame, and labels and predictions are two worlds."""
    folder = tmp_path / "video" / "gt"
    folder.mkdir(parents=True)
    paths = {"gt.txt": (1, 2, 4, 5), "found.txt": (1, 2, 3, 5)}
    for name, times in paths.items():
        (folder / name).write_text("".join(f"{t},7,{10 + t},10,20,20,1,-1,-1,-1\n" for t in times))
    metrics = ["track_continuity", "missing_in", "track_jitter"]
    given = {"labels": str(folder / "gt.txt"), "predictions": {"tracker": str(folder / "found.txt")}}
    store = gq.run(**given, out=tmp_path / "out", metrics=metrics)
    frames, objects = store.table("frame")["frame"].tolist(), store.table("object")
    gone = objects[objects["track_continuity"] == 0]
    assert [(row.frame, row.origin, frames[row.missing_in]) for row in gone.itertuples()] == [
        (frames[1], 0, frames[2]),
        (frames[2], 1, frames[3]),
    ]
    assert objects["track_jitter"].dropna().tolist() == pytest.approx([0], abs=1e-12)
    reasons = store.query("select distinct metric, reason from nulls where object is not null order by all").to_numpy().tolist()
    assert reasons == [["missing_in", "no_match"], ["track_jitter", "short_track"]]


def test_kinds_are_in_the_order_the_code_relies_on() -> None:
    assert KINDS[:4] == ("box", "rotated_box", "polygon", "mask")
