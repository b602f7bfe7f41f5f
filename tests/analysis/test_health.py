"""Health checks: against slow loops, worked examples of every code on both sides of its limit, hostile files, real data."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import write_photos
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from reference import health as slow

import gpu_quality as gq
from gpu_quality.analysis import health, health_pairs
from gpu_quality.analysis.health_view import View
from gpu_quality.annotations import AnswerColumns, Builder, Dataset, Masks, ObjectColumns
from gpu_quality.errors import REASONS
from gpu_quality.geometry import validity
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.types import KINDS

BOX, POLYGON, MASK, LINE = 0, KINDS.index("polygon"), KINDS.index("mask"), KINDS.index("polyline")
SIZE = 512


def outlines(rings: list[list[list[float]]]) -> Outlines:
    """Rings of flat numbers per object."""
    flat = [ring for own in rings for ring in own]
    ends = [np.cumsum([0, *map(len, part)]) for part in (rings, flat)]
    return Outlines(*(end.astype(np.int64) for end in ends), np.array([v for ring in flat for v in ring], np.float64))


def corners(x1: float, y1: float, x2: float, y2: float) -> list[float]:
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def counts_of(box: tuple[int, int, int, int]) -> bytes:
    x1, y1, x2, y2 = box
    drawn = np.zeros((SIZE, SIZE), np.uint8, order="F")
    drawn[y1:y2, x1:x2] = 1
    return bytes(coco_mask.encode(drawn)["counts"])


def codes(found: pd.DataFrame) -> dict[str, int]:
    return dict(Counter(found["code"].astype(str)))


def told(found: pd.DataFrame, code: str, *, pairs: bool) -> set[tuple[Any, ...]]:
    rows = found[found["code"] == code]
    return set(zip(rows["object"], rows["other"], strict=True)) if pairs else {(name,) for name in rows["object"]}


# Against slow loops.


@st.composite
def objects(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rectangles drawn as boxes, outlines, masks or lines, many of them on one another."""
    rows = []
    for _ in range(draw(st.integers(0, 9))):
        x, y = (draw(st.sampled_from([0, 0, 0, 1, 40])) for _ in "xy")
        w, h = (draw(st.sampled_from([20, 20, 19, 40, 39, 38, 1, 2, 400, 420])) for _ in "wh")
        kind = draw(st.sampled_from([BOX, BOX, BOX, POLYGON, MASK, LINE]))
        if kind == BOX:
            x, y = (v + draw(st.sampled_from([0, 0, 0, -1, -1.5, 473, 0.25])) for v in (x, y))
            w = draw(st.sampled_from([w, w, w, w, 0, -3]))
        rows.append(
            {
                "kind": kind,
                "box": (x, y, x + w, y + h),
                "frame": draw(st.integers(0, 2)),
                "class_id": draw(st.integers(0, 2)),
                "origin": draw(st.sampled_from(["labels", "labels", "net"])),
                "source_id": draw(st.sampled_from(["0", "1", "2", "3", "4", "record-1", "record-2", "7"])),
                "record": draw(st.integers(0, 5)),
                "crowd": draw(st.sampled_from([False, False, False, True])),
                "score": draw(st.sampled_from([0.5, 0.0, 1.0, 1.5, -0.1, None])),
                "track": draw(st.sampled_from([-1, 3, 4])),
                "area": draw(st.sampled_from([1.0, 1.0, 1.0, 1.2, 1.21, 0.8, 0.79, 0.0, None])),
            }
        )
    return rows


