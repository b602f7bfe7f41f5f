"""The terminal tables and their JSON twins, on a store with planted problems."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from gpu_quality.cli.failures import errors_json, errors_table
from gpu_quality.cli.show import show, show_json
from gpu_quality.errors import UnknownNameError, UsageError
from gpu_quality.store.store import Store
from tests.reports.planted import planted_store, write_images


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("photos")
    write_images(folder)
    return planted_store(tmp_path_factory.mktemp("runs") / "a", folder)


def printed(store: Store, width: int = 120, **asked: object) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    given: dict[str, object] = {"sort": None, "worst": 10, "issues": False, "per": "frame", **asked}
    show(store, console, **given)  # type: ignore[arg-type]
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def as_json(store: Store, **asked: object) -> dict[str, object]:
    given: dict[str, object] = {"sort": None, "worst": 10, "issues": False, "per": "frame", **asked}
    return json.loads(json.dumps(show_json(store, **given), allow_nan=False))  # type: ignore[arg-type, no-any-return]


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_tables_fit_their_width_and_keep_what_matters(store: Store, width: int) -> None:
    text = printed(store, width)
    assert max(len(line.rstrip()) for line in text.splitlines()[1:]) <= width
    line = next(line for line in text.splitlines() if line.startswith("  brightness"))
    assert "0.4167" in line
    assert "▁" in line or "█" in line
    assert ("fraction of full scale" in line) == (width >= 120)
    assert "…" not in line


def test_metrics_stand_under_their_topic_and_hashes_flags_and_hidden_columns_do_not(store: Store) -> None:
    lines = [line.split("  ")[0] or line.split()[0] for line in printed(store).splitlines() if line]
    assert (
        lines.index("Issue scores")
        < lines.index("Color")
        < lines.index("Sharpness and noise")
        < lines.index("Your own metrics")
    )
    assert not {"phash", "secret", "is_dark_issue", "exact_duplicate_group"} & set(lines)


def test_issues_are_counted_and_the_common_one_is_said_to_be_so(store: Store) -> None:
    text = printed(store, issues=True)
    dark = next(line for line in text.splitlines() if line.startswith("dark"))
    assert dark.split()[:5] == ["dark", "(<", "0.32)", "1", "9.1"]
    assert "0.05    dark.jpg" in dark
    assert "odd is on more than half of the frames" in text
    assert "not found among 11 frames: light" in text
    assert "brightness" not in text


def test_only_some_frames_of_an_issue_are_named(store: Store) -> None:
    assert "… 9 more" in printed(store, issues=True, worst=2)
    assert "… 8 more" in printed(store)


def test_sorting_shows_the_bad_end_or_both(store: Store) -> None:
    low = printed(store, sort="sharpness", worst=2).splitlines()
    assert "lowest sharpness" in low[2]
    assert low[3].split()[0] == "500"
    assert len(low) == 5
    both = printed(store, sort="brightness", worst=1)
    assert "lowest brightness" in both
    assert "highest brightness" in both
    assert "highest noise" in printed(store, sort="noise", worst=1)


def test_sorting_by_a_metric_of_objects_shows_objects(store: Store) -> None:
    text = printed(store, sort="object_area_relative", worst=1)
    assert "0.01" in text
    assert "cat" in text
    assert "box 2 2 20 20" in text
    assert "How bright it is" not in text
    assert "object_brightness" in printed(store, per="object")


def test_foreign_names_cannot_style_or_steer_the_terminal(store: Store) -> None:
    text = printed(store, sort="brightness", worst=20)
    assert "[bold]tag[/bold].jpg" in text
    assert "new\\x0aline\\x1b[31m.jpg" in text
    assert "\\u202egpj.exe.jpg" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_unknown_columns_are_answered_with_close_ones(store: Store) -> None:
    with pytest.raises(UnknownNameError) as caught:
        printed(store, sort="sharpnes")
    assert "did you mean 'sharpness'" in caught.value.hint
    with pytest.raises(UsageError, match="no order"):
        printed(store, sort="phash")


def test_json_says_what_the_tables_say(store: Store) -> None:
    found = as_json(store)
    assert found["status"]["listed"] == 12  # type: ignore[index]
    by_name = {d["column"]: d for d in found["distributions"]}  # type: ignore[index, union-attr]
    assert set(by_name) == {"dark_score", "brightness", "noise", "sharpness", "mine"}
    bright = by_name["brightness"]
    assert (bright["n"], bright["null"], bright["min"], bright["topic"]) == (11, 1, 0.0, "Color")
    assert bright["median"] == pytest.approx(5 / 12)
    assert sum(bright["histogram"]["counts"]) == 11
    dark = next(i for i in found["issues"] if i["issue"] == "dark")  # type: ignore[union-attr]
    assert dark["count"] == 1
    assert dark["of"] == 11
    assert dark["worst"] == [{"frame": "dark.jpg", "score": 0.05}]
    odd = next(i for i in found["issues"] if i["issue"] == "odd")  # type: ignore[union-attr]
    assert odd["on_most_frames"] is True
    assert "distributions" not in as_json(store, issues=True)


def test_json_of_extremes_names_frames_and_objects(store: Store) -> None:
    frames = as_json(store, sort="sharpness", worst=1)
    assert list(frames["extremes"]) == ["lowest"]  # type: ignore[call-overload]
    assert frames["extremes"]["lowest"][0]["sharpness"] == 500.0  # type: ignore[index]
    objects = as_json(store, sort="object_brightness", worst=1)
    assert objects["per"] == "object"
    assert objects["extremes"]["highest"][0]["box"] == [4, 5, 40, 30]  # type: ignore[index]


def test_a_store_without_objects_says_so(tmp_path: Path) -> None:
    store = planted_store(tmp_path / "a", None, objects=False)
    assert "no metric per object is stored" in printed(store, per="object")


def test_errors_are_counted_and_explained(store: Store) -> None:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    errors_table(store, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.splitlines()[0].split() == ["1", "truncated"]
    assert "<script>" in text
    found = errors_json(store)
    assert (found["count"], found["reasons"]) == (1, {"truncated": 1})
    assert found["rows"][0]["frame"] == "truncated.jpg"
    assert found["rows"][0]["line"] is None
