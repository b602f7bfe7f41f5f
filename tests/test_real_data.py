"""The whole program on real and on hostile files, against what is known about them."""

import json
import shutil
import warnings
from pathlib import Path

import pandas as pd
import pytest

import gpu_quality as gq
from gpu_quality.errors import REASONS, AnnotationError, UsageError

ISSUES = (
    "dark",
    "light",
    "odd_aspect_ratio",
    "odd_size",
    "low_information",
    "blurry",
    "grayscale",
    "exact_duplicates",
    "near_duplicates",
)
SETTINGS = {"engine": {"kind": "inline"}, "max_errors": "90%"}


def run(source: Path | None, out: Path, **more: object) -> gq.Store:
    return gq.run(source, out=out, settings=SETTINGS, **more)  # type: ignore[arg-type]


def flagged(table: pd.DataFrame, issue: str) -> list[str]:
    return table.loc[table[f"is_{issue}_issue"].fillna(value=False).astype(bool), "frame"].tolist()


def test_cleanvision10_gives_exactly_its_planted_issues(test_data, tmp_path):
    """Cleanvision knows gray only by the file's mode; ours also finds a gray page and a nearly black frame stored as RGB."""
    metrics = [f"is_{name}_issue" for name in ISSUES] + ["exact_duplicate_group", "near_duplicate_group"]
    folder = test_data / "quality" / "cleanvision10"
    table = run(folder, tmp_path / "ours", metrics=metrics).table("frame")
    assert flagged(table, "grayscale") == ["image_101.png", "image_417.png", "image_588.png"]
    compat = {"name": "grayscale_score", "compat": "cleanvision"}
    table = run(folder, tmp_path / "theirs", metrics=[compat, *metrics]).table("frame")
    assert {name: len(flagged(table, name)) for name in ISSUES} == dict(zip(ISSUES, (1, 1, 1, 1, 2, 1, 1, 2, 2), strict=True))
    assert flagged(table, "dark") == ["image_417.png"]
    assert flagged(table, "odd_size") == ["image_604.png"]
    assert flagged(table, "grayscale") == ["image_101.png"]
    assert flagged(table, "exact_duplicates") == ["image_142.png", "image_236.png"]
    row = table["frame"].tolist().index("image_142.png")
    assert table["exact_duplicate_group"].dropna().tolist() == [row, row]


def test_every_score_equals_cleanvision_itself(test_data, tmp_path):
    folder = test_data / "coco_photos" / "images"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cleanvision import Imagelab

        lab = Imagelab(data_path=str(folder))
        lab.find_issues(n_jobs=1, verbose=False)
    theirs = lab.issues.rename(index=lambda path: Path(path).name)
    ours = run(folder, tmp_path / "out").table("frame").set_index("frame")
    names = ("dark", "light", "odd_aspect_ratio", "odd_size", "low_information", "blurry")
    for name in names:
        gap = (ours[f"{name}_score"] - theirs[f"{name}_score"].reindex(ours.index)).abs().max()
        assert gap <= 1e-9, name
        assert (ours[f"is_{name}_issue"] == theirs[f"is_{name}_issue"].reindex(ours.index)).all(), name


def test_hostile_files_end_scored_or_with_a_reason(test_data, tmp_path):
    folder = tmp_path / "hostile"
    shutil.copytree(test_data / "hostile", folder)
    listed = [p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".json", ".md")]
    store = run(folder, tmp_path / "out")
    status = store.status()
    errors = store.errors()
    assert status["complete"]
    assert status["scored"] + status["errors"] == status["listed"] == len(listed)
    assert set(errors["reason"]) <= set(REASONS)
    assert "internal" not in set(errors["reason"])
    table = store.table("frame")
    assert table["brightness"].notna().sum() == status["scored"]
    assert set(table.loc[table["brightness"].isna(), "frame"]) == set(errors.loc[errors["metric"].isna(), "frame"])
    assert not table["exact_duplicate_group"].isin(table.index[table["brightness"].isna()]).any()


def test_coco_labels_and_a_real_detector(test_data, tmp_path):
    coco = test_data / "coco_photos"
    store = run(
        coco / "images",
        tmp_path / "out",
        labels=coco / "instances.json",
        predictions={"centernet": coco / "centernet_predictions.json"},
        metrics=["brightness", "object_count", "object_area", "border_closeness", "annotation_duplicate"],
    )
    objects, frames = store.table("object"), store.table("frame")
    assert (objects["origin"] == 0).sum() == 393
    assert (objects["origin"] == 1).sum() == 4076
    assert frames["object_count"].sum() == 393
    assert frames["object_count_centernet"].sum() == 4076
    truth = json.loads((coco / "instances.json").read_text())
    boxes = {str(a["id"]): a["bbox"] for a in truth["annotations"]}
    labels = objects[objects["origin"] == 0]
    expected = [boxes[source][2] * boxes[source][3] for source in labels["source_id"]]
    assert labels["object_area"].tolist() == pytest.approx(expected, rel=1e-12)
    assert labels["object_brightness"].between(0, 1).all()


def test_labels_alone_need_no_image(test_data, tmp_path):
    store = run(None, tmp_path / "out", labels=test_data / "detection" / "coco_val2014_fake100" / _instances(test_data))
    frames = store.table("frame")
    assert "brightness" not in frames
    assert frames["object_count"].sum() == len(store.table("object"))
    assert frames["object_density"].between(0, 1).all()


def _instances(test_data: Path) -> str:
    folder = test_data / "detection" / "coco_val2014_fake100"
    found = [p.name for p in folder.glob("*.json") if "instances" in p.name and "results" not in p.name]
    return found[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "gt.json"),
        ('{"images": [', "gt.json"),
        ('{"images": []}', "annotations"),
        ("[1, 2, 3]", "gt.json"),
        ("{}", "gt.json"),
    ],
)
def test_unreadable_coco_is_one_clear_message(tmp_path, text, said):
    (tmp_path / "gt.json").write_text(text)
    with pytest.raises((UsageError, AnnotationError)) as caught:
        gq.run(None, out=tmp_path / "out", labels={"path": tmp_path / "gt.json", "format": "coco"})
    assert said in f"{caught.value} {caught.value.hint}"


def test_bad_annotation_rows_are_errors_and_the_rest_is_scored(tmp_path):
    images = [{"id": 1, "file_name": "a.jpg", "width": 10, "height": 10}]
    boxes = [[1, 1, 4, 4], [float("nan"), 1, 2, 2], [1, 1, 0, 5], [2, 2, 3, 3]]
    annotations = [{"id": i, "image_id": 1, "category_id": 1, "bbox": box, "iscrowd": 0} for i, box in enumerate(boxes)]
    annotations.append({"id": 9, "image_id": 77, "category_id": 1, "bbox": [0, 0, 1, 1]})
    annotations.append({"id": 10, "image_id": 1, "category_id": 5, "bbox": [0, 0, 1, 1]})
    data = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "gt.json").write_text(json.dumps(data))
    store = gq.run(None, out=tmp_path / "out", labels=tmp_path / "gt.json", settings=SETTINGS)
    assert store.table("object")["source_id"].tolist() == ["0", "2", "3"]  # a box of no area stays
    errors = store.errors()
    assert errors["reason"].tolist() == ["non_finite_geometry", "degenerate_bbox", "orphan_image_id", "orphan_category_id"]
    assert errors["line"].tolist() == [1, 2, 4, 5]
    assert errors["detail"].str.contains("77").any()
    assert store.status()["errors"] == 0
