"""The verb `check`: what is wrong with labels and predictions, and how evenly their classes are filled."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gpu_quality.cli.common import JsonFlag, QuietFlag, clean, print_json, records, show_error, stderr, stdout, typed
from gpu_quality.errors import GateError, UsageError
from gpu_quality.text import close, counted, number

if TYPE_CHECKING:
    from rich.table import Table

    from gpu_quality.api.check import Health

_COLORS: Final = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_GATES: Final = {"error": ("error",), "warning": ("error", "warning")}
SHOWN: Final = 1000
"""Findings of one code that the terminal lists; a file takes all."""


def check(
    out: Annotated[str | None, typer.Argument(help="A store; without it, name the files.", metavar="[OUT]")] = None,
    labels: Annotated[str | None, typer.Option("--labels", help="Label file or folder to check without a run.")] = None,
    labels_format: Annotated[str | None, typer.Option("--labels-format", help="Its format, where it is not guessed.")] = None,
    predictions: Annotated[list[str] | None, typer.Option("--predictions", help="NAME=PATH; may be repeated.")] = None,
    images: Annotated[
        str | None, typer.Option("--images", help="Their images: missing ones and wrong sizes are found.")
    ] = None,
    code: Annotated[str | None, typer.Option("--code", help="List every finding of one code.")] = None,
    balance: Annotated[bool, typer.Option("--balance", help="The table of classes instead of the findings.")] = False,
    format: Annotated[str | None, typer.Option("--format", help="Write the table: csv or json.")] = None,  # noqa: A002
    to: Annotated[str | None, typer.Option("--to", help="File that --format writes; stdout without it.")] = None,
    fail_on: Annotated[str | None, typer.Option("--fail-on", help="error or warning: exit 5 if there is one.")] = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """What is wrong with labels and predictions: ids, boxes, outlines, duplicates, classes. Nothing is changed.

    Example: gpu-quality check runs/a

    gpu-quality check --labels train.json --predictions yolo=results.json --fail-on error

    gpu-quality check runs/a --code bbox_out_of_bounds --format csv --to outside.csv
    """
    _refuse(code, format, to, fail_on, json=json)
    from gpu_quality.api.check import check as look

    found = look(out, labels=_source(labels, labels_format), predictions=_named(predictions), images=images)
    table = found.balance if balance else found.findings if code is None else found.findings[found.findings["code"] == code]
    if json:
        print_json(_json(found, code, balance=balance))
    elif format is not None:
        _write(table, format, to)
    elif balance:
        stdout().print(_balance(found))
    elif code is not None:
        _list(table, code)
    else:
        _overview(found, quiet=quiet, where=out)
    for note in () if quiet else found.notes:
        stderr().print(clean(note, 400), markup=False)
    if fail_on is not None:
        _gate(found, fail_on)


def _refuse(code: str | None, format: str | None, to: str | None, fail_on: str | None, *, json: bool) -> None:  # noqa: A002
    """Refuse values nobody knows before anything is read."""
    from gpu_quality.analysis.health_codes import CODES

    if code is not None and code not in CODES:
        raise UsageError(
            f"--code {clean(code)}: there is no such check", hint=close(code, CODES) or f"one of {', '.join(CODES)}"
        )
    if format not in (None, "csv", "json"):
        raise UsageError(f"--format {clean(format)}: choose csv or json")
    if fail_on not in (None, *_GATES):
        raise UsageError(f"--fail-on {clean(fail_on)}: choose error or warning")
    if to is not None and format is None:
        raise UsageError("--to names a file for --format, which is not given", hint="add --format csv or --format json")
    if json and format is not None:
        raise UsageError("--json prints one object and --format another table", hint="give one of them")


def _source(path: str | None, form: str | None) -> str | Mapping[str, str] | None:
    if path is None and form is not None:
        raise UsageError("--labels-format is given without --labels")
    return path if path is None or form is None else {"path": path, "format": form}


def _named(predictions: list[str] | None) -> dict[str, str | Mapping[str, str]] | None:
    if not predictions:
        return None
    named: dict[str, str | Mapping[str, str]] = {}
    for given in predictions:
        name, sign, path = given.partition("=")
        if not sign or not name or not path:
            raise UsageError(f"--predictions {clean(given)}: write NAME=PATH")
        if name in named:
            raise UsageError(f"--predictions {clean(name)} is given twice", hint="call one of them something else")
        named[name] = path
    return named


def _json(found: "Health", code: str | None, *, balance: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"summary": records(found.summary), "notes": list(found.notes)}
    if code is not None:
        told["findings"] = records(found.findings[found.findings["code"] == code])
    if balance:
        told["balance"] = records(found.balance)
    return told


def _write(table: Any, form: str, to: str | None) -> None:
    from gpu_quality.cli.tabular import csv_text, json_text
    from gpu_quality.store.commit import commit_bytes

    text = json_text(table) if form == "json" else csv_text(table)
    if to is None:
        sys.stdout.write(text)
    else:
        commit_bytes(Path(to), text.encode("utf-8", "surrogateescape"))


def _overview(found: "Health", *, quiet: bool, where: str | None) -> None:
    from rich.text import Text

    from gpu_quality.analysis.health_codes import CODES, SEVERITIES

    console, summary = stdout(), found.summary
    if summary.empty:
        console.print("nothing is wrong, nothing is odd", markup=False)
        return
    several = summary["origin"].nunique() > 1
    table = _table("code", "origin" if several else "", "#count", "meaning; the first one")
    for row in records(summary):
        first = " ".join(clean(row[name], 60 if name == "frame" else 200) for name in ("frame", "example") if row[name])
        told = Text(CODES[row["code"]].meaning).append(f"\n{first}", style="dim")
        name = clean(row["origin"] or "", 30) if several else ""
        table.add_row(Text(row["code"], style=_COLORS[row["severity"]]), name, f"{row['count']:,}", told)
    console.print(table)
    total = found.findings["severity"].value_counts()
    nouns = zip(SEVERITIES, ("error", "warning", "remark"), strict=True)
    console.print(", ".join(counted(int(total[name]), noun) for name, noun in nouns if total[name]), markup=False)
    if not quiet:
        place = typed(where) if where is not None else "--labels …"
        console.print(f"next: gpu-quality check {place} --code {summary['code'].iloc[0]}", markup=False, style="dim")


def _table(*names: str) -> "Table":
    """A table of these columns; `#` before a name sets numbers to the right, an empty name hides the column."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for name in names:
        right = name.startswith("#")
        table.add_column(name.removeprefix("#"), justify="right" if right else "left", overflow="fold", no_wrap=right)
    return table


