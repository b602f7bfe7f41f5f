"""The verbs `evaluate` and `compare`: how good predictions are, why they are wrong, and whether one set beats another."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpu_quality.cli.common import JsonFlag, QuietFlag, clean, print_json, records, show_error, stderr
from gpu_quality.cli.evaluated import SHOWN, as_json, more, remarks, show, show_answers, show_maps
from gpu_quality.cli.progress import TerminalProgress
from gpu_quality.cli.tabular import show_table
from gpu_quality.errors import GateError, UsageError

if TYPE_CHECKING:
    from gpu_quality.api.gates import Gate
    from gpu_quality.api.progress import Progress

Labels = Annotated[str | None, typer.Option("--labels", help="Labels as a file or folder, where there is no store.")]
LabelsFormat = Annotated[str | None, typer.Option(help="Format of --labels; guessed without it.")]
PredictionsFormat = Annotated[str | None, typer.Option(help="Format of --predictions; guessed without it.")]


def evaluate(
    out: Annotated[
        str | None, typer.Argument(help="A store with predictions; without it, name files.", metavar="[OUT]")
    ] = None,
    labels: Labels = None,
    labels_format: LabelsFormat = None,
    predictions: Annotated[
        str | None, typer.Option("--predictions", help="A file of predictions; of a store, the name of a set.")
    ] = None,
    predictions_format: PredictionsFormat = None,
    protocol: Annotated[
        str, typer.Option(help="coco, voc07, voc12, openimages, labelbox, fiftyone, encord, encord-db, tide or confusion.")
    ] = "coco",
    kind: Annotated[
        str,
        typer.Option(
            help="box, mask, keypoints, oriented, polygon, line or point; class: the answers; semantic: folders of class maps."
        ),
    ] = "box",
    iou: Annotated[float, typer.Option(help="Overlap at which counts, matrices and outcomes are read.")] = 0.5,
    confidence: Annotated[float, typer.Option(help="Confidence from which predictions count there.")] = 0.25,
    classes: Annotated[str | None, typer.Option(help="Only these classes, with commas.")] = None,
    slices: Annotated[
        list[str] | None,
        typer.Option("--slices", help='Condition on columns ("object_area < 1024"), or the name of a saved slice; repeatable.'),
    ] = None,
    missing_score: Annotated[float | None, typer.Option(help="Confidence of predictions that have none.")] = None,
    inclusive: Annotated[bool, typer.Option("--inclusive", help="Boxes name their last pixel (old VOC files).")] = False,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples for intervals: 1000 is usual.")] = 0,
    tide: Annotated[bool, typer.Option("--tide", help="Kinds of errors, and what they cost.")] = False,
    calibration: Annotated[bool, typer.Option("--calibration", help="Confidence against being right.")] = False,
    lrp: Annotated[bool, typer.Option("--lrp", help="Optimal localization recall precision of each class.")] = False,
    fail_on: Annotated[
        list[str] | None, typer.Option("--fail-on", help='Exit 5 unless "map>=0.4", or if "AP<0.4"; repeatable.')
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    errors_ok: Annotated[bool, typer.Option("--errors-ok", help="Exit 0 although some rows could not be used.")] = False,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """How good predictions are: COCO's table and more, outcomes and reasons of every prediction as columns of the store.

    Example: gpu-quality evaluate runs/b --iou 0.5 --confidence 0.3 --tide

    gpu-quality evaluate --labels instances.json --predictions results.json --bootstrap 1000 --fail-on "map>=0.4"
    """
    from gpu_quality.api.evaluate import evaluate as look
    from gpu_quality.api.evaluate import intervals
    from gpu_quality.api.gates import look_at_gates

    progress = TerminalProgress(stderr(), quiet=quiet or json)
    given = _named(labels, labels_format, "--labels"), _named(predictions, predictions_format, "--predictions")
    if kind in ("class", "semantic"):
        others = {"--classes": classes if kind == "class" else None, "--slices": slices, "--bootstrap": bootstrap,
                  "--missing-score": missing_score is not None, "--tide": tide, "--calibration": calibration, "--lrp": lrp,
                  "--inclusive": inclusive, "--protocol": protocol != "coco"}  # fmt: skip
        named = [flag for flag, value in others.items() if value]
        if named:
            raise UsageError(f"--kind {kind} does not go with {', '.join(named)}", hint="these are about objects")
        if kind == "class":
            _of_answers(out, *given, fail_on or (), progress, json, quiet)
        else:
            _of_maps(out, labels, predictions, _names(classes), fail_on or (), progress, json, quiet)
        return
    found = look(
        out, labels=given[0], predictions=given[1], protocol=protocol, kind=kind, iou=iou, confidence=confidence,  # type: ignore[arg-type]
        classes=_names(classes), slices=tuple(slices or ()), missing_score=missing_score, inclusive=inclusive, seed=seed,
        progress=progress,
    )  # fmt: skip
    gates = look_at_gates(found, fail_on or ())
    ranges = intervals(found, resamples=bootstrap) if bootstrap else None
    if json:
        _print(as_json(found, ranges, tide=tide, calibration=calibration, lrp=lrp), gates)
    else:
        show(found, ranges, quiet=quiet)
        more(found, tide=tide, calibration=calibration, lrp=lrp)
        if not quiet:
            remarks(found, out)
    _judge(gates, json=json, quiet=quiet)
    if found.compared.refused and not errors_ok:
        raise typer.Exit(3)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _named(path: str | None, form: str | None, flag: str) -> Any:
    """Where a side lies, and in which format where that is said."""
    if form is not None and path is None:
        raise UsageError(f"{flag}-format says how to read {flag}, which is not given")
    return path if form is None else {"path": path, "format": form}


def _print(told: dict[str, Any], gates: "list[Gate]") -> None:
    """One object, whatever the gates say: what stops is told in it."""
    if gates:
        told["gates"] = [
            {"condition": gate.condition, "figure": gate.figure, "value": gate.value, "passed": gate.passed} for gate in gates
        ]
    failed = "; ".join(gate.text for gate in gates if not gate.passed)
    if failed:
        told["error"] = {"code": GateError.code, "message": failed, "hint": None, "exit_code": GateError.exit_code}
    print_json(told)


def _judge(gates: "list[Gate]", *, json: bool, quiet: bool) -> None:
    """Say what became of the gates, and stop with exit code 5 if one stops."""
    from gpu_quality.api.gates import refuse

    try:
        for line in refuse(gates):
            if not (json or quiet):
                stderr().print(line, markup=False)
    except GateError as error:
        show_error(error, as_json=False, debug=False)  # the object on stdout names it already
        raise typer.Exit(error.exit_code) from None


def _of_answers(
    out: str | None, labels: Any, predictions: Any, fail_on: "list[str] | tuple[()]", progress: "Progress", json: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Answers about frames and objects, question by question."""
    from gpu_quality.api.evaluate_answers import evaluate_answers, figures_of
    from gpu_quality.api.gates import look_at_gates

    found = evaluate_answers(out, labels=labels, predictions=predictions, progress=progress)
    gates = look_at_gates(figures_of(found), fail_on)
    if json:
        _print(found, gates)
    else:
        show_answers(found, quiet=quiet)
    _judge(gates, json=json, quiet=quiet)