def dataset_of(rows: list[dict[str, Any]], sequences: list[str], answers: list[tuple[int, int]] = ()) -> Dataset:
    builder = Builder()
    frames = builder.add_frames(["a", "b", "c"], sequence=sequences, position=[2, 1, 3])
    builder.label_frames(frames[:2], [SIZE, SIZE], [SIZE, SIZE])
    builder.size_frames(frames[2:], [SIZE], [SIZE])
    builder.add_classes(["cat", "dog", "cow", "pig"], ["1", "2", "3", "7"])
    for origin in ("labels", "net"):
        own = [row for row in rows if row["origin"] == origin]
        n = len(own)
        extent = [max(r["box"][2] - r["box"][0], 0) * max(r["box"][3] - r["box"][1], 0) for r in own]
        area = [np.nan if r["area"] is None else r["area"] * e for r, e in zip(own, extent, strict=True)]
        column = {name: [row[name] for row in own] for name in own[0]} if own else {}
        if not n:
            continue
        ringed = {POLYGON: lambda b: [corners(*b)], LINE: lambda b: [[b[0], b[1], b[2], b[3]]]}
        builder.add_objects(
            origin,
            f"{origin}.json",
            ObjectColumns(
                np.array(column["frame"]),
                np.array(column["class_id"]),
                np.array(column["box"], np.float64),
                np.array(column["record"]),
                source_id=column["source_id"],
                score=None if origin == "labels" else np.array([s if s is not None else np.nan for s in column["score"]]),
                unscored=None if origin == "labels" else np.array([s is None for s in column["score"]]),
                track=np.array(column["track"]),
                area=np.array(area),
                crowd=np.array(column["crowd"]),
                outlines=outlines([ringed.get(r["kind"], lambda _: [])(r["box"]) for r in own]),
                masks=Masks(
                    np.full(n, SIZE), np.full(n, SIZE), [counts_of(r["box"]) if r["kind"] == MASK else None for r in own]
                ),
                kind=np.array([LINE if r["kind"] == LINE else -1 for r in own], np.int8),
            ),
        )
    if answers:
        frame, answer = (np.array(part) for part in zip(*answers, strict=True))
        builder.add_answers("labels", "labels.json", AnswerColumns(frame, ["weather"] * len(frame), answer, frame))
    return builder.build()


@settings(max_examples=80, deadline=None)
@given(
    objects(),
    st.lists(st.sampled_from(["", "film"]), min_size=3, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=3),
)
def test_every_check_of_objects_is_its_slow_loop(rows, sequences, answers) -> None:
    dataset = dataset_of(rows, sequences, answers)
    found = health.findings(dataset)
    seen = slow.objects_of(dataset)
    for check in slow.OF_OBJECTS:
        expected = check(seen)
        pairs = any(len(item) == 2 for item in expected)
        assert told(found, check.__name__, pairs=pairs) == expected, check.__name__
        if not pairs:
            assert codes(found).get(check.__name__, 0) == len(expected)
    assert {(f,) for f in found["frame"][found["code"] == "unlabeled_image"]} == slow.unlabeled_image(dataset)
    counts = slow.labels_per_class(dataset)
    assert codes(found).get("zero_instance_category", 0) == counts.count(0)
    assert codes(found).get("low_instance_category", 0) == sum(0 < n < 10 for n in counts)
    assert codes(found)["non_contiguous_category_ids"] == 1
    order = list(health.CODES)
    assert [order.index(code) for code in found["code"]] == sorted(order.index(code) for code in found["code"])
    assert found["severity"].tolist() == [health.CODES[code].severity for code in found["code"]]


grid = st.tuples(st.integers(0, 4), st.integers(0, 4))


@settings(max_examples=500, deadline=None)
@given(st.lists(st.lists(grid, min_size=3, max_size=8), min_size=1, max_size=4))
def test_rings_that_cross_themselves_are_found_in_exact_numbers(rings) -> None:
    flat = [[[float(v) for point in ring for v in point]] for ring in rings]
    assert validity.crossing(outlines(flat)).tolist() == [slow.ring_crosses(ring) for ring in rings]
    assert validity.fewest_points(outlines(flat)).tolist() == [len(set(ring)) for ring in rings]


