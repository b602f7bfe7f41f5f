"""The page of a slice: its pictures, what failed first, nothing foreign as markup, within its budget."""

import datetime as dt
import json

import pytest

import gpu_quality as gq
from gpu_quality.api.slices import save_slice, sql_text
from gpu_quality.errors import UsageError
from gpu_quality.reports.slice_sheet import part_of, slice_page, write_slice
from tests.api.sliced import METRICS, coco, sliced_store
from tests.reports.planted import NAMES, SCRIPT, planted_store, write_images

WRITTEN = dt.datetime(2024, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    images = tmp_path_factory.mktemp("photos")
    write_images(images)
    return planted_store(tmp_path_factory.mktemp("runs") / "a", images)


def test_frames_of_a_slice_with_their_labels(store):
    page = slice_page(part_of(store, "brightness < 0.2"), WRITTEN, 1_000_000)
    assert page.count("<figure") == 3
    assert page.count("data:image/jpeg") == 3
    assert "2 labels" in page
    assert "brightness &lt; 0.2" in page
    assert "2024-02-03 04:05 UTC" in page
    assert "3 frames" in page


def test_objects_of_a_slice(store):
    part = part_of(store, "object_area_relative < 0.035")
    assert (part.per, part.rows.tolist(), part.frames) == ("object", [0, 1, 2], 2)
    page = slice_page(part, WRITTEN, 1_000_000)
    assert page.count("<figure") == 3
    assert "&lt;u&gt;dog" in page
    assert "<u>" not in page
    assert "3 objects in 2 frames" in page
    assert slice_page(part_of(store, "true", "object"), WRITTEN, 1_000_000).count("<figure") == 4


def test_nothing_foreign_becomes_markup(store):
    page = slice_page(part_of(store, f"frame <> {sql_text(SCRIPT)} or frame = '<b>'", "frame"), WRITTEN, 10_000_000)
    assert "<script" not in page
    assert "<b>" not in page
    assert page.count("<figure") == len(NAMES)
    assert "not shown" in page


def test_an_empty_slice_says_so(store):
    assert "No frame meets the condition." in slice_page(part_of(store, "brightness > 5"), WRITTEN, 1000)


def test_what_failed_comes_first(tmp_path):
    store = sliced_store(tmp_path, frames=12)
    save_slice(store, "kites & co", "object_area < 2000")
    part = part_of(store, "kites & co", most=50)
    table = store.table("object", ["outcome", "score"])
    shown = table.iloc[list(part.shown)]
    place = shown["outcome"].map({"fn": 0, "fp": 1}).fillna(2)
    assert place.is_monotonic_increasing
    assert set(place) == {0, 1}
    assert shown["score"][shown["outcome"] == "fp"].is_monotonic_decreasing
    page = slice_page(part, WRITTEN, 1_000_000)
    assert "kites &amp; co" in page
    assert "missed" in page
    assert "image not found" in page
    assert "more objects" in page


def test_thumbnails_keep_within_the_budget(store):
    part = part_of(store, "true", "frame")
    assert len(slice_page(part, WRITTEN, 26_000)) < 45_000


def test_the_file_is_written_whole(store, tmp_path):
    path = write_slice(store, "brightness < 0.2", tmp_path / "s.html")
    assert path.read_text().startswith("<!")
    with pytest.raises(UsageError, match="is a folder"):
        write_slice(store, "true", tmp_path)
    with pytest.raises(UsageError, match="not found"):
        write_slice(store, "nothing < 2", tmp_path / "t.html")
    assert not (tmp_path / "t.html").exists()


def test_outcomes_are_those_of_the_set_that_is_asked_for(tmp_path):
    labels, results = coco(8)
    for name, content in (("labels", labels), ("all", results), ("few", results[::4])):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    sets = {name: str(tmp_path / f"{name}.json") for name in ("all", "few")}
    store = gq.run(labels=str(tmp_path / "labels.json"), predictions=sets, out=tmp_path / "out", metrics=METRICS)
    for name in sets:
        gq.evaluate(store, predictions=name)
    for name in sets:
        part = part_of(store, f"outcome_{name} = 'fn'", most=1000)
        assert set(part.outcome.values()) == {"fn"}
        assert len(part.outcome) == len(part.rows)
    assert set(part_of(store, "origin = 2", most=1000).outcome.values()) <= {"tp", "fp"}
    assert len(part_of(store, "origin = 2", most=1000).outcome) == len(results[::4])
