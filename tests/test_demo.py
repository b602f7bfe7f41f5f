"""Every defect of the demo's photos and every mistake in its labels is found by name, and the report shows it."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import gpu_quality as gq
from gpu_quality.api.check import check
from gpu_quality.api.slices_weak import find_weak_slices
from gpu_quality.reports.copies import GROUPS_SHOWN
from gpu_quality.store.store import Store

ROOT = Path(__file__).parents[1]
PLANTED = {
    "defect_dark.jpg": "dark",
    "defect_bright.jpg": "light",
    "defect_blurred.jpg": "blurry",
    "defect_tiny.jpg": "odd_size",
    "defect_gray.jpg": "grayscale",
    "defect_flat.jpg": "low_information",
    "defect_strip.jpg": "odd_aspect_ratio",
    "defect_copy_of_chelsea_0.jpg": "exact_duplicates",
    "defect_resaved_rocket_0.jpg": "near_duplicates",
}
EDITS = {
    "defect_copy_of_chelsea_0.jpg": "chelsea_0.jpg",
    "defect_resaved_rocket_0.jpg": "rocket_0.jpg",
    "defect_half_of_coffee_1.jpg": "coffee_1.jpg",
    "defect_mirror_of_astronaut_1.jpg": "astronaut_1.jpg",
    "defect_crop_of_retina_1.jpg": "retina_1.jpg",
    "defect_dark.jpg": "astronaut_0.jpg",
    "defect_gray.jpg": "coffee_0.jpg",
    "defect_tiny.jpg": "rocket_0.jpg",
}
"""Copies and edits → the photo whose group they must be in."""
MISTAKES = {
    "near_duplicate": ["astronaut_2.jpg"],
    "conflicting_classes": ["coffee_2.jpg"],
    "bbox_out_of_bounds": ["motorcycle_left_1.jpg"],
    "degenerate_bbox": ["rocket_0.jpg"],
    "tiny_box": ["motorcycle_left_1.jpg"],
    "self_crossing_polygon": ["coffee_1.jpg"],
    "extreme_aspect_ratio": ["rocket_1.jpg"],
    "orphan_category_id": ["astronaut_0.jpg"],
    "duplicate_ann_id": ["motorcycle_left_0.jpg"],
    "track_class_change": ["pan/0004.jpg", "pan/0005.jpg"],
}
"""Code of a health check → the images where it must speak, and nowhere else."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    for script, *places in (("make_images.py", "photos"), ("make_labels.py", "photos", "labels.json")):
        subprocess.run([sys.executable, str(ROOT / "scripts" / script), *(str(folder / p) for p in places)], check=True)
    return folder


@pytest.fixture(scope="module")
def store(demo: Path) -> Store:
    settings = {"engine": {"kind": "inline"}, "max_errors": "10%"}
    return gq.run(demo / "photos", out=demo / "run", labels=demo / "labels.json", settings=settings)


@pytest.fixture(scope="module")
def objects(store: Store) -> pd.DataFrame:
    return store.table("object")


def test_every_planted_defect_is_found(store: Store) -> None:
    table = store.table("frame").set_index("frame")
    for name, issue in PLANTED.items():
        assert table.loc[name, f"is_{issue}_issue"], name
    errors = store.errors()
    failed = errors.loc[errors["stage"] != "annotate", ["frame", "reason"]]
    assert failed.to_numpy().tolist() == [["defect_truncated.jpg", "truncated"]]
    sound = table[~table.index.str.startswith("defect_")]
    flags = [column for column in table.columns if column.endswith("_issue") and "duplicates" not in column]
    assert not sound[flags].astype(bool).any(axis=None)
    moving = table[table.index.str.startswith("pan/")]
    assert not moving["is_near_duplicates_issue"].astype(bool).any(), "the camera moves on far enough"


def test_every_copy_and_edit_ends_with_its_photo_and_no_group_mixes_photos(store: Store, demo: Path) -> None:
    found = gq.duplicates(store)
    homes = {member["frame"]: place for place, group in enumerate(found.groups) for member in group["members"]}
    for edit, photo in EDITS.items():
        assert homes[edit] == homes[photo], edit
    for group in found.groups:
        sources = {EDITS.get(member["frame"], member["frame"]).split("_")[0] for member in group["members"]}
        assert len({source.split("/")[0] for source in sources}) == 1, sources
    assert found.notes == ()
    text = gq.report(store, demo / "copies.html").read_text()
    part = text.split('<section id="duplicates"', 1)[1].split("</section>", 1)[0]
    assert 'alt="keep: ' in part
    assert all(f'alt="{name}"' in part or f'alt="keep: {name}"' in part for name in EDITS if homes[name] < GROUPS_SHOWN)


