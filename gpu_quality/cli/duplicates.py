"""The verb `duplicates`: groups of frames that show the same, which one to keep, and what leaks between splits or runs."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gpu_quality.cli.common import JsonFlag, Out, QuietFlag, clean, print_json, stderr, stdout
from gpu_quality.cli.tabular import Format, To, check_format, write_table
from gpu_quality.text import counted, number

if TYPE_CHECKING:
    from rich.console import Console

    from gpu_quality.api.duplicates_result import Duplicates

SHOWN: Final = 10
"""Groups that the terminal lists; a file takes all."""
NAMED: Final = 6
"""Frames of a group, and pairs that leak, that the terminal lists."""


def duplicates(
    out: Out,
    against: Annotated[str | None, typer.Option("--against", help="Another store: frames of OUT that it has too.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="exact, hash or embedding only; without it all together.")] = None,
    at_least: Annotated[
        float | None, typer.Option("--at-least", help="Similarity from which on a pair counts, instead of the defaults.")
    ] = None,
    format: Format = None,  # noqa: A002 - the flag's name
    to: To = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """Groups of frames that show the same: copies, edits, flips and turns; which to keep, and leaks between splits or runs.

    Example: gpu-quality duplicates runs/a

    gpu-quality duplicates runs/test --against runs/train --json

    gpu-quality duplicates runs/a --kind hash --at-least 0.95 --format csv --out copies.csv
    """
    check_format(format, to, json=json)
    from gpu_quality.api.duplicates import duplicates as look

    found = look(out, against=against, kind=kind, at_least=at_least)
    if json:
        print_json(found.to_dict())
    elif format is not None:
        write_table(found.table(), format, to)
    else:
        _show(found, stdout(), out)
    for note in () if quiet else found.notes:
        stderr().print(clean(note, 400), markup=False)


def _show(found: "Duplicates", console: "Console", where: str) -> None:
    from rich.table import Table
    from rich.text import Text

    counts = found.facts["counts"]
    if found.groups:
        table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
        for name, right in (("group", True), ("similarity", True), ("kind", False), ("frame", False), ("remark", False)):
            table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
        for place, group in enumerate(found.groups[:SHOWN], 1):
            for cells in _rows(place, group, found.facts["thresholds"]["embedding"] or 0.0):
                table.add_row(*map(Text, cells))
        console.print(table)
        if counts["groups"] > SHOWN:
            left = counted(counts["groups"] - SHOWN, "group")
            console.print(f"… and {left} more; --format csv --out FILE writes all", markup=False)
    console.print(_sentence(found, where), markup=False)
    _show_leaks(found, console)
    console.print(found.how(), markup=False, style="dim")


def _rows(place: int, group: dict[str, Any], alone: float) -> list[list[str]]:
    """Lines of one group: its frames, the one to keep first; `alone` is from where on vectors need no hash beside them."""
    rows = []
    for first, member in zip([True, *[False] * NAMED], group["members"][:NAMED], strict=False):
        weak = member["kind"] == "embedding" and member["similarity"] < alone and member["hash"] is not None
        parts = [f"with hash {number(member['hash'])}"] if weak else []
        remark = "; ".join([f"keep: {group['reason']}", *parts] if first else parts)
        run = f"{clean(member['run'], 30)}: " if member["run"] else ""
        head = f"{place}" if first else ""
        rows.append([head, number(member["similarity"]), member["kind"], run + clean(member["frame"], 80), remark])
    more = len(group["members"]) - NAMED
    if more > 0:
        rows.append(["", "", "", f"… {counted(more, 'frame')} more", ""])
    if group["drifts"]:
        least = ", ".join(
            f"{name} {number(group[key])}"
            for name, key in (("hash", "least_hash"), ("embedding", "least_embedding"))
            if group[key] is not None
        )
        said = f"{counted(group['pairs_below'], 'pair')} below the thresholds; least {least}"
        rows.append(["", "", "", "", said])
    return rows


def _sentence(found: "Duplicates", where: str) -> str:
    """How many, in words."""
    counts, other = found.facts["counts"], found.facts["against"]
    place = clean(where) if other is None else f"{clean(where)} and {clean(other)}"
    frames = counted(counts["frames"], "frame")
    if not found.groups:
        return f"{place}: no duplicates among {frames}"
    return (
        f"{place}: {counted(counts['groups'], 'group')} with {counts['members']:,} of {frames}; "
        f"{counted(counts['surplus'], 'frame')} could go"
    )


def _show_leaks(found: "Duplicates", console: "Console") -> None:
    """What is on both sides of a split, or in both runs."""
    name = (found.leaks["between"] or "s")[:-1]
    for row in found.leaks["counts"]:
        (a, b), (in_a, in_b) = (clean(place, 60) for place in row[f"{name}s"]), row["frames"]
        text = f"{counted(in_a, 'frame')} of {a} and {in_b:,} of {b} are duplicates of each other"
        console.print(text, markup=False, style="bold")
    for pair in found.leaks["pairs"][:NAMED]:
        ends = [
            f"{clean(pair[place], 30)} {clean(pair[key], 70)}" for key, place in (("frame", name), ("other", f"other_{name}"))
        ]
        console.print(f"  {' = '.join(ends)} ({pair['kind']} {number(pair['similarity'])})", markup=False)
    if len(found.leaks["pairs"]) > NAMED:
        console.print(f"  … and {counted(len(found.leaks['pairs']) - NAMED, 'pair')} more; --json lists all", markup=False)
