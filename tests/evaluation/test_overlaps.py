"""One table of overlaps for every kind of shape: against pycocotools, shapely and drawn masks, and in bounded memory."""

import math
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as peer
from reference import overlaps as slow

from gpu_quality.errors import UsageError
from gpu_quality.evaluation import masks
from gpu_quality.evaluation.instances import Instances, Keypoints, MaskShapes, Polygons, Rotated, instances
from gpu_quality.evaluation.overlaps import Comparison, common, overlaps
from gpu_quality.evaluation.segments import segment
from gpu_quality.geometry.polygons import Outlines, offsets


def side(
    frame: Any, shapes: Any = None, *, box: Any = None, class_id: Any = None, crowd: Any = None, score: Any = None
) -> Instances:
    """Labels or predictions of which only the shapes matter."""
    frame = torch.as_tensor(frame, dtype=torch.int64)
    n = len(frame)
    return instances(
        frame,
        torch.zeros(n, dtype=torch.int64) if class_id is None else torch.as_tensor(class_id),
        torch.zeros(n, 4, dtype=torch.float64) if box is None else torch.as_tensor(box, dtype=torch.float64),
        score=torch.ones(n, dtype=torch.float64) if score is None else torch.as_tensor(score, dtype=torch.float64),
        crowd=None if crowd is None else torch.as_tensor(crowd),
        shapes=shapes,
    )