def test_many_outlines_are_looked_at_in_blocks(monkeypatch) -> None:
    square, bow = corners(0, 0, 4, 4), [0.0, 0, 4, 4, 4, 0, 0, 4]
    shapes = [[square], [], [bow], [square, bow], [[1.0, 1, 1, 1, 2, 2]], [square, square]]
    whole = validity.crossing(outlines(shapes * 5))
    monkeypatch.setattr(validity, "_BLOCK", 20)
    assert validity.crossing(outlines(shapes * 5)).tolist() == whole.tolist() == [False, False, True, True, False, False] * 5
    assert validity.fewest_points(outlines(shapes)).tolist() == [4, 0, 4, 4, 2, 4]
    assert validity.crossing(outlines([])).tolist() == validity.fewest_points(outlines([])).tolist() == []


@pytest.mark.parametrize("seed", range(6))
def test_pairs_are_those_of_comparing_all_with_all(seed) -> None:
    rng = np.random.default_rng(seed)
    n = 400
    spot = rng.integers(0, 12, (n, 2)) * (30, 0)[seed % 2]  # in a grid, or all on one spot
    box = np.concatenate([spot, spot + rng.choice([100, 99, 98, 97, 60], (n, 2))], 1) + rng.choice([0, 0.5], (n, 1))
    builder = Builder()
    builder.add_frames(["a", "b"])
    builder.add_classes(["x"], ["1"])
    builder.add_objects("labels", "f", ObjectColumns(rng.integers(0, 2, n), np.zeros(n, int), box, np.arange(n)))
    dataset = builder.build()
    rows = slow.objects_of(dataset)
    expected = {
        (j, i)
        for i in range(n)
        for j in range(i + 1, n)
        if rows[i]["row"] == rows[j]["row"]
        if slow.iou(rows[i], rows[j]) >= 0.95
    }
    first, second, iou = health_pairs.close_pairs(View.of(dataset, None), 0.95, notes := [])
    assert notes == []
    assert set(zip(second.tolist(), first.tolist(), strict=True)) == expected
    assert len(first) == len(expected) > 0
    assert iou.tolist() == [slow.iou(rows[i], rows[j]) for i, j in zip(first.tolist(), second.tolist(), strict=True)]


# Worked examples through a COCO file: the first of each two values speaks, the second does not.


def box(i: int, **over: Any) -> dict[str, Any]:
    """Annotation `i`, apart from all others."""
    x, y = 20 * (i % 20), 40 * (i // 20)
    return {"id": i, "image_id": 1, "category_id": 1, "bbox": [x, y, 15, 30], "area": 450, **over}


def base() -> dict[str, Any]:
    """A labels file without any finding."""
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 400, "height": 300}],
        "annotations": [box(i) for i in range(1, 21)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


def checked(tmp_path: Path, labels: dict[str, Any], results: list[dict[str, Any]] | None = None, **given: Any) -> pd.DataFrame:
    labels = labels | {"annotations": labels["annotations"] + [box(100 + i, category_id=2) for i in range(10)]}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    predictions = None
    if results is not None:
        (tmp_path / "net.json").write_text(json.dumps(results))
        predictions = {"net": tmp_path / "net.json"}
    return health.findings(gq.open_dataset(labels=tmp_path / "labels.json", predictions=predictions), **given)


def test_a_file_without_fault_has_no_findings(tmp_path) -> None:
    found = checked(tmp_path, base(), [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "score": 0.5}])
    assert found.empty
    assert tuple(found.columns) == health.COLUMNS
    assert health.summary(found).empty


RING = [0, 250, 40, 250, 40, 290, 0, 290]
BOW = [0, 250, 40, 290, 40, 250, 0, 290]
TOUCHING = [0, 250, 20, 270, 40, 250, 40, 290, 20, 270, 0, 290]  # two triangles that meet in a point
TWICE = [0, 250, 0, 250, 40, 250, 40, 290, 0, 290, 0, 250]  # the first point said again and the ring closed by hand


def shape(ring: list[float], area: float, *more: list[float]) -> dict[str, Any]:
    return {"bbox": [0, 250, 40, 40], "segmentation": [ring, *more], "area": area}


