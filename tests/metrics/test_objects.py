"""Object metrics against plain loops, shapely and pycocotools."""

import math

import numpy as np
import pytest
import shapely
import torch
from pycocotools import mask as coco_mask

from gpu_quality.types import KINDS, Objects, Shapes, Sizes
from tests.metrics.mini import evaluate, objects_of

PLACES = ["object_width", "object_height", "object_aspect_ratio", "object_offset_x", "object_offset_y", "object_center_x"]
PLACES += ["object_center_y", "center_distance", "edge_distance", "border_closeness"]
AREAS = ["object_area", "object_area_relative", "object_density", "object_count"]
OVERLAPS = ["annotation_duplicate", "annotation_duplicate_of", "annotation_duplicate_any_class"]


def sizes_of(*shapes: tuple[int, int]) -> Sizes:
    """Width and height of frames."""
    w, h = torch.tensor(shapes, dtype=torch.int32).reshape(-1, 2).unbind(1)
    return Sizes(w, h)


def shaped(parts: list[tuple[str, object]], **given: object) -> Objects:
    """Objects of any kind: ("box", xyxy), ("polygon", [ring, ...]), ("rotated_box", [ring]), ("mask", bool array), points."""
    boxes, kinds, rings, points_of, points, rle = [], [], [0], [0], [], []
    for kind, shape in parts:
        kinds.append(KINDS.index(kind))
        rle.append(None)
        if kind == "box":
            boxes.append(shape)
        elif kind == "mask":
            ys, xs = np.nonzero(shape)
            boxes.append((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(xs) else (0, 0, 0, 0))
            rle[-1] = coco_mask.encode(np.asfortranarray(shape.astype(np.uint8)))["counts"]
        else:
            for ring in shape:
                points += ring
                points_of.append(len(points))
            flat = np.array([p for ring in shape for p in ring], float)
            boxes.append((*flat.min(0), *flat.max(0)))
        rings.append(len(points_of) - 1)
    shapes = Shapes(
        kind=torch.tensor(kinds, dtype=torch.int8),
        rings=torch.tensor(rings, dtype=torch.int64),
        points_of=torch.tensor(points_of, dtype=torch.int64),
        points=torch.tensor(points, dtype=torch.float64).reshape(-1, 2),
        rle=tuple(rle),
    )
    return objects_of(boxes, shapes=shapes, **given)


def some_boxes(seed: int, count: int, frames: int) -> tuple[Objects, Sizes]:
    rng = np.random.default_rng(seed)
    corner = rng.integers(-10, 90, (count, 2)).astype(float)
    box = np.concatenate([corner, corner + rng.integers(0, 40, (count, 2)) + rng.choice([0, 0.25], (count, 2))], 1)
    box[count // 2] = box[count // 2 - 1]
    frame = np.sort(rng.integers(0, frames, count))
    objects = objects_of(
        box.tolist(),
        frame=frame.tolist(),
        class_id=rng.integers(0, 3, count).tolist(),
        crowd=(rng.random(count) < 0.1).tolist(),
    )
    return objects, sizes_of(*[(100 + 3 * f, 80 + f) for f in range(frames)])


def iou(a: list[float], b: list[float]) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union if union else 0.0


@pytest.mark.parametrize("seed", range(4))
def test_boxes_against_loops(seed: int) -> None:
    objects, sizes = some_boxes(seed, 60, 5)
    got = evaluate([*PLACES, *AREAS, *OVERLAPS], {"objects": objects, "sizes": sizes})
    box, frame = objects.box.tolist(), objects.frame.tolist()
    for i, (x1, y1, x2, y2) in enumerate(box):
        w, h = int(sizes.width[frame[i]]), int(sizes.height[frame[i]])
        assert got["object_width"][i] == x2 - x1
        assert got["object_height"][i] == y2 - y1
        assert got["object_aspect_ratio"][i] == ((x2 - x1) / (y2 - y1) if y2 > y1 else None)
        assert (got["object_offset_x"][i], got["object_offset_y"][i]) == (x1, y1)
        cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
        assert (got["object_center_x"][i], got["object_center_y"][i]) == (cx, cy)
        assert got["center_distance"][i] == pytest.approx(math.hypot(cx - w / 2, cy - h / 2), abs=1e-12)
        assert got["edge_distance"][i] == min(abs(x1), abs(y1), abs(w - x2), abs(h - y2))
        corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
        assert got["border_closeness"][i] == max(v for x, y in corners for v in (x / w, y / h, 1 - x / w, 1 - y / h))
        assert got["object_area"][i] == (x2 - x1) * (y2 - y1)
        assert got["object_area_relative"][i] == pytest.approx((x2 - x1) * (y2 - y1) / (w * h), abs=1e-15)
        for name, same in (("annotation_duplicate", True), ("annotation_duplicate_any_class", False)):
            best = 0.0
            partner = None
            for j in range(len(box)):
                fits = j != i and frame[i] == frame[j] and not (objects.crowd[i] or objects.crowd[j])
                if fits and (not same or objects.class_id[i] == objects.class_id[j]) and iou(box[i], box[j]) > best:
                    best, partner = iou(box[i], box[j]), j - frame.index(frame[i])
            assert got[name][i] == pytest.approx(best, abs=1e-15), (i, name)
            if same:
                assert got["annotation_duplicate_of"][i] == partner
    for f in range(5):
        assert got["object_count"][f] == frame.count(f)
        window = shapely.box(0, 0, int(sizes.width[f]), int(sizes.height[f]))
        union = shapely.union_all([shapely.box(*b) for b, own in zip(box, frame, strict=True) if own == f])
        assert got["object_density"][f] == pytest.approx(union.intersection(window).area / window.area, abs=1e-12)


def test_no_objects_at_all() -> None:
    got = evaluate(
        [*PLACES, *AREAS, *OVERLAPS, "object_random"], {"objects": objects_of([]), "sizes": sizes_of((9, 9)), "seed": 0}
    )
    assert got["object_count"] == [0]
    assert got["object_density"] == [0.0]
    assert all(values == [] for name, values in got.items() if name not in ("object_count", "object_density"))


SQUARE = [(10, 10), (30, 10), (30, 30), (10, 30)]
HOLE = [(15, 15), (25, 15), (25, 25), (15, 25)]
BOW = [(40, 10), (60, 30), (60, 10), (40, 30)]  # crosses itself in the middle
TRIANGLE = [(20, 10), (50, 10), (20, 40)]


def test_areas_of_shapes() -> None:
    mask = np.zeros((50, 70), bool)
    mask[3:9, 4:20] = True
    objects = shaped(
        [
            ("polygon", [SQUARE]),
            ("polygon", [SQUARE, HOLE]),
            ("polygon", [BOW]),
            ("rotated_box", [[(20, 0), (40, 20), (30, 30), (10, 10)]]),
            ("mask", mask),
            ("polyline", [[(0, 0), (5, 5)]]),
            ("point", [[(3, 4)]]),
            ("polygon", [[(1, 1), (5, 5), (9, 9)]]),
            ("box", (60, 40, 90, 45)),
        ]
    )
    got = evaluate(["object_area", "object_area_relative"], {"objects": objects, "sizes": sizes_of((70, 50))})
    assert got["object_area"] == pytest.approx([400, 300, 200, 400, 96, None, None, 0, 150])
    assert got["object_area_relative"][0] == pytest.approx(400 / 3500)


def test_a_rotated_box_has_its_own_sides() -> None:
    objects = shaped([("box", (1, 2, 4, 9)), ("rotated_box", [[(20, 0), (40, 20), (30, 30), (10, 10)]])])
    got = evaluate(PLACES[:3], {"objects": objects})
    assert got["object_width"] == pytest.approx([3, 800**0.5])
    assert got["object_height"] == pytest.approx([7, 200**0.5])
    assert got["object_aspect_ratio"] == pytest.approx([3 / 7, 2])


def test_border_closeness_counts_every_shape() -> None:
    objects = shaped([("point", [[(50, 20)]]), ("polyline", [[(50, 20), (99, 20)]]), ("polygon", [[(-5, 3), (9, 9), (5, 20)]])])
    got = evaluate(["border_closeness"], {"objects": objects, "sizes": sizes_of((100, 40))})
    assert got["border_closeness"] == pytest.approx([0.5, 0.99, 1.05])


def test_density_of_polygons_is_exact_and_clipped() -> None:
    objects = shaped([("polygon", [SQUARE, HOLE]), ("polygon", [BOW]), ("box", (50, 0, 90, 50)), ("polygon", [TRIANGLE])])
    got = evaluate(["object_density"], {"objects": objects, "sizes": sizes_of((70, 50))})["object_density"][0]
    bow = shapely.union(shapely.Polygon([(40, 10), (50, 20), (40, 30)]), shapely.Polygon([(60, 30), (50, 20), (60, 10)]))
    union = shapely.union_all([shapely.Polygon(SQUARE, [HOLE]), bow, shapely.box(50, 0, 70, 50), shapely.Polygon(TRIANGLE)])
    assert got == pytest.approx(union.area / 3500, abs=1e-12)


def test_density_with_a_mask_counts_pixels() -> None:
    mask = np.random.default_rng(0).random((50, 70)) < 0.2
    objects = shaped([("mask", mask), ("box", (10.4, 5.6, 30.5, 20.5)), ("polygon", [TRIANGLE])])
    y, x = np.mgrid[0:50, 0:70] + 0.5
    drawn = mask | ((x >= 10.4) & (x < 30.5) & (y >= 5.6) & (y < 20.5))
    drawn |= (x >= 20) & (y >= 10) & (x - 20 + y - 10 < 30)
    got = evaluate(["object_density"], {"objects": objects, "sizes": sizes_of((70, 50))})["object_density"]
    assert got == [drawn.sum() / 3500]


def test_overlap_of_shapes() -> None:
    objects = shaped([("polygon", [SQUARE]), ("polygon", [TRIANGLE]), ("box", (10, 10, 30, 20)), ("polyline", [SQUARE])])
    got = evaluate(OVERLAPS, {"objects": objects, "sizes": sizes_of((70, 50))})
    square, triangle, box = shapely.Polygon(SQUARE), shapely.Polygon(TRIANGLE), shapely.box(10, 10, 30, 20)

    def true_iou(a: shapely.Geometry, b: shapely.Geometry) -> float:
        return a.intersection(b).area / a.union(b).area

    best = [true_iou(square, box), true_iou(square, triangle), true_iou(square, box), None]
    assert got["annotation_duplicate"] == pytest.approx(best, abs=1e-12)
    assert got["annotation_duplicate_of"] == [2, 0, 0, None]


def test_overlap_of_masks_equals_pycocotools() -> None:
    y, x = np.mgrid[0:60, 0:80]
    masks = [(x - cx) ** 2 + (y - cy) ** 2 < r * r for cx, cy, r in ((20, 20, 15), (28, 22, 12), (60, 40, 18), (58, 44, 17))]
    objects = shaped([("mask", m) for m in masks])
    got = evaluate(["annotation_duplicate"], {"objects": objects, "sizes": sizes_of((80, 60))})["annotation_duplicate"]
    encoded = [coco_mask.encode(np.asfortranarray(m.astype(np.uint8))) for m in masks]
    table = coco_mask.iou(encoded, encoded, [0] * 4)
    np.fill_diagonal(table, 0)
    assert got == pytest.approx(table.max(1).tolist(), abs=1e-15)


def test_many_objects_in_one_frame_are_compared_in_blocks() -> None:
    boxes = [(i, 0, i + 2, 1) for i in range(0, 6000, 4)]
    boxes[1400] = (5001, 0, 5003, 1)
    objects = objects_of(boxes)
    got = evaluate(OVERLAPS, {"objects": objects, "sizes": sizes_of((6000, 4))})
    assert [i for i, v in enumerate(got["annotation_duplicate"]) if v] == [1250, 1400]
    assert (got["annotation_duplicate_of"][1250], got["annotation_duplicate_of"][1400]) == (1400, 1250)
