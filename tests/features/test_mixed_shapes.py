"""Areas, unions and overlaps of boxes, rotated boxes, polygons and masks in the same frames, against plain loops."""

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from gpu_quality.features.objects import covered_area, overlap, shape_area
from gpu_quality.functional.shapes import border_closeness, sides
from gpu_quality.geometry import polygons
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.geometry.regions import regions_of
from gpu_quality.types import KINDS, Objects, Shapes, Sizes
from tests.metrics.mini import objects_of
from tests.reference.geometry import box_pixels, polygon_pixels

Ring = list[tuple[float, float]]
Shape = tuple[str, list[Ring], np.ndarray | None, list[float]]
WIDTH, HEIGHT, FRAMES = 14, 11, 3
BOTH = frozenset({"same_class_overlap", "any_class_overlap"})


def a_shape(rng: np.random.Generator, kinds: tuple[str, ...]) -> Shape:
    """A shape on a grid of half pixels, or off it; with holes, crossings, sides of 0 and below, parts outside."""
    kind = str(rng.choice(kinds))
    step = rng.choice([0.5, 0.0])

    def rounded(values: np.ndarray) -> np.ndarray:
        return np.round(values / step) * step if step else values

    x, y = rounded(rng.uniform(-3, WIDTH, 2))
    w, h = rounded(rng.uniform(-1, 8, 2))
    if kind == "box":
        return kind, [], None, [x, y, x + w, y + h]
    if kind == "mask":
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[max(int(y), 0) : max(int(y + h), 0), max(int(x), 0) : max(int(x + w), 0)] = 1
        mask &= rng.random(mask.shape) < 0.8
        rows, columns = np.nonzero(mask)
        hull = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0, 0, 0, 0]
        return kind, [], mask, [float(v) for v in hull]
    if kind == "rotated_box":
        angle = rng.uniform(0, np.pi) if step == 0 else rng.integers(0, 4) * np.pi / 4
        a, b = abs(w) / 2 * np.array([np.cos(angle), np.sin(angle)]), abs(h) / 2 * np.array([-np.sin(angle), np.cos(angle)])
        rings = [[tuple(np.array([x, y]) + p) for p in (-a - b, a - b, a + b, b - a)]]
    else:
        rings = [[tuple(p) for p in rounded(rng.uniform(-2, 12, (rng.integers(3, 7), 2)))] for _ in range(rng.integers(1, 3))]
    every = np.array([p for ring in rings for p in ring])
    return kind, rings, None, [*every.min(0), *every.max(0)]


def objects(shapes: list[Shape], frame: list[int], class_id: list[int], crowd: list[bool]) -> Objects:
    rings = [ring for _, own, _, _ in shapes for ring in own]
    texts = [None if m is None else coco.encode(np.asfortranarray(m))["counts"] for _, _, m, _ in shapes]
    made = Shapes(
        torch.tensor([KINDS.index(kind) for kind, _, _, _ in shapes], dtype=torch.int8),
        torch.tensor(np.cumsum([0, *(len(own) for _, own, _, _ in shapes)])),
        torch.tensor(np.cumsum([0, *map(len, rings)])),
        torch.tensor([p for ring in rings for p in ring], dtype=torch.float64).reshape(-1, 2),
        tuple(texts),
    )
    return objects_of([box for *_, box in shapes], frame=frame, class_id=class_id, crowd=crowd, shapes=made)


def geometry(shape: Shape) -> shapely.Geometry:
    kind, rings, _, (x1, y1, x2, y2) = shape
    if kind == "box":
        return shapely.box(x1, y1, x2, y2) if x2 > x1 and y2 > y1 else shapely.Polygon()
    flat = [len(ring) for ring in rings]
    numbers = np.array([v for ring in rings for p in ring for v in p])
    return polygons.shapes(Outlines(np.array([0, len(rings)]), np.cumsum([0, *flat]) * 2, numbers))[0]


def pixels(shape: Shape) -> np.ndarray:
    """Pixels by the center rule; one for a shape that has an area but holds no center."""
    kind, rings, mask, box = shape
    if mask is not None:
        return mask.astype(bool)
    found = np.array(box_pixels(box, WIDTH, HEIGHT) if kind == "box" else polygon_pixels(rings, WIDTH, HEIGHT), bool)
    meets = box[0] < WIDTH and box[2] > 0 and box[1] < HEIGHT and box[3] > 0
    if geometry(shape).area <= 0:
        return np.zeros_like(found)
    if not found.any() and meets:
        y, x = np.clip([np.floor((box[1] + box[3]) / 2), np.floor((box[0] + box[2]) / 2)], 0, [HEIGHT - 1, WIDTH - 1]).astype(
            int
        )
        found[y, x] = True
    return found


def slow_iou(a: Shape, b: Shape) -> float:
    if "mask" in (a[0], b[0]):
        one, other = pixels(a), pixels(b)
        return (one & other).sum() / max(1, (one | other).sum())
    one, other = geometry(a), geometry(b)
    both = one.intersection(other).area
    total = one.area + other.area - both
    return both / total if total > 0 else 0.0


def slow_cover(shapes: list[Shape]) -> float:
    if any(shape[0] == "mask" for shape in shapes):
        return float(np.any([pixels(shape) for shape in shapes], axis=0).sum())
    return shapely.union_all(list(map(geometry, shapes))).intersection(shapely.box(0, 0, WIDTH, HEIGHT)).area


