"""The Builder: rows and order, ids, every rule of the tables, and tensors made of slices."""

import io
from itertools import product

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from pycocotools import mask as coco

from gpu_quality.annotations import (
    CLASSIFICATIONS,
    ERRORS,
    FRAMES,
    OBJECTS,
    AnswerColumns,
    Builder,
    Masks,
    ObjectColumns,
    Ragged,
    names_of,
    objects_tensor,
    stable_id,
)
from gpu_quality.annotations.columns import with_shape_boxes
from gpu_quality.errors import REASONS, STAGES, UsageError
from gpu_quality.geometry.polygons import Outlines
from gpu_quality.types import KINDS


def columns(n: int, **given: object) -> ObjectColumns:
    """`n` good boxes of class 0 in frame 0."""
    box = np.tile([1.0, 2.0, 4.0, 8.0], (n, 1))
    base: dict[str, object] = {"frame": np.zeros(n, int), "class_id": np.zeros(n, int), "box": box, "record": np.arange(n)}
    return ObjectColumns(**{**base, **given})  # type: ignore[arg-type]


@pytest.fixture
def builder() -> Builder:
    made = Builder()
    made.add_frames(["b.jpg", "a.jpg", "c/d.jpg"], size_bytes=[2, 1, 3], mtime_ns=[20, 10, 30])
    made.label_frames(np.array([0, 1]), [8, None], [6, None])
    made.add_classes(["cat", "dog"], ["7", "9"])
    return made


def test_nothing_at_all_is_a_data_set() -> None:
    made = Builder().build()
    assert (made.frames.schema, made.errors.schema) == (FRAMES, ERRORS)
    assert made.objects.schema.equals(OBJECTS)
    assert made.classifications.schema.equals(CLASSIFICATIONS)
    assert made.origins == ("labels",)
    assert len(objects_tensor(made.objects, 0, True)) == 0


def test_frames_are_sorted_and_objects_move_along(builder: Builder) -> None:
    builder.add_objects("yolo", "r.json", columns(3, frame=np.array([2, 0, 1])))
    builder.add_objects("labels", "l.json", columns(4, frame=np.array([0, 1, 0, 1]), source_id=np.array([5, 0, -3, 8])))
    made = builder.build()
    assert made.frames.column("frame").to_pylist() == ["a.jpg", "b.jpg", "c/d.jpg"]
    assert made.frames.column("size_bytes").to_pylist() == [1, 2, 3]
    assert made.frames.column("width").to_pylist() == [None, 8, None]
    assert made.frames.column("labelled").to_pylist() == [True, True, False]
    rows = made.objects.select(["row", "origin", "object", "frame"]).to_pylist()
    assert [tuple(r.values()) for r in rows] == [
        (0, 0, "labels/0", "a.jpg"),
        (0, 0, "labels/8", "a.jpg"),
        (0, 1, "yolo/2", "a.jpg"),
        (1, 0, "labels/5", "b.jpg"),
        (1, 0, "labels/-3", "b.jpg"),
        (1, 1, "yolo/1", "b.jpg"),
        (2, 1, "yolo/0", "c/d.jpg"),
    ]
    assert made.origins == ("labels", "yolo")
    assert made.errors.num_rows == 0
    made.objects.validate(full=True)


def test_the_order_of_adding_frames_does_not_matter() -> None:
    names = ["z", "ä", "a/b", "a.b", "B", "日本"]
    expected = sorted(names)
    for order in (names, names[::-1], sorted(names)):
        made = Builder()
        made.add_frames(order)
        assert made.build().frames.column("frame").to_pylist() == expected


def test_a_frame_added_twice_keeps_its_row(builder: Builder) -> None:
    assert builder.add_frames(["x", "a.jpg", "x"], size_bytes=[9, 9, 8], mtime_ns=[9, 9, 8]).tolist() == [3, 1, 3]
    frames = builder.build().frames.to_pylist()
    assert {f["frame"]: f["size_bytes"] for f in frames} == {"a.jpg": 1, "b.jpg": 2, "c/d.jpg": 3, "x": 9}


