"""The verbs of `slice`: parts of the data in which the model fails, found or named, with their figures and test cases."""

from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from gpu_quality.cli.common import JsonFlag, Out, QuietFlag, clean, print_json, show_error, stderr, stdout
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
from gpu_quality.cli.slices_shown import next_weak, read_at, show_tests, show_weak
from gpu_quality.cli.tabular import Format, To, check_format, show_table, write_table
from gpu_quality.errors import GateError
from gpu_quality.text import counted

SHOWN: Final = ["slice", "frames", "labels", "predictions", "precision", "recall", "f1", "mean_iou", "ECE", "AP", "AP50"]
"""Figures that the terminal shows; --json and --format have all."""


def find(
    out: Out,
    rows: Annotated[
        str | None, typer.Option("--rows", help="predictions (precision) or labels (recall); both without it.")
    ] = None,
    measures: Annotated[str | None, typer.Option("--metrics", help="Only these metrics, with commas; class is one.")] = None,
    without: Annotated[str | None, typer.Option("--without", help="Leave out these metrics, with commas.")] = None,
    predictions: SetOption = None,
    classes: ClassesOption = None,
    iou: IouOption = None,
    confidence: ConfidenceOption = None,
    where: WhereOption = "",
    least: Annotated[int, typer.Option("--min-count", min=2, help="Fewest rows of a slice.")] = 20,
    count: Annotated[int, typer.Option("--count", min=1, help="Slices of each kind of rows.")] = 10,
    save: Annotated[bool, typer.Option("--save", help="Save the slices found under names.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the two halves of the images.")] = 0,
    format: Format = None,  # noqa: A002 - the flag's name
    to: To = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """Parts of the data, by one or two metrics, in which the model fails more often; corrected for how many were looked at.

    Example: gpu-quality slice find runs/b

    gpu-quality slice find runs/b --rows labels --without object_count --save
    """
    check_format(format, to, json=json)
    from gpu_quality import api
    from gpu_quality.api.slices_weak import find_weak_slices, save_weak_slices

    store = api.open_store(out)
    found = find_weak_slices(
        store, kind_of(rows), measures=names(measures), without=names(without), predictions=predictions, classes=names(classes),
        iou=iou, confidence=confidence, where=where, least=least, count=count, seed=seed,
    )  # fmt: skip
    saved = save_weak_slices(store, found) if save else {}
    if json:
        print_json({**found.to_dict(), "saved": saved})
    elif format is not None:
        write_table(found.table(), format, to)
    else:
        show_weak(found)
    if not (quiet or json):
        remarks(found.notes)
        for name in saved:
            stderr().print(f"saved: {clean(name)}", markup=False)
        if format is None and found.slices():
            next_weak(found, out)


def add(
    out: Out,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    condition: Annotated[str, typer.Argument(help='SQL on columns of objects and frames: "object_area < 1024".')],
    json: JsonFlag = False,
) -> None:
    """Save a condition on columns under a name; --where and --slices take the name then.

    Example: gpu-quality slice add runs/b night "brightness < 0.2 and class = 'person'"
    """
    from gpu_quality import api
    from gpu_quality.api.slices import save_slice

    counts = save_slice(api.open_store(out), name, condition)
    if json:
        print_json({"slice": name.strip(), "condition": condition.strip(), **counts})
    else:
        held = f"{counted(counts['objects'], 'object')} in {counted(counts['frames'], 'frame')}"
        stdout().print(f"{clean(name.strip())}: {held}", markup=False)


def remove(out: Out, name: Annotated[str, typer.Argument(help="The slice to forget.")], json: JsonFlag = False) -> None:
    """Forget a saved slice.

    Example: gpu-quality slice remove runs/b night
    """
    from gpu_quality import api
    from gpu_quality.api.slices import remove_slice, saved_slices

    store = api.open_store(out)
    remove_slice(store, name)
    left = saved_slices(store)
    if json:
        print_json({"removed": name, "slices": left})
    else:
        stdout().print(f"{clean(name)} removed; {counted(len(left), 'slice')} left", markup=False)


def list_(
    out: Out,
    predictions: SetOption = None,
    iou: IouOption = None,
    confidence: ConfidenceOption = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples for intervals of all figures: 1000 is usual.")] = 0,
    fail_on: Annotated[
        list[str] | None, typer.Option("--fail-on", help='Exit 5 unless "recall/NAME>=0.6"; repeatable.')
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    format: Format = None,  # noqa: A002 - the flag's name
    to: To = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """The saved slices with every evaluation figure, and all data beside them.

    Example: gpu-quality slice list runs/b --fail-on "recall/night>=0.5"
    """
    check_format(format, to, json=json)
    from gpu_quality.api.gates import look_at_gates, refuse
    from gpu_quality.api.slices import ALL
    from gpu_quality.api.slices_figures import slice_figures

    found = slice_figures(
        out, predictions=predictions, iou=iou, confidence=confidence, resamples=bootstrap, seed=seed
    )  # fmt: skip
    figures = {name: found.figures(name) for name in found.table["slice"]}
    judged = look_at_gates({**figures.pop(ALL), **figures}, fail_on or ())
    if json:
        told: dict[str, Any] = found.to_dict()
        told["gates"] = [{key: getattr(one, key) for key in ("condition", "figure", "value", "passed")} for one in judged]
        print_json(_with_error(told, "; ".join(one.text for one in judged if not one.passed)))
    elif format is not None:
        write_table(found.table, format, to)
    else:
        show_table("", found.table, SHOWN)
        stdout().print(
            f"precision of predictions and recall of labels in the slice: {read_at(found.params)}; labels and predictions: "
            "all, of any confidence; AP: unmatched predictions outside are left out", markup=False, soft_wrap=True, style="dim",
        )  # fmt: skip
        for name, condition in zip(found.table["slice"], found.table["condition"], strict=True):
            if condition:
                stdout().print(f"{clean(name)}: {clean(condition, 300)}", markup=False, soft_wrap=True, style="dim")
    if not (quiet or json):
        remarks(found.notes)
    _stop(lambda: refuse(judged))


def check(
    out: Out,
    file: Annotated[str, typer.Argument(help='YAML: tests: [{slice: NAME, expect: ["recall >= 0.6"], min_count: 20}]')],
    predictions: SetOption = None,
    iou: IouOption = None,
    confidence: ConfidenceOption = None,
    pessimistic: Annotated[bool, typer.Option("--pessimistic", help="What is undecided has failed.")] = False,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples for figures without an interval of their own.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """Model test cases: expectations about slices that passed, failed or are undecided; exit 5 if one failed.

    Example: gpu-quality slice test runs/b tests.yaml --pessimistic
    """
    from gpu_quality.api.slices_tests import run_tests

    found = run_tests(
        out, file, predictions=predictions, iou=iou, confidence=confidence, resamples=bootstrap, pessimistic=pessimistic,
        seed=seed,
    )  # fmt: skip
    if json:
        print_json(_with_error(found.to_dict(), "; ".join(one.text for one in found.verdicts if one.outcome == "failed")))
    else:
        show_tests(found)
    if not (quiet or json):
        remarks(found.notes)
    _stop(found.refuse)


def _with_error(told: dict[str, Any], failed: str) -> dict[str, Any]:
    """The object that is printed, with what stops the program told in it."""
    error = {"code": GateError.code, "message": failed, "hint": None, "exit_code": GateError.exit_code}
    return {**told, "error": error} if failed else told


def _stop(refuse: Callable[[], object]) -> None:
    """Exit 5 where a gate or test stops; the object on stdout has told it already."""
    try:
        refuse()
    except GateError as error:
        show_error(error, as_json=False, debug=False)
        raise typer.Exit(error.exit_code) from None
