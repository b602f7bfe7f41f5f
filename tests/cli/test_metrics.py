"""`metric list` and `metric show` tell what the code says, for every metric there is; the README holds the same table."""

import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from gpu_quality import registry
from gpu_quality.cli.metrics import by_topic, metric_list, metric_list_json, metric_show, metric_show_json, parse_doc, range_of
from gpu_quality.errors import UnknownNameError

ROOT = Path(__file__).resolve().parents[2]
registry.load_built_in()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("table_of_metrics", ROOT / "scripts" / "table_of_metrics.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_list_names_every_metric_with_its_first_line() -> None:
    console = Console(file=io.StringIO(), width=200)
    metric_list(console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for node in registry.metrics().values():
        assert node.name in text
    assert "Light and exposure" in text
    listed = metric_list_json()["metrics"]
    assert {entry["name"] for entry in listed} == set(registry.metrics())
    json.dumps(listed, allow_nan=False)
    assert [entry["name"] for entry in listed] == [node.name for nodes in by_topic().values() for node in nodes]


@pytest.mark.parametrize("name", sorted(registry.metrics()))
def test_every_metric_can_be_shown_with_meaning_and_range(name: str) -> None:
    console = Console(file=io.StringIO(), width=100)
    metric_show(name, console)
    text = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    node = registry.find_metric(name)
    assert " ".join(node.summary.split()) in text
    for option, default in node.options.items():
        assert f"{option}={default!r}" in text
    facts = json.loads(json.dumps(metric_show_json(name), allow_nan=False))
    if node.module.startswith("gpu_quality."):
        assert facts["formula"], f"{name} has no formula"
        assert facts["meaning_of_range"], f"{name} does not say its range"
        assert facts["depends_on"], f"{name} does not say what it depends on"
    assert facts["needs"] == list(node.needs)


def test_an_unknown_metric_is_answered_with_close_ones() -> None:
    with pytest.raises(UnknownNameError) as caught:
        metric_show_json("sharpnes")
    assert "'sharpness'" in caught.value.hint


def test_docstrings_are_split_into_formula_notes_and_fields() -> None:
    doc = """First line.

.. math:: a + b, \\qquad
          b = 2
with b a number.
Range: 0 to 1;
null where unknown.
Source: me.

>>> ignored()
Range: 7
"""
    formula, notes, fields = parse_doc(doc)
    assert formula == "a + b, \\qquad\nb = 2"
    assert notes == "with b a number."
    assert fields == {"Range": "0 to 1; null where unknown.", "Source": "me."}


def test_ranges_read_well() -> None:
    found = {name: range_of(node) for name, node in registry.metrics().items()}
    assert found["brightness"] == "0 to 1"
    assert found["area"] == "1 and up"
    assert found["phash"] == ""


def test_the_script_writes_between_the_markers_and_nowhere_else(script: ModuleType, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- metrics:begin -->\noutdated\n<!-- metrics:end -->\nafter\n", encoding="utf-8")
    text = script.PLACE.replaced(readme.read_text(encoding="utf-8"))
    assert text.startswith("before\n<!-- metrics:begin -->\n")
    assert text.endswith("<!-- metrics:end -->\nafter\n")
    assert "outdated" not in text
    assert script.PLACE.replaced(text) == text
    assert all(f"| `{name}` |" in text for name, node in registry.metrics().items() if node.module.startswith("gpu_quality."))
    assert all(line.count(" | ") == 5 for line in text.splitlines() if line.startswith("| `"))
    with pytest.raises(SystemExit, match="metrics:begin"):
        script.PLACE.replaced("no markers")


def test_the_readme_holds_the_table_of_today(script: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script.PLACE.replaced(text) == text, "run scripts/table_of_metrics.py --write README.md"
