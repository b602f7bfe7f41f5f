"""COCO panoptic: ids as colors, PNGs that are missing or wrong, and the way back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from gpu_quality.annotations import Builder, Dataset
from gpu_quality.data import pngs
from gpu_quality.data.formats.coco import read as read_coco
from gpu_quality.data.formats.panoptic import looks_like_panoptic, read, write
from gpu_quality.errors import UsageError


def load(labels: Path, **predictions: Path) -> Dataset:
    builder = Builder()
    read(labels, builder, "labels")
    for name, path in predictions.items():
        read(path, builder, name)
    return builder.build()


def save(ids: np.ndarray, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16], 2).astype(np.uint8)).save(path)


IDS = np.zeros((30, 40), np.int64)
IDS[:10, :10] = 5
IDS[20:, 30:] = 5  # one segment in two pieces
IDS[12:15, 3:20] = 3 + 256 * 2 + 65536
BIG = 3 + 256 * 2 + 65536


def made(**changed: Any) -> dict[str, Any]:
    infos = [
        {"id": 5, "category_id": 1, "iscrowd": 1, "area": 200, "bbox": [0, 0, 40, 30]},
        {"id": BIG, "category_id": 2, "iscrowd": 0, "area": 51},
    ]
    return {
        "images": [{"id": 7, "file_name": "7.jpg", "width": 40, "height": 30}, {"id": 8, "file_name": "8.jpg"}],
        "annotations": [{"image_id": 7, "file_name": "7.png", "segments_info": infos}],
        "categories": [{"id": 1, "name": "sky"}, {"id": 2, "name": "car"}],
        **changed,
    }


@pytest.fixture
def written(tmp_path: Path):
    def write_all(data: dict[str, Any], ids: np.ndarray = IDS, name: str = "pan") -> Path:
        save(ids, tmp_path / name / "7.png")
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
        return tmp_path / f"{name}.json"

    return write_all


def test_segments_are_masks(written) -> None:
    found = load(written(made()))
    rows = found.objects.to_pylist()
    assert [(r["source_id"], r["class_id"], r["crowd"], r["area"]) for r in rows] == [
        ("5", 0, True, 200),
        (str(BIG), 1, False, 51),
    ]
    for row, color in zip(rows, (5, BIG), strict=True):
        assert row["rle"]["counts"] == coco_mask.encode(np.asfortranarray((color == IDS).astype(np.uint8)))["counts"]
    assert rows[1]["box"] == [3, 12, 20, 15]
    assert [f["labelled"] for f in found.frames.to_pylist()] == [True, True]
    assert (found.errors.num_rows, found.notes) == (0, ())


def test_the_png_may_lie_beside_the_file(written, tmp_path: Path) -> None:
    path = written(made())
    (tmp_path / "pan" / "7.png").rename(tmp_path / "7.png")
    assert load(path).objects.num_rows == 2


@pytest.mark.parametrize(
    ("record", "reason", "message"),
    [
        ({"file_name": "gone.png"}, "missing_file", "gone.png is neither in pan/ nor beside"),
        ({"file_name": "../../7.png"}, "missing_file", "leads out"),
        ({"file_name": None}, "bad_annotation", "no file_name"),
        ({"segments_info": None}, "bad_annotation", "no segments_info"),
        ({"image_id": 99}, "orphan_image_id", "99 is not among the images"),
        ({"image_id": [7]}, "orphan_image_id", "[7] is not among"),
        ({"file_name": "text.png"}, "bad_annotation", "no readable PNG"),
        ({"file_name": "small.png"}, "invalid_rle", "small.png is 3 x 4, its image 30 x 40"),
    ],
)
def test_a_bad_annotation_is_an_error_row(written, tmp_path: Path, record: dict[str, Any], reason: str, message: str) -> None:
    good = made()["annotations"][0]
    path = written(made(annotations=[{**good, **record}, 5, good]))
    (tmp_path / "pan" / "text.png").write_text("text")
    save(IDS[:3, :4], tmp_path / "pan" / "small.png")
    found = load(path)
    assert found.objects.num_rows == 2
    errors = found.errors.to_pylist()
    assert [(e["line"], e["reason"]) for e in errors] == [(0, reason), (1, "orphan_image_id")]
    assert message in errors[0]["detail"]


def test_bad_segments_are_error_rows(written) -> None:
    infos = [{"id": 5, "category_id": 9}, {"id": 6, "category_id": 1}, {"id": "5"}, None]
    found = load(written(made(annotations=[{"image_id": 7, "file_name": "7.png", "segments_info": infos}])))
    assert found.objects.num_rows == 0
    errors = {e["detail"][:40]: (e["reason"], e["object"]) for e in found.errors.to_pylist()}
    assert errors == {
        "category_id 9 is not among the categorie": ("orphan_category_id", "labels/5"),
        "no pixel of 7.png has the color of segme": ("missing_geometry", "labels/6"),
        "segment has no usable id: {'id': '5'}": ("bad_annotation", None),
        "segment has no usable id: None": ("bad_annotation", None),
        "7.png has pixels of 1 segments that segm": ("missing_geometry", None),
    }


def test_a_png_has_a_largest_size(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pngs, "MOST_PIXELS", 1000)
    assert "40 x 30 pixels is too large" in load(written(made())).errors.to_pylist()[0]["detail"]


def test_predictions(written) -> None:
    infos = [{"id": 5, "category_id": 1, "score": 0.5}, {"id": BIG, "category_id": 3}]
    other = written({"annotations": [{"image_id": 7, "file_name": "7.png", "segments_info": infos}]}, name="net")
    found = load(written(made()), net=other)
    assert [(r["origin"], r["score"]) for r in found.objects.to_pylist()] == [(0, None), (0, None), (1, 0.5)]
    assert found.errors.column("reason").to_pylist() == ["dt_orphan_category_id"]
    with pytest.raises(UsageError, match="only a labels file explains"):
        read(other, Builder(), "net")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load(tmp_path / "absent.json")
    (tmp_path / "a.json").write_text('{"images": []}')
    with pytest.raises(UsageError, match="has no 'annotations' and no 'categories'"):
        load(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"images": 5}')
    with pytest.raises(UsageError, match="'images' is no list"):
        load(tmp_path / "a.json")


def test_written_and_read_again(written, tmp_path: Path) -> None:
    data = made()
    data["images"][0]["file_name"] = "d/7.jpg"
    found = load(written(data))
    assert write(found, "labels", tmp_path / "out.json") == []
    back = load(tmp_path / "out.json")
    for name in found.objects.column_names:
        if name not in ("file", "record"):
            assert back.objects.column(name).equals(found.objects.column(name)), name
    assert back.frames.equals(found.frames)
    assert (tmp_path / "out" / "7.png").is_file()


def test_what_colors_cannot_hold_is_counted(tmp_path: Path) -> None:
    mask = np.zeros((4, 5), np.uint8)
    mask[:2] = 1
    over = np.zeros((4, 5), np.uint8)
    over[1:3] = 1
    texts = [coco_mask.encode(np.asfortranarray(m))["counts"].decode() for m in (mask, over, mask)]
    records = [
        {"id": 0, "image_id": 1, "category_id": 1, "segmentation": {"size": [4, 5], "counts": text}, "track_id": 3}
        for text in texts
    ]
    for i, record in enumerate(records):
        record["id"] = i
    box = {"id": 9, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "attributes": {"a": "b"}}
    data = {"images": [{"id": 1, "file_name": "1.jpg"}], "categories": [{"id": 1, "name": "x"}], "annotations": [*records, box]}
    (tmp_path / "in.json").write_text(json.dumps(data))
    builder = Builder()
    read_coco(tmp_path / "in.json", builder, "labels")
    assert sorted(write(builder.build(), "labels", tmp_path / "out.json")) == [
        "1 objects are left out: they are no masks",
        "1 objects lose the answers about them",
        "1 segments are left out: every pixel of theirs has another one, or they have none",
        "1 segments lose pixels that others have too",
        "3 segments are numbered from 1, as not all ids of their frame are colors",
        "3 segments lose their track",
    ]
    ids = np.asarray(Image.open(tmp_path / "out" / "1.png"))[:, :, 0]
    assert ids.tolist() == [[1] * 5, [1] * 5, [2] * 5, [0] * 5]


def test_the_format_is_recognised(written, tmp_path: Path) -> None:
    assert looks_like_panoptic(written(made()))
    assert not looks_like_panoptic(tmp_path)
    (tmp_path / "b.json").write_text('{"annotations": [{"bbox": [1, 2, 3, 4]}]}')
    assert not looks_like_panoptic(tmp_path / "b.json")