def test_a_search_finds_the_other_views_of_a_photo_first(store: Store) -> None:
    first = gq.search(store, frame="coffee_0.jpg", count=4)["frame"].tolist()
    assert {"coffee_1.jpg", "coffee_2.jpg", "defect_gray.jpg", "defect_half_of_coffee_1.jpg"} == set(first)


def test_every_mistake_in_the_labels_is_found_where_it_is_and_nowhere_else(store: Store) -> None:
    found = check(store).findings
    assert {code: found.loc[found["code"] == code, "frame"].tolist() for code in MISTAKES} == MISTAKES
    empty = found[found["code"] == "unlabeled_image"]
    assert empty.loc[empty["detail"] == "the labels do not name this image", "frame"].tolist() == ["chelsea_2.jpg"]
    told = {*MISTAKES, "zero_area", "low_instance_category", "unlabeled_image", "imbalance"}
    assert set(found["code"].astype(str)) == told, "the correct labels are correct"


def test_every_mistake_in_the_tracks_is_found(store: Store, objects: pd.DataFrame) -> None:
    names = store.identity["classes"]

    def those(which: "pd.Series[bool]") -> list[tuple[str, str]]:
        part = objects[which.fillna(value=False).astype(bool)]
        return [(frame, names[number]) for frame, number in zip(part["frame"], part["class_id"], strict=True)]

    vanished = [("pan/0003.jpg", "wheel"), ("pan/0006.jpg", "engine")]  # the wheel is something else for a frame
    assert those(objects["track_continuity"] == 0) == vanished
    assert those(objects["track_continuity"] == 0.5) == [("pan/0010.jpg", "motorcycle"), ("pan/0011.jpg", "motorcycle")]
    assert those(objects["inconsistency"] == 2) == [("pan/0010.jpg", "motorcycle")]


def test_duplicates_and_tiny_objects_show_in_the_metrics_too(objects: pd.DataFrame) -> None:
    twice = objects[objects["annotation_duplicate"] > 0.9]
    assert set(twice["frame"]) == {"astronaut_2.jpg"}
    assert objects.loc[objects["object_area"].idxmin(), "frame"] == "rocket_0.jpg"


def test_the_report_shows_the_mistakes_as_pictures(store: Store, demo: Path) -> None:
    text = gq.report(store, demo / "report.html").read_text()
    for code in MISTAKES:
        article = text.split(f">{code.replace('_', ' ')} <span", 1)[1].split("</article>", 1)[0]
        assert 'src="data:image/jpeg;base64,' in article, code
    assert "missing here" in text
    assert str(demo) not in text


def test_the_same_labels_are_made_every_time(demo: Path) -> None:
    again = demo / "again.json"
    subprocess.run([sys.executable, str(ROOT / "scripts" / "make_labels.py"), str(demo / "photos"), str(again)], check=True)
    assert again.read_bytes() == (demo / "labels.json").read_bytes()


def test_the_detector_that_misses_small_things_is_found_out(demo: Path, tmp_path: Path) -> None:
    script = str(ROOT / "scripts" / "make_predictions.py")
    subprocess.run([sys.executable, script, str(demo / "labels.json"), str(tmp_path / "found.json")], check=True)
    made = gq.run(
        labels=demo / "labels.json", predictions={"detector": tmp_path / "found.json"}, out=tmp_path / "run",
        settings={"engine": {"kind": "inline"}},
    )  # fmt: skip
    gq.evaluate(made)
    why = gq.importance(made, rows="O", permutations=199)
    drops = pd.DataFrame(why.joint["O"]["metrics"])
    assert "object_area" in str(drops.sort_values("drop", ascending=False)["group"].iloc[0])
    assert why.table.set_index("metric").loc["object_area", "p_adjusted"] <= 0.05
    split = gq.performance(made, "object_area", rows="O").to_dict()["sides"][0]["split"]
    assert split["rate"] < 0.3 < 0.8 < split["other_rate"]
    worst = find_weak_slices(made, "O").slices()[0]
    assert re.search(r"object_(area|width|height)\w* <", worst["condition"])
    missed = made.query(f"select avg((outcome = 'fn')::int) share from objects where origin = 0 and ({worst['condition']})")
    assert missed.share[0] > 0.7
    assert len(gq.select(made, count=3, by="frame_fn").table) == 3
