"""The part of a report about labels: findings as pictures, tracks as filmstrips, classes as bars, nothing foreign as markup."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

import gpu_quality as gq
from gpu_quality.reports.content import gather
from gpu_quality.reports.page import page
from gpu_quality.reports.scenes import Scenes, overlap
from gpu_quality.reports.shots import OTHER, OWN
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store
from tests.photos import write_photos
from tests.reports.test_report import Outline

WRITTEN = dt.datetime(2024, 2, 3, 4, 5, tzinfo=dt.UTC)
HOSTILE = "<script>alert('x')</script>\u202e"
METRICS = ["width", "height", "track_continuity", "inconsistency", "occlusion_risk"]
BOX = [4, 4, 20, 16]


def annotation(image: int, number: int, box: list[float], category: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], **more}


def labels() -> dict[str, Any]:
    """Photos 0 and 1 alone, photos 2 to 7 a video; photo 8 is not named."""
    images: list[dict[str, Any]] = [{"id": i, "file_name": f"photo{i:03d}.png", "width": 40, "height": 30} for i in range(8)]
    for i in range(2, 8):
        images[i] |= {"video_id": 1, "frame_id": i - 2}
    crossing = [[5, 5, 25, 20, 25, 5, 5, 20]]
    annotations = [
        annotation(0, 1, BOX),
        annotation(0, 2, BOX),
        annotation(0, 3, BOX, 2),
        annotation(1, 4, [30, 10, 25, 12]),
        annotation(1, 5, [5, 5, 20, 15], segmentation=crossing),
        annotation(1, 6, [1, 1, 5, 5], 77),
    ]
    annotations += [annotation(i, 10 + i, BOX, track_id=7 if i < 6 else 8) for i in (2, 4, 5, 6, 7)]
    annotations += [annotation(i, 30 + i, [28, 2, 10, 10], 2 + (i == 4), track_id=9) for i in range(2, 8)]
    annotations += [annotation(0, 100 + i, [30 + i / 9, 20, 0.5, 0.5], 3) for i in range(15)]
    names = [{"id": 1, "name": HOSTILE}, {"id": 2, "name": "dog"}, {"id": 3, "name": "crumb"}, {"id": 4, "name": "never"}]
    return {"videos": [{"id": 1, "name": "v"}], "images": images, "annotations": annotations, "categories": names}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("home of bob")
    write_photos(folder / "photos", 9)
    (folder / "<b>labels.json").write_text(json.dumps(labels()))
    results = [{"image_id": i, "category_id": 1, "bbox": BOX, "score": score} for i, score in enumerate((1.5, 0.5))]
    (folder / "net.json").write_text(json.dumps(results))
    settings = {"engine": {"kind": "inline"}}
    return gq.run(
        folder / "photos", out=folder / "run", labels=folder / "<b>labels.json", predictions={"net": folder / "net.json"},
        metrics=METRICS, settings=settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def text(store: Store) -> str:
    return page(store, WRITTEN, 5_000_000)


def article(text: str, words: str) -> str:
    """The part of the page under a heading."""
    return text.split(f">{words} <span", 1)[1].split("</article>", 1)[0]


def test_the_page_stays_well_formed_and_foreign_text_stays_text(text: str, store: Store) -> None:
    outline = Outline(text)
    assert outline.open == []
    targets = {found["id"] for _, found in outline.tags if "id" in found}
    assert all(str(found["href"])[1:] in targets for tag, found in outline.tags if tag == "a")
    assert "<script" not in text
    assert "&lt;script&gt;alert" in text
    assert "<b>labels" not in text
    assert "&lt;b&gt;labels.json, record 1" in text
    assert "\u202e" not in text
    assert str(store.path.parent) not in text
    assert "home of bob" not in text
    assert all(found.get("alt") for tag, found in outline.tags if tag == "img")


def test_every_check_that_spoke_is_counted_and_told_with_its_reason(text: str) -> None:
    seen = Outline(text).visible
    for words, count in (("near duplicate", 1), ("conflicting classes", 2), ("self crossing polygon", 1), ("tiny box", 15)):
        assert f"{words} {count} warning" in seen, words
    assert "orphan category id 1 error" in seen
    assert "dt score out of range 1 error" in seen
    assert "category_id 77 is not among the categories of the labels" in seen
    assert "box reaches 15.0 px out of the frame on the right" in seen
    assert "… and 3 more findings" in article(text, "tiny box")
    assert article(text, "tiny box").count("<img") == 12
    assert "score 1.5 is not between 0 and 1" in article(text, "dt score out of range")
    assert "in <bdi>net</bdi>" in article(text, "dt score out of range")


def test_remarks_are_folded_and_without_pictures(text: str) -> None:
    remarks = text.split(">Remarks<", 1)[1].split("</article>", 1)[0]
    assert "<details>" in remarks
    assert "<img" not in remarks
    assert "the labels do not name this image" in remarks
    assert "photo008.png" in remarks


def test_a_partner_is_drawn_beside_its_object(store: Store) -> None:
    found = gather(store).labels
    assert found is not None
    (twice,) = next(check for check in found.checks if check.code == "near_duplicate").findings
    assert twice.shot is not None
    assert [(mark.color, mark.dashed) for mark in twice.shot.marks] == [(OWN, False), (OTHER, True)]
    (crossed,) = next(check for check in found.checks if check.code == "self_crossing_polygon").findings
    assert crossed.shot is not None
    assert crossed.shot.marks[0].points == (5, 5, 25, 20, 25, 5, 5, 20)
    assert crossed.place == "<b>labels.json, record 4"
    orphan = next(check for check in found.checks if check.code == "orphan_category_id").findings[0]
    assert orphan.shot is not None
    assert orphan.shot.marks == (), "its box was never read"


def test_tracks_are_filmstrips_of_the_right_frames(store: Store) -> None:
    content = gather(store)
    assert content.labels is not None
    told = {
        tracks.title: [[(content.ids[s.shot.row][5:8], s.note) for s in film.stills if s] for film in tracks.films]
        for tracks in content.labels.tracks
    }
    name = HOSTILE
    assert [("002", f"{name} · track 7"), ("003", "missing here"), ("004", f"{name} · track 7")] in told["vanished objects"]
    assert [
        ("003", "dog · track 9"), ("004", "here crumb · track 9"), ("005", "dog · track 9"),
    ] in told["vanished objects"]  # fmt: skip
    assert told["changed tracks"][0] == [
        ("005", f"{name} · track 7"), ("006", f"{name} · track 8"), ("007", f"{name} · track 8"),
    ]  # fmt: skip
    changed = next(check for check in content.labels.checks if check.code == "track_class_change").findings[0]
    assert changed.film is not None
    assert [still.note for still in changed.film.stills if still] == ["dog · track 9", "crumb · track 9", "dog · track 9"]
    colors = [still.shot.marks[0].color for still in changed.film.stills if still]
    assert colors == [OTHER, OWN, OTHER]


def test_a_change_of_track_is_shown_once(store: Store) -> None:
    found = gather(store).labels
    assert found is not None
    changed = next(tracks for tracks in found.tracks if tracks.title == "changed tracks")
    assert changed.count == 2
    assert len(changed.films) == 1
    assert changed.left == 0


def test_classes_are_listed_with_those_that_have_few_or_nothing(text: str) -> None:
    part = text.split(">Class balance</h3>", 1)[1].split("</article>", 1)[0]
    seen = Outline(part).visible
    assert "4 classes; evenness 0 of 1." in seen
    assert "never few 0 0 images" in seen
    assert "crumb 16 2 images" in seen
    assert seen.index("crumb") < seen.index("dog") < seen.index("never")


def test_counts_of_images_stay_on_one_line(text: str) -> None:
    assert "ul.classes .share { white-space: nowrap; }" in text


def test_findings_are_computed_once_and_then_read(store: Store, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_quality.analysis.health.findings", lambda *_, **__: pytest.fail("computed again"))
    assert page(store, WRITTEN, 5_000_000) == text


def test_a_store_that_somebody_writes_to_is_reported_all_the_same(store: Store) -> None:
    for path in (store.path / "results").iterdir():
        path.unlink()
    with writer_lock(store.path):
        seen = page(store, WRITTEN, 5_000_000)
    assert "near duplicate" in seen
    assert "home of bob" not in seen


def test_without_annotations_there_is_no_such_part(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 2)
    alone = gq.run(tmp_path / "photos", out=tmp_path / "run", metrics=["width"], settings={"engine": {"kind": "inline"}})
    assert gather(alone).labels is None
    assert 'id="labels"' not in page(alone, WRITTEN, 1_000_000)


def test_things_are_followed_by_track_else_by_place(store: Store) -> None:
    scenes = Scenes(store, gather(store).ids)
    found = next(o for o in scenes.objects(6).values() if o["track"] == 8)
    again = scenes.same(found, 5)
    assert again is not None
    assert again["track"] == 7, "nothing of track 8 there: what lies in its place"
    assert scenes.same({**found, "box": [0.0, 0.0, 1.0, 1.0]}, 5) is None
    assert scenes.before(2) is None
    assert scenes.before(3) == 2
    assert overlap([0, 0, 2, 2], [1, 0, 3, 2]) == pytest.approx(1 / 3)
    assert overlap([0, 0, 0, 0], [0, 0, 0, 0]) == 0
