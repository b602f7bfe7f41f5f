"""What `slice find` and `slice test` print."""

from typing import TYPE_CHECKING, Any, Final

from gpu_quality.cli.common import clean, stderr, stdout, typed
from gpu_quality.text import number

if TYPE_CHECKING:
    from gpu_quality.api.slices_tests import Tested
    from gpu_quality.api.slices_weak import WeakSlices

_COLORS: Final = {"passed": "green", "failed": "bold red", "undecided": "yellow"}


def read_at(params: dict[str, Any]) -> str:
    """Where counts and shares were read."""
    return f"IoU {number(params['iou'])}, confidence {number(params['confidence'])}"


def show_weak(found: "WeakSlices") -> None:
    """Weak slices in words, with their conditions."""
    console, at = stdout(), read_at(found.params)
    for part in found.rows.values():
        noun = "predictions" if part["figure"] == "precision" else "labels"
        rate = "undefined" if part["rate"] is None else f"{part['rate']:.2f}"
        console.print(f"\n{part['figure']} of {part['n']:,} {noun}: {rate} ({at})", markup=False, soft_wrap=True, style="bold")
        for place, one in enumerate(part["slices"], 1):
            console.print(f"{place:>3}. {clean(one['text'], 400)}", markup=False, soft_wrap=True)
            console.print(f"     {clean(one['condition'], 400)}", markup=False, soft_wrap=True, style="cyan")
            if one["also"]:
                more = f" and {len(one['also']) - 1} more" if len(one["also"]) > 1 else ""
                console.print(
                    f"     nearly the same: {clean(one['also'][0]['words'], 300)}{more}",
                    markup=False,
                    soft_wrap=True,
                    style="dim",
                )
        if not part["slices"] and not part["message"]:
            console.print(
                f"no slice fails more often than the rest beyond chance ({part['tested']} tested)", markup=False, soft_wrap=True
            )


def next_weak(found: "WeakSlices", out: str) -> None:
    """What to type to see the failures of the first slice."""
    rows, condition = next((one["rows"], one["condition"]) for one in found.slices())
    where = " and ".join(part for part in (condition, found.rows[rows]["failed"]) if part)
    stderr().print(f"next: {typed('gpu-quality', 'show', out, '--where', where, '--html', 'weak.html')}", markup=False)


def show_tests(found: "Tested") -> None:
    """Every expectation, and what became of it."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name, right in (("outcome", 0), ("slice", 0), ("expected", 0), ("found", 1), ("95 %", 1), ("n", 1), ("", 0)):
        shown.add_column(name, justify="right" if right else "left", overflow="fold")
    for one in found.verdicts:
        reach = "" if one.low is None or one.high is None else f"{number(one.low)}-{number(one.high)}"
        cells = [clean(one.name, 60), clean(one.expect, 60), number(one.value), reach, f"{one.n:,}"]
        shown.add_row(
            Text(one.outcome, style=_COLORS[one.outcome]), *map(Text, cells), Text(one.message.partition(": ")[2], style="dim")
        )
    stdout().print(shown)
    counts = found.to_dict()["counts"]
    stdout().print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()), markup=False)
