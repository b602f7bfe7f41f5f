"""The verb `performance`: a bar per bin of a metric, with its interval, and the values for which the model does worst."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gpu_quality.cli.common import JsonFlag, Out, QuietFlag, clean, print_json, stderr, stdout, typed
from gpu_quality.cli.importance import (
    ClassesOption,
    ConfidenceOption,
    IouOption,
    SetOption,
    WhereOption,
    kind_of,
    names,
    remarks,
)
from gpu_quality.cli.tabular import Format, To, check_format, write_table
from gpu_quality.errors import UsageError
from gpu_quality.text import counted, number, spaced

if TYPE_CHECKING:
    from rich.console import Console

    from gpu_quality.analysis.performance import Performance
    from gpu_quality.api.performance_result import MetricPerformance, Side

WIDTH: Final = 41
"""Characters of a chart from 0 to 1: one is .025."""
SHOWN: Final = 20
"""Classes that the terminal lists."""
NAMED: Final = 8
"""Classes with few rows that are named."""
_BARS: Final = "▁▂▃▄▅▆▇█"


def performance(
    out: Out,
    metric: Annotated[str, typer.Argument(help="A stored column of numbers: brightness, object_area …", metavar="METRIC")],
    rows: Annotated[
        str | None, typer.Option("--rows", help="predictions, labels or answers; without it what there is.")
    ] = None,
    by_class: Annotated[bool, typer.Option("--by-class", help="A curve per class too, in the same bins.")] = False,
    bins: Annotated[int | None, typer.Option("--bins", help="Bins of equal count, at most; default: 20 rows each.")] = None,
    edges: Annotated[str | None, typer.Option("--edges", help="Bins between these values instead: 0,0.2,0.5,1.")] = None,
    ap: Annotated[bool, typer.Option("--ap", help="COCO's AP of every bin too.")] = False,
    predictions: SetOption = None,
    classes: ClassesOption = None,
    iou: IouOption = None,
    confidence: ConfidenceOption = None,
    where: WhereOption = "",
    seed: Annotated[int, typer.Option(help="Seed of the permutations.")] = 0,
    format: Format = None,  # noqa: A002 - the flag's name
    to: To = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """Precision and recall along a metric, with intervals, and the value below or above which they are worst.

    Example: gpu-quality performance runs/a brightness

    gpu-quality performance runs/a object_area --rows labels --by-class --ap

    gpu-quality performance runs/a brightness --where "class = 'person'" --format csv --out bins.csv
    """
    check_format(format, to, json=json)
    from gpu_quality.api.performance import performance as look

    found = look(
        out, metric, rows=kind_of(rows), by_class=by_class, bins=bins, edges=None if edges is None else _numbers(edges), ap=ap,
        where=where, predictions=predictions, classes=names(classes), iou=iou, confidence=confidence, seed=seed,
    )  # fmt: skip
    if json:
        print_json(found.to_dict())
    elif format is not None:
        write_table(found.table(), format, to)
    else:
        _show(found, stdout())
    if not (quiet or json):
        remarks(found.notes)
        if format is None:
            _next(found, out)


def _numbers(text: str) -> list[float]:
    """Comma-separated numbers. Raises `UsageError`."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--edges {clean(text, 80)}: give numbers that rise", hint="--edges 0,0.2,0.5,1") from None


def _show(found: "MetricPerformance", console: "Console") -> None:
    at = found.params
    for place, side in enumerate(found.sides):
        if place:
            console.print()
        _head(side, at, console)
        _bins(side, console)
        if side.of_class or side.few:
            _classes(side, console)
        console.print(clean(side.sentence(), 400), markup=False, style="bold")
        if side.split is not None:
            _effect(side, console)
        if len(side.curve.weak):
            _stretch(side, console)


def _head(side: "Side", at: Any, console: "Console") -> None:
    """What is shown, and the mean with its interval."""
    told = side.to_dict(ids=False)
    fnr = f", FNR {1 - told['mean']:.3f}" if side.rows == "O" and told["mean"] is not None else ""
    mean = "–" if told["mean"] is None else f"{told['mean']:.3f} ({told['mean_low']:.3f} – {told['mean_high']:.3f}){fnr}"
    unit = f", {clean(side.measure.unit, 40)}" if side.measure.unit else ""
    title = f"{side.figure} by {clean(side.measure.name)} ({side.measure.level}{unit}): {mean}"
    limits = "" if at["iou"] is None else f", IoU {number(at['iou'])}, confidence {number(at['confidence'])}"
    console.print(f"{title}, {counted(side.curve.n, side.noun[:-1])}{limits}", markup=False)