def test_object_ids_are_unique_whatever_the_source_ids(builder: Builder) -> None:
    builder.add_objects("labels", "l", columns(6, source_id=["1", "1", "1#2", "1", "0", "1#2"]))
    builder.add_objects("labels", "m", columns(2, source_id=["1", "0"]))
    made = builder.build().objects
    ids = made.column("object").to_pylist()
    assert len(set(ids)) == 8
    assert ids[0] == "labels/1"
    assert ids[2] == "labels/1#2"
    assert made.column("source_id").to_pylist() == ["1", "1", "1#2", "1", "0", "1#2", "1", "0"]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("given", "message", "reason"),
    [
        ({"box": [NAN, 2, 4, 8]}, "box is not finite", "non_finite_geometry"),
        ({"box": [1, 2, INF, 8]}, "box is not finite", "non_finite_geometry"),
        ({"box": [-INF, 2, INF, 8]}, "box is not finite", "non_finite_geometry"),
        ({"box": [INF, 2, INF, 8]}, "box is not finite", "non_finite_geometry"),
        ({"box": [1, 2, 1e300, 1e300]}, "beyond 1e+09", "non_finite_geometry"),
        ({"outlines": [[0, 0, 1, 0, 1, 1e200]]}, "beyond 1e+09", "non_finite_geometry"),
        ({"score": NAN}, "score is not finite", "dt_score_out_of_range"),
        ({"score": INF}, "score is not finite", "dt_score_out_of_range"),
        ({"class_id": -1}, "class", "dt_orphan_category_id"),
        ({"frame": -1}, "image", "dt_orphan_image_id"),
        ({"outlines": [[0, 0, 1, 1]]}, "has 4 numbers", "missing_geometry"),
        ({"outlines": [[0, 0, 1, 1, 2, 2, 3]]}, "has 7 numbers", "missing_geometry"),
        ({"outlines": [[0, 0, 1, 0, 1, 1], [0, 0, NAN, 1, 2, 2]]}, "not finite", "non_finite_geometry"),
        ({"masks": (6, 8, b"5")}, "sum to 5", "invalid_rle"),
        ({"masks": (8, 6, b"`1")}, "not the frame's size 6 x 8", "invalid_rle"),
        ({"masks": (6, 8, b"\xff\x00")}, "not COCO-compressed", "invalid_rle"),
    ],
)
def test_one_bad_row_becomes_an_error_row_and_the_others_stay(
    builder: Builder, given: dict[str, object], message: str, reason: str
) -> None:
    bad: dict[str, object] = {}
    for name, value in given.items():
        if name == "outlines":
            rings = list(value)  # type: ignore[call-overload]
            bad[name] = Outlines(
                np.array([0, 0, len(rings), len(rings)]),
                np.cumsum([0, *map(len, rings)]),
                np.array([v for r in rings for v in r], float),
            )
        elif name == "masks":
            h, w, counts = value  # type: ignore[misc]
            bad[name] = Masks(np.array([0, h, 0]), np.array([0, w, 0]), [None, counts, None])
        else:
            column = np.array(getattr(columns(3, score=np.full(3, 0.5)), name), float if name in ("box", "score") else int)
            column[1] = value
            bad[name] = column
    builder.add_objects("yolo", "r.json", columns(3, **bad))
    made = builder.build()
    assert made.objects.column("object").to_pylist() == ["yolo/0", "yolo/2"]
    (error,) = made.errors.to_pylist()
    assert message in error["detail"]
    assert (error["uri"], error["line"], error["object"]) == ("r.json", 1, "yolo/1")
    assert error["frame"] == (None if "frame" in given else "b.jpg")
    assert error["stage"] == "annotate"
    assert error["stage"] in STAGES
    assert error["reason"] == reason
    assert error["reason"] in REASONS


@pytest.mark.parametrize(("box", "told"), [([4, 2, 4, 8], "width 0.0, height 6.0"), ([1, 8, 4, 2], "width 3.0, height -6.0")])
def test_a_box_without_area_is_kept_and_told(builder: Builder, box: list[float], told: str) -> None:
    boxes = columns(3).box.copy()
    boxes[1] = box
    builder.add_objects("yolo", "r.json", columns(3, box=boxes))
    made = builder.build()
    assert made.objects.column("source_id").to_pylist() == ["0", "1", "2"]
    assert made.objects.column("area").to_pylist()[1] == 0
    (error,) = made.errors.to_pylist()
    assert told in error["detail"]
    assert (error["reason"], error["line"], error["object"]) == ("degenerate_bbox", 1, "yolo/1")


def test_where_an_object_was_read_is_kept(builder: Builder) -> None:
    builder.add_objects("labels", "l.json", columns(2))
    builder.add_objects("labels", "more", columns(2, file=["a.txt", "b.txt"], source_id=["x", "y"], record=np.array([3, 9])))
    rows = {r["source_id"]: (r["file"], r["record"]) for r in builder.build().objects.to_pylist()}
    assert rows == {"0": ("l.json", 0), "1": ("l.json", 1), "x": ("a.txt", 3), "y": ("b.txt", 9)}


