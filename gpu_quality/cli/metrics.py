"""What `gpu-quality metric list` and `metric show` print: everything comes from the code of the metrics."""

import re
from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpu_quality import registry
from gpu_quality.registry import Node
from gpu_quality.reports.columns import topic_of, topic_order
from gpu_quality.text import clean, number

_FIELDS: Final = ("Unit", "Range", "Depends on", "Source", "Shape")
_MATH: Final = ".. math::"


def by_topic() -> dict[str, list[Node]]:
    """Every declared metric under the heading of its module."""
    found: dict[str, list[Node]] = {}
    for node in registry.metrics().values():
        found.setdefault(topic_of(node.module), []).append(node)
    return {topic: found[topic] for topic in topic_order(found)}


def metric_list(console: Console) -> None:
    """Print every metric with what one value is for, its unit, range, bad end and first line."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("per", no_wrap=True)
    table.add_column("over", no_wrap=True)
    table.add_column("unit", overflow="fold", max_width=14)
    table.add_column("range", no_wrap=True)
    table.add_column("bad", no_wrap=True)
    table.add_column("what it means", overflow="fold", min_width=24)
    for topic, nodes in by_topic().items():
        table.add_row(Text(topic, style="bold cyan"))
        for node in nodes:
            bad = "" if node.bad == "neither" else node.bad
            cells = (f"  {node.name}", node.per, node.over, node.unit, range_of(node), bad, node.summary)
            table.add_row(*[Text(clean(cell)) for cell in cells])
    console.print(table)
    console.print(
        "per region: a column of frames, and object_<metric> of objects. Details: gpu-quality metric show NAME", style="dim"
    )


def metric_list_json() -> dict[str, Any]:
    """What `metric_list` prints, as ``{"metrics": [...]}``."""
    return {"metrics": [_facts(node) for nodes in by_topic().values() for node in nodes]}


def metric_show(name: str, console: Console) -> None:
    """Print what a metric means, its formula, unit, range, options, needs and source.

    Raises `UnknownNameError` with close names.
    """
    facts = metric_show_json(name)
    console.print(Text(f"{facts['name']}: {facts['summary']}", style="bold"))
    if facts["formula"]:
        console.print()
        console.print(Text(facts["formula"], style="cyan"))
    console.print()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in _rows(facts):
        table.add_row(label, Text(clean(value, 1000)))
    console.print(table)


def metric_show_json(name: str) -> dict[str, Any]:
    """What `metric_show` prints, as one object. Raises `UnknownNameError` with close names."""
    known = registry.metrics()
    region = name.removeprefix("object_")  # the object column of a metric of regions
    node = known[region] if name not in known and region in known else registry.find_metric(name)
    formula, notes, fields = parse_doc(node.doc)
    return {
        **_facts(node),
        "formula": formula,
        "notes": notes,
        "meaning_of_range": fields.get("Range"),
        "depends_on": fields.get("Depends on"),
        "source": fields.get("Source"),
        "options": {key: {"default": value} for key, value in node.options.items()},
        "needs": list(node.needs),
        "version": node.version,
        "module": node.module,
    }


def range_of(node: Node) -> str:
    """The bounds of a metric: ``0 to 1``, ``0 and up``, empty where none are declared."""
    if node.bounds is None:
        return ""
    low, high = node.bounds
    if low == float("-inf"):
        return "any" if high == float("inf") else f"up to {number(high)}"
    return f"{number(low)} and up" if high == float("inf") else f"{number(low)} to {number(high)}"


def parse_doc(doc: str) -> tuple[str, str, dict[str, str]]:
    """Formula, free sentences and the labeled parts (Range, Source …) of a metric's docstring."""
    formula: list[str] = []
    notes: list[str] = []
    fields: dict[str, str] = {}
    open_field, in_math = "", False
    for line in doc.partition("\n")[2].splitlines():
        label = re.match(rf"({'|'.join(_FIELDS)}):\s*(.*)", line)
        if line.startswith(_MATH):
            in_math = True
            formula.append(line.removeprefix(_MATH).strip())
        elif label:
            in_math, open_field = False, label[1]
            fields[open_field] = label[2]
        elif line.startswith(">>>"):
            break
        elif in_math and line.startswith(" "):
            formula.append(line.strip())
        elif line.strip():
            in_math = False
            if open_field:
                fields[open_field] += f" {line.strip()}"
            else:
                notes.append(line.strip())
    return "\n".join(formula), " ".join(notes), fields


def _facts(node: Node) -> dict[str, Any]:
    finite = node.bounds and [None if abs(bound) == float("inf") else bound for bound in node.bounds]
    return {
        "name": node.name,
        "topic": topic_of(node.module),
        "per": node.per,
        "over": node.over,
        "unit": node.unit,
        "bounds": finite,
        "range": range_of(node),
        "bad": node.bad,
        "dtype": node.dtype,
        "summary": node.summary,
    }


def _rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and text of every line of `metric_show`, those without text left out."""
    per = {"region": "frame, and object (as object_" + str(facts["name"]) + ")"}.get(facts["per"], facts["per"])
    seen = {"batch": "the row alone", "sequence": "its whole sequence", "dataset": "all frames"}.get(
        facts["over"], facts["over"]
    )
    bad = {"low": "low values", "high": "high values", "neither": "neither end by itself"}[facts["bad"]]
    options = ", ".join(f"{key}={value['default']!r}" for key, value in facts["options"].items())
    rows = [
        ("where", facts["notes"]),
        ("one value per", per),
        ("looks at", seen),
        ("unit", facts["unit"]),
        ("bounds", facts["range"]),
        ("range", facts["meaning_of_range"]),
        ("suspicious", bad),
        ("depends on", facts["depends_on"]),
        ("options", options or "none"),
        ("needs", ", ".join(facts["needs"])),
        ("source", facts["source"]),
        ("version", f"{facts['version']} ({facts['module']})"),
    ]
    return [(label, str(text)) for label, text in rows if text]