def _bins(side: "Side", console: "Console") -> None:
    """One line per bin: its values, how many rows, the rate, the rate as a point in its interval, and AP."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    scale = f"0{'':{WIDTH - 2}}1"
    heads = [clean(spaced(side.measure.name), 24), "n", side.figure, scale, "", *(["AP"] if side.ap is not None else [])]
    for name, right in zip(heads, (True, True, True, False, False, True), strict=False):
        shown.add_column(name, justify="right" if right else "left", no_wrap=True)
    last = len(side.curve.bins) - 1
    for place, row in enumerate(side.curve.bins.to_dict("records")):
        values = _range(row["low"], row["high"], closed=place == last)
        cells = [values, *_cells(row, side.curve.mean)]
        if side.ap is not None:
            value = side.ap["AP"].iloc[place]
            cells.append("–" if value != value else f"{value:.3f}")
        shown.add_row(*map(Text, cells))
    if side.curve.missing["n"]:
        shown.add_row(*map(Text, ["no value", *_cells(side.curve.missing, side.curve.mean)]))
    console.print(shown)
    if side.ap is not None:
        value = side.ap["AP"].iloc[-1]
        console.print(f"AP of all bins: {'–' if value != value else f'{value:.3f}'} (all confidences)", markup=False)


def _range(low: float, high: float, *, closed: bool) -> str:
    """Values of a bin; the last one holds its upper end."""
    if low == high:
        return number(low)
    return f"{number(low)} – {'' if closed else '<'}{number(high)}"


def _cells(row: Any, mean: float) -> list[str]:
    """Count, rate, chart and mark of a bin."""
    if not row["n"]:
        return ["0", "–", chart(None, None, None, mean), ""]
    mark = "" if not row["marked"] else "worse" if row["rate"] < mean else "better"
    picture = chart(row["rate_low"], row["rate"], row["rate_high"], mean)
    return [f"{row['n']:,}", f"{row['rate']:.3f}", picture, mark]


def chart(low: float | None, rate: float | None, high: float | None, mean: float) -> str:
    """A line from 0 to 1: the interval, the rate as a point in it, and the mean of all as a bar.

    >>> chart(0.1, 0.2, 0.4, 0.5).rstrip()
    '    ────●────────   ┆'
    """
    line = [" "] * WIDTH
    if mean == mean:
        line[round(mean * (WIDTH - 1))] = "┆"
    if low is not None and rate is not None and high is not None:
        for place in range(round(low * (WIDTH - 1)), round(high * (WIDTH - 1)) + 1):
            line[place] = "┼" if line[place] == "┆" else "─"
        line[round(rate * (WIDTH - 1))] = "●"
    return "".join(line)


def _classes(side: "Side", console: "Console") -> None:
    """One line per class, the lowest rate first: its curve over the same bins."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for name, right in (("class", False), ("n", True), (side.figure, True), ("by bin", False)):
        shown.add_column(name, justify="right" if right else "left", no_wrap=True)
    ordered = sorted(side.of_class.items(), key=lambda pair: (pair[1].mean, pair[0]))
    for name, curve in ordered[:SHOWN]:
        mean = "–" if curve.mean != curve.mean else f"{curve.mean:.3f}"
        shown.add_row(*map(Text, [clean(name, 30), f"{curve.n:,}", mean, spark(curve)]))
    if ordered:
        console.print(shown)
    if len(ordered) > SHOWN:
        console.print(f"… and {counted(len(ordered) - SHOWN, 'class', 'classes')} more; --format csv has all", markup=False)
    if side.few:
        most = sorted(side.few, key=lambda name: (-side.few[name], name))
        named = ", ".join(clean(name, 30) for name in most[:NAMED]) + (", …" if len(most) > NAMED else "")
        told = f"{counted(len(most), 'class', 'classes')} with fewer than 20 {side.noun}: {named}"
        console.print(told, markup=False, style="dim")


def spark(curve: "Performance") -> str:
    """The rates of all bins as small bars; a dot where there are no rows."""
    rates = curve.bins["rate"].tolist()
    return "".join("·" if rate != rate else _BARS[min(int(rate * len(_BARS)), len(_BARS) - 1)] for rate in rates)


def _effect(side: "Side", console: "Console") -> None:
    """How large the difference of the two sides is, and how sure."""
    split = side.split
    if split is None:
        return
    p = "p <= 0.001" if split.p <= 0.001 else f"p = {split.p:.3f}"
    console.print(
        f"  difference {split.difference:+.3f} ({split.difference_low:+.3f} to {split.difference_high:+.3f}), "
        f"Cohen's h {split.cohen_h:.2f}, {p} for the best of {counted(split.looked_at, 'value')} ({split.p_from})",
        markup=False, style="dim",
    )  # fmt: skip


def _stretch(side: "Side", console: "Console") -> None:
    """The stretch with the most failures beyond the mean."""
    worst = side.curve.weak.iloc[0]
    where = side.weak_where[0] or f"{side.measure.name} {_range(worst['low'], worst['high'], closed=True)}"
    others = len(side.curve.weak) - 1
    more = f"; {counted(others, 'more such stretch', 'more such stretches')}" if others else ""
    console.print(
        f"weakest stretch: {clean(where, 200)}: {side.figure} {worst['rate']:.2f} of {int(worst['n']):,} "
        f"{side.noun}, {worst['excess']:.0f} failures more than the mean lets expect{more}",
        markup=False,
    )  # fmt: skip


def _next(found: "MetricPerformance", out: str) -> None:
    """What to type to see the pictures of the worst values, and to choose more like them."""
    from gpu_quality import api

    columns = api.open_store(out).columns()
    for side in [side for side in found.sides if side.worst][-1:]:
        worst = [part for part in (side.worst, found.params["condition"]) if part]
        hints: list[tuple[str, list[str], list[str]]] = [("show", [*worst, side.failed], [])]
        if "embedding" in columns:  # unlike ones are found by vectors
            hints.append(("select", worst, ["--count", "100"]))
        for verb, parts, more in hints:
            told = " and ".join(part for part in parts if part)
            stderr().print(f"next: {typed('gpu-quality', verb, out, '--where', told, *more)}", markup=False)
