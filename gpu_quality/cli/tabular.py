"""Tables as verbs write and show them: CSV, JSON or Parquet for programs, aligned columns for people."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gpu_quality.cli.common import clean, records, stdout
from gpu_quality.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

FORMATS: Final = ("csv", "json", "parquet")
Format = Annotated[str | None, typer.Option("--format", help="Write the table: csv, json or parquet.")]
To = Annotated[str | None, typer.Option("--out", help="File that --format writes; stdout without it.")]


def check_format(form: str | None, to: str | None, *, json: bool) -> None:
    """Refuse what does not go together before anything is read. Raises `UsageError`."""
    if form is not None and form not in FORMATS:
        raise UsageError(f"--format {clean(form)}: choose csv, json or parquet")
    if to is not None and form is None:
        raise UsageError("--out names a file for --format, which is not given", hint="add --format csv, json or parquet")
    if form == "parquet" and to is None:
        raise UsageError("--format parquet needs a file", hint="add --out FILE.parquet")
    if json and form is not None:
        raise UsageError("--json prints one object and --format another table", hint="give one of them")


def write_table(table: "pd.DataFrame", form: str, to: str | None) -> None:
    """Write a table to a file, whole or not at all, or to stdout. Raises `DiskFullError`, `UsageError`."""
    from gpu_quality.store.commit import commit_bytes
    from gpu_quality.store.layer import table_bytes

    if form == "parquet":
        commit_bytes(Path(str(to)), table_bytes({str(name): table[name] for name in table}))
        return
    text = json_text(table) if form == "json" else csv_text(table)
    if to is None:
        sys.stdout.write(text)
    else:
        commit_bytes(Path(to), text.encode("utf-8", "surrogateescape"))


def json_text(frame: Any) -> str:
    """A table as one JSON object with a list of rows."""
    return json.dumps({"rows": records(frame)}, default=str, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(frame: Any) -> str:
    """CSV whose text cells no spreadsheet takes for formulas."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(frame.columns)
    for row in records(frame):
        writer.writerow([_safe(value) for value in row.values()])
    return buffer.getvalue()


def _safe(value: Any) -> Any:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def show_table(title: str, rows: "pd.DataFrame", columns: list[str]) -> None:
    """Some columns of a data frame under a title; those it does not have are left out."""
    from rich.table import Table

    kept = [name for name in columns if name in rows]
    shown = Table(box=None, pad_edge=False)
    for name in kept:
        text = rows[name].dtype == object or str(rows[name].dtype) in ("str", "string")
        shown.add_column(clean(name), justify="left" if text else "right")
    for row in rows[kept].itertuples(index=False):
        shown.add_row(*(cell(value) for value in row))
    stdout().print(f"\n{title}" if title else "", markup=False)
    stdout().print(shown)


def cell(value: Any) -> str:
    """A value as the terminal shows it; a dash where there is none."""
    from rich.markup import escape

    if value is None or value != value:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.4f}"
    return escape(clean(value, 60))
