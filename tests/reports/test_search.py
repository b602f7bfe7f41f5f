"""The page of a search: complete, safe to open, with the query and its answers."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gpu_quality.api.queries import Query
from gpu_quality.api.search import Found, find
from gpu_quality.errors import UsageError
from gpu_quality.reports.search import PICTURES, search_page, write_search
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store
from tests.reports.planted import BROKEN, SCRIPT, planted_store, write_images
from tests.reports.test_report import Outline

WRITTEN = dt.datetime(2024, 2, 3, 4, 5, tzinfo=dt.UTC)
FACTS = {"card": "<b>mine</b>", "dim": 4, "sha256": "0" * 64, "text": True, "meaning": {}, "precision": "float32", "batch": 4,
         "device": "cpu"}  # fmt: skip


def embedded(out: Path, images: Path | None) -> Store:
    made = planted_store(out, images)
    x = np.random.default_rng(3).standard_normal((12, 4)).astype(np.float16)
    x[BROKEN] = np.nan
    columns = {
        name: {"per": per, "vector": True, "hidden": True, "encoder": FACTS}
        for name, per in (("embedding", "frame"), ("object_embedding", "object"))
    }
    with writer_lock(out):
        made.begin_layer("00000000deadbeef", {"kind": "stream", "columns": columns, "encoder": FACTS})
        for shard in made.shards():
            mine = made.input.span(shard.name, "objects")
            arrays = {"embedding": x[shard.rows.start : shard.rows.stop], "objects.object_embedding": x[mine.start : mine.stop]}
            made.commit("00000000deadbeef", shard.name, {}, arrays)
    return made


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home of alice")
    write_images(folder)
    return folder


@pytest.fixture(scope="module")
def store(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return embedded(tmp_path_factory.mktemp("runs") / "a", images)


def as_text(found: Found, told: str) -> Found:
    return replace(found, query=Query("text", told, found.query.vector))


def as_image(found: Found, told: str) -> Found:
    return replace(found, query=Query("image", told, found.query.vector, rgb=np.full((50, 400, 3), 200, np.uint8)))


def page(found: Found, budget: int = 5_000_000) -> Outline:
    outline = Outline(search_page(found, WRITTEN, budget))
    assert outline.open == []
    return outline


def pictures(outline: Outline) -> list[dict[str, str | None]]:
    return [found for tag, found in outline.tags if tag == "img"]


def test_the_query_stands_before_its_answers(store):
    outline = page(find(store, frame="dark.jpg", count=5))
    assert [found["alt"].partition(":")[0] for found in pictures(outline)] == [
        "dark.jpg", "answer 1", "answer 2", "answer 3", "answer 4", "answer 5",
    ]  # fmt: skip
    assert all(found["src"].startswith("data:image/jpeg;base64,") for found in pictures(outline))
    text = outline.visible
    assert text.index("The frame") < text.index("The 5 frames most like it")
    assert "11 frames of a, embedded with <b>mine</b>" in text
    assert "1 of 12 frames have no vector" in text
    assert "Exact search for 12 vectors of 4 components" in text
    assert [tag for tag, _ in outline.tags].count("h1") == 1


def test_objects_are_cut_out_and_named(store):
    outline = page(find(store, object="o0"))
    text = outline.visible
    assert text.index("The object") < text.index("The 3 objects most like it")
    for part in ("cat", "<u>dog</u>", "o0", "o1", "o2", "o3"):
        assert part in text
    assert len(pictures(outline)) == 4


def test_words_have_no_picture_and_cannot_become_markup(store):
    found = as_text(find(store, frame="dark.jpg", count=3), f"a truck {SCRIPT}")
    raw = search_page(found, WRITTEN, 5_000_000)
    assert "<script" not in raw
    assert "&lt;script&gt;" in raw
    outline = page(found)
    assert len(pictures(outline)) == 3
    assert "only the order means something" in outline.visible


def test_a_given_picture_is_shown_and_its_folder_is_nobodys_business(store):
    found = as_image(find(store, frame="dark.jpg", count=3), "/home/alice/secret place/x.jpg")
    outline = page(found)
    assert (pictures(outline)[0]["width"], pictures(outline)[0]["height"]) == ("256", "32")
    assert "x.jpg" in outline.visible
    raw = search_page(found, WRITTEN, 5_000_000)
    assert "secret place" not in raw
    assert "home of alice" not in raw


def test_nothing_is_loaded_and_nothing_runs(store):
    outline = page(find(store, frame="dark.jpg"))
    assert not {"script", "link", "iframe", "form"} & {tag for tag, _ in outline.tags}
    assert not [found for _, found in outline.tags for name in ("href", "src") if found.get(name, "").startswith("http")]
    assert any("default-src 'none'" in str(found.get("content")) for _, found in outline.tags)


def test_the_page_keeps_to_its_budget_and_the_same_search_gives_the_same_page(store):
    found = find(store, frame="dark.jpg")
    large, small = (search_page(found, WRITTEN, budget) for budget in (5_000_000, 30_000))
    assert len(small) < 34_000 < len(large)
    assert search_page(found, WRITTEN, 5_000_000) == large


def test_images_that_are_gone_leave_names_and_numbers(tmp_path):
    outline = page(find(embedded(tmp_path / "a", None), frame="dark.jpg", count=10))
    assert pictures(outline) == []
    assert outline.visible.count("image not found") == 11
    assert "copy_1.jpg" in outline.visible
    assert "10. " in outline.visible


def test_many_answers_are_cut_and_said_to_be_so(store):
    found = find(store, frame="dark.jpg", count=11)
    many = replace(found, table=found.table.iloc[[0] * (PICTURES + 7)].reset_index(drop=True))
    outline = page(many)
    assert "… and 7 more frames" in outline.visible
    assert len(pictures(outline)) == PICTURES + 1


def test_an_answer_of_nothing(store):
    found = find(store, frame="dark.jpg")
    assert "Nothing found" in page(replace(found, table=found.table.iloc[:0])).visible


def test_the_file_is_written_whole(store, tmp_path):
    path = write_search(find(store, frame="dark.jpg", count=2), tmp_path / "new" / "search.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [found.name for found in path.parent.iterdir()] == ["search.html"]
    with pytest.raises(UsageError, match="is a folder"):
        write_search(find(store, frame="dark.jpg", count=2), tmp_path)
