"""Labelbox NDJSON: rows of exports, rows of imports, videos, masks, nested answers, and every mistake a line can hold."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.data.formats.folder import list_images
from gpu_quality.data.formats.labelbox import looks_like_labelbox, read
from gpu_quality.types import KINDS


def load(labels: Path, images: Path | None = None, **predictions: Path) -> Dataset:
    builder = Builder()
    if images is not None:
        list_images(images, builder)
    read(labels, builder, "labels")
    for name, path in predictions.items():
        read(path, builder, name)
    return builder.build()


@pytest.fixture
def written(tmp_path: Path):
    def write(*rows: Any, name: str = "export.ndjson") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n")
        return path

    return write


BOX = {"top": 2.0, "left": 1.0, "height": 4.0, "width": 10.0}
BITS = np.zeros((30, 40), np.uint8)
BITS[3:7, 10:12] = 1
TEXT = coco_mask.encode(np.asfortranarray(BITS))["counts"]


def picture(color: tuple[int, int, int] = (255, 255, 255)) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(BITS[:, :, None] * np.array(color, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def export(annotations: dict[str, Any], name: str = "a.jpg", **more: Any) -> dict[str, Any]:
    label = {"label_kind": "Default", "id": "l", "label_details": {"created_by": "ann@example.org"}, "annotations": annotations}
    return {
        "data_row": {"id": "row1", "global_key": "key1", "external_id": name},
        "media_attributes": {"width": 40, "height": 30},
        "projects": {"p": {"name": "project", "labels": [label]}},
        **more,
    }


def thing(number: int, **drawn: Any) -> dict[str, Any]:
    return {"feature_id": f"f{number}", "name": "car", "annotation_kind": "Image", "classifications": [], **drawn}


def test_an_export_row(written) -> None:
    point = {"x": 3.0, "y": 4.0}
    objects = [
        thing(0, bounding_box=BOX),
        thing(1, polygon=[{"x": 0, "y": 0}, {"x": 5, "y": 0}, {"x": 5, "y": 8}]),
        thing(2, line=[{"x": 0, "y": 0}, {"x": 5, "y": 0}]),
        thing(3, point=point),
    ]
    made = load(written(export({"objects": objects, "classifications": [], "relationships": [{}]})))
    rows = made.objects.to_pylist()
    assert [KINDS[r["kind"]] for r in rows] == ["box", "polygon", "polyline", "point"]
    assert rows[0]["box"] == [1, 2, 11, 6]
    assert rows[1]["area"] == 20
    assert [r["source_id"] for r in rows] == ["f0", "f1", "f2", "f3"]
    assert {r["annotator"] for r in rows} == {"ann@example.org"}
    assert {(r["file"], r["record"]) for r in rows} == {("export.ndjson", 1)}
    assert [(f["frame"], f["width"], f["height"], f["labelled"]) for f in made.frames.to_pylist()] == [("a.jpg", 40, 30, True)]
    assert made.notes == ("export.ndjson: 1 relationships are not kept",)
    assert made.errors.num_rows == 0


def test_names_of_data_rows(written) -> None:
    rows = [{"data_row": d, "projects": {}} for d in ({"id": "i"}, {"id": "i", "global_key": "g"}, {"global_key": "h"}, {}, 5)]
    made = load(written(*rows))
    assert made.frames.column("frame").to_pylist() == ["g", "h", "i"]
    assert made.errors.column("line").to_pylist() == [4, 5]


def test_answers_and_nested_answers(written) -> None:
    nested = {"name": "how wet", "radio_answer": {"name": "soaked"}}
    radio = {"name": "weather", "radio_answer": {"name": "rain", "classifications": [nested]}}
    check = {"name": "seen", "checklist_answers": [{"name": "car"}, {"name": "bike", "confidence": 0.25}]}
    free = {"name": "note", "text_answer": {"content": "hello"}}
    inner = {"name": "color", "radio_answer": {"name": "red"}}
    bad = [{"name": "empty"}, {"radio_answer": {"name": "x"}}, {"name": "odd", "radio_answer": {"x": 1}}, 7]
    objects = [thing(0, bounding_box=BOX, classifications=[inner])]
    made = load(written(export({"objects": objects, "classifications": [radio, check, free, *bad]})))
    answers = made.classifications.to_pylist()
    assert [(a["object"], a["question"], made.classes[a["class_id"]], a["score"]) for a in answers] == [
        ("labels/f0", "color", "red", None),
        (None, "weather", "rain", None),
        (None, "how wet", "soaked", None),
        (None, "seen", "car", None),
        (None, "seen", "bike", 0.25),
    ]
    assert {a["annotator"] for a in answers} == {"ann@example.org"}
    assert made.notes == ("export.ndjson: 1 free texts are not kept",)
    details = made.errors.column("detail").to_pylist()
    assert [d[:30] for d in details] == [
        "classification 'empty' has no ",
        "a classification has no name o",
        "an answer to 'odd' has no name",
        "a classification has no name o",
    ]


def test_answers_nested_too_deeply(written) -> None:
    record: dict[str, Any] = {"name": "q", "radio_answer": {"name": "a"}}
    for _ in range(40):
        record = {"name": "q", "radio_answer": {"name": "a", "classifications": [record]}}
    made = load(written(export({"classifications": [record]})))
    assert (made.classifications.num_rows, made.errors.num_rows) == (17, 1)


def test_videos(written) -> None:
    frames = {
        "1": {"objects": {"f9": thing(9, bounding_box=BOX), "f8": thing(8, point={"x": 1, "y": 1})}, "classifications": []},
        "12": {"objects": {"f9": thing(9, bounding_box=BOX)}},
        "0": {},
        "x": {},
    }
    made = load(written(export({"frames": frames}, name="v.mp4")))
    assert [(f["frame"], f["sequence"], f["position"], f["width"]) for f in made.frames.to_pylist()] == [
        ("v.mp4#000000", "v.mp4", 0, 40),
        ("v.mp4#000011", "v.mp4", 11, 40),
    ]
    rows = [(r["frame"], r["track"], r["source_id"]) for r in made.objects.to_pylist()]
    assert rows == [("v.mp4#000000", 0, "f9/0"), ("v.mp4#000000", 1, "f8/0"), ("v.mp4#000011", 0, "f9/1")]
    assert [e["detail"][:9] for e in made.errors.to_pylist()] == ["frame '0'", "frame 'x'"]


def test_predictions_of_model_runs(written) -> None:
    prediction = {
        "annotations": {"objects": [thing(1, bounding_box=BOX, confidence=0.5, custom_metrics=[{"name": "iou", "value": 1}])]}
    }
    runs = {"e": {"runs": {"r": {"labels": [], "predictions": [prediction]}}}}
    path = written(export({"objects": [thing(0, bounding_box=BOX)]}, experiments=runs))
    made = load(path, net=path)
    assert [(r["object"], r["score"]) for r in made.objects.to_pylist()] == [("labels/f0", None), ("net/f1", 0.5)]
    assert made.notes == ("export.ndjson: 1 custom metrics are not kept here; gpu-quality metric import takes them",)


def imported(**more: Any) -> dict[str, Any]:
    return {"uuid": "u1", "dataRow": {"globalKey": "a.jpg"}, "name": "car", **more}


def test_rows_as_they_are_imported(written, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "a.jpg")
    rows = [
        imported(bbox=BOX, confidence=0.9, customMetrics=[{"name": "m", "value": 1}]),
        imported(uuid="u2", polygon=[{"x": 0, "y": 0}, {"x": 5, "y": 0}, {"x": 5, "y": 8}]),
        {"uuid": "u3", "dataRow": {"id": "a.jpg"}, "schemaId": "s1", "point": {"x": 1, "y": 2}},
        imported(uuid="u4", name="weather", answer={"name": "rain"}, confidence=0.5),
        imported(uuid="u5", name="seen", answer=[{"name": "car"}, {"name": "bike"}]),
        imported(uuid="u6", mask={"png": base64.b64encode(picture()).decode()}),
        imported(uuid="u7", bbox=BOX, classifications=[{"name": "color", "answer": {"name": "red"}}]),
        {"uuid": "m", "dataRow": {"id": "a.jpg"}, "metricName": "x", "metricValue": 1},
    ]
    made = load(written(export({})), tmp_path / "images", net=written(*rows, name="net.ndjson"))
    rows_found = made.objects.to_pylist()
    assert [(r["source_id"], KINDS[r["kind"]], made.classes[r["class_id"]], r["score"]) for r in rows_found] == [
        ("u1", "box", "car", 0.9),
        ("u2", "polygon", "car", None),
        ("u3", "point", "s1", None),
        ("u6", "mask", "car", None),
        ("u7", "box", "car", None),
    ]
    answers = made.classifications.to_pylist()
    assert [(a["object"], a["question"], made.classes[a["class_id"]], a["score"]) for a in answers] == [
        (None, "weather", "rain", 0.5),
        (None, "seen", "car", None),
        (None, "seen", "bike", None),
        ("net/u7", "color", "red", None),
    ]
    assert made.frames.num_rows == 1
    assert made.errors.num_rows == 0
    assert [n for n in made.notes if "metric rows" in n] == [
        "net.ndjson: 1 metric rows are no annotations; gpu-quality metric import takes them"
    ]


def test_masks(written, tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_bytes(picture((9, 0, 7)))
    small = io.BytesIO()
    Image.new("L", (3, 3), 1).save(small, "PNG")
    masks = [
        {"png": base64.b64encode(picture()).decode()},
        {"instanceURI": "mask.png", "colorRGB": [9, 0, 7]},
        {"url": "data:image/png;base64," + base64.b64encode(picture()).decode()},
        {"url": "https://example.org/mask.png"},
        {"instanceURI": "gs://bucket/mask.png", "colorRGB": [0, 0, 0]},
        {"instanceURI": "../mask.png"},
        {"instanceURI": "absent.png"},
        {"png": "!"},
        {"png": base64.b64encode(b"text").decode()},
        {"instanceURI": "mask.png", "colorRGB": [9, 0]},
        {"instanceURI": "mask.png", "colorRGB": [1, 1, 1]},
        {"png": base64.b64encode(small.getvalue()).decode()},
        {"other": 1},
        "mask",
    ]
    made = load(written(export({"objects": [thing(i, mask=m) for i, m in enumerate(masks)]})))
    rows = made.objects.to_pylist()
    assert [r["source_id"] for r in rows] == ["f0", "f1", "f2"]
    assert {r["rle"]["counts"] for r in rows} == {TEXT}
    errors = {e["object"]: (e["reason"], e["detail"]) for e in made.errors.to_pylist()}
    assert {k: v[0] for k, v in errors.items()} == {
        "labels/f3": "missing_file",
        "labels/f4": "missing_file",
        "labels/f5": "missing_file",
        "labels/f6": "missing_file",
        "labels/f7": "bad_annotation",
        "labels/f8": "bad_annotation",
        "labels/f9": "bad_annotation",
        "labels/f10": "missing_geometry",
        "labels/f11": "invalid_rle",
        "labels/f12": "missing_geometry",
        "labels/f13": "missing_geometry",
    }
    assert "a URL, which is never fetched: https://example.org/mask.png" in errors["labels/f3"][1]


def test_objects_between_keyframes(written) -> None:
    far = {"top": 6, "left": 5, "height": 8, "width": 10}
    keyframes = [{"frame": 1, "bbox": BOX}, {"frame": 5, "bbox": far}]
    segments = [{"keyframes": keyframes}, {"keyframes": [{"frame": 9, "point": {"x": 1, "y": 2}}]}, {"keyframes": []}]
    more = [{"keyframes": [{"frame": 3}, {"frame": 2}]}, {"keyframes": [{"frame": 1}, {"frame": 10**12}]}]
    made = load(written(imported(segments=[*segments, *more], dataRow={"globalKey": "v.mp4"})))
    rows = made.objects.to_pylist()
    assert [r["frame"][-2:] for r in rows] == ["00", "01", "02", "03", "04", "08"]
    assert rows[1]["box"] == [2, 3, 12, 8]
    assert rows[2]["box"] == [3, 4, 13, 10]
    assert {r["track"] for r in rows} == {0}
    assert [e["detail"][:20] for e in made.errors.to_pylist()] == [
        "keyframes have frame",
        "frame numbers of key",
        "frame numbers of key",
    ]


@pytest.mark.parametrize(
    ("bad", "reason", "message"),
    [
        ("{not json", "bad_annotation", "the line is not JSON"),
        ("[1]", "bad_annotation", "the line is no JSON object"),
        ({"uuid": "u"}, "bad_annotation", "neither data_row nor dataRow"),
        ({"dataRow": {}}, "bad_annotation", "dataRow has no globalKey or id"),
        (imported(), "missing_geometry", "neither bounding_box"),
        (imported(bbox={"top": 1}), "missing_geometry", "a box has top, left, height and width"),
        (imported(bbox={**BOX, "top": "x"}), "non_finite_geometry", "not finite"),
        (imported(bbox=BOX, name=None), "orphan_category_id", "no name or schemaId"),
        (imported(polygon=[]), "missing_geometry", "points are a list"),
        (imported(polygon=[{"x": 1, "y": 1}]), "missing_geometry", "2 numbers"),
        (imported(line=[{"x": 1}]), "missing_geometry", "points are a list"),
        (imported(answer={"x": 1}), "bad_annotation", "has no name"),
    ],
)
def test_a_bad_line_is_an_error_row(written, bad: Any, reason: str, message: str) -> None:
    good = imported(bbox=BOX, uuid="g")
    made = load(written(good, bad, good | {"uuid": "h"}))
    assert made.objects.column("source_id").to_pylist() == ["g", "h"]
    (error,) = made.errors.to_pylist()
    assert (error["uri"], error["line"], error["reason"]) == ("export.ndjson", 2, reason)
    assert message in error["detail"]


def test_the_format_is_recognised(written, tmp_path: Path) -> None:
    assert looks_like_labelbox(written(export({})))
    assert looks_like_labelbox(written(imported(bbox=BOX)))
    assert looks_like_labelbox(written(json.dumps([export({})], indent=2)))
    assert not looks_like_labelbox(written({"images": []}))
    assert not looks_like_labelbox(tmp_path)
    assert load(written(json.dumps([export({})], indent=2))).frames.num_rows == 1


def test_predictions_may_call_a_data_row_by_any_of_its_names(written) -> None:
    names = {"id": "i", "external_id": "a.jpg", "global_key": "g"}
    video = {"id": "j", "external_id": "v.mp4", "global_key": "w"}
    box = {"name": "car", "feature_id": "f", "bounding_box": BOX}
    drawn = {"p": {"labels": [{"annotations": {"objects": [box]}}]}}
    moving = {"p": {"labels": [{"annotations": {"frames": {"3": {"objects": {"f": box}}}}}]}}
    labels = written({"data_row": names, "projects": drawn}, {"data_row": video, "projects": moving})
    keys = [{"globalKey": "g"}, {"id": "i"}, "i", {"globalKey": "other"}]
    rows: list[dict[str, Any]] = [{"dataRow": key, "name": "car", "bbox": BOX} for key in keys]
    rows.append({"dataRow": {"id": "j"}, "name": "car", "segments": [{"keyframes": [{"frame": 4, "bbox": BOX}]}]})
    made = load(labels, yolo=written(*rows, name="results.ndjson"))
    found = [o["frame"] for o in made.objects.to_pylist() if o["object"].startswith("yolo/")]
    assert found == ["a.jpg", "a.jpg", "a.jpg", "other", "v.mp4#000003"]
    assert made.notes == ()  # nothing was passed over
