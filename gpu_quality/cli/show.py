"""What `gpu-quality show` prints: distributions, issues found, extremes, and the rows of a slice."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gpu_quality.api.slices import condition_of, frame_rows, level_of, object_rows
from gpu_quality.reports.columns import Sheet, name_of
from gpu_quality.reports.figures import Distribution, Issue, distributions, extremes, worst_ends
from gpu_quality.reports.figures import issues as found_issues
from gpu_quality.reports.histogram import sparkline
from gpu_quality.reports.plain import distribution_json, extremes_json, issue_json
from gpu_quality.store.store import Store
from gpu_quality.text import clean, counted, number, share, spaced

CELLS: Final = 20
NAMED: Final = 3
"""Frames named per issue in the short table; `--issues` names more."""
_ARROWS: Final = {"low": "low", "high": "high", "neither": ""}
_OPTIONAL: Final = ("unit", "n", "p5", "p95", "null", "min", "max")
"""Columns of the table of distributions that a narrow terminal loses, the first one first."""


def show(
    store: Store, console: Console, *, sort: str | None, worst: int, issues: bool, per: str | None, where: str = ""
) -> None:  # fmt: skip
    """Print a store: by default distributions and issues; with `issues` the flagged frames; with `sort` the worst rows.

    `where` keeps the rows of a slice, and lists them where nothing else is asked for. Raises `UnknownNameError` where `sort`
    names no column, `UsageError` for what is no condition.
    """
    sheet, place = _sheet(store, sort, per, where)
    console.print(_headline(store), markup=False)
    if place is not None:
        told = f"{clean(where, 300)}: {counted(len(place), sheet.per)} of {store.input.count(f'{sheet.per}s'):,}"
        console.print(told, markup=False, style="bold")
    if sort is not None:
        _print_extremes(sheet, store, console, sort, worst)
    elif issues:
        _print_issues(sheet, console, worst)
    elif place is not None:
        _print_rows(sheet, store, console, worst)
    else:
        _print_distributions(sheet, console)
        _print_issues(sheet, console, NAMED)


def show_json(
    store: Store, *, sort: str | None, worst: int, issues: bool, per: str | None, where: str = ""
) -> dict[str, Any]:  # fmt: skip
    """What `show` prints, as one object: status, distributions, issues, and extremes where `sort` asks for them.

    Of a slice: its condition, how many rows it holds, and the ids of all of them.
    """
    sheet, place = _sheet(store, sort, per, where)
    status = {key: value for key, value in store.status().items() if key != "layers"}
    found: dict[str, Any] = {"status": status, "per": sheet.per}
    if place is not None:
        found |= {"where": where, "condition": condition_of(store, where), "count": len(place)}
    if sort is not None:
        return {**found, "sort": sort, "extremes": extremes_json(sheet, sort, worst)}
    if place is not None and not issues:
        rows = sheet.table[list(dict.fromkeys(["frame", sheet.per]))].to_dict("records")
        return {**found, "rows": [{"row": int(row), **ids} for row, ids in zip(place, rows, strict=True)]}
    if not issues:
        found["distributions"] = [distribution_json(d) for d in distributions(sheet, CELLS)]
    return {**found, "issues": [issue_json(issue, sheet, worst) for issue in found_issues(sheet)]}


def _sheet(store: Store, sort: str | None, per: str | None, where: str) -> tuple[Sheet, NDArray[np.int64] | None]:
    """The table asked for, and which rows of the store it holds where those of a slice are asked for.

    Without `per` it is that of the objects where only that has the column to sort by, or the slice is about objects.
    """
    if sort is not None and per != "object" and store.columns().get(sort, {}).get("per") == "object":
        per = "object"
    if per is None:
        per = level_of(store, where) if where and sort is None else "frame"
    sheet, place = Sheet.read(store, per), None
    if where:
        place = np.flatnonzero((frame_rows if per == "frame" else object_rows)(store, where))
        sheet = Sheet(per, sheet.columns, sheet.table.iloc[place].reset_index(drop=True))
    if sort is not None:
        sheet.values(sort)  # raises for a name that cannot be sorted by
    return sheet, place


def _headline(store: Store) -> str:
    status = store.status()
    text = (
        f"{clean(store.path)}: {counted(status['listed'], 'frame')} = {status['scored']:,} scored + {status['errors']:,} errors"
    )
    return text if status["complete"] else f"{text}; not complete, run the same command again to finish"


# Distributions.


def _cells(d: Distribution) -> dict[str, str]:
    numbers = {"min": d.low, "p5": d.p5, "median": d.median, "p95": d.p95, "max": d.high}
    return {
        "metric": f"  {clean(d.column.name)}",
        "unit": clean(d.column.unit),
        "n": f"{d.n:,}",
        "null": f"{d.null:,}" if d.null else "",
        **{name: number(value) for name, value in numbers.items()},
        "histogram": sparkline(d.histogram).ljust(CELLS),
        "bad": _ARROWS[d.column.bad],
    }


def _print_distributions(sheet: Sheet, console: Console) -> None:
    found = distributions(sheet, CELLS)
    if not found:
        console.print(f"no metric per {sheet.per} is stored", markup=False)
        return
    rows = [_cells(d) for d in found]
    names = _fitting(rows, [d.column.topic for d in found], console.width)
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    for name in names:
        right = name not in ("metric", "unit", "histogram", "bad")
        table.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    topic = ""
    for d, row in zip(found, rows, strict=True):
        if d.column.topic != topic:
            topic = d.column.topic
            table.add_row(Text(topic, style="bold cyan"))
        table.add_row(*[Text(row[name], style="cyan" if name == "histogram" else "") for name in names])
    console.print()
    console.print(table)
    console.print(
        "histogram: min to max; the end cells also hold values far out (3 IQR beyond the quartiles). bad: the suspicious end.",
        style="dim",
        markup=False,
    )


def _fitting(rows: Sequence[dict[str, str]], headings: Sequence[str], width: int) -> list[str]:
    """Names of the columns that fit side by side."""
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) + 1 for name in names}
    widths[names[0]] = max(widths[names[0]], *(len(heading) + 1 for heading in headings))
    for name in _OPTIONAL:
        if sum(widths[kept] for kept in names) <= width:
            break
        names.remove(name)
    return names


# Issues.


def _print_issues(sheet: Sheet, console: Console, named: int) -> None:
    found = found_issues(sheet)
    judged, present = max((issue.total for issue in found), default=0), [issue for issue in found if len(issue.rows)]
    if not found:
        return
    clear = ", ".join(spaced(issue.name) for issue in found if not len(issue.rows))
    console.print()
    if present:
        table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
        for name, justify in (
            ("issue", "left"),
            (f"{sheet.per}s", "right"),
            ("share", "right"),
            ("score, frame, worst first" if sheet.per == "frame" else "worst first", "left"),
        ):
            table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
        for issue in present:
            table.add_row(*[Text(part) for part in _issue_cells(issue, sheet, named)])
        console.print(table)
        for issue in (issue for issue in present if issue.common):
            console.print(
                f"{spaced(issue.name)} is on more than half of the {sheet.per}s: perhaps how these data are.", markup=False
            )
    if clear:
        console.print(f"not found among {counted(judged, sheet.per)}: {clear}", markup=False, style="dim")


def _issue_cells(issue: Issue, sheet: Sheet, named: int) -> list[str]:
    """One row of the table of issues; the frames stand one a line."""
    ids, count = sheet.table[sheet.per], len(issue.rows)
    rule = "" if issue.threshold is None or issue.score is None else f" (< {number(issue.threshold)})"
    scores = None if issue.score is None else sheet.values(issue.score.name)
    lines = [
        ("" if scores is None else f"{number(scores[row]):<8}") + clean(ids.iloc[row], 60)
        for row in issue.rows[:named].tolist()
    ]
    if count > named:
        lines.append(f"… {count - named:,} more")
    return [spaced(issue.name) + rule, f"{count:,}", share(count, issue.total), "\n".join(lines)]


# Rows of a slice.


def _print_rows(sheet: Sheet, store: Store, console: Console, count: int) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    for row in range(min(count, len(sheet))):
        table.add_row(*[Text(part) for part in _row_cells(sheet, store, row)])
    console.print(table)
    if len(sheet) > count:
        console.print(f"… and {len(sheet) - count:,} more; --worst N lists more, --json all of them", markup=False)


# Extremes.


def _print_extremes(sheet: Sheet, store: Store, console: Console, name: str, count: int) -> None:
    column, values = sheet.columns[name], sheet.values(name)
    for end in worst_ends(column):
        console.print()
        console.print(f"{end} {name} ({clean(column.unit)}): {column.summary}", markup=False, style="bold")
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
        table.add_column(justify="right")
        for row in extremes(sheet, name, end, count).tolist():
            table.add_row(*[Text(part) for part in (number(values[row]), *_row_cells(sheet, store, row))])
        console.print(table)


def _row_cells(sheet: Sheet, store: Store, row: int) -> list[str]:
    """A frame's id; for an object also what it is and where."""
    found = sheet.table.iloc[row]
    if sheet.per == "frame":
        return [clean(found["frame"], 120)]
    x0, y0, x1, y1 = (number(float(x)) for x in found["box"])
    kind = clean(name_of(store.identity.get("classes"), found["class_id"]), 40)
    origin = clean(name_of(store.identity.get("origins"), found["origin"]), 40)
    return [clean(found["frame"], 80), kind, origin, f"box {x0} {y0} {x1} {y1}", clean(found["object"], 40)]
