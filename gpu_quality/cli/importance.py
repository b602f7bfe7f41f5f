"""The verb `importance`: which properties of the data go along with success or failure."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gpu_quality.cli.common import JsonFlag, Out, QuietFlag, clean, print_json, stderr, stdout, typed
from gpu_quality.cli.progress import TerminalProgress
from gpu_quality.cli.tabular import Format, To, check_format, write_table
from gpu_quality.errors import UsageError
from gpu_quality.text import counted, number

if TYPE_CHECKING:
    import pandas as pd

    from gpu_quality.api.importance import Importance

KINDS: Final = {"predictions": "P", "labels": "O", "answers": "C", "frames": "F"}
LIMIT: Final = 0.05
"""Adjusted p-values up to here are told as significant; those metrics come first."""
WIDTH: Final = 24
"""Characters of a full bar."""

RowsOption = Annotated[str | None, typer.Option("--rows", help="predictions, labels, answers or frames.")]
SetOption = Annotated[str | None, typer.Option("--predictions", help="Name of a prediction set, where there are several.")]
ClassesOption = Annotated[str | None, typer.Option("--classes", help="Only these classes, with commas.")]
IouOption = Annotated[float | None, typer.Option("--iou", help="Overlap of a match; the stored evaluation's without it.")]
ConfidenceOption = Annotated[float | None, typer.Option("--confidence", help="Confidence from which predictions count.")]
WhereOption = Annotated[str, typer.Option("--where", help="Condition on columns, or the name of a saved slice.")]


def importance(
    out: Out,
    target: Annotated[str, typer.Option("--target", help="outcome, iou, or a numeric column.")] = "outcome",
    rows: RowsOption = None,
    metrics: Annotated[str | None, typer.Option("--metrics", help="Only these metrics, with commas.")] = None,
    predictions: SetOption = None,
    classes: ClassesOption = None,
    iou: IouOption = None,
    confidence: ConfidenceOption = None,
    where: WhereOption = "",
    permutations: Annotated[int | None, typer.Option(min=19, help="Permutations behind the p-values; 1,999 or more.")] = None,
    no_joint: Annotated[bool, typer.Option("--no-joint", help="Leave out the model of all metrics together.")] = False,
    count: Annotated[int, typer.Option("--count", min=1, help="Metrics shown of each kind of rows.")] = 15,
    seed: Annotated[int, typer.Option(help="Seed of permutations, half-samples and folds.")] = 0,
    format: Format = None,  # noqa: A002 - the flag's name
    to: To = None,
    quiet: QuietFlag = False,
    json: JsonFlag = False,
) -> None:
    """Which property of the data explains the model's failures: 0 = independent of the outcome, 1 = determines it.

    Example: gpu-quality importance runs/b

    gpu-quality importance runs/b --rows labels --classes person --iou 0.75 --format csv
    """
    check_format(format, to, json=json)
    from gpu_quality.api.importance import importance as look

    found = look(
        out, target=target, rows=kind_of(rows), metrics=names(metrics), predictions=predictions, classes=names(classes),
        iou=iou, confidence=confidence, where=where, permutations=permutations, joint=not no_joint, seed=seed,
        progress=TerminalProgress(stderr(), quiet=quiet or json),
    )  # fmt: skip
    if json:
        print_json(found.to_dict())
    elif format is not None:
        write_table(found.table, format, to)
    else:
        _show(found, count)
    if not (quiet or json):
        remarks(found.notes)
        if format is None:
            _next(found, out)


def kind_of(rows: str | None) -> str | None:
    """The letter of a kind of rows. Raises `UsageError`."""
    if rows is None or rows in KINDS.values():
        return rows
    if rows not in KINDS:
        raise UsageError(f"--rows {clean(rows, 40)}: choose {', '.join(KINDS)}")
    return KINDS[rows]


def names(text: str | None) -> tuple[str, ...]:
    """Names given with commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def remarks(notes: tuple[str, ...]) -> None:
    """Sentences about what was left out, on stderr."""
    for note in notes:
        stderr().print(f"note: {clean(note, 400)}", markup=False)


def _show(found: "Importance", count: int) -> None:
    import pandas as pd

    words = {letter: word for word, letter in KINDS.items()}
    for letter, size in found.sizes.items():
        table = found.table[found.table["rows"] == letter]
        known = table[table["importance"].notna()]
        stdout().print(
            f"\n{_asked(found, letter)} of {counted(size, words[letter][:-1])}{_limits(found, letter)}", markup=False
        )
        if len(known):
            sure = known["p_adjusted"] <= LIMIT
            _bars(pd.concat([known[sure], known[~sure]]).head(count))
            significant = int(sure.sum())
            rest = f"; {len(known) - count} more with --count {len(known)}" if len(known) > count else ""
            scale = "importance: 0 tells nothing, 1 decides it; p is adjusted for all metrics"
            stdout().print(f"{significant} of {counted(len(known), 'metric')} significant (*: p <= .05){rest}; {scale}")
        _unknown(table[table["importance"].isna()])
        if letter in found.joint:
            _together(found.joint[letter])