@pytest.mark.parametrize(
    ("code", "fires", "silent"),
    [
        ("degenerate_bbox", {"bbox": [0, 250, 0, 30], "area": 450}, {"bbox": [0, 250, 2, 30], "area": 60}),
        ("degenerate_bbox", {"bbox": [9, 250, 9, -1]}, {"bbox": [0, 250, 9, 9], "area": 81}),
        ("zero_area", {"area": 0}, {"area": 400}),
        ("zero_area", shape([0, 250, 20, 250, 40, 250], 0), shape(RING, 1600)),
        ("bbox_out_of_bounds", {"bbox": [386.001, 250, 15, 30]}, {"bbox": [386, 250, 15, 30]}),
        ("bbox_out_of_bounds", {"bbox": [-1.001, 250, 15, 30]}, {"bbox": [-1, 250, 15, 30]}),
        ("bbox_out_of_bounds", {"bbox": [0, 271.5, 15, 30]}, {"bbox": [0, 271, 15, 30]}),
        ("extreme_aspect_ratio", {"bbox": [0, 250, 201, 10], "area": 2010}, {"bbox": [0, 250, 200, 10], "area": 2000}),
        ("extreme_aspect_ratio", {"bbox": [0, 200, 4, 81], "area": 324}, {"bbox": [0, 200, 4, 80], "area": 320}),
        ("tiny_box", {"bbox": [0, 250, 1.9, 30], "area": 57}, {"bbox": [0, 250, 2, 30], "area": 60}),
        ("self_crossing_polygon", shape(BOW, 800), shape(RING, 1600)),
        ("self_crossing_polygon", shape(RING, 1600, [5, 255, 9, 259, 9, 255, 5, 259]), shape(TWICE, 1600)),
        ("self_crossing_polygon", shape(TOUCHING, 800), shape(RING, 1584, [5, 255, 9, 255, 9, 259, 5, 259])),
        ("few_points", shape([0, 250, 40, 290, 0, 250], 0), shape([0, 250, 40, 290, 0, 290], 800)),
        ("area_mismatch", {"area": 541}, {"area": 540}),
        ("area_mismatch", {"area": 359}, {"area": 360}),
        ("area_mismatch", shape(RING, 700), shape(RING, 1500)),
        ("near_duplicate", {"bbox": [20, 0, 15, 29]}, {"bbox": [20, 0, 15, 28.5]}),  # .967, .95
        ("conflicting_classes", {"bbox": [20, 0, 15, 28.5], "category_id": 2}, {"bbox": [20, 0, 15, 28.4], "category_id": 2}),
        ("duplicate_ann_id", {"id": 7}, {"id": 77}),
        ("ann_id_zero", {"id": 0}, {"id": -1}),
        ("crowd_present", {"iscrowd": 1}, {"iscrowd": 0}),
        ("orphan_image_id", {"image_id": 9}, {"image_id": 1}),
        ("orphan_category_id", {"category_id": 9}, {"category_id": 2}),
        ("missing_geometry", {"bbox": None}, {}),
        ("non_finite_geometry", {"bbox": [0, 250, float("nan"), 9]}, {}),
        ("non_finite_geometry", {"bbox": [0, 250, float("inf"), 9]}, {}),
        (
            "invalid_rle",
            {"segmentation": {"size": [300, 400], "counts": [5, 9]}},
            {"bbox": None, "segmentation": {"size": [300, 400], "counts": [0, 99, 120000 - 99]}, "area": 99},
        ),
    ],
)
def test_an_annotation_speaks_beyond_its_limit_only(code, fires, silent, tmp_path) -> None:
    for over, expected in ((fires, True), (silent, False)):
        labels = base()
        labels["annotations"].append({**box(60), "bbox": [0, 250, 15, 30], **over})
        found = checked(tmp_path, labels)
        mine = found[found["code"] == code]
        assert (len(mine) == 1) == expected, (code, over, found.to_dict("records"))
        if expected:
            row = mine.iloc[0]
            assert (row["severity"], row["origin"]) == (health.CODES[code].severity, "labels")
            assert (row["file"], row["record"]) == ("labels.json", 20)
            assert "\n" not in row["detail"]
            assert len(row["detail"]) > 5