def test_keypoints_lines_and_points_keep_their_kind(builder: Builder) -> None:
    outlines = Outlines(np.array([0, 1, 2, 2, 2]), np.array([0, 4, 6]), np.array([0, 0, 5, 5, 2, 3], float))
    keypoints = Ragged(np.array([0, 0, 0, 6, 9]), np.array([1, 2, 2, 3, 4, 0, 5, 6, 1], float))
    kind = np.array([KINDS.index("polyline"), KINDS.index("point"), KINDS.index("keypoints"), -1], np.int8)
    made_of = columns(4, outlines=outlines, keypoints=keypoints, kind=kind, box=np.full((4, 4), NAN))
    made_of = with_shape_boxes(made_of, np.ones(4, bool))
    builder.add_objects("labels", "l", made_of)
    made = builder.build()
    rows = made.objects.to_pylist()
    assert {r["source_id"]: KINDS[r["kind"]] for r in rows} == {"0": "polyline", "1": "point", "2": "keypoints", "3": "box"}
    by_source = {r["source_id"]: r for r in rows}
    assert by_source["0"]["box"] == [0, 0, 5, 5]
    assert by_source["1"]["box"] == [2, 3, 2, 3]
    assert by_source["2"]["box"] == [1, 2, 1, 2]  # the visible one alone
    assert by_source["2"]["keypoints"] == [1, 2, 2, 3, 4, 0]
    assert by_source["0"]["keypoints"] is None
    assert [by_source[str(i)]["area"] for i in range(3)] == [0, 0, 0]
    assert made.errors.column("object").to_pylist() == ["labels/3"]  # a box of no size; points and lines need none


def test_answers_follow_their_frames(builder: Builder) -> None:
    answers = AnswerColumns(
        np.array([2, 0, 0, -1]), ["weather", "weather", "color", "weather"], np.array([0, 0, 0, 0]), np.arange(4),
        source=[None, None, "7", None], score=np.array([0.5, NAN, 1.0, 1.0]), unscored=np.array([False, True, False, False]),
        annotator=["ann", None, None, None],
    )  # fmt: skip
    builder.add_answers("labels", "l.json", answers)
    made = builder.build()
    rows = made.classifications.to_pylist()
    assert [(r["frame"], r["question"], r["object"], r["score"], r["annotator"]) for r in rows] == [
        ("b.jpg", "weather", None, None, None),
        ("b.jpg", "color", "labels/7", 1.0, None),
        ("c/d.jpg", "weather", None, 0.5, "ann"),
    ]
    (error,) = made.errors.to_pylist()
    assert (error["reason"], error["line"]) == ("orphan_image_id", 3)


def test_classes_by_name_and_places_of_frames(builder: Builder) -> None:
    first = builder.name_classes(["dog", "cat", "dog"])
    assert first.tolist()[0] == first.tolist()[2] != first.tolist()[1]
    assert builder.name_classes(["cat"]).tolist() == [first.tolist()[1]]
    builder.place_frames(np.array([1]), sequence=["cam"], position=[4], seconds=[0.5], split=["train"])
    row = next(r for r in builder.build().frames.to_pylist() if r["sequence"])
    assert (row["position"], row["seconds"], row["split"]) == (4, 0.5, "train")


def test_every_set_of_bad_rows_is_accounted_for() -> None:
    for mix in product([0, 1, 2], repeat=4):
        builder = Builder()
        builder.add_frames(["a"])
        builder.add_classes(["c"], ["1"])
        box = np.array([[[0, 0, 1, 1], [0, 0, NAN, 1], [0, 0, 0, 1]][kind] for kind in mix], float)
        builder.add_objects("labels", "l", columns(4, box=box))
        made = builder.build()
        assert made.objects.column("source_id").to_pylist() == [str(i) for i in range(4) if mix[i] != 1]
        assert made.errors.column("line").to_pylist() == [i for i in range(4) if mix[i]]


def test_scores(builder: Builder) -> None:
    score = np.array([0.0, 1.5, -2.0, NAN])
    builder.add_objects("yolo", "r", columns(4, score=score, unscored=np.array([False, False, False, True])))
    made = builder.build()
    assert made.objects.column("score").to_pylist() == [0.0, 1.5, -2.0, None]
    assert objects_tensor(made.objects, 0, False).score.tolist() == [0.0, 1.5, -2.0, 1.0]
    assert made.errors.num_rows == 0