def mask_shapes(drawn: list[Any]) -> MaskShapes:
    texts = tuple(peer.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"] for mask in drawn)
    height, width = torch.tensor([mask.shape for mask in drawn], dtype=torch.int64).reshape(-1, 2).T
    return MaskShapes(texts, height, width)


def outlines(*objects: list[list[tuple[float, float]]]) -> Polygons:
    rings = [ring for own in objects for ring in own]
    points = torch.tensor([point for ring in rings for point in ring], dtype=torch.float64).reshape(-1, 2)
    counts = ([len(own) for own in objects], [len(ring) for ring in rings])
    return Polygons(*(torch.from_numpy(offsets(np.array(count, np.int64))) for count in counts), points)


def tables(
    labels: Instances, predictions: Instances, how: Comparison, **options: Any
) -> dict[tuple[int, int], list[list[float]]]:
    """Overlaps of every cell by frame and class: predictions, in order of the cell, x labels."""
    cells = segment(labels, predictions, **options)
    values = overlaps(labels, predictions, cells, how)
    assert len(values) == cells.overlap_offset[-1]
    found = {}
    for s in range(len(cells.frame)):
        d, g = (int(part.diff()[s]) for part in (cells.prediction_offset, cells.label_offset))
        own = values[cells.overlap_offset[s] : cells.overlap_offset[s + 1]]
        found[int(cells.frame[s]), int(cells.class_id[s])] = own.reshape(d, g).tolist()
    return found


def blobs(rng: Any, count: int, height: int, width: int) -> list[Any]:
    y, x = np.indices((height, width))
    found = []
    for _ in range(count):
        r = rng.uniform(0, max(height, width) / 2)
        mask = np.hypot(y - rng.uniform(0, height), x - rng.uniform(0, width)) < r
        found.append(mask & (rng.random((height, width)) < rng.choice([0.6, 1, 1, 1])))
    return found


@given(st.integers(0, 10**6), st.integers(1, 200_000))
@settings(max_examples=60, deadline=None)
def test_masks_have_the_bits_of_pycocotools_whatever_the_budget(seed: int, budget: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, (4, 2))
    frames = [np.sort(rng.integers(0, 4, rng.integers(0, 14))) for _ in range(2)]
    drawn = [[blobs(rng, 1, *sizes[frame])[0] for frame in own] for own in frames]
    score, crowd = -np.arange(len(frames[1]), dtype=float), rng.random(len(frames[0])) < 0.3
    classes = [rng.integers(0, 2, len(own)) for own in frames]
    labels = side(frames[0], mask_shapes(drawn[0]), crowd=crowd, class_id=classes[0])
    predictions = side(frames[1], mask_shapes(drawn[1]), score=score, class_id=classes[1])
    found = tables(labels, predictions, Comparison("mask", mask_budget=budget))
    for (frame, class_id), table in found.items():
        g, d = (np.flatnonzero((own == frame) & (kind == class_id)) for own, kind in zip(frames, classes, strict=True))
        rle = [
            [{"size": sizes[frame].tolist(), "counts": shapes.shapes.rle[i]} for i in rows]  # type: ignore[union-attr]
            for shapes, rows in ((predictions, d), (labels, g))
        ]
        if len(g) and len(d):
            assert table == peer.iou(*rle, crowd[g].astype(int).tolist()).tolist()
            for i, row in enumerate(d):
                for j, other in enumerate(g):
                    assert table[i][j] == slow.mask_iou(drawn[1][row], drawn[0][other], crowd=bool(crowd[other]))
        else:
            assert np.size(table) == 0


def test_two_hundred_masks_on_a_large_frame_stay_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, height, width = np.random.default_rng(0), 3000, 4000
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    centers, reach = rng.uniform(0, [width, height], (200, 2)), rng.uniform(50, 600, (200, 1, 1))
    rings = centers[:, None] + reach * rng.uniform(0.7, 1, (200, 40, 1)) * np.stack([np.cos(angle), np.sin(angle)], 1)
    rle = [peer.frPyObjects([ring.reshape(-1).tolist()], height, width)[0] for ring in rings]
    shapes = MaskShapes(tuple(own["counts"] for own in rle), torch.full((200,), height), torch.full((200,), width))
    own = side(torch.zeros(200), shapes)
    budget, most = 1 << 20, 0
    runs_of = masks._runs

    def watched(*arguments: Any) -> Any:
        nonlocal most
        found = runs_of(*arguments)
        most = max(most, found.start.nbytes + found.end.nbytes + found.area.nbytes * 12)
        return found

    monkeypatch.setattr(masks, "_runs", watched)
    table = tables(own, own, Comparison("mask", mask_budget=budget))[0, 0]
    assert table == peer.iou(rle, rle, [0] * 200).tolist()
    assert 0 < most <= budget / 2
    unbounded = overlaps(own, own, segment(own, own), Comparison("mask"))
    assert unbounded.tolist() == [value for row in table for value in row]


def test_two_empty_masks_overlap_by_nothing() -> None:
    empty = side([0, 0], mask_shapes([np.zeros((4, 5)), np.ones((4, 5))]), crowd=[False, True])
    assert tables(empty, empty, Comparison("mask"))[0, 0] == [[0, 0], [0, 1]]


def test_masks_without_a_partner_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = mask_shapes([np.ones((3, 3))] * 2)
    labels = side([0, 1], MaskShapes((sound.rle[0], b"broken?"), sound.height, sound.width))
    assert tables(labels, side([0], mask_shapes([np.ones((3, 3))])), Comparison("mask")) == {(0, 0): [[1.0]], (1, 0): []}


def test_broken_masks_and_other_sizes_are_named() -> None:
    good = mask_shapes([np.ones((3, 3))])
    bad = MaskShapes((good.rle[0], b"o"), good.height.repeat(2), good.width.repeat(2))
    with pytest.raises(UsageError, match="prediction 1: counts of the mask are not COCO-compressed"):
        tables(side([0], good), side([0, 0], bad), Comparison("mask"))
    with pytest.raises(UsageError, match=r"prediction 0: mask of 4 x 5 pixels in frame 0 of 3 x 3 \(height x width\)"):
        tables(side([0], good), side([0], mask_shapes([np.ones((4, 5))])), Comparison("mask"))
    with pytest.raises(UsageError, match="label 0: mask of 3 x 3 pixels in frame 0 of 3 x 4"):
        tables(side([0], good), side([0], good), Comparison("mask", sizes=torch.tensor([[3, 4]])))
    with pytest.raises(UsageError, match="frames of known size"):
        tables(side([0]), side([0]), Comparison("mask"))
    with pytest.raises(UsageError, match="too large for masks"):
        tables(side([0]), side([0]), Comparison("mask", sizes=torch.tensor([[1 << 20, 1 << 20]])))


@pytest.mark.parametrize("boundary", [0.02, 0.1])
def test_borders_are_compared_where_asked_for(boundary: float) -> None:
    rng = np.random.default_rng(1)
    drawn = blobs(rng, 8, 60, 80)
    distance = round(boundary * 100)
    own = side(torch.zeros(8), mask_shapes(drawn))
    table = tables(own, own, Comparison("mask", boundary=boundary))[0, 0]
    edges = [slow.border(mask, distance) for mask in drawn]
    assert table == [[slow.mask_iou(one, other) for other in edges] for one in edges]
    assert table != tables(own, own, Comparison("mask"))[0, 0]


def random_rings(rng: Any, count: int) -> list[list[list[tuple[float, float]]]]:
    """Objects of one to two random rings, most of which cross themselves; some simple, some rectangles on whole numbers."""
    found = []
    for _ in range(count):
        x, y = rng.uniform(0, 30, 2)
        if rng.random() < 0.3:
            x, y, w, h = np.round([x, y, *rng.uniform(1, 20, 2)]).tolist()
            found.append([[(x, y), (x + w, y), (x + w, y + h), (x, y + h)]])
        elif rng.random() < 0.5:
            angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
            found.append([[(x + 9 * math.cos(a) * rng.uniform(0.5, 1), y + 9 * math.sin(a)) for a in angle.tolist()]])
        else:
            found.append([[(x + a, y + b) for a, b in rng.uniform(-9, 9, (5, 2)).tolist()] for _ in range(rng.integers(1, 3))])
    return found


def even_odd(rings: list[list[tuple[float, float]]]) -> Any:
    out = shapely.Polygon()
    for ring in rings:
        out = out.symmetric_difference(shapely.make_valid(shapely.Polygon(ring), method="linework"))
    return out


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_polygons_are_exact_under_the_even_odd_rule(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = [random_rings(rng, 5) for _ in range(2)]
    labels = side([0] * 5, outlines(*drawn[0]), crowd=[True, False, False, False, False])
    table = tables(labels, side([0] * 5, outlines(*drawn[1])), Comparison("polygon"))[0, 0]
    shapes = [[even_odd(rings) for rings in own] for own in drawn]
    for i, one in enumerate(shapes[1]):
        for j, other in enumerate(shapes[0]):
            over = one.area if j == 0 else one.union(other).area
            assert table[i][j] == pytest.approx(one.intersection(other).area / over if over else 0, abs=1e-9)


def test_holes_are_left_out() -> None:
    ring = [[(0, 0), (10, 0), (10, 10), (0, 10)], [(2, 2), (8, 2), (8, 8), (2, 8)]]
    hole = side([0], outlines(ring))
    disc = side([0], outlines([ring[1]]))
    assert tables(hole, disc, Comparison("polygon"))[0, 0] == [[0]]
    whole = side([0], outlines(ring[:1]))
    assert tables(hole, whole, Comparison("polygon"))[0, 0] == [[pytest.approx(0.64)]]


def test_turned_boxes_against_shapely_with_crowds() -> None:
    rng = np.random.default_rng(2)
    boxes = torch.from_numpy(rng.uniform([0, 0, 5, 5, -4], [40, 40, 30, 30, 4], (30, 5)))
    frame = torch.arange(30) // 10
    labels = side(frame, Rotated(boxes), crowd=torch.arange(30) % 4 == 0)
    predictions = side(frame, Rotated(boxes.flip(0)))
    found = tables(labels, predictions, Comparison("oriented"))

    def shape(box: list[float]) -> Any:
        x, y, w, h, theta = box
        return shapely.affinity.translate(
            shapely.affinity.rotate(shapely.box(-w / 2, -h / 2, w / 2, h / 2), theta, (0, 0), use_radians=True), x, y
        )

    shapes = [shape(box) for box in boxes.tolist()]
    for f in range(3):
        for i in range(10):
            for j in range(10):
                one, other = shapes[29 - (10 * f + i)], shapes[10 * f + j]
                over = one.area if (10 * f + j) % 4 == 0 else one.union(other).area
                assert found[f, 0][i][j] == pytest.approx(one.intersection(other).area / over, abs=1e-9)


def test_a_square_on_its_corner() -> None:
    square, turned = (
        Rotated(torch.tensor([[5.0, 5, 10, 10, 0]]).double()),
        Rotated(torch.tensor([[5, 5, 10, 10, math.pi / 4]]).double()),
    )
    assert tables(side([0], square), side([0], turned), Comparison("oriented"))[0, 0] == [[pytest.approx(0.7071068, abs=5e-8)]]
    reach = math.sqrt(50)
    hull = side([0], box=[[5 - reach, 5 - reach, 2 * reach, 2 * reach]])
    assert tables(side([0], turned), hull, Comparison("oriented"))[0, 0] == [[pytest.approx(0.5)]]
    given_corners = side([0], outlines([[(5, 5 - reach), (5 + reach, 5), (5, 5 + reach), (5 - reach, 5)]]))
    assert tables(side([0], turned), given_corners, Comparison("oriented"))[0, 0] == [[pytest.approx(1)]]
    with pytest.raises(UsageError, match="prediction 0: a turned box has 4 corners, this outline 3"):
        tables(side([0], turned), side([0], outlines([[(0, 0), (1, 0), (0, 1)]])), Comparison("oriented"))


def test_keypoints_take_area_and_box_of_the_label() -> None:
    rng = np.random.default_rng(0)
    labeled, found = (
        torch.from_numpy(np.concatenate([rng.uniform(0, 50, (3, 17, 2)), np.full((3, 17, 1), 2)], 2)) for _ in range(2)
    )
    labels = side([0, 0, 1], Keypoints(labeled), box=[[0, 0, 20, 30]] * 3)
    table = tables(labels, side([0, 0, 1], Keypoints(found)), Comparison("keypoints"))
    sigmas = (
        np.array([0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]) / 10
    )
    for (i, j), value in np.ndenumerate(np.array(table[0, 0])):
        wanted = slow.oks(found[i].tolist(), labeled[j].tolist(), 600, [0, 0, 20, 30], sigmas.tolist())
        assert value == pytest.approx(wanted, abs=1e-12)


def test_points_and_lines_are_widened() -> None:
    points = outlines(*([[(float(x), 0.0)]] for x in (0, 35, 70, 140)))
    one = side([0], outlines([[(0.0, 0.0)]]))
    found = tables(one, side([0] * 4, points), Comparison("point"))[0, 0]
    assert [row[0] for row in found] == pytest.approx([1, 0.520956, 0.243010, 0], abs=5e-7)
    crowd = side([0], outlines([[(0.0, 0.0)]]), crowd=[True])
    union = 0.520956
    assert tables(crowd, side([0] * 4, points), Comparison("point"))[0, 0][1][0] == pytest.approx(
        2 * union / (1 + union), abs=1e-6
    )
    diagonal = Comparison("point", buffer=0.14, relative=True, sizes=torch.tensor([[300, 400]]))
    assert tables(one, side([0] * 4, points), diagonal)[0, 0] == pytest.approx(np.array(found), abs=1e-12)
    with pytest.raises(UsageError, match="needs the sizes of frames"):
        tables(one, one, Comparison("point", relative=True))


def test_lines_against_shapely_and_points_among_them_in_closed_form() -> None:
    drawn: list[list[list[tuple[float, float]]]] = [
        [[(0, 0), (30, 0)]],
        [[(0, 5), (30, 5), (30, 40)]],
        [[(15, 3)]],
        [[(90, 90), (99, 99)]],
    ]
    own = side([0] * 4, outlines(*drawn))
    table = tables(own, own, Comparison("line", buffer=5.0))[0, 0]
    wide = [
        shapely.union_all(
            [(shapely.LineString(line) if len(line) > 1 else shapely.Point(line)).buffer(5, quad_segs=16) for line in lines]
        )
        for lines in drawn
    ]
    for i, one in enumerate(wide):
        for j, other in enumerate(wide):
            assert table[i][j] == pytest.approx(
                one.intersection(other).area / one.union(other).area, rel=3e-3 if 2 in (i, j) else 1e-9
            )
    assert table[2][2] == 1


def test_mixed_shapes_meet_in_the_poorer_form() -> None:
    box = side([0], box=[[2, 2, 10, 10]])
    turned = side([0], Rotated(torch.tensor([[7.0, 7, 10, 10, 0]]).double()))
    polygon = side([0], outlines([[(2, 2), (12, 2), (12, 12), (2, 12)]]))
    drawn = np.zeros((20, 20))
    drawn[2:12, 2:12] = 1
    mask = side([0], mask_shapes([drawn]))
    sides = [box, turned, polygon, mask]
    kinds = ("box", "oriented", "polygon", "mask")
    for i, one in enumerate(sides):
        for j, other in enumerate(sides):
            assert common(one, other, "polygon") == kinds[max(i, j, 2)]
            assert common(one, other, "box") == "box"
            assert tables(one, other, Comparison("polygon"))[0, 0] == [[pytest.approx(1)]]
    assert common(box, turned, "oriented") == common(polygon, turned, "oriented") == "oriented"
    assert common(mask, turned, "oriented") == "mask"
    assert tables(box, box, Comparison("mask", sizes=torch.tensor([[20, 20]])))[0, 0] == [[1]]
    assert tables(box, box, Comparison("box"))[0, 0] == [[1]]


def test_polygons_drawn_for_coco_are_those_of_pycocotools() -> None:
    rng = np.random.default_rng(3)
    drawn = [[rng.uniform(-5, 45, (rng.integers(3, 9), 2)) for _ in range(rng.integers(1, 3))] for _ in range(200)]
    numbers = [ring.reshape(-1) for rings in drawn for ring in rings]
    shapes = Outlines(
        offsets(np.array([len(rings) for rings in drawn])),
        offsets(np.array([len(ring) for ring in numbers])),
        np.concatenate(numbers),
    )
    found = masks.drawn(shapes, np.full(200, 30), np.full(200, 40))
    wanted = [peer.merge(peer.frPyObjects([ring.reshape(-1).tolist() for ring in rings], 30, 40))["counts"] for rings in drawn]
    assert list(found.rle) == wanted
    assert masks.drawn(shapes.take(np.zeros(0, np.int64)), np.zeros(0, np.int64), np.zeros(0, np.int64)).rle == ()


@pytest.mark.parametrize("kind", ["box", "mask", "keypoints", "oriented", "polygon", "line", "point"])
def test_nobody_and_nothing(kind: Any) -> None:
    nobody = side([])
    assert tables(nobody, nobody, Comparison(kind)) == {}
    assert tables(nobody, side([3]) if kind not in ("keypoints", "line", "point") else nobody, Comparison(kind)).get(
        (3, 0), []
    ) in ([], [[]])


def test_what_cannot_be_compared_is_refused() -> None:
    boxes = side([0], box=[[0, 0, 1, 1]])
    for kind in ("keypoints", "line", "point"):
        with pytest.raises(UsageError, match=f"labels have no {kind}"):
            tables(boxes, boxes, Comparison(kind))
    for wrong in ({"kind": "cube"}, {"buffer": 0.0}, {"buffer": math.nan}, {"boundary": 1.0}, {"mask_budget": 0}):
        with pytest.raises(UsageError):
            Comparison(**wrong)  # type: ignore[arg-type]
