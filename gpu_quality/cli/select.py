"""The verb `select`: which frames to label next, with the reason for each."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from gpu_quality.cli.common import JsonFlag, Out, QuietFlag, clean, print_json, records, stderr, stdout
from gpu_quality.cli.tabular import FORMATS, check_format, write_table
from gpu_quality.errors import UsageError

if TYPE_CHECKING:
    from gpu_quality.api.select_result import Selection

SHOWN: Final = 20
"""Frames that the terminal lists; a file takes all."""
_OWN: Final = ("list", "coco")
"""Formats beside those that every table has."""


class SelectCommand(TyperCommand):
    """A command whose ``--diverse`` may stand alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read ``--diverse`` that no way follows as ``--diverse kcenter``."""
        whole: list[str] = []
        for place, word in enumerate(args):
            whole.append(word)
            following = args[place + 1] if place + 1 < len(args) else "-"
            if word == "--diverse" and following.startswith("-"):
                whole.append("kcenter")
        return super().parse_args(ctx, whole)


def select(
    out: Out,
    count: Annotated[int, typer.Option("--count", "-n", help="How many frames.")],
    by: Annotated[str, typer.Option("--by", help="Columns of frames, best first: NAME[:high|:low][=WEIGHT],…")] = "",
    diverse: Annotated[
        str | None, typer.Option("--diverse", help="kcenter (alone: this), kmeans or none; by default kcenter without --by.")
    ] = None,
    exclude: Annotated[
        str, typer.Option("--exclude", help="labelled, selected (by this so far), or a file with a frame a line; by commas.")
    ] = "",
    where: Annotated[str, typer.Option("--where", help="An SQL condition on columns, or the name of a slice.")] = "",
    quota: Annotated[
        list[str] | None, typer.Option("--quota", help="class=NAME:COUNT: at least so many frames show it; may be repeated.")
    ] = None,
    balance: Annotated[bool, typer.Option("--balance", help="Even out the classes, known frames counted.")] = False,
    duplicates: Annotated[
        str, typer.Option("--duplicates", help="auto (one of each known group), off, or a cosine of vectors such as 0.95.")
    ] = "auto",
    predictions: Annotated[str | None, typer.Option("--predictions", help="Prediction set, where there are several.")] = None,
    confidence: Annotated[
        float | None,
        typer.Option("--confidence", help="From which on a prediction counts; default: the evaluation's."),
    ] = None,
    pool: Annotated[int, typer.Option("--pool", help="Diverse ones are looked for among COUNT times so many best.")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="For k-means, and for the first frame where nothing else says.")] = 0,
    format: Annotated[  # noqa: A002 - the flag's name
        str | None, typer.Option("--format", help="list (one path a line), csv, json, parquet, or coco (with their labels).")
    ] = None,
    to: Annotated[str | None, typer.Option("--out", help="File that --format writes; stdout without it.")] = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """Frames to label next: those the model is unsure of, unlike each other and unlike what is labeled; with reasons.

    Example: gpu-quality select runs/a --count 500 --by entropy,singularity --diverse --exclude labelled

    gpu-quality select runs/a --count 200 --by acquisition_entropy=2,novelty --quota class=person:50 --format list

    gpu-quality select runs/a --count 100 --balance --where "split = 'train'" --format coco --out next.json
    """
    _refuse(format, to, json=json)
    from gpu_quality.api.select import select as choose

    found = choose(
        out, count=count, by=by, diverse=diverse, exclude=exclude, where=where, quotas=quota or (), balance=balance,
        duplicates=duplicates, predictions=predictions, confidence=confidence, pool_factor=pool, seed=seed,
    )  # fmt: skip
    notes = list(found.notes)
    if json:
        print_json(found.to_dict())
    elif format is not None:
        notes += _write(found, format, to)
    else:
        _show(found)
    for note in () if quiet else notes:
        stderr().print(clean(note, 400), markup=False)


def _refuse(form: str | None, to: str | None, *, json: bool) -> None:
    """Refuse what does not go together before anything is read."""
    if form is not None and form not in (*_OWN, *FORMATS):
        raise UsageError(f"--format {clean(form)}: choose {', '.join((*_OWN, *FORMATS))}")
    if to is not None and form is None:
        raise UsageError("--out names a file for --format, which is not given", hint="add --format list, coco, csv, …")
    if form == "coco" and to is None:
        raise UsageError("--format coco needs a file", hint="add --out FILE.json")
    check_format("csv" if form in _OWN else form, to, json=json)


def _write(found: "Selection", form: str, to: str | None) -> list[str]:
    """Write the frames; returns what the file does not hold."""
    if form not in _OWN:
        write_table(found.table, form, to)
        return []
    from gpu_quality.api.select_files import listed, write_coco
    from gpu_quality.store.commit import commit_bytes

    if form == "coco":
        return write_coco(found, str(to))
    text = listed(found)
    if to is None:
        sys.stdout.write(text)
    else:
        commit_bytes(Path(to), text.encode("utf-8", "surrogateescape"))
    return []


def _show(found: "Selection") -> None:
    """How they were chosen, then the first of them."""
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    for line in found.how():
        console.print(clean(line, 600), markup=False)
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for name, right in (("", True), ("frame", False), ("score", True), ("why", False)):
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in records(found.table.head(SHOWN)):
        score = "–" if row["score"] is None else f"{row['score']:.3f}"
        table.add_row(str(row["rank"]), Text(clean(row["frame"], 80)), score, Text(clean(row["reason"], 400)))
    console.print()
    console.print(table)
    more = len(found.table) - SHOWN
    if more > 0:
        console.print(f"… and {more:,} more; --format list, csv or coco writes all", markup=False)
