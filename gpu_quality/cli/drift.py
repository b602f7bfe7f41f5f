"""The verb `drift`: how a second set of frames differs from a reference, measure by measure and as a whole."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gpu_quality.cli.common import JsonFlag, Out, QuietFlag, clean, print_json, show_error, stderr, stdout
from gpu_quality.cli.importance import names, remarks
from gpu_quality.cli.tabular import Format, To, check_format, write_table
from gpu_quality.errors import GateError
from gpu_quality.text import counted, number

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from gpu_quality.api.drift_result import Drift
    from gpu_quality.api.gates import Gate

SHOWN: Final = 15
"""Measures that the terminal lists where so many drift; a file takes all."""
CALM: Final = 5
"""Measures that it lists where none drifts."""
NAMED: Final = 5
"""Frames, and classes, that it lists."""


def drift(
    out: Out,
    other: Annotated[
        str | None, typer.Argument(help="Another store, which is compared with OUT (production with training).")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", help="A split of the frames; twice: the reference, then the other.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", help='A condition ("brightness < 0.3") or a saved slice; twice, as --split.')
    ] = None,
    rows: Annotated[
        str | None, typer.Option("--rows", help="frames, labels, predictions, with commas; by default all there are.")
    ] = None,
    predictions: Annotated[str | None, typer.Option("--predictions", help="Prediction set, where there are several.")] = None,
    confidence: Annotated[float | None, typer.Option("--confidence", help="Confidence from which predictions count.")] = None,
    least: Annotated[float, typer.Option("--least", help="KS statistic from which a significant difference counts.")] = 0.1,
    count: Annotated[int, typer.Option("--count", "-n", help="Frames to list: those least like the reference.")] = 20,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on", help='Exit 5 if "psi>0.25", "domain_auc>0.8", "drifting>3", "ks/brightness>0.2"; repeatable.'
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of permutations and samples.")] = 0,
    format: Format = None,  # noqa: A002
    to: To = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """What has changed between two runs or two splits: measures, vectors, class balance, and the frames that drift most.

    Example: gpu-quality drift runs/train runs/production

    gpu-quality drift runs/a --split train --split test --fail-on "domain_auc>0.8"

    gpu-quality drift runs/a --where "file_size < 100000" --where "file_size >= 100000" --rows frames --json
    """
    check_format(format, to, json=json)
    from gpu_quality.api.drift import drift as look
    from gpu_quality.api.gates import look_at_gates

    found = look(
        out, other, splits=tuple(split or ()), where=tuple(where or ()), rows=names(rows), predictions=predictions,
        confidence=confidence, least=least, count=count, seed=seed,
    )  # fmt: skip
    gates = look_at_gates(found.figures(), fail_on or ())
    if json:
        print_json(_with_gates(found.to_dict(), gates))
    elif format is not None:
        write_table(found.table(), format, to)
    else:
        _show(found, stdout())
    if not (quiet or json):
        remarks(found.notes)
    _judge(gates, json=json, quiet=quiet)


def _with_gates(told: dict[str, Any], gates: "list[Gate]") -> dict[str, Any]:
    """The object with what became of the gates; what stops is told in it too."""
    failed = "; ".join(gate.text for gate in gates if not gate.passed)
    if gates:
        told["gates"] = [
            {"condition": gate.condition, "figure": gate.figure, "value": gate.value, "passed": gate.passed} for gate in gates
        ]
    if failed:
        told["error"] = {"code": GateError.code, "message": failed, "hint": None, "exit_code": GateError.exit_code}
    return told


def _judge(gates: "list[Gate]", *, json: bool, quiet: bool) -> None:
    """Say what became of the gates, and stop with exit code 5 if one stops."""
    from gpu_quality.api.gates import refuse

    try:
        for line in refuse(gates):
            if not (json or quiet):
                stderr().print(line, markup=False)
    except GateError as error:
        show_error(error, as_json=False, debug=False)
        raise typer.Exit(error.exit_code) from None


def _show(found: "Drift", console: "Console") -> None:
    """Both sets, the verdict, then the measures, classes and frames behind it."""
    for key, text in (("reference", "reference"), ("current", "compared ")):
        side = found.facts[key]
        console.print(f"{text}  {clean(side['name'], 200)}: {counted(side['frames'], 'frame')}", markup=False)
    for sentence in found.verdict:
        console.print(f"• {clean(sentence, 300)}", markup=False, style="bold")
    _show_measures(found, console)
    _show_classes(found, console)
    _show_frames(found, console)


def _show_measures(found: "Drift", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    tested = found.measures[found.measures["p"].notna()]
    ordered = tested.sort_values(["drifts", "ks"], ascending=False, kind="stable")
    drifting = int(tested["drifts"].sum())
    shown = ordered.head(min(max(drifting, CALM), SHOWN))
    if shown.empty:
        return
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    for name, right in (("measure", False), ("reference", True), ("compared", True), ("KS", True), ("p adj.", True),
                        ("PSI", True), ("moved", True), ("reference", False), ("compared", False)):  # fmt: skip
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "measure", overflow="fold")
    kinds = not (shown["rows"] == shown["rows"].iloc[0]).all()
    for row in shown.to_dict("records"):
        table.add_row(*map(Text, _cells(row, found.facts["histograms"], kinds=kinds)))
    console.print()
    console.print(table)
    if len(shown) < drifting:
        console.print(f"… and {drifting - len(shown):,} more that drift; --format csv --out FILE writes all", markup=False)
    about = "medians (of flags: shares); PSI in brackets: may be chance; moved: Wasserstein over the reference's spread"
    console.print(about, style="dim", markup=False)


def _cells(row: dict[str, Any], histograms: dict[str, Any], *, kinds: bool) -> list[str]:
    import numpy as np

    from gpu_quality.reports.histogram import Histogram, sparkline

    name = clean(row["metric"], 34) + (f" ({row['rows']})" if kinds else "")
    psi = f"{row['psi']:.2f}" if row["psi"] == row["psi"] else "–"
    chance = row["psi"] == row["psi"] and row["psi"] <= row["psi_chance"]
    cells = [name, number(row["median_reference"]), number(row["median_current"]), f"{row['ks']:.2f}"]
    cells += [f"{row['p_adjusted']:.2g}", f"({psi})" if chance else psi, number(row["wasserstein_scaled"])]
    counts = histograms[row["rows"]][row["metric"]]
    for side in ("reference", "current"):
        some = np.array(counts[side]).reshape(-1, 2).sum(1)  # half the bins, that both fit on a line
        cells.append(sparkline(Histogram(some, counts["low"], counts["high"], 0, 0) if some.any() else None))
    return cells


def _show_classes(found: "Drift", console: "Console") -> None:
    drifting = found.classes[found.classes["drifts"].astype(bool)]
    for rows, own in drifting.groupby("rows", sort=False):
        parts = [
            f"{clean(row['class'], 40)} {row['share_reference']:.1%} → {row['share_current']:.1%}"
            for row in own.head(NAMED).to_dict("records")
        ]
        more = f" and {len(own) - NAMED:,} more" if len(own) > NAMED else ""
        console.print(f"\nclasses of {rows} whose share drifts: {', '.join(parts)}{more}", markup=False)


def _show_frames(found: "Drift", console: "Console") -> None:
    top: pd.DataFrame = found.frames.head(NAMED)
    if top.empty:
        return
    console.print("\nframes least like the reference", markup=False, style="bold")
    for row in top.to_dict("records"):
        near = (
            f"; nearest {clean(row['nearest'], 60)} ({row['similarity']:.2f})" if row["similarity"] == row["similarity"] else ""
        )
        tails = f": {clean(row['unusual'], 200)}" if row["unusual"] else ""
        console.print(f"  {clean(row['frame'], 80)} (beyond {row['above']:.0%} of the reference{near}){tails}", markup=False)
    if len(found.frames) > NAMED:
        console.print(f"  … {len(found.frames) - NAMED:,} more: --json lists them", markup=False)