@pytest.mark.parametrize(
    ("code", "fires", "silent"),
    [
        ("dt_missing_score", {"score": None}, {"score": 0}),
        ("dt_score_out_of_range", {"score": 1.0001}, {"score": 1}),
        ("dt_score_out_of_range", {"score": -0.1}, {"score": 0.0}),
        ("dt_score_out_of_range", {"score": float("nan")}, {}),
        ("dt_orphan_image_id", {"image_id": 8}, {}),
        ("dt_orphan_category_id", {"category_id": 8}, {}),
        ("bbox_out_of_bounds", {"bbox": [395, 0, 20, 20]}, {}),
        ("degenerate_bbox", {"bbox": [5, 5, 0, 0]}, {}),
        ("tiny_box", {"bbox": [5, 5, 1, 9]}, {}),
    ],
)
def test_a_prediction_speaks_beyond_its_limit_only(code, fires, silent, tmp_path) -> None:
    good = {"image_id": 1, "category_id": 1, "bbox": [300, 200, 10, 10], "score": 0.5}
    for over, expected in ((fires, 1), (silent, 0)):
        found = checked(tmp_path, base(), [good | {"bbox": [0, 0, 10, 10]}, good | over])
        assert codes(found).get(code, 0) == expected
        if expected:
            row = found[found["code"] == code].iloc[0]
            assert (row["origin"], row["file"], row["record"]) == ("net", "net.json", 1)


def change(labels: dict[str, Any], code: str) -> None:
    """Plant one fault that no single annotation shows."""
    images, categories = labels["images"], labels["categories"]
    if code == "duplicate_image_id":
        images.append({"id": 1, "file_name": "b.jpg"})
    elif code == "duplicate_category_id":
        categories.append({"id": 1, "name": "cow"})
    elif code == "zero_dimensions":
        images[0]["width"] = 0
    elif code == "zero_instance_category":
        categories.append({"id": 3, "name": "cow"})
    elif code == "low_instance_category":
        images[0]["height"] = 900
        categories.append({"id": 3, "name": "cow"})
        labels["annotations"] += [box(200 + i, category_id=3) for i in range(9)]
    elif code == "imbalance":
        images[0]["height"] = 900
        labels["annotations"] += [box(200 + i) for i in range(80)]
    elif code == "non_contiguous_category_ids":
        categories[1]["id"] = 2
        categories.append({"id": 4, "name": "cow"})
    elif code == "duplicate_file_name":
        images.append({"id": 2, "file_name": "a.jpg"})
    elif code == "unlabeled_image":
        images.append({"id": 2, "file_name": "b.jpg"})


@pytest.mark.parametrize(
    ("code", "also", "detail"),
    [
        ("duplicate_image_id", {}, "1 is there twice"),
        ("duplicate_category_id", {}, "1 is there twice"),
        ("zero_dimensions", {}, "width 0"),
        ("zero_instance_category", {}, "class 'cow' has no labels"),
        ("low_instance_category", {}, "class 'cow' has 9 labels"),
        ("imbalance", {}, "'cat' has 100 labels, 'dog' 10: 10.0 to 1"),
        ("non_contiguous_category_ids", {"zero_instance_category": 1}, "class numbers run from 1 to 4 without 1 of them: 3"),
        ("duplicate_file_name", {"unlabeled_image": 1}, "another image of the labels is also called 'a.jpg'"),
        ("unlabeled_image", {}, "the labels name this image and nothing in it"),
    ],
)
def test_a_fault_of_the_file_is_found_and_nothing_else(code, also, detail, tmp_path) -> None:
    labels = base()
    change(labels, code)
    found = checked(tmp_path, labels)
    assert codes(found) == {code: 1, **also}
    assert detail in found[found["code"] == code]["detail"].iloc[0]


def test_ten_labels_and_less_than_ten_to_one_are_fine(tmp_path) -> None:
    labels = base()
    labels["images"][0]["height"] = 900
    labels["annotations"] += [box(200 + i) for i in range(79)]  # 99 to 10
    assert checked(tmp_path, labels).empty


