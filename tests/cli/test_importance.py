"""The verb `importance` as a person types it."""

import json

import pytest
from typer.testing import CliRunner

import gpu_quality as gq
from gpu_quality.cli.importance import bar
from gpu_quality.cli.main import app
from tests.api.test_importance import planted


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The planted run, evaluated."""
    made = planted(tmp_path_factory.mktemp("planted"))
    gq.evaluate(made)
    return str(made.path)


def call(*arguments):
    """What a command prints, after it went well."""
    done = CliRunner().invoke(app, ["importance", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done


def test_bars_a_sentence_and_what_to_type_next(out):
    done = call(out, "--permutations", "199")
    lines = done.stdout.splitlines()
    assert any(line.startswith(("object_area", "object_width")) and "█" in line and "(O)" in line for line in lines)
    assert "240 labels" in done.stdout
    assert "all together explain" in done.stdout
    assert "constant" in done.stdout
    assert "next: gpu-quality performance" in done.stderr
    assert call(out, "--permutations", "199", "--quiet", "--no-joint").stderr == ""


def test_json_and_tables(out, tmp_path):
    told = json.loads(call(out, "--json", "--rows", "labels", "--permutations", "99", "--no-joint").stdout)
    assert told["rows"] == {"O": 240}
    assert told["params"]["iou"] == 0.5
    call(out, "--format", "csv", "--out", str(tmp_path / "t.csv"), "--permutations", "99", "--no-joint", "--quiet")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0].startswith("metric,level,rows,n_used")
    assert len(lines) == 1 + len(told["metrics"]) * 2 + 1  # predictions have their confidence beside the same measures


@pytest.mark.parametrize(
    ("share", "expected"), [(0, ""), (1, "█" * 24), (0.5, "█" * 12), (1 / 192, "▏"), (2, "█" * 24), (-1, "")]
)
def test_a_bar_is_as_long_as_its_share(share, expected):
    assert bar(share) == expected


def test_wrong_rows_are_told(out):
    done = CliRunner().invoke(app, ["importance", out, "--rows", "people"])
    assert "choose predictions, labels" in str(done.exception)
