"""The part of a report about duplicates: groups with the frame to keep, leaks, and answers that are old, damaged or hostile."""

import datetime as dt
import itertools
import json
import shutil
from pathlib import Path

import pytest

from gpu_quality.api.duplicates_result import made_from
from gpu_quality.reports.page import page
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store
from tests.reports.planted import COPIES, NAMES, SCRIPT, planted_store, write_images
from tests.reports.test_report import Outline
from tests.reports.test_search import embedded

WRITTEN = dt.datetime(2024, 2, 3, 4, 5, tzinfo=dt.UTC)
IDS = [name for name in NAMES if name.isprintable()]
PLAIN = ("plain_1.jpg", "plain_2.jpg")


def member(frame: str, kind: str = "hash", similarity: float = 0.96, **more: object) -> dict[str, object]:
    return {
        "frame": frame, "run": None, "split": None, "kind": kind, "similarity": similarity, "hash": None, "embedding": None,
        **more,
    }  # fmt: skip


def group(*members: dict[str, object], **more: object) -> dict[str, object]:
    first = members[0]["frame"]
    return {
        "members": list(members), "keep": first, "keep_run": None, "reason": "most pixels (48 x 36)", "leader": first,
        "leader_run": None, "drifts": False, "pairs_below": 0, "least_hash": 0.9, "least_embedding": None, **more,
    }  # fmt: skip


def answer(*groups: dict[str, object], **more: object) -> dict[str, object]:
    members = sum(len(found["members"]) for found in groups)  # type: ignore[arg-type]
    return {
        "groups": list(groups), "leaks": {"between": None, "counts": [], "pairs": []}, "kinds": ["hash", "embedding"],
        "thresholds": {"hash": 0.875, "embedding": 0.95, "together": [{"embedding": 0.85, "hash": 0.72}]},
        "linkage": "star: nothing chains", "left_out": {"hash": 1, "embedding": 0}, "missing": {}, "against": None,
        "counts": {"frames": 12, "groups": len(groups), "members": members, "surplus": members - len(groups)},
        "compared": {"hash": 11}, "notes": [], **more,
    }  # fmt: skip


def with_answer(store: Store, found: dict[str, object], name: str = "duplicates") -> Store:
    given = {"made_from": made_from(store), **found}
    with writer_lock(store.path):
        store.save_result(f"{name}.json", json.dumps(given).encode())
    return Store.open(store.path)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home of alice") / "photos"
    folder.mkdir()
    write_images(folder)
    return folder