def _of_maps(
    out: str | None, labels: Any, predictions: Any, classes: tuple[str, ...], fail_on: "list[str] | tuple[()]",
    progress: "Progress", json: bool, quiet: bool,
) -> None:  # fmt: skip
    """A class for every pixel, folder against folder."""
    from gpu_quality.api.evaluate_semantic import evaluate_semantic
    from gpu_quality.api.gates import look_at_gates

    if out is not None or labels is None or predictions is None:
        raise UsageError("--kind semantic compares two folders of PNG maps", hint="name them with --labels and --predictions")
    found = evaluate_semantic(labels, predictions, classes=classes, progress=progress)
    gates = look_at_gates({**found["metrics"], **{row["class"]: row for row in found["per_class"]}}, fail_on)
    if json:
        _print(found, gates)
    else:
        show_maps(found, quiet=quiet)
    _judge(gates, json=json, quiet=quiet)
    if found["problems"]:
        raise typer.Exit(3)


def compare(
    out: Annotated[
        str | None, typer.Argument(help="A store; without it, name --labels and two files.", metavar="[OUT]")
    ] = None,
    first: Annotated[str | None, typer.Argument(help="A prediction set of the store.", metavar="[A]")] = None,
    second: Annotated[str | None, typer.Argument(help="Another one.", metavar="[B]")] = None,
    labels: Labels = None,
    labels_format: LabelsFormat = None,
    predictions: Annotated[list[str] | None, typer.Option("--predictions", help="Two files of predictions.")] = None,
    predictions_format: PredictionsFormat = None,
    kind: Annotated[str, typer.Option(help="box, mask, keypoints, oriented, polygon, line or point.")] = "box",
    bootstrap: Annotated[int, typer.Option(min=100, help="Resamples.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """Whether prediction set B is better than A: every figure of both, the difference, how sure it is.

    Example: gpu-quality compare runs/b yolo detr

    gpu-quality compare --labels instances.json --predictions old.json --predictions new.json
    """
    from gpu_quality.api.evaluate import compare as look

    progress = TerminalProgress(stderr(), quiet=quiet or json)
    if out is None:
        if labels is None or len(predictions or ()) != 2:
            raise UsageError(
                "name a store and two of its prediction sets, or --labels and two times --predictions",
                hint="gpu-quality compare OUT A B, or compare --labels GT.json --predictions A.json --predictions B.json",
            )
        first, second = (predictions or ["", ""])[:2]
    elif first is None or second is None:
        raise UsageError("two prediction sets are compared", hint=f"gpu-quality compare {clean(out)} A B")
    elif labels is not None or predictions:
        raise UsageError("name a store and two of its sets, or files, not both", hint="a store brings its own labels")
    sides = first, second
    if out is None:
        sides = tuple(_named(path, predictions_format, "--predictions") for path in sides)
    rows = look(
        out, *sides, labels=_named(labels, labels_format, "--labels"), kind=kind, resamples=bootstrap, seed=seed,  # type: ignore[arg-type]
        progress=progress,
    )  # fmt: skip
    if json:
        print_json({"first": first, "second": second, "resamples": bootstrap, "figures": records(rows)})
        return
    whole = rows[~rows["figure"].str.contains("/")]
    columns = ["figure", "first", "second", "difference", "low", "high", "p", "message"]
    show_table(
        f"{clean(second)} against {clean(first)}: 95 % intervals of the difference over resampled frames", whole, columns
    )
    own = rows[rows["figure"].str.startswith("AP/")].sort_values("p_adjusted", kind="stable").head(SHOWN)
    if len(own):
        show_table(
            "AP of classes, the surest differences first", own, ["figure", "first", "second", "difference", "p_adjusted"]
        )