def test_detail_says_how_far_and_where(tmp_path) -> None:
    labels = base()
    labels["annotations"].append(box(60, bbox=[-3, 250, 417, 50], area=417 * 50))
    row = checked(tmp_path, labels).iloc[0]
    assert row["detail"] == "box reaches 3.0 px out of the frame on the left and 14.0 px out of the frame on the right"
    assert row["value"] == 14.0
    assert (row["frame"], row["object"]) == ("a.jpg", "labels/60")


def test_limits_can_be_changed(tmp_path) -> None:
    labels = base()
    labels["annotations"].append(box(60, bbox=[386.5, 250, 15, 15], area=225))
    assert codes(checked(tmp_path, labels, limits=health.Limits(tiny_side=16))) == {"bbox_out_of_bounds": 1, "tiny_box": 31}
    assert codes(checked(tmp_path, labels, limits=health.Limits(outside=1.5))) == {}
    assert codes(checked(tmp_path, base(), limits=health.Limits(imbalance=2))) == {"imbalance": 1}


def test_sizes_of_images_that_are_not_as_declared(tmp_path) -> None:
    labels = base()
    labels["images"] += [{"id": 2, "file_name": "b.jpg", "width": 5, "height": 5}, {"id": 3, "file_name": "c.jpg"}]
    labels["annotations"] += [box(70, image_id=2, bbox=[0, 0, 5, 5], area=25), box(71, image_id=3)]
    decoded = (pd.array([400, 7, 9], "Int64"), pd.array([300, 5, 9], "Int64"))
    found = checked(tmp_path, labels, decoded=decoded)
    mine = found[found["code"] == "size_mismatch"]
    assert mine[["frame", "detail", "value"]].to_numpy().tolist() == [
        ["b.jpg", "declared 5 x 5 px, the image is 7 x 5 px", 2.0]
    ]
    assert found[found["code"] == "bbox_out_of_bounds"]["frame"].tolist() == ["c.jpg"]  # judged by the real size
    unknown = (pd.array([400, None, -1], "Int64"), pd.array([300, None, -1], "Int64"))
    assert "size_mismatch" not in codes(checked(tmp_path, labels, decoded=unknown))


def test_missing_files_are_told_once_and_only_where_images_were_listed(tmp_path) -> None:
    write_photos(tmp_path / "images", 1, size=(400, 300))
    labels = base()
    labels["images"] = [
        {"id": 1, "file_name": "photo000.png", "width": 400, "height": 300},
        {"id": 2, "file_name": "gone.png", "width": 400, "height": 300},
    ]
    labels["annotations"].append(box(60, image_id=2))
    assert "missing_file" not in codes(checked(tmp_path, labels))
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    dataset = gq.open_dataset(tmp_path / "images", labels=tmp_path / "labels.json")
    mine = health.findings(dataset)
    mine = mine[mine["code"] == "missing_file"]
    assert mine[["frame", "severity"]].to_numpy().tolist() == [["gone.png", "error"]]
    assert mine["origin"].isna().all()


def test_a_track_that_changes_its_class_in_a_video_is_told_at_every_change() -> None:
    rows = [
        {"kind": BOX, "box": (0, 0, 9, 9), "frame": f, "class_id": c, "origin": "labels", "source_id": str(f + 1)}
        | {"crowd": False, "score": None, "track": 5, "area": None, "record": f}
        for f, c in ((0, 1), (1, 0), (2, 1))
    ]
    found = health.findings(dataset_of(rows, ["film"] * 3))  # positions 2, 1, 3: dog after cat, then dog
    mine = found[found["code"] == "track_class_change"]
    assert mine[["frame", "object", "other", "detail"]].to_numpy().tolist() == [
        ["a", "labels/1", "labels/2", "track 5 was 'cat' and is 'dog' here"]
    ]
    assert "track_class_change" not in codes(health.findings(dataset_of(rows, ["", "", ""])))
    assert "track_class_change" not in codes(health.findings(dataset_of(rows, ["u", "v", "w"])))


