"""The verbs that compute: run and explain."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gpu_quality.cli.common import JsonFlag, Plugins, QuietFlag, print_json, stderr, stdout, typed
from gpu_quality.cli.progress import TerminalProgress
from gpu_quality.config import RunConfig, parse_predictions
from gpu_quality.errors import UsageError

Metrics = Annotated[str | None, typer.Option("--metrics", help="Names with commas; without it, everything the input allows.")]
Labels = Annotated[str | None, typer.Option("--labels", help="Labels: a file or folder of any known format.")]
Predictions = Annotated[list[str] | None, typer.Option("--predictions", help="NAME=PATH of a prediction set; may be repeated.")]


def run(
    source: Annotated[
        str | None, typer.Argument(help="Folder, glob, list file, image, video, tar, table, or YAML configuration.")
    ] = None,
    out: Annotated[str | None, typer.Option("--out", "-o", help="Folder of the store; the same command again resumes.")] = None,
    config: Annotated[
        str | None, typer.Option("--config", "-c", help="YAML configuration; SOURCE then names the images.")
    ] = None,
    labels: Labels = None,
    labels_format: Annotated[str | None, typer.Option(help="Format of --labels; guessed without it.")] = None,
    predictions: Predictions = None,
    predictions_format: Annotated[str | None, typer.Option(help="Format of every --predictions; guessed without it.")] = None,
    sequences: Annotated[str | None, typer.Option(help="folders: the images of each folder are one ordered sequence.")] = None,
    every: Annotated[int | None, typer.Option(min=1, help="Of videos, every n-th frame.")] = None,
    image_column: Annotated[str | None, typer.Option(help="Column of images of a table, where it is not clear.")] = None,
    metrics: Metrics = None,
    encoder: Annotated[
        str | None, typer.Option(help="Card that embeds frames and labels (gpu-quality model list); none: nothing is embedded.")
    ] = None,
    index: Annotated[str | None, typer.Option(help="How neighbors are searched: auto, exact, flat, ivf, hnsw, pq.")] = None,
    reference: Annotated[str | None, typer.Option(help="Store of another run; novelty is the distance to its frames.")] = None,
    plugin: Plugins = None,
    engine: Annotated[str | None, typer.Option(help="local (a supervised child per device) or inline.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; auto takes every CUDA device.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads that read and decode.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random choice.")] = None,
    max_errors: Annotated[str | None, typer.Option(help="How many frames may fail: 20 or 5%.")] = None,
    errors_ok: Annotated[bool, typer.Option("--errors-ok", help="Exit 0 although some frames failed.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Retire stored columns that mean something else.")] = False,
    retry_errors: Annotated[bool, typer.Option("--retry-errors", help="Try frames again that crashed or timed out.")] = False,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Score photos, labels and predictions into a store.

    Example: gpu-quality run PHOTOS/ --labels instances.json --predictions yolo=results.json --out runs/b
    """
    from gpu_quality import api

    if labels_format and not labels:
        raise UsageError("--labels-format says how to read --labels, which is not given")
    if predictions_format and not predictions:
        raise UsageError("--predictions-format says how to read --predictions, which is not given")
    settings: dict[str, Any] = {}
    for key, name, value in (
        ("engine", "kind", engine), ("engine", "device", device), ("decode", "threads", threads),
        ("encoder", "card", encoder), ("index", "kind", index),
    ):  # fmt: skip
        if value is not None:
            settings.setdefault(key, {})[name] = value
    plain = (("seed", seed), ("max_errors", max_errors), ("reference", reference))
    settings |= {key: value for key, value in plain if value is not None}
    if config is not None and source is not None:
        settings["source"] = {"images": source}
    if source is None and config is None and labels is None:
        raise UsageError("there is nothing to score", hint="gpu-quality run PHOTOS/ --out runs/a")
    for key, value in (("sequences", sequences), ("every", every), ("image_column", image_column)):
        if value is not None:
            settings.setdefault("source", {})[key] = value
    sets = parse_predictions(tuple(predictions)) if predictions else None
    progress = TerminalProgress(stderr(), quiet=quiet or json)
    store = api.run(
        source if config is None else RunConfig.load(Path(config)),
        out=out,
        labels=None if labels is None else _named(labels, labels_format),
        predictions=sets and {name: _named(path, predictions_format) for name, path in sets.items()},
        metrics=_names(metrics),
        settings=settings,
        plugins=plugin or (),
        progress=progress,
        replace=replace,
        retry_errors=retry_errors,
    )
    status = api.status(store)
    failures = status["errors"] or status["input_errors"] or status["cell_errors"]
    if json:
        print_json(status)
    elif not quiet:
        stderr().print(_last_line(status), markup=False)
    if failures and not errors_ok:
        raise typer.Exit(3)


def _named(path: str, format_: str | None) -> dict[str, str]:
    """Where annotations lie, and in which format where that is said."""
    return {"path": path} if format_ is None else {"path": path, "format": format_}


def _names(metrics: str | None) -> list[str] | None:
    """The names in --metrics."""
    return None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]


def _last_line(status: dict[str, Any]) -> str:
    """Listed = scored + errors, in numbers, and what to type next."""
    total = f"{status['scored']:,} scored + {status['errors']:,} errors = {status['listed']:,} listed"
    told = [f"{count:,} {reason}" for reason, count in status["reasons"].items()]
    if status["input_errors"]:
        told.append(f"{status['input_errors']:,} files or records that could not be used as they are")
    if status["cell_errors"]:
        told.append(f"{status['cell_errors']:,} values that a metric failed to give")
    head = f"gpu-quality: {'done with errors' if told else 'done'}: {total}" + (f" ({', '.join(told)})" if told else "")
    verbs = ["errors"] if told else ["show"]
    if status["objects"]:
        verbs.append("check")
    return "\n  next: ".join([head, *(typed("gpu-quality", verb, status["path"]) for verb in verbs)])


def explain(
    source: Annotated[str, typer.Argument(help="A YAML configuration, or images.")],
    labels: Labels = None,
    predictions: Predictions = None,
    metrics: Metrics = None,
    encoder: Annotated[str | None, typer.Option(help="Card that embeds frames and labels, as in run.")] = None,
    plugin: Plugins = None,
    json: JsonFlag = False,
) -> None:
    """Print the plan: what is read, computed once, kept.

    Example: gpu-quality explain configs/full.yaml
    """
    from gpu_quality import api

    text = api.explain(
        source,
        labels=labels,
        predictions=parse_predictions(tuple(predictions)) if predictions else None,
        metrics=_names(metrics),
        settings={} if encoder is None else {"encoder": {"card": encoder}},
        plugins=plugin or (),
    )
    if json:
        print_json({line[:11].strip(): line[11:] for line in text.splitlines()})
    else:
        stdout().print(text, markup=False, soft_wrap=True)
