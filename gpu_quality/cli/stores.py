"""The verbs that read a store: show, query, export, errors, status, verify, repair, report."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gpu_quality.cli.common import JsonFlag, Out, QuietFlag, clean, print_json, records, show_error, stderr, stdout
from gpu_quality.cli.tabular import csv_text, json_text
from gpu_quality.errors import CorruptError, UsageError

Table = Annotated[str, typer.Option("--table", help="frames, objects, errors or nulls.")]


def show(
    out: Out,
    sort: Annotated[str | None, typer.Option("--sort", help="List the worst frames by this metric.")] = None,
    worst: Annotated[int, typer.Option("--worst", min=1, help="How many.")] = 10,
    issues: Annotated[bool, typer.Option("--issues", help="List the frames of every issue found.")] = False,
    per: Annotated[str | None, typer.Option("--per", help="frame or object.")] = None,
    where: Annotated[
        str, typer.Option("--where", help="Only this slice: a condition on columns, or the name of a saved one.")
    ] = "",
    html: Annotated[str | None, typer.Option("--html", help="With --where: write its pictures to this file.")] = None,
    json: JsonFlag = False,
) -> None:
    """Distributions, issues found and extremes, as terminal tables; with --where the frames or objects of a slice.

    Example: gpu-quality show runs/a --sort sharpness --worst 20

    gpu-quality show runs/b --where "object_area < 1024 and class = 'person'" --html small.html
    """
    from gpu_quality import api
    from gpu_quality.cli import show as tables

    store = api.open_store(out)
    if per not in (None, "frame", "object"):
        raise UsageError(f"--per {clean(per)}: choose frame or object")
    if html is not None and not where:
        raise UsageError("--html shows the pictures of a slice, and --where names none", hint="add --where CONDITION")
    if json:
        print_json(tables.show_json(store, sort=sort, worst=worst, issues=issues, per=per, where=where))
    else:
        tables.show(store, stdout(), sort=sort, worst=worst, issues=issues, per=per, where=where)
    if html is not None:
        from gpu_quality.reports.slice_sheet import write_slice

        path = write_slice(store, where, html, per=per)
        stderr().print(f"pictures: {clean(path)} ({path.stat().st_size / 1e6:.1f} MB)", markup=False)


def query(
    out: Out,
    sql: Annotated[str, typer.Argument(help="A SELECT over frames, objects, errors, nulls.")],
    json: JsonFlag = False,
) -> None:
    """Ask the store in SQL (DuckDB, read only).

    Example: gpu-quality query runs/a "select frame, sharpness from frames order by 2 limit 5"
    """
    from gpu_quality import api

    frame = api.open_store(out).query(sql)
    if json:
        print_json({"rows": records(frame)})
        return
    from rich.table import Table as RichTable

    table = RichTable(*[clean(name) for name in frame.columns], box=None, header_style="bold")
    for row in records(frame):
        table.add_row(*["" if value is None else _cell(value) for value in row.values()])
    stdout().print(table)


def _cell(value: Any) -> Any:
    from rich.text import Text

    return Text(f"{value:.6g}" if isinstance(value, float) else clean(value))


def export(
    out: Out,
    format: Annotated[str, typer.Option("--format", help="csv or json.")] = "csv",  # noqa: A002 - the flag's name
    table: Table = "frames",
    to: Annotated[str | None, typer.Option("--to", help="File to write; stdout without it.")] = None,
) -> None:
    """Write a table of the store as CSV or JSON.

    Example: gpu-quality export runs/a --format csv --to scores.csv
    """
    from gpu_quality import api
    from gpu_quality.store.commit import commit_bytes

    store = api.open_store(out)
    if table not in ("frames", "objects", "errors", "nulls"):
        raise UsageError(f"--table {clean(table)}: choose frames, objects, errors or nulls")
    if format not in ("csv", "json"):
        raise UsageError(f"--format {clean(format)}: choose csv or json")
    frame = {
        "frames": lambda: store.table("frame"),
        "objects": lambda: store.table("object"),
        "errors": store.errors,
        "nulls": store.nulls,
    }[table]()
    text = json_text(frame) if format == "json" else csv_text(frame)
    if to is None:
        sys.stdout.write(text)
    else:
        commit_bytes(Path(to), text.encode("utf-8", "surrogateescape"))


def errors(out: Out, json: JsonFlag = False) -> None:
    """The error table: every frame, annotation row or cell without a value, and why.

    Example: gpu-quality errors runs/a
    """
    from gpu_quality import api
    from gpu_quality.cli import failures as tables

    store = api.open_store(out)
    if json:
        print_json(tables.errors_json(store))
    else:
        tables.errors_table(store, stdout())


def status(out: Out, json: JsonFlag = False) -> None:
    """How far a run is: listed, scored, errors, shards, seconds by phase.

    Example: gpu-quality status runs/a
    """
    from gpu_quality import api

    found = api.status(api.open_store(out))
    if json:
        print_json(found)
        return
    console = stdout()
    state = "complete" if found["complete"] else "in progress or interrupted: run the same command again to finish it"
    console.print(f"{clean(found['path'])}: {state}", markup=False)
    console.print(
        f"  {found['scored']:,} scored + {found['errors']:,} errors = {found['scored'] + found['errors']:,} of "
        f"{found['listed']:,} listed; {found['shards_done']} of {found['shards']} shards",
        markup=False,
    )
    for reason, count in found["reasons"].items():
        console.print(f"  {count:>8,} {reason}", markup=False)
    if found["seconds"]:
        phases = ", ".join(f"{name} {spent:.1f}" for name, spent in found["seconds"].items())
        console.print(f"  seconds by phase: {phases}", markup=False)


def verify(
    out: Out,
    read_data: Annotated[bool, typer.Option("--read-data", help="Decode every table too.")] = False,
    json: JsonFlag = False,
) -> None:
    """Re-hash every file of the store and compare; exit 12 if anything is missing, changed or damaged.

    Example: gpu-quality verify runs/a
    """
    from gpu_quality import api

    store = api.open_store(out)
    verdict = store.verify(read_data=read_data)
    found = [{"layer": f.layer, "shard": f.shard, "file": f.file, "kind": f.kind} for f in verdict.findings]
    if json:
        print_json({"ok": not found, "files": verdict.files, "findings": found})
    if found:
        first = found[0]
        damage = CorruptError(
            f"{store.path}: {len(found)} of {verdict.files} files are not as written, first {first['file']} ({first['kind']})",
            hint=f"gpu-quality repair {store.path}, then the run command again",
        )
        if not json:
            raise damage
        show_error(damage, as_json=False, debug=False)  # stdout holds one object, the findings
        raise typer.Exit(damage.exit_code)
    if not json:
        stdout().print(f"{clean(store.path)}: {verdict.files} files are as they were written", markup=False)


def repair(out: Out, json: JsonFlag = False) -> None:
    """Remove damaged shards, so that the run command computes them again.

    Example: gpu-quality repair runs/a
    """
    from gpu_quality import api
    from gpu_quality.store.lock import writer_lock

    store = api.open_store(out)
    with writer_lock(store.path):
        verdict = store.verify()
        left = store.repair(verdict)
    dropped = [found for found in verdict.findings if found not in left]
    if json:
        told = {"dropped": dropped, "left": left}
        print_json({name: [_piece(found) for found in pieces] for name, pieces in told.items()})
    else:
        again = "; run the same command again" if dropped else ""
        stdout().print(f"{len(dropped)} damaged pieces removed{again}", markup=False)
        for found in left:
            stdout().print(f"not cured: {' '.join(str(part) for part in _piece(found).values() if part)}", markup=False)
    if left:
        raise typer.Exit(12)


def _piece(found: Any) -> dict[str, Any]:
    return {"layer": found.layer, "shard": found.shard, "file": found.file, "kind": found.kind}


def report(
    out: Out,
    to: Annotated[str | None, typer.Option("--html", help="File to write; OUT/report.html without it.")] = None,
    budget: Annotated[float, typer.Option("--budget", help="Megabytes the file may have; thumbnails shrink to fit.")] = 5.0,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Write one self-contained HTML file: what to do first, then data, labels, model, causes, duplicates and drift.

    With --json, everything the page says as one object; the page is then written only where --html names a file.

    Example: gpu-quality report runs/a

    gpu-quality report runs/a --json | jq .next
    """
    from gpu_quality import reports

    if json:
        print_json(reports.report_json(out, to, budget_mb=budget))
        return
    path = reports.report(out, to, budget_mb=budget)
    if not quiet:
        stderr().print(f"report: {clean(path)} ({path.stat().st_size / 1e6:.1f} MB)", markup=False)