def test_questions_that_no_label_answers() -> None:
    builder = Builder()
    rows = builder.add_frames(["a", "b"])
    builder.add_classes(["sun", "rain"], ["1", "2"])
    builder.add_answers("labels", "l", AnswerColumns(rows, ["weather", "weather"], np.array([0, 1]), rows))
    builder.add_answers("net", "n", AnswerColumns(rows, ["weather", "season"], np.array([0, 1]), rows))
    found = health.findings(builder.build(), questions=["mood", "weather"])
    assert found[found["code"] == "unused_question"]["detail"].tolist() == [
        "no label answers 'mood'",
        "no label answers 'season'",
    ]
    assert codes(found) == {"low_instance_category": 2, "unused_question": 2}


def test_predictions_alone_are_not_called_unlabeled() -> None:
    builder = Builder()
    rows = builder.add_frames(["a", "b"])
    builder.add_classes(["cat"], ["1"])
    box_of = np.array([[0.0, 0, 9, 9]])
    builder.add_objects("net", "n", ObjectColumns(rows[:1], np.array([0]), box_of, rows[:1], score=np.array([0.5])))
    assert health.findings(builder.build()).empty


def test_nothing_at_all_has_no_findings() -> None:
    found = health.findings(Builder().build())
    assert found.empty
    assert health.summary(found).empty


def test_every_code_of_an_error_row_is_a_check() -> None:
    assert set(REASONS[REASONS.index("missing_file") :]) <= set(health.CODES)
    severe = [facts.severity for facts in health.CODES.values()]
    assert severe == sorted(severe, key=health.SEVERITIES.index)
    assert all(facts.meaning for facts in health.CODES.values())


# Hostile, large, real.


def test_hostile_names_and_records_become_rows(tmp_path) -> None:
    name = "\x1b[2J<script>\n=cmd|’\u202e.jpg"
    labels = base()
    labels["images"].append({"id": 5, "file_name": name})
    labels["categories"].append({"id": 9, "name": "\x07" * 300})
    labels["annotations"] += [box(50, image_id=5), {"id": 51}, [], None, 7, box(52, bbox=[1e300] * 4), box(53, bbox="x")]
    labels["annotations"] += [{**box(54), "id": {"a": 1}}, box(55, bbox=None, segmentation=[[1, 2, 3]])]
    found = checked(tmp_path, labels)
    assert {"bad_annotation", "non_finite_geometry", "missing_geometry", "zero_instance_category"} <= set(codes(found))
    assert found["detail"].str.len().max() < 1000
    assert found["detail"].notna().all()


def test_the_same_box_thousands_of_times_names_every_one_and_not_every_pair(monkeypatch) -> None:
    n = 5000
    monkeypatch.setattr(health_pairs, "ALL_PAIRS", 20_000)
    builder = Builder()
    builder.add_frames(["a"])
    builder.add_classes(["x"], ["1"])
    columns = ObjectColumns(np.zeros(n, int), np.zeros(n, int), np.tile([0.0, 0, 9, 9], (n, 1)), np.arange(n))
    builder.add_objects("labels", "f", columns)
    found = health.findings(builder.build())
    mine = found[found["code"] == "near_duplicate"]
    assert set(mine["object"]) | set(mine["other"]) == {f"labels/{i}" for i in range(n)}
    assert n <= len(mine) < 3 * health_pairs.ALL_PAIRS
    assert "further pairs" in found.attrs["notes"][0]
    assert not mine.duplicated(["object", "other"]).any()


