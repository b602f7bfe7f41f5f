"""The verbs of `metric`: what can be measured, what each number means, and measures of one's own."""

from typing import Annotated, Final

import typer

from gpu_quality.cli.common import JsonFlag, Out, Plugins, QuietFlag, clean, print_json, stderr, stdout


def list_(json: JsonFlag = False, plugin: Plugins = None) -> None:
    """Every metric with its unit, range and first line.

    Example: gpu-quality metric list
    """
    from gpu_quality.api import load_plugins
    from gpu_quality.cli import metrics

    load_plugins(plugin or ())
    if json:
        print_json(metrics.metric_list_json())
    else:
        metrics.metric_list(stdout())


def show(name: Annotated[str, typer.Argument(help="A metric's name.")], json: JsonFlag = False, plugin: Plugins = None) -> None:
    """Meaning, formula, unit, range, bad direction, options and source of one metric.

    Example: gpu-quality metric show sharpness
    """
    from gpu_quality.api import load_plugins
    from gpu_quality.cli import metrics

    load_plugins(plugin or ())
    if json:
        print_json(metrics.metric_show_json(name))
    else:
        metrics.metric_show(name, stdout())


BAD_SHOWN: Final = 10
Replace = Annotated[bool, typer.Option("--replace", help="Retire what is stored under the same name.")]


def run(
    file: Annotated[str, typer.Argument(help="Python file with Metric classes.", metavar="FILE")],
    out: Annotated[str, typer.Argument(help="A store, or a folder of images.", metavar="OUT")],
    predictions: Annotated[
        str | None, typer.Option("--predictions", help="Name of a prediction set to score instead of the labels.")
    ] = None,
    replace: Replace = False,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Run the class-form metrics of a file and store what they write.

    Example: gpu-quality metric run configs/examples/box_height.py runs/b
    """
    from gpu_quality.api.authored import run_file
    from gpu_quality.cli.progress import TerminalProgress

    done = run_file(file, out, TerminalProgress(stderr(), quiet=quiet or json), origin=predictions, replace=replace)
    if json:
        keys = ("title", "columns", "rows", "errors", "fresh")
        print_json({"metrics": [{**{key: getattr(one, key) for key in keys}, "csv": str(one.csv)} for one in done]})
    elif not quiet:
        for one in done:
            failed = f", {one.errors:,} errors" if one.errors else ""
            scores = f"{one.rows:,} scores{failed}" if one.fresh else "stored before"
            stdout().print(
                f"{clean(one.title)}: {scores}, {', '.join(one.columns)}, {clean(one.csv)}", markup=False, soft_wrap=True
            )
    if any(one.errors for one in done):
        raise typer.Exit(3)


def import_(
    out: Out,
    file: Annotated[str, typer.Argument(help="Values as .csv or .ndjson.", metavar="FILE")],
    replace: Replace = False,
    json: JsonFlag = False,
) -> None:
    """Store values that were computed elsewhere.

    CSV has a column frame (or object) of ids and a column for each metric; or a row for each value under
    frame,metricName,metricValue,featureName,subclassName,aggregation. NDJSON has the same names as keys, or
    dataRow {id} or {globalKey} instead of frame. featureName is a class, subclassName a nested class.

    A value is a number, [TP, FP, TN, FN], or either by confidence: {"0.1": 2, "0.5": 1}. Numbers are aggregated by
    ARITHMETIC_MEAN (without another word), GEOMETRIC_MEAN, HARMONIC_MEAN or SUM.

    Example: gpu-quality metric import runs/b values.csv
    """
    from dataclasses import asdict

    from gpu_quality.api.authored import import_file

    found = import_file(out, file, replace=replace)
    if json:
        print_json(asdict(found))
    else:
        for metric in found.metrics:
            how = metric.aggregation.lower().replace("_", " ")
            where = f"column {', '.join(metric.columns)}" if metric.columns else f"results/{metric.result}"
            count = f"{metric.values:,} values" if metric.fresh else "stored before"
            stdout().print(f"custom/{clean(metric.name)}: {count}, {how}, {where}", markup=False, soft_wrap=True)
        for line, reason in found.bad[:BAD_SHOWN]:
            stderr().print(f"line {line}: {clean(reason)}", markup=False)
        if len(found.bad) > BAD_SHOWN:
            stderr().print(f"… and {len(found.bad) - BAD_SHOWN:,} more lines: gpu-quality errors {clean(out)}", markup=False)
    if found.bad:
        raise typer.Exit(3)
