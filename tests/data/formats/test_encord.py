"""Encord label rows, and pickles that are never loaded."""

import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.data.formats.encord import is_pickle, looks_like_encord, read
from gpu_quality.errors import UsageError
from gpu_quality.types import KINDS


def load(labels: Path, **predictions: Path) -> Dataset:
    builder = Builder()
    read(labels, builder, "labels")
    for name, path in predictions.items():
        read(path, builder, name)
    return builder.build()


@pytest.fixture
def written(tmp_path: Path):
    def write(data: Any, name: str = "rows.json") -> Path:
        path = tmp_path / name
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path

    return write


def row(*objects: Any, **unit: Any) -> dict[str, Any]:
    data = {"data_title": "a.jpg", "width": 100, "height": 50, "labels": {"objects": list(objects)}, **unit}
    return {"label_hash": "h", "data_title": "a.jpg", "data_units": {"u": data}}


CAR = {
    "name": "car",
    "objectHash": "o1",
    "boundingBox": {"x": 0.1, "y": 0.2, "w": 0.5, "h": 0.4},
    "createdBy": "ann@example.org",
}


def points(*xy: tuple[float, float]) -> dict[str, Any]:
    return {str(i): {"x": x, "y": y} for i, (x, y) in enumerate(xy)}


def test_shapes_are_shares_of_the_frame(written) -> None:
    turned = {"x": 0.1, "y": 0.2, "w": 0.5, "h": 0.4, "theta": 90}
    shapes = [
        {"boundingBox": CAR["boundingBox"]},
        {"rotatableBoundingBox": turned},
        {"polygon": points((0, 0), (0.5, 0), (0.5, 1))},
        {"polygons": [[[0, 0, 0.5, 0, 0.5, 1]], [[0.9, 0.9, 1, 0.9, 1, 1]]]},
        {"polyline": points((0, 0), (1, 1))},
        {"point": points((0.5, 0.5))},
    ]
    made = load(written([row(*({"name": "car", "objectHash": f"o{i}", **s} for i, s in enumerate(shapes)))]))
    rows = made.objects.to_pylist()
    assert [KINDS[r["kind"]] for r in rows] == ["box", "rotated_box", "polygon", "polygon", "polyline", "point"]
    assert np.allclose(rows[0]["box"], [10, 10, 60, 30])
    assert np.allclose(rows[1]["polygon"], [[45, -5, 45, 45, 25, 45, 25, -5]])
    assert rows[1]["angle"] == math.pi / 2
    assert rows[2]["polygon"] == [[0, 0, 50, 0, 50, 50]]
    assert len(rows[3]["polygon"]) == 2
    assert made.errors.num_rows == 0


def test_videos_and_answers(written) -> None:
    answer = {"classifications": [{"name": "weather", "answers": [{"name": "rain"}]}, {"name": "note", "answers": "free text"}]}
    frames = {"0": {"objects": [CAR], "classifications": [{"classificationHash": "c"}]}, "12": {"objects": [CAR]}, "x": {}}
    data = row(labels=frames, data_title="v.mp4") | {
        "classification_answers": {"c": answer},
        "object_answers": {"o1": {"classifications": [{"name": "color", "answers": [{"name": "red"}]}]}},
    }
    made = load(written([data]))
    assert [(f["frame"], f["sequence"], f["position"]) for f in made.frames.to_pylist()] == [
        ("v.mp4#000000", "v.mp4", 0),
        ("v.mp4#000012", "v.mp4", 12),
    ]
    assert made.objects.column("track").to_pylist() == [0, 0]
    assert made.objects.column("annotator").to_pylist() == ["ann@example.org"] * 2
    answers = [(a["frame"], a["object"], a["question"], made.classes[a["class_id"]]) for a in made.classifications.to_pylist()]
    assert answers == [
        ("v.mp4#000000", "labels/o1/0", "color", "red"),
        ("v.mp4#000000", None, "weather", "rain"),
        ("v.mp4#000012", "labels/o1/1", "color", "red"),
    ]
    assert made.notes == ("rows.json: 1 free texts are not kept",)
    assert "frame 'x' of 'v.mp4' is no number" in made.errors.to_pylist()[0]["detail"]


@pytest.mark.parametrize(
    ("bad", "reason", "message"),
    [
        ({"boundingBox": CAR["boundingBox"]}, "orphan_category_id", "no name"),
        ({"name": "x", "bitmask": {}}, "missing_geometry", "'bitmask'"),
        ({"name": "x", "boundingBox": {"x": 1}}, "non_finite_geometry", "not finite"),
        ({"name": "x", "polygon": []}, "missing_geometry", "points are x and y"),
        ({"name": "x", "polyline": points((0, 0))}, "missing_geometry", "one point"),
        ({"name": "x", "polygons": [5]}, "missing_geometry", "lists of rings"),
        (
            {"name": "x", "rotatableBoundingBox": {"x": 0, "y": 0, "w": 1, "h": 1, "theta": "a"}},
            "non_finite_geometry",
            "finite",
        ),
        (5, "missing_geometry", "no shape"),
    ],
)
def test_a_bad_object_is_an_error_row(written, bad: Any, reason: str, message: str) -> None:
    made = load(written([row(CAR), row(bad, CAR)]))
    assert made.objects.num_rows == 2
    (error,) = made.errors.to_pylist()
    assert (error["line"], error["reason"]) == (1, reason)
    assert message in error["detail"]


def test_bad_rows_are_error_rows(written) -> None:
    made = load(written([row(CAR), 5, {"data_units": []}, row(CAR, width=None)]))
    assert [e["line"] for e in made.errors.to_pylist()] == [1, 2, 3]
    assert "no width and height" in made.errors.to_pylist()[2]["detail"]


def test_one_row_alone_and_rows_line_by_line(written) -> None:
    assert load(written(json.dumps(row(CAR), indent=1))).objects.num_rows == 1
    assert load(written("\n".join(json.dumps(row(CAR)) for _ in range(3)))).objects.num_rows == 3


def test_predictions_have_confidences(written) -> None:
    other = written([row(CAR | {"confidence": 0.5}, CAR)], "net.json")
    assert [r["score"] for r in load(written([row()]), net=other).objects.to_pylist()] == [0.5, None]


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was loaded",))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_by_its_bytes_and_by_its_name(tmp_path: Path, protocol: int) -> None:
    for name in ("predictions.pkl", "p.pickle", "predictions", "p.json"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps([Bomb()], protocol))
        assert is_pickle(path)
        assert looks_like_encord(path)
        with pytest.raises(UsageError, match="is a pickle: loading one runs any code it holds") as error:
            load(path)
        assert "COCO results" in error.value.hint


def test_the_format_is_recognised(written, tmp_path: Path) -> None:
    assert looks_like_encord(written([row(CAR)]))
    assert not looks_like_encord(written({"images": []}))
    assert not looks_like_encord(tmp_path)
    assert is_pickle(written("text", "old.pkl"))
    assert not is_pickle(tmp_path / "absent.pkl")
