"""The verb `search` as a person types it: a table, a page, one JSON object, one line for a mistake."""

import json
import re

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from gpu_quality.cli.search import _bar, search
from gpu_quality.errors import UsageError
from gpu_quality.store.lock import writer_lock
from gpu_quality.store.store import Store
from tests.reports.planted import planted_store, write_images

FACTS = {"card": "my [red]card", "dim": 8, "sha256": "0" * 64, "text": True, "meaning": {}, "precision": "float32", "batch": 4,
         "device": "cpu"}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Twelve pictures whose vectors turn from one axis to another, and four objects."""
    images = tmp_path_factory.mktemp("photos")
    write_images(images)
    made = planted_store(tmp_path_factory.mktemp("runs") / "a", images)
    angle = np.linspace(0, np.pi, 12)
    frames = np.zeros((12, 8), np.float16)
    frames[:, 0], frames[:, 1] = np.cos(angle), np.sin(angle)
    columns = {name: {"per": per, "vector": True} for name, per in (("embedding", "frame"), ("object_embedding", "object"))}
    with writer_lock(made.path):
        made.begin_layer("00000000deadbeef", {"kind": "stream", "columns": columns, "encoder": FACTS})
        for shard in made.shards():
            mine = made.input.span(shard.name, "objects")
            arrays = {
                "embedding": frames[shard.rows.start : shard.rows.stop],
                "objects.object_embedding": frames[mine.start : mine.stop],
            }
            made.commit("00000000deadbeef", shard.name, {}, arrays)
    return made


def run(*arguments: object):
    app = typer.Typer(rich_markup_mode=None)
    app.command()(search)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_table_with_bars_best_first(store):
    done = run(store.path, "--frame", "dark.jpg", "-n", 4)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "12 frames by likeness to frame dark.jpg, embedded with my [red]card"
    assert lines[1].startswith("exact search for 12 vectors of 8 components")
    ranks = [line.split() for line in lines[3:]]
    assert [line[0] for line in ranks] == ["1", "2", "3", "4"]
    assert float(ranks[0][1]) == pytest.approx(np.cos(np.pi / 11), abs=1e-3)
    assert {line[3] for line in ranks} == {"copy_1.jpg", "copy_2.jpg", "plain_1.jpg", "new\\x0aline\\x1b[31m.jpg"} or len(
        ranks
    ) == 4
    assert ranks[0][2].count("█") > ranks[3][2].count("█")
    assert "dark.jpg" not in "".join(lines[3:])
    assert max(map(len, lines)) <= 120


def test_foreign_names_cannot_style_or_steer_the_terminal(store):
    text = run(store.path, "--frame", "dark.jpg", "-n", 20).stdout
    assert "[bold]tag[/bold].jpg" in text
    assert "new\\x0aline\\x1b[31m.jpg" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_objects_are_listed_with_class_and_origin(store):
    lines = run(store.path, "--object", "o0").stdout.splitlines()
    assert lines[2].split() == ["similarity", "class", "origin", "frame", "object"]
    assert [line.split()[-1] for line in lines[3:]] == ["o1", "o2", "o3"]
    assert "net" in lines[5]
    assert run(store.path, "--object", "o0", "--in", "frames", "-n", 3).stdout.count("\n") == 6


def test_json_is_one_object(store, tmp_path):
    done = run(store.path, "--frame", "dark.jpg", "-n", 2, "--json", "--index", "flat", "--html", tmp_path / "x.html")
    found = json.loads(done.stdout)
    assert found["query"] == {"kind": "frame", "value": "dark.jpg"}
    assert (found["among"], found["listed"], found["with_vector"], found["encoder"]) == ("frames", 12, 12, "my [red]card")
    assert found["index"]["name"] == "flat"
    assert [row["rank"] for row in found["results"]] == [1, 2]
    assert set(found["results"][0]) == {"rank", "frame", "similarity", "uri"}
    assert found["page"] == str(tmp_path / "x.html")
    assert (tmp_path / "x.html").is_file()


def test_a_page_is_told_on_stderr_unless_quiet(store, tmp_path):
    asked = (store.path, "--frame", "dark.jpg", "--html", tmp_path / "x.html")
    assert re.search(r"page: .*x\.html \(0\.\d MB\)", run(*asked).stderr)
    assert run(*asked, "--quiet").stderr == ""
    assert "page:" not in run(*asked).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to search for is given"),
        (("--text", "a", "--frame", "dark.jpg"), "text and frame are given"),
        (("--frame", "dark.jpg", "--in", "videos"), "choose frames or objects"),
        (("--frame", "dark.jpg", "--count", "0"), "count is 0"),
        (("--frame", "dark.jpg", "--html", "{folder}"), "is a folder"),
        (("--text", "a truck"), "my [red]card, which is not known here"),
    ],
)
def test_mistakes_are_one_usage_error(store, tmp_path, arguments, said):
    done = run(store.path, *(a.format(folder=tmp_path) for a in arguments))
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)


@pytest.mark.parametrize(("value", "width"), [(1.0, 20), (0.5, 10), (0.0, 0), (-1.0, 0), (2.0, 20), (0.501, 10), (0.51, 11)])
def test_bars(value, width):
    bar = _bar(value, 1.0).plain
    assert len(bar) == 20
    assert len(bar.rstrip()) == width
    assert _bar(value, 0.0).plain.strip() == ""


def test_help_names_every_question():
    text = run("--help").stdout
    assert all(flag in text for flag in ("--text", "--image", "--frame", "--object", "--in", "--index", "--html", "--json"))