@pytest.mark.parametrize("kinds", [("box",), ("rotated_box",), ("box", "polygon"), ("mask",), KINDS[:4]], ids="-".join)
@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_against_plain_loops(kinds: tuple[str, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 14))
    shapes = [a_shape(rng, kinds) for _ in range(count)]
    frame, class_id = np.sort(rng.integers(0, FRAMES, count)).tolist(), rng.integers(0, 2, count).tolist()
    crowd = (rng.random(count) < 0.1).tolist()
    made = objects(shapes, frame, class_id, crowd)
    sizes = Sizes(torch.full((FRAMES,), WIDTH, dtype=torch.int32), torch.full((FRAMES,), HEIGHT, dtype=torch.int32))
    area = [float(s[2].sum()) if s[2] is not None else geometry(s).area for s in shapes]
    assert shape_area(made, sizes).tolist() == pytest.approx(area, rel=1e-9, abs=1e-9)
    cover = [slow_cover([s for s, f in zip(shapes, frame, strict=True) if f == row]) for row in range(FRAMES)]
    assert covered_area(made, sizes).tolist() == pytest.approx(cover, rel=1e-9, abs=1e-9)
    found = overlap(made, sizes, wanted=BOTH)
    for i in range(count):
        for name in BOTH:
            others = [
                j for j in range(count) if j != i and frame[j] == frame[i] and not crowd[j] and not crowd[i]
                and (name == "any_class_overlap" or class_id[i] == class_id[j])
            ]  # fmt: skip
            best = max((slow_iou(shapes[i], shapes[j]) for j in others), default=0.0)
            assert found[name].iou[i].item() == pytest.approx(best, rel=1e-9, abs=1e-9)
            if found[name].partner[i] >= 0:
                assert slow_iou(shapes[i], shapes[int(found[name].partner[i])]) == pytest.approx(best, rel=1e-9, abs=1e-9)


def test_the_rotation_of_a_box_is_not_ignored() -> None:
    half = 5 * 2**0.5
    square: Ring = [(0, 0), (10, 0), (10, 10), (0, 10)]
    turned: Ring = [(5 - half, 5), (5, 5 - half), (5 + half, 5), (5, 5 + half)]
    shapes: list[Shape] = [("rotated_box", [square], None, [0, 0, 10, 10])]
    shapes.append(("rotated_box", [turned], None, [5 - half, 5 - half, 5 + half, 5 + half]))
    sizes = Sizes(torch.tensor([20], dtype=torch.int32), torch.tensor([20], dtype=torch.int32))
    found = overlap(objects(shapes, [0, 0], [1, 1], [False, False]), sizes, wanted=BOTH)
    assert found["same_class_overlap"].iou.tolist() == pytest.approx([0.7071067811865476] * 2, abs=1e-9)
    assert shape_area(objects(shapes, [0, 0], [1, 1], [False, False]), sizes).tolist() == pytest.approx([100, 100])


def test_frames_of_unknown_size_hide_no_other() -> None:
    rng = np.random.default_rng(5)
    shapes = [a_shape(rng, KINDS[:4]) for _ in range(12)]
    frame = [0] * 4 + [1] * 4 + [2] * 4
    made = objects(shapes, frame, [0] * 12, [False] * 12)
    width = torch.tensor([WIDTH, torch.nan, WIDTH], dtype=torch.float64)
    some, known = Sizes(width, torch.full((3,), HEIGHT, dtype=torch.int32)), torch.tensor([0, 2])
    sizes = Sizes(torch.full((3,), WIDTH, dtype=torch.int32), torch.full((3,), HEIGHT, dtype=torch.int32))
    assert torch.equal(covered_area(made, some)[known], covered_area(made, sizes)[known])
    assert torch.equal(shape_area(made, some), shape_area(made, sizes))
    assert shape_area(made, some).isfinite().all()
    iou = overlap(made, some, wanted=BOTH)["any_class_overlap"].iou
    assert torch.equal(
        iou[[0, 1, 2, 3, 8, 9, 10, 11]], overlap(made, sizes, wanted=BOTH)["any_class_overlap"].iou[[0, 1, 2, 3, 8, 9, 10, 11]]
    )


def test_a_box_without_area_has_no_region_and_no_rescue_pixel() -> None:
    made = objects_of([(2, 2, 2, 5), (2, 2, 6, 2), (5, 5, 3, 8), (6, 6, 3, 3), (2, 2, 2.1, 2.1)])
    sizes = Sizes(torch.tensor([WIDTH], dtype=torch.int32), torch.tensor([HEIGHT], dtype=torch.int32))
    regions = regions_of(made, sizes)
    assert (regions.null[1:] > 0).tolist() == [True] * 4 + [False]
    assert regions.rect[1:5].tolist() == [[0, 0, 0, 0]] * 4
    assert regions.rect[5].tolist() == [2, 2, 3, 3]
    assert shape_area(made, sizes).tolist() == pytest.approx([0, 0, 0, 0, 0.01])
    assert covered_area(made, sizes).item() == pytest.approx(0.01)
    found = overlap(made, sizes, wanted=BOTH)["any_class_overlap"]
    assert found.iou.tolist() == [0] * 5
    assert found.partner.tolist() == [-1] * 5


def test_sides_and_places_of_boxes_without_area() -> None:
    made = objects_of([(2, 2, 2, 5), (2, 2, 6, 2), (8.4, 6.6, 5.6, 4.4)])
    sizes = Sizes(torch.tensor([WIDTH], dtype=torch.int32), torch.tensor([HEIGHT], dtype=torch.int32))
    width, height = sides(made)
    assert width.tolist() == [0, 4, 0]
    assert height.tolist() == [3, 0, 0]
    assert border_closeness(made, sizes).tolist() == pytest.approx([6 / 7, 6 / 7, 0.6])