def all_kinds(builder: Builder) -> None:
    text = coco.encode(np.asfortranarray(np.eye(6, 8, dtype=np.uint8)))["counts"]
    outlines = Outlines(np.array([0, 0, 2, 2, 3]), np.array([0, 8, 16, 24]), np.array(
        [0, 0, 6, 0, 6, 6, 0, 6, 1, 1, 3, 1, 3, 3, 1, 3, 4, 0, 8, 3, 4, 6, 0, 3], float
    ))  # fmt: skip
    masks = Masks(np.array([0, 0, 6, 0]), np.array([0, 0, 8, 0]), [None, None, text, None])
    turned = np.array([NAN, NAN, NAN, 0.5])
    builder.add_objects("labels", "l", columns(4, frame=np.array([2, 0, 0, 1]), outlines=outlines, masks=masks, angle=turned))


def test_kinds_and_areas(builder: Builder) -> None:
    all_kinds(builder)
    made = builder.build()
    rows = {r["source_id"]: r for r in made.objects.to_pylist()}
    assert [KINDS[rows[str(i)]["kind"]] for i in range(4)] == ["box", "polygon", "mask", "rotated_box"]
    assert [rows[str(i)]["area"] for i in range(4)] == [18.0, 32.0, 6.0, 24.0]
    assert rows["1"]["polygon"][1] == [1, 1, 3, 1, 3, 3, 1, 3]
    assert rows["2"]["rle"]["height"] == 6
    assert rows["0"]["polygon"] is rows["0"]["rle"] is None
    assert rows["3"]["angle"] == 0.5


def test_declared_areas_win_where_they_are_numbers(builder: Builder) -> None:
    builder.add_objects("labels", "l", columns(4, area=np.array([5.5, NAN, -1.0, 0.0])))
    assert builder.build().objects.column("area").to_pylist() == [5.5, 18.0, 18.0, 0.0]


def test_tensors_of_slices(builder: Builder) -> None:
    all_kinds(builder)
    builder.add_objects("p", "r", columns(1, frame=np.array([2]), track=np.array([4]), crowd=np.array([True])))
    table = builder.build().objects
    whole = objects_tensor(table, 0, True)
    assert whole.ids == ("labels/3", "labels/1", "labels/2", "labels/0", "p/0")
    assert whole.track.tolist() == [-1, -1, -1, -1, 4]
    assert whole.crowd.tolist() == [False] * 4 + [True]
    assert (whole.frame.dtype, whole.box.dtype, whole.area.dtype) == (torch.int64, torch.float64, torch.float64)
    assert (whole.origin.dtype, whole.class_id.dtype) == (torch.int8, torch.int32)
    part = objects_tensor(table.slice(1, 3), 1, True)
    assert part.ids == whole.ids[1:4]
    assert part.frame.tolist() == [0, 0, 1]
    assert torch.equal(part.box, whole.box[1:4])
    assert part.shapes is not None
    assert whole.shapes is not None
    assert part.shapes.kind.tolist() == [2, 3, 0]
    assert part.shapes.rings.tolist() == [0, 2, 2, 2]
    assert part.shapes.points_of.tolist() == [0, 4, 8]
    assert part.shapes.points.tolist() == whole.shapes.points[4:12].tolist()
    assert part.shapes.rle == (None, whole.shapes.rle[2], None)
    assert objects_tensor(table.slice(1, 3), 1, False).shapes is None
    assert objects_tensor(table.slice(3, 2), 2, True).shapes is None


def test_names_survive_parquet(builder: Builder) -> None:
    all_kinds(builder)
    builder.add_origin("yolo")
    made = builder.build()
    file = io.BytesIO()
    pq.write_table(made.objects, file)
    back = pq.read_table(file)
    assert names_of(back) == (("cat", "dog"), ("7", "9"), ("labels", "yolo"))
    assert back.equals(made.objects)
    assert objects_tensor(back, 0, True).shapes is not None


def test_too_many_prediction_sets() -> None:
    builder = Builder()
    for i in range(127):
        builder.add_origin(f"set {i}")
    with pytest.raises(UsageError, match="one too many"):
        builder.add_origin("set 127")


def test_ids_depend_on_texts_alone() -> None:
    assert stable_id("a", "b") == stable_id("a", "b")
    assert len({stable_id("ab", ""), stable_id("a", "b"), stable_id("b", "a"), stable_id("ab"), stable_id("\udcff")}) == 5
    assert stable_id("frame", "7") == "42d5600ee341f91e"