@pytest.fixture(scope="module")
def plain(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(planted_store(tmp_path_factory.mktemp("runs") / "a", images).path)


@pytest.fixture
def store(plain: Path, tmp_path: Path) -> Store:
    shutil.copytree(plain, tmp_path / "a")
    return Store.open(tmp_path / "a")


def part(store: Store, budget: int = 5_000_000) -> tuple[str, Outline]:
    """The section alone: its HTML, and its outline."""
    text = page(store, WRITTEN, budget)
    assert Outline(text).open == []
    start = text.index('<section id="duplicates"')
    return text, Outline(text[start : text.index("</section>", start) + len("</section>")])


def pictures(outline: Outline) -> list[str]:
    return [str(found["alt"]) for tag, found in outline.tags if tag == "img"]


def test_groups_show_the_frame_to_keep_first_and_what_speaks_for_the_others(store: Store) -> None:
    weak = member("dark.jpg", "embedding", 0.87, hash=0.734, embedding=0.87)
    found = answer(group(member(NAMES[COPIES[0]], "exact", 1.0), member(NAMES[COPIES[1]], "exact", 1.0), weak))
    text, outline = part(with_answer(store, found))
    seen = outline.visible
    assert pictures(outline) == ["keep: copy_1.jpg", "copy_2.jpg", "dark.jpg"]
    assert "1 group with 3 of 12 frames that show the same; 2 frames could go." in seen
    assert "Compared by hashes under all flips and turns (≥ 0.875), 1 without; vectors (≥ 0.95)" in seen
    assert "The linkage is a star: nothing chains." in seen
    assert "Keep copy_1.jpg : most pixels (48 x 36)." in seen
    assert "equal pixels copy_2.jpg" in seen
    assert "embedding 0.87, hash 0.734 dark.jpg" in seen, "alone that vector would not be enough"
    assert seen.count("equal pixels") == 1, "the frame that leads is compared with nobody"
    assert 'href="#duplicates"' in text
    assert "2 duplicates that could go" in Outline(text).visible


def test_groups_of_columns_are_not_shown_twice_but_named(store: Store) -> None:
    found = answer(group(*(member(NAMES[row], "exact", 1.0) for row in COPIES)))
    text, outline = part(with_answer(store, found))
    assert "By column: exact_duplicate_group holds 1 group that is here too." in outline.visible
    copies = text[text.index('<section id="copies"') :].split("</section>")[0]
    assert "exact_duplicate_group" not in copies
    assert "near_duplicate_group" in copies, "plain_1 and plain_2 are in no group of duplicates"
    both = answer(group(*(member(NAMES[row]) for row in COPIES)), group(*(member(name) for name in PLAIN)))
    text, outline = part(with_answer(store, both))
    assert '<section id="copies"' not in text
    assert "near_duplicate_group holds 1 group that is here too" in outline.visible


def test_drift_is_told_and_the_frame_that_leads_is_marked(store: Store) -> None:
    found = group(*(member(name) for name in (*PLAIN, "dark.jpg")), leader="plain_2.jpg", drifts=True, pairs_below=1)
    _, outline = part(with_answer(store, answer(found)))
    assert "1 pair of this group is below the thresholds; least hash 0.9." in outline.visible
    assert "compared with plain_2.jpg" in outline.visible


def test_leaks_between_splits_are_counted_and_shown_as_pairs(store: Store) -> None:
    pair = {"kind": "hash", "similarity": 0.98, "split": "train", "other_split": SCRIPT}
    pairs = [{**pair, "frame": PLAIN[0], "other": other} for other in ("copy_1.jpg", "copy_2.jpg")]
    pairs.append({**pair, "frame": PLAIN[1], "other": "dark.jpg"})
    counts = [{"splits": ["train", SCRIPT], "frames": [2, 3], "pairs": 3}]
    found = answer(group(*(member(name) for name in PLAIN)), leaks={"between": "splits", "counts": counts, "pairs": pairs})
    text, outline = part(with_answer(store, found))
    assert "Leaks between splits 3" in outline.visible.replace("leaks", "Leaks")
    assert f"2 frames of train and 3 of {SCRIPT} are duplicates of each other (3 pairs)" in outline.visible
    assert "<script" not in text.lower()
    assert pictures(outline)[:4] == [PLAIN[0], "copy_1.jpg", PLAIN[1], "dark.jpg"], "a frame shown before comes later"
    assert 'href="#leaks-splits"' in text


@pytest.mark.parametrize("there", [True, False])
def test_leaks_between_runs_show_both_ends_where_the_other_run_is(
    store: Store, images: Path, tmp_path: Path, there: bool
) -> None:
    other = tmp_path / "secret place" / "b"
    if there:
        planted_store(other, images)
    pair = {"frame": "dark.jpg", "run": str(store.path), "other": "plain_2.jpg", "other_run": str(other), "kind": "exact"}
    counts = [{"runs": [str(store.path), str(other)], "frames": [1, 1], "pairs": 1}]
    leaks = {"between": "runs", "counts": counts, "pairs": [{**pair, "similarity": 1.0}]}
    text, outline = part(with_answer(store, answer(against=str(other), leaks=leaks), "duplicates_against"))
    assert "1 frame of a and 1 of b are duplicates of each other (1 pair)" in outline.visible
    assert pictures(outline) == (["dark.jpg", "plain_2.jpg"] if there else ["dark.jpg"])
    assert ("in the other run, which is not there" in outline.visible) is not there
    assert "secret place" not in text
    assert "gpu-quality duplicates a" in text, "of this run alone nobody asked yet"


def test_nobody_asked_yet_and_the_command_says_how(store: Store) -> None:
    text = page(store, WRITTEN, 5_000_000)
    assert '<section id="duplicates"' not in text
    assert "gpu-quality duplicates a" in Outline(text).visible
    done = page(with_answer(store, answer()), WRITTEN, 5_000_000)
    assert "No two of 12 frames show the same." in Outline(done).visible
    assert "gpu-quality duplicates a" not in Outline(done).visible


def test_an_answer_of_before_says_so(store: Store) -> None:
    text, outline = part(with_answer(store, answer(made_from={})))
    assert "What is stored has changed since these groups were made" in outline.visible
    assert "gpu-quality duplicates a" in Outline(text).visible


@pytest.mark.parametrize(
    "found",
    [
        {"groups": [1], "leaks": {}, "notes": []},
        {"groups": [], "leaks": [], "notes": 3},
        [],
        answer({"members": []}),
        answer(group(member("dark.jpg"), {"frame": ["x"]})),
        answer(thresholds={}),
        answer(leaks={"between": "splits", "counts": [{}], "pairs": [{}]}),
        answer(counts={"frames": "many"}),
    ],
)
def test_an_answer_that_is_none_is_said_to_be_damaged(store: Store, found: object) -> None:
    with writer_lock(store.path):
        store.save_result("duplicates.json", json.dumps(found).encode())
    _, outline = part(Store.open(store.path))
    assert "Results/duplicates.json is not what was written, and is not shown" in outline.visible


def test_a_changed_file_is_not_shown(store: Store) -> None:
    with_answer(store, answer(group(*(member(name) for name in PLAIN))))
    path = store.path / "results" / "duplicates.json"
    path.write_text(path.read_text().replace("plain_1", "plain_9"))
    text, outline = part(Store.open(store.path))
    assert "is not what was written" in outline.visible
    assert "plain_9" not in text


def test_frames_that_the_run_does_not_have_are_names_without_a_picture(store: Store) -> None:
    text, outline = part(with_answer(store, answer(group(member("dark.jpg"), member(SCRIPT)))))
    assert pictures(outline) == ["keep: dark.jpg"]
    assert SCRIPT[:8] in outline.visible
    assert "<script" not in text.lower()


@pytest.mark.parametrize("budget", [120_000, 60_000])
def test_the_page_keeps_within_its_budget(store: Store, budget: int) -> None:
    groups = [group(member(a), member(b)) for a, b in itertools.pairwise(IDS)]
    text, _ = part(with_answer(store, answer(*groups)), budget)
    assert len(text.encode()) <= budget


def test_vectors_can_be_searched_and_the_command_can_be_typed(images: Path, tmp_path: Path) -> None:
    seen = Outline(page(embedded(tmp_path / "b", images), WRITTEN, 5_000_000)).visible
    assert "gpu-quality search b --frame '=cmd|calc.jpg' --html like_it.html" in seen or "search b --frame dark.jpg" in seen
    assert 'gpu-quality search b --text "a truck at night"' in seen, "its card knows words"
    assert "gpu-quality search" not in Outline(page(planted_store(tmp_path / "c", images), WRITTEN, 5_000_000)).visible
