"""The HTML file: complete, safe to open, small, and the same for the same store."""

import datetime as dt
import html.parser
import itertools
import re
import shutil
from pathlib import Path

import pytest

from gpu_quality.errors import UsageError
from gpu_quality.reports import report
from gpu_quality.reports.page import page
from gpu_quality.store.store import Store
from tests.reports.planted import DARK, NAMES, STREAM_COLUMNS, planted_store, write_images

WRITTEN = dt.datetime(2024, 2, 3, 4, 5, tzinfo=dt.UTC)
VOID = {"meta", "img", "path", "line", "rect"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home of alice") / "photos"
    folder.mkdir()
    write_images(folder)
    return folder


@pytest.fixture(scope="module")
def store(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return planted_store(tmp_path_factory.mktemp("runs") / "a", images)


@pytest.fixture(scope="module")
def text(store: Store) -> str:
    return page(store, WRITTEN, 5_000_000)


class Outline(html.parser.HTMLParser):
    """Tags, attributes and visible words of a page; notices tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def visible(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_every_tag_is_closed_and_headings_go_down_one_step_at_a_time(text: str) -> None:
    outline = Outline(text)
    assert outline.open == []
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_links_inside_the_page_lead_somewhere(text: str) -> None:
    outline = Outline(text)
    targets = {found["id"] for _, found in outline.tags if "id" in found}
    links = [found["href"] for tag, found in outline.tags if tag == "a"]
    assert links
    assert all(link is not None and link.startswith("#") and link[1:] in targets for link in links)


def test_nothing_is_loaded_or_run(text: str) -> None:
    outline = Outline(text)
    policy = next(found["content"] for tag, found in outline.tags if tag == "meta" and "http-equiv" in found)
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert not {tag for tag, _ in outline.tags} & {
        "script",
        "link",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "use",
        "image",
    }
    assert not [name for _, found in outline.tags for name in found if name.startswith("on")]
    assert all(str(found["src"]).startswith("data:image/jpeg;base64,") for tag, found in outline.tags if tag == "img")
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text


def test_hostile_names_are_text(text: str) -> None:
    assert "<script" not in text.lower()
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; ends too early" in text
    assert "<b>apples" not in text
    assert "&lt;b&gt;apples" in text
    assert "<u>dog" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "new\\x0aline\\x1b[31m.jpg" in text
    assert "night/\\u202egpj.exe.jpg" in text
    assert all(found.get("alt") for tag, found in Outline(text).tags if tag == "img")


def test_the_place_of_files_stays_private(text: str, store: Store, images: Path) -> None:
    assert str(images) not in text
    assert "home of alice" not in text
    assert str(store.path.parent) not in text


def test_places_in_error_details_are_cut(images: Path, tmp_path: Path) -> None:
    from gpu_quality.reports.content import gather

    content = gather(planted_store(tmp_path / "a", images))
    assert content.private(f"cannot read {images}/x.jpg") == "cannot read …/x.jpg"


def test_numbers_issues_and_copies_are_told(text: str) -> None:
    seen = Outline(text).visible
    assert "12 frames listed = 11 scored + 1 error" in seen
    assert "1 frame of 11 (9.1 %) where dark_score is below 0.32" in seen
    assert "Looked for and not found: light." in seen
    assert "Found on more than half of the frames" in seen
    assert "1 group with 2 frames (column exact_duplicate_group)" in seen
    assert "1 group with 2 frames (column near_duplicate_group)" in seen, "the exact group is not repeated"
    assert "truncated" in seen
    assert "Scored 2023-11-14 22:13 UTC, report written 2024-02-03 04:05 UTC" in seen
    assert "gpu-quality show a --sort" in seen


def test_every_metric_has_a_distribution(text: str) -> None:
    charts = [str(found["aria-label"]) for tag, found in Outline(text).tags if tag == "svg"]
    wanted = [name for name, facts in STREAM_COLUMNS.items() if facts["unit"] != "64-bit hash" and not facts["hidden"]]
    for name in wanted:
        assert any(label.startswith(f"{name}: histogram of ") for label in charts), name
    assert not any(label.startswith(("secret", "phash", "is_")) for label in charts)
    assert any("brightness: histogram of 11 frames from 0 to 0.8333, median 0.4167" in label for label in charts)


def test_objects_are_shown_per_origin_with_their_classes(text: str) -> None:
    seen = Outline(text).visible
    assert "3 objects of 2 classes" in seen
    assert "1 object of 1 class" in seen
    assert "object in " + NAMES[8] in {str(found.get("alt")) for tag, found in Outline(text).tags if tag == "img"}


def test_the_same_store_gives_the_same_bytes_but_for_the_line_of_dates(store: Store, text: str) -> None:
    later = page(store, WRITTEN + dt.timedelta(days=1), 5_000_000)
    differing = [(a, b) for a, b in zip(text.splitlines(), later.splitlines(), strict=True) if a != b]
    assert [a for a, _ in differing] == [line for line in text.splitlines() if line.startswith('<p class="date">')]
    assert len(differing) == 1


@pytest.mark.parametrize("budget", [120_000, 60_000])
def test_the_page_keeps_within_its_budget(store: Store, budget: int) -> None:
    small = page(store, WRITTEN, budget)
    assert len(small.encode()) <= budget
    assert Outline(small).open == []


def test_a_budget_below_the_bare_page_leaves_out_all_pictures(store: Store) -> None:
    seen = Outline(page(store, WRITTEN, 1))
    assert not [tag for tag, _ in seen.tags if tag == "img"]
    assert "left out: size limit" in seen.visible


def test_images_that_are_gone_leave_names_and_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    write_images(folder)
    store = planted_store(tmp_path / "a", folder)
    shutil.rmtree(folder)
    seen = Outline(page(store, WRITTEN, 5_000_000))
    assert "no longer where they were scored" in seen.visible
    assert "image not found" in seen.visible
    assert "dark.jpg" in seen.visible


def test_an_image_that_changed_is_not_shown_as_if_it_were_the_scored_one(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    write_images(folder)
    store = planted_store(tmp_path / "a", folder)
    (folder / NAMES[DARK]).write_bytes(b"another file")
    seen = Outline(page(store, WRITTEN, 5_000_000)).visible
    assert "not shown: changed since listing" in seen
    assert "could not be shown" in seen


def test_images_given_in_memory_have_no_pictures(tmp_path: Path) -> None:
    seen = Outline(page(planted_store(tmp_path / "a", None, objects=False), WRITTEN, 5_000_000)).visible
    assert "given in memory" in seen
    assert "Objects" not in seen


def test_report_writes_one_file_inside_the_store(images: Path, tmp_path: Path) -> None:
    store = planted_store(tmp_path / "a", images)
    before = set(tmp_path.rglob("*"))
    assert report(store.path) == tmp_path / "a" / "report.html"
    new = {path for path in set(tmp_path.rglob("*")) - before if "results" not in path.parts}  # the findings are kept there
    assert new == {tmp_path / "a" / "report.html"}
    assert report(store, tmp_path / "x.html") == tmp_path / "x.html"
    assert Store.open(tmp_path / "a").status()["complete"]


def test_report_refuses_a_folder_and_a_budget_of_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        report(store, tmp_path)
    with pytest.raises(UsageError, match="budget_mb"):
        report(store, tmp_path / "x.html", budget_mb=0)
