"""The JSON twin of the page: the same numbers, nothing private, valid JSON, with and without labels and predictions."""

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gpu_quality.cli import main
from gpu_quality.errors import UsageError
from gpu_quality.reports import report, report_json
from gpu_quality.reports.content import gather
from gpu_quality.reports.page import drawn
from gpu_quality.reports.twin.whole import twin
from gpu_quality.store.store import Store
from gpu_quality.text import number
from tests.reports.planted import BROKEN, COPIES, DARK, NAMES, STREAM_COLUMNS, planted_store, write_images
from tests.reports.test_report import Outline

WRITTEN = dt.datetime(2024, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    images = tmp_path_factory.mktemp("home of erik") / "photos"
    images.mkdir()
    write_images(images)
    return planted_store(tmp_path_factory.mktemp("runs") / "a", images)


@pytest.fixture(scope="module")
def told(store: Store) -> dict[str, Any]:
    return json.loads(json.dumps(twin(gather(store), WRITTEN), allow_nan=False))


@pytest.fixture(scope="module")
def seen(store: Store) -> str:
    return Outline(drawn(gather(store), WRITTEN, 1)).visible


def test_counts_are_those_of_the_store(store: Store, told: dict[str, Any]) -> None:
    assert (told["status"]["listed"], told["status"]["scored"], told["status"]["errors"]) == (len(NAMES), len(NAMES) - 1, 1)
    dark = next(issue for issue in told["issues"] if issue["issue"] == "dark")
    assert dark["count"] == store.query("select count(*) as n from frames where is_dark_issue")["n"].item() == 1
    assert dark["worst"][0]["frame"] == NAMES[DARK]
    assert dark["worst"][0]["score"] == pytest.approx(0.05)
    exact = next(entry for entry in told["copies"] if entry["column"] == "exact_duplicate_group")
    assert exact["members"] == [[NAMES[row] for row in COPIES]]
    assert told["errors"]["reasons"] == {"truncated": 1}
    assert told["errors"]["rows"][0]["frame"].startswith(NAMES[BROKEN][:5])
    assert {row["origin"]: row["objects"] for row in told["objects"]} == {"labels": 3, "net": 1}


def test_distributions_are_those_of_sql(store: Store, told: dict[str, Any]) -> None:
    rows = {row["column"]: row for row in told["distributions"]}
    assert set(rows) >= {name for name in ("brightness", "sharpness", "noise", "mine") if name in STREAM_COLUMNS}
    for name in ("brightness", "sharpness", "mine"):
        sql = f"select count({name}) as n, min({name}) as low, median({name}) as middle, max({name}) as high from frames"
        known = store.query(sql).iloc[0]
        found = rows[name]
        assert (found["n"], found["null"]) == (known["n"], len(NAMES) - known["n"])
        assert [found["min"], found["median"], found["max"]] == pytest.approx([known["low"], known["middle"], known["high"]])
        assert sum(found["histogram"]["counts"]) == known["n"]


def test_the_page_shows_these_numbers(seen: str, told: dict[str, Any]) -> None:
    for tile in told["tiles"]:
        assert f"{tile['value']} {tile['label']}" in seen
    for row in told["distributions"]:
        facts = [number(row[key]) for key in ("min", "median", "max")]
        assert "min {} median {} max {} null".format(*facts) in seen
    for issue in told["issues"]:
        if issue["count"]:
            assert f"{issue['count']} frame" in seen
    for entry in told["extremes"]:
        assert all(number(row["value"]) in seen for row in entry["rows"])
    for step in told["next"]:
        assert f"{step['what']} ({step['source']}) {step['command']}" in seen
    for step in told["further"]:
        assert f"{step['command']} {step['what']}" in seen
    for key, value in told["about"].items():
        assert f"{key} {value}" in seen


def test_what_the_page_lacks_is_null(told: dict[str, Any]) -> None:
    lacking = ("duplicates", "meaning", "importance", "performance", "weak_slices", "outliers", "drift", "selection")
    assert all(told[key] is None for key in lacking)


def test_places_of_files_stay_private(told: dict[str, Any], store: Store) -> None:
    text = json.dumps(told, ensure_ascii=False)
    assert "home of erik" not in text
    assert str(store.path) not in text


def test_without_labels_and_frames_in_memory(tmp_path: Path) -> None:
    found = report_json(planted_store(tmp_path / "a", None, objects=False))
    json.dumps(found, allow_nan=False)
    assert found["objects"] == []
    assert found["path"] is None
    assert not (tmp_path / "a" / "report.html").exists()


def test_the_page_is_written_beside_the_json_where_it_is_named(store: Store, tmp_path: Path) -> None:
    found = report_json(store, tmp_path / "x.html", budget_mb=0.2)
    assert found["path"] == str(tmp_path / "x.html")
    assert found["bytes"] == (tmp_path / "x.html").stat().st_size <= 200_000
    with pytest.raises(UsageError, match="budget_mb"):
        report_json(store, tmp_path / "x.html", budget_mb=0)
    with pytest.raises(UsageError, match="is a folder"):
        report(store, tmp_path)


def test_the_verb(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gpu-quality", "report", *map(str, arguments)])
        return main.program(), *capsys.readouterr()

    code, out, _ = call(store.path, "--json")
    assert code == 0
    assert json.loads(out)["path"] is None
    assert not (store.path / "report.html").exists()
    page = tmp_path / "x.html"
    code, out, _ = call(store.path, "--json", "--html", page)
    assert (code, json.loads(out)["bytes"]) == (0, page.stat().st_size)
    page.unlink()
    code, out, err = call(store.path, "--html", page, "--budget", "0.1")
    assert (code, out) == (0, "")
    assert "x.html (0.1 MB)" in err
    assert page.stat().st_size <= 100_000
    assert call(store.path, "--html", page, "-q")[1:] == ("", "")
    assert call(store.path, "--budget", "-1")[0] == 2