def _list(found: Any, code: str) -> None:
    """Every finding of one code: where it stands in its file, and what was found."""
    from rich.text import Text

    from gpu_quality.analysis.health_codes import CODES

    console, facts = stdout(), CODES[code]
    console.print(Text(f"{code}: {facts.meaning}", style=_COLORS[facts.severity]))
    if found.empty:
        console.print("found nowhere", markup=False)
        return
    table = _table("file", "#record", "frame", "object", "other", "what")
    for row in records(found.head(SHOWN)):
        place = "" if row["record"] is None else str(row["record"])
        cells = [row["file"], place, row["frame"], row["object"], row["other"], row["detail"]]
        table.add_row(*[Text("" if cell is None else clean(cell, 80)) for cell in cells])
    console.print(table)
    if len(found) > SHOWN:
        more = f"… and {len(found) - SHOWN:,} more; --format csv --to FILE writes all of them"
        console.print(more, markup=False)


def _balance(found: "Health") -> "Table":
    from rich.text import Text

    table = _table("origin", "split", "question", "class", "#objects", "#images", "", "#largest : smallest", "#evenness")
    before = None
    for row in records(found.balance):
        group = (row["origin"], row["split"], row["question"])
        heads = [clean(part or "", 40) for part in group] if group != before else ["", "", ""]
        tails = [number(row[name]) for name in ("imbalance_ratio", "class_evenness")] if group != before else ["", ""]
        few = Text("few" if row["class_undersampled"] else "", style=_COLORS["warning"])
        counts = [f"{row[name]:,}" for name in ("class_count", "class_images")]
        table.add_row(*map(Text, heads), Text(clean(row["class"], 60)), *counts, few, *tails)
        before = group
    return table


def _gate(found: "Health", fail_on: str) -> None:
    """Exit 5 where there is a finding of that severity or a graver one."""
    total = found.findings["severity"].value_counts()
    counts = [counted(int(total[name]), name) for name in _GATES[fail_on] if total[name]]
    if counts:
        failed = GateError(f"--fail-on {fail_on}: {' and '.join(counts)}", hint="gpu-quality check … --code CODE lists them")
        show_error(failed, as_json=False, debug=False)  # stdout holds one object already
        raise typer.Exit(failed.exit_code)
