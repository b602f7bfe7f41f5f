"""The verb convert."""

from typing import TYPE_CHECKING, Annotated

import typer

from gpu_quality.cli.common import JsonFlag, QuietFlag, clean, print_json, stderr
from gpu_quality.config import parse_predictions

if TYPE_CHECKING:
    from gpu_quality.api.convert import Conversion

_SHOWN = 5


def convert(
    to: Annotated[str, typer.Option("--to", help="Format to write.", metavar="FORMAT")],
    out: Annotated[str, typer.Option("--out", "-o", help="File or folder to write.")],
    labels: Annotated[str | None, typer.Option("--labels", help="Labels in any format that is read.")] = None,
    labels_format: Annotated[str | None, typer.Option(help="Format of --labels; guessed without it.")] = None,
    images: Annotated[str | None, typer.Option("--images", help="The images, where a format needs their sizes.")] = None,
    predictions: Annotated[
        list[str] | None, typer.Option("--predictions", help="NAME=PATH of a prediction set; may be repeated.")
    ] = None,
    predictions_format: Annotated[str | None, typer.Option(help="Format of every --predictions; guessed without it.")] = None,
    origin: Annotated[str | None, typer.Option("--origin", help="What to write: labels, or NAME of a prediction set.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what stands at --out.")] = False,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Turn labels or predictions of one format into another; says what could not be read or held.

    Example: gpu-quality convert --labels Annotations/ --to coco --out instances.json
    """
    from gpu_quality.api.convert import convert as run

    sets = parse_predictions(tuple(predictions)) if predictions else None
    done = run(
        labels,
        to=to,
        out=out,
        labels_format=labels_format,
        images=images,
        predictions=sets,
        predictions_format=predictions_format,
        origin=origin,
        force=force,
    )
    if json:
        print_json(done.to_dict())
    elif not quiet:
        _say(done)
    if done.errors:
        raise typer.Exit(3)


def _say(done: "Conversion") -> None:
    console = stderr()
    for remark in done.remarks:
        console.print(f"gpu-quality: {clean(remark, 300)}", markup=False)
    for row in done.errors[:_SHOWN]:
        place = row["uri"] if row["line"] is None else f"{row['uri']}:{row['line']}"
        console.print(f"  {clean(place)} {row['reason']}: {clean(row['detail'], 200)}", markup=False)
    if done.errors:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in done.reasons.items())
        console.print(f"gpu-quality: {len(done.errors):,} records break a rule ({reasons}); --json lists them", markup=False)
    for lost in done.lost:
        console.print(f"gpu-quality: not held by {done.format}: {clean(lost, 300)}", markup=False)
    counts = f"{done.frames:,} frames, {done.objects:,} objects, {done.answers:,} answers"
    console.print(f"gpu-quality: wrote {counts} of {done.origin} as {done.format} to {clean(done.out)}", markup=False)
