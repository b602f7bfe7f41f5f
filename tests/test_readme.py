"""What the README says is true: its commands run, its table is the code's, its example works."""

import re
from pathlib import Path

import pytest
from photos import write_photos
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_two_commands_come_first():
    assert blocks("")[0].split()[0] == "scripts/demo"
    assert "\nscripts/test" in blocks("")[0]


def test_every_command_of_the_readme_exists():
    from gpu_quality.cli.main import app

    lines = [
        line.split("#")[0].split() for block in blocks("") for line in block.splitlines() if line.startswith("gpu-quality")
    ]
    assert len(lines) >= 12
    for words in lines:
        verb = words[1:3] if words[1] in ("metric", "model", "slice") else words[1:2]
        result = CliRunner().invoke(app, [*verb, "--help"])
        assert result.exit_code == 0, words
        for flag in (word for word in words if word.startswith("--")):
            assert flag in result.output, words


def test_every_verb_is_in_the_readme():
    from gpu_quality.cli.main import app

    for command in app.registered_commands:
        assert f"gpu-quality {command.callback.__name__}" in README


def test_the_nine_line_metric_works(tmp_path):
    import gpu_quality as gq

    source = blocks("python")[1]
    assert len(source.strip().splitlines()) == 9
    (tmp_path / "glare.py").write_text(source)
    write_photos(tmp_path / "in", 3)
    write_photos(tmp_path / "in" / "more", 2, size=(31, 17))
    store = gq.run(
        tmp_path / "in",
        out=tmp_path / "out",
        metrics=["glare", {"name": "glare", "as": "all", "above": -1}],
        plugins=[tmp_path / "glare.py"],
        settings={"engine": {"kind": "inline"}},
    )
    table = store.table("frame")
    assert table["glare"].between(0, 1).all()
    assert table["all"].tolist() == [1.0] * 5
    assert store.columns()["glare"]["unit"] == "fraction"


def test_dependencies_are_explained():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    section = README.partition("## Dependencies")[2].partition("\n## ")[0].lower()
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["demo"]]:
        name = re.match(r"[\w-]+", requirement)[0].lower()
        assert name in section, name


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*")), ids=lambda p: p.name)
def test_nothing_names_a_registry_host_or_a_path_of_one_machine(path):
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert "/home/" not in text


def test_the_table_of_parity_is_todays():
    import importlib.util

    spec = importlib.util.spec_from_file_location("table_of_parity", ROOT / "scripts" / "table_of_parity.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PLACE.replaced(README) == README, "run scripts/table_of_parity.py --write README.md"