def _asked(found: "Importance", letter: str) -> str:
    """What is explained, in words."""
    words = {"P": "true or false", "O": "found or missed", "C": "right or wrong", "F": "F1"}
    target = str(found.params["target"])
    return f"what goes along with {words[letter] if target == 'outcome' else clean(target)}"


def _limits(found: "Importance", letter: str) -> str:
    """From which overlap and confidence outcomes were read, where they were."""
    at = found.params
    if at["target"] not in ("outcome", "iou") or letter == "C":
        return ""
    return f" (IoU {number(at['iou'])}, confidence {number(at['confidence'])})"


def _bars(rows: "pd.DataFrame") -> None:
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name, right in (("metric", 0), ("", 0), ("importance", 0), ("", 1), ("95 %", 1), ("spearman", 1), ("p", 1)):
        shown.add_column(name, justify="right" if right else "left", no_wrap=True)
    for row in rows.to_dict("records"):
        star, also = ("*" if row[key] <= LIMIT else " " for key in ("p_adjusted", "spearman_p_adjusted"))
        reach = "" if row["low"] != row["low"] else f"{row['low']:.2f}-{row['high']:.2f}"
        shown.add_row(
            clean(row["metric"], 44), f"({row['level']})", bar(row["importance"]), f"{row['importance']:.3f}{star}", reach,
            "" if row["spearman"] != row["spearman"] else f"{row['spearman']:+.2f}{also}", f"{row['p_adjusted']:.3g}",
            style="" if "*" in (star, also) else "dim",
        )  # fmt: skip
    stdout().print(shown)


def bar(share: float, width: int = WIDTH) -> str:
    """A bar of blocks for a share 0..1, in eighths of a character."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    part: str = ("", *"▏▎▍▌▋▊▉")[eighths % 8]
    return "█" * (eighths // 8) + part


def _unknown(rows: "pd.DataFrame") -> None:
    """Why some metrics have no importance: the commonest reasons once."""
    reasons: dict[str, list[str]] = {}
    for row in rows.to_dict("records"):
        text = str(row["message"]).replace(f" of {row['metric']} ({row['level']})", "")
        reasons.setdefault(text, []).append(str(row["metric"]))
    for text, whose in list(reasons.items())[:5]:
        named = ", ".join(whose[:3]) + (", …" if len(whose) > 3 else "")
        stdout().print(f"{counted(len(whose), 'metric')} ({clean(named, 120)}): {clean(text, 200)}", markup=False)


def _together(found: dict[str, Any]) -> None:
    """What all metrics explain together, and which of them add to the others."""
    if found.get("explained") is None:
        stdout().print(f"all together: {clean(found.get('message'), 300)}", markup=False)
        return
    low, high = found.get("low"), found.get("high")
    reach = "" if low is None or high is None else f" ({100 * low:.0f}-{100 * high:.0f} %)"
    stdout().print(f"all together explain {100 * found['explained']:.0f} %{reach} of the outcome", markup=False)
    sure = [row for row in found["metrics"] if row["low"] is not None and row["low"] > 0]
    groups = {row["group"] or row["metric"]: row for row in reversed(sure)}  # metrics that say the same were shuffled together
    told = [f"{_named(row)} ({100 * row['drop']:.1f} points)" for row in reversed(groups.values())]
    if told:
        stdout().print(f"what the others cannot replace: {', '.join(told[:5])}", markup=False)


def _named(row: dict[str, Any]) -> str:
    """A metric, and how many others say the same."""
    others = str(row["group"] or "").count(",")
    return clean(row["metric"], 44) + (f" and {others} like it" if others else "")


def _next(found: "Importance", out: str) -> None:
    """Look at the property of the data that the others replace least, or tells most, among those that are no chance."""
    from gpu_quality import api

    target, facts = found.params["target"], api.open_store(out).columns()
    known = found.table[found.table["p_adjusted"] <= LIMIT]
    drops = {(rows, row["metric"]): row["drop"] or 0.0 for rows, told in found.joint.items() for row in told["metrics"]}
    added = [drops.get((rows, name), 0.0) for rows, name in zip(known["rows"], known["metric"], strict=True)]
    of_data = ["set" not in facts.get(name, {}) for name in known["metric"]]  # the model's own confidence comes last
    order = ["of_data", "added", "importance"]
    best = known.assign(added=added, of_data=of_data).sort_values(order, ascending=False, kind="stable")
    for name in best["metric"].head(1):
        verb, more = ("performance", []) if target in ("outcome", "iou") else ("scatter", [target])
        stderr().print(f"next: {typed('gpu-quality', verb, out, name, *more)}", markup=False)