def test_a_search_that_gives_up_says_so(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    box_of = np.concatenate([np.zeros((500, 2)), rng.integers(10, 4000, (500, 2))], 1).astype(float)
    builder = Builder()
    builder.add_frames(["a"])
    builder.add_classes(["x"], ["1"])
    builder.add_objects("labels", "f", ObjectColumns(np.zeros(500, int), np.zeros(500, int), box_of, np.arange(500)))
    monkeypatch.setattr(health_pairs, "MOST_COMPARED", 1000)
    assert "may be missing" in health.findings(builder.build()).attrs["notes"][0]


def test_the_fake_hundred_images_of_coco(test_data) -> None:
    """Counted with pycocotools and plain loops over the file."""
    folder = test_data / "detection" / "coco_val2014_fake100"
    truth = COCO(str(folder / "instances_val2014_100.json"))
    found = health.findings(gq.open_dataset(labels=folder / "instances_val2014_100.json"))
    annotations, per_class = truth.loadAnns(truth.getAnnIds()), Counter(a["category_id"] for a in truth.anns.values())
    counts = [per_class[c] for c in truth.getCatIds()]
    crossing = {
        a["id"]
        for a in annotations
        if isinstance(a["segmentation"], list)
        for ring in a["segmentation"]
        if slow.ring_crosses([(round(100 * x), round(100 * y)) for x, y in zip(ring[::2], ring[1::2], strict=True)])
    }
    images = truth.loadImgs(truth.getImgIds())
    expected = {
        "self_crossing_polygon": len(crossing),
        "zero_instance_category": counts.count(0),
        "low_instance_category": sum(0 < n < 10 for n in counts),
        "crowd_present": sum(a["iscrowd"] for a in annotations),
        "imbalance": 1,
        "non_contiguous_category_ids": 1,
        "unlabeled_image": sum(not truth.getAnnIds(imgIds=[i["id"]]) for i in images),
    }
    assert codes(found) == {code: n for code, n in expected.items() if n}
    assert {int(name.partition("/")[2]) for name in found["object"][found["code"] == "self_crossing_polygon"]} == crossing


def test_rooms_whose_file_declares_no_sizes(test_data) -> None:
    folder = test_data / "detection" / "indoor85_coco"
    truth = json.loads((folder / "groundtruths_coco.json").read_text())
    used = Counter(a["category_id"] for a in truth["annotations"])
    counts = [used[c["id"]] for c in truth["categories"]]
    found = health.findings(
        gq.open_dataset(labels=folder / "groundtruths_coco.json", predictions={"net": folder / "detections_coco.json"})
    )
    assert codes(found) == {
        "zero_dimensions": sum(not image["width"] or not image["height"] for image in truth["images"]),
        "zero_instance_category": counts.count(0),
        "low_instance_category": sum(0 < n < 10 for n in counts),
        "imbalance": 1,
    }
    ratio = max(counts) / min(n for n in counts if n)
    assert found["value"][found["code"] == "imbalance"].tolist() == [ratio]


def test_a_detectors_boxes_on_real_photos(test_data) -> None:
    """Near duplicates and conflicts counted with the boxes' overlaps as pycocotools computes them."""
    folder = test_data / "coco_photos"
    results = json.loads((folder / "centernet_predictions.json").read_text())
    found = health.findings(
        gq.open_dataset(
            folder / "images", labels=folder / "instances.json", predictions={"net": folder / "centernet_predictions.json"}
        )
    )
    found = found[found["origin"] == "net"]
    images: dict[int, list[dict[str, Any]]] = {}
    for result in results:
        images.setdefault(result["image_id"], []).append(result)
    expected: Counter[str] = Counter()
    for own in images.values():
        boxes = np.array([r["bbox"] for r in own], np.float64)
        iou = coco_mask.iou(boxes, boxes, [0] * len(own))
        same = np.equal.outer(*[[r["category_id"] for r in own]] * 2)
        expected["near_duplicate"] += int((np.triu(iou > 0.95, 1) & same).sum())
        expected["conflicting_classes"] += int((np.triu(iou >= 0.95, 1) & ~same).sum())
    sides = np.array([r["bbox"][2:] for r in results])
    expected["extreme_aspect_ratio"] = int((sides.max(1) / sides.min(1) > 20).sum())
    expected["tiny_box"] = int((sides.min(1) < 2).sum())
    assert codes(found) == {code: n for code, n in expected.items() if n}
    assert expected["conflicting_classes"] > 1000
