"""The verbs `balance` and `scatter`: what a data set holds of what, and two measures against each other."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from gpu_quality.cli.common import JsonFlag, Out, QuietFlag, clean, print_json, stderr, stdout
from gpu_quality.cli.outliers import grid
from gpu_quality.cli.tabular import Format, To, check_format, write_table
from gpu_quality.text import counted, number

if TYPE_CHECKING:
    import pandas as pd

    from gpu_quality.api.scatter import Scatter
    from gpu_quality.api.views import Balance

SHOWN: Final = 20
_ACROSS, _UP = 64, 18
_SHADES: Final = " ·░▒▓█"
_TOLD: Final = {
    "findings_share": "share",
    "mean_annotation_seconds": "seconds",
    "mean_object_area_relative": "area",
    "mean_object_class_outlier": "class outlier",
    "mean_label_error_ratio": "error ratio",
}
"""What the terminal shows of annotators, under shorter names; files have all."""


def balance(
    out: Out,
    by: Annotated[str | None, typer.Option("--by", help="split or annotator: the table of these.")] = None,
    format: Format = None,  # noqa: A002
    to: To = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """Class counts, classes with few objects, crowded frames, classes seen together; per split, and who labeled what.

    Example: gpu-quality balance runs/a

    gpu-quality balance runs/a --by split

    gpu-quality balance runs/a --by annotator --format csv --out people.csv
    """
    check_format(format, to, json=json)
    from gpu_quality.api.views import balance as look

    found = look(out, by=by)
    if json:
        print_json(found.to_dict())
    elif format is not None:
        write_table(found.annotators if by == "annotator" else found.classes, format, to)
    elif by == "annotator":
        _show_annotators(found.annotators)
    elif by == "split":
        _show_splits(found)
    else:
        _show(found, out)
    for note in () if quiet else found.notes:
        stderr().print(clean(note, 400), markup=False)


def _show(found: "Balance", where: str) -> None:
    """Classes by count, then frames per number of objects, then the pairs of classes."""
    whole = found.classes[found.classes["split"].isna()]
    for (origin, question), rows in whole.groupby(["origin", "question"], dropna=False, sort=False):
        what = "objects" if question != question else f"answers to {clean(question, 60)}"
        first, few = rows.iloc[0], int(rows["class_undersampled"].sum())
        _head(
            f"{clean(origin, 40)}: {int(rows['class_count'].sum()):,} {what} of {counted(len(rows), 'class', 'classes')}, "
            f"{few:,} with at most half the median; largest : smallest {number(first['imbalance_ratio'])}, "
            f"evenness {number(first['class_evenness'])}"
        )
        ordered = rows.sort_values(["class_count", "class_id"], ascending=[False, True]).head(SHOWN)
        shown = ordered.rename(columns={"class_count": "count", "class_images": "images"})
        stdout().print(grid(shown, ["class", "count", "images"]))
        _more(len(rows) - SHOWN, f"gpu-quality check {clean(where)} --balance lists all")
    for origin, rows in found.crowding.groupby("origin", sort=False):
        _head(f"{clean(origin, 40)}: frames per number of objects")
        stdout().print(_histogram(rows), markup=False)
    for origin, rows in found.together.groupby("origin", sort=False):
        _head(f"{clean(origin, 40)}: classes seen together; share of the frames with class, and with other")
        stdout().print(grid(rows.head(SHOWN // 2), ["class", "other", "frames", "share", "other_share"]))
        _more(len(rows) - SHOWN // 2, "--json lists all")
    people = len(found.annotators)
    if people:
        stdout().print(f"{counted(people, 'annotator')}: --by annotator shows them", markup=False, style="dim")


def _show_annotators(people: "pd.DataFrame") -> None:
    """Who labeled how much, how often `check` found something, and means of some measures."""
    table = people.rename(columns=_TOLD)
    names = ["annotator", "labels", "frames", "classes", "findings", *_TOLD.values()]
    stdout().print(grid(table, [name for name in names if name in table and table[name].notna().any()]))
    said = (
        "findings, share: labels with an error or warning of `check`. Others are means; --format writes those of all measures."
    )
    stdout().print(said, markup=False, style="dim")


def _show_splits(found: "Balance") -> None:
    """Counts of each class side by side, a column per split."""
    import pandas as pd

    known = found.classes[found.classes["split"].notna()]
    for (origin, question), rows in known.groupby(["origin", "question"], dropna=False, sort=False):
        _head(f"{clean(origin, 40)}{'' if question != question else f', {clean(question, 60)}'}: objects per split")
        counts = rows.pivot_table(index="class_id", columns="split", values="class_count", sort=False)
        names = [clean(name, 30) for name in counts.columns]
        few = rows.pivot_table(index="class_id", columns="split", values="class_undersampled", aggfunc="max").any(axis=1)
        shares = counts / counts.sum().clip(lower=1)
        table = pd.DataFrame(counts.to_numpy(), columns=names).join(
            pd.DataFrame(shares.to_numpy(), columns=[f"{name} share" for name in names])
        )
        by_class = rows.drop_duplicates("class_id").set_index("class_id")["class"]
        table.insert(0, "class", by_class.loc[counts.index].to_numpy())
        table["few in a split"] = ["few" if is_few else "" for is_few in few.loc[counts.index]]
        order = table[names].sum(axis=1).sort_values(ascending=False, kind="stable").index
        table = table.loc[order].astype({"few in a split": "str"})
        stdout().print(grid(table.head(2 * SHOWN), list(table.columns)))
        _more(len(table) - 2 * SHOWN, "--format csv lists all")
        facts = rows.drop_duplicates("split")
        for row in facts.itertuples(index=False):
            said = f"{clean(row.split, 30)}: largest : smallest {number(row.imbalance_ratio)}"
            stdout().print(f"{said}, evenness {number(row.class_evenness)}", markup=False)


def _head(text: str) -> None:
    stdout().print(f"\n{text}", markup=False, style="bold")


def _more(left: int, how: str) -> None:
    if left > 0:
        stdout().print(f"… and {left:,} more; {how}", markup=False)


def _histogram(rows: "pd.DataFrame") -> str:
    """A bar per number of objects, or per range of numbers where there are many."""
    step = -(-int(rows["objects"].max() + 1) // SHOWN)
    counts = rows.groupby(rows["objects"] // step)["frames"].sum()
    names = [f"{at * step}" if step == 1 else f"{at * step} to {(at + 1) * step - 1}" for at in counts.index.tolist()]
    most, wide = int(counts.max()), max(map(len, names))
    bars = ["█" * max(1, round(40 * frames / most)) for frames in counts.tolist()]
    lines = zip(names, counts.tolist(), bars, strict=True)
    return "\n".join(f"{name:>{wide}} {frames:>8,} {bar}" for name, frames, bar in lines)


def scatter(
    out: Out,
    x: Annotated[str, typer.Argument(help="Column across.", metavar="X")],
    y: Annotated[str, typer.Argument(help="Column up.", metavar="Y")],
    color: Annotated[str | None, typer.Option("--color", help="outcome, class or a column: groups told apart.")] = None,
    rows: Annotated[
        str | None, typer.Option("--rows", help="frames, labels, predictions or answers; told by the columns.")
    ] = None,
    where: Annotated[str, typer.Option("--where", help="Condition on columns, or the name of a slice.")] = "",
    predictions: Annotated[str | None, typer.Option("--predictions", help="Which prediction set, where several.")] = None,
    to: Annotated[str | None, typer.Option("--out", help="File to draw: FILE.html with the data, or FILE.svg.")] = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """Two measures against each other, with Spearman's correlation; --out draws a page that loads nothing.

    Example: gpu-quality scatter runs/a brightness contrast

    gpu-quality scatter runs/a object_area_relative confidence --color outcome --out area.html
    """
    from gpu_quality.api.scatter import scatter as look
    from gpu_quality.reports.scatter.page import caption, check_target, write_scatter

    if to is not None:
        check_target(to)
    found = look(out, x, y, color=color, rows=rows, where=where, predictions=predictions)
    if to is not None:
        write_scatter(found, to)
    if json:
        print_json({**found.to_dict(), "file": to})
    elif to is None:
        _show_points(found)
        stdout().print(caption(found), markup=False)
    elif not quiet:
        stdout().print(f"{caption(found)} Drawn in {clean(to)}.", markup=False)
    for note in () if quiet else found.notes:
        stderr().print(clean(note, 400), markup=False)


def _show_points(found: "Scatter") -> None:
    """How many points lie where, as shades; and the groups."""
    import pandas as pd

    from gpu_quality.reports.scatter.axes import told
    from gpu_quality.reports.scatter.marks import binned
    from gpu_quality.reports.scatter.page import axis_title, scales_of

    if found.facts["n"]:
        scales = scales_of(found)
        level = binned(scales[0].unit(found.x.numbers), scales[1].unit(found.y.numbers), _ACROSS, _UP).level
        (left, right), (low, high) = (told([axis.numbers.min(), axis.numbers.max()]) for axis in (found.x, found.y))
        wide = max(len(low), len(high))
        marks = {0: high, _UP - 1: low}
        lines = [f"{'':>{wide}} {axis_title(found.y, 70)}"]
        for line in range(_UP):
            row = "".join(_SHADES[step] for step in level[:, _UP - 1 - line].tolist())
            lines.append(f"{marks.get(line, ''):>{wide}} │{row}")
        lines.append(f"{'':>{wide}} └{'─' * _ACROSS}")
        lines.append(f"{'':>{wide}}  {left}{right:>{_ACROSS - len(left)}}")
        lines.append(f"{'':>{wide}}  {axis_title(found.x, 60):>{_ACROSS}}")
        stdout().print("\n".join(lines), markup=False)
    if found.facts["groups"]:
        table = pd.DataFrame(found.facts["groups"]).astype({"group": "str", "median_x": "float64", "median_y": "float64"})
        named = {"median_x": f"median {found.x.name}", "median_y": f"median {found.y.name}"}
        table = table.rename(columns=named)
        stdout().print(grid(table, list(table.columns)))
