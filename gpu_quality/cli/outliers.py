"""The verb `outliers`: what lies far from the others, by measures or by vectors, in everything or inside each class."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gpu_quality.cli.common import JsonFlag, Out, QuietFlag, clean, print_json, stderr, stdout, typed
from gpu_quality.cli.tabular import Format, To, check_format, write_table
from gpu_quality.text import counted, number

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from gpu_quality.api.outliers import Outliers

METRICS_SHOWN: Final = 20
"""Metrics that the terminal lists; JSON has all."""


def outliers(
    out: Out,
    metric: Annotated[list[str] | None, typer.Option("--metric", "-m", help="Metric to look at; may be repeated.")] = None,
    rows: Annotated[str, typer.Option("--rows", help="frames, labels, predictions or answers.")] = "frames",
    rule: Annotated[str, typer.Option("--rule", help="iqr, modified_z or adaptive.")] = "iqr",
    by: Annotated[str | None, typer.Option("--by", help="class: the rule inside each class.")] = None,
    severity: Annotated[str | None, typer.Option("--severity", help="severe: only beyond 2.5 interquartile ranges.")] = None,
    embedding: Annotated[
        bool, typer.Option("--embedding", help="By the distance to the five nearest vectors (of the class).")
    ] = False,
    where: Annotated[str, typer.Option("--where", help="Condition on columns, or the name of a slice.")] = "",
    predictions: Annotated[str | None, typer.Option("--predictions", help="Which prediction set, where several.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many to list, here and in JSON.")] = 10,
    format: Format = None,  # noqa: A002
    to: To = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """Frames, labels or predictions whose value of a metric lies far from the others, the farthest first.

    Example: gpu-quality outliers runs/a --metric sharpness

    gpu-quality outliers runs/a --rows labels --by class --embedding --format csv --out odd.csv
    """
    check_format(format, to, json=json)
    from gpu_quality.api.outliers import outliers as look

    found = look(
        out, metrics=metric or (), rows=rows, rule=rule, by=by, severity=severity, embedding=embedding, where=where,
        predictions=predictions,
    )  # fmt: skip
    if json:
        print_json(found.to_dict(count))
    elif format is not None:
        write_table(found.table(), format, to)
    else:
        _show(found, out, count, quiet=quiet)
    for note in () if quiet else found.notes:
        stderr().print(clean(note, 400), markup=False)


def _show(found: "Outliers", where: str, count: int, *, quiet: bool) -> None:
    console, facts, table = stdout(), found.facts, found.table()
    single, noun = len(facts["measures"]) == 1, facts["params"]["rows"][:-1]
    console.print(_sentence(found, where), markup=False)
    if single:
        console.print(_bounds(found), markup=False)
    elif len(table):
        _print(_by_metric(found.summary), "in which metrics")
        many = found.subjects.head(count)
        names = [*_who(many), "metrics", "severe", "farthest", "excess"]
        _print(grid(many, _without_empty(many, names)), f"{noun}s that are outliers in most metrics")
    if len(table):
        head = table.head(count)
        names = ["severity", *([] if single else ["metric"]), "value", "low", "high", "excess", "quantile", *_who(head)]
        _print(grid(head, _without_empty(head, names)), f"the {noun}s farthest out")
        if len(table) > count:
            console.print(f"… and {len(table) - count:,} more; --format csv --out FILE writes all", markup=False)
        console.print(
            "excess: the distance in multiples of that at which outliers begin (groups under ten values last); "
            "quantile: share of values not larger.",
            markup=False, style="dim",
        )  # fmt: skip
    if not quiet and not single and len(table):
        command = typed("gpu-quality", "outliers", where, "--rows", f"{noun}s", "--metric", found.summary["metric"].iloc[0])
        console.print(f"next: {command}", soft_wrap=True, markup=False, style="dim")


def _sentence(found: "Outliers", where: str) -> str:
    """How many, in words."""
    facts, counts = found.facts, found.facts["counts"]
    noun = facts["params"]["rows"][:-1]
    sure = facts["at"].get("confidence") if noun == "prediction" else None
    judged = counted(counts["judged"], noun) + (f" (confidence >= {number(sure)})" if sure else "")
    inside = " inside each class" if facts["params"]["by"] else ""
    how = f"in {counted(len(facts['measures']), 'metric')} by the rule {facts['params']['rule']}{inside}"
    if not counts["listed"]:
        return f"{clean(where)}: no outliers among {judged} {how}"
    severe = f", {counts['severe']:,} severe" if counts["severe"] is not None else ""
    return f"{clean(where)}: {len(found.subjects):,} of {judged} with {counted(counts['outliers'], 'outlier')}{severe} {how}"


def _bounds(found: "Outliers") -> str:
    """Between which values nothing is an outlier, of one metric."""
    name, rows = found.facts["measures"][0], found.summary
    if len(rows) != 1:
        known = rows["low"].notna() | rows["high"].notna()
        return f"{name}: bounds in {known.sum():,} of {counted(len(rows), 'class', 'classes')}"
    row = rows.iloc[0]
    if isinstance(row["message"], str):
        return f"{name}: no bounds, {row['message']}"
    low = "" if row["low"] != row["low"] else f"below {number(row['low'])} or "
    nulls = f"; {counted(int(row['nulls']), 'row')} without a value" if row["nulls"] else ""
    return f"{name} ({row['unit']}): outliers are {low}above {number(row['high'])}{nulls}"


def _by_metric(summary: "pd.DataFrame") -> "Table":
    """The metrics with the most severe outliers; bounds where there is one pair of them."""
    several = summary["class"].notna().any()
    if several:
        kinds = dict.fromkeys(("values", "nulls", "outliers", "moderate", "severe"), "sum")
        summary = summary.groupby(["metric", "unit"], sort=False, as_index=False).agg(kinds)
    shown = summary[summary["outliers"] > 0].sort_values(["severe", "outliers"], ascending=False, kind="stable")
    shown = shown.head(METRICS_SHOWN)
    names = ["metric", "unit", "values", "nulls", "outliers", "severe", *([] if several else ["low", "high"])]
    return grid(shown, _without_empty(shown, names))


def _who(table: "pd.DataFrame") -> list[str]:
    """Columns that say who: of objects also id and class."""
    if not table["class"].notna().any():
        return ["frame"]
    return ["frame", "class"] if (table["subject"] == table["frame"]).all() else ["frame", "class", "subject"]


def _without_empty(table: "pd.DataFrame", names: Iterable[str]) -> list[str]:
    """The columns that say something: neither nothing, nor that nothing is missing."""
    return [name for name in names if table[name].notna().any() and not (name == "nulls" and not table[name].any())]


def _print(table: "Table", title: str) -> None:
    console = stdout()
    console.print()
    console.print(title, markup=False, style="bold")
    console.print(table)


def grid(rows: "pd.DataFrame", columns: list[str]) -> "Table":
    """Some columns of a data frame for the terminal: numbers short and to the right, texts folded, no value a dash."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for name in columns:
        right = rows[name].dtype.kind in "iufb" if hasattr(rows[name].dtype, "kind") else True
        table.add_column(clean(name, 40), justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in rows[columns].itertuples(index=False):
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return "–"
    return clean(value, 60) if isinstance(value, str) else number(float(value))
